import { and, asc, desc, eq, gt, lt, sql, type SQL } from 'drizzle-orm';
import {
  AUDIT_COUNTING_SLACK_MS,
  AUDIT_REREAD_MAX_ROWS,
  AUDIT_SCAN_MAX_ROWS,
  AUDIT_UNFINISHED_MS,
} from '../../config/limits.ts';
import type { Database, Query } from '../../db/database.ts';
import { type AuditEventRow, auditEvents } from '../../db/schema.ts';
import type { Failure } from '../../failures.ts';
import { encodeCursor } from '../../http/query.ts';
import { ok, type Result } from '../../kit/result.ts';
import type { Runtime } from '../../kit/runtime.ts';
import type { RequestContext } from '../../kit/trace.ts';
import type { Caller } from '../../policy/types.ts';
import { actorOf, type EventSubject, successOutcome } from '../event.ts';
import { type Branch, mayComeToMatch, notOwnQueries, planOf } from './conditions.ts';
import { presentEvent, type ShownEvent } from './format.ts';
import { type AuditQuery, type EventFilter, filterDetail, type Position, positionDetail } from './params.ts';
import { seqBounds } from './time-bounds.ts';
import type { Recorder } from '../recorder.ts';

export interface Trail {
  readonly database: Database;
  readonly recorder: Recorder;
  readonly runtime: Runtime;
}

interface AuditPage {
  readonly events: readonly ShownEvent[];
  /** Never null in ascending order: there a follower asks again from where it is. */
  readonly nextCursor: string | null;
  /** Whether the next page can be had at once. */
  readonly hasMore: boolean;
}

/**
 * Reads a page of the trail. Reading the trail is itself in the trail: the rows and the row of this query come from one
 * batch, so neither is had without the other. `audit_unavailable` if D1 does not take it.
 *
 * @param present what this caller sees of an event.
 */
export async function queryTrail(
  { database, recorder, runtime }: Trail,
  context: RequestContext,
  caller: Caller,
  query: AuditQuery,
  present: (row: AuditEventRow) => ShownEvent = presentEvent,
): Promise<Result<AuditPage, Failure>> {
  const { filter, position, limitRows, latest } = query;
  const nowMs = runtime.now();
  // A follower would otherwise be shown its own asking, and ask again, and so on.
  const isFollowing = position.order === 'asc' && position.seq !== null;
  const hidesOwn = isFollowing && !filter.actions.includes('audit.query');
  const page = selectEvents(database, filter, position, limitRows, hidesOwn ? notOwnQueries(caller) : undefined);
  const ends = selectEnds(database, filter, position.seq ?? 0, nowMs);
  const subject = describeQuery(caller, query);
  const recorded =
    position.order === 'desc'
      ? await recorder.recordRead(context, subject, successOutcome(null), [page])
      : await recorder.recordRead(context, subject, successOutcome(null), [page, ends]);
  if (!recorded.ok) return recorded;

  const scan = readScan(recorded.value.rows[0], limitRows);
  const end = recorded.value.rows[1]?.[0];
  if (end === undefined) {
    const nextCursor = scan.reachedSeq === null ? null : encodeCursor(scan.reachedSeq);
    return ok({ events: scan.events.map(present), nextCursor, hasMore: nextCursor !== null });
  }
  const { events, nextSeq, hasMore } = progressOf(scan, end, position.seq ?? 0, latest ? null : nowMs);
  return ok({ events: events.map(present), nextCursor: encodeCursor(nextSeq), hasMore });
}

/** What the query of the trail is in the trail. */
const describeQuery = (caller: Caller, { filter, position, limitRows, latest }: AuditQuery): EventSubject => ({
  action: 'audit.query',
  actor: actorOf(caller),
  workspaceUuid: filter.workspaceUuid,
  tokenId: filter.tokenId,
  tokenName: null,
  detail: { ...filterDetail(filter), ...positionDetail(position), limit: limitRows, ...(latest && { latest }) },
});

