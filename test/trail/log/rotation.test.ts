import { env } from 'cloudflare:workers';
import { beforeEach, describe, expect, it } from 'vitest';
import { isSignedBy, parseNote, type PrivateKey, type Verifier } from '../../../src/tlog/note.ts';
import { addRows, type Call, clearTrail, createRig, finalRow, KEY, NOW, ORIGIN, readLeaves, readLog } from './rig.ts';
import { NEXT, NEXT_KEY, STRANGER, successorIn, verifierFor } from './rotation-keys.ts';

// A key of the log hands over to the next one by a leaf of the log, and until the operator promotes the new key both sign.

beforeEach(clearTrail);

let events = 0;
/** Adds an event, and runs sealing with these keys. */
async function seal(key: PrivateKey, nextKey: PrivateKey | null = null) {
  events += 1;
  await addRows([finalRow({ id: `r-${events}` })]);
  const rig = createRig({ key, nextKey });
  const { sealed } = await rig.run();
  return { sealed, failures: rig.failures().map(({ because }) => because), lines: rig.lines };
}

/** Which of the keys have signed the last checkpoint. */
async function signersOfLast(): Promise<readonly string[]> {
  const row = await env.DB.prepare('select note from trail_checkpoints order by size desc limit 1').first<{
    note: string;
  }>();
  const note = parseNote(row?.note ?? '');
  const named = { first: KEY, next: NEXT, stranger: STRANGER };
  const signed = await Promise.all(
    Object.entries(named).map(async ([name, key]) =>
      note !== null && (await isSignedBy(note, await verifierFor(key))) ? [name] : [],
    ),
  );
  return signed.flat();
}

