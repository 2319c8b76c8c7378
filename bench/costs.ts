import { atMost, round2, type Bar } from './bars.ts';
import type { Cost } from './cost.ts';
import { operate } from './operations.ts';
import { printTable } from './print.ts';

/** What an operation may cost at the most: D1 round trips before it answers, statements, rows that D1 reads and writes. */
type Most = readonly [trips: number, statements: number, rowsRead: number, rowsWritten: number];

const MOST: Readonly<Record<string, Most>> = {
  'create, the first of an isolate': [2, 14, 44, 33],
  create: [2, 14, 51, 28],
  'list, the first': [2, 19, 91, 17],
  'list, again': [1, 5, 33, 8],
  get: [1, 5, 34, 9],
  'get, again': [1, 5, 27, 1],
  update: [2, 10, 54, 17],
  'get, after a mutation': [2, 20, 107, 14],
  'list, after a mutation': [1, 5, 27, 1],
  revoke: [2, 12, 66, 24],
  'update of a token it did not make': [3, 12, 70, 19],
  'revoke of a token it did not make': [3, 14, 75, 24],
  'audit query': [1, 3, 29, 7],
  'audit query, again': [1, 3, 20, 1],
};

/** Rows that an operation may make D1 read. The workspace has 300,000 tokens that are over. */
const ROWS_READ_MAX = 400;

/** Cloudflare's prices beyond what a paid plan includes, in US dollars for a million. Processor time is not in them. */
const DOLLARS_OF_A_MILLION = { requests: 0.3, rowsRead: 0.001, rowsWritten: 1 } as const;

/** What each operation costs: round trips to D1, rows that it bills, calls to PipeOps, and what a million of them cost. */
export async function benchCosts(): Promise<readonly Bar[]> {
  const costs = await operate();
  console.log(
    'What each operation costs, by itself, in this order. Round trips until the answer, and with those of the work that goes on after it; the rest is in all. ' +
      'A million: requests, rows read and rows written at $0.30, $0.001 and $1 a million.',
  );
  printTable(
    'costs',
    [...costs].map(([operation, cost]) => ({ operation, ...rowOf(cost) })),
  );
  const reads = Math.max(...[...costs.values()].map(({ rowsRead }) => rowsRead));
  return [
    ...[...costs].map(([operation, cost]) => barOf(operation, cost)),
    atMost('rows read by the dearest operation, beside 300,000 tokens that are over', reads, ROWS_READ_MAX),
  ];
}

function barOf(operation: string, { trips, statements, rowsRead, rowsWritten }: Cost): Bar {
  const figures = [trips, statements, rowsRead, rowsWritten];
  const most = MOST[operation] ?? [];
  return {
    name: `${operation}: D1 trips, statements, rows read, rows written`,
    figure: figures.join(', '),
    bar: `≤ ${most.join(', ')}`,
    kept: figures.every((figure, index) => figure <= (most[index] ?? Number.NaN)),
  };
}

const rowOf = (cost: Cost) => ({
  'D1 trips': cost.trips,
  'in all': cost.tripsInAll,
  statements: cost.statements,
  'rows read': cost.rowsRead,
  'rows written': cost.rowsWritten,
  'PipeOps calls': cost.pipeopsCalls,
  'a million, $': round2(
    DOLLARS_OF_A_MILLION.requests +
      cost.rowsRead * DOLLARS_OF_A_MILLION.rowsRead +
      cost.rowsWritten * DOLLARS_OF_A_MILLION.rowsWritten,
  ),
});
