import { credentialExpiryMs } from '../config/secrets.ts';
import {
  CREDENTIAL_END_SLACK_MS,
  CREDENTIAL_LEASE_MS,
  CREDENTIAL_PAUSE_MS,
  CREDENTIAL_RENEW_AT_SHARE,
} from '../config/credential-limits.ts';
import type { ChainRow } from '../db/credential-schema.ts';
import type { CredentialLoss } from '../vocabulary.ts';

// The admin credential and its successors form a chain. Each link is an access token, with which PipeOps is called, and a refresh
// token, which PipeOps exchanges for the next link, once: a rotated refresh token is spent as soon as PipeOps has seen it, and
// presenting it again may end the whole session (RFC 9700 §4.14.2). So nobody presents one whose last exchange has no known outcome,
// as long as there is an access token to lose. What is decided about a chain is decided here.

/** From when to when an access token lives, in milliseconds since the epoch. Null: nobody says. */
export interface AccessSpan {
  readonly issuedAtMs: number | null;
  readonly expiresAtMs: number | null;
}

/** When an access token is to be renewed; null: only PipeOps' refusal tells. One that does not say how long it lives is due at once. */
export function dueAtMs({ issuedAtMs, expiresAtMs }: AccessSpan): number | null {
  if (expiresAtMs === null) return null;
  if (issuedAtMs === null || issuedAtMs >= expiresAtMs) return 0;
  return issuedAtMs + CREDENTIAL_RENEW_AT_SHARE * (expiresAtMs - issuedAtMs);
}

/** When a new access token ends: the earlier of what PipeOps says and what the token says of itself. */
export function expiryOf(accessToken: string, expiresInSeconds: number | null, issuedAtMs: number): number | null {
  const ends = [
    credentialExpiryMs(accessToken),
    expiresInSeconds === null ? null : issuedAtMs + expiresInSeconds * 1000,
  ].filter((endMs) => endMs !== null);
  return ends.length === 0 ? null : Math.min(...ends);
}

/** Whether somebody may be exchanging the refresh token right now. A lease that ends later than a new one is of a clock that was ahead. */
const isUnderWay = ({ attempt_id, lost, lease_until }: ChainRow, nowMs: number): boolean =>
  attempt_id !== null &&
  lost === null &&
  lease_until !== null &&
  lease_until > nowMs &&
  lease_until <= nowMs + CREDENTIAL_LEASE_MS;

/** Why a chain cannot go on by itself, and since when. */
export interface Loss {
  readonly because: CredentialLoss;
  readonly sinceMs: number | null;
}

/**
 * Says why a chain cannot go on by itself; null: it can. An exchange whose isolate died has no known outcome, once its lease has ended.
 *
 * @param client the digest of the client that is configured. What PipeOps refused to another one, it may give to this one.
 */
export function lossOf(chain: ChainRow | null, client: string, nowMs: number): Loss | null {
  if (chain === null || (chain.lost === 'refused' && chain.client !== client)) return null;
  if (chain.lost !== null) return { because: chain.lost, sinceMs: chain.lost_at };
  if (chain.attempt_id === null || isUnderWay(chain, nowMs)) return null;
  return { because: 'outcome_unknown', sinceMs: chain.lease_until };
}

/** Why a refresh token is presented. */
export type RenewalCause = 'due' | 'refused' | 'ended';

/**
 * Decides whether the refresh token of a chain is to be presented now; null: it is not.
 *
 * @param chain as it is in D1; null: it was never renewed.
 * @param client the digest of the client that is configured.
 * @param access the span of its current access token.
 * @param isRefused whether PipeOps refuses that token. Then it has ended, whatever it says of itself.
 */
export function judgeRenewal(
  chain: ChainRow | null,
  client: string,
  access: AccessSpan,
  isRefused: boolean,
  nowMs: number,
): RenewalCause | null {
  if (chain !== null && (isUnderWay(chain, nowMs) || isPaused(chain, nowMs))) return null;
  const { expiresAtMs } = access;
  const hasEnded = isRefused || (expiresAtMs !== null && expiresAtMs + CREDENTIAL_END_SLACK_MS <= nowMs);
  const loss = lossOf(chain, client, nowMs);
  // With the access token there is nothing left to lose, and the exchange may never have reached PipeOps.
  if (loss !== null) return loss.because === 'outcome_unknown' && hasEnded ? 'ended' : null;
  if (isRefused) return 'refused';
  const atMs = dueAtMs(access);
  return atMs !== null && atMs <= nowMs ? 'due' : null;
}

/** A time that is ahead by more than the pause was noted by a clock that was wrong. */
const isPaused = ({ tried_at: triedAtMs }: ChainRow, nowMs: number): boolean =>
  triedAtMs !== null && Math.abs(nowMs - triedAtMs) < CREDENTIAL_PAUSE_MS;
