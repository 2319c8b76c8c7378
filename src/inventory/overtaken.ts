import { sql, type SQL } from 'drizzle-orm';
import { type Actor, type Origin, settledColumns, SYSTEM_ACTOR } from '../trail/event.ts';
import { selectEvent, settleEventWhere } from '../trail/statements.ts';
import type { Database, Query } from '../db/database.ts';
import { auditEvents } from '../db/schema.ts';
import type { TokenRef } from '../pipeops/types.ts';
import { isBlocked } from '../subjects/blocks.ts';
import type { RevocationMode } from '../vocabulary.ts';
import { isOvertaken, orderAnew } from './orders.ts';
import { ORDER_STATE } from '../revocation/orders/states.ts';

/** A change that PipeOps has made and that must not stand: see `isOvertaken`. */
export interface OvertakenChange {
  /** The event of its attempt. */
  readonly eventId: string;
  readonly ref: TokenRef;
  /** Who attempted it. */
  readonly actor: Pick<Actor, 'issuer' | 'subject' | 'label'>;
  /** The condition under which it must not stand. */
  readonly overtaken: SQL;
  /** The id of the order that undoes it. It is made before the batch, so that a repeat of the batch makes no second order. */
  readonly orderId: string;
  readonly nowMs: number;
  readonly upstreamStatus: number | null;
  /** What the settled row says beside the order. */
  readonly detail: Readonly<Record<string, unknown>>;
}

/**
 * Undoes a change that must not stand, in one batch that may be repeated. Its row is settled as a failure that names an order, and that
 * order suspends or revokes the token, as whatever overtook the change asks for. The failure is `subject_blocked` where whoever
 * attempted the change was offboarded, and `revocation_pending` elsewhere. The third of the queries gives the row.
 *
 * Where nothing overtakes the change any more, the batch does nothing and the row stays open.
 */
export function undoOvertaken(database: Database, origin: Origin, change: OvertakenChange) {
  const { eventId, ref, actor, overtaken, orderId, nowMs, upstreamStatus } = change;
  const columnsOf = (errorCode: 'subject_blocked' | 'revocation_pending') =>
    settledColumns(nowMs, ref.tokenId, {
      status: 'failure',
      upstreamStatus,
      errorCode,
      detail: { ...change.detail, order: orderId },
    });
  const blocked = columnsOf('subject_blocked');
  const names = sql`exists (select 1 from ${auditEvents} as a
    where a.id = ${eventId} and a.status = 'failure' and a.outcome = ${blocked.outcome})`;
  const order = { id: orderId, cause: 'system', state: ORDER_STATE.open, nowMs, ...ref } as const;
  const revokes = isOvertaken(database, eventId, ref, 'revoke');
  const orderIn = (mode: RevocationMode, guard: SQL): readonly Query[] =>
    orderAnew(database, origin, SYSTEM_ACTOR, { ...order, mode }, { overtaken: eventId }, sql`${names} and ${guard}`);
  return [
    settleEventWhere(database, eventId, blocked, sql`${overtaken} and ${isBlocked(database, actor)}`),
    settleEventWhere(database, eventId, columnsOf('revocation_pending'), overtaken),
    selectEvent(database, eventId),
    ...orderIn('revoke', revokes),
    ...orderIn('suspend', sql`not ${revokes}`),
  ] as const;
}
