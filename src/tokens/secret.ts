import { ORDER_STATE } from '../revocation/orders/states.ts';
import { sql, type SQL } from 'drizzle-orm';
import { COMPENSATION_TIMEOUT_MS, REQUEST_LIFETIME_MS } from '../config/limits.ts';
import type { Query } from '../db/database.ts';
import { auditEvents } from '../db/schema.ts';
import type { Failure } from '../failures.ts';
import { freeKey, keepAnswer } from '../idempotency/keys.ts';
import { markRevoked } from '../inventory/inventory.ts';
import { insertOrder, type NewOrder, orderAnew } from '../inventory/orders.ts';
import { err, ok, type Result } from '../kit/result.ts';
import type { RequestContext } from '../kit/trace.ts';
import { type Call, callWithin, type PipeOps, type TokenRef, type Upstream } from '../pipeops/types.ts';
import { selectBlocked } from '../subjects/blocks.ts';
import { raiseGeneration } from '../reads/generation.ts';
import {
  type Actor,
  type EventSubject,
  finalRow,
  settledColumns,
  type SettledColumns,
  successOutcome,
  SYSTEM_ACTOR,
} from '../trail/event.ts';
import { type Following, repeatBatch } from '../trail/recorder.ts';
import { insertEventWhere, isOver, settleEvent } from '../trail/statements.ts';
import type { TokenDependencies } from './dependencies.ts';
import type { Allowed, Minted, Performed, Run } from './mutation.ts';
import type { KeyedAttempt } from './trip-one.ts';

/** Where a minted token may be: in the workspace it was asked for and, if PipeOps names another, there as well. */
export type MintedRefs = readonly [TokenRef, ...TokenRef[]];

/** Why a secret is not handed out, as the row of its create says it. */
export interface Withheld {
  readonly errorCode: 'undelivered' | 'subject_blocked' | 'upstream_disobeyed' | 'not_rotatable';
  readonly detail: Readonly<Record<string, unknown>>;
}

/**
 * Trip 2 of a create. The secret leaves only after its `success` row is known to be committed. Otherwise it is withheld, and its
 * token revoked.
 */
export async function settleMinted<T, A extends Allowed, R>(
  { dependencies, context, mutation, actor, attempt, startedAtMs }: Run<T, A, R>,
  allowed: A,
  performed: Performed<T>,
  { refs, refusal }: Minted,
): Promise<Result<T, Failure>> {
  const { database, recorder, quota, runtime } = dependencies;
  const { data } = performed;
  const refuse = async (withheld: Withheld, failure: Failure): Promise<Result<never, Failure>> => {
    await withhold(dependencies, context, attempt, refs, withheld, mutation.undone?.(attempt, data));
    return err(failure);
  };
  if (refusal !== null) return await refuse(refusal.withheld, refusal.failure);
  const undelivered = { errorCode: 'undelivered', detail: {} } as const;
  // Reconciliation may be looking at the row of a request that lived this long, so a late request hands out nothing.
  if (runtime.now() - startedAtMs > REQUEST_LIFETIME_MS)
    return await refuse(undelivered, { kind: 'audit_unavailable' });
  const settlement = await recorder.settle(
    context,
    attempt,
    mutation.outcome(allowed, performed),
    (guard) => [
      ...mutation.following(attempt, data, allowed)(guard),
      raiseGeneration(database, mutation.subject.workspaceUuid),
      ...quota.news(database, runtime.now()),
    ],
    // A leaver keeps what it has until that is taken away, and gets nothing new.
    mutation.barred === undefined ? { blocked: actor } : { holds: mutation.barred(attempt, allowed) },
  );
  if (settlement.kind === 'own') return ok(data);
  if (settlement.kind !== 'blocked') return await refuse(undelivered, { kind: 'audit_unavailable' });
  if (mutation.barred === undefined || (await isBlockedNow(dependencies, context, actor))) {
    return await refuse({ errorCode: 'subject_blocked', detail: {} }, { kind: 'subject_blocked' });
  }
  const reason = 'overtaken';
  return await refuse({ errorCode: 'not_rotatable', detail: { reason } }, { kind: 'not_rotatable', reason });
}

/** Whether a caller was offboarded, as far as D1 says. It only chooses the words of a refusal. */
async function isBlockedNow(
  { database }: Pick<TokenDependencies, 'database'>,
  context: RequestContext,
  actor: Actor,
): Promise<boolean> {
  const read = await database.batch(context, [selectBlocked(database, actor)]);
  return read.ok && read.value[0][0]?.blocked === 1;
}

/**
 * Makes the compensating revoke: a token whose secret is not handed out must not live. The row of its create covers the call, and is
 * settled as a failure. Where it says success by then, since only the answers of its settling were lost, it stays, and what a rotation
 * did to the token that it replaces is undone.
 *
 * A revoke that PipeOps acknowledges has a row of its own, by `system`, and an order that has it looked at. Otherwise an open order
 * goes on with it in each workspace where the token may be. 404 is no success: a token that is seconds old may not be found yet.
 *
 * All of that is one batch, which is repeated while D1 does not answer. If D1 takes none of it, reconciliation finds the token by the
 * marker of its create, whose row is open.
 */
async function withhold(
  dependencies: TokenDependencies,
  context: RequestContext,
  attempt: KeyedAttempt,
  refs: MintedRefs,
  { errorCode, detail }: Withheld,
  undo: Following = () => [],
): Promise<void> {
  const { database, pipeops, quota, runtime, snapshots } = dependencies;
  const { eventId, keyed } = attempt;
  // D1 may be what failed: the token must not live until D1 has counted the call.
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
          // The token may be in any of them: what is not found in one yet may be there all the same.
          ...refs.flatMap((other) =>
            orderAnew(
              database,
              context,
              SYSTEM_ACTOR,
              { id: runtime.newId(), ...order, ...other, state: ORDER_STATE.open },
              undone,
              isLeftAlive(eventId, failure),
            ),
          ),
          // Its secret must not be handed out again. The key is free once the token is revoked.
          ...(keyed === null ? [] : [keepAnswer(database, keyed, eventId, null, created)]),
        ]),
    ...undo(created),
    ...workspacesOf(refs).map((workspaceUuid) => raiseGeneration(database, workspaceUuid)),
    ...quota.news(database, nowMs),
  ];
  const recorded = await repeatBatch({ database, runtime }, context, queries);
  if (!recorded.ok) for (const workspaceUuid of workspacesOf(refs)) snapshots.owed.owe(workspaceUuid);
}

/** The statements about a revoke that PipeOps acknowledged: its row, the end of its token, and an order that has the end looked at. */
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
    insertOrder(database, { ...order, state: ORDER_STATE.acknowledged }, created),
    markRevoked(database, { workspaceUuid, tokenId }, nowMs, created),
  ];
}

/**
 * Whether this request has to have the token revoked later. It has not where reconciliation was faster, revoked the token and settled
 * its create as undelivered.
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
