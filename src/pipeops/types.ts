import type { Result } from '../kit/result.ts';
import type { UpstreamFailure } from '../failures.ts';
import type { Trace } from '../kit/trace.ts';
import type { CallerCalls } from '../reads/caller-calls.ts';
import type { ListState } from '../vocabulary.ts';
import type { ReservedCalls } from './quota-calls.ts';
import type { Purpose } from './quota-windows.ts';

/** A token as PipeOps tells it, whatever form the answer had. Times are RFC 3339 with milliseconds, UTC. */
export interface UpstreamToken {
  readonly id: string;
  /** As PipeOps holds it: with our marker, if we sent one. */
  readonly name: string;
  readonly description: string | null;
  readonly scopes: readonly string[];
  readonly tokenPrefix: string | null;
  readonly workspaceId: string | null;
  readonly isRevoked: boolean;
  readonly isExpired: boolean;
  /** Null where PipeOps does not say. */
  readonly isActive: boolean | null;
  readonly expiresAt: string | null;
  readonly createdAt: string | null;
  readonly updatedAt: string | null;
  readonly lastUsedAt: string | null;
}

/** A created token. `secret` leaves the service once, in the answer to its create, and is stored nowhere. */
export interface MintedToken extends UpstreamToken {
  readonly secret: string;
  /** What the answer left out (absent, null or ""): that says nothing, not that there is none. Only a get can say none. */
  readonly leftOut: ReadonlySet<'scopes' | 'expires_at' | 'workspace_id'>;
}

export interface TokenList {
  readonly tokens: readonly UpstreamToken[];
  readonly total: number;
  /** Whether all of the workspace's tokens are in it. Where not, absence proves nothing. */
  readonly complete: boolean;
  /** Why it is not complete, where it is not. */
  readonly state: TokenListState;
  /** How many pages were asked for. Between two pages a token may slip through: see `isProofOfAbsence`. */
  readonly pages: number;
}

/** What a list that was answered is good for; a workspace whose list is answered 404 is `unavailable`. */
export type TokenListState = Exclude<ListState, 'unavailable'>;

/** The create that PipeOps is asked for (the form marked *send* in its wire notes). */
export interface CreateCommand {
  readonly workspaceUuid: string;
  /** With the marker. */
  readonly name: string;
  readonly description: string | null;
  readonly scopes: readonly string[];
  /** RFC 3339. */
  readonly expiresAt: string | null;
}

/** Absent means unchanged. */
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
  /** The audit event id; sent as `X-Request-Id`, which is what links PipeOps' log to our trail. */
  readonly eventId: string;
  /** W3C trace context to pass on. */
  readonly traceparent: string | null;
  /** Aborts when the operation's budget for PipeOps is spent. */
  readonly signal: AbortSignal;
  /** Default: that of the request itself: a list or get is a read; a revoke, and an update that suspends and does nothing else, are revocation. */
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

export interface Answered<T> {
  readonly status: number;
  readonly data: T;
}

export type Upstream<T> = Promise<Result<Answered<T>, UpstreamFailure>>;

/** PipeOps, as this service uses it. No method throws for anything that PipeOps or the network does. */
export interface PipeOps {
  create(command: CreateCommand, call: Call): Upstream<MintedToken>;
  list(workspaceUuid: string, call: Call): Upstream<TokenList>;
  get(ref: TokenRef, call: Call): Upstream<UpstreamToken>;
  update(ref: TokenRef, command: UpdateCommand, call: Call): Upstream<UpstreamToken>;
  /**
   * Only a 2xx is success. A 404 fails with `upstream_not_found`: it may mean the token, its workspace, or an earlier try whose
   * answer was lost.
   */
  revoke(ref: TokenRef, call: Call): Upstream<'revoked'>;
}
