import type { Context, ErrorHandler } from 'hono';
import type { Failure } from '../failures.ts';
import type { AppEnv } from './context.ts';
import { failureBody, toWireError } from './wire-errors.ts';
import type { Runtime } from '../kit/runtime.ts';
import type { Trace } from '../kit/trace.ts';

/** Answers with a success in PipeOps' envelope. */
export function success(c: Context<AppEnv>, message: string, data: unknown, status: 200 | 201 | 202 = 200): Response {
  return c.json({ success: true, message, data }, status);
}

/**
 * Makes the body of a success that is the answer to many requests, so that it is made once and sent without a copy for each.
 *
 * @param more what a list says about itself beside its data.
 */
export function successBody(message: string, data: unknown, more: ListNotes = {}): SuccessBody {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- an encoder never gives shared memory
  return new TextEncoder().encode(JSON.stringify({ success: true, message, data, ...more })) as SuccessBody;
}

/** What a list says about itself. */
interface ListNotes {
  /** Present only where the list is known in part: a token that it lacks may exist. */
  readonly partial?: true;
}

/** JSON in UTF-8. It must not be changed, since answers that are on their way share it. */
export type SuccessBody = Uint8Array<ArrayBuffer>;

/** Answers with a body of `successBody`. */
export function successOf(c: Context<AppEnv>, body: SuccessBody): Response {
  return c.body(body, 200, { 'Content-Type': 'application/json' });
}

/**
 * Answers with a page of a list, whose `next_cursor` is null on the last one.
 *
 * @param more what else the list says about its pages.
 * @param isPartial whether more may be found than the page shows although it is not full.
 * @param beside what the answer says beside its page.
 */
export function page(
  c: Context<AppEnv>,
  message: string,
  data: unknown,
  nextCursor: string | null,
  more: Readonly<Record<string, unknown>> = {},
  isPartial = false,
  beside: Readonly<Record<string, unknown>> = {},
): Response {
  const pagination = { next_cursor: nextCursor, ...more };
  return c.json({ success: true, message, data, pagination, ...(isPartial && { partial: true }), ...beside });
}

/** Answers with a failure in PipeOps' envelope. The event id is also a header, since PipeOps' own clients drop the body of a 5xx. */
export function failure(c: Context<AppEnv>, cause: Failure): Response {
  const context = c.get('context');
  const told = toldCause(cause, context.trace);
  const answer = toWireError(told);
  context.trace.reason = reasonOf(told);
  context.trace.denied = isDenial(told);
  const body = failureBody(answer, context.requestId, context.trace.eventId);
  return c.json(body, answer.status, { ...answer.headers });
}

/** A row that D1 cannot take before a migration is applied is no hiccup of D1. */
const toldCause = (cause: Failure, { isSchemaOutdated }: Trace): Failure =>
  cause.kind === 'audit_unavailable' && isSchemaOutdated ? { kind: 'not_ready', names: ['schema_outdated'] } : cause;

function reasonOf(cause: Failure): string {
  if (cause.kind === 'not_ready') return `${cause.kind}:${cause.names.join('+')}`;
  return 'reason' in cause ? `${cause.kind}:${cause.reason}` : cause.kind;
}

/** Whether a failure is about who asked: the log calls such a request denied. */
function isDenial(cause: Failure): boolean {
  const { kind } = cause;
  if (kind === 'token_not_found') return cause.reason === 'not_readable';
  return [
    'credentials_missing',
    'token_rejected',
    'signature_rejected',
    'cross_site',
    'session_ended',
    'sign_in_failed',
    'sign_in_refused',
    'no_role',
    'subject_blocked',
    'forbidden',
  ].includes(kind);
}

/**
 * Answers the other methods of a path with 405 and the methods that it takes.
 *
 * @example app.all('/healthz', methodNotAllowed('GET'))
 */
export const methodNotAllowed =
  (...allowed: readonly string[]) =>
  (c: Context<AppEnv>): Response =>
    failure(c, { kind: 'method_not_allowed', allowed });

/**
 * Answers a bug. The caller gets a fixed text; the log gets the error's name and stack, and never its message, which may quote a
 * secret.
 */
export const unexpected =
  (runtime: Runtime): ErrorHandler<AppEnv> =>
  (error, c) => {
    const frames = (error.stack ?? '').split('\n').filter((line) => line.trimStart().startsWith('at '));
    runtime.log({
      level: 'error',
      event: 'unexpected_error',
      request_id: c.get('context').requestId,
      name: error.name,
      stack: frames.slice(0, 8),
    });
    return failure(c, { kind: 'internal_error' });
  };
