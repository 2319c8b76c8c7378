import type { MintedToken, UpstreamToken } from '../pipeops/types.ts';
import { markerOf, stripMarker } from '../audit/marker.ts';
import type { TokenRow } from '../db/schema.ts';
import { successBody, type SuccessBody } from '../http/envelope.ts';

/** A token as it is shown to callers. */
export interface ShownToken extends UpstreamToken {
  /** What its name ends with is no marker of ours, whatever it looks like: the name is shown as it is. */
  readonly isNameWhole?: true;
}

/**
 * A token with the word of the inventory about its name. A marker is one only if it is that of the inventory's row. A token that
 * the inventory lacks may be that of a create which is still open: then whatever looks like a marker is not shown.
 */
export function named(token: UpstreamToken, known: Pick<TokenRow, 'marker'> | undefined): ShownToken {
  if (known === undefined || (known.marker !== null && token.name.endsWith(known.marker))) return token;
  return markerOf(token.name) === null ? token : { ...token, isNameWhole: true };
}

/**
 * A token as PipeOps' own clients read it (Go SDK v0.18.5, CLI): `uuid` on list, get and update, `id` besides on
 * create; `permissions` in the SDK, `scopes` in the CLI. Null times and texts mean none to both.
 */
export function presentToken(token: ShownToken) {
  return {
    id: token.id,
    uuid: token.id,
    name: token.isNameWhole === true ? token.name : stripMarker(token.name),
    description: token.description,
    scopes: token.scopes,
    permissions: token.scopes,
    token_prefix: token.tokenPrefix,
    workspace_id: token.workspaceId,
    is_revoked: token.isRevoked,
    is_expired: token.isExpired,
    // PipeOps may leave it out. The SDK would read that as false, which means suspended, so it is told as the CLI infers it.
    is_active: token.isActive ?? (!token.isRevoked && !token.isExpired),
    expires_at: token.expiresAt,
    created_at: token.createdAt,
    updated_at: token.updatedAt,
    last_used_at: token.lastUsedAt,
  };
}

/** The answer to a create, the only one with the secret: flat, with `token` a string. */
export function presentMinted(token: MintedToken) {
  return { ...presentToken(token), token: token.secret };
}

/** The data of the answer to a list. */
export function presentList(tokens: readonly ShownToken[]) {
  return { tokens: tokens.map(presentToken), total: tokens.length };
}

/** The tokens of a workspace that a caller sees. */
export interface Listing {
  readonly tokens: readonly ShownToken[];
  /** Whether there may be others, of which PipeOps did not tell. */
  readonly isPartial: boolean;
}

/** The answer to a list, made once for each list that is held: everybody who sees all of it gets the same bytes. */
export function listBody({ tokens, isPartial }: Listing): SuccessBody {
  const bodies = isPartial ? PARTIAL_BODIES : WHOLE_BODIES;
  const known = bodies.get(tokens);
  if (known !== undefined) return known;
  const body = successBody('Service account tokens.', presentList(tokens), isPartial ? { partial: true } : {});
  bodies.set(tokens, body);
  return body;
}

const WHOLE_BODIES = new WeakMap<readonly ShownToken[], SuccessBody>();
const PARTIAL_BODIES = new WeakMap<readonly ShownToken[], SuccessBody>();
