import type {
  ActorType,
  AuditAction,
  AuditStatus,
  DegradedReason,
  ErrorCode,
  ItemRejection,
  ListState,
  LogStop,
  OrderResult,
  OrderState,
  Permission,
  ResumedBecause,
  RevocationMode,
  SuspensionReason,
  TokenState,
  TokenUsage,
} from './vocabulary.ts';

export type * from './status.ts';

// What the service answers, field by field as it is on the wire. A newer service may add fields, and names to its lists. Times are
// RFC 3339 in UTC, with milliseconds.

/** A service account token, without its secret. */
export interface Token {
  /** The id, which PipeOps gave. */
  readonly id: string;
  /** The same id, under the other name that PipeOps has for it. */
  readonly uuid: string;
  readonly name: string;
  readonly description: string | null;
  /** What it may do at PipeOps. */
  readonly scopes: readonly string[];
  /** The same, under the name that PipeOps' SDK has for it. */
  readonly permissions: readonly string[];
  /** The public beginning of the secret. */
  readonly token_prefix: string | null;
  readonly workspace_id: string | null;
  readonly is_revoked: boolean;
  readonly is_expired: boolean;
  /** Whether it can be used: it is neither revoked, expired nor suspended. */
  readonly is_active: boolean;
  /** Null: it does not expire. */
  readonly expires_at: string | null;
  readonly created_at: string | null;
  readonly updated_at: string | null;
  /** Null: it was never used, or PipeOps does not say. */
  readonly last_used_at: string | null;
}

/** A token that was just created. */
export interface CreatedToken extends Token {
  /** The secret. It is shown this once. */
  readonly token: string;
}

export interface TokenList {
  readonly tokens: readonly Token[];
  readonly total: number;
  /** Whether PipeOps told of a part alone: a token that is not listed may exist. */
  readonly partial: boolean;
}

export interface RevokedToken {
  readonly id: string;
  readonly uuid: string;
}

/** A token that took the place of another one. */
export interface RotatedToken extends CreatedToken {
  /** The id of the token whose place it took. */
  readonly replaces: string;
  /** When that one is to be revoked. Both work until then. */
  readonly old_token_revoked_at: string;
}

/** Who owns a token: who minted it. */
export interface TokenOwner {
  readonly issuer: string;
  readonly subject: string | null;
  /** In the form in which labels are compared. */
  readonly label: string | null;
}

/** A token as the inventory knows it: who owns it, what it was granted, how it ages. */
export interface InventoryToken {
  readonly id: string;
  /** The same id, under the other name that PipeOps has for it. */
  readonly uuid: string;
  readonly workspace_uuid: string;
  readonly name: string | null;
  /** The public beginning of the secret. */
  readonly token_prefix: string | null;
  /** What it was granted. Null: this service did not mint it, or did before it kept that. */
  readonly scopes: readonly string[] | null;
  /** Null: it was made past this service. */
  readonly owner: TokenOwner | null;
  /** The role, and the version of the policy, under which it was minted. */
  readonly role: string | null;
  readonly policy_version: string | null;
  readonly created_at: string;
  /** Null: it does not expire. */
  readonly expires_at: string | null;
  /** Null: no use of it is known. `usage` says what that means. */
  readonly last_used_at: string | null;
  readonly state: TokenState;
  readonly usage: TokenUsage;
  /** Why it is suspended. */
  readonly suspended_by: readonly SuspensionReason[];
  /** The id of the token whose place it took by a rotation. */
  readonly replaces: string | null;
  /** The id of the token that took its place. */
  readonly replaced_by: string | null;
  /** When it is to be revoked, because another one has taken its place. */
  readonly retires_at: string | null;
  /** The event in the trail that minted it. */
  readonly create_event_id: string | null;
}

/** How old what is known of a workspace's tokens at PipeOps is. */
export interface WorkspaceKnowledge {
  readonly workspace_uuid: string;
  /** When PipeOps last listed the workspace. Null: it never has. */
  readonly listed_at: string | null;
  /** What that list was good for. Null: there was none. */
  readonly list_state: ListState | null;
}

export interface InventoryPage extends Page<InventoryToken> {
  /** Of each workspace on the page, and of one that was asked for. */
  readonly knowledge: readonly WorkspaceKnowledge[];
}

