import { and, asc, desc, sql, type SQL } from 'drizzle-orm';
import { AUDIT_SCAN_MAX_ROWS } from '../../config/limits.ts';
import type { Database, Query } from '../../db/database.ts';
import { type AuditEventRow, auditEvents } from '../../db/schema.ts';
import type { RecordFailure } from '../../failures.ts';
import { encodeCursor } from '../../http/query.ts';
import { ok, type Result } from '../../kit/result.ts';
import type { Runtime } from '../../kit/runtime.ts';
import type { RequestContext } from '../../kit/trace.ts';
import type { Caller } from '../../policy/types.ts';
import { actorOf, type EventSubject, eventSubject } from '../event.ts';
import type { Recorder } from '../recorder.ts';
import { type Ends, NO_ENDS, progressOf, selectEnds } from './follow.ts';
import { presentEvent, type ShownEvent } from './format.ts';
import { type EventFilter, filterDetail } from './filter.ts';
import { type AuditQuery, type Position, positionDetail } from './params.ts';
import { type Branch, notOwnQueries, type Plan, planOf } from './plan.ts';
import { type SeqBounds, seqBounds } from './time-bounds.ts';

/** What reading the trail needs. */
export interface Trail {
  readonly database: Database;
  readonly recorder: Recorder;
  readonly runtime: Runtime;
}

/** A page of the trail, as its reader sees it. */
export interface AuditPage {
  readonly events: readonly ShownEvent[];
  /** Never null in ascending direction: there a follower asks again from where it is. */
  readonly nextCursor: string | null;
  /** Whether the next page can be had at once. */
  readonly hasMore: boolean;
}

/**
 * Reads a page of the trail. Reading the trail is itself in the trail: the rows and the row of this query come from one
 * batch, so neither is had without the other. Fails as `recordRead` does.
 *
 * @param present what this caller sees of an event.
 */
export async function queryTrail(
  { database, recorder, runtime }: Trail,
  context: RequestContext,
  caller: Caller,
  query: AuditQuery,
  present: (row: AuditEventRow) => ShownEvent = presentEvent,
): Promise<Result<AuditPage, RecordFailure>> {
  const { filter, position, limitRows } = query;
  const nowMs = runtime.now();
  const page = selectEvents(database, filter, position, limitRows, hidesOwn(query) ? notOwnQueries(caller) : undefined);
  const subject = describeQuery(caller, query);

  if (position.direction === 'desc') {
    const recorded = await recorder.recordRead(context, subject, [page]);
    return recorded.ok ? ok(pageOf(recorded.value.rows[0], NO_ENDS, query, nowMs, present)) : recorded;
  }
  const ends = selectEnds(database, filter, position.seq ?? 0, nowMs);
  const recorded = await recorder.recordRead(context, subject, [page, ends]);
  if (!recorded.ok) return recorded;
  const [rows, [end = NO_ENDS]] = recorded.value.rows;
  return ok(pageOf(rows, end, query, nowMs, present));
}

/**
 * The page that the rows of `selectPage` make.
 *
 * @param ends what `selectEnds` read. A descending page needs none.
 */
export function pageOf(
  rows: readonly ScannedRow[],
  ends: Ends,
  { position, limitRows, latest }: Pick<AuditQuery, 'position' | 'limitRows' | 'latest'>,
  nowMs: number,
  present: (row: AuditEventRow) => ShownEvent,
): AuditPage {
  const scan = readScan(rows, limitRows);
  if (position.direction === 'desc') {
    const nextCursor = scan.reachedSeq === null ? null : encodeCursor(scan.reachedSeq);
    return { events: scan.events.map(present), nextCursor, hasMore: nextCursor !== null };
  }
  const { events, nextSeq, hasMore } = progressOf(scan, ends, position.seq ?? 0, latest ? null : nowMs);
  return { events: events.map(present), nextCursor: encodeCursor(nextSeq), hasMore };
}

/** A follower would otherwise be shown its own query, and ask again, and so on. */
const hidesOwn = ({ filter, position }: AuditQuery): boolean =>
  position.direction === 'asc' && position.seq !== null && !filter.actions.includes('audit.query');

/** What the query of the trail is in the trail. */
const describeQuery = (caller: Caller, { filter, position, limitRows, latest }: AuditQuery): EventSubject =>
  eventSubject('audit.query', actorOf(caller), {
    workspaceUuid: filter.workspaceUuid,
    tokenId: filter.tokenId,
    detail: { ...filterDetail(filter), ...positionDetail(position), limit: limitRows, ...(latest && { latest }) },
  });

