import { and, asc, desc, sql, type SQL } from 'drizzle-orm';
import { AUDIT_SCAN_MAX_ROWS } from '../../config/limits.ts';
import type { Database, Query } from '../../db/database.ts';
import { auditEvents, type AuditEventRow } from '../../db/schema.ts';
import { planOf, type Branch } from './conditions.ts';
import type { EventFilter, Position } from './event-filter.ts';
import { seqBounds } from './time-bounds.ts';

/** D1 takes five SELECTs in a compound one, and counts those of a subquery by themselves. */
const COMPOUND_MAX_TERMS = 5;

/** A row of the trail, or the last that was looked at. */
export interface ScannedRow extends AuditEventRow {
  readonly is_end: 0 | 1;
}

/** What `selectEvents` found. */
export interface Scan {
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
