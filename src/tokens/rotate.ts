import { or, sql } from 'drizzle-orm';
import { IDEMPOTENCY_TTL_MS, REQUEST_LIFETIME_MS } from '../config/limits.ts';
import type { Failure, PolicyFailure, RotationFailure, UpstreamFailure } from '../failures.ts';
import type { KeyedRequest } from '../idempotency/sealing.ts';
import { retireQueries } from '../inventory/orders.ts';
import { findInWorkspace } from '../inventory/reach.ts';
import { isOutOfRotation, markRotated, type RotatingRow, undoRotation } from '../inventory/rotation.ts';
import { parseJson } from '../kit/json.ts';
import { newMarker } from '../kit/marker.ts';
import { err, ok, type Result } from '../kit/result.ts';
import { msOrNull, rfc3339OrNull } from '../kit/time.ts';
import type { RequestContext } from '../kit/trace.ts';
import { mostTokensOf, rotationLimit } from '../policy/decide.ts';
import type { Call, TokenRef } from '../pipeops/types.ts';
import type { Caller, KnownToken } from '../policy/types.ts';
import { isBlocked } from '../subjects/blocks.ts';
import { actorOf } from '../trail/event.ts';
import type { TokenDependencies } from './dependencies.ts';
import { entering, mint, type MintedAnswer, mintedOf, outcomeOfMint } from './minting.ts';
import { type Allowed, runMutation } from './mutation.ts';
import type { RotateRequest } from './requests.ts';
import type { Beginning } from './trip-one.ts';

/** A rotation that policy allows, as it is carried out. */
interface Rotatable extends Allowed {
  /** The name of the token, which its successor gets. */
  readonly name: string;
  /** The scopes that the token was granted, as they are recorded. */
  readonly scopes: string | null;
  /** When the token expires; null: never. */
  readonly expiresAtMs: number | null;
}

/** The answer to a rotation. */
export interface RotateAnswer {
  /** The successor with its secret, as a create tells it, and what becomes of its predecessor. */
  readonly data: unknown;
  readonly isReplay: boolean;
  /** The order that revokes the predecessor, if it is due at once; null: it waits for its time, or this is a replay. */
  readonly dueOrderId: string | null;
}

/**
 * Rotates a token of the caller's own: a successor with its name and what it was granted, and an order that revokes it once the overlap
 * is over. It is a create that claims its predecessor in trip 1, and that trip 2 settles only where nothing has happened to the
 * predecessor meanwhile. Otherwise the successor is withheld and revoked, and the predecessor is left as it is.
 *
 * Fails with `rotation_in_flight` while another rotation of the token may succeed, and with `not_rotatable` for a token that is not
 * active.
 */
export async function rotateToken(
  dependencies: TokenDependencies,
  context: RequestContext,
  caller: Caller,
  request: RotateRequest,
  keyed: KeyedRequest,
): Promise<Result<RotateAnswer, Failure>> {
  const { database, runtime } = dependencies;
  const { workspaceUuid, tokenId, overlapSeconds } = request;
  const ref = { workspaceUuid, tokenId };
  const askedMs = msOrNull(request.expiresAt);
  const here = rotationLimit(caller, workspaceUuid);
  const marker = newMarker((length) => runtime.randomBytes(length));
  const orderId = runtime.newId();
  const beganAtMs = runtime.now();
  const mintingOf = ({ name }: Rotatable) =>
    ({ workspaceUuid, name, description: null, marker, beganAtMs, keyed, replaces: tokenId }) as const;
  let retiresAtMs = beganAtMs;

  const rotated = await runMutation<MintedAnswer, Rotatable, Pick<RotateAnswer, 'isReplay'> & { answer: unknown }>(
    dependencies,
    context,
    caller,
    {
      subject: {
        action: 'service_account_token.create',
        workspaceUuid,
        tokenId: null,
        tokenName: null,
        nameOf: ref,
        detail: {
          replaces: tokenId,
          overlap_seconds: overlapSeconds,
          ...(request.expiresAt !== null && { expires_at: request.expiresAt }),
        },
        marker,
      },
      // The token is looked at before its successor is minted.
      calls: 2,
      rotates: { ref, owner: caller },
      reserves: here === null ? null : { owner: caller, limit: { here, anywhere: mostTokensOf(caller) ?? here } },
      decide: async (_known, call, heldTokens, beginning) => {
        const { rotating } = beginning;
        const located = await findInWorkspace(dependencies.pipeops, caller, ref, rotating ?? undefined, call);
        if (!located.ok) return located;
        const token = located.value?.token ?? null;
        const decided = decideRotation(dependencies, caller, request, token, heldTokens, beginning);
        const isToMint = decided.ok && beginning.holder === null && beginning.attempt !== null;
        return isToMint ? await lookedAt(dependencies, ref, decided.value, call) : decided;
      },
      perform: async (allowed, call) =>
        await mint(dependencies, mintingOf(allowed), allowed.grant, call, () => {
          // A token that expires before its overlap is over is gone then.
          retiresAtMs = Math.min(runtime.now() + overlapSeconds * 1000, allowed.expiresAtMs ?? Infinity);
          return { replaces: tokenId, old_token_revoked_at: rfc3339OrNull(retiresAtMs) };
        }),
      outcome: (allowed, performed) => outcomeOfMint(mintingOf(allowed), allowed.grant, askedMs, performed),
      following: (attempt, minted, allowed) => (guard) => [
        ...entering(dependencies, context, caller, mintingOf(allowed), attempt, minted, allowed.grant)(guard),
        markRotated(database, ref, { replacedBy: minted.id, retiresAtMs }, guard),
        ...retireQueries(
          database,
          context,
          { id: orderId, ...ref, replacedBy: minted.id, dueAtMs: retiresAtMs, nowMs: runtime.now() },
          guard,
        ),
      ],
      minted: (minted) => mintedOf(workspaceUuid, minted),
      barred: ({ eventId }, { scopes }) =>
        or(isBlocked(database, actorOf(caller)), isOutOfRotation(ref, eventId, scopes, runtime.now())) ?? sql`true`,
      undone:
        ({ eventId }, { id: replacedBy }) =>
        (guard) =>
          undoRotation(database, { ref, eventId, orderId, replacedBy, nowMs: runtime.now() }, guard),
      keyed: {
        request: keyed,
        // The caller may lose its answer as long as both tokens live.
        keepMs: Math.max(IDEMPOTENCY_TTL_MS, overlapSeconds * 1000 + REQUEST_LIFETIME_MS),
        replayed: (answer) => ({ answer, isReplay: true }),
      },
    },
  );
  if (!rotated.ok) return rotated;
  const isReplay = 'isReplay' in rotated.value;
  return ok({ data: rotated.value.answer, isReplay, dueOrderId: isReplay || overlapSeconds > 0 ? null : orderId });
}

