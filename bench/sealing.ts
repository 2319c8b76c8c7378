import { CRON_SHARES } from '../src/config/limits.ts';
import { migrations } from './audit-trail.ts';
import { atLeast, atMost, type Bar } from './bars.ts';
import { printTable } from './print.ts';
import { sized } from './quick.ts';
import type { D1Costs, LayEvents, PlayMinute, PrepareSealing, SealingAges, SealingRun } from './sealing-report.ts';
import { startWorker } from './start-worker.ts';

const PER_MINUTE = sized(20_000, 1_000);
const MINUTES = sized(10, 2);
const BACKLOG = sized(200_000, 3_000);
const LAID_AT_ONCE = 10_000;
const BACKLOG_MINUTES = sized(3, 1);
/** What is said to take how long, in milliseconds. */
const CALL_MS = 100;
const D1_COSTS: D1Costs = { batchMs: 25, readMs: 0.005, writtenMs: 0.02, handledMs: 0.04 };

const P99_MOST_SECONDS = 150;
/** D1 does nothing else while it is busy with a batch. */
const BATCH_MOST_MS = 1_000;
/** What a run takes of a backlog: with its files in D1, its share of queries ends it sooner. */
const BACKLOG_LEAST = { r2: sized(50_000, BACKLOG), d1: sized(20_000, BACKLOG) } as const;

const WAYS = [
  { name: 'R2', store: 'r2', isOutside: false },
  { name: 'R2_OUTSIDE', store: 'r2', isOutside: true },
  { name: 'D1', store: 'd1', isOutside: false },
  { name: 'D1_OUTSIDE', store: 'd1', isOutside: true },
] as const;
type Way = (typeof WAYS)[number];

/** What a simulation came to. */
interface Played {
  readonly way: Way;
  readonly runs: readonly SealingRun[];
  readonly ages: SealingAges;
}

/**
 * Seals by a clock that is moved: how long facts wait for their seal while 20,000 events come each minute, how fast a backlog falls, and what
 * it takes of D1. The files are in R2 or in D1, and a witness and a URL are told of checkpoints or nobody is.
 */
export async function benchSealing(): Promise<readonly Bar[]> {
  const names = WAYS.flatMap(({ name }) => [`${name}_ARRIVING`, `${name}_BACKLOG`]);
  await using worker = await startWorker(
    'bench/worker/sealing.ts',
    {},
    names.map((name) => `DB_${name}`),
    names.map((name) => `BUCKET_${name}`),
  );
  const play = async (way: Way, name: string, backlog: number, perMinute: number, minutes: number): Promise<Played> => {
    const { store, isOutside } = way;
    const prepare = { name, statements: migrations(), store, isOutside, perMinute, callMs: CALL_MS, costs: D1_COSTS };
    await post(`${worker.url}bench/prepare`, prepare satisfies PrepareSealing);
    for (let laid = 0; laid < backlog; laid += LAID_AT_ONCE) {
      const events = Math.min(LAID_AT_ONCE, backlog - laid);
      await post(`${worker.url}bench/lay`, { name, events } satisfies LayEvents);
    }
    const runs: SealingRun[] = [];
    const minute: PlayMinute = { name };
    for (let played = 0; played < minutes; played += 1)
      runs.push(JSON.parse(await post(`${worker.url}bench/play`, minute)));
    return { way, runs, ages: JSON.parse(await post(`${worker.url}bench/ages`, minute)) };
  };

  const arriving: Played[] = [];
  const backlogs: Played[] = [];
  // One after another: they share the processor.
  for (const way of WAYS) {
    arriving.push(await play(way, `${way.name}_ARRIVING`, 0, PER_MINUTE, MINUTES));
    backlogs.push(await play(way, `${way.name}_BACKLOG`, BACKLOG, 0, BACKLOG_MINUTES));
  }
  console.log(
    `Sealing by a clock that goes on by what calls are said to take: a batch of D1 ${D1_COSTS.batchMs} ms, and ${1_000 * D1_COSTS.readMs} µs for each row that is read, ${1_000 * D1_COSTS.writtenMs} for one that is written and ${1_000 * D1_COSTS.handledMs} for one that the Worker is given; a call to R2 or outside ${CALL_MS} ms. ${PER_MINUTE} events a minute for ${MINUTES} minutes; then a backlog of ${BACKLOG} events, and ${BACKLOG_MINUTES} minutes.`,
  );
  printTable('sealing', arriving.map(arrivingRow));
  printTable('backlog', backlogs.map(backlogRow));
  return [...arriving, ...backlogs].flatMap(barsOf);
}

const wordsOf = ({ store, isOutside }: Way) => ({
  'files in': store.toUpperCase(),
  outside: isOutside ? 'a witness and a URL' : 'nobody',
});

const seconds = (ms: number): number => Math.round(ms / 100) / 10;
const most = (runs: readonly SealingRun[], of: (run: SealingRun) => number): number => Math.max(...runs.map(of));

/** What runs take at the most. */
const takenBy = (runs: readonly SealingRun[]) => ({
  'longest run, s': seconds(most(runs, ({ ms }) => ms)),
  'D1 queries of a run': most(runs, ({ d1Queries }) => d1Queries),
  'longest D1 batch, ms': longestBatch(runs),
});

const arrivingRow = ({ way, runs, ages }: Played) => ({
  ...wordsOf(way),
  facts: ages.facts,
  'p50, s': seconds(ages.p50Ms),
  'p99, s': seconds(ages.p99Ms),
  'worst, s': seconds(ages.worstMs),
  'left by the last run': ages.left,
  ...takenBy(runs),
  'checkpoints of a run': most(runs, ({ checkpoints }) => checkpoints),
});

const backlogRow = ({ way, runs }: Played) => ({
  ...wordsOf(way),
  'facts a run': leastSealed(runs),
  ...takenBy(runs),
});

const longestBatch = (runs: readonly SealingRun[]): number =>
  Math.round(most(runs, ({ longestBatchMs }) => longestBatchMs));
const leastSealed = (runs: readonly SealingRun[]): number => Math.min(...runs.map(({ sealed }) => sealed));

function barsOf({ way, runs, ages }: Played, index: number): readonly Bar[] {
  const { 'files in': files, outside } = wordsOf(way);
  const isBacklog = index >= WAYS.length;
  const named = (name: string): string =>
    `sealing${isBacklog ? ' a backlog' : ''}, files in ${files}, outside ${outside}: ${name}`;
  const failures = runs.flatMap((run) => run.failures);
  for (const failure of failures) console.error(named(failure));
  return [
    ...(isBacklog
      ? [atLeast(named('facts a run'), leastSealed(runs), BACKLOG_LEAST[way.store])]
      : [
          atMost(named('p99'), seconds(ages.p99Ms), P99_MOST_SECONDS, 's'),
          atMost(named('facts that the last run left'), ages.left, 0),
        ]),
    atMost(
      named('D1 queries'),
      most(runs, ({ d1Queries }) => d1Queries),
      CRON_SHARES.sealing.d1Queries,
    ),
    atMost(
      named('the longest D1 batch'),
      most(runs, ({ longestBatchMs }) => longestBatchMs),
      BATCH_MOST_MS,
      'ms',
    ),
    atMost(named('failures'), failures.length, 0),
  ];
}

async function post(url: string, command: object): Promise<string> {
  // A connection that was idle while the Worker was busy may be closed by the time it is used again.
  const headers = { Connection: 'close' };
  const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify(command) });
  const text = await response.text();
  if (!response.ok) throw new Error(`the Worker answered ${response.status}: ${text}`);
  return text;
}
