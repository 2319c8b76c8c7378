import type { Defence } from '../defence.ts';

const TOKENS = ['test/policy/tokens.test.ts'];
const CREATE = ['test/policy/create.test.ts'];
const REACH = { file: 'src/policy/reach.ts', test: [...TOKENS, 'test/policy/permission.test.ts'] };
const CEILING = { file: 'src/policy/ceiling.ts', test: [...CREATE, ...TOKENS] };
const DECIDE = { file: 'src/policy/decide.ts', test: [...TOKENS, ...CREATE] };
const BINDINGS = { file: 'src/policy/bindings.ts', test: ['test/policy/bindings.test.ts'] };
const PATTERN = { file: 'src/policy/bindings.ts', test: ['test/policy/pattern.test.ts'] };
const POLICY_FILE = ['test/config/policy-schema.test.ts'];

/** What keeps a caller within one role, and a role within what the operator wrote. */
export const policyDefences: readonly Defence[] = [
  {
    name: 'policy: a refusal tells of an update what it names, and not what its token is',
    file: 'src/policy/shortfall.ts',
    find: "const named = 'namedScopes' in request ? (request.namedScopes ?? null) : null;",
    replace: "const named = 'resulting' in request ? (request.resulting?.scopes ?? null) : null;",
    test: ['test/policy/shortfall.test.ts'],
  },
  {
    name: 'policy: a refusal tells nothing of the workspaces of a delivery',
    file: 'src/policy/shortfall.ts',
    find: "if (role === undefined || !('workspaceUuid' in request)) return null;",
    replace: `if (role === undefined) return null;
  if (!('workspaceUuid' in request)) return { of: 'workspace', role: role.name, workspaces: role.workspaces };`,
    test: ['test/policy/shortfall.test.ts'],
  },
  {
    name: 'policy: a workspace is one in whatever spelling',
    file: 'src/config/fields.ts',
    find: 'return workspace ?? z.NEVER;',
    replace: 'return workspace === null ? z.NEVER : text;',
    test: POLICY_FILE,
  },
  {
    ...BINDINGS,
    name: 'bindings: a claim of another name is not read as the UUID of a workspace',
    find: 'const isSame = WORKSPACE_CLAIM.test(name) ? namesSameWorkspace : matchesPattern;',
    replace: 'const isSame = WORKSPACE_CLAIM.test(name) ? namesSameWorkspace : namesSameWorkspace;',
  },
  {
    ...REACH,
    name: 'policy: a role holds the permissions that it lists',
    find: "return role.permissions.includes(permission) ? null : 'permission';",
    replace: 'return null;',
  },
  {
    ...REACH,
    name: 'policy: a role ends at its workspaces',
    find: "(confined ? 'workspace' : null)",
    replace: 'null',
  },
  {
    ...REACH,
    name: "policy: 'own' means the caller's own tokens",
    find: "role.tokens === 'any' || isOwner(caller, token) ? null : 'ownership';",
    replace: 'null;',
  },
  {
    ...REACH,
    name: 'policy: an owner is issuer and subject',
    find: 'token.owner?.issuer === caller.issuer && token.owner.subject === caller.subject',
    replace: 'token.owner?.subject === caller.subject',
  },
  {
    ...REACH,
    name: 'policy: the trail is read by a role over all workspaces',
    find: "if (!role.workspaces.includes('*')) return 'workspace';",
    replace: '',
  },
  {
    ...REACH,
    name: 'policy: the trail is read by a role over any token',
    find: "return role.tokens === 'any' ? null : 'ownership';",
    replace: 'return null;',
  },
  {
    ...REACH,
    name: 'policy: a list ends at its workspace',
    find: 'token.workspaceUuid === workspaceUuid && maySee(caller, token)',
    replace: 'maySee(caller, token)',
  },
  {
    ...DECIDE,
    name: 'policy: one role allows the whole of a request',
    find: 'const verdict = judge(role, caller, sighted.value, context);',
    replace:
      'const verdict = judge({ ...role, scopes: caller.roles.flatMap(({ scopes }) => scopes) }, caller, sighted.value, context);',
  },
  {
    ...DECIDE,
    name: 'policy: a token is acted on in its own workspace',
    find: 'if (token?.workspaceUuid !== workspaceUuid)',
    replace: 'if (token === null)',
  },
  {
    ...DECIDE,
    name: 'policy: a token out of sight is one that does not exist',
    find: 'const isInSight = maySee(caller, token) ||',
    replace: 'const isInSight = token !== null ||',
  },
  {
    ...DECIDE,
    name: 'policy: only a revoke needs no sight of an own token',
    find: "(request.operation === 'revoke' && mayRevokeOwn(caller, token))",
    replace: 'mayRevokeOwn(caller, token)',
  },
  {
    ...REACH,
    name: 'policy: what may be revoked unseen is an own token',
    find: 'isOwner(caller, token) && caller',
    replace: 'caller',
  },
  {
    ...REACH,
    name: 'policy: tokens of others are shown by a role that reads',
    find: "role.tokens === 'any' && workspaceObstacle(role, 'tokens:read', workspaceUuid) === null",
    replace: "role.tokens === 'any' && workspaceUuid !== ''",
  },
  {
    ...DECIDE,
    name: 'policy: an update stays under the ceiling',
    find: 'resulting === null ? null : resultObstacle(role, resulting, nowMs);',
    replace: 'null;',
  },
  {
    ...CEILING,
    name: 'policy: a create stays under the ceiling',
    find: 'if (scopes.length === 0 || !withinCeiling(role, scopes))',
    replace: 'if (scopes.length === 0)',
  },
  {
    ...CEILING,
    name: 'policy: a token without any scope is not minted',
    find: 'if (scopes.length === 0 || !withinCeiling(role, scopes))',
    replace: 'if (!withinCeiling(role, scopes))',
  },
  {
    ...CEILING,
    name: 'policy: a token whose scopes are not known is under no ceiling',
    find: 'return scopes.length > 0 && scopes.every(',
    replace: 'return scopes.every(',
  },
  {
    ...CEILING,
    name: 'policy: an unknown preset is refused',
    find: 'const fromPreset = presetScopes(request.preset, context);',
    replace: 'const fromPreset = presetScopes(request.preset, context) ?? request.scopes ?? [];',
  },
  {
    ...CEILING,
    name: 'policy: a preset counts as the scopes that it stands for',
    find: '...(request.scopes ?? []), ...fromPreset])',
    replace: '...(request.scopes ?? fromPreset)])',
  },
  {
    ...CEILING,
    name: 'policy: a preset is one that the operator wrote',
    find: 'Object.hasOwn(presets, preset) ? presets[preset] : undefined',
    replace: 'presets[preset]',
  },
  {
    ...CEILING,
    name: 'policy: no token outlives maxTtl',
    find: "ok(Math.min(wantedMs, latestMs)) : err('lifetime')",
    replace: 'ok(wantedMs) : ok(wantedMs)',
  },
  {
    ...CEILING,
    name: 'policy: what is asked for beyond maxTtl within the tolerance is cut',
    find: 'ok(Math.min(wantedMs, latestMs))',
    replace: 'ok(wantedMs)',
  },
  {
    ...CEILING,
    name: 'policy: a token asked for without expiry gets maxTtl',
    find: 'if (wantedMs === null) return ok(latestMs);',
    replace: 'if (wantedMs === null) return ok(null);',
  },
  {
    ...CEILING,
    name: 'policy: a token that lives too long is not changed',
    find: "return expiresAtMs !== null && expiresAtMs <= latestMs ? null : 'lifetime';",
    replace: 'return null;',
  },
  {
    ...BINDINGS,
    name: 'policy: a binding that asks for nothing matches nobody',
    find: 'wanted.length === 0 || binding.issuer',
    replace: 'binding.issuer',
  },
  {
    ...BINDINGS,
    name: 'policy: a binding is for one issuer',
    find: 'wanted.length === 0 || binding.issuer !== identity.issuer',
    replace: 'wanted.length === 0',
  },
  {
    ...BINDINGS,
    name: 'policy: every claim of a binding must match',
    find: 'return wanted.every(([name, pattern])',
    replace: 'return wanted.some(([name, pattern])',
  },
  {
    ...BINDINGS,
    name: 'policy: every word of a scope must match',
    find: 'wanted.every((word)',
    replace: 'wanted.some((word)',
  },
  {
    ...BINDINGS,
    name: 'policy: a number that a double rounds matches nothing',
    find: "typeof value === 'boolean' || Number.isSafeInteger(value)",
    replace: "typeof value === 'boolean' || typeof value === 'number'",
  },
  {
    ...PATTERN,
    name: 'policy: * does not cross / or :',
    find: 'separatorCount(pattern) === separatorCount(value) && matchesPieces(pattern, value)',
    replace: 'matchesPieces(pattern, value)',
  },
  {
    ...PATTERN,
    name: 'policy: nothing matches an empty claim',
    find: "if (value === '') return false;",
    replace: '',
  },
  {
    name: 'policy file: a binding has an exact claim',
    file: 'src/config/policy-schema.ts',
    find: 'if (exact.length === 0) {',
    replace: 'if (Object.keys(claims).length === 0) {',
    test: POLICY_FILE,
  },
  {
    name: 'policy file: a GitHub binding says whose repository',
    file: 'src/config/policy-schema.ts',
    find: '!GITHUB_OWNERSHIP_CLAIMS.some((name) => exact.includes(name))',
    replace: 'exact.length === 0',
    test: POLICY_FILE,
  },
  {
    name: 'policy file: a key __proto__ is not dropped in silence',
    file: 'src/config/fields.ts',
    find: "isObject(input) && !Object.hasOwn(input, '__proto__')",
    replace: 'isObject(input)',
    test: POLICY_FILE,
  },
  {
    name: 'policy file: inline keys are public',
    file: 'src/config/issuers.ts',
    find: 'return isPublicType && !PRIVATE_MEMBERS.some((member) => member in input);',
    replace: 'return isPublicType;',
    test: POLICY_FILE,
  },
  {
    name: 'env: the admin credential is no service token',
    file: 'src/config/env.ts',
    find: "!text.startsWith('sat_')",
    replace: "text !== ''",
    test: ['test/config/env.test.ts'],
  },
];
