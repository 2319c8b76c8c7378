import { sql, type SQL } from 'drizzle-orm';
import { base64url } from 'jose';
import { COMPENSATION_TIMEOUT_MS } from '../config/limits.ts';
import type { FingerprintKey } from '../config/secrets.ts';
import type { Query } from '../db/database.ts';
import { auditEvents } from '../db/schema.ts';
import { freeKey, keepAnswer } from '../idempotency/keys.ts';
import { markRevoked } from '../inventory/inventory.ts';
import { insertOrder, type NewOrder, orderAnew } from '../inventory/orders.ts';
import type { RequestContext } from '../kit/trace.ts';
import { callWithin } from '../pipeops/client.ts';
import type { Call, PipeOps, TokenRef, Upstream } from '../pipeops/types.ts';
import { raiseGeneration } from '../reads/generation.ts';
import type { TokenDependencies } from './dependencies.ts';
import type { KeyedAttempt } from './refusal.ts';
import {
  type EventSubject,
  finalRow,
  settledColumns,
  type SettledColumns,
  successOutcome,
  SYSTEM_ACTOR,
} from '../trail/event.ts';
import { repeatBatch } from '../trail/recorder.ts';
import { insertEventWhere, isOver, settleEvent } from '../trail/statements.ts';

/** A token that a create minted: where it was asked for and, where PipeOps names another workspace, there as well. */
export type MintedRefs = readonly [TokenRef, ...TokenRef[]];

/** Why a secret is not handed out, as the row of its create says it. */
export interface Withheld {
  readonly errorCode: 'undelivered' | 'subject_blocked' | 'upstream_disobeyed';
  readonly detail: Readonly<Record<string, unknown>>;
}

/**
 * The compensating revoke: a token whose secret is not handed out must not live. The row of its create, which covers the call, is
 * settled as a failure; where it says success by then, since only the answers of its settling were lost, it stays. Beside it
 * stands a row by `system` of the revoke itself, with an order that has it looked at; where PipeOps does not acknowledge the
 * revoke, an open order goes on with it in each workspace where the token may be. 404 is no success: a token that is seconds old may not be found yet.
 *
 * All of that is one batch, which is repeated while D1 does not say. If it takes none of it, reconciliation finds the token by
 * the marker of its create, whose row is open.
 */
export async function withhold(
  dependencies: TokenDependencies,
  context: RequestContext,
  attempt: KeyedAttempt,
  refs: MintedRefs,
  { errorCode, detail }: Withheld,
): Promise<void> {
  const { database, pipeops, quota, runtime, snapshots } = dependencies;
  const { eventId, keyed } = attempt;
  // D1 may be what failed: the token does not live on until D1 has counted the call.
  const reserved = quota.countedLater(runtime);
  const call = callWithin(COMPENSATION_TIMEOUT_MS, runtime, context, eventId, { reserved });
  const { ref, revoked } = await revokeWhereItIs(pipeops, refs, call);
  const upstreamStatus = revoked.ok ? revoked.value.status : null;
  const nowMs = runtime.now();
  const { tokenId } = refs[0];
  const failure = settledColumns(nowMs, tokenId, { status: 'failure', upstreamStatus, errorCode, detail });
  const created = isOver(eventId);
  const order = { cause: 'system', mode: 'revoke', nowMs } as const;
  const undone = { undelivered_create: eventId };
  const queries: readonly Query[] = [
    settleEvent(database, eventId, failure),
    ...(revoked.ok
      ? [
          ...recordRevoked(
            dependencies,
            context,
            { id: runtime.newId(), ...order, ...ref },
            revoked.value.status,
            undone,
            eventId,
          ),
          ...(keyed === null ? [] : [freeKey(database, keyed, eventId, created)]),
        ]
      : [
          // It may be in any of them: what is not found in one yet may be there all the same.
          ...refs.flatMap((other) =>
            orderAnew(
              database,
              context,
              SYSTEM_ACTOR,
              { id: runtime.newId(), ...order, ...other, state: 'open' },
              undone,
              isLeftAlive(eventId, failure),
            ),
          ),
          // Its secret must not be handed out again. The key is free once the token is revoked.
          ...(keyed === null ? [] : [keepAnswer(database, keyed, eventId, null, created)]),
        ]),
    ...workspacesOf(refs).map((workspaceUuid) => raiseGeneration(database, workspaceUuid)),
    ...quota.news(database, nowMs),
  ];
  const recorded = await repeatBatch({ database, runtime }, context, queries);
  if (!recorded.ok) for (const workspaceUuid of workspacesOf(refs)) snapshots.owed.owe(workspaceUuid);
}