describe('a rotation', () => {
  it('hands over in the log, lets both keys sign until the new one is promoted, and then the new one alone', async () => {
    await seal(KEY);
    expect(await signersOfLast()).toEqual(['first']);

    const handed = await seal(KEY, NEXT);
    expect(handed).toMatchObject({ sealed: 2, failures: [] });
    expect(handed.lines).toContainEqual({
      level: 'info',
      event: 'trail.handover',
      origin: ORIGIN,
      index: 1,
      to: NEXT_KEY,
    });
    expect((await readLeaves()).map(({ kind }) => kind)).toEqual(['final', 'handover', 'final']);
    expect((await readLog()).key).toBe(NEXT_KEY);
    expect(await signersOfLast()).toEqual(['first', 'next']);

    // It happens once, however often the cron runs.
    expect(await seal(KEY, NEXT)).toMatchObject({ sealed: 1, failures: [] });
    expect(await signersOfLast()).toEqual(['first', 'next']);

    expect(await seal(NEXT, NEXT)).toMatchObject({ sealed: 1, failures: [] });
    expect(await seal(NEXT)).toMatchObject({ sealed: 1, failures: [] });
    expect(await signersOfLast()).toEqual(['next']);
  });

  it('leads whoever pinned the first key to the next one, and from that to the one after it', async () => {
    await seal(KEY);
    await seal(KEY, NEXT);
    await seal(NEXT);
    await seal(NEXT, STRANGER);
    const entries = (await readLeaves()).filter(({ kind }) => kind === 'handover').map(({ entry }) => entry ?? '');
    let key: Verifier | null = await verifierFor(KEY);
    for (const entry of entries) key = key === null ? null : await successorIn(new TextEncoder().encode(entry), key);
    expect(entries).toHaveLength(2);
    expect(key).toEqual(await verifierFor(STRANGER));
    expect(JSON.parse(entries[0] ?? '')).toEqual({
      v: 1,
      fact: 'handover',
      at: expect.stringMatching(/^2026-11-24T12:00:10/),
      to: NEXT_KEY,
      signature: expect.stringMatching(/^— \S+ [A-Za-z0-9+/]+=*$/),
    });
  });

  it('waits for the first checkpoint, so that the key that hands over is one that has signed', async () => {
    expect(await seal(KEY, NEXT)).toMatchObject({ sealed: 1, failures: [] });
    // The next row comes behind it.
    expect(await seal(KEY, NEXT)).toMatchObject({ sealed: 2, failures: [] });
    expect((await readLeaves()).map(({ kind }) => kind)).toEqual(['final', 'handover', 'final']);
  });

  it('is done by one of two runs at once', async () => {
    await seal(KEY);
    await addRows([finalRow({ id: 'more' })]);
    await Promise.all([createRig({ nextKey: NEXT }).run(), createRig({ nextKey: NEXT }).run()]);
    await createRig({ nextKey: NEXT }).run();
    expect((await readLeaves()).map(({ kind }) => kind).toSorted((a, b) => a.localeCompare(b))).toEqual([
      'final',
      'final',
      'handover',
    ]);
    expect(await signersOfLast()).toEqual(['first', 'next']);
  });

  it('goes on where the run was killed after any of its batches', async () => {
    let [number, reached] = [0, 0];
    do {
      number += 1;
      // oxlint-disable-next-line no-await-in-loop -- each makes the same log anew
      reached = await killedAfter(number);
      // oxlint-disable-next-line no-await-in-loop -- as above
      await createRig({ nextKey: NEXT }).run();
      // oxlint-disable-next-line no-await-in-loop -- as above
      expect((await readLeaves()).map(({ kind }) => kind)).toEqual(['final', 'handover', 'final']);
      // oxlint-disable-next-line no-await-in-loop -- as above
      expect(await signersOfLast()).toEqual(['first', 'next']);
    } while (reached === number);
    // Reading the head, assigning the hand-over, reading the leaves, publishing.
    expect(reached).toBeGreaterThan(4);
  });

  it.each<[string, () => Promise<unknown>, string[]]>([
    ['is overtaken by a run with another clock', async () => await createRig({ nextKey: NEXT, nowMs: 1 }).run(), []],
    ['is overtaken by one that is killed once it has handed over', async () => await killed(2, NOW + 1), []],
    ['gets an error', async () => await Promise.reject(new TypeError('injected')), ['d1']],
  ])('goes on where the run %s before it hands over', async (_case, meanwhile, failures) => {
    await addRows([finalRow({ id: 'one' })]);
    await createRig().run();
    await addRows([finalRow({ id: 'two' })]);
    let batches = 0;
    const before = async ({ name }: Call): Promise<void> => {
      batches += name === 'batch' ? 1 : 0;
      // The first one reads the log.
      if (name === 'batch' && batches === 2) await meanwhile();
    };
    const rig = createRig({ nextKey: NEXT, before });
    await rig.run();
    expect(rig.failures().map(({ because }) => because)).toEqual(failures);
    await createRig({ nextKey: NEXT }).run();
    expect(await readLog()).toMatchObject({ size: 3, published_size: 3, stopped: null });
    expect((await readLeaves()).map(({ kind }) => kind)).toEqual(['final', 'handover', 'final']);
  });

  /** A log with one checkpoint, and a run with both keys that dies after so many batches. Gives how many it has sent. */
  async function killedAfter(number: number): Promise<number> {
    await clearTrail();
    await addRows([finalRow({ id: 'one' })]);
    await createRig().run();
    await addRows([finalRow({ id: 'two' })]);
    return await killed(number);
  }

  async function killed(number: number, nowMs = NOW): Promise<number> {
    let batches = 0;
    const after = ({ name }: { readonly name: string }): void => {
      if (name === 'batch') batches += 1;
      if (batches >= number) throw new Error('killed');
    };
    await createRig({ nextKey: NEXT, nowMs, after })
      .run()
      .catch(() => null);
    return batches;
  }
});

describe('a key that is not the one of the log signs nothing', () => {
  it.each<[string, PrivateKey, PrivateKey | null, string]>([
    ['in place of the first, with one that it would hand over to', STRANGER, NEXT, 'key_changed'],
    ['whose successor has a wrong id', KEY, { ...NEXT, keyId: '00000000' }, 'key_invalid'],
  ])('%s', async (_, key, nextKey, because) => {
    await seal(KEY);
    expect(await seal(key, nextKey)).toMatchObject({ sealed: 0, failures: [because] });
    expect(await readLog()).toMatchObject({ published_size: 1, key: null, stopped: null });
    // With the right key the log goes on from where it was.
    expect(await seal(KEY)).toMatchObject({ sealed: 2, failures: [] });
  });
});
