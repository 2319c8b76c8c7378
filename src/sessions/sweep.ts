import { asc, inArray, sql, type SQL } from 'drizzle-orm';
import {
  SESSION_IDLE_MS,
  SESSION_KEPT_MS,
  SESSION_SLOT_MS,
  SESSIONS_SWEPT_MAX_ROWS,
} from '../config/session-limits.ts';
import type { Database, RowsOf } from '../db/database.ts';
import { sessions } from '../db/schema.ts';
import { each, idsOf } from '../db/sql.ts';
import type { Runtime } from '../kit/runtime.ts';
import type { RequestContext } from '../kit/trace.ts';
import { eventSubject, finalRow, rowDetail, successOutcome, SYSTEM_ACTOR, systemOrigin } from '../trail/event.ts';
import { insertListedEvents, listedRow } from '../trail/statements.ts';
import type { SessionEnd } from '../vocabulary.ts';

// The job of the cron that records how sessions ended which nobody has ended by a request, and forgets those that were over for long enough.

interface SweepDependencies {
  readonly database: Database;
  readonly runtime: Pick<Runtime, 'now' | 'newId'>;
}

/**
 * Records the end of at most SESSIONS_SWEPT_MAX_ROWS sessions, each in the batch that ends it. A session that somebody uses or ends after
 * it was read goes on, or is recorded by whoever ended it.
 *
 * @returns how many ends were recorded, as far as D1 has answered.
 */
export async function sweepSessions(
  { database, runtime }: SweepDependencies,
  context: RequestContext,
): Promise<number> {
  const nowMs = runtime.now();
  const isDue = isOver(nowMs);
  const read = await database.batch(context, [selectOver(database, isDue, nowMs), forgetOld(database, nowMs)]);
  const over = read.ok ? read.value[0] : [];
  if (over.length === 0) return 0;
  const ended = await database.batch(context, [
    recordEnds(database, context, over, nowMs, isDue, () => runtime.newId()),
    endSessions(database, over, nowMs, isDue),
  ]);
  return ended.ok ? ended.value[1].length : 0;
}

/** Whether a session is over and its end is not recorded. The MAC of the last minute may be good for a minute longer. */
const isOver = (nowMs: number): SQL => sql`${sessions.recorded_at} is null and (${sessions.ended_at} is not null
  or ${sessions.ends_at} <= ${nowMs} or ${sessions.seen_at} <= ${nowMs - SESSION_IDLE_MS - SESSION_SLOT_MS})`;

const selectOver = ({ build }: Database, isDue: SQL, nowMs: number) =>
  build
    .select({
      id: sessions.id,
      actor_type: sessions.actor_type,
      issuer: sessions.issuer,
      subject: sessions.subject,
      label: sessions.label,
      reason:
        sql<SessionEnd>`coalesce(${sessions.end_reason}, iif(${sessions.ends_at} <= ${nowMs}, 'expired', 'idle'))`.as(
          'reason',
        ),
    })
    .from(sessions)
    .where(isDue)
    .orderBy(asc(sessions.id))
    .limit(SESSIONS_SWEPT_MAX_ROWS);

type OverSession = RowsOf<ReturnType<typeof selectOver>>[number];

function recordEnds(
  database: Database,
  context: RequestContext,
  over: readonly OverSession[],
  nowMs: number,
  isDue: SQL,
  newId: () => string,
) {
  const subject = eventSubject('session.end', SYSTEM_ACTOR);
  const row = finalRow('', nowMs, systemOrigin(context), subject, successOutcome(null));
  const items = over.map(({ id, reason, ...whose }) => ({
    session: id,
    event: listedRow(database, row, {
      id: newId(),
      // Whose session it was: a question about a person finds its sessions.
      actor_type: whose.actor_type,
      actor_issuer: whose.issuer,
      actor_subject: whose.subject,
      actor_label: whose.label,
      detail: rowDetail({ reason }, context.policyVersion),
    }),
  }));
  const source = sql`from ${each(items)} join ${sessions} on ${sessions.id} = e.value ->> 'session' where ${isDue}`;
  return insertListedEvents(database, row, items, 'event', source);
}

/** Ends these sessions, and gives a row for each. It stands behind the recording, which looks for those that are not recorded. */
const endSessions = ({ build }: Database, over: readonly OverSession[], nowMs: number, isDue: SQL) =>
  build
    .update(sessions)
    .set({
      mac: null,
      ended_at: sql`coalesce(${sessions.ended_at}, ${nowMs})`,
      end_reason: sql`coalesce(${sessions.end_reason}, iif(${sessions.ends_at} <= ${nowMs}, 'expired', 'idle'))`,
      recorded_at: nowMs,
    })
    .where(sql`${inArray(sessions.id, idsOf(over.map(({ id }) => id)))} and ${isDue}`)
    .returning({ id: sessions.id });

const forgetOld = ({ build }: Database, nowMs: number) =>
  build.delete(sessions).where(
    sql`${sessions.id} in (select x.id from sessions as x where x.recorded_at is not null
      and x.recorded_at <= ${nowMs - SESSION_KEPT_MS} order by x.recorded_at limit ${SESSIONS_SWEPT_MAX_ROWS})`,
  );
