import type { Result } from '../kit/result.ts';
import type { UpstreamFailure } from '../failures.ts';
import type { Runtime } from '../kit/runtime.ts';
import type { RequestContext, Trace } from '../kit/trace.ts';
import type { CallerCalls } from '../reads/caller-calls.ts';
import type { ListState } from '../vocabulary.ts';
import type { ReservedCalls } from './quota-calls.ts';
import type { Purpose } from './quota-windows.ts';

/** A token as PipeOps tells of it, in whatever form it answered. Times are RFC 3339 with milliseconds, UTC. */
export interface UpstreamToken {
  readonly id: string;
  /** The name as PipeOps has it: with our marker, if we sent one. */
  readonly name: string;
  readonly description: string | null;
  readonly scopes: readonly string[];
  readonly tokenPrefix: string | null;
  readonly workspaceId: string | null;
  readonly isRevoked: boolean;
  readonly isExpired: boolean;
  /** Null: PipeOps does not say. */
  readonly isActive: boolean | null;
  readonly expiresAt: string | null;
  readonly createdAt: string | null;
  readonly updatedAt: string | null;
  readonly lastUsedAt: string | null;
}

/** A token that was created. Its `secret` leaves the service once, in the answer to its create, and is stored nowhere. */
export interface MintedToken extends UpstreamToken {
  readonly secret: string;
  /** The fields that the answer left out (absent, null or ""). That does not say that the token has none: only a get can say so. */
  readonly leftOut: ReadonlySet<'scopes' | 'expires_at' | 'workspace_id'>;
}

export interface TokenList {
  readonly tokens: readonly UpstreamToken[];
  readonly total: number;
  /** Whether it has all tokens of the workspace. Where it has not, absence proves nothing. */
  readonly complete: boolean;
  /** Why it is not complete, if it is not. */
  readonly state: TokenListState;
  /** How many pages were asked for. A token may slip through between two pages: see `isProofOfAbsence`. */
  readonly pages: number;
}

/** What a list that PipeOps answered is good for. A workspace whose list it answers with 404 is `unavailable`. */
export type TokenListState = Exclude<ListState, 'unavailable'>;

/** The create that PipeOps is asked for. */
export interface CreateCommand {
  readonly workspaceUuid: string;
  /** With the marker. */
  readonly name: string;
  readonly description: string | null;
  readonly scopes: readonly string[];
  /** RFC 3339. */
  readonly expiresAt: string | null;
}

/** The update that PipeOps is asked for. What is absent stays as it is. */
export interface UpdateCommand {
  readonly name?: string;
  readonly description?: string;
  readonly scopes?: readonly string[];
  readonly isActive?: boolean;
}

export interface TokenRef {
  readonly workspaceUuid: string;
  readonly tokenId: string;
}

/** What accompanies one operation's calls to PipeOps. */
export interface Call {
  /** The id of the audit event. It is sent as `X-Request-Id`, which links PipeOps' log to our trail. */
  readonly eventId: string;
  /** W3C trace context to pass on. */
  readonly traceparent: string | null;
  /** Aborts when the operation's budget for PipeOps is spent. */
  readonly signal: AbortSignal;
  /** Default: by the request. A list or get is `read`; a revoke, and an update that only suspends, are `revocation`; the rest is `change`. */
  readonly purpose?: Purpose;
  /** Whoever sends this sends it again later, after pauses of its own, so it is not retried at once. */
  readonly isRetriedLater?: boolean;
  /** The calls that are reserved for it already. Without them each call is reserved by itself. */
  readonly reserved?: ReservedCalls;
  /** Of a read: the calls that its caller may cause. Each of its calls is one of them. */
  readonly calls?: CallerCalls;
  /** Where requests and the time they take are counted, for the log line. */
  readonly trace: Trace;
}

/** Makes what accompanies the calls of one step of an operation: they share one deadline, `timeoutMs` from now. */
export const callWithin = (
  timeoutMs: number,
  runtime: Pick<Runtime, 'timeout'>,
  { traceparent, trace }: Pick<RequestContext, 'traceparent' | 'trace'>,
  eventId: string,
  options: Pick<Call, 'purpose' | 'isRetriedLater' | 'reserved' | 'calls'> = {},
): Call => ({ eventId, traceparent, trace, signal: runtime.timeout(timeoutMs), ...options });

export interface Answered<T> {
  readonly status: number;
  readonly data: T;
}

export type Upstream<T> = Promise<Result<Answered<T>, UpstreamFailure>>;

/** PipeOps, as this service uses it. No method throws for anything that PipeOps or the network does. */
export interface PipeOps {
  create(command: CreateCommand, call: Call): Upstream<MintedToken>;
  list(workspaceUuid: string, call: Call): Upstream<TokenList>;
  /** Asks for the first page of a list, to find out whether PipeOps answers at all. What it shows is not a list. */
  probe(workspaceUuid: string, call: Call): Upstream<unknown>;
  get(ref: TokenRef, call: Call): Upstream<UpstreamToken>;
  update(ref: TokenRef, command: UpdateCommand, call: Call): Upstream<UpstreamToken>;
  /**
   * Only a 2xx is success. A 404 fails with `upstream_not_found`: it may mean the token or its workspace, or come of an earlier try
   * whose answer was lost.
   */
  revoke(ref: TokenRef, call: Call): Upstream<'revoked'>;
}
