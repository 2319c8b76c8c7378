// What the simulator's control endpoint speaks. No types of Node here: tests that run in workerd read this file too.

/** Which requests a fault is for. What is absent matches anything. */
export interface FaultMatch {
  readonly method?: string;
  /** The `workspace_uuid` of the query. */
  readonly workspace_uuid?: string;
  /** Part of the path, without the query. */
  readonly path_contains?: string;
  /** The exact bearer token. */
  readonly credential?: string;
}

/** The other forms in which PipeOps is known to answer. */
export const FAULT_FORMS = [
  /** The older create: `data.token` is an object that holds the secret as `token`. */
  'token_object',
  'uuid_only',
  'id_only',
  'token_uuid',
  /** `permissions` in place of `scopes`. */
  'permissions',
  /** `pagination.total` in place of `total`. */
  'pagination_total',
  /** Get and update: `data` is the token itself. */
  'flat_get',
  /** Revoke: 204 without a body. */
  'no_content',
  /** Times as `2006-01-02 15:04:05`, and `""` for none. */
  'space_times',
] as const;
export type FaultForm = (typeof FAULT_FORMS)[number];

/**
 * What goes wrong with a request, once it matches.
 *
 * `status`, `body`, `html` and `redirect` answer in PipeOps' place: PipeOps then does nothing, unless `commit` says
 * that it did all of its work first. Everything else leaves the true answer in place and spoils its delivery or form.
 */
export interface Fault {
  readonly match?: FaultMatch;
  /** For how many requests; default 1. */
  readonly times?: number;
  readonly status?: number;
  /** Added to whatever is answered. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Text is sent as it is, anything else as JSON; with status 200 unless `status` says otherwise. */
  readonly body?: unknown;
  /** A page of HTML; with status 200 unless `status` says otherwise. */
  readonly html?: boolean;
  /** Where a redirect leads; with status 302 unless `status` says otherwise. */
  readonly redirect?: string;
  /**
   * Whether the effect happens although something else is answered (default: not), and with `delay_ms` that it happens
   * before the delay (default: after it, even if the client is gone by then).
   */
  readonly commit?: boolean;
  /** Milliseconds before the answer; -1: none ever comes, and the connection stays open. */
  readonly delay_ms?: number;
  /** Resets the connection instead of answering. */
  readonly drop?: 'before_commit' | 'after_commit';
  /**
   * Half of the true answer, as if it were all. With `drop: 'after_commit'` the connection breaks after that half, with
   * `delay_ms: -1` the other half never comes; both had announced the whole.
   */
  readonly truncate_body?: boolean;
  readonly form?: FaultForm | readonly FaultForm[];
  /** A list answers only its first so many tokens, and the true total. */
  readonly partial?: number;
}

export interface RequestFilter {
  readonly workspace_uuid?: string;
  readonly event_id?: string;
  readonly method?: string;
  readonly credential?: string;
}

/** A request as it was received. */
export interface ReceivedRequest {
  /** RFC 3339. */
  readonly at: string;
  readonly method: string;
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  /** All of them, names in lower case, Authorization included. */
  readonly headers: Readonly<Record<string, string>>;
  /** Parsed if it is JSON, otherwise its text; null: none. */
  readonly body: unknown;
  /** The header `X-Request-Id`. */
  readonly event_id: string | null;
  /** Whether it changed anything. */
  readonly committed: boolean;
  /** Null: nothing was answered, or not yet. */
  readonly status: number | null;
  readonly workspace_uuid: string | null;
  readonly token_id: string | null;
}

/** A change that took effect. It outlives a restart, which the list of received requests does not. */
export interface Commit {
  /** RFC 3339. */
  readonly at: string;
  readonly operation: 'create' | 'update' | 'revoke';
  /** The header `X-Request-Id`; null: none was sent, or it was done by hand. */
  readonly event_id: string | null;
}

/** The truth about a token. */
export interface TokenState {
  readonly id: string;
  readonly workspace_uuid: string;
  readonly name: string;
  readonly description: string | null;
  readonly scopes: readonly string[];
  readonly secret: string;
  readonly token_prefix: string;
  readonly is_revoked: boolean;
  readonly is_expired: boolean;
  readonly is_active: boolean;
  /** RFC 3339. */
  readonly expires_at: string | null;
  readonly created_at: string;
  readonly updated_at: string;
  readonly commits: readonly Commit[];
}

/** A token that somebody makes in PipeOps' own console. */
export interface InsertedToken {
  readonly workspace_uuid: string;
  readonly name: string;
  readonly scopes?: readonly string[];
  /** RFC 3339; may be in the past. */
  readonly expires_at?: string;
  readonly id?: string;
}
