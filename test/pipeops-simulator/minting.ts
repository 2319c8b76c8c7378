import { randomInt, randomUUID } from 'node:crypto';
import type { StoredToken } from './state.ts';
import { rfc3339 } from './wire.ts';

const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const SECRET_CHARS = 40;

const mintSecret = (): string =>
  `sat_${Array.from({ length: SECRET_CHARS }, () => BASE62[randomInt(BASE62.length)]).join('')}`;

/** A token nobody has yet. */
export const mint = (
  asked: Pick<StoredToken, 'workspace_uuid' | 'name' | 'description' | 'scopes' | 'expires_at'> & { id?: string },
  nowMs: number,
): StoredToken => ({
  id: asked.id ?? randomUUID(),
  workspace_uuid: asked.workspace_uuid,
  name: asked.name,
  description: asked.description,
  scopes: asked.scopes,
  secret: mintSecret(),
  is_revoked: false,
  is_active: true,
  expires_at: asked.expires_at,
  created_at: rfc3339(nowMs),
  updated_at: rfc3339(nowMs),
  last_used_at: null,
  commits: [],
});
