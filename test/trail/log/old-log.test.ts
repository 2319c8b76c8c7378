import { env } from 'cloudflare:workers';
import { beforeEach, describe, expect, it } from 'vitest';
import type { TrailLogConfig } from '../../../src/config/trail-log.ts';
import { createDatabase } from '../../../src/db/database.ts';
import type { RequestContext } from '../../../src/kit/trace.ts';
import { newTrace } from '../../../src/kit/trace.ts';
import { parsePrivateKey, type PrivateKey, privateKeyText } from '../../../src/tlog/note.ts';
import { readOldLog } from '../../../src/trail/log/old-log.ts';
import { createLogStore } from '../../../src/trail/log/store.ts';
import { workerRuntime } from '../../../src/worker-runtime.ts';
import { NAME, OTHER_TRAIL_KEY, readKey, TRAIL_KEY } from './built-logs.ts';
import { addRows, clearTrail, finalRow, unguarded } from './rig.ts';
import { beginLog, storeFiles } from './stored-logs.ts';

// Why a log cannot go on, by the keys that the service has: a log that can is not followed by another one.

const database = createDatabase(env.DB, workerRuntime);
const store = createLogStore({ database, bucket: null, runtime: workerRuntime });
const context: RequestContext = {
  requestId: 'request-1',
  traceparent: null,
  ip: null,
  userAgent: null,
  policyVersion: '0',
  trace: newTrace(),
};
const OWN = readKey(TRAIL_KEY);
const OTHER = readKey(OTHER_TRAIL_KEY);
/** The same secret under another name. */
const RENAMED = parsePrivateKey(await privateKeyText('log', 'other.example/trail', OWN.seed)) ?? OWN;

async function readWith(key: PrivateKey, nextKey: PrivateKey | null = null) {
  const config: TrailLogConfig = { key, nextKey, bucket: null, witnesses: [], anchors: [] };
  const old = await readOldLog({ database, store, runtime: workerRuntime }, context, config);
  if (!old.ok) throw new Error(old.error.kind);
  return old.value;
}

beforeEach(async () => {
  await clearTrail();
  await addRows([finalRow(), finalRow()]);
});

const begin = async (): Promise<unknown> =>
  await beginLog(
    NAME,
    [
      { kind: 'final', seq: 1 },
      { kind: 'final', seq: 2 },
    ],
    2,
  );
const stopped = `update trail_logs set stopped = 'forked', stopped_at = 2`;
const FORGED = `update trail_checkpoints set note = replace(note, char(10) || '2', char(10) || '1')`;

describe('a log that was published', () => {
  it.each<[string, PrivateKey, PrivateKey | null, readonly string[], string | null]>([
    ['by the key that there is goes on', OWN, null, [], null],
    ['by the key that there is, and was stopped, does not', OWN, null, [stopped], 'forked'],
    ['by the key that is to take over goes on', OTHER, OWN, [], null],
    ['by the key that there is goes on, whatever key is to take over', OWN, OTHER, [], null],
    ['whose checkpoint is none does not', OWN, null, [`update trail_checkpoints set note = 'none'`], 'key_lost'],
    ['by another key has lost it', OTHER, null, [], 'key_lost'],
    ['by another key, and was stopped, has lost it as well', OTHER, null, [stopped], 'key_lost'],
    ['under another name has lost its key, whoever has the secret', RENAMED, null, [], 'key_lost'],
    ['by nobody, under the id of our key, has no key that goes on', OWN, null, [FORGED], 'key_lost'],
    ['by nobody, under the id of our key, and was stopped, is forked', OWN, null, [FORGED, stopped], 'forked'],
  ])('%s', async (_case, key, nextKey, changes, because) => {
    await begin();
    await unguarded(changes);
    expect((await readWith(key, nextKey))?.because ?? null).toBe(because);
  });
});

describe('a log that has published nothing', () => {
  beforeEach(async () => {
    await unguarded([
      `insert into trail_logs (number, origin, begun_at, size, edge, through_seq, published_size) values (1, '${NAME}', 1, 0, '[]', 0, 0)`,
    ]);
  });

  it.each<[string, PrivateKey, string | null]>([
    ['goes on with whatever key of its name there is', OTHER, null],
    ['does not with a key of another name', RENAMED, 'key_lost'],
  ])('%s', async (_case, key, because) => {
    expect((await readWith(key))?.because ?? null).toBe(because);
  });

  it('has no checkpoint, whatever file somebody has put in its place', async () => {
    await storeFiles(new Map([['1/checkpoint/000000000000000', new TextEncoder().encode('made up')]]));
    await unguarded([stopped]);
    expect(await readWith(OWN)).toMatchObject({ because: 'forked', checkpoint: null, keptSeq: 0 });
  });
});

it('where there is no log, none ends', async () => {
  expect(await readWith(OWN)).toBeNull();
});
