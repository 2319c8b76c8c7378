import { WEBHOOK_TOKENS_MAX_COUNT } from '../../config/limits.ts';
import { isObject } from '../../kit/json.ts';
import { err, ok, type Result } from '../../kit/result.ts';
import type { ItemRejection } from '../../vocabulary.ts';
import type { Leak, LeakReport, RejectedItems } from './sender.ts';
import { bareOf } from './candidates.ts';

// Whatever a sender that is known takes for a leak may be one, and a token that lives on is worse than a report that is
// read generously: a secret is matched by its fingerprint, so that nothing is revoked that was not named.

/** Reads items one by one: what is wrong with one of them keeps none of the others from being acted on. */
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
 * The items of what should be `{"token" | "sha256", …}` or `{"tokens": [item, …]}`: a list by itself, one item in place of a
 * list, and one beside a list are read as well.
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

/** Null: it is no text, or holds nothing. */
const textIn = (value: unknown): string | null => (typeof value === 'string' && bareOf(value) !== '' ? value : null);

const sha256In = (value: unknown): string | null =>
  typeof value === 'string' && /^[0-9a-f]{64}$/i.test(value) ? value.toLowerCase() : null;

const countsOf = (rejections: readonly ItemRejection[]): RejectedItems =>
  Object.fromEntries([...new Set(rejections)].map((reason) => [reason, rejections.filter((r) => r === reason).length]));
