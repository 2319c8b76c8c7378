import type { TokenList, UpstreamToken } from '../../src/pipeops/types.ts';

/** A live token as PipeOps tells it, but for what the test is about. */
export const upstreamToken = (values: Partial<UpstreamToken> = {}): UpstreamToken => ({
  id: 'tok-1',
  name: 'deploy',
  description: null,
  scopes: ['api:read'],
  tokenPrefix: null,
  workspaceId: null,
  isRevoked: false,
  isExpired: false,
  isActive: true,
  expiresAt: null,
  createdAt: null,
  updatedAt: null,
  lastUsedAt: null,
  ...values,
});

export const tokenList = (tokens: readonly UpstreamToken[], complete = true): TokenList => ({
  tokens,
  total: tokens.length,
  complete,
  state: complete ? 'complete' : 'partial',
  pages: 1,
});
