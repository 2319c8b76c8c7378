import { atLeast, atMost, round2, type Bar } from './bars.ts';
import type { LoadFigures } from './load.ts';
import { printTable } from './print.ts';
import { medianRatio } from './rounds.ts';
import { SCENARIOS, type Operation, type Scenario, type ScenarioName } from './scenarios.ts';
import { median } from './statistics.ts';
import type { TargetName } from './targets.ts';

/** What a target was like in a round, by operation; of ours also how long a D1 trip took then, where callers ask one at a time. */
export interface Round {
  readonly figures: ReadonlyMap<Operation, LoadFigures>;
  readonly tripMs: number;
}
export type Measured = ReadonlyMap<ScenarioName, ReadonlyMap<TargetName, readonly Round[]>>;

type Figure = 'perSecond' | 'p50Ms' | 'p99Ms';

/** Below this a 99th percentile is the slowest of a few. */
const P99_MIN_ANSWERS = 100;

const ALONE = ['localOne', 'near', 'usual', 'distant', 'longer', 'longest'] as const;
const ARRIVING = ['lists300', 'nearLists300', 'distantLists300', 'sixteen', 'fiveHundred', 'all100'] as const;
const LOOPS = ['local16', 'local64', 'usual64'] as const;

/** A scenario's figures of one operation. */
function viewOf(measured: Measured, scenario: ScenarioName, operation: Operation) {
  const rounds = measured.get(scenario);
  const all = (target: TargetName, figure: Figure | 'answers' | 'failed'): readonly number[] =>
    (rounds?.get(target) ?? []).map(({ figures }) => figures.get(operation)?.[figure] ?? Number.NaN);
  return {
    all,
    tripsMs: (rounds?.get('ours') ?? []).map(({ tripMs }) => tripMs),
    of: (target: TargetName, figure: Figure): number => median(all(target, figure)),
    ratio: (target: TargetName, figure: Figure): number => medianRatio(all('ours', figure), all(target, figure)),
    failed: all('ours', 'failed').reduce((sum, count) => sum + count, 0),
    hasP99: median(all('(a)', 'answers')) >= P99_MIN_ANSWERS,
  };
}

/** What an (a) would take that makes so many D1 trips as well; milliseconds, by round. */
function withTrips(measured: Measured, scenario: ScenarioName, operation: Operation, trips: number): readonly number[] {
  const { all, tripsMs } = viewOf(measured, scenario, operation);
  return all('(a)', 'p50Ms').map((ms, round) => ms + trips * (tripsMs[round] ?? Number.NaN));
}

/** By how many D1 trips ours is longer than (a). */
function tripsBeyond(measured: Measured, scenario: ScenarioName, operation: Operation): number {
  const { all, tripsMs } = viewOf(measured, scenario, operation);
  const bare = all('(a)', 'p50Ms');
  const beyond = all('ours', 'p50Ms').map((ms, round) => ms - (bare[round] ?? Number.NaN));
  return medianRatio(beyond, tripsMs);
}

export function printMeasured(measured: Measured): void {
  const title = (text: string): void => console.log(`${text} Times are milliseconds, medians of interleaved rounds.`);
  title('One caller at a time: what a request takes.');
  printTable(
    'one at a time',
    rowsOf(measured, ALONE, (name, operation) => aloneRow(measured, name, operation)),
  );
  title('Requests that arrive at random, as many a second: what one takes from its arrival.');
  printTable(
    'arriving',
    rowsOf(measured, ARRIVING, (name, operation) => arrivingRow(measured, name, operation)),
  );
  title('Many callers who each ask again at once: how many requests a second.');
  printTable(
    'at once',
    rowsOf(measured, LOOPS, (name, operation) => loopRow(measured, name, operation)),
  );
}

const rowsOf = <Row>(
  measured: Measured,
  names: readonly ScenarioName[],
  rowOf: (name: ScenarioName, operation: Operation) => Row,
): readonly Row[] =>
  names
    .filter((name) => measured.has(name))
    .flatMap((name) => {
      const { operations }: Scenario = SCENARIOS[name];
      return operations.map((operation) => rowOf(name, operation));
    });

function aloneRow(measured: Measured, name: ScenarioName, operation: Operation) {
  const { of, ratio, tripsMs } = viewOf(measured, name, operation);
  const isChange = operation === 'create' || operation === 'revoke';
  return {
    ...headOf(name, operation),
    'ours p50': round2(of('ours', 'p50Ms')),
    '(a) p50': round2(of('(a)', 'p50Ms')),
    '(b) p50': round2(of('(b)', 'p50Ms')),
    'ours to (a)': round2(ratio('(a)', 'p50Ms')),
    'to (b)': round2(ratio('(b)', 'p50Ms')),
    'a D1 trip': round2(median(tripsMs)),
    'D1 trips beyond (a)': isChange ? round2(tripsBeyond(measured, name, operation)) : '',
  };
}