/** Who acted. */
export interface Actor {
  readonly type: ActorType;
  readonly issuer: string | null;
  readonly subject: string | null;
  readonly label: string | null;
}

/** An event of the trail. */
export interface AuditEvent {
  readonly id: string;
  /** Its place in the trail. There are no gaps. */
  readonly seq: number;
  readonly occurred_at: string;
  /** When its outcome was recorded. Null while it is `attempted`. */
  readonly settled_at: string | null;
  readonly action: AuditAction;
  readonly status: AuditStatus;
  /** How many alike there were within its minute. */
  readonly count: number;
  /** When the last of these was. */
  readonly last_at: string;
  readonly actor: Actor;
  readonly workspace_uuid: string | null;
  readonly token_id: string | null;
  readonly token_name: string | null;
  readonly request_id: string | null;
  readonly ip: string | null;
  readonly user_agent: string | null;
  /** The status of PipeOps' answer. Null: PipeOps was not asked, or did not answer. */
  readonly upstream_status: number | null;
  /** Why it is a failure. */
  readonly error_code: ErrorCode | null;
  /** What was asked for, and what the outcome adds to it. */
  readonly detail: Readonly<Record<string, unknown>>;
}

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

export type Mode = RevocationMode;

/** Whom something is about: one owner of tokens, or everybody who carries a label. */
export type SubjectRef = { readonly issuer: string; readonly subject: string } | { readonly label: string };

/** An owner of tokens that a delivery found. */
export interface FoundOwner {
  readonly issuer: string;
  readonly subject: string;
  /** How many tokens it had whose end was not proven. */
  readonly tokens: number;
}

/** A delivery that was rightly signed, or what a caller ordered in its place. */
export interface Delivery {
  readonly id: string;
  /** The sender, as the policy names it. Null: a caller has ordered it. */
  readonly source: string | null;
  /** The caller who has ordered it. */
  readonly actor?: Actor | undefined;
  /** Why, as that caller said. */
  readonly reason?: string | undefined;
  /** Of a reinstatement: how many blocks it lifted. */
  readonly blocks_lifted?: number | undefined;
  /** Somebody whom it reinstates is blocked in another way as well. */
  readonly still_blocked?: true | undefined;
  /** Null: its body does not name one. */
  readonly event: string | null;
  /** The id that its sender gave it. Null: its protocol has none. */
  readonly sender_id: string | null;
  readonly received_at: string;
  /** Its event in the trail. */
  readonly event_id: string;
  /** Why it led to nothing. */
  readonly ignored: 'event_not_allowed' | 'event_unknown' | null;
  /** The code with which it was refused. */
  readonly refused: ErrorCode | null;
  readonly refused_field?: string | undefined;
  readonly id_reused?: true | undefined;
  readonly rejected_items?: Readonly<Partial<Record<ItemRejection, number>>> | undefined;
  readonly mode?: Mode | undefined;
  readonly former?: true | undefined;
  readonly subject?: SubjectRef | undefined;
  readonly issuer_configured?: false | undefined;
  readonly owners?: readonly FoundOwner[] | undefined;
  readonly also_carried?: readonly FoundOwner[] | undefined;
  readonly owners_not_shown?: number | undefined;
  /** The tokens that it named: ours, none of ours, and ours in a workspace that its source may not touch. */
  readonly tokens: { readonly matched: number; readonly unmatched: number; readonly out_of_scope: number };
  /** How far the revocations are. */
  readonly orders: {
    readonly open: number;
    readonly acknowledged: number;
    readonly confirmed: number;
    readonly failed: number;
    readonly lifted?: number | undefined;
  };
  /** Orders of it are still to be made. */
  readonly orders_left?: true | undefined;
}

/** A token that a delivery named. */
export interface DeliveryItem {
  readonly position: number;
  readonly found: 'matched' | 'unmatched' | 'out_of_scope';
  /** Where the secret was seen. */
  readonly location: string | null;
  readonly workspace_uuid: string | null;
  readonly token_id: string | null;
  /** Tokens whose prefix fits. Nothing is revoked by guess. */
  readonly candidates?: readonly string[] | undefined;
}

