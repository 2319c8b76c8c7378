import type { RequestFailure } from '../../failures.ts';
import { parseJson } from '../../kit/json.ts';
import { err, ok, type Result } from '../../kit/result.ts';

const BYTE_ORDER_MARK = '\uFEFF';

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

/**
 * What a body says, to whatever depth: only fields that are known are looked at. A byte order mark before it is passed over, as
 * RFC 8259 §8.1 allows. Fails with `invalid_json`.
 */
export function parsePayload(text: string): Result<unknown, RequestFailure> {
  const value = parseJson(text.startsWith(BYTE_ORDER_MARK) ? text.slice(1) : text);
  return value === undefined ? err({ kind: 'invalid_json' }) : ok(value);
}