function arrivingRow(measured: Measured, name: ScenarioName, operation: Operation) {
  const { of, ratio, failed, hasP99 } = viewOf(measured, name, operation);
  const { targets }: Scenario = SCENARIOS[name];
  const hasAfternoon = targets.includes('(b)');
  const p99 = (value: number): number | string => (hasP99 ? round2(value) : '');
  return {
    ...headOf(name, operation),
    'ours p50': round2(of('ours', 'p50Ms')),
    'ours p99': p99(of('ours', 'p99Ms')),
    '(a) p50': round2(of('(a)', 'p50Ms')),
    '(a) p99': p99(of('(a)', 'p99Ms')),
    'p50 to (a)': round2(ratio('(a)', 'p50Ms')),
    'p99 to (a)': p99(ratio('(a)', 'p99Ms')),
    'p50 to (b)': hasAfternoon ? round2(ratio('(b)', 'p50Ms')) : '',
    'p99 to (b)': hasAfternoon ? p99(ratio('(b)', 'p99Ms')) : '',
    'ours failed': failed,
  };
}

function loopRow(measured: Measured, name: ScenarioName, operation: Operation) {
  const { of, ratio } = viewOf(measured, name, operation);
  return {
    ...headOf(name, operation),
    'ours /s': Math.round(of('ours', 'perSecond')),
    '(a) /s': Math.round(of('(a)', 'perSecond')),
    '(b) /s': Math.round(of('(b)', 'perSecond')),
    'ours to (a)': round2(ratio('(a)', 'perSecond')),
    'to (b)': round2(ratio('(b)', 'perSecond')),
    'ours p50': round2(of('ours', 'p50Ms')),
    'ours p99': round2(of('ours', 'p99Ms')),
    'p99 to (a)': round2(ratio('(a)', 'p99Ms')),
  };
}

function headOf(name: ScenarioName, operation: Operation) {
  const { distance, name: load }: Scenario = SCENARIOS[name];
  return { operation, load, 'D1 +ms': distance.d1Ms, 'PipeOps +ms': distance.pipeopsMs };
}

const USUAL = 'D1 +25 ms, PipeOps +100 ms, one at a time:';
const OPEN_300 = 'D1 +25 ms, PipeOps +100 ms, 300 lists a second:';
const OPEN_300_DISTANT = 'D1 +100 ms, PipeOps +100 ms, 300 lists a second:';
const OPEN_500 = 'D1 +25 ms, PipeOps +100 ms, 150 lists a second of 500 workspaces:';

/** What is promised, in the order in which users meet it: of the scenarios that were measured. */
export function barsOf(measured: Measured): readonly Bar[] {
  const to = (name: ScenarioName, figure: Figure, operation: Operation = 'list', target: TargetName = '(a)'): number =>
    viewOf(measured, name, operation).ratio(target, figure);
  const toTrips = (name: ScenarioName, operation: Operation, trips: number): number =>
    medianRatio(viewOf(measured, name, operation).all('ours', 'p50Ms'), withTrips(measured, name, operation, trips));
  const bars: readonly (readonly [ScenarioName, Bar])[] = [
    ['usual', atMost(`${USUAL} list p50 to (a)`, to('usual', 'p50Ms'), 0.32)],
    ['usual', atMost(`${USUAL} get p50 to (a)`, to('usual', 'p50Ms', 'get'), 0.32)],
    ['usual', atMost(`${USUAL} create p50 to (a) + 2 D1 trips`, toTrips('usual', 'create', 2), 1.15)],
    ['usual', atMost(`${USUAL} revoke p50 to (a) + 2 D1 trips`, toTrips('usual', 'revoke', 2), 1.15)],
    ['lists300', atMost(`${OPEN_300} p50 to (a)`, to('lists300', 'p50Ms'), 0.42)],
    ['lists300', atMost(`${OPEN_300} p99 to (a)`, to('lists300', 'p99Ms'), 0.65)],
    ['distantLists300', atMost(`${OPEN_300_DISTANT} p50 to (a)`, to('distantLists300', 'p50Ms'), 1.15)],
    ['fiveHundred', atMost(`${OPEN_500} p50 to (a)`, to('fiveHundred', 'p50Ms'), 0.45)],
    ['fiveHundred', atMost(`${OPEN_500} p99 to (a)`, to('fiveHundred', 'p99Ms'), 0.9)],
    ['local16', atLeast('local, 16 connections: lists a second to (a)', to('local16', 'perSecond'), 0.85)],
    ['local64', atLeast('local, 64 connections: lists a second to (a)', to('local64', 'perSecond'), 0.95)],
    [
      'local16',
      atLeast('local, 16 connections: lists a second to (b)', to('local16', 'perSecond', 'list', '(b)'), 2.3),
    ],
    ['localOne', atMost('local, one at a time: list p50 to (a) + 1 D1 trip', toTrips('localOne', 'list', 1), 1.3)],
    [
      'localOne',
      atMost('local, one at a time: create p50 to (a) + 2 D1 trips', toTrips('localOne', 'create', 2), 1.45),
    ],
  ];
  return bars.filter(([name]) => measured.has(name)).map(([, bar]) => bar);
}
