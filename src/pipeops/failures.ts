import { RETRY_AFTER_MAX_SECONDS } from '../config/limits.ts';
import type { UpstreamFailure } from '../failures.ts';
import { isObject } from '../kit/json.ts';
import { discardBody, readJson } from './wire.ts';

/** The fields that PipeOps may complain about, and the names that our callers know them by. */
const FIELD_NAMES: ReadonlyMap<string, string> = new Map([
  ['name', 'name'],
  ['description', 'description'],
  ['metadata', 'description'],
  ['metadata.description', 'description'],
  ['scopes', 'scopes'],
  ['permissions', 'scopes'],
  ['expires_at', 'expires_at'],
  ['is_active', 'is_active'],
  ['preset', 'preset'],
  ['workspace_uuid', 'workspace_uuid'],
]);

const complainedFields = (body: unknown): readonly string[] => {
  const errors = isObject(body) ? body['errors'] : null;
  if (!isObject(errors)) return [];
  const names = Object.keys(errors).flatMap((key) => FIELD_NAMES.get(key) ?? []);
  return [...new Set(names)];
};

/** Whether PipeOps refuses the credential. It has two ways to say so: 419 means that the admin's session has ended. */
export const isCredentialRefusal = (status: number): boolean => status === 401 || status === 419;

const isJsonAnswer = (response: Response): boolean =>
  /^application\/(?:[a-z.]+\+)?json\b/i.test(response.headers.get('Content-Type') ?? '');

/**
 * Says what an answer means that is not a 2xx. Of its body only the names of fields that we sent are used, and only where a field can
 * be at fault. Its words go nowhere.
 */
export const failureOf = async (response: Response, signal: AbortSignal, nowMs: number): Promise<UpstreamFailure> => {
  const { status } = response;
  const isRejection =
    status >= 400 && status < 500 && ![403, 404, 408, 429].includes(status) && !isCredentialRefusal(status);
  if (isRejection) {
    // The status alone says that nothing was done, so an unreadable body costs only the names.
    const body = await readJson(response, signal);
    return { kind: 'upstream_rejected', status, fields: body.ok ? complainedFields(body.value) : [] };
  }
  discardBody(response);
  if (isCredentialRefusal(status)) return { kind: 'upstream_credential_rejected', status };
  if (status === 403) return { kind: 'upstream_forbidden', status };
  // A gateway answers 404 too, while PipeOps is not behind it. If it were taken for PipeOps' own 404, a live token would look revoked.
  if (status === 404 && isJsonAnswer(response)) return { kind: 'upstream_not_found', status };
  if (status === 408 || status >= 500) return { kind: 'upstream_error', status };
  if (status === 429) {
    const seconds = retryAfterSeconds(response.headers.get('Retry-After'), nowMs);
    return { kind: 'upstream_rate_limited', status, retryAfterSeconds: seconds };
  }
  // A redirect would carry the credential elsewhere; it is no answer, and neither is a page.
  return { kind: 'upstream_invalid_response', status };
};

/** The preferred form of an HTTP date (RFC 9110 §5.6.7). `Date.parse` alone takes "-5" for a date. */
const HTTP_DATE = /^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/;

/**
 * Reads `Retry-After` (RFC 9110 §10.2.3): seconds from now, at most an hour, which is PipeOps' longest window. Null: the header is
 * absent or means nothing.
 */
export const retryAfterSeconds = (header: string | null, nowMs: number): number | null => {
  const text = header?.trim() ?? '';
  if (/^\d+$/.test(text)) return Math.min(Number(text), RETRY_AFTER_MAX_SECONDS);
  const atMs = HTTP_DATE.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(atMs)) return null;
  return Math.min(Math.max(0, Math.ceil((atMs - nowMs) / 1000)), RETRY_AFTER_MAX_SECONDS);
};

const OUTCOME_UNKNOWN: Readonly<Record<UpstreamFailure['kind'], boolean>> = {
  upstream_timeout: true,
  upstream_unreachable: true,
  upstream_error: true,
  upstream_invalid_response: true,
  upstream_credential_rejected: false,
  upstream_forbidden: false,
  upstream_rate_limited: false,
  upstream_not_found: false,
  upstream_rejected: false,
  // It has taken effect, and not as it should.
  upstream_disobeyed: false,
};

/** Whether a mutation that failed in this way may have taken effect all the same. */
export const isOutcomeUnknown = (failure: UpstreamFailure): boolean => OUTCOME_UNKNOWN[failure.kind];
