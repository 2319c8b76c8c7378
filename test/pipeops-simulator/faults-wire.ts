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
  /** The `client_id` of a request for tokens. */
  readonly client_id?: string;
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
  /**
   * A list answers only its first so many tokens, and the true total. Its further pages (`page` from 2) are answered 400 until
   * the workspace is listed again, so that one such fault makes one partial list.
   */
  readonly partial?: number;
}

/** Fields of a token that an answer can say wrongly, or leave out. `scopes` stands for `permissions` too. */
export const SAID_FIELDS = [
  'name',
  'scopes',
  'expires_at',
  'workspace_id',
  'is_active',
  'is_revoked',
  'is_expired',
] as const;
export type SaidField = (typeof SAID_FIELDS)[number];

/** What an answer says of a token in place of the truth, which stays as it is. */
export interface Said {
  /** Any JSON, null and "" included. */
  readonly says?: Readonly<Partial<Record<SaidField, unknown>>>;
  /** Fields that the answer does not have. */
  readonly lacks?: readonly SaidField[];
}

/** A replica that is behind. All of it counts by the simulator's clock; `hide` and `frozen` need none. */
export interface View {
  /** Shows the state of so many milliseconds ago. */
  readonly lag_ms?: number;
  /** Shows the state of the moment in which this behaviour was set, for as long as it stays. */
  readonly frozen?: true;
  /** Lacks tokens that were made less than so many milliseconds ago. */
  readonly young_ms?: number;
  /** Ids of tokens that it lacks. */
  readonly hide?: readonly string[];
}

/**
 * How a workspace is listed. What is left of the view after `empty`, `lacks_revoked` and `cut`, in this order, is the whole of
 * the list; pages are pages of that.
 */
export interface ListBehaviour extends View {
  /** No token is shown, and `total` is 0. */
  readonly empty?: true;
  /** Revoked tokens are not shown. Without it they are, with `is_revoked: true`. */
  readonly lacks_revoked?: true;
  /** A silent cap: only the first so many are shown, and `total` is their number. */
  readonly cut?: number;
  /** Tokens on a page; `limit` in the query can only make it less. Without it a list has one page. */
  readonly page_size?: number;
  /**
   * What `page` does where there is a `page_size`. `honoured`, the default: a page after the last one is empty. `clamped`: it is
   * the last one again. `ignored`: every page is the first one. A number: `page` is answered with that status.
   */
  readonly pages?: 'honoured' | 'clamped' | 'ignored' | 400 | 422;
  /** `total` in the answer: `with_revoked` counts revoked tokens although they are not shown; `none`: there is no total. */
  readonly total?: 'with_revoked' | 'none' | number;
}

/** How PipeOps behaves in one workspace from now on, until it is told otherwise. What is absent is as it should be. */
export interface Behaviour {
  /** Every route of the workspace is answered with a JSON 404, as where the credential has lost its access. */
  readonly not_found?: true;
  /** Answers have no `X-RateLimit-*` headers. The limits apply all the same. */
  readonly no_rate_headers?: true;
  /** Longer names are cut, by a create and an update alike. */
  readonly names_max_chars?: number;
  readonly list?: ListBehaviour;
  /** What a GET of one token sees: 404 for what the view lacks. */
  readonly get?: View;
  /**
   * What `last_used_at` says. `off`: null, for every token. `frozen`: what it said when this behaviour was set. `back_ms`: a time that is
   * so much earlier than the true one.
   */
  readonly usage?: 'off' | 'frozen' | { readonly back_ms: number };
  /** What a create really mints, whatever was asked. `expires_at` in RFC 3339, in the past too; null: none. */
  readonly mints?: { readonly scopes?: readonly string[]; readonly expires_at?: string | null };
  /** `ignored`: a PATCH is answered 200 with the token as it was, and changes nothing. */
  readonly update?: 'ignored';
  /** `ignored`: a DELETE is acknowledged, and revokes nothing. */
  readonly revoke?: 'ignored';
  readonly answers?: {
    readonly create?: Said;
    readonly update?: Said;
    readonly get?: Said;
    /** Of every token in it. */
    readonly list?: Said;
  };
  /**
   * Requests of these methods are carried out late: after `ms` milliseconds, or, without it, when `control.carryOut` says so.
   * Until then nothing has happened; they are answered 504 at once, or never.
   */
  readonly late?: {
    readonly methods: readonly ('POST' | 'PATCH' | 'DELETE')[];
    readonly answer: 504 | 'never';
    readonly ms?: number;
  };
}

export interface RequestFilter {
  readonly client_id?: string;
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
  /** Of a request for tokens. */
  readonly client_id: string | null;
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
  /** RFC 3339; null: it was never used. */
  readonly last_used_at: string | null;
  readonly commits: readonly Commit[];
}

/** A session that a user begins with an OAuth client. */
export interface OpenedSession {
  readonly client_id: string;
  /** Absent: a public client. */
  readonly client_secret?: string;
  /** How long its access tokens live, in seconds; default 3600. */
  readonly expires_in?: number;
  /** How long its refresh tokens live, in seconds; absent: without an end. */
  readonly refresh_expires_in?: number;
  /** Whether an exchange gives another refresh token and spends the one that was presented; default true. */
  readonly rotates?: boolean;
  /** Whether an exchange ends the access tokens before it. */
  readonly ends_old_access?: boolean;
}

/** What a session begins with. */
export interface SessionTokens {
  readonly access_token: string;
  readonly refresh_token: string;
}

/** The truth about a session. Its tokens are in the order in which they were made. */
export interface SessionState {
  readonly exchanges: number;
  readonly is_ended: boolean;
  readonly access_tokens: readonly string[];
  readonly refresh_tokens: readonly string[];
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
