import { env } from 'cloudflare:workers';
import { beforeEach, describe, expect, it } from 'vitest';
import {
  addRows,
  clearTrail,
  createRig,
  expectWhole,
  finalRow,
  mixedRows,
  readLeaves,
  readLog,
  settle,
  type Call,
} from './rig.ts';

// A run that is killed, fails, or meets another run at any of its calls: no fork, no gap, no double leaf.

beforeEach(clearTrail);

/** A run that begins the log, and one that goes on with it: a tile grows and one is filled. */
const SCENE = { chunkRows: 150 };
const FIRST = 200;
async function prepare(): Promise<void> {
  await addRows(mixedRows(FIRST));
  await createRig(SCENE).run();
  await settle('e-2');
  await addRows(mixedRows(120).map((row) => ({ ...row, id: `later-${row.id}` })));
}

/** The files of an undisturbed run. */
async function filesOf(): Promise<Readonly<Record<string, string>>> {
  const { objects } = await env.TRAIL.list();
  return Object.fromEntries(objects.map(({ key, etag }) => [key, etag]));
}

await clearTrail();
await prepare();
const undisturbed = createRig(SCENE);
await undisturbed.run();
const FILES = await filesOf();
const CALLS = undisturbed.calls.map((name, index) => [index + 1, name] as const);

async function expectUndisturbed(): Promise<void> {
  await expectWhole();
  const files = await filesOf();
  // A run that was cut in two publishes sizes of its own beside those of the undisturbed one.
  for (const [key, etag] of Object.entries(files)) expect(FILES[key] ?? etag, key).toBe(etag);
  expect(Object.keys(files)).toEqual(expect.arrayContaining(Object.keys(FILES).filter((key) => !key.includes('.p/'))));
  const leaves = await readLeaves();
  expect(leaves.map(({ idx }) => idx)).toEqual(leaves.map((_leaf, index) => index));
  expect(new Set(leaves.map(({ seq, kind }) => `${seq} ${kind}`)).size).toBe(leaves.length);
  expect((await readLog()).stopped).toBe(null);
}

const never = new Promise<never>(() => {});
const quiet = { after: () => () => {}, timeout: () => new AbortController().signal };

describe.each(['before', 'after'] as const)('a run that is killed %s a call takes effect', (when) => {
  it.each(CALLS)('goes on in the next run (call %i, %s)', async (number) => {
    await prepare();
    let kill = (): void => {};
    const killed = new Promise<void>((resolve) => (kill = resolve));
    const hook = async (call: Call): Promise<void> => {
      if (call.number < number) return;
      kill();
      await never;
    };
    const rig = createRig({ ...SCENE, runtime: quiet, [when]: hook });
    void rig.run();
    await killed;
    await createRig(SCENE).run();
    await expectUndisturbed();
  });
});

describe.each(['before', 'after'] as const)('a run whose call fails %s it takes effect', (when) => {
  it.each(CALLS)('ends, and the next run goes on (call %i, %s)', async (number) => {
    await prepare();
    const rig = createRig({
      ...SCENE,
      [when]: (call: Call) => {
        if (call.number === number) throw new TypeError('injected');
      },
    });
    await rig.run();
    await createRig(SCENE).run();
    await expectUndisturbed();
  });
});

describe.each(['before', 'after'] as const)('a run that another one overtakes %s a call', (when) => {
  it.each(CALLS)('does nothing twice (call %i, %s)', async (number) => {
    await prepare();
    const rig = createRig({
      ...SCENE,
      [when]: async (call: Call) => {
        if (call.number === number) await createRig(SCENE).run();
      },
    });
    await rig.run();
    await expectUndisturbed();
    expect(rig.failures()).toEqual([]);
  });
});

describe('a store that', () => {
  const bucketWith = (changes: Partial<Record<'put' | 'get' | 'list', unknown>>): R2Bucket =>
    new Proxy(env.TRAIL, {
      get: (target, key) => {
        const value: unknown = Reflect.get(changes, key) ?? Reflect.get(target, key);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
  const due = { after: (_ms: number, call: () => void) => (queueMicrotask(call), () => {}) };

  it.each<[string, Partial<Record<'put' | 'get' | 'list', unknown>>, object, string]>([
    ['does not answer a put', { put: async () => never }, due, 'unanswered'],
    ['refuses a put', { put: async () => Promise.reject(new Error('10001')) }, {}, 'rejected'],
    ['refuses a list', { list: async () => Promise.reject(new Error('10001')) }, {}, 'rejected'],
  ])('%s makes sealing wait, and nothing else', async (_case, changes, runtime, failure) => {
    await prepare();
    const down = createRig({ ...SCENE, bucket: bucketWith(changes), runtime });
    for (const _run of [1, 2, 3]) await down.run();
    expect(down.failures()).toHaveLength(3);
    expect(down.failures()[0]).toMatchObject({ because: 'store', failure });
    const log = await readLog();
    expect(log.stopped).toBe(null);
    // Rows wait where they are, and at most the leaves of one chunk wait for the store.
    expect(log.size - log.published_size).toBeLessThanOrEqual(2 * SCENE.chunkRows);
    await addRows([finalRow()]);
    await createRig(SCENE).run();
    await expectWhole();
  });

  it('gives other bytes than it was given is found out before anything is signed', async () => {
    await addRows(mixedRows(300));
    await createRig({ chunkRows: 500 }).run();
    await addRows([finalRow()]);
    const get = async (key: string) => ({
      ...(await env.TRAIL.get(key)),
      arrayBuffer: async () => new ArrayBuffer(32),
    });
    const lying = createRig({
      bucket: bucketWith({
        get: async (key: string) => (key.includes('/tile/') ? await get(key) : await env.TRAIL.get(key)),
      }),
    });
    await lying.run();
    expect(lying.failures()).toEqual([expect.objectContaining({ because: 'forked' })]);
    expect(await readLog()).toMatchObject({ stopped: 'forked', published_size: 300 });
    expect(lying.checkpoints()).toEqual([]);
  });
});
