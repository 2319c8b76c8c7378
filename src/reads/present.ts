import { SNAPSHOT_TOKENS_MAX_COUNT } from '../config/limits.ts';
import type { MintedToken, UpstreamToken } from '../pipeops/types.ts';
import { stripMarker } from '../kit/marker.ts';
import type { TokenRow } from '../db/schema.ts';
import { successBody, type SuccessBody } from '../http/answer.ts';
import { msOrNull } from '../kit/time.ts';
import type { Freshness } from './pace.ts';
import { createTokenCache } from './snapshot.ts';
import type { Basis } from './steps.ts';

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
  return { ...token, isNameWhole: true };
}

/**
 * A token as PipeOps' own clients read it (Go SDK v0.18.7, CLI): `uuid` on list, get and update, `id` besides on
 * create; `permissions` in the SDK, `scopes` in the CLI. Null times and texts mean none to both.
 *
 * The SDK reads `is_active` alone to tell whether a token can be used, and PipeOps sets it apart from the other flags: a token that
 * is revoked may be active to it. So it is told only of a token that is neither revoked, expired nor suspended.
 *
 * @param nowMs milliseconds since the epoch: a list may be older than the end of a token in it.
 */
export function presentToken(token: ShownToken, nowMs: number) {
  const isExpired = token.isExpired || endMsOf(token) <= nowMs;
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
    is_expired: isExpired,
    // PipeOps may leave it out. The SDK would read that as false, which means suspended.
    is_active: token.isActive !== false && !token.isRevoked && !isExpired,
    expires_at: token.expiresAt,
    created_at: token.createdAt,
    updated_at: token.updatedAt,
    last_used_at: token.lastUsedAt,
  };
}

/** When a token ends by itself, in milliseconds since the epoch. */
const endMsOf = ({ expiresAt }: ShownToken): number => msOrNull(expiresAt) ?? Infinity;

/**
 * The answer to a create, the only one with the secret: flat, with `token` a string.
 *
 * @param asked the description that was asked for: PipeOps' answer to a create has none.
 */
export function presentMinted(token: MintedToken, asked: string | null, nowMs: number) {
  return { ...presentToken(token, nowMs), description: token.description ?? asked, token: token.secret };
}

/** The data of the answer to a list. */
export function presentList(tokens: readonly ShownToken[], nowMs: number) {
  return { tokens: tokens.map((token) => presentToken(token, nowMs)), total: tokens.length };
}

/** The tokens of a workspace that a caller sees. */
export interface Listing {
  /** Names what it shows: workspace, generation, list, and what its caller may see. What has one name shows the same tokens. */
  readonly name: string;
  readonly tokens: () => readonly ShownToken[];
  /** Whether there may be others, of which PipeOps did not tell. */
  readonly isPartial: boolean;
}

/** The bytes of a list, and from when on they are not true any more, since one of its tokens has expired. */
interface ListBody {
  readonly bytes: SuccessBody;
  readonly untilMs: number;
}

/** The answers to lists. Each is made once, and again when a token of it expires: all who see the same tokens get the same bytes. */
export interface ListBodies {
  of(listing: Listing, nowMs: number): SuccessBody;
}

/** @param maxTokens in all of them. */
export function createListBodies(maxTokens = SNAPSHOT_TOKENS_MAX_COUNT): ListBodies {
  const bodies = createTokenCache<ListBody>(maxTokens);
  return {
    of: ({ name, tokens: shownTokens, isPartial }, nowMs) => {
      const key = `${isPartial ? 'part' : 'whole'} ${name}`;
      const known = bodies.peek(key);
      if (known !== undefined && nowMs < known.untilMs) return known.bytes;
      const tokens = shownTokens();
      const data = presentList(tokens, nowMs);
      const bytes = successBody('Service account tokens.', data, isPartial ? { partial: true } : {});
      bodies.put(key, { bytes, untilMs: nextEndMs(tokens, nowMs) }, tokens.length);
      return bytes;
    },
  };
}

/** When the first token of a list ends that has not ended yet. */
const nextEndMs = (tokens: readonly ShownToken[], nowMs: number): number =>
  tokens.map(endMsOf).reduce((next, endMs) => (endMs > nowMs && endMs < next ? endMs : next), Infinity);

/** Where an answer came from. */
export type CacheStatus =
  /** A list that was held: by this isolate, or in D1. `ttlMs` below 0: it stands in for one that PipeOps did not give. */
  | { readonly from: 'memory' | 'd1'; readonly ttlMs: number; readonly ageMs: number }
  /** PipeOps, for this read or for another that wanted the same. */
  | { readonly from: 'pipeops'; readonly why: 'miss' | 'request'; readonly isShared: boolean };

/** What is said of a list that an answer was taken from. */
export function cacheStatus(basis: Basis, wanted: Freshness, nowMs: number): CacheStatus {
  if (basis.from === 'pipeops') {
    return { from: basis.from, why: wanted.isNoCache ? 'request' : 'miss', isShared: basis.isShared };
  }
  const ageMs = nowMs - basis.list.begunAtMs;
  return { from: basis.from, ageMs, ttlMs: wanted.maxAgeMs - ageMs };
}

/** The header `Cache-Status` (RFC 9211), and `Age` (RFC 9111 §5.1) of what was held. */
export function cacheHeaders(status: CacheStatus): Readonly<Record<string, string>> {
  if (status.from === 'pipeops') {
    return { 'Cache-Status': `countersign; fwd=${status.why}${status.isShared ? '; collapsed' : ''}` };
  }
  const ttl = `ttl=${Math.floor(status.ttlMs / 1000)}`;
  const detail = status.ttlMs < 0 ? '; detail=stale' : status.from === 'd1' ? '; detail=d1' : '';
  return {
    'Cache-Status': `countersign; hit; ${ttl}${detail}`,
    Age: String(Math.max(0, Math.floor(status.ageMs / 1000))),
  };
}
