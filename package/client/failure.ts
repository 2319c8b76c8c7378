import { ERROR_CODES } from '../../src/vocabulary.ts';
import type { ErrorCode } from './vocabulary.ts';

/** A failure that the service told. `code` says which; docs/errors.md has a section for each. */
export type ServiceFailure = { readonly [Code in ErrorCode]: Answered<Code> }[ErrorCode];

/** What the answer of a failure says. */
export interface Answered<Code extends string> {
  readonly code: Code;
  /** What to do next, in a sentence for people. */
  readonly message: string;
  /** The HTTP status. */
  readonly status: number;
  readonly requestId: string | null;
  /** The event of the trail that is about this request. */
  readonly eventId: string | null;
  /** The seconds after which the service may be asked again. */
  readonly retryAfterSeconds: number | null;
  /** All problems of the request, by field or parameter. */
  readonly errors: Readonly<Record<string, readonly string[]>>;
  /** Where the service explains the code, as a path of its own. */
  readonly help: string | null;
}

/** A failure that no answer of the service told. */
export type ClientFailure =
  /** A newer service answered with a code that this client does not know. */
  | (Answered<'client_unknown_code'> & { readonly serviceCode: string })
  /** Nobody answers, or the connection broke. `cause` is the code of the platform, such as `ECONNREFUSED`. */
  | { readonly code: 'client_unreachable'; readonly message: string; readonly cause: string | null }
  | { readonly code: 'client_deadline'; readonly message: string }
  /** The signal of the caller ended the call. */
  | { readonly code: 'client_aborted'; readonly message: string }
  /** The source of JWTs failed. The `cause` of the error is what it threw. */
  | { readonly code: 'client_no_jwt'; readonly message: string }
  /** What answered is not Countersign: a redirect, a login page, a proxy. */
  | {
      readonly code: 'client_unexpected_answer';
      readonly message: string;
      readonly status: number;
      readonly contentType: string | null;
    }
  /** An export broke off. The events that it gave are right, and not all. */
  | { readonly code: 'client_export_cut'; readonly message: string; readonly events: number };

export type Failure = ServiceFailure | ClientFailure;

/** What a call throws. `failure` is a union that a `switch` over its `code` tells apart. */
export class CountersignError extends Error {
  override readonly name = 'CountersignError';
  readonly failure: Failure;
  /** The key of a create. A repeat with it mints nothing a second time. */
  readonly idempotencyKey: string | null;

  constructor(failure: Failure, options: { readonly cause?: unknown; readonly idempotencyKey?: string | null } = {}) {
    super(failure.message, 'cause' in options ? { cause: options.cause } : undefined);
    this.failure = failure;
    this.idempotencyKey = options.idempotencyKey ?? null;
  }

  get code(): Failure['code'] {
    return this.failure.code;
  }
}

/** The part of an answer that a failure is read from. */
interface FailedAnswer {
  readonly status: number;
  readonly headers: { get(name: string): string | null };
}

/**
 * Reads a failure from an answer.
 *
 * @param body its JSON; undefined if it has none.
 */
export function failureOf(origin: string, { status, headers }: FailedAnswer, body: unknown): Failure {
  if (!isRecord(body) || body['success'] !== false || typeof body['code'] !== 'string') {
    const contentType = headers.get('Content-Type');
    const what = `${status}, ${contentType ?? 'no type'}`;
    const message = `${origin} does not answer as Countersign does (${what}).`;
    return { code: 'client_unexpected_answer', message, status, contentType };
  }
  const { code, message } = body;
  const answered = {
    message: typeof message === 'string' ? message : code,
    status,
    requestId: textOrNull(body['request_id']) ?? headers.get('X-Request-Id'),
    eventId: textOrNull(body['event_id']) ?? headers.get('X-Audit-Event-Id'),
    retryAfterSeconds: secondsOf(headers.get('Retry-After')),
    errors: problemsOf(body['errors']),
    help: textOrNull(body['help']),
  };
  if (!isKnown(code)) return { ...answered, code: 'client_unknown_code', serviceCode: code };
  // To the compiler an object of a union is no union of objects.
  const known: Answered<ErrorCode> = { ...answered, code };
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- each member differs in its code alone
  return known as ServiceFailure;
}

const isKnown = (code: string): code is ErrorCode => ERROR_CODES.some((known) => known === code);

/** The service writes whole seconds (RFC 9110 §10.2.3 also allows a date). */
const secondsOf = (header: string | null): number | null =>
  header !== null && /^\d{1,6}$/.test(header) ? Number(header) : null;

const textOrNull = (value: unknown): string | null => (typeof value === 'string' ? value : null);

const problemsOf = (errors: unknown): Record<string, string[]> =>
  isRecord(errors)
    ? Object.fromEntries(
        Object.entries(errors).map(([field, problems]) => [
          field,
          Array.isArray(problems) ? problems.map(String) : [String(problems)],
        ]),
      )
    : {};

export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