/** The revoke that PipeOps acknowledged: its row, the end of its token, and an order that has the end looked at. */
function recordRevoked(
  { database }: TokenDependencies,
  context: RequestContext,
  order: Omit<NewOrder, 'state'>,
  upstreamStatus: number,
  detail: Readonly<Record<string, unknown>>,
  createId: string,
): readonly Query[] {
  const { id, nowMs, workspaceUuid, tokenId } = order;
  const subject: EventSubject = {
    action: 'service_account_token.revoke',
    actor: SYSTEM_ACTOR,
    workspaceUuid,
    tokenId,
    tokenName: null,
    detail,
  };
  const row = finalRow(id, nowMs, context, subject, successOutcome(upstreamStatus));
  const created = isOver(createId);
  return [
    insertEventWhere(database, row, created),
    insertOrder(database, { ...order, state: 'acknowledged' }, created),
    markRevoked(database, { workspaceUuid, tokenId }, nowMs, created),
  ];
}

/**
 * Whether it is upon this request to have the token revoked later: not where reconciliation was faster, revoked it and settled its
 * create as undelivered.
 */
const isLeftAlive = (createId: string, own: SettledColumns): SQL =>
  sql`exists (select 1 from ${auditEvents} as a where a.id = ${createId} and a.status <> 'attempted'
    and (a.error_code is not 'undelivered' or (a.settled_at = ${own.settled_at} and a.outcome = ${own.outcome})))`;

/** Asks for the revoke where the token was to be and, if it is not found there, where PipeOps says that it is. */
async function revokeWhereItIs(
  pipeops: Pick<PipeOps, 'revoke'>,
  [asked, ...others]: MintedRefs,
  call: Call,
): Promise<{ readonly ref: TokenRef; readonly revoked: Awaited<Upstream<'revoked'>> }> {
  let ref = asked;
  let revoked = await pipeops.revoke(ref, call);
  for (const other of others) {
    if (revoked.ok || revoked.error.kind !== 'upstream_not_found') break;
    ref = other;
    revoked = await pipeops.revoke(ref, call);
  }
  return { ref, revoked };
}

const workspacesOf = (refs: MintedRefs): readonly string[] => [...new Set(refs.map((ref) => ref.workspaceUuid))];

/** What the inventory keeps of a secret: enough to recognise it, and nothing that could be tried against a list. */
interface Fingerprint {
  readonly keyId: string;
  readonly value: string;
}

export interface Fingerprints {
  /** Under the current key. */
  of(secretSha256: string): Promise<Fingerprint>;
  /** Under every key that is configured: one of them is what an inventory row would hold. */
  candidates(secretSha256: string): Promise<readonly Fingerprint[]>;
}

const HMAC = { name: 'HMAC', hash: 'SHA-256' } as const;

/**
 * `HMAC-SHA-256(key, SHA-256(secret))` (RFC 2104), so that whoever knows a secret or its SHA-256 alone finds its token,
 * and whoever reads the database finds nothing.
 *
 * @param keys the current one first; at least one.
 */
export function createFingerprints(keys: readonly FingerprintKey[]): Fingerprints {
  // Nothing is imported while the Worker starts. An import reads no network, so that no request's end can spoil it.
  const imported = new Map<string, Promise<CryptoKey>>();
  const importKey = async ({ id, secret }: FingerprintKey): Promise<CryptoKey> => {
    const known = imported.get(id) ?? crypto.subtle.importKey('raw', secret, HMAC, false, ['sign']);
    imported.set(id, known);
    return await known;
  };
  const under = async (key: FingerprintKey, secretSha256: string): Promise<Fingerprint> => {
    const mac = await crypto.subtle.sign(HMAC, await importKey(key), bytesOfHex(secretSha256));
    return { keyId: key.id, value: base64url.encode(new Uint8Array(mac)) };
  };
  const [current] = keys;
  if (current === undefined) throw new TypeError('No fingerprint key.');
  return {
    of: async (secretSha256) => await under(current, secretSha256),
    candidates: async (secretSha256) => await Promise.all(keys.map(async (key) => await under(key, secretSha256))),
  };
}

const bytesOfHex = (hex: string): Uint8Array => Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));
