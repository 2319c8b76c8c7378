import type { Page } from './types.ts';
import type { ListState, SuspensionReason, TokenState, TokenUsage } from './vocabulary.ts';

// Tokens: what PipeOps says of them, and what the inventory does. As in `types.ts`, field by field as it is on the wire.

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
