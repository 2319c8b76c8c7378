import * as z from 'zod';
import { WEBHOOK_TOKENS_MAX_COUNT } from '../../config/limits.ts';
import type { RequestFailure } from '../../failures.ts';
import { err, ok, type Result } from '../../result.ts';
import { sha256Hex } from '../../text/digest.ts';
import type { Leak, Order } from '../adapter.ts';
import { list, optional, readFields, text } from './fields.ts';
import { parsePayload, textOf } from './payload.ts';

/** GitHub adds fields now and then, and a path in a repository may be long: neither must keep a token alive. */
const match = z.looseObject(
  {
    token: text().min(1, 'Use text that is not empty.'),
    type: text(),
    url: optional(text()),
    source: optional(text()),
  },
  'Use an object.',
);
const matches = list(match);

/** Reads `[{"token", "type", "url"?, "source"?}]`. Errors: `invalid_json`, `invalid_request`, `too_many_tokens`. */
export function readLeaks(body: Uint8Array): Result<Order, RequestFailure> {
  const json = textOf(body);
  if (json === null) return err({ kind: 'invalid_json' });
  const payload = parsePayload(json);
  if (!payload.ok) return payload;
  if (Array.isArray(payload.value) && payload.value.length > WEBHOOK_TOKENS_MAX_COUNT) {
    return err({ kind: 'too_many_tokens', maxCount: WEBHOOK_TOKENS_MAX_COUNT });
  }
  const read = readFields(matches, payload.value);
  if (!read.ok) return read;
  const leaks = read.value.map(({ token, type, url }): Leak => ({
    secret: token,
    type,
    location: url === '' ? null : url,
  }));
  return ok({ event: 'token.leaked', leaks });
}

/** What GitHub is told of one secret. */
interface Feedback {
  readonly token_hash: string;
  readonly token_type: string | null;
  readonly label: 'true_positive';
}

/** The secrets that are ours, each once for each type, by their SHA-256. Of the others GitHub learns nothing. */
export async function feedbackOn(leaks: readonly Leak[], matched: ReadonlySet<number>): Promise<readonly Feedback[]> {
  const ours = leaks.filter((_leak, position) => matched.has(position));
  const feedback = await Promise.all(
    ours.map(async (leak): Promise<Feedback> => {
      const hash = 'secret' in leak ? await sha256Hex(leak.secret) : leak.sha256;
      return { token_hash: hash, token_type: leak.type, label: 'true_positive' };
    }),
  );
  const distinct = new Map(feedback.map((told) => [`${told.token_hash} ${told.token_type}`, told]));
  return [...distinct.values()];
}
