import { isTokenId, parseWorkspaceUuid } from '../kit/ids.ts';
import type { Purpose } from './quota-windows.ts';
import type { CreateCommand, TokenRef, UpdateCommand } from './types.ts';

const TOKENS_PATH = '/api/v1/service-account-tokens';

/** Which page of a list is asked for. */
export interface PageQuery {
  /** From 2: the first is what is answered without it. */
  readonly page: number;
  /** How many tokens a page has; null: as many as PipeOps likes. */
  readonly limit: number | null;
}

interface TokenUrls {
  /** The tokens of a workspace; of a list, a page of them. */
  collection(workspaceUuid: string, page?: PageQuery): string;
  /** One token. */
  token(ref: TokenRef): string;
}

const pagingOf = ({ page, limit }: PageQuery): string => `&page=${page}${limit === null ? '' : `&limit=${limit}`}`;

/**
 * The only place where an upstream URL is made. `apiUrl` may have a base path.
 *
 * Throws, without naming the value, on an id that is not of an id's shape or on a finished URL that is not exactly what
 * was put in: callers check ids first, so that is a bug, and nothing has been sent.
 */
export const tokenUrls = (apiUrl: string): TokenUrls => {
  const base = new URL(apiUrl);
  if (base.username || base.password || base.search || base.hash) {
    throw new TypeError('The PipeOps URL has parts beyond origin and path.');
  }
  const basePath = base.pathname.replace(/\/+$/, '');

  const build = (workspaceUuid: string, idPath: string, paging = ''): string => {
    // PipeOps hears one spelling, since it may hold another for another workspace.
    if (parseWorkspaceUuid(workspaceUuid) !== workspaceUuid) throw new TypeError('Not a workspace UUID.');
    const path = `${basePath}${TOKENS_PATH}${idPath}`;
    // PipeOps' controller wants the workspace in the query of every route.
    const search = `?workspace_uuid=${workspaceUuid}${paging}`;
    const url = new URL(`${base.origin}${path}${search}`);
    if (url.origin !== base.origin || url.pathname !== path || url.search !== search || url.hash) {
      throw new TypeError('The upstream URL is not what was put in.');
    }
    return url.href;
  };

  return {
    collection: (workspaceUuid, page) => build(workspaceUuid, '', page === undefined ? '' : pagingOf(page)),
    token: ({ workspaceUuid, tokenId }) => {
      if (!isTokenId(tokenId)) throw new TypeError('Not a token id.');
      return build(workspaceUuid, `/${tokenId}`);
    },
  };
};

/**
 * The body of a create, in the form that PipeOps' CLI sends. Its controller reads `scopes`, its SDK sends `permissions`: a name
 * that is not read would be a token without scopes, or with those of a default, so both go out with the same value.
 */
export const createBody = (command: CreateCommand): Readonly<Record<string, unknown>> => ({
  name: command.name,
  workspace_uuid: command.workspaceUuid,
  scopes: command.scopes,
  permissions: command.scopes,
  ...(command.description !== null && { metadata: { description: command.description } }),
  ...(command.expiresAt !== null && { expires_at: command.expiresAt }),
});

/**
 * The body of an update; what is absent stays as it is.
 *
 * PipeOps' SDK and CLI send `permissions` here, while its controller reads `scopes` on create and answers `scopes`. A
 * name that it does not read would be a narrowing that never happened, so both go out with the same value.
 */
export const updateBody = (command: UpdateCommand): Readonly<Record<string, unknown>> => ({
  ...(command.name !== undefined && { name: command.name }),
  ...(command.description !== undefined && { description: command.description }),
  ...(command.scopes !== undefined && { permissions: command.scopes, scopes: command.scopes }),
  ...(command.isActive !== undefined && { is_active: command.isActive }),
});

/** An update that only suspends takes access away, as a revoke does. */
export const purposeOf = (command: UpdateCommand): Purpose =>
  command.isActive === false && Object.keys(command).length === 1 ? 'revocation' : 'change';