/**
 * Decides on a rotation. Whether the token is within reach comes first: what became of somebody else's token is nobody's business. A
 * repeat mints nothing, so the state of the token does not stand in its way.
 */
function decideRotation(
  { decide, runtime }: TokenDependencies,
  caller: Caller,
  { workspaceUuid, overlapSeconds, expiresAt }: RotateRequest,
  token: KnownToken | null,
  heldTokens: number,
  { rotating, holder, attempt }: Beginning,
): Result<Rotatable, PolicyFailure | RotationFailure> {
  const decision = decide(caller, {
    operation: 'rotate',
    workspaceUuid,
    token,
    scopes: recordedScopes(rotating),
    expiresAtMs: msOrNull(expiresAt),
    lifetimeSeconds: lifetimeOf(rotating),
    overlapSeconds,
    heldTokens,
  });
  const isOutOfReach = !decision.allowed && !isAboutWhatIsMinted(decision.failure);
  if (rotating !== null && holder === null && !isOutOfReach) {
    const obstacle = obstacleTo(rotating, attempt?.eventId ?? null, runtime.now());
    if (obstacle !== null) return err(obstacle);
  }
  if (!decision.allowed) return err(decision.failure);
  const { name, scopes, expires_at: expiresAtMs } = rotating ?? { name: null, scopes: null, expires_at: null };
  return ok({ grant: decision.grant, name: name ?? '', scopes, expiresAtMs });
}

/**
 * Asks PipeOps whether the token is what the inventory believes. Its console is the way out in an incident: a token that was revoked or
 * suspended there must not come alive as its own successor.
 */
async function lookedAt(
  { pipeops }: TokenDependencies,
  ref: TokenRef,
  allowed: Rotatable,
  call: Call,
): Promise<Result<Rotatable, RotationFailure | UpstreamFailure>> {
  const seen = await pipeops.get(ref, call);
  if (!seen.ok) return seen;
  const { isRevoked, isExpired, isActive } = seen.value.data;
  if (isRevoked) return err({ kind: 'not_rotatable', reason: 'revoked' });
  if (isExpired) return err({ kind: 'not_rotatable', reason: 'expired' });
  return isActive === false ? err({ kind: 'not_rotatable', reason: 'suspended' }) : ok(allowed);
}

/** Whether a refusal is about the successor that is asked for, and not about whether the caller reaches the token at all. */
const isAboutWhatIsMinted = (failure: PolicyFailure): boolean =>
  failure.kind === 'token_limit_reached' ||
  (failure.kind === 'forbidden' && ['scopes', 'lifetime', 'overlap'].includes(failure.reason));

/**
 * Why a token is not rotated now; null: nothing keeps it.
 *
 * @param eventId the create that was to claim it; null: none has a row yet.
 */
function obstacleTo(row: RotatingRow, eventId: string | null, nowMs: number): RotationFailure | null {
  const { replaced_by: successor, rotation_event_id: claimedBy, rotation_status: claim } = row;
  if (successor !== null) return { kind: 'not_rotatable', reason: 'rotated', successor };
  if (claimedBy !== eventId && claimedBy !== null && claim !== 'failure') return { kind: 'rotation_in_flight' };
  if (row.revoked_at !== null) return { kind: 'not_rotatable', reason: 'revoked' };
  if (row.is_ordered === 1) return { kind: 'not_rotatable', reason: 'ordered' };
  if (row.suspended_by !== null) return { kind: 'not_rotatable', reason: 'suspended' };
  if (row.expires_at !== null && row.expires_at <= nowMs) return { kind: 'not_rotatable', reason: 'expired' };
  if (row.name === null || recordedScopes(row).length === 0) return { kind: 'not_rotatable', reason: 'not_recorded' };
  return eventId !== null && claimedBy !== eventId ? { kind: 'rotation_in_flight' } : null;
}

/** The scopes that the token was granted; none where they were not recorded. */
function recordedScopes(row: RotatingRow | null): readonly string[] {
  const scopes = parseJson(row?.scopes ?? '[]');
  return Array.isArray(scopes) ? scopes.map(String) : [];
}

/** How long the token was to live when it was minted, or seems to have been, where that was not recorded yet. */
function lifetimeOf(row: RotatingRow | null): number | null {
  if (row === null || row.expires_at === null) return null;
  return row.lifetime_seconds ?? Math.ceil((row.expires_at - row.created_at) / 1000);
}
