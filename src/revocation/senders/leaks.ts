import { WEBHOOK_TOKENS_MAX_COUNT } from '../../config/limits.ts';
import type { RequestFailure } from '../../failures.ts';
import { isObject, parseJson } from '../../kit/json.ts';
import { err, ok, type Result } from '../../kit/result.ts';
import type { Leak, LeakReport, RejectedItems } from './sender.ts';
import type { ItemRejection } from '../../vocabulary.ts';

// Whatever a known sender takes for a leak may be one, and a token that lives on is worse than a report that is read generously.
// A secret is matched by its fingerprint, so nothing is revoked that was not named.

/** Reads items one by one: a bad item keeps no other from being acted on. */
export function readLeaks(items: readonly unknown[]): LeakReport {
  const read = items.slice(0, WEBHOOK_TOKENS_MAX_COUNT).map(readLeak);
  const beyond = items.length - read.length;
  const rejections = read.flatMap((item) => (item.ok ? [] : [item.error]));
  return {
    event: 'token.leaked',
    leaks: read.flatMap((item) => (item.ok ? [item.value] : [])),
    rejected: { ...countsOf(rejections), ...(beyond > 0 && { beyond_limit: beyond }) },
  };
}

/**
 * The items of what should be `{"token" | "sha256", …}` or `{"tokens": [item, …]}`. A bare list, one item in the place of a list,
 * and an item beside a list are read as well.
 */
export function itemsIn(data: unknown): readonly unknown[] {
  if (Array.isArray(data)) return data;
  if (!isObject(data)) return [data];
  const tokens = data['tokens'] ?? null;
  if (tokens === null) return [data];
  const listed: readonly unknown[] = Array.isArray(tokens) ? tokens : [tokens];
  return namesSecret(data) ? [data, ...listed] : listed;
}

function readLeak(item: unknown, position: number): Result<Leak, ItemRejection> {
  if (typeof item === 'string') return readLeak({ token: item }, position);
  if (!isObject(item)) return err('not_an_object');
  if (!namesSecret(item)) return err('no_secret');
  const text = textIn(item['token']);
  const sha256 = sha256In(item['sha256']);
  if (text === null && sha256 === null) return err('unusable_secret');
  const location = textIn(item['url']) ?? textIn(item['location']);
  return ok({ position, text, sha256, location, type: textIn(item['type']) });
}

/** Whether anything stands where a secret should. */
const namesSecret = ({ token, sha256 }: Record<string, unknown>): boolean =>
  [token, sha256].some((value) => (typeof value === 'string' ? bareOf(value) !== '' : (value ?? null) !== null));

/** Null for what is no text, or empty. */
const textIn = (value: unknown): string | null => (typeof value === 'string' && bareOf(value) !== '' ? value : null);

const sha256In = (value: unknown): string | null =>
  typeof value === 'string' && /^[0-9a-f]{64}$/i.test(value) ? value.toLowerCase() : null;

const countsOf = (rejections: readonly ItemRejection[]): RejectedItems =>
  Object.fromEntries([...new Set(rejections)].map((reason) => [reason, rejections.filter((r) => r === reason).length]));

const BYTE_ORDER_MARK = '\uFEFF';

/**
 * The text of a body, or null if its bytes are not UTF-8. The text encodes to the very same bytes, a byte order mark included,
 * since these were signed.
 */
export function textOf(body: Uint8Array): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(body);
  } catch {
    return null;
  }
}

/** The JSON of a body. A byte order mark before it is ignored, as RFC 8259 §8.1 allows. Fails with `invalid_json`. */
export function parsePayload(text: string): Result<unknown, RequestFailure> {
  const value = parseJson(text.startsWith(BYTE_ORDER_MARK) ? text.slice(1) : text);
  return value === undefined ? err({ kind: 'invalid_json' }) : ok(value);
}

const SECRET = /sat_[A-Za-z0-9_-]+/;

/**
 * What the secret may be in a text that a sender took for one, since scanners report a line, a value with its quotes, or the
 * secret itself. There are at most four, the likeliest last: the text; the text without what surrounds it; what is right of its
 * last `=` or `:`; its first run of `sat_…`. Each is looked for by its fingerprint, so none finds a token that it is not.
 *
 * The time is linear in the length of the text, which the sender chooses.
 */
export function candidatesOf(text: string): readonly string[] {
  const bare = bareOf(text);
  const run = SECRET.exec(text)?.[0] ?? '';
  return [...new Set([text, bare, bareOf(valueIn(bare)), run])].filter((candidate) => candidate !== '');
}

/** The candidate whose beginning PipeOps may show as the prefix of a token. */
export const likeliestOf = (text: string): string => SECRET.exec(text)?.[0] ?? bareOf(text);

/** What encloses a value in code, in a configuration file or in JSON, or ends its line there. */
const isAround = (character: string): boolean => /[\s"'`,;]/.test(character);

/** The text without what surrounds it. A regular expression would look at a run of spaces again and again; two indices do not. */
function bareOf(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isAround(text.charAt(start))) start += 1;
  while (end > start && isAround(text.charAt(end - 1))) end -= 1;
  return text.slice(start, end);
}

/** What is right of the last `=` or `:` that has a value, or empty text. The padding of base64 has none. */
function valueIn(bare: string): string {
  let end = bare.length;
  while (end > 0 && bare.charAt(end - 1) === '=') end -= 1;
  const separator = Math.max(bare.lastIndexOf('=', end - 1), bare.lastIndexOf(':', end - 1));
  return end === 0 || separator < 0 ? '' : bare.slice(separator + 1);
}
