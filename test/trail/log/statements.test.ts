import { env } from 'cloudflare:workers';
import { beforeEach, describe, expect, it } from 'vitest';
import { createDatabase, type Query } from '../../../src/db/database.ts';
import type { TrailLogRow } from '../../../src/db/trail-log-schema.ts';
import { newTrace } from '../../../src/kit/trace.ts';
import { assignHandover } from '../../../src/trail/log/handover.ts';
import type { Assignment } from '../../../src/trail/log/leaves.ts';
import { assignLeaves, publishCheckpoint, stopLog } from '../../../src/trail/log/statements.ts';
import { workerRuntime } from '../../../src/worker-runtime.ts';
import { clearTrail, unguarded } from './rig.ts';

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
