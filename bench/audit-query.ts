import type { PageCommand, SqlCommand } from './audit-commands.ts';
import { CASES, PAGE_ROWS, type Case, type Times } from './audit-cases.ts';
import { layTrail, type RunSql, type Sizes } from './audit-trail.ts';
import { startWorker } from './start-worker.ts';
import { median } from './statistics.ts';

const SIZES = [
  ['1k', 1_000],
  ['100k', 100_000],
  ['1M', 1_000_000],
] as const;
const ROUNDS = 5;
const PAGES_PER_ROUND = 5;
/** A latency beyond its bar is measured again, this often: it is a fraction of a millisecond on a machine that others use. */
const REPEATS = 3;
const LATENCY_RATIO_MAX = 1.5;
const D1_MAX_BYTES = 10_000_000_000;
const ACTIONS_PER_DAY = 10 * 24 * 60 * 60;

interface Trail {
  readonly name: string;
  readonly rows: number;
  readonly run: RunSql;
  readonly readPage: (page: Omit<PageCommand, 'database'>) => Promise<{ rowsRead: number; events: number }>;
  readonly sizes: Sizes;
  readonly times: Times;
}

interface Measured {
  readonly rows: readonly number[];
  readonly milliseconds: readonly number[];
  /** Of the latency at the largest trail to that at the smallest. */
  readonly ratio: number;
  readonly isOver: boolean;
}

/** What queries of the trail read, and how long they take, at three sizes of it. False: more than was promised. */
export async function benchAuditQueries(): Promise<boolean> {
  await using worker = await startWorker(
    'bench/worker/audit.ts',
    {},
    SIZES.map(([name]) => name),
  );
  const trails: Trail[] = [];
  for (const [name, rows] of SIZES) trails.push(await openTrail(worker.url, name, rows));

  const table: Record<string, Record<string, unknown>> = {};
  let isKept = true;
  for (const oneCase of CASES) {
    for (const page of ['first', 'deep'] as const) {
      let measured = await measure(trails, oneCase, page);
      for (let repeat = 0; repeat < REPEATS && oneCase.isTimed && measured.ratio > LATENCY_RATIO_MAX; repeat += 1) {
        measured = await measure(trails, oneCase, page);
      }
      const isOver = measured.isOver || (oneCase.isTimed && measured.ratio > LATENCY_RATIO_MAX);
      isKept &&= !isOver;
      table[`${oneCase.name}: ${page}`] = {
        ...Object.fromEntries(SIZES.map(([name], index) => [`rows ${name}`, measured.rows[index]])),
        ...Object.fromEntries(SIZES.map(([name], index) => [`ms ${name}`, round2(measured.milliseconds[index])])),
        ratio: round2(measured.ratio),
        ...(isOver && { over: true }),
      };
    }
  }
  console.log(
    `Queries of the trail: rows read for a page of ${PAGE_ROWS}, the first one and one in the middle, and the latency of D1 (medians of ${ROUNDS} interleaved rounds of ${PAGES_PER_ROUND}).`,
  );
  console.table(table);
  printSizes(trails);
  return isKept;
}

async function openTrail(url: string, name: string, rows: number): Promise<Trail> {
  const run: RunSql = async (sql, ...params) => {
    const command: SqlCommand = { database: name, sql, params };
    return await send(`${url}bench/sql`, command);
  };
  const sizes = await layTrail(run, rows);
  const timeAt = async (share: number): Promise<number> => {
    const answer = await run('select occurred_at as ms from audit_events where seq = ?', Math.floor(rows * share));
    return Number(answer.rows[0]?.['ms']);
  };
  const readPage: Trail['readPage'] = async (page) => await send(`${url}bench/page`, { database: name, ...page });
  return { name, rows, run, readPage, sizes, times: { earlyMs: await timeAt(0.2), lateMs: await timeAt(0.8) } };
}

/** Measures a page on every trail, in turns: whatever else the machine does hits all of them alike. */
async function measure(trails: readonly Trail[], oneCase: Case, page: 'first' | 'deep'): Promise<Measured> {
  const samples = trails.map((trail) => {
    const filter = oneCase.filter(trail.times);
    const position = { direction: oneCase.direction, seq: page === 'first' ? null : Math.floor(trail.rows / 2) };
    return { trail, page: { filter, position, limitRows: PAGE_ROWS }, milliseconds: [] as number[] };
  });
  for (let round = 0; round < ROUNDS; round += 1) {
    // One after the other, or they would measure each other.
    for (const sample of samples) {
      const startedAt = performance.now();
      await sample.trail.readPage({ ...sample.page, times: 0 });
      const emptyAt = performance.now();
      await sample.trail.readPage({ ...sample.page, times: PAGES_PER_ROUND });
      sample.milliseconds.push((performance.now() - emptyAt - (emptyAt - startedAt)) / PAGES_PER_ROUND);
    }
  }
  const rows: number[] = [];
  let isOver = false;
  for (const { trail, page: read } of samples) {
    const { rowsRead, events } = await trail.readPage({ ...read, times: 1 });
    if (events === 0 && oneCase.isFound) throw new Error(`${oneCase.name} finds nothing at ${trail.name}`);
    rows.push(rowsRead);
    isOver ||= rowsRead > oneCase.maxRows;
  }
  const [smallest, largest] = [samples[0]?.milliseconds ?? [], samples.at(-1)?.milliseconds ?? []];
  return {
    rows,
    milliseconds: samples.map(({ milliseconds }) => median(milliseconds)),
    ratio: median(largest.map((milliseconds, round) => milliseconds / (smallest[round] ?? Number.NaN))),
    isOver,
  };
}

function printSizes(trails: readonly Trail[]): void {
  const trail = trails.at(-1);
  if (trail === undefined) return;
  const { rows, sizes } = trail;
  const parts = [['table', sizes.tableBytes] as const, ...sizes.indexBytes];
  const bytes = parts.reduce((sum, [, size]) => sum + size, 0) / rows;
  const days = Math.floor(D1_MAX_BYTES / bytes / ACTIONS_PER_DAY);
  console.log(`Bytes of a row, at ${trail.name} rows:`);
  console.table(
    Object.fromEntries(parts.map(([name, size]) => [name, { bytes: Math.round((size / rows) * 10) / 10 }])),
  );
  console.log(
    `${Math.round(bytes)} bytes a row in all: ${days} days to 10 GB at 10 audited actions a second, each with a row of its own.`,
  );
}

async function send<Answer>(url: string, command: object): Promise<Answer> {
  const response = await fetch(url, { method: 'POST', body: JSON.stringify(command) });
  if (!response.ok) throw new Error(`the Worker answered ${response.status}: ${await response.text()}`);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the Worker of this benchmark answers nothing else
  return (await response.json()) as Answer;
}

const round2 = (value: number | undefined): number => Math.round((value ?? Number.NaN) * 100) / 100;
