/** The value of a JSON text; undefined if the text is not JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Why a text is not JSON, and where. Lines and columns count from 1. */
export interface JsonFault {
  /** It quotes at most one character of the text. */
  readonly reason: string;
  readonly line: number;
  readonly column: number;
}

/** The first fault of a text that should be JSON; null if it has none. */
export function jsonFault(text: string): JsonFault | null {
  const message = syntaxErrorOf(text);
  if (message === null) return null;
  const before = text.slice(0, faultIndex(text, message));
  const lineStart = before.lastIndexOf('\n') + 1;
  return {
    // V8 shows a part of the text after the comma, or the place once more after "at position".
    reason: message.replace(/, (?:"|\.\.\.)[\s\S]*$| (?:in JSON )?at position [\s\S]*$/, ''),
    line: before.split('\n').length,
    column: before.length - lineStart + 1,
  };
}

/** V8 tells the index of most faults in its message. It tells none for a token that cannot stand where it does, nor for an early end. */
function faultIndex(text: string, message: string): number {
  const told = / at position (\d+)/.exec(message)?.[1];
  if (told !== undefined) return Number(told);
  if (!isUnexpectedToken(message)) return text.length;
  // The text fails in this way from the prefix on that ends with the token.
  let [whole, faulty] = [0, text.length];
  while (faulty - whole > 1) {
    const middle = Math.floor((whole + faulty) / 2);
    if (isUnexpectedToken(syntaxErrorOf(text.slice(0, middle)))) faulty = middle;
    else whole = middle;
  }
  return faulty - 1;
}

const isUnexpectedToken = (message: string | null): boolean => message?.startsWith('Unexpected token') === true;

/** What V8 says of a text that is not JSON; null if it is. */
function syntaxErrorOf(text: string): string | null {
  try {
    JSON.parse(text);
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Whether a value is a JSON object. Nothing is known of its members yet. */
export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Whether a JSON value nests deeper than `levels`. It looks no deeper than that itself, so a hostile depth costs no stack. */
export function isDeeperThan(levels: number, value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return levels === 0 || Object.values(value).some((inner) => isDeeperThan(levels - 1, inner));
}

/** The entries of `detail` or `outcome` as this service wrote them; none if the column is null. */
export const parseStored = (json: string | null): Readonly<Record<string, unknown>> =>
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- only `JSON.stringify` of an object is ever stored
  json === null ? {} : (JSON.parse(json) as Record<string, unknown>);
