import { and, asc, desc, eq, sql } from 'drizzle-orm';
import { alias } from 'drizzle-orm/sqlite-core';
import type { Database, RowsOf } from '../../db/database.ts';
import { trailCheckpoints, trailLeaves, trailLogs } from '../../db/trail-log-schema.ts';
import type { AuditEventRow } from '../../db/schema.ts';
import type { FactKind, ReceiptFact } from '../../vocabulary.ts';

// What of the logs is published. Nothing beyond that is shown to anybody: it may yet come to nothing.

const CHECKPOINT = { note: trailCheckpoints.note, cosignatures: trailCheckpoints.cosignatures };
const isLastCheckpoint = and(
  eq(trailCheckpoints.log, trailLogs.number),
  eq(trailCheckpoints.size, trailLogs.published_size),
);

/** The query for the logs, each with its last published checkpoint, the first log first. A checkpoint is null where none is published, or where somebody has deleted it. */
export const selectLogs = ({ build }: Pick<Database, 'build'>) =>
  build
    .select({
      number: trailLogs.number,
      origin: trailLogs.origin,
      begun_at: trailLogs.begun_at,
      size: trailLogs.size,
      published_size: trailLogs.published_size,
      published_at: trailLogs.published_at,
      stopped: trailLogs.stopped,
      stopped_at: trailLogs.stopped_at,
      key: trailLogs.key,
      ...CHECKPOINT,
    })
    .from(trailLogs)
    .leftJoin(trailCheckpoints, isLastCheckpoint)
    .orderBy(asc(trailLogs.number));
export type LogRow = RowsOf<ReturnType<typeof selectLogs>>[number];

/** The query for one log. Null: the current one, which is the last. */
export const selectLog = (database: Pick<Database, 'build'>, number: number | null) =>
  selectLogs(database).where(
    eq(trailLogs.number, number === null ? sql`(select max(${trailLogs.number}) from ${trailLogs})` : number),
  );

const following = alias(trailLeaves, 'following');

/**
 * The query for the leaves of an event that published checkpoints cover, those of the last log first.
 *
 * A log that follows another one says in its first leaf how many leaves of that it keeps. Leaves beyond are void: their events were sealed
 * anew, or are none any more.
 */
export const selectSealed = ({ build }: Pick<Database, 'build'>, eventId: string) =>
  build
    .select({
      log: trailLeaves.log,
      idx: trailLeaves.idx,
      kind: trailLeaves.kind,
      origin: trailLogs.origin,
      published_size: trailLogs.published_size,
      stopped: trailLogs.stopped,
      key: trailLogs.key,
      ...CHECKPOINT,
    })
    .from(trailLeaves)
    .innerJoin(trailLogs, eq(trailLogs.number, trailLeaves.log))
    .leftJoin(trailCheckpoints, isLastCheckpoint)
    .leftJoin(following, and(eq(following.log, sql`${trailLeaves.log} + 1`), eq(following.idx, 0)))
    .where(
      and(
        // SQLite takes the index only where the query says that this is not null.
        sql`${trailLeaves.seq} = (select sealed.seq from audit_events as sealed where sealed.id = ${eventId}) and ${trailLeaves.seq} is not null`,
        sql`${trailLeaves.idx} < min(${trailLogs.published_size}, coalesce(${following.entry} ->> 'kept_size', ${trailLogs.published_size}))`,
      ),
    )
    .orderBy(desc(trailLeaves.log), desc(trailLeaves.idx));
export type SealedLeaf = RowsOf<ReturnType<typeof selectSealed>>[number];

/** The facts that cover what became of an event, and those that cover how it was recorded. */
const COVERING: Readonly<Record<ReceiptFact, readonly FactKind[]>> = {
  last: ['settled', 'final', 'counted'],
  recorded: ['recorded', 'final', 'counted'],
};

/**
 * The leaf that a receipt is about; null where none that is published has that fact. An attempt that is open has no other fact than how
 * it was recorded; of one that is settled, that fact is no answer to what became of it.
 *
 * @param leaves those of the event, in the order of `selectSealed`.
 */
export function leafOf(
  fact: ReceiptFact,
  { status }: Pick<AuditEventRow, 'status'>,
  leaves: readonly SealedLeaf[],
): SealedLeaf | null {
  const first = (kinds: readonly string[]): SealedLeaf | null =>
    leaves.find(({ kind }) => kinds.includes(kind)) ?? null;
  return first(COVERING[fact]) ?? (status === 'attempted' ? first(COVERING.recorded) : null);
}
