import { MAX_TOKENS_DEFAULT_COUNT } from './limits.ts';
import type { Policy } from './policy.ts';
import type { ConfigProblem } from './problems.ts';

/**
 * The parts of a valid policy that are safe and have no effect. The Worker serves such a policy; `npm run doctor` tells the operator,
 * who meant them to do something.
 */
export function policyAdvice({ roles, bindings }: Policy): readonly ConfigProblem[] {
  return roles.flatMap(({ name, permissions, scopes, maxTokens }) => {
    const problems: ConfigProblem[] = [];
    if (!bindings.some(({ role }) => role === name)) {
      problems.push({
        key: `roles.${name}`,
        problem: 'is a role nobody can have: no binding grants it',
        example: `bindings: [{ issuer: 'https://…', claims: { repository: 'acme/shop' }, role: '${name}' }]`,
      });
    }
    if (permissions.includes('tokens:create') && scopes.length === 0) {
      problems.push({
        key: `roles.${name}.scopes`,
        problem: 'is empty: a role with tokens:create and no scopes can create nothing',
        example: "scopes: ['api:read']",
      });
    }
    if (maxTokens !== MAX_TOKENS_DEFAULT_COUNT && !permissions.includes('tokens:create')) {
      problems.push({
        key: `roles.${name}.maxTokens`,
        problem: 'limits nothing: it is about creates, and the role has no tokens:create',
        example: "permissions: ['tokens:create', 'tokens:read', 'tokens:revoke'], maxTokens: 200",
      });
    }
    return problems;
  });
}
