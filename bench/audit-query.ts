import { selectEnds } from '../src/audit/progress.ts';
import type { EventFilter, Order } from '../src/audit/event-filter.ts';
import { selectEvents } from '../src/audit/select-events.ts';
import { AUDIT_DISORDER_MS } from '../src/config/limits.ts';
import { createDatabase } from '../src/db/database.ts';
import { AUDIT_ACTIONS } from '../src/vocabulary.ts';
import { BUSY, layTrail, startDatabase, type BenchDatabase, type Sizes } from './audit-trail.ts';
import { median } from './statistics.ts';

const SIZES = [1_000, 100_000, 1_000_000] as const;
const LIMIT_ROWS = 50;
const ROUNDS = 5;
const QUERIES_PER_ROUND = 8;
/** Rows beside those of the page that a page may read. */
const SPARE_ROWS = 10;
const SCAN_MAX_ROWS = 5_000;
const LATENCY_RATIO_MAX = 1.5;
const D1_MAX_BYTES = 10_000_000_000;
const ACTIONS_PER_DAY = 10 * 24 * 60 * 60;

interface Case {
  readonly name: string;
  readonly filter: (times: Times) => Partial<EventFilter>;
  readonly order: Order;
  /** How many rows a page may read, beside those of the slack. */
  readonly maxRows: number;
  /** Whether its latency may not depend on the size of the trail. */
  readonly isTimed: boolean;
}

/** Times of rows at these shares of the trail. */
interface Times {
  readonly early: number;
  readonly late: number;
}

const NO_FILTER: EventFilter = {
  actions: [],
  status: null,
  actor: null,
  actorType: null,
  tokenId: null,
  workspaceUuid: null,
  requestId: null,
  ip: null,
  fromMs: null,
  toMs: null,
};

const TOKEN_ACTIONS = AUDIT_ACTIONS.filter((action) => action.startsWith('service_account_token.'));
const INDEXED: readonly (readonly [string, Partial<EventFilter>, branches?: number])[] = [
  ['no filter', {}],
  ['action', { actions: ['service_account_token.revoke'] }],
  [`action (${TOKEN_ACTIONS.length})`, { actions: TOKEN_ACTIONS }, TOKEN_ACTIONS.length],
  ['actor: issuer|subject', { actor: `${BUSY.issuer}|${BUSY.subject}` }],
  ['actor: subject', { actor: BUSY.subject }],
  ['actor: label', { actor: BUSY.label }],
  ['token_id', { tokenId: BUSY.token }],
  ['workspace_uuid', { workspaceUuid: BUSY.workspace }],
  ['request_id', { requestId: BUSY.request }],
];
const SCANNED: readonly (readonly [string, Partial<EventFilter>])[] = [
  ['status', { status: 'failure' }],
  ['status, none such', { status: 'attempted' }],
  ['ip', { ip: BUSY.ip }],
  ['actor_type', { actorType: 'webhook' }],
  ['action + status', { actions: ['service_account_token.get'], status: 'attempted' }],
  ['workspace_uuid + actor', { workspaceUuid: BUSY.workspace, actor: 'nobody@acme.example' }],
];

const CASES: readonly Case[] = [
  ...INDEXED.map(([name, filter, branches = 1]): Case => ({
    name,
    filter: () => filter,
    order: 'desc',
    maxRows: branches * LIMIT_ROWS + SPARE_ROWS,
    isTimed: false,
  })),
  ...INDEXED.flatMap(([name, filter, branches = 1]) =>
    (['desc', 'asc'] as const).map((order): Case => ({
      name: `${name} + from/to, ${order}`,
      filter: ({ early, late }) => ({ ...filter, fromMs: early, toMs: late }),
      order,
      maxRows: branches * LIMIT_ROWS + SPARE_ROWS,
      isTimed: true,
    })),
  ),
  ...SCANNED.map(([name, filter]): Case => ({
    name,
    filter: () => filter,
    order: 'desc',
    maxRows: SCAN_MAX_ROWS,
    isTimed: false,
  })),
];

interface BenchTrail {
  readonly rows: number;
  readonly database: BenchDatabase;
  readonly sizes: Sizes;
  readonly times: Times;
}

interface Result {
  readonly rows: number;
  readonly milliseconds: number;
  readonly isOver: boolean;
}

