import { env } from 'cloudflare:workers';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Runtime } from '../../../src/kit/runtime.ts';
import { addRows, type Call, clearTrail, createRig, expectWhole, finalRow, mixedRows, readLog } from './rig.ts';

// What a run says of D1 and of a store that fail: it waits, and the log is not stopped.

const SCENE = { chunkRows: 8 } as const;
const never = new Promise<never>(() => {});

it('a run whose statements fail says so, whichever of them do', async () => {
  await clearTrail();
  // Reading the log, reading a chunk, assigning it, reading its leaves, publishing them.
  for (const number of [1, 2, 3, 4, 5]) {
    await addRows([finalRow()]);
    let batches = 0;
    const before = ({ name }: Call): void => {
      batches += name === 'batch' ? 1 : 0;
      if (name === 'batch' && batches === number) throw new TypeError('injected');
    };
    const failing = createRig({ before });
    await failing.run();
    expect(failing.failures(), `batch ${number}`).toEqual([
      expect.objectContaining({ because: 'd1', failure: 'rejected' }),
    ]);
    await createRig().run();
  }
  await expectWhole();
});

describe('a store that', () => {
  beforeEach(clearTrail);

  const bucketWith = (changes: Partial<Record<'put' | 'get' | 'list', unknown>>): R2Bucket =>
    new Proxy(env.TRAIL, {
      get: (target, key) => {
        const value: unknown = Reflect.get(changes, key) ?? Reflect.get(target, key);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
  /** A clock on which each deadline of R2 passes at once. */
  const impatient: Partial<Runtime> = {
    after: (_ms, call) => {
      queueMicrotask(call);
      return () => {};
    },
  };
  const refused = async (): Promise<never> => await Promise.reject(new Error('10001'));

  it.each<[string, Partial<Record<'put' | 'get' | 'list', unknown>>, Partial<Runtime>, string]>([
    ['does not answer', { put: async () => await never }, impatient, 'unanswered'],
    ['refuses a put', { put: refused }, {}, 'rejected'],
    ['refuses a list', { list: refused }, {}, 'rejected'],
    ['refuses a get', { get: refused }, {}, 'rejected'],
  ])('%s makes sealing wait, and nothing else', async (_case, changes, runtime, failure) => {
    await addRows(mixedRows(20));
    const down = createRig({ ...SCENE, bucket: bucketWith(changes), runtime });
    for (let run = 0; run < 3; run += 1) await down.run();
    expect(down.failures()).toEqual(
      Array.from({ length: 3 }, () => expect.objectContaining({ because: 'store', failure })),
    );
    const log = await readLog();
    // The rows wait where they are, and the leaves of one chunk at the most wait for the store.
    expect(log).toMatchObject({ stopped: null, published_size: 0 });
    expect(log.size).toBeLessThanOrEqual(SCENE.chunkRows);
    expect(down.checkpoints()).toEqual([]);
    await addRows([finalRow()]);
    await createRig(SCENE).run();
    await expectWhole();
  });

  it('refuses a checkpoint that is published is given it again by the next run', async () => {
    await addRows(mixedRows(20));
    const put = async (key: string, ...rest: Parameters<R2Bucket['put']> extends [string, ...infer R] ? R : never) =>
      key.includes('/checkpoint/') ? await refused() : await env.TRAIL.put(key, ...rest);
    const down = createRig({ bucket: bucketWith({ put }) });
    await down.run();
    expect(down.failures()).toEqual([expect.objectContaining({ because: 'store', failure: 'rejected' })]);
    const { published_size, stopped } = await readLog();
    expect([published_size > 0, stopped]).toEqual([true, null]);
    await createRig().run();
    expect((await expectWhole()).size).toBe(published_size);
  });

  it('does not give the tiles that the log grows from makes sealing wait, and the log is not stopped', async () => {
    await addRows(mixedRows(300));
    await createRig({ chunkRows: 500 }).run();
    await addRows([finalRow()]);
    const get = async (key: string): Promise<unknown> =>
      key.includes('/tile/') ? await refused() : await env.TRAIL.get(key);
    const down = createRig({ bucket: bucketWith({ get }) });
    expect(await down.run()).toEqual({ sealed: 0, publishedSize: 300 });
    expect(down.failures()).toEqual([expect.objectContaining({ because: 'store', failure: 'rejected' })]);
    expect((await readLog()).stopped).toBe(null);
    await createRig().run();
    expect((await expectWhole()).size).toBe(301);
  });

  it('gives other bytes than it was given is found out before anything is signed', async () => {
    await addRows(mixedRows(300));
    await createRig({ chunkRows: 500 }).run();
    await addRows([finalRow()]);
    const get = async (key: string): Promise<unknown> =>
      key.includes('/tile/') ? { arrayBuffer: async () => new ArrayBuffer(32) } : await env.TRAIL.get(key);
    const lying = createRig({ bucket: bucketWith({ get }) });
    await lying.run();
    expect(lying.failures()).toEqual([expect.objectContaining({ because: 'forked' })]);
    expect(await readLog()).toMatchObject({ stopped: 'forked', published_size: 300 });
    expect(lying.checkpoints()).toEqual([]);
  });
});

it('a log that somebody outside knows more of is stopped by the next run, where D1 fails as it is to be stopped', async () => {
  await clearTrail();
  await addRows([finalRow()]);
  let batchesSince = -1;
  const fetch = async (): Promise<Response> => {
    batchesSince = 0;
    return await Promise.resolve(new Response('9\n', { status: 409, headers: { 'Content-Type': 'text/x.tlog.size' } }));
  };
  const outside = { witnesses: [], anchors: ['https://anchor.example/'] };
  const before = ({ name }: Call): void => {
    if (name !== 'batch' || batchesSince < 0) return;
    batchesSince += 1;
    // What D1 has published is looked up, what came of it is kept, and then the log is stopped.
    if (batchesSince === 3) throw new TypeError('injected');
  };
  const failing = createRig({ outside, runtime: { fetch }, before });
  expect(await failing.run()).toEqual({ sealed: 1, publishedSize: 1 });
  expect(failing.failures()).toEqual([expect.objectContaining({ because: 'd1', failure: 'rejected' })]);
  expect((await readLog()).stopped).toBe(null);
  const next = createRig({ outside, runtime: { fetch } });
  await next.run();
  expect(next.failures()).toEqual([
    expect.objectContaining({ because: 'rolled_back', where: 'size 9 at anchor.example' }),
  ]);
  expect((await readLog()).stopped).toBe('rolled_back');
});
