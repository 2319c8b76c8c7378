import { env } from 'cloudflare:workers';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Runtime } from '../../../src/kit/runtime.ts';
import {
  addRows,
  type Call,
  clearTrail,
  countedRow,
  createRig,
  expectWhole,
  finalRow,
  mixedRows,
  NOW,
  openAttempt,
  readLeaves,
  readLog,
  settle,
} from './rig.ts';

// A run that is killed, fails, or meets another run at any of its calls: no fork, no gap, no double leaf.

const SCENE = { chunkRows: 8 } as const;
const never = new Promise<never>(() => {});

/** Five more events of every kind, which a run takes in one chunk. */
async function addMore(round: number): Promise<void> {
  await addRows([
    finalRow({ id: `final-${round}` }),
    openAttempt({ id: `open-${round}` }),
    countedRow({ id: `counted-${round}`, read_key: `${round}`, occurred_at: NOW - 200_000 }),
    countedRow({ id: `fresh-${round}`, read_key: `fresh-${round}` }),
    finalRow({ id: `last-${round}` }),
  ]);
  if (round > 1) await settle(`open-${round - 1}`);
}

type Hooks = Pick<Parameters<typeof createRig>[0] & object, 'before' | 'after'>;
type Way = (number: number, when: keyof Hooks, store: 'r2' | 'd1') => Promise<ReturnType<typeof createRig>>;

const WAYS: Readonly<Record<string, Way>> = {
  'is killed': async (number, when, store) => {
    const killed = Promise.withResolvers<null>();
    const hook = async (call: Call): Promise<void> => {
      if (call.number < number) return;
      killed.resolve(null);
      await never;
    };
    // Whatever it waits for does not come any more, not even its deadlines.
    const dead: Partial<Runtime> = { after: () => () => {}, timeout: () => new AbortController().signal };
    const rig = createRig({ ...SCENE, store, runtime: dead, [when]: hook });
    await Promise.race([rig.run(), killed.promise]);
    return rig;
  },
  'gets an error': async (number, when, store) => {
    const hook = (call: Call): void => {
      if (call.number === number) throw new TypeError('injected');
    };
    const rig = createRig({ ...SCENE, store, [when]: hook });
    await rig.run();
    return rig;
  },
  'is overtaken by another run': async (number, when, store) => {
    const hook = async (call: Call): Promise<void> => {
      if (call.number === number) await createRig({ ...SCENE, store }).run();
    };
    const rig = createRig({ ...SCENE, store, [when]: hook });
    await rig.run();
    expect(rig.failures(), `call ${number}`).toEqual([]);
    return rig;
  },
};

describe.each(['r2', 'd1'] as const)('a run that keeps its files in %s', (store) => {
  beforeEach(clearTrail);

  // A store in D1 fails as D1 does, so there a kill is enough.
  const ways = Object.keys(WAYS).filter((way) => store === 'r2' || way === 'is killed');
  it.each(ways.flatMap((way) => [[way, 'before'] as const, [way, 'after'] as const]))(
    'leaves a whole log where it %s, %s any of its calls takes effect',
    async (way, when) => {
      // The calls that follow fill a tile.
      await addRows(Array.from({ length: 220 }, () => finalRow()));
      await createRig({ store }).run();
      let isOver = false;
      for (let number = 1; !isOver; number += 1) {
        await addMore(number);
        const rig = await (WAYS[way] as Way)(number, when, store);
        isOver = rig.calls.length < number;
        await createRig({ ...SCENE, store }).run();
        const { size, published_size: published, stopped } = await readLog();
        expect([published, stopped], `call ${number}`).toEqual([size, null]);
      }
      await expectWhole(store);
      const leaves = await readLeaves();
      expect(leaves.map(({ idx }) => idx)).toEqual(leaves.map((_leaf, index) => index));
      expect(leaves.length).toBeGreaterThan(256);
    },
  );
});

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
