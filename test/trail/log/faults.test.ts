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
