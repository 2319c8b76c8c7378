import { createMiddleware } from 'hono/factory';
import { UNKNOWN_NAME_MAX_CHARS, UNKNOWN_NAMES_MAX_COUNT } from '../config/limits.ts';
import { failure } from './answer.ts';
import type { AppEnv } from './context.ts';
import type { RequestFailure } from '../failures.ts';
import { uuidOf } from '../kit/ids.ts';
import { createProblems, type Problems } from '../kit/problems.ts';
import { containsSecret } from '../kit/redaction.ts';
import { err, ok, type Result } from '../kit/result.ts';

/** A name that may be repeated in an answer. */
const NAME = new RegExp(`^[A-Za-z0-9_.-]{1,${UNKNOWN_NAME_MAX_CHARS}}$`);

/**
 * Reports fields or parameters that are not known. Only UNKNOWN_NAMES_MAX_COUNT names are repeated, and only those that read like
 * a name, since a caller may have put a secret in the place of a name.
 */
export function refuseUnknown(
  what: 'field' | 'parameter',
  names: readonly string[],
  known: readonly string[],
  problems: Problems,
): void {
  const message = `Unknown ${what}. Known: ${known.length > 0 ? known.join(', ') : 'none'}.`;
  const named = names.filter((name) => NAME.test(name) && !containsSecret(name)).slice(0, UNKNOWN_NAMES_MAX_COUNT);
  for (const name of named) problems.misunderstood(name, message);
  if (named.length < names.length) problems.misunderstood(what === 'field' ? 'body' : 'query', message);
}

/**
 * Refuses the parameters of a route that takes none. Whoever sends one expects an effect, so it is not ignored.
 *
 * @example app.get('/api/v1/whoami', noParameters, handler)
 */
export const noParameters = createMiddleware<AppEnv>(async function noParametersMiddleware(c, next) {
  const problems = createProblems();
  refuseUnknown('parameter', [...new URL(c.req.url).searchParams.keys()], [], problems);
  return problems.any() ? failure(c, problems.failure()) : await next();
});

/** Reads the text of a parameter. Its error says what to do and never quotes the text. */
export type ParseParameter<T> = (text: string) => Result<T, string>;

/**
 * Reads a parameter that may be given once. The result is `otherwise` if it is not given, and if it is wrong, which is reported to
 * `problems`.
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

/** Reads a parameter that is one of a closed list. */
export const oneOf =
  <T extends string>(known: readonly T[]): ParseParameter<T> =>
  (text) => {
    const match = known.find((name) => name === text);
    return match === undefined ? err(`Use one of: ${known.join(', ')}.`) : ok(match);
  };

/** Reads a parameter of a certain form. */
export const matching =
  (isOfForm: (text: string) => boolean, advice: string): ParseParameter<string> =>
  (text) =>
    isOfForm(text) ? ok(text) : err(advice);

/** Reads the id of an event as it stands in the path: a UUID with its hyphens, in any case. `invalid_request` if it is none. */
export function parseEventId(text: string): Result<string, RequestFailure> {
  const id = text.toLowerCase();
  if (uuidOf(id) === id) return ok(id);
  const problems = createProblems();
  problems.misunderstood('id', 'Use the id of an event, as the trail or the header "X-Audit-Event-Id" gave it.');
  return err(problems.failure());
}

/** Reads how many rows a page may have, from 1 to `maxRows`. */
export const limitUpTo =
  (maxRows: number): ParseParameter<number> =>
  (text) => {
    const rows = /^\d{1,3}$/.test(text) ? Number(text) : 0;
    return rows >= 1 && rows <= maxRows ? ok(rows) : err(`Use a whole number from 1 to ${maxRows}.`);
  };

/** Reads a cursor as the `seq` at which the page goes on. */
export const cursor: ParseParameter<number> = (text) => {
  const seq = decodeCursor(text);
  return seq === null ? err('Use "next_cursor" of an earlier page as it was given.') : ok(seq);
};

/**
 * The cursor of a place in the trail, for the next page. It is a position and nothing else: it carries no authority and no filter,
 * so whoever has one is granted nothing.
 */
export const encodeCursor = (seq: number): string => btoa(`seq:${seq}`).replace(/=+$/, '');

/** The `seq` of a cursor; null for any text that `encodeCursor` did not make. */
export function decodeCursor(text: string): number | null {
  if (!/^[A-Za-z0-9]{6,32}$/.test(text)) return null;
  try {
    const seq = Number(/^seq:(\d{1,15})$/.exec(atob(text))?.[1] ?? NaN);
    return encodeCursor(seq) === text ? seq : null;
  } catch {
    return null;
  }
}
