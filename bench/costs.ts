import { atMost, type Bar } from './bars.ts';
import type { Cost } from './cost.ts';
import { benchCpu } from './cpu.ts';
import { operate } from './operations.ts';

/** D1 round trips that an operation may make before it answers. */
const TRIPS_MAX: Readonly<Record<string, number>> = {
  create: 2,
  'list, the first': 2,
  'list, again': 1,
  get: 1,
  'get, again': 1,
  update: 2,
  'get, after a mutation': 2,
  'list, after a mutation': 2,
  revoke: 2,
  'update of a token it did not make': 3,
  'revoke of a token it did not make': 3,
};

/** Rows that an operation may make D1 read. The workspace has 300,000 tokens that are over. */
const ROWS_READ_MAX = 400;

/** What each operation costs: round trips to D1, rows that it bills, calls to PipeOps; and processor time of a list. */
export async function benchCosts(): Promise<readonly Bar[]> {
  const costs = await operate();
  console.log(
    'What each operation costs, by itself, in this order. Round trips until the answer, and with those of the work that goes on after it; the rest is in all.',
  );
  console.table(Object.fromEntries([...costs].map(([operation, cost]) => [operation, rowOf(cost)])));
  const bars = Object.entries(TRIPS_MAX).map(([operation, most]) =>
    atMost(`${operation}: D1 round trips`, costs.get(operation)?.trips ?? Number.NaN, most),
  );
  const reads = Math.max(...[...costs.values()].map(({ rowsRead }) => rowsRead));
  return [
    ...bars,
    atMost('rows read by the dearest operation, beside 300,000 tokens that are over', reads, ROWS_READ_MAX),
    ...(await benchCpu()),
  ];
}

const rowOf = (cost: Cost): Readonly<Record<string, number>> => ({
  'D1 trips': cost.trips,
  'in all': cost.tripsInAll,
  statements: cost.statements,
  'rows read': cost.rowsRead,
  'rows written': cost.rowsWritten,
  'PipeOps calls': cost.pipeopsCalls,
});
