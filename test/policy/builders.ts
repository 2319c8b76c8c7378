import type { Caller, KnownToken, PolicyRequest, Role } from '../../src/policy/types.ts';

export const NOW_MS = Date.UTC(2026, 10, 24);
export const HOUR_MS = 60 * 60 * 1000;
export const HOUR_SECONDS = 60 * 60;
export const SHOP = 'workspace-shop';
export const BANK = 'workspace-bank';
export const CONTEXT = { nowMs: NOW_MS, presets: { sandbox: ['api:read'], platform: ['api:read', 'api:write'] } };

/** A role that may do everything with its own tokens in one workspace, except where a test changes it. */
export const role = (changes: Partial<Role> = {}): Role => ({
  name: 'ci',
  permissions: ['tokens:create', 'tokens:read', 'tokens:update', 'tokens:revoke'],
  tokens: 'own',
  workspaces: [SHOP],
  scopes: ['api:read'],
  maxTtlSeconds: null,
  maxTokens: 100,
  maxOverlapSeconds: 7 * 24 * HOUR_SECONDS,
  unusedAfterSeconds: 90 * 24 * HOUR_SECONDS,
  onUnused: 'report',
  ...changes,
});

export const callerWith = (...roles: readonly Role[]): Caller => ({
  issuer: 'https://issuer.example',
  subject: 'alice',
  label: null,
  actorType: 'service_account',
  claims: {},
  roles,
});

const known = (owner: KnownToken['owner'], workspaceUuid = SHOP): KnownToken => ({
  tokenId: 't',
  workspaceUuid,
  owner,
  suspendedBy: [],
});

/** Tokens by their owner, as the caller of `callerWith` sees them. */
export const TOKENS = {
  mine: known({ issuer: 'https://issuer.example', subject: 'alice' }),
  mineInBank: known({ issuer: 'https://issuer.example', subject: 'alice' }, BANK),
  anothers: known({ issuer: 'https://issuer.example', subject: 'bob' }),
  namesakes: known({ issuer: 'https://other.example', subject: 'alice' }),
  nobodys: known(null),
} as const;

export const create = (
  changes: Partial<Extract<PolicyRequest, { operation: 'create' }>> = {},
): Extract<PolicyRequest, { operation: 'create' }> => ({
  operation: 'create',
  workspaceUuid: SHOP,
  scopes: ['api:read'],
  preset: null,
  expiresAtMs: null,
  heldTokens: 0,
  ...changes,
});