/** What queries of the trail read, at three sizes of it. False: more than was promised. */
export async function benchAuditQueries(): Promise<boolean> {
  await using stack = new AsyncDisposableStack();
  const trails: BenchTrail[] = [];
  for (const rows of SIZES) {
    const database = stack.use(await startDatabase());
    const sizes = await layTrail(database, rows);
    trails.push({ rows, database, sizes, times: await readTimes(database, rows) });
  }
  const results = new Map<string, Result[]>();
  for (const oneCase of CASES) {
    for (const page of ['first', 'deep'] as const) {
      results.set(`${oneCase.name}, ${page} page`, await measureCase(trails, oneCase, page));
    }
  }
  const isSlow = new Set(CASES.filter(({ isTimed }) => isTimed).map(({ name }) => name));
  let isKept = true;
  console.log(
    `Queries of the trail: rows read by a page of ${LIMIT_ROWS}, and its latency in D1 (median of ${ROUNDS} × ${QUERIES_PER_ROUND}).`,
  );
  console.table(
    [...results].map(([name, measured]) => {
      const ratio = (measured.at(-1)?.milliseconds ?? NaN) / (measured[0]?.milliseconds ?? NaN);
      const isTimed = isSlow.has(name.replace(/, \w+ page$/, ''));
      const isOver = measured.some((result) => result.isOver) || (isTimed && ratio > LATENCY_RATIO_MAX);
      isKept &&= !isOver;
      return {
        query: name,
        ...Object.fromEntries(measured.map(({ rows }, index) => [`rows at ${thousands(SIZES[index])}`, rows])),
        ...Object.fromEntries(
          measured.map(({ milliseconds }, index) => [`ms at ${thousands(SIZES[index])}`, milliseconds.toFixed(2)]),
        ),
        ratio: ratio.toFixed(2),
        '': isOver ? 'OVER' : '',
      };
    }),
  );
  const largest = trails.at(-1);
  if (largest !== undefined) printSizes(largest);
  return isKept;
}

/** Measures a page on every trail, in turns: whatever else the machine does hits all of them alike. */
async function measureCase(
  trails: readonly BenchTrail[],
  { name, filter: filterAt, order, maxRows }: Case,
  page: 'first' | 'deep',
): Promise<Result[]> {
  const prepared = trails.map((trail) => {
    const filter = { ...NO_FILTER, ...filterAt(trail.times) };
    // A deep page stands in the middle of the trail, which is also in the middle of the times.
    const position = { order, seq: page === 'first' ? null : Math.floor(trail.rows / 2) };
    const database = createDatabase(trail.database.d1, { now: () => 0, log: () => {} });
    const events = selectEvents(database, filter, position, LIMIT_ROWS);
    const ends = order === 'asc' ? [selectEnds(database, filter, position.seq ?? 0, 0)] : [];
    const statements = [events, ...ends].map((query) => query.toSQL());
    return { ...trail, filter, statements, milliseconds: [] as number[] };
  });
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const { database, statements, milliseconds } of prepared) {
      const startedAt = performance.now();
      await database.run(statements, 0);
      const emptyAt = performance.now();
      await database.run(statements, QUERIES_PER_ROUND);
      milliseconds.push((performance.now() - emptyAt - (emptyAt - startedAt)) / QUERIES_PER_ROUND);
    }
  }
  return await Promise.all(
    prepared.map(async ({ database, filter, statements, milliseconds }) => {
      const measured = await database.run(statements);
      if (measured[0]?.results.length === 0 && maxRows < SCAN_MAX_ROWS) throw new Error(`${name} finds nothing`);
      const rows = measured.reduce((sum, { rows_read }) => sum + rows_read, 0);
      const allowed = maxRows + (await slackRows(database, filter));
      return { rows, milliseconds: median(milliseconds), isOver: rows > allowed };
    }),
  );
}

/** Rows of the minutes that bounds on time are off by. */
async function slackRows({ run }: BenchDatabase, { fromMs, toMs }: EventFilter): Promise<number> {
  let rows = 0;
  for (const [begin, end] of [
    [(fromMs ?? 0) - AUDIT_DISORDER_MS, fromMs ?? 0],
    [toMs ?? 0, (toMs ?? 0) + AUDIT_DISORDER_MS],
  ]) {
    const sql = 'select count(*) as n from audit_events where occurred_at between ? and ?';
    rows += Number((await run([{ sql, params: [begin, end] }]))[0]?.results[0]?.['n']);
  }
  return rows;
}

async function readTimes(database: BenchDatabase, size: number): Promise<Times> {
  const at = async (share: number): Promise<number> => {
    const sql = 'select occurred_at from audit_events where seq = ?';
    const [row] = await database.run([{ sql, params: [Math.floor(size * share)] }]);
    return Number(row?.results[0]?.['occurred_at']);
  };
  return { early: await at(0.2), late: await at(0.8) };
}

function printSizes({ rows, sizes: { tableBytes, indexBytes } }: BenchTrail): void {
  const parts = [...indexBytes].filter(([, bytes]) => bytes > 0);
  const all = tableBytes + parts.reduce((sum, [, bytes]) => sum + bytes, 0);
  console.log('Bytes per row of the trail:');
  console.table(
    Object.fromEntries(
      [['table', tableBytes] as const, ...parts].map(([name, bytes]) => [name, { bytes: Math.round(bytes / rows) }]),
    ),
  );
  console.log(
    `${Math.round(all / rows)} bytes a row in all: ${Math.floor(D1_MAX_BYTES / (all / rows) / ACTIONS_PER_DAY)} days to 10 GB at 10 audited actions a second.`,
  );
}

const thousands = (size: number | undefined): string => (size ?? 0).toLocaleString('en-GB');

if (import.meta.main && !(await benchAuditQueries())) process.exitCode = 1;
