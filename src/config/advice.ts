import { FULL_SCOPE, KNOWN_PRESETS, KNOWN_SCOPES } from './grant-names.ts';
import { issuerAdvice } from './issuer-advice.ts';
import { MAX_OVERLAP_DEFAULT_SECONDS } from './aging-limits.ts';
import { LIFETIME_ADVISED_MAX_SECONDS, MAX_TOKENS_DEFAULT_COUNT } from './limits.ts';
import type { Policy } from './policy.ts';
import type { Finding } from './problems.ts';
import { uuidOf } from '../kit/ids.ts';
import { SECONDS_PER_DAY } from '../kit/time.ts';
import type { Binding, Role } from '../policy/types.ts';
import type { Permission } from '../vocabulary.ts';

/**
 * The parts of a valid policy that have no effect, or another one than whoever wrote them can have meant. The Worker serves such a
 * policy; `npm run doctor` tells the operator.
 */
export function policyAdvice(policy: Policy): readonly Finding[] {
  return [
    ...policy.roles.flatMap((role) => roleAdvice(role, policy)),
    ...policy.webhooks.flatMap(({ name, workspaces }) => workspaceAdvice(`webhooks.${name}`, workspaces)),
    ...presetAdvice(policy.presets),
    ...issuerAdvice(policy),
  ];
}

/** The permissions by which tokens come to be. */
const MINTING = ['tokens:create', 'tokens:rotate'] as const;

function roleAdvice(role: Role, policy: Policy): readonly Finding[] {
  const { name, permissions, scopes, maxTokens, maxOverlapSeconds } = role;
  const key = `roles.${name}`;
  const found: Finding[] = [];
  const isGranted = policy.bindings.some((binding) => binding.role === name);
  if (!isGranted) {
    found.push({
      severity: 'problem',
      key,
      problem: 'is a role nobody can have: no binding grants it',
      example: `bindings: [{ issuer: 'https://…', claims: { repository: 'acme/shop' }, role: '${name}' }]`,
    });
  }
  const minting = MINTING.filter((permission) => permissions.includes(permission));
  if (minting.length > 0 && scopes.length === 0) {
    found.push({
      severity: 'problem',
      key: `${key}.scopes`,
      problem: `is empty: a role with ${minting.join(' and ')} and no scopes can mint nothing`,
      example: "scopes: ['api:read']",
    });
  }
  if (maxTokens !== MAX_TOKENS_DEFAULT_COUNT && minting.length === 0) {
    found.push({
      severity: 'problem',
      key: `${key}.maxTokens`,
      problem: `limits nothing: it is about minting, and the role has no ${MINTING.join(' and no ')}`,
      example: "permissions: ['tokens:create', 'tokens:read', 'tokens:revoke'], maxTokens: 200",
    });
  }
  if (maxOverlapSeconds !== MAX_OVERLAP_DEFAULT_SECONDS && !permissions.includes('tokens:rotate')) {
    found.push({
      severity: 'problem',
      key: `${key}.maxOverlap`,
      problem: 'limits nothing: it is about rotations, and the role has no tokens:rotate',
      example: "permissions: ['tokens:create', 'tokens:read', 'tokens:rotate', 'tokens:revoke'], maxOverlap: '7d'",
    });
  }
  return [
    ...found,
    ...(isGranted ? missingPermissions(role, policy) : []),
    ...lifetimeAdvice(role),
    ...workspaceAdvice(key, role.workspaces),
    ...scopeAdvice(`${key}.scopes`, scopes),
  ];
}

// ── Permissions that need others ────────────────────────────────────────────────────────────────────────────────────

/**
 * What the bearers of a role may do and cannot finish. Whoever creates a token should be able to see it and to revoke it when it leaks.
 * A token that a caller may not read is 404 to it, so that it can change nothing there.
 */
function missingPermissions(role: Role, policy: Policy): readonly Finding[] {
  const lacks = (permission: Permission): boolean => !mayAlso(role, permission, policy);
  const has = (permission: Permission): boolean => role.permissions.includes(permission);
  const key = `roles.${role.name}.permissions`;
  const found: Finding[] = [];
  if (has('tokens:create')) {
    const missing = (['tokens:read', 'tokens:revoke'] as const).filter(lacks);
    const verbs = { 'tokens:read': 'read', 'tokens:revoke': 'revoke' } as const;
    if (missing.length > 0) {
      found.push({
        severity: 'problem',
        key,
        problem: `lets its bearers create tokens and not ${missing.map((permission) => verbs[permission]).join(' or ')} them: it has no ${missing.join(' and no ')}`,
        example: "permissions: ['tokens:create', 'tokens:read', 'tokens:revoke'], tokens: 'own'",
      });
    }
  }
  if (has('tokens:update') && lacks('tokens:read')) {
    found.push({
      severity: 'problem',
      key,
      problem:
        'has tokens:update without tokens:read, and changes nothing: a token that a caller may not read is 404 to it',
      example: "permissions: ['tokens:read', 'tokens:update']",
    });
  }
  if (has('tokens:revoke') && role.tokens === 'any' && lacks('tokens:read')) {
    found.push({
      severity: 'problem',
      key,
      problem:
        "has tokens:revoke for tokens: 'any' without tokens:read, and revokes only its bearers' own: any other is 404 to them",
      example: "permissions: ['tokens:read', 'tokens:revoke'], tokens: 'any'",
    });
  }
  return found;
}

