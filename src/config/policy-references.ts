import * as z from 'zod';
import type { ConfigProblem } from './problems.ts';

const record = z.record(z.string(), z.unknown());

/**
 * Names in bindings that nothing bears. Looked for in the raw input, so that they are told along with whatever else is
 * wrong: an operator should not have to mend a file in rounds.
 */
export function danglingReferences(input: unknown): readonly ConfigProblem[] {
  const { issuers, roles, bindings } = record.catch({}).parse(input);
  const issuerNames = new Set(entries(issuers).map(({ issuer }) => issuer));
  const roleNames = Object.keys(record.catch({}).parse(roles));
  return entries(bindings).flatMap(({ issuer, role }, index) => {
    const problems: ConfigProblem[] = [];
    if (typeof issuer === 'string' && !issuerNames.has(issuer)) {
      problems.push({
        key: `bindings[${index}].issuer`,
        problem: 'is none of the issuers above',
        example: "issuer: 'https://token.actions.githubusercontent.com', the same as in issuers",
      });
    }
    if (typeof role === 'string' && !roleNames.includes(role)) {
      problems.push({
        key: `bindings[${index}].role`,
        problem: `is an unknown role, ${JSON.stringify(role)}; there are: ${roleNames.join(', ')}`,
        example: "role: 'ci', with roles: { ci: { … } }",
      });
    }
    return problems;
  });
}

function entries(input: unknown): readonly Record<string, unknown>[] {
  return Array.isArray(input) ? input.map((entry) => record.catch({}).parse(entry)) : [];
}
