import { collect } from '../../kit/bounded-body.ts';
import { WEBHOOK_BODY_MAX_BYTES } from '../../config/limits.ts';
import type { RequestFailure } from '../../failures.ts';
import { err, ok, type Result } from '../../kit/result.ts';

/**
 * The bytes of a delivery as they came: that is what was signed.
 *
 * Fails with `body_too_large`, and with `invalid_json` where the sender broke off.
 */
export async function readRawBody(request: Request): Promise<Result<Uint8Array, RequestFailure>> {
  const tooLarge = err({ kind: 'body_too_large', maxBytes: WEBHOOK_BODY_MAX_BYTES } as const);
  // Only spares the reading: the header is the sender's word, so the bytes are counted as well.
  if (Number(request.headers.get('Content-Length')) > WEBHOOK_BODY_MAX_BYTES) return tooLarge;
  if (request.body === null) return ok(new Uint8Array());
  const reader: ReadableStreamDefaultReader<Uint8Array> = request.body.getReader();
  try {
    const chunks = await collect(reader, WEBHOOK_BODY_MAX_BYTES);
    if (chunks !== null) return ok(new Uint8Array(await new Blob([...chunks]).arrayBuffer()));
  } catch {
    return err({ kind: 'invalid_json' });
  }
  reader.cancel().catch(() => {});
  return tooLarge;
}