/** D1 takes five SELECTs in a compound one, and counts those of a subquery by themselves. */
const COMPOUND_MAX_TERMS = 5;

/** A row of the trail, or the last that was looked at. */
interface ScannedRow extends AuditEventRow {
  readonly is_end: 0 | 1;
}

/** What `selectEvents` found. */
interface Scan {
  readonly events: readonly AuditEventRow[];
  /** The last `seq` that was looked at, for the next page to go on from; null: there is nothing more. */
  readonly reachedSeq: number | null;
}

/**
 * The query for a page of the trail, in the order of `seq`. It reads `limitRows` rows and a few more where a filter has
 * an index, at any size of the trail; where one has none, or several are combined, it looks at no more than
 * AUDIT_SCAN_MAX_ROWS rows. `readScan` makes sense of its rows.
 *
 * @param excluding rows that are not to be shown, whatever the filter.
 */
export function selectEvents(
  { build }: Database,
  filter: EventFilter,
  position: Position,
  limitRows: number,
  excluding?: SQL,
): Query<ScannedRow[]> {
  const { branches, expressions, rest } = planOf(filter);
  const bounds = seqBounds(filter, position);
  const checks = excluding === undefined ? rest : [...rest, excluding];
  const rows = merge(branches.map((branch) => select(branch, and(branch.where, ...bounds.conditions))));
  const order = position.order === 'asc' ? asc(sql`seq`) : desc(sql`seq`);
  // One more than asked for tells whether there is more.
  const enough = limitRows + 1;
  const page =
    checks.length === 0
      ? sql`select *, 0 as is_end from (${rows} order by ${order} limit ${enough})`
      : sql`${matching(rows, checks, order, enough)} union all ${endOfScan(rows, order)} limit ${enough}`;
  const query = build
    .select({ all: sql`*` })
    .from(sql`(${withExpressions([...expressions, ...bounds.expressions])}${page})`);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- Drizzle cannot know the columns of `*`: they are these
  return query as unknown as Query<ScannedRow[]>;
}

const withExpressions = (expressions: readonly SQL[]): SQL =>
  expressions.length === 0 ? sql`` : sql`with recursive ${sql.join([...expressions], sql`, `)} `;

/** What the rows of `selectEvents` mean. */
export function readScan(rows: readonly ScannedRow[], limitRows: number): Scan {
  const events = rows.filter((row) => row.is_end === 0);
  const shown = events.slice(0, limitRows);
  const last = events.length > limitRows ? shown.at(-1) : rows.find((row) => row.is_end === 1);
  return { events: shown, reachedSeq: last?.seq ?? null };
}

/** The index is named, so that no statistics make SQLite choose another way, and one that is missing is an error. */
const select = ({ index }: Branch, where: SQL | undefined): SQL =>
  sql`select * from ${auditEvents} ${index === null ? sql`not indexed` : sql`indexed by ${sql.identifier(index)}`} where ${where ?? sql`true`}`;

/** Under an outer ORDER BY, SQLite merges the terms of a UNION ALL and reads no more of each than it gives out. */
function merge(terms: readonly SQL[]): SQL {
  if (terms.length <= COMPOUND_MAX_TERMS) return sql.join([...terms], sql` union all `);
  const size = Math.ceil(terms.length / COMPOUND_MAX_TERMS);
  const groups = Array.from({ length: Math.ceil(terms.length / size) }, (_item, index) =>
    terms.slice(index * size, (index + 1) * size),
  );
  return sql.join(
    groups.map((group) => sql`select * from (${merge(group)})`),
    sql` union all `,
  );
}

/** Of the first AUDIT_SCAN_MAX_ROWS rows, those that pass the checks. */
const matching = (rows: SQL, checks: readonly SQL[], order: SQL, enough: number): SQL =>
  sql`select *, 0 as is_end from (
    select * from (select * from (${rows}) order by ${order} limit ${AUDIT_SCAN_MAX_ROWS}) as ${auditEvents}
    where ${and(...checks)} order by ${order} limit ${enough})`;