/** What became of one token that was ordered to go. */
export interface Revocation {
  /** Its event in the trail. */
  readonly event_id: string;
  readonly workspace_uuid: string;
  readonly token_id: string;
  readonly mode: Mode;
  readonly state: OrderState;
  readonly result: OrderResult | null;
  readonly error_code: ErrorCode | null;
  readonly tries: number;
  readonly next_try_at: string | null;
  readonly received_at: string;
  readonly matched_at: string;
  /** When PipeOps acknowledged a revocation. */
  readonly revoked_at?: string | null | undefined;
  /** When PipeOps acknowledged a suspension. */
  readonly suspended_at?: string | null | undefined;
  /** When a later look agreed. */
  readonly confirmed_at: string | null;
  /** Since when a look contradicts it. */
  readonly contradicted_at: string | null;
}

/** A delivery with each token that it named, and what became of each. */
export interface WholeDelivery extends Delivery {
  readonly items: readonly DeliveryItem[];
  readonly revocations: readonly Revocation[];
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

/** A log of the trail that has begun in the place of one that could not go on. */
export interface ResumedLog {
  readonly number: number;
  /** Its name, and the name of its key. */
  readonly origin: string;
  readonly begun_at: string;
  readonly because: ResumedBecause;
  readonly previous: {
    readonly number: number;
    readonly origin: string;
    /** How many of its leaves count. */
    readonly size: number;
    /** The signed checkpoint of that size; null: it had none. */
    readonly checkpoint: string | null;
    /** The largest checkpoint that was signed and that the database does not know of; null: none is known. */
    readonly known: string | null;
  };
  /** Events with a higher `seq` are sealed anew. */
  readonly kept_seq: number;
  /** The numbers that no event has, both included; null: none are left out. */
  readonly gap: { readonly from: number; readonly to: number } | null;
  readonly event_id: string;
}

/** How many events have one key. */
export interface AuditCount {
  /** Of `actor` it is what the filter `actor` takes; of `day` it is `YYYY-MM-DD` in UTC, and of `hour` the time at which it begins. */
  readonly key: string;
  readonly count: number;
  /** The label of an actor. */
  readonly label?: string | undefined;
}

export interface AuditCounts {
  readonly counts: readonly AuditCount[];
  /** Whether older events that match were not reached. The counts are then of the newest ones. */
  readonly partial: boolean;
}

/** A transparency log over the trail. */
export interface TrailLog {
  readonly number: number;
  /** The name of the log, which its checkpoints begin with. */
  readonly origin: string;
  /** How many entries its last published checkpoint covers. */
  readonly size: number;
  readonly published_at: string | null;
  readonly begun_at: string;
  /** Why it does not grow any more. Null: it grows. */
  readonly stopped: LogStop | null;
  readonly stopped_at: string | null;
  /** The key that checks its last checkpoint. Null: the service does not have it any more. */
  readonly verifier_key: string | null;
}

/** The logs over the trail. */
export interface TrailLogs {
  /** The first log first. */
  readonly logs: readonly TrailLog[];
  /** The number of the log that grows, or grew last. Null: nothing was sealed yet. */
  readonly current: number | null;
  /** Who is asked to cosign checkpoints. */
  readonly witnesses: readonly { readonly url: string; readonly key: string }[];
  /** What no published checkpoint covers. */
  readonly unsealed: { readonly events: number; readonly oldest_at: string | null };
}

/** Why somebody is blocked. */
export interface Block {
  readonly since: string;
  readonly by: 'subject' | 'label';
  /** The event in the trail of what has made it. */
  readonly event_id?: string | undefined;
  /** The webhook, or the revocation by a caller, that has made it. */
  readonly delivery_id?: string | undefined;
  /** Why, as the caller said who made it. */
  readonly reason?: string | undefined;
}

/** An owner of tokens, or somebody who is blocked. Without issuer and subject it is a label that is blocked. */
export interface Subject {
  readonly issuer: string | null;
  readonly subject: string | null;
  readonly label: string | null;
  readonly tokens: { readonly live: number; readonly total: number; readonly more?: true | undefined };
  readonly blocks: readonly Block[];
}
