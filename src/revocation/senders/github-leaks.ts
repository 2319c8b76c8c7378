import type { RequestFailure } from '../../failures.ts';
import { ok, type Result } from '../../kit/result.ts';
import { sha256Hex } from '../../kit/digest.ts';
import type { Leak, LeakReport } from './sender.ts';
import { itemsIn, readLeaks } from './leaks.ts';
import { parsePayload } from './payload.ts';

/** Reads `[{"token", "type", "url"?, "source"?}]`. Fails with `invalid_json`. */
export function readReport(body: Uint8Array): Result<LeakReport, RequestFailure> {
  // What is not UTF-8, say in the place of a file, is replaced: the secret beside it is still one.
  const payload = parsePayload(new TextDecoder('utf-8', { fatal: false, ignoreBOM: true }).decode(body));
  return payload.ok ? ok(readLeaks(itemsIn(payload.value))) : payload;
}

/** What GitHub is told of one secret. */
interface Feedback {
  readonly token_hash: string;
  readonly token_type: string | null;
  readonly label: 'true_positive';
}

/** The secrets that are ours, each once for each type, by the SHA-256 of the text that GitHub sent. Of the others it learns nothing. */
export async function feedbackOn(leaks: readonly Leak[], matched: ReadonlySet<number>): Promise<readonly Feedback[]> {
  const ours = leaks.filter(({ position }) => matched.has(position));
  const feedback = await Promise.all(
    ours.map(async ({ text, sha256, type }): Promise<Feedback> => {
      const hash = text === null ? (sha256 ?? '') : await sha256Hex(text);
      return { token_hash: hash, token_type: type, label: 'true_positive' };
    }),
  );
  const distinct = new Map(feedback.map((told) => [`${told.token_hash} ${told.token_type}`, told]));
  return [...distinct.values()];
}
