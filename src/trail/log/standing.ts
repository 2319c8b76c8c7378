import { sql } from 'drizzle-orm';
import type { Database, RowsOf } from '../../db/database.ts';
import { rfc3339OrNull } from '../../kit/time.ts';
import { cosignedAtSeconds, parseSignatureLine } from '../../tlog/note.ts';
import type { LogFiles } from './files.ts';
import { type LogRow, selectLog } from './published.ts';

// How far sealing is.

/** The query for what no published checkpoint covers, of the current log: events beyond it, and rows that wait to be closed. */
export const selectUnsealed = ({ build }: Pick<Database, 'build'>) => {
  const current = sql`(select coalesce(max(through_seq), 0) as through_seq, coalesce(max(size), 0) as size,
    coalesce(max(published_size), 0) as published_size from trail_logs where number = (select max(number) from trail_logs))`;
  // Numbers of a gap are no events.
  const skipped = sql`(select coalesce(sum(g.to_seq - g.from_seq + 1), 0) from trail_gaps as g where g.from_seq > log.through_seq)`;
  const beyond = sql`audit_events as e where e.seq > log.through_seq`;
  const waiting = sql`trail_pending as p cross join audit_events as e where p.awaits <> 'settlement' and e.seq = p.seq`;
  return build
    .select({
      events: sql<number>`max(0, coalesce((select max(seq) from audit_events), 0) - log.through_seq - ${skipped})
        + (log.size - log.published_size) + (select count(*) from ${waiting})`.as('events'),
      oldest_at: sql<
        number | null
      >`(select min(at) from (select (select e.occurred_at from ${beyond} order by e.seq limit 1) as at
        union all select min(e.occurred_at) from ${waiting}
        union all select (select e.occurred_at from trail_logs as l cross join trail_leaves as f cross join audit_events as e
          where l.number = (select max(number) from trail_logs) and f.log = l.number and f.idx >= l.published_size and e.seq = f.seq
          order by f.idx limit 1)))`.as('oldest_at'),
    })
    .from(sql`${current} as log`);
};

/** What `presentStanding` needs to read, in its order. It costs a few rows, however long the trail is. */
export const selectStanding = (database: Database) => [selectLog(database, null), selectUnsealed(database)] as const;

/** How sealing stands, as `/api/v1/status` tells it. Null: the trail is not sealed. */
export function presentStanding(
  files: Pick<LogFiles, 'witnesses'> | null,
  log: LogRow | undefined,
  unsealed: RowsOf<ReturnType<typeof selectUnsealed>>[number] | undefined,
) {
  if (files === null) return null;
  const lines = (log?.cosignatures ?? '').split('\n').map(parseSignatureLine);
  return {
    number: log?.number ?? null,
    size: log?.size ?? 0,
    published_size: log?.published_size ?? 0,
    published_at: rfc3339OrNull(log?.published_at ?? null),
    stopped: log?.stopped ?? null,
    unsealed_events: unsealed?.events ?? 0,
    oldest_unsealed_at: rfc3339OrNull(unsealed?.oldest_at ?? null),
    witnesses: files.witnesses.map(({ verifier: { name, keyId } }) => {
      const line = lines.find((one) => one?.name === name && one.keyId === keyId) ?? null;
      const atSeconds = line === null ? null : cosignedAtSeconds(line);
      return { name, cosigned_at: atSeconds === null ? null : rfc3339OrNull(atSeconds * 1000) };
    }),
  };
}
