import type { Policy } from '../../src/config/policy.ts';
import { rolesFor, matches, readClaim, unmatchedClaims } from '../../src/policy/bindings.ts';
import { decide, judgeEach, PERMISSION_FOR, type RoleDecision } from '../../src/policy/decide.ts';
import type { Binding, Decision, DecisionContext, PolicyRequest, Role } from '../../src/policy/types.ts';
import type { CaseDenial } from '../../src/config/define-cases.ts';
import type { PolicyFailure } from '../../src/failures.ts';
import { type Asked, policyRequestOf } from './asked.ts';
import type { Asker } from './caller.ts';

// Why the policy decides as it does. The service's own functions decide; this keeps what each of them said.

/** A binding of the caller's issuer, and whether it gives its role to the caller. */
export interface JudgedBinding {
  /** Its place in the file. */
  readonly index: number;
  readonly binding: Binding;
  readonly gives: boolean;
  /** The claims that do not match, with what the JWT has. */
  readonly unmatched: readonly { readonly claim: string; readonly wanted: string; readonly has: unknown }[];
}

/** What the policy says to somebody who asks for something, and why. */
export type Explanation =
  | { readonly kind: 'rejected'; readonly asker: Extract<Asker, { kind: 'rejected' }> }
  | {
      readonly kind: 'judged';
      readonly asker: Extract<Asker, { kind: 'known' }>;
      readonly bindings: readonly JudgedBinding[];
      readonly request: PolicyRequest;
      readonly context: DecisionContext;
      /** What the caller's roles answer, each by itself, in file order. */
      readonly roles: readonly { readonly role: Role; readonly decision: RoleDecision }[];
      readonly decision: Decision;
    };

/**
 * Asks the policy, and says why it decides so.
 *
 * @throws UserError where the service would not understand the request, and so would not ask the policy.
 */
export function explain(policy: Policy, asker: Asker, asked: Asked, nowMs: number): Explanation {
  if (asker.kind === 'rejected') return { kind: 'rejected', asker };
  const { identity } = asker;
  const caller = { ...identity, roles: rolesFor(identity, policy) };
  const request = policyRequestOf(asked, identity, nowMs);
  const context = { nowMs, presets: policy.presets };
  return {
    kind: 'judged',
    asker,
    bindings: policy.bindings.flatMap((binding, index) => {
      if (binding.issuer !== identity.issuer) return [];
      const unmatched = unmatchedClaims(binding, identity.claims).map((claim) => ({
        claim,
        wanted: binding.claims[claim] ?? '',
        has: readClaim(identity.claims, claim),
      }));
      return [{ index, binding, gives: matches(binding, identity), unmatched }];
    }),
    request,
    context,
    roles: judgeEach(caller, request, context),
    decision: decide(caller, request, context),
  };
}

/** Why a request is denied, as the trail has it; null: it is allowed. */
export function denialOf(explanation: Explanation): CaseDenial | null {
  if (explanation.kind === 'rejected') return explanation.asker.reason;
  const { decision } = explanation;
  return decision.allowed ? null : reasonOf(decision.failure);
}

function reasonOf(failure: PolicyFailure): CaseDenial {
  if (failure.kind === 'forbidden') return failure.reason;
  // `decide` knows nothing of who was offboarded.
  if (failure.kind === 'subject_blocked') throw new Error('A policy blocks nobody.');
  return failure.kind;
}

/** The permission that a request needs. */
export const permissionFor = (request: PolicyRequest) => PERMISSION_FOR[request.operation];
