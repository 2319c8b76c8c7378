import { and, sql, type SQL } from 'drizzle-orm';
import { AUDIT_COUNT_MAX_KEYS, AUDIT_COUNT_MAX_ROWS } from '../../config/trail-limits.ts';
import type { Database, Query } from '../../db/database.ts';
import { auditEvents } from '../../db/schema.ts';
import type { RecordFailure } from '../../failures.ts';
import { ok, type Result } from '../../kit/result.ts';
import type { RequestContext } from '../../kit/trace.ts';
import type { Caller } from '../../policy/types.ts';
import { actorOf, type EventSubject, eventSubject } from '../event.ts';
import { type EventFilter, filterDetail } from './filter.ts';
import { selectRows, type Trail } from './page.ts';
import type { AuditCount, CountedBy } from './params.ts';
import { planOf } from './plan.ts';
import { seqBounds } from './time-bounds.ts';

/** How many events there are of one key. */
export interface EventCount {
  /** Given to the filter of that name, or to `from` and `to` for a day or an hour, it gives the events that were counted. */
  readonly key: string;
  readonly count: number;
  /** The label under which an actor was seen last, if it ever had one. */
  readonly label?: string;
}

/** What a count came to. */
export interface EventCounts {
  readonly counts: readonly EventCount[];
  /** Whether there are more events than may be looked at, so that the counts are of the newest ones. */
  readonly isPartial: boolean;
}

/**
 * Counts the events of a filter, whatever their number: at most AUDIT_COUNT_MAX_ROWS rows are looked at, the newest first. The counts and
 * the row of this count come from one batch, so neither is had without the other. Fails as `recordRead` does.
 */
export async function countEvents(
  { database, recorder }: Trail,
  context: RequestContext,
  caller: Caller,
  { by, filter }: AuditCount,
): Promise<Result<EventCounts, RecordFailure>> {
  const counting = selectCounts(database, filter, by);
  const recorded = await recorder.recordRead(context, describeCount(caller, by, filter), [counting]);
  return recorded.ok ? ok(readCounts(recorded.value.rows[0], by)) : recorded;
}

/** What the count is in the trail. */
const describeCount = (caller: Caller, by: CountedBy, filter: EventFilter): EventSubject =>
  eventSubject('audit.count', actorOf(caller), {
    workspaceUuid: filter.workspaceUuid,
    tokenId: filter.tokenId,
    detail: { by, ...filterDetail(filter) },
  });

/** The sum of a key, or of what was looked at and does not count: then the key is null. */
interface CountRow {
  readonly key: string | number | null;
  readonly count: number;
  readonly label: string | null;
  /** How many rows were looked at in all. */
  readonly looked: number;
}

const { action, actor_issuer, actor_label, actor_subject, error_code, occurred_at, seq, status } = auditEvents;
const HOUR_MS = 60 * 60 * 1000;
/** The spans of time that events are counted by. The newest come first. */
const SPAN_MS = { day: 24 * HOUR_MS, hour: HOUR_MS } as const;
const isSpan = (by: CountedBy): by is keyof typeof SPAN_MS => Object.hasOwn(SPAN_MS, by);
const spanOf = (by: keyof typeof SPAN_MS): SQL => sql`${occurred_at} / ${sql.raw(String(SPAN_MS[by]))}`;

/** Where the key of an event stands. Null: the event is not counted. */
const KEYS: Readonly<Record<CountedBy, SQL>> = {
  action: sql`${action}`,
  actor: sql`coalesce(${actor_issuer}, '') || '|' || coalesce(${actor_subject}, '')`,
  code: sql`${error_code}`,
  status: sql`${status}`,
  day: spanOf('day'),
  hour: spanOf('hour'),
};

/** The query behind a count. One row more than may be looked at tells whether there are more. `readCounts` makes sense of its rows. */
export function selectCounts(
  { build }: Pick<Database, 'build'>,
  filter: EventFilter,
  by: CountedBy,
  maxRows = AUDIT_COUNT_MAX_ROWS,
): Query<CountRow[]> {
  const { rows, expressions, checks } = selectRows(planOf(filter), seqBounds(filter, NEWEST_FIRST));
  const key = checks.length === 0 ? KEYS[by] : sql`iif(${and(...checks)}, ${KEYS[by]}, null)`;
  // SQLite takes a column that stands alone from the row of the group that has the maximum.
  const label = by === 'actor' ? sql`${actor_label}, max(iif(${actor_label} is null, 0, ${seq}))` : sql`null, null`;
  const groups = sql`select ${key}, sum(${auditEvents.count}), sum(count(*)) over (), ${label}
    from (select * from (${rows}) order by seq desc limit ${maxRows + 1}) as ${auditEvents} group by 1`;
  const query = build.select({ all: sql`key, count, looked, label` }).from(
    sql`(with recursive ${sql.join([...expressions, sql`counts(key, count, looked, label, labelled) as (${groups})`], sql`, `)}
        select * from counts order by key is null desc, ${isSpan(by) ? sql`key desc` : sql`count desc, key`} limit ${AUDIT_COUNT_MAX_KEYS + 1})`,
  );
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- Drizzle cannot know these columns
  return query as unknown as Query<CountRow[]>;
}

const NEWEST_FIRST = { direction: 'desc', seq: null } as const;

/** Makes sense of the rows of `selectCounts`. */
export function readCounts(rows: readonly CountRow[], by: CountedBy, maxRows = AUDIT_COUNT_MAX_ROWS): EventCounts {
  const counts = rows.flatMap(({ key, count, label }): readonly EventCount[] =>
    key === null ? [] : [{ key: shownKey(key, by), count, ...(label !== null && { label }) }],
  );
  return { counts: counts.slice(0, AUDIT_COUNT_MAX_KEYS), isPartial: (rows[0]?.looked ?? 0) > maxRows };
}

/** A day is `2026-01-31`. An hour is the time at which it begins, `2026-01-31T09:00:00Z`: a `from` as it stands. */
function shownKey(key: string | number, by: CountedBy): string {
  if (!isSpan(by)) return String(key);
  const begin = new Date(Number(key) * SPAN_MS[by]).toISOString();
  return by === 'day' ? begin.slice(0, 10) : begin.replace('.000Z', 'Z');
}
