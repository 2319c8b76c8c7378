/** The value that a JSON text stands for; undefined if it is no JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** A JSON object, its values not looked at yet. */
export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Whether a JSON value nests beyond `levels`. Goes no deeper itself, so the depth of what was sent costs no stack. */
export function isDeeperThan(levels: number, value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return levels === 0 || Object.values(value).some((inner) => isDeeperThan(levels - 1, inner));
}

/** What this service wrote into `detail` or `outcome`; nothing there: no entries. */
export const parseStored = (json: string | null): Readonly<Record<string, unknown>> =>
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- only `JSON.stringify` of an object is ever stored
  json === null ? {} : (JSON.parse(json) as Record<string, unknown>);
