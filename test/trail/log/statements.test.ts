import { env } from 'cloudflare:workers';
import { beforeEach, describe, expect, it } from 'vitest';
import { CHECKPOINTS_KEPT_MS, CHECKPOINTS_PRUNED_AT_ONCE } from '../../../src/config/trail-limits.ts';
import { createDatabase, type Query } from '../../../src/db/database.ts';
import type { TrailLogRow } from '../../../src/db/trail-log-schema.ts';
import { newTrace } from '../../../src/kit/trace.ts';
import { assignHandover } from '../../../src/trail/log/handover.ts';
import type { Assignment } from '../../../src/trail/log/leaves.ts';
import {
  assignLeaves,
  forgetCheckpoints,
  publishCheckpoint,
  selectLeaves,
  stopLog,
} from '../../../src/trail/log/statements.ts';
import { workerRuntime } from '../../../src/worker-runtime.ts';
import { addRows, clearTrail, finalRow, unguarded } from './rig.ts';

// Whatever moves a log on does so only where it is still as it was read, and does nothing to any other log.

const database = createDatabase(env.DB, workerRuntime);
const LOG: TrailLogRow = {
  number: 2,
  origin: 'log.example/2',
  begun_at: 1,
  size: 7,
  edge: '[]',
  through_seq: 5,
  published_size: 6,
  published_at: 1,
  stopped: null,
  stopped_at: null,
  key: null,
};
const TABLES = ['trail_logs', 'trail_leaves', 'trail_pending', 'trail_checkpoints', 'unauthentic_rows'];
const everything = async (): Promise<readonly unknown[]> =>
  (await env.DB.batch(TABLES.map((table) => env.DB.prepare(`select * from ${table} order by 1, 2`)))).map(
    ({ results }) => results,
  );
const send = async (statements: readonly Query[]): Promise<readonly (readonly unknown[])[]> => {
  const answer = await database.batch({ trace: newTrace() }, statements);
  if (!answer.ok) throw new Error(answer.error);
  return answer.value;
};

beforeEach(async () => {
  await clearTrail();
  const insert = `insert into trail_logs (number, origin, begun_at, size, edge, through_seq, published_size)`;
  await unguarded([
    'delete from unauthentic_rows',
    ...[1, 2, 3].map((number) => `${insert} values (${number}, 'log.example/${number}', 1, 7, '[]', 5, 6)`),
    `insert into trail_leaves select 2, value, 'recorded', null, 'H', 1, '{}' from json_each('[0,1,2,3,4,5,6]')`,
    `insert into trail_pending values (3, 'settlement')`,
  ]);
});

const ASSIGNMENT: Assignment = {
  leaves: [
    { kind: 'settled', seq: 3, hash: 'A', authentic: 1 },
    { kind: 'recorded', seq: 6, hash: 'B', authentic: 0 },
  ],
  hashes: [],
  over: [3],
  waiting: [{ seq: 6, awaits: 'settlement' }],
  unauthentic: ['e-6'],
};
const STATEMENTS: Readonly<Record<string, readonly Query[]>> = {
  'leaves are assigned': assignLeaves(database, LOG, ASSIGNMENT, { size: 9, edge: '["E"]', through_seq: 6 }, 9),
  'a key hands over': assignHandover(database, LOG, { entry: '{}', hash: 'A' }, { size: 8, edge: '["E"]', key: 'k' }),
  'a checkpoint is published': publishCheckpoint(database, LOG, 'note', 9),
  'a log is stopped': [stopLog(database, LOG, 'forked', 9)],
};
const MOVED: Readonly<Record<string, object>> = {
  'leaves are assigned': { size: 9, edge: '["E"]', through_seq: 6 },
  'a key hands over': { size: 8, edge: '["E"]', key: 'k' },
  'a checkpoint is published': { published_size: 7, published_at: 9 },
  'a log is stopped': { stopped: 'forked', stopped_at: 9 },
};
const AS_IT_WAS = { size: 7, edge: '[]', through_seq: 5, published_size: 6, stopped: null, key: null };
/** What another run has done to the log since. */
const CHANGES = {
  'has more leaves': `size = 8`,
  'has passed more events': 'through_seq = 6',
  'was stopped': `stopped = 'rolled_back', stopped_at = 3`,
  'has published more': 'published_size = 7',
};

