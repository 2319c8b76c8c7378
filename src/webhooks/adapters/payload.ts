import { WEBHOOK_JSON_MAX_DEPTH } from '../../config/limits.ts';
import type { RequestFailure } from '../../failures.ts';
import { isDeeperThan, parseJson } from '../../json.ts';
import { err, ok, type Result } from '../../result.ts';

/**
 * The text of a body; null: its bytes are not UTF-8. Encoded again it gives the very same bytes, a byte order mark
 * included, since they are what was signed.
 */
export function textOf(body: Uint8Array): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(body);
  } catch {
    return null;
  }
}

/** What a body says. Fails with `invalid_json` for no JSON, and for nesting beyond WEBHOOK_JSON_MAX_DEPTH. */
export function parsePayload(text: string): Result<unknown, RequestFailure> {
  const value = parseJson(text);
  if (value === undefined || isDeeperThan(WEBHOOK_JSON_MAX_DEPTH, value)) return err({ kind: 'invalid_json' });
  return ok(value);
}
