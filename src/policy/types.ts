import type { Identity } from '../identity/identity.ts';
import type { PolicyFailure } from '../failures.ts';
import type { Permission, SuspensionReason } from '../vocabulary.ts';

/** A role as the operator's file grants it, defaults filled in. */
export interface Role {
  readonly name: string;
  readonly permissions: readonly Permission[];
  readonly tokens: 'own' | 'any';
  /** UUIDs, or `['*']`. */
  readonly workspaces: readonly string[];
  /** The most a token minted under this role may hold; `['*']` sets no ceiling. */
  readonly scopes: readonly string[];
  readonly maxTtlSeconds: number | null;
  /** How many live tokens an owner may hold, in all workspaces together, the one that it asks for included. */
  readonly maxTokens: number;
}

/** Which identities have a role: those of `issuer` whose claims match every one listed. */
export interface Binding {
  readonly issuer: string;
  /** Claim name (as `readClaim` reads it) to the value or pattern that it must have. At least one has no `*`. */
  readonly claims: Readonly<Record<string, string>>;
  /** The name of a role. */
  readonly role: string;
}

/** What a decision depends on besides the caller and the request. */
export interface DecisionContext {
  /** Milliseconds since the epoch. */
  readonly nowMs: number;
  /** The scopes that each known preset of PipeOps stands for. */
  readonly presets: Readonly<Record<string, readonly string[]>>;
}

/** An identity that at least one binding knows. Roles stand in file order. */
export interface Caller extends Identity {
  readonly roles: readonly Role[];
}

/** A token as far as a decision needs it: from the inventory, or as PipeOps just listed it. */
export interface KnownToken {
  readonly tokenId: string;
  readonly workspaceUuid: string;
  /** Null: nobody here created it. */
  readonly owner: { readonly issuer: string; readonly subject: string } | null;
  /** Why it is suspended; empty where nothing here suspended it. */
  readonly suspendedBy: readonly SuspensionReason[];
}

/** The state a token would be in after an update that names scopes or resumes it. */
export interface ResultingToken {
  readonly scopes: readonly string[];
  /** Milliseconds since the epoch; null: never. */
  readonly expiresAtMs: number | null;
}

export type PolicyRequest =
  | {
      readonly operation: 'create';
      readonly workspaceUuid: string;
      readonly scopes: readonly string[] | null;
      readonly preset: string | null;
      readonly expiresAtMs: number | null;
      /** Live tokens that the caller holds without this one, in all workspaces; creates under way are among them. */
      readonly heldTokens: number;
    }
  | { readonly operation: 'list'; readonly workspaceUuid: string }
  | { readonly operation: 'get'; readonly workspaceUuid: string; readonly token: KnownToken | null }
  | {
      readonly operation: 'update';
      readonly workspaceUuid: string;
      readonly token: KnownToken | null;
      /** Null where the update only renames or suspends: that needs no more than a token within reach. */
      readonly resulting: ResultingToken | null;
      /** The scopes that the update names; null or absent: none. */
      readonly namedScopes?: readonly string[] | null;
      /** Whether it makes a suspended token active. */
      readonly resumes: boolean;
    }
  | { readonly operation: 'revoke'; readonly workspaceUuid: string; readonly token: KnownToken | null }
  /** Of a webhook delivery: its orders count in all of these workspaces. */
  | { readonly operation: 'retry'; readonly workspaceUuids: readonly string[] }
  | { readonly operation: 'audit' };

/** What an allowed create sends: the scopes and expiry that the deciding role settled on. */
export interface Grant {
  /** The role that allowed the whole of the request, for the trail. */
  readonly role: string;
  /** Of a create: all that the token will hold, a preset's included. Null for every other operation. */
  readonly scopes: readonly string[] | null;
  /** Of a create: milliseconds since the epoch, null for a token without expiry. Null for every other operation. */
  readonly expiresAtMs: number | null;
  /**
   * Of a resume: the reasons of its suspension that the role lifts. Where others are left, the token stays suspended. Empty for
   * every other operation.
   */
  readonly lifts: readonly SuspensionReason[];
}

export type Decision =
  | { readonly allowed: true; readonly grant: Grant }
  | { readonly allowed: false; readonly failure: PolicyFailure };
