import * as z from 'zod';
import { decodeBase64 } from '../kit/base64.ts';
import { IDEMPOTENCY_SECRET_MIN_BYTES } from './limits.ts';

const PROBLEM = `is not base64 of ${IDEMPOTENCY_SECRET_MIN_BYTES} bytes or more`;

/** What the hashes of callers' idempotency keys, and the keys that replays are sealed under, are derived from. */
export const idempotencySecret = z.string().transform((text, context): Uint8Array => {
  const bytes = decodeBase64(text);
  if (bytes !== null && bytes.byteLength >= IDEMPOTENCY_SECRET_MIN_BYTES) return bytes;
  context.addIssue({ code: 'custom', message: PROBLEM });
  return z.NEVER;
});