/** A row of the trail, or the last row that was looked at. */
export interface ScannedRow extends AuditEventRow {
  readonly is_end: 0 | 1;
}

/**
 * The query for a page of the trail, in the order of `seq`. It reads `limitRows` rows and a few more where a filter has
 * an index, at any size of the trail. Where it has none, or several are combined, it looks at no more than
 * AUDIT_SCAN_MAX_ROWS rows. `readScan` makes sense of its rows.
 *
 * @param excluding rows that are not shown, whatever the filter.
 */
export function selectEvents(
  database: Pick<Database, 'build'>,
  filter: EventFilter,
  position: Position,
  limitRows: number,
  excluding?: SQL,
): Query<ScannedRow[]> {
  const plan = planOf(filter);
  const checks = excluding === undefined ? plan.checks : [...plan.checks, excluding];
  return selectPage(database, { ...plan, checks }, seqBounds(filter, position), position, limitRows);
}

/** The rows of a plan within these bounds, which have to be put in order, and what goes with them. */
export const selectRows = ({ branches, expressions, checks }: Plan, bounds: SeqBounds) => ({
  rows: merge(branches.map((branch) => select(branch, and(branch.where, ...bounds.conditions)))),
  expressions: [...expressions, ...bounds.expressions],
  checks,
});

/** The query for a page of the rows of a plan. See `selectEvents`. */
export function selectPage(
  { build }: Pick<Database, 'build'>,
  plan: Plan,
  bounds: SeqBounds,
  position: Position,
  limitRows: number,
): Query<ScannedRow[]> {
  const { rows, expressions, checks } = selectRows(plan, bounds);
  const order = position.direction === 'asc' ? asc(sql`seq`) : desc(sql`seq`);
  // One row more than asked for tells whether there is more.
  const enough = limitRows + 1;
  const page =
    checks.length === 0
      ? sql`select *, 0 as is_end from (${rows} order by ${order} limit ${enough})`
      : sql`${matching(rows, checks, order, enough)} union all ${endOfScan(rows, order)} limit ${enough}`;
  const query = build.select({ all: sql`*` }).from(sql`(${withExpressions(expressions)}${page})`);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- Drizzle cannot know the columns of `*`: they are these
  return query as unknown as Query<ScannedRow[]>;
}

/** What `selectEvents` read. */
export interface Scan {
  readonly events: readonly AuditEventRow[];
  /** The last `seq` that was looked at, after which the next page begins. Null: there is nothing more. */
  readonly reachedSeq: number | null;
}

/** Makes sense of the rows of `selectEvents`. */
export function readScan(rows: readonly ScannedRow[], limitRows: number): Scan {
  const events = rows.filter((row) => row.is_end === 0);
  const shown = events.slice(0, limitRows);
  const last = events.length > limitRows ? shown.at(-1) : rows.find((row) => row.is_end === 1);
  return { events: shown, reachedSeq: last?.seq ?? null };
}

const withExpressions = (expressions: readonly SQL[]): SQL =>
  expressions.length === 0 ? sql`` : sql`with recursive ${sql.join([...expressions], sql`, `)} `;

/** The index is named, so that no statistics make SQLite choose another way, and a missing index is an error. */
const select = ({ index }: Branch, where: SQL | undefined): SQL =>
  sql`select * from ${auditEvents} ${index === null ? sql`not indexed` : sql`indexed by ${sql.identifier(index)}`} where ${where ?? sql`true`}`;

/** D1 takes five SELECTs in a compound one, and counts those of a subquery by themselves. */
const COMPOUND_MAX_TERMS = 5;

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

/** The rows that pass the checks, among the first AUDIT_SCAN_MAX_ROWS. */
const matching = (rows: SQL, checks: readonly SQL[], order: SQL, enough: number): SQL =>
  sql`select *, 0 as is_end from (
    select * from (select * from (${rows}) order by ${order} limit ${AUDIT_SCAN_MAX_ROWS}) as ${auditEvents}
    where ${and(...checks)} order by ${order} limit ${enough})`;

/** The last of those rows, if there are so many. It is looked for only while the page is not full. */
const endOfScan = (rows: SQL, order: SQL): SQL =>
  sql`select *, 1 from (select * from (${rows}) order by ${order} limit 1 offset ${AUDIT_SCAN_MAX_ROWS - 1})`;
