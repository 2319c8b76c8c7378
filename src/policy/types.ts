import type { Identity } from '../identity/types.ts';
import type { PolicyFailure } from '../failures.ts';
import type { Permission } from '../vocabulary.ts';

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
    }
  | { readonly operation: 'list'; readonly workspaceUuid: string }
  | { readonly operation: 'get'; readonly workspaceUuid: string; readonly token: KnownToken | null }
  | {
      readonly operation: 'update';
      readonly workspaceUuid: string;
      readonly token: KnownToken | null;
      /** Null where the update only renames or suspends: that needs no more than a token within reach. */
      readonly resulting: ResultingToken | null;
    }
  | { readonly operation: 'revoke'; readonly workspaceUuid: string; readonly token: KnownToken | null }
  | { readonly operation: 'audit' };

/** What an allowed create sends: the scopes and expiry that the deciding role settled on. */
export interface Grant {
  /** The role that allowed the whole of the request, for the trail. */
  readonly role: string;
  readonly expiresAtMs: number | null;
}

export type Decision =
  | { readonly allowed: true; readonly grant: Grant }
  | { readonly allowed: false; readonly failure: PolicyFailure };
