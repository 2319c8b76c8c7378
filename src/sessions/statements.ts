import { and, eq, sql, type SQL } from 'drizzle-orm';
import {
  SESSION_IDLE_MS,
  SESSION_KEPT_MS,
  SESSION_SLOT_MS,
  SESSIONS_SWEPT_MAX_ROWS,
} from '../config/session-limits.ts';
import type { Database } from '../db/database.ts';
import { sessions } from '../db/schema.ts';
import { newUuid, selectedRow } from '../db/sql.ts';
import type { RequestContext } from '../kit/trace.ts';
import type { SessionProof } from '../identity/identity.ts';
import { isLive } from '../subjects/bars.ts';
import { eventSubject, finalRow, successOutcome, SYSTEM_ACTOR, systemOrigin } from '../trail/event.ts';
import { insertEventsFrom } from '../trail/statements.ts';
import type { SessionEnd } from '../vocabulary.ts';
import type { SessionFacts } from './sealing.ts';

// The statements that write sessions. A session begins and ends in the batch that records it.

/** Inserts the row of a session that begins. */
export const insertSession = (
  { build }: Pick<Database, 'build'>,
  facts: SessionFacts,
  mac: string,
  nowMs: number,
  guard: SQL,
) =>
  build.insert(sessions).select(sql`select ${selectedRow(sessions, { ...facts, mac, seen_at: nowMs })} where ${guard}`);

/** Whether a session of this id was ever begun, as far as its row is still kept. */
export const isBegun = (id: string): SQL => sql`exists (select 1 from sessions as x where x.id = ${id})`;

/** Ends a session that lives, once and for all. */
export const endSession = (
  { build }: Pick<Database, 'build'>,
  proof: SessionProof,
  reason: SessionEnd,
  nowMs: number,
  guard: SQL = sql`true`,
) =>
  build
    .update(sessions)
    .set({ mac: null, ended_at: nowMs, end_reason: reason, recorded_at: nowMs })
    .where(and(eq(sessions.id, proof.id), isLive(proof), guard));

/** Writes down that a session is used now, if the last use that was written down is one of `macs`. */
export const touchSession = (
  { build }: Pick<Database, 'build'>,
  { id }: SessionFacts,
  mac: string,
  macs: readonly string[],
  nowMs: number,
) =>
  build
    .update(sessions)
    .set({ mac, seen_at: nowMs })
    .where(
      and(eq(sessions.id, id), sql`${sessions.mac} in (select m.value from json_each(${JSON.stringify(macs)}) as m)`),
    );

/**
 * The statements of one batch that record the end of at most SESSIONS_SWEPT_MAX_ROWS sessions which nobody has ended by a request, and
 * forget those that were over for long enough. The update gives a row for each session.
 */
export function sweepSessions(database: Database, context: RequestContext, nowMs: number) {
  const { build } = database;
  // The MAC of the last minute may be good for a minute longer.
  const idleSinceMs = nowMs - SESSION_IDLE_MS - SESSION_SLOT_MS;
  const due = sql`(select x.id from sessions as x where x.recorded_at is null
    and (x.ended_at is not null or x.ends_at <= ${nowMs} or x.seen_at <= ${idleSinceMs})
    order by x.id limit ${SESSIONS_SWEPT_MAX_ROWS})`;
  const reason = sql`coalesce(end_reason, case when ends_at <= ${nowMs} then 'expired' else 'idle' end)`;
  const event = finalRow(
    '',
    nowMs,
    systemOrigin(context),
    eventSubject('session.end', SYSTEM_ACTOR),
    successOutcome(null),
  );
  const each = {
    id: newUuid,
    // Whose session it was: a question about a person finds its sessions.
    actor_type: sql`actor_type`,
    actor_issuer: sql`issuer`,
    actor_subject: sql`subject`,
    actor_label: sql`label`,
    detail: sql`json_object('reason', ${reason})`,
  };
  const kept = sql`(select x.id from sessions as x where x.recorded_at is not null
    and x.recorded_at <= ${nowMs - SESSION_KEPT_MS} order by x.recorded_at limit ${SESSIONS_SWEPT_MAX_ROWS})`;
  return [
    insertEventsFrom(database, event, each, sql`from sessions where id in ${due}`),
    build
      .update(sessions)
      .set({ mac: null, ended_at: sql`coalesce(ended_at, ${nowMs})`, end_reason: reason, recorded_at: nowMs })
      .where(sql`id in ${due}`)
      .returning({ id: sessions.id }),
    build.delete(sessions).where(sql`id in ${kept}`),
  ] as const;
}
