import { sql, type SQL } from 'drizzle-orm';
import { isOver, settleEvent } from '../trail/event-queries.ts';
import { finalRow, settledColumns, SYSTEM_ACTOR, type EventSubject, type SettledColumns } from '../trail/events.ts';
import { insertEventWhere } from '../trail/insert-where.ts';
import { successOutcome } from '../trail/outcomes.ts';
import { repeatBatch } from '../trail/repeating.ts';
import { COMPENSATION_TIMEOUT_MS } from '../config/limits.ts';
import type { Query } from '../db/database.ts';
import { auditEvents } from '../db/schema.ts';
import { freeKey, keepAnswer } from '../idempotency/keys.ts';
import { insertOrder, orderAnew, type NewOrder } from '../inventory/orders.ts';
import { callWithin } from '../pipeops/call.ts';
import type { Call, PipeOps, TokenRef, Upstream } from '../pipeops/types.ts';
import type { RequestContext } from '../kit/trace.ts';
import { raiseGeneration } from '../reads/generation.ts';
import type { TokenDependencies } from './dependencies.ts';
import { markRevoked } from '../inventory/inventory.ts';
import type { KeyedAttempt } from './refusal.ts';

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
  const allowance = quota.credit(runtime);
  const call = callWithin(COMPENSATION_TIMEOUT_MS, runtime, context, eventId, { allowance });
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
