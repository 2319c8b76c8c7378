import * as z from 'zod';
import { UserError } from '../../local/errors.ts';
import type { Policy } from '../../src/config/policy.ts';
import { askedSchema } from './asked.ts';
import { askerOf } from './caller.ts';
import { denialOf, explain, type Explanation } from './explain.ts';

// The table of cases beside a policy, and what the policy says to each.

/** As the types of `define-cases.ts` say it, for files that no compiler has seen. */
const casesSchema = z
  .array(
    z.strictObject({
      name: z.string().min(1),
      caller: z.strictObject({ issuer: z.string(), claims: z.record(z.string(), z.unknown()) }),
      request: askedSchema,
      expect: z.union(
        [z.strictObject({ allowed: z.string() }), z.strictObject({ denied: z.string(), role: z.string().optional() })],
        { error: "is neither { allowed: 'role' } nor { denied: 'reason', role?: 'role' }" },
      ),
    }),
  )
  .min(1, { error: 'is empty: a policy without cases is not tested' });
type Case = z.output<typeof casesSchema>[number];

/** What became of a case. */
export interface CaseResult {
  readonly name: string;
  readonly expected: Case['expect'];
  readonly explanation: Explanation;
  readonly holds: boolean;
}

/** The roles and bindings of a policy about which no case says anything. */
export interface Untested {
  /** Roles by which no case is allowed. */
  readonly roles: readonly string[];
  /** Places in the file of bindings that give no case its role. */
  readonly bindings: readonly number[];
}

/**
 * Reads a table of cases.
 *
 * @throws UserError with every problem, and with every role that the policy does not have.
 */
export function readCases(input: unknown, { roles }: Pick<Policy, 'roles'>, name: string): readonly Case[] {
  const parsed = casesSchema.safeParse(input);
  if (!parsed.success) {
    const problems = parsed.error.issues.map(
      ({ path, message }) => `  ${path.map(String).join('.') || 'the table'}: ${message}`,
    );
    throw new UserError(`${name} is no table of cases.\n${problems.join('\n')}`);
  }
  const known = new Set(roles.map((role) => role.name));
  const strange = parsed.data.flatMap(({ name: title, expect }) => {
    const role = 'allowed' in expect ? expect.allowed : expect.role;
    return role === undefined || known.has(role)
      ? []
      : [`  "${title}" expects the role ${role}; there are: ${[...known].join(', ')}`];
  });
  if (strange.length > 0)
    throw new UserError(`${name} names roles that the policy does not have.\n${strange.join('\n')}`);
  return parsed.data;
}

/**
 * Asks the policy each case.
 *
 * @throws UserError for a case that the service would not understand, such as a scope that is none.
 */
export async function runCases(policy: Policy, cases: readonly Case[], nowMs: number): Promise<readonly CaseResult[]> {
  const results: CaseResult[] = [];
  for (const { name, caller, request, expect } of cases) {
    const asker = await askerOf(
      policy.issuers,
      { kind: 'claims', claims: claimsOf(policy, caller) },
      null,
      null,
      nowMs,
    );
    const explanation = namingCase(name, () => explain(policy, asker, request, nowMs));
    results.push({ name, expected: expect, explanation, holds: isAsExpected(explanation, expect) });
  }
  return results;
}

/** The claims of a case, with what a JWT of its issuer for this service always has. */
function claimsOf({ issuers }: Policy, { issuer, claims }: Case['caller']): Readonly<Record<string, unknown>> {
  const audience = issuers.find((entry) => entry.issuer === issuer)?.audience[0];
  return { iss: issuer, ...(audience !== undefined && { aud: audience }), ...claims };
}

function namingCase<T>(name: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof UserError)
      throw new UserError(`The case "${name}" asks for nothing. ${error.message}`, { cause: error });
    throw error;
  }
}

function isAsExpected(explanation: Explanation, expected: Case['expect']): boolean {
  const denial = denialOf(explanation);
  if ('allowed' in expected) {
    return (
      explanation.kind === 'judged' &&
      explanation.decision.allowed &&
      explanation.decision.grant.role === expected.allowed
    );
  }
  if (denial !== expected.denied) return false;
  return expected.role === undefined || refusalOf(explanation, expected.role) === expected.denied;
}

/** Why this role of the caller refuses; null if the caller does not have it, or it allows. */
function refusalOf(explanation: Explanation, name: string): string | null {
  const judged = explanation.kind === 'judged' ? explanation.roles.find(({ role }) => role.name === name) : undefined;
  if (judged === undefined || judged.decision.ok) return null;
  return judged.decision.error === 'token_limit' ? 'token_limit_reached' : judged.decision.error;
}

/** What no case says anything about. */
export function untestedBy(results: readonly CaseResult[], { roles, bindings }: Policy): Untested {
  const judged = results.flatMap(({ explanation }) => (explanation.kind === 'judged' ? [explanation] : []));
  const deciding = new Set(judged.flatMap(({ decision }) => (decision.allowed ? [decision.grant.role] : [])));
  const giving = new Set(judged.flatMap((one) => one.bindings.flatMap(({ index, gives }) => (gives ? [index] : []))));
  return {
    roles: roles.map(({ name }) => name).filter((name) => !deciding.has(name)),
    bindings: bindings.map((_binding, index) => index).filter((index) => !giving.has(index)),
  };
}
