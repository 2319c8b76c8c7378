import { REQUEST_BODY_MAX_BYTES, REQUEST_JSON_MAX_DEPTH } from '../config/limits.ts';
import type { RequestFailure } from '../failures.ts';
import { decodeUtf8, readBody } from '../kit/bytes.ts';
import { isDeeperThan, isObject } from '../kit/json.ts';
import { err, ok, type Result } from '../kit/result.ts';

const INVALID_JSON = err({ kind: 'invalid_json' } as const);

/**
 * Reads a request's body as one JSON object.
 *
 * Fails with `unsupported_media_type` for anything but plain `application/json` in UTF-8, `body_too_large` beyond `maxBytes`, and `invalid_json` for an empty or broken body, bytes that are not UTF-8, JSON that is not
 * an object, and nesting beyond `REQUEST_JSON_MAX_DEPTH`.
 *
 * A key such as `__proto__` is an own property of the result like any other key.
 */
export async function readJsonBody(
  request: Request,
  maxBytes = REQUEST_BODY_MAX_BYTES,
): Promise<Result<Record<string, unknown>, RequestFailure>> {
  const tooLarge = err({ kind: 'body_too_large', maxBytes } as const);
  if (!isJson(request.headers)) return err({ kind: 'unsupported_media_type' });
  // This only saves the reading. The header may lie, so the bytes are counted as well.
  if (Number(request.headers.get('Content-Length')) > maxBytes) return tooLarge;
  if (request.body === null) return INVALID_JSON;

  try {
    const chunks = await readBody(request.body, maxBytes);
    if (chunks === null) return tooLarge;
    const value: unknown = JSON.parse(decodeUtf8(chunks));
    return isObject(value) && !isDeeperThan(REQUEST_JSON_MAX_DEPTH, value) ? ok(value) : INVALID_JSON;
  } catch {
    // The body is not JSON, or its sender broke off.
    return INVALID_JSON;
  }
}

/** As `readJsonBody`, and an empty object where no body was sent. */
export async function readOptionalJsonBody(request: Request): Promise<ReturnType<typeof readJsonBody>> {
  const isAbsent = request.body === null && !request.headers.has('Content-Type');
  return isAbsent ? ok({}) : await readJsonBody(request);
}

/**
 * Whether a request says that its body is JSON in UTF-8 (RFC 8259 §8.1) and not compressed: `application/json` with any parameters
 * except another `charset`.
 */
function isJson(headers: Headers): boolean {
  const [essence = '', ...parameters] = (headers.get('Content-Type') ?? '').split(';').map((part) => part.trim());
  // A coding that is not undone here makes the body another type (RFC 9110 §8.4).
  const coding = headers.get('Content-Encoding') ?? 'identity';
  return (
    essence.toLowerCase() === 'application/json' &&
    parameters.every((parameter) => !/^charset=/i.test(parameter) || /^charset=("?)utf-8\1$/i.test(parameter)) &&
    coding.toLowerCase() === 'identity'
  );
}