/** Whether whoever has the role may do this with all tokens of the role, by the role itself or by another that they surely have. */
function mayAlso(role: Role, permission: Permission, { roles, bindings }: Policy): boolean {
  const grants = (other: Role | undefined): boolean =>
    other !== undefined &&
    other.permissions.includes(permission) &&
    (other.tokens === 'any' || role.tokens === 'own') &&
    (other.workspaces.includes('*') || role.workspaces.every((workspace) => other.workspaces.includes(workspace)));
  return (
    grants(role) ||
    bindings
      .filter((binding) => binding.role === role.name)
      .every((binding) =>
        bindings.some((other) => isImpliedBy(binding, other) && grants(roles.find(({ name }) => name === other.role))),
      )
  );
}

/** Whether every identity that matches `binding` matches `other` too. */
const isImpliedBy = (binding: Binding, other: Binding): boolean =>
  other.issuer === binding.issuer &&
  Object.entries(other.claims).every(([name, value]) => binding.claims[name] === value);

// ── Lifetimes ───────────────────────────────────────────────────────────────────────────────────────────────────────

const YEAR_DAYS = LIFETIME_ADVISED_MAX_SECONDS / SECONDS_PER_DAY;

function lifetimeAdvice({ name, permissions, scopes, workspaces, maxTtlSeconds }: Role): readonly Finding[] {
  const key = `roles.${name}.maxTtl`;
  if (maxTtlSeconds !== null) {
    if (maxTtlSeconds <= LIFETIME_ADVISED_MAX_SECONDS) return [];
    const problem = `is ${Math.floor(maxTtlSeconds / SECONDS_PER_DAY)} days, more than a year: nobody remembers such a token when it leaks`;
    return [{ severity: 'problem', key, problem, example: `maxTtl: '${YEAR_DAYS}d' at most` }];
  }
  if (!MINTING.some((permission) => permissions.includes(permission))) return [];
  const example = "maxTtl: '30d'";
  const isFull = scopes.includes(FULL_SCOPE) || scopes.includes('*');
  if (isFull && workspaces.includes('*')) {
    const problem = `is missing: the role lets its bearers mint ${FULL_SCOPE} in all workspaces for ever`;
    return [{ severity: 'problem', key, problem, example }];
  }
  return [{ severity: 'warning', key, problem: 'is missing: tokens of this role may live for ever', example }];
}

// ── Names that PipeOps should know ──────────────────────────────────────────────────────────────────────────────────

/** The workspaces of an entry that are no UUIDs. */
function workspaceAdvice(entry: string, workspaces: readonly string[]): readonly Finding[] {
  return workspaces.flatMap((workspace, index): Finding[] => {
    const problem = workspaceProblem(workspace);
    const key = `${entry}.workspaces[${index}]`;
    return problem === null ? [] : [{ severity: 'problem', key, problem, example: WORKSPACES_EXAMPLE }];
  });
}

const WORKSPACES_EXAMPLE = "the UUID of the workspace, as PipeOps' console shows it; or ['*'] for all";

/** What is wrong with a workspace that the Worker accepts; null if nothing is. `*` is all of them. */
export function workspaceProblem(workspace: string): string | null {
  if (workspace === '*' || uuidOf(workspace) !== null) return null;
  return `is no UUID, ${JSON.stringify(workspace)}: PipeOps knows its workspaces by their UUIDs`;
}

function presetAdvice(presets: Policy['presets']): readonly Finding[] {
  return Object.entries(presets).flatMap(([name, scopes]): readonly Finding[] => {
    const known: Finding = {
      severity: 'warning',
      key: `presets.${name}`,
      problem: 'is a preset that PipeOps is not known to have',
      example: `one of ${KNOWN_PRESETS.join(', ')}, unless PipeOps has told you of it`,
    };
    return [...(KNOWN_PRESETS.includes(name) ? [] : [known]), ...scopeAdvice(`presets.${name}`, scopes)];
  });
}

function scopeAdvice(key: string, scopes: readonly string[]): readonly Finding[] {
  return scopes.flatMap((scope, index): Finding[] => {
    if (scope === '*' || KNOWN_SCOPES.includes(scope)) return [];
    const problem = `is a scope that PipeOps is not known to have, ${JSON.stringify(scope)}`;
    const example = `one of ${KNOWN_SCOPES.join(', ')}, unless PipeOps has told you of it`;
    return [{ severity: 'warning', key: `${key}[${index}]`, problem, example }];
  });
}
