import type { Context, ErrorHandler } from 'hono';
import type { Failure } from '../failures.ts';
import type { AppEnv } from './context.ts';
import { toWireError } from './wire-errors.ts';
import type { Runtime } from '../kit/runtime.ts';

/** A success in PipeOps' envelope. */
export function success(c: Context<AppEnv>, message: string, data: unknown, status: 200 | 201 | 202 = 200): Response {
  return c.json({ success: true, message, data }, status);
}

/**
 * The body of a success, for answers that are given many times: made once, and sent without a copy for each.
 *
 * @param more what a list says of itself, beside its data.
 */
export function successBody(message: string, data: unknown, more: ListNotes = {}): SuccessBody {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what it gives is never shared memory
  return new TextEncoder().encode(JSON.stringify({ success: true, message, data, ...more })) as SuccessBody;
}

/** What a list says of itself. */
interface ListNotes {
  /** Only where a part is all that is known: what it lacks may exist. */
  readonly partial?: true;
}

/** JSON in UTF-8. Not to be changed: answers that are on their way hold it. */
export type SuccessBody = Uint8Array<ArrayBuffer>;

/** A success whose body is there. */
export function successOf(c: Context<AppEnv>, body: SuccessBody): Response {
  return c.body(body, 200, { 'Content-Type': 'application/json' });
}

/**
 * A page of a list: `next_cursor` is null on the last one.
 *
 * @param more what else a list says about its pages.
 */
export function page(
  c: Context<AppEnv>,
  message: string,
  data: unknown,
  nextCursor: string | null,
  more: Readonly<Record<string, unknown>> = {},
): Response {
  return c.json({ success: true, message, data, pagination: { next_cursor: nextCursor, ...more } });
}

/**
 * A failure in PipeOps' envelope. `status: "error"` is a string, since PipeOps' own clients read no other type there.
 * The event id is also a header: those clients drop the body of a 5xx.
 */
export function failure(c: Context<AppEnv>, cause: Failure): Response {
  const context = c.get('context');
  const { status, code, message, errors, headers } = toWireError(cause);
  context.trace.reason = 'reason' in cause ? `${cause.kind}:${cause.reason}` : cause.kind;
  context.trace.denied = isDenial(cause);
  return c.json(
    {
      success: false,
      status: 'error',
      message,
      code,
      request_id: context.requestId,
      ...(context.trace.eventId !== null && { event_id: context.trace.eventId }),
      ...(errors !== undefined && { errors }),
    },
    status,
    headers === undefined ? {} : { ...headers },
  );
}

function isDenial(cause: Failure): boolean {
  const { kind } = cause;
  if (kind === 'token_not_found') return cause.reason === 'not_readable';
  return [
    'credentials_missing',
    'token_rejected',
    'signature_rejected',
    'cross_site',
    'no_role',
    'subject_blocked',
    'forbidden',
  ].includes(kind);
}

/**
 * Answers every other method of a path with 405 and what it does take.
 *
 * @example app.all('/healthz', methodNotAllowed('GET'))
 */
export const methodNotAllowed =
  (...allowed: readonly string[]) =>
  (c: Context<AppEnv>): Response =>
    failure(c, { kind: 'method_not_allowed', allowed });

/** A bug: the caller gets a fixed answer, and the log the error's name and stack, never its message, which may quote. */
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
