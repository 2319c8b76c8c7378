import type { ActorType, DegradedReason, Permission } from './vocabulary.ts';

export type * from './revocation-types.ts';
export type * from './status.ts';
export type * from './token-types.ts';
export type * from './trail-types.ts';

// What the service answers, field by field as it is on the wire. A newer service may add fields, and names to its lists. Times are
// RFC 3339 in UTC, with milliseconds.

/** A part of a list. */
export interface Page<Item> {
  readonly items: readonly Item[];
  /** The `cursor` of the next page. An ascending page of the trail always has one, so that later events can be read from there. */
  readonly nextCursor: string | null;
  /** Whether the next page can be had at once. */
  readonly hasMore: boolean;
  /** Whether the page ends before it is full. There may be more behind `nextCursor`. */
  readonly partial: boolean;
}

/** What a binding of the policy gives a caller. */
export interface Role {
  readonly name: string;
  readonly permissions: readonly Permission[];
  /** Whose tokens it is about. */
  readonly tokens: 'own' | 'any';
  /** `["*"]`: all. */
  readonly workspaces: readonly string[];
  /** The most that a token minted under it may hold. `["*"]`: there is no ceiling. */
  readonly scopes: readonly string[];
  /** The longest life of a token minted under it. Null: any. */
  readonly max_ttl_seconds: number | null;
  readonly presets: Readonly<Record<string, readonly string[]>>;
  /** How many live tokens one owner may hold; by rotations twice as many. */
  readonly max_tokens: number;
  /** How long a rotated token may live on beside its successor. */
  readonly max_overlap_seconds: number;
}

/** Who the caller is here. */
export interface Whoami {
  readonly issuer: string;
  /** The claim that owns tokens. */
  readonly subject: string;
  /** The claim that people read, such as an e-mail address. */
  readonly label: string | null;
  readonly actor_type: ActorType;
  readonly roles: readonly Role[];
  readonly live_tokens: { readonly count: number | null; readonly limit: number | null };
  /** The browser session that the request came through; null: it came with a JWT. */
  readonly session: ConsoleSession | null;
}

/** A session of the console. It ends at `ends_at`, and if nobody uses it for `idle_seconds`. */
export interface ConsoleSession {
  readonly started_at: string;
  readonly ends_at: string;
  readonly idle_seconds: number;
}

/** A workspace as PipeOps' own clients read it. */
export interface Workspace {
  readonly id: string;
  readonly uuid: string;
  readonly name: string;
}

/** Whether the service can do its work. */
export interface Readiness {
  readonly ready: true;
  readonly not_ready: readonly string[];
  readonly degraded: readonly DegradedReason[];
  readonly open_attempts: number;
  readonly open_orders: number;
  readonly acknowledged_orders: number;
  readonly contradicted_orders: number;
  readonly failed_orders: number;
}
