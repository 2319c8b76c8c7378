import { isTokenId, parseWorkspaceUuid } from '../kit/ids.ts';
import type { Purpose } from './quota-windows.ts';
import type { CreateCommand, TokenRef, UpdateCommand } from './types.ts';

const TOKENS_PATH = '/api/v1/service-account-tokens';
const OAUTH_TOKEN_PATH = '/oauth/token';

/** Which page of a list is asked for. */
export interface PageQuery {
  /** From 2 on: the first page is the answer to a request without one. */
  readonly page: number;
  /** How many tokens a page is to have; null: as many as PipeOps likes. */
  readonly limit: number | null;
}

interface TokenUrls {
  /** Where a refresh token is exchanged. */
  readonly oauthToken: string;
  /** The tokens of a workspace, or a page of them. */
  collection(workspaceUuid: string, page?: PageQuery): string;
  /** One token. */
  token(ref: TokenRef): string;
}

const pagingOf = ({ page, limit }: PageQuery): string => `&page=${page}${limit === null ? '' : `&limit=${limit}`}`;

/**
 * The only place where an upstream URL is made. `apiUrl` may have a base path.
 *
 * Throws, without naming the value, on an id that has not an id's shape and on a finished URL that is not exactly what was put in.
 * Callers check ids first, so that is a bug, and nothing has been sent.
 */
export const tokenUrls = (apiUrl: string): TokenUrls => {
  const base = new URL(apiUrl);
  if (base.username || base.password || base.search || base.hash) {
    throw new TypeError('The PipeOps URL has parts beyond origin and path.');
  }
  const basePath = base.pathname.replace(/\/+$/, '');

  const checked = (path: string, search: string): string => {
    const url = new URL(`${base.origin}${path}${search}`);
    if (url.origin !== base.origin || url.pathname !== path || url.search !== search || url.hash) {
      throw new TypeError('The upstream URL is not what was put in.');
    }
    return url.href;
  };
  const build = (workspaceUuid: string, idPath: string, paging = ''): string => {
    // PipeOps hears one spelling, since it may take another spelling for another workspace.
    if (parseWorkspaceUuid(workspaceUuid) !== workspaceUuid) throw new TypeError('Not a workspace UUID.');
    // PipeOps' controller wants the workspace in the query of every route.
    return checked(`${basePath}${TOKENS_PATH}${idPath}`, `?workspace_uuid=${workspaceUuid}${paging}`);
  };

  return {
    oauthToken: checked(`${basePath}${OAUTH_TOKEN_PATH}`, ''),
    collection: (workspaceUuid, page) => build(workspaceUuid, '', page === undefined ? '' : pagingOf(page)),
    token: ({ workspaceUuid, tokenId }) => {
      if (!isTokenId(tokenId)) throw new TypeError('Not a token id.');
      return build(workspaceUuid, `/${tokenId}`);
    },
  };
};

/**
 * The body of a create, in the form that PipeOps' CLI sends. PipeOps' controller reads `scopes`, its SDK sends `permissions`. If the name
 * that we sent were not read, the token would have no scopes or default ones, so both go out with one value.
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
 * The body of an update. What is absent stays as it is.
 *
 * PipeOps' SDK and CLI send `permissions` here, while its controller reads `scopes` on create and answers `scopes`. If the name that we
 * sent were not read, a narrowing would never happen, so both go out with one value.
 */
export const updateBody = (command: UpdateCommand): Readonly<Record<string, unknown>> => ({
  ...(command.name !== undefined && { name: command.name }),
  ...(command.description !== undefined && { description: command.description }),
  ...(command.scopes !== undefined && { permissions: command.scopes, scopes: command.scopes }),
  ...(command.isActive !== undefined && { is_active: command.isActive }),
});

/** The purpose of an update. One that only suspends takes access away, as a revoke does. */
export const purposeOf = (command: UpdateCommand): Purpose =>
  command.isActive === false && Object.keys(command).length === 1 ? 'revocation' : 'change';
