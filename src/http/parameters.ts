import type { Problems } from '../kit/problems.ts';
import { err, ok, type Result } from '../kit/result.ts';
import { decodeCursor } from './cursor.ts';

/** Reads the text of one parameter. Its error says what to do and never quotes the text. */
export type ParseParameter<T> = (text: string) => Result<T, string>;

/**
 * Reads a parameter that may be given once; `otherwise` if it is not given, or not as it must be, which is reported.
 */
export function readParameter<T>(
  query: URLSearchParams,
  name: string,
  parse: ParseParameter<T>,
  otherwise: T,
  problems: Problems,
): T {
  const [text, ...more] = query.getAll(name);
  if (text === undefined) return otherwise;
  const parsed = more.length > 0 ? err('Give this parameter once.') : parse(text);
  if (parsed.ok) return parsed.value;
  problems.misunderstood(name, parsed.error);
  return otherwise;
}

/** A parameter that is one of a closed list. */
export const oneOf =
  <T extends string>(known: readonly T[]): ParseParameter<T> =>
  (text) => {
    const found = known.find((name) => name === text);
    return found === undefined ? err(`Use one of: ${known.join(', ')}.`) : ok(found);
  };

/** A parameter of a certain form. */
export const matching =
  (isOfForm: (text: string) => boolean, advice: string): ParseParameter<string> =>
  (text) =>
    isOfForm(text) ? ok(text) : err(advice);

/** How many rows a page has at the most. */
export const limitUpTo =
  (maxRows: number): ParseParameter<number> =>
  (text) => {
    const rows = /^\d{1,3}$/.test(text) ? Number(text) : 0;
    return rows >= 1 && rows <= maxRows ? ok(rows) : err(`Use a whole number from 1 to ${maxRows}.`);
  };

/** Where a page goes on: the `seq` that its cursor stands for. */
export const cursor: ParseParameter<number> = (text) => {
  const seq = decodeCursor(text);
  return seq === null ? err('Use "next_cursor" of an earlier page as it was given.') : ok(seq);
};
