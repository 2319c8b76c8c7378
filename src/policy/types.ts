import type { Identity, SessionProof } from '../identity/identity.ts';
import type { PolicyFailure } from '../failures.ts';
import type { Permission, SuspensionReason, UnusedMode } from '../vocabulary.ts';

/** A role as the operator's file grants it, with its defaults filled in. */
export interface Role {
  readonly name: string;
  readonly permissions: readonly Permission[];
  readonly tokens: 'own' | 'any';
  /** UUIDs, or `['*']` for all. */
  readonly workspaces: readonly string[];
  /** The most a token minted under this role may hold; `['*']` sets no ceiling. */
  readonly scopes: readonly string[];
  readonly maxTtlSeconds: number | null;
  /** How many live tokens an owner may hold in all workspaces together. The token that it asks for is one of them. */
  readonly maxTokens: number;
  /** The longest time for which a rotated token may live on beside its successor. */
  readonly maxOverlapSeconds: number;
  /** After how long without use a token minted under this role counts as unused. */
  readonly unusedAfterSeconds: number;
  readonly onUnused: UnusedMode;
}

/** Gives a role to the identities of `issuer` whose claims match every claim listed. */
export interface Binding {
  readonly issuer: string;
  /** The value or pattern that each claim must have, by its name as `readClaim` reads it. At least one has no `*`. */
  readonly claims: Readonly<Record<string, string>>;
  /** The name of a role. */
  readonly role: string;
}

/** What a decision depends on beside the caller and the request. */
export interface DecisionContext {
  /** Milliseconds since the epoch. */
  readonly nowMs: number;
  /** The scopes that each known preset of PipeOps stands for. */
  readonly presets: Readonly<Record<string, readonly string[]>>;
}

/** An identity to which bindings give at least one role. Its roles stand in file order. */
export interface Caller extends Identity {
  /** The browser session that it comes through. Absent: it sent a JWT. */
  readonly session?: SessionProof | undefined;
  readonly roles: readonly Role[];
}

/** What a decision needs to know of a token, from the inventory or as PipeOps just listed it. */
export interface KnownToken {
  readonly tokenId: string;
  readonly workspaceUuid: string;
  /** Null if it was not created through this service. */
  readonly owner: { readonly issuer: string; readonly subject: string } | null;
  /** The reasons of its suspension; empty where this service did not suspend it. */
  readonly suspendedBy: readonly SuspensionReason[];
}

/** The state a token would be in after an update that names scopes or resumes it. */
export interface ResultingToken {
  readonly scopes: readonly string[];
  /** Milliseconds since the epoch; null if it never expires. */
  readonly expiresAtMs: number | null;
}

export type PolicyRequest =
  | {
      readonly operation: 'create';
      readonly workspaceUuid: string;
      readonly scopes: readonly string[] | null;
      readonly preset: string | null;
      readonly expiresAtMs: number | null;
      /** Live tokens that the caller holds in all workspaces without this one. Creates under way count among them. */
      readonly heldTokens: number;
    }
  /** The rotation of a token of the caller's own: a successor with what the token was granted. */
  | {
      readonly operation: 'rotate';
      readonly workspaceUuid: string;
      readonly token: KnownToken | null;
      /** The scopes that were granted to it. */
      readonly scopes: readonly string[];
      /** The expiry that is asked for; null: the successor lives as long as the token was to live. */
      readonly expiresAtMs: number | null;
      /** How long the token was to live when it was minted; null: without end. */
      readonly lifetimeSeconds: number | null;
      /** How long the token is to live on beside its successor. */
      readonly overlapSeconds: number;
      /** As of a create. The token that is rotated counts among them. */
      readonly heldTokens: number;
    }
  | { readonly operation: 'list'; readonly workspaceUuid: string }
  | { readonly operation: 'get'; readonly workspaceUuid: string; readonly token: KnownToken | null }
  | {
      readonly operation: 'update';
      readonly workspaceUuid: string;
      readonly token: KnownToken | null;
      /** Null where the update only renames or suspends, which needs nothing but a token within reach. */
      readonly resulting: ResultingToken | null;
      /** The scopes that the update names; null or absent if it names none. */
      readonly namedScopes?: readonly string[] | null;
      /** Whether it makes a suspended token active. */
      readonly resumes: boolean;
    }
  | { readonly operation: 'revoke'; readonly workspaceUuid: string; readonly token: KnownToken | null }
  /**
   * A revocation that a caller orders, of tokens whoever owns them. `*`: it is about a subject, or it is a reinstatement, and a
   * block counts in every workspace.
   */
  | { readonly operation: 'order'; readonly workspaceUuid: string }
  /** The retry of a delivery, whose orders count in all of these workspaces. */
  | { readonly operation: 'retry'; readonly workspaceUuids: readonly string[] }
  | { readonly operation: 'audit' }
  /** A new log of the trail in the place of one that is stopped. */
  | { readonly operation: 'resume-log' };

/** What a role allows. */
export interface Grant {
  /** The name of the role that allowed the whole of the request. The trail shows it. */
  readonly role: string;
  /** All scopes that a created token, or a successor, will hold, those of a preset included. Null for every other operation. */
  readonly scopes: readonly string[] | null;
  /** When it expires, in milliseconds since the epoch; null for one without expiry, and for every other operation. */
  readonly expiresAtMs: number | null;
  /**
   * The reasons of a suspension that a resume lifts under the role. Where other reasons are left, the token stays suspended. Empty
   * for every other operation.
   */
  readonly lifts: readonly SuspensionReason[];
}

export type Decision =
  | { readonly allowed: true; readonly grant: Grant }
  | { readonly allowed: false; readonly failure: PolicyFailure };
