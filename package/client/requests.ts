import type { Mode, SubjectRef } from './types.ts';
import type { ActorType, AuditAction, AuditStatus, ErrorCode, TokenState, TokenUsage } from './vocabulary.ts';

// What the service takes, under the names of the wire.

/** Where a token is. Default: the workspace that the operators configured. */
export interface InWorkspace {
  readonly workspace_uuid?: string | undefined;
}

/** How fresh a read is. */
export interface Reading extends InWorkspace {
  /** Whether only a list of PipeOps is accepted that was begun less than two seconds ago. */
  readonly fresh?: boolean | undefined;
}

/** What a token shall be. It names `scopes` or a `preset`. */
export type CreateToken = {
  readonly name: string;
  readonly description?: string | undefined;
  readonly workspace_uuid?: string | undefined;
} & (
  | { readonly scopes: readonly string[]; readonly preset?: never }
  | { readonly preset: string; readonly scopes?: never }
) &
  Expiry;

/** How a token is rotated: another one takes its place, with what it was granted. */
export type RotateToken = InWorkspace & {
  /** How long the old token lives on, such as `24h` (the default). `0s`: not at all, since its secret has leaked. */
  readonly overlap?: string | undefined;
} & Expiry;

/** When a token expires. Default of a create: what the role allows; of a rotation: the lifetime of the old token, from now on. */
export type Expiry =
  | {
      /** RFC 3339. */
      readonly expires_at?: string | undefined;
      readonly expires_in?: never;
    }
  | {
      /** Such as `30d`, or whole days. */
      readonly expires_in?: string | number | undefined;
      readonly expires_at?: never;
    };

/** What changes of a token. */
export interface UpdateToken {
  readonly name?: string | undefined;
  readonly description?: string | undefined;
  readonly scopes?: readonly string[] | undefined;
  /** `false` suspends the token, `true` resumes it. */
  readonly is_active?: boolean | undefined;
  readonly workspace_uuid?: string | undefined;
}

/** All actions of a noun. */
export type ActionPattern = `${string}.*`;
/** An action, or with `!` in front all but that. */
export type ActionFilter = AuditAction | ActionPattern | `!${AuditAction}` | `!${ActionPattern}`;

/** Which events. Filters narrow together. */
export interface AuditFilter {
  readonly action?: ActionFilter | readonly ActionFilter[] | undefined;
  readonly status?: AuditStatus | undefined;
  /** A subject, a label, or `issuer|subject`; `me` is whoever asks. */
  readonly actor?: string | undefined;
  readonly actor_type?: ActorType | undefined;
  readonly token_id?: string | undefined;
  readonly token_name?: string | undefined;
  readonly token_prefix?: string | undefined;
  readonly workspace_uuid?: string | undefined;
  readonly scope?: string | undefined;
  readonly code?: ErrorCode | undefined;
  readonly role?: string | undefined;
  readonly policy_version?: string | undefined;
  readonly request_id?: string | undefined;
  readonly ip?: string | undefined;
  /** Events of this time (RFC 3339) and later. */
  readonly from?: string | undefined;
  /** Events before this time. */
  readonly to?: string | undefined;
  /** Whether also what can still change is shown. */
  readonly latest?: boolean | undefined;
}

export interface Paging {
  /** How many items a page has at the most. */
  readonly limit?: number | undefined;
  /** `nextCursor` of the page before. */
  readonly cursor?: string | undefined;
}

export interface Ordered {
  /** Default: `desc`, the newest first. */
  readonly order?: 'asc' | 'desc' | undefined;
}

export interface AuditQuery extends AuditFilter, Paging, Ordered {}
export interface TokenEventsQuery extends Paging, Ordered, InWorkspace {}

export interface CountQuery extends Omit<AuditFilter, 'latest'> {
  readonly by: 'action' | 'actor' | 'code' | 'status' | 'day' | 'hour';
}

export interface ExportQuery extends AuditFilter {
  readonly cursor?: string | undefined;
}

/** Which log over the trail. */
export interface LogNumber {
  /** Default: the current one. */
  readonly log?: number | undefined;
}

export interface ReceiptQuery {
  /** `last` (the default): what became of the event. `recorded`: how it was recorded. */
  readonly fact?: 'last' | 'recorded' | undefined;
}

export interface SubjectQuery extends Paging {
  readonly blocked?: boolean | undefined;
  /** The beginning of a label or of a subject. */
  readonly q?: string | undefined;
}

/** Which tokens of the inventory. Filters narrow together. Times are RFC 3339: `from` and later, before `to`. */
export interface InventoryQuery extends Paging {
  /** Default: every workspace of the caller's roles. */
  readonly workspace_uuid?: string | undefined;
  /** `issuer|subject`; `me` is whoever asks, and `none` means tokens that were made past this service. */
  readonly owner?: string | undefined;
  readonly label?: string | undefined;
  /** The role under which it was minted. */
  readonly role?: string | undefined;
  readonly policy_version?: string | undefined;
  /** A scope that it was granted. */
  readonly scope?: string | undefined;
  readonly token_name?: string | undefined;
  readonly token_id?: string | undefined;
  readonly token_prefix?: string | undefined;
  /** The SHA-256 of a secret, in hex: whose is it? */
  readonly token_sha256?: string | undefined;
  readonly state?: TokenState | readonly TokenState[] | undefined;
  readonly usage?: TokenUsage | readonly TokenUsage[] | undefined;
  readonly created_from?: string | undefined;
  readonly created_to?: string | undefined;
  /** With a bound of the expiry the page begins with what expires soonest. */
  readonly expires_from?: string | undefined;
  readonly expires_to?: string | undefined;
  readonly last_used_from?: string | undefined;
  readonly last_used_to?: string | undefined;
  /** The id of the token whose place it took. */
  readonly replaces?: string | undefined;
  /** The id of the token that took its place. */
  readonly replaced_by?: string | undefined;
}

/** What shall be revoked, and why. */
export type OrderRevocation = {
  /** 1 to 500 characters, for the trail. */
  readonly reason: string;
} & (
  | { readonly workspace_uuid: string; readonly token_ids: readonly string[] }
  | {
      readonly subject: SubjectRef;
      /** Default: `revoke`. */
      readonly mode?: Mode | undefined;
    }
);

export interface OrderReinstatement {
  readonly subject: SubjectRef;
  readonly reason: string;
}

/** Why the log of the trail is resumed. */
export interface ResumeLog {
  readonly reason: string;
}
