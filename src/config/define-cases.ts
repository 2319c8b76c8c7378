import type { Duration, PolicyInput } from './define-policy.ts';
import type { DenialReason, PolicyFailure, TokenRejection } from '../failures.ts';
import type { SuspensionReason } from '../vocabulary.ts';

/** Who asks: an issuer of the policy, and what its JWT says. */
export interface CaseCaller {
  readonly issuer: string;
  /**
   * The claims that the policy reads, the subject's among them. `iss`, `aud`, `iat` and `exp` are filled in where they are not given,
   * so that the JWT is fresh and for this service.
   */
  readonly claims: Readonly<Record<string, unknown>>;
}

/** Whose the token is that is asked for. `other`: of another subject of the same issuer. `nobody`: it was not created through this service. */
export type CaseOwner = 'caller' | 'other' | 'nobody';

/** What is asked for. Workspaces are UUIDs, and durations are as in the API: `90m`, `30d`, `2w`. */
export type CaseRequest =
  | {
      readonly operation: 'create';
      readonly workspace: string;
      readonly scopes?: readonly string[];
      readonly preset?: string;
      /** Default: no expiry is asked for, and the role's `maxTtl` is what the token gets. */
      readonly expiresIn?: Duration | `${number}w`;
      /** How many live tokens the caller holds. Default: 0. */
      readonly held?: number;
    }
  | { readonly operation: 'list'; readonly workspace: string }
  | {
      readonly operation: 'get' | 'revoke';
      readonly workspace: string;
      /** Default: `caller`. */
      readonly owner?: CaseOwner;
    }
  | {
      readonly operation: 'update';
      readonly workspace: string;
      readonly owner?: CaseOwner;
      /** The scopes that the token shall have. */
      readonly scopes?: readonly string[];
      /** Whether the token is resumed (true) or suspended (false). An update that names neither this nor scopes renames. */
      readonly active?: boolean;
      /** Why the token is suspended now. Default: for no reason that this service knows. */
      readonly suspendedBy?: readonly SuspensionReason[];
      /** The scopes that the token has now. A resume without new scopes is judged on them. */
      readonly tokenScopes?: readonly string[];
      /** When the token ends. Default: `never`. */
      readonly tokenExpiresIn?: Duration | `${number}w` | 'never';
    }
  /** Only the owner of a token rotates it. */
  | {
      readonly operation: 'rotate';
      readonly workspace: string;
      /** Default: `caller`. */
      readonly owner?: CaseOwner;
      /** How long the token lives on beside its successor: `0s`, or a duration. Default: `24h`. */
      readonly overlap?: Duration | `${number}w`;
      /** The life of the successor that is asked for. Default: that of the token. */
      readonly expiresIn?: Duration | `${number}w`;
      /** The scopes that the token was granted, which its successor gets. */
      readonly tokenScopes: readonly string[];
      /** How long the token was to live when it was minted. Default: `never`. */
      readonly tokenLifetime?: Duration | `${number}w` | 'never';
      /** How many live tokens the caller holds, this one among them. Default: 1. */
      readonly held?: number;
    }
  /** `POST /api/v1/revocations` for tokens of this workspace, or, with `*`, for a subject, and `POST /api/v1/reinstatements`. */
  | { readonly operation: 'order'; readonly workspace: string }
  /** The retry of a webhook delivery whose orders count in these workspaces. */
  | { readonly operation: 'retry'; readonly workspaces: readonly string[] }
  /** Anything that `audit:read` is for: events, exports, deliveries, `/status`. */
  | { readonly operation: 'audit' }
  /** `POST /api/v1/audit/log`: a new log of the trail in the place of one that is stopped. */
  | { readonly operation: 'resume-log' };

/** Why a request is denied: the true reason, as the trail has it, and not the shorter one that the caller hears. */
export type CaseDenial =
  | DenialReason
  | Exclude<PolicyFailure['kind'], 'forbidden' | 'subject_blocked'>
  | TokenRejection;

/** What the policy must say. */
export type CaseExpectation<RoleName extends string = string> =
  /** The role that decides. */
  | { readonly allowed: RoleName }
  /** `role`: one of the caller's that falls short for this very reason. */
  | { readonly denied: CaseDenial; readonly role?: RoleName };

/** One case: who asks for what, and what the policy must say. */
export interface PolicyCase<RoleName extends string = string> {
  /** A sentence that says what is so, such as `a pull request mints nothing`. */
  readonly name: string;
  readonly caller: CaseCaller;
  readonly request: CaseRequest;
  readonly expect: CaseExpectation<RoleName>;
}

/**
 * Gives `policy.cases.ts` its types, so that an editor shows a role that the policy does not have as an error. `npm run policy -- test`
 * asks the policy each of the cases.
 *
 * @example export default definePolicyCases(policy, [{ name: 'a pull request has no role', caller, request, expect: { denied: 'no_role' } }])
 */
export function definePolicyCases<RoleName extends string>(
  _policy: PolicyInput<RoleName>,
  cases: readonly PolicyCase<NoInfer<RoleName>>[],
): readonly PolicyCase<RoleName>[] {
  return cases;
}