/** The last of those rows, if there are so many. It is looked for only while the page is not full. */
const endOfScan = (rows: SQL, order: SQL): SQL =>
  sql`select *, 1 from (select * from (${rows}) order by ${order} limit 1 offset ${AUDIT_SCAN_MAX_ROWS - 1})`;

const MINUTE_MS = 60_000;

/** Where the trail ends, and where it is still unfinished as far as a filter goes; null: nowhere. */
export interface Ends {
  readonly newest_seq: number | null;
  readonly open_seq: number | null;
}

/**
 * The query for the end of the trail and for its first open attempt behind `afterSeq` that is younger than
 * AUDIT_UNFINISHED_MS and is, or may yet be, among the rows asked for. One from further in the future is of a clock that ran
 * ahead: it would hide what is behind it until that time has come.
 */
export function selectEnds({ build }: Database, filter: EventFilter, afterSeq: number, nowMs: number) {
  // The index that holds only open attempts, whatever else could be looked up: there are hardly any.
  const open = sql`select min(${auditEvents.seq}) from ${auditEvents} indexed by audit_events_open where ${and(
    eq(auditEvents.status, sql`'attempted'`),
    gt(auditEvents.occurred_at, nowMs - AUDIT_UNFINISHED_MS),
    lt(auditEvents.occurred_at, nowMs + AUDIT_UNFINISHED_MS),
    gt(auditEvents.seq, afterSeq),
    mayComeToMatch(filter),
  )}`;
  const newest = sql`select max(${auditEvents.seq}) from ${auditEvents}`;
  return (
    build
      // Named, since rows come from D1 by name.
      .select({
        newest_seq: sql<number | null>`(${newest})`.as('newest_seq'),
        open_seq: sql<number | null>`(${open})`.as('open_seq'),
      })
      .from(sql`(select 1)`)
  );
}

/** A page for a follower: what will stay true, where to go on, and whether there is more to be had at once. */
interface Progress {
  readonly events: readonly AuditEventRow[];
  readonly nextSeq: number;
  readonly hasMore: boolean;
}

/**
 * Ends an ascending page before the first row that can still change: what a follower has read stays true.
 *
 * The position moves behind the last event shown. It moves over rows that are not shown only if they are many: a
 * follower that waits asks the same thing again then, which is counted in one row instead of written down each time.
 *
 * @param nowMs milliseconds since the epoch; null: the unfinished end is wanted too.
 */
export function progressOf({ events, reachedSeq }: Scan, ends: Ends, afterSeq: number, nowMs: number | null): Progress {
  const counting = nowMs === null ? undefined : events.find((row) => canStillGrow(row, nowMs));
  const endSeq = Math.min(counting?.seq ?? Infinity, (nowMs === null ? null : ends.open_seq) ?? Infinity);
  const shown = events.filter(({ seq }) => seq < endSeq);
  const isCut = (reachedSeq ?? Infinity) >= endSeq && endSeq !== Infinity;
  const lastSeq = shown.at(-1)?.seq ?? afterSeq;
  const examinedSeq = Math.max(lastSeq, isCut ? endSeq - 1 : (reachedSeq ?? ends.newest_seq ?? 0));
  const hasMore = reachedSeq !== null && !isCut;
  return {
    events: shown,
    nextSeq: hasMore || examinedSeq - lastSeq > AUDIT_REREAD_MAX_ROWS ? examinedSeq : lastSeq,
    hasMore,
  };
}

/** A read is counted while its minute lasts, by the clock of whoever counts it; one of a clock that ran ahead is not waited for. */
function canStillGrow({ read_key, occurred_at }: AuditEventRow, nowMs: number): boolean {
  const endOfMinute = (Math.floor(occurred_at / MINUTE_MS) + 1) * MINUTE_MS;
  const isOfNow = occurred_at < nowMs + AUDIT_UNFINISHED_MS && nowMs < endOfMinute + AUDIT_COUNTING_SLACK_MS;
  return read_key !== null && isOfNow;
}