describe.each(Object.entries(STATEMENTS))('where %s', (name, statements) => {
  it('the log moves on, and no other does', async () => {
    expect((await send(statements)).at(-1)).toEqual([{ number: 2 }]);
    const { results } = await env.DB.prepare('select * from trail_logs order by number').all();
    expect(results).toMatchObject([AS_IT_WAS, { ...AS_IT_WAS, ...MOVED[name] }, AS_IT_WAS]);
  });

  const isStale = ([change]: [string, string]): boolean =>
    (name === 'leaves are assigned' || name === 'a key hands over'
      ? ['has more leaves', 'has passed more events', 'was stopped']
      : ['has published more', 'was stopped']
    ).includes(change);
  it.each(Object.entries(CHANGES).filter(isStale))('nothing is done to a log that %s since', async (_case, change) => {
    await unguarded([`update trail_logs set ${change} where number = 2`]);
    const before = await everything();
    expect((await send(statements)).at(-1)).toEqual([]);
    expect(await everything()).toEqual(before);
  });
});

it('leaves are assigned with all that goes with them', async () => {
  await send(STATEMENTS['leaves are assigned'] ?? []);
  const [leaves, pending, unauthentic] = await env.DB.batch(
    ['trail_leaves where idx > 6', 'trail_pending', 'unauthentic_rows'].map((from) =>
      env.DB.prepare(`select * from ${from}`),
    ),
  );
  expect(leaves?.results).toEqual([
    { log: 2, idx: 7, kind: 'settled', seq: 3, hash: 'A', authentic: 1, entry: null },
    { log: 2, idx: 8, kind: 'recorded', seq: 6, hash: 'B', authentic: 0, entry: null },
  ]);
  expect(pending?.results).toEqual([{ seq: 6, awaits: 'settlement' }]);
  expect(unauthentic?.results).toEqual([{ kind: 'row', name: 'e-6', found_at: 9 }]);
});

it('leaves are read from one to before another, of one log, each with its event', async () => {
  await addRows([finalRow({ id: 'e-1' })]);
  await unguarded([
    'update trail_leaves set seq = 1 where idx = 2',
    `insert into trail_leaves select 3, value, 'final', 1, 'X', 1, null from json_each('[2,3]')`,
  ]);
  const [rows] = await send([selectLeaves(database, 2, 2, 4)]);
  expect(rows).toMatchObject([
    { idx: 2, kind: 'recorded', hash: 'H', authentic: 1, entry: '{}', event: 1, id: 'e-1' },
    { idx: 3, kind: 'recorded', hash: 'H', authentic: 1, entry: '{}', event: null, id: null },
  ]);
});

it('checkpoints are forgotten after a week, by a clock that ran ahead too, but for the last one and those of other logs', async () => {
  const nowMs = 10 * CHECKPOINTS_KEPT_MS;
  const ages = [CHECKPOINTS_KEPT_MS + 1, CHECKPOINTS_KEPT_MS, -CHECKPOINTS_KEPT_MS - 1, 0, 0, CHECKPOINTS_KEPT_MS + 1];
  await unguarded(
    [1, 2].flatMap((log) =>
      ages.map(
        (age, index) => `insert into trail_checkpoints values (${log}, ${index + 1}, 'note', ${nowMs - age}, '', null)`,
      ),
    ),
  );
  await send([forgetCheckpoints(database, LOG, nowMs)]);
  const { results } = await env.DB.prepare(
    `select log || '/' || size as place from trail_checkpoints order by log, size`,
  ).all<{ place: string }>();
  expect(results.map(({ place }) => place)).toEqual('1/1 1/2 1/3 1/4 1/5 1/6 2/2 2/4 2/5 2/6'.split(' '));
});

it('checkpoints are forgotten a few at a time, the oldest first', async () => {
  const count = CHECKPOINTS_PRUNED_AT_ONCE + 3;
  await unguarded([
    `insert into trail_checkpoints select 2, value, 'note', 1, '', null
      from json_each('${JSON.stringify(Array.from({ length: count }, (_, index) => index + 1))}')`,
  ]);
  await send([forgetCheckpoints(database, { ...LOG, published_size: count }, 10 * CHECKPOINTS_KEPT_MS)]);
  const { results } = await env.DB.prepare('select size from trail_checkpoints order by size').all();
  expect(results.map(({ size }) => size)).toEqual([count - 2, count - 1, count]);
});
