import { env } from 'cloudflare:workers';
import { beforeEach, describe, expect, it } from 'vitest';
import { LOG_CLOSE_AFTER_MS } from '../../../src/config/trail-limits.ts';
import { parseCheckpoint } from '../../../src/tlog/checkpoint.ts';
import {
  consistencyProof,
  inclusionProof,
  isConsistent,
  leafHash,
  rootOfInclusion,
  sameHash,
} from '../../../src/tlog/merkle.ts';
import { entriesOfBundle, hashesOfTile, nodesOfTiles, tilePath, tileWidth } from '../../../src/tlog/tiles.ts';
import {
  addRows,
  clearTrail,
  countedRow,
  createRig,
  expectWhole,
  finalRow,
  keyOf,
  mixedRows,
  NOW,
  openAttempt,
  ORIGIN,
  readLeaves,
  readLog,
  readPending,
  settle,
  unguarded,
} from './rig.ts';

// What a run of sealing makes of the trail.

beforeEach(clearTrail);

const factsOf = (read: { readonly entries: readonly { readonly fact: string; readonly id: string }[] }): string[] =>
  read.entries.map(({ fact, id }) => `${fact} ${id}`);

describe('a run of sealing', () => {
  it.each(['r2', 'd1'] as const)(
    'seals each event as the fact that it is, and keeps its files in %s',
    async (store) => {
      await addRows([
        finalRow({ id: 'final' }),
        openAttempt({ id: 'open' }),
        countedRow({ id: 'fresh' }),
        countedRow({ id: 'old', read_key: 'old', occurred_at: NOW - LOG_CLOSE_AFTER_MS }),
      ]);
      const rig = createRig({ store });
      expect(await rig.run()).toEqual({ sealed: 3, publishedSize: 3 });
      expect(factsOf(await expectWhole(store))).toEqual(['final final', 'recorded open', 'counted old']);
      expect(await readPending()).toEqual([
        { seq: 2, awaits: 'settlement' },
        { seq: 3, awaits: 'close' },
      ]);
      expect(await readLog()).toMatchObject({ number: 1, origin: ORIGIN, through_seq: 4, stopped: null });
      await settle('open');
      expect(await createRig({ store, nowMs: NOW + LOG_CLOSE_AFTER_MS }).run()).toEqual({
        sealed: 2,
        publishedSize: 5,
      });
      expect(factsOf(await expectWhole(store)).slice(3)).toEqual(['settled open', 'counted fresh']);
      expect(await readPending()).toEqual([]);
      expect(rig.failures()).toEqual([]);
    },
  );

  it('writes each checkpoint to the log once it is published, and nothing where nothing is new', async () => {
    await addRows([finalRow()]);
    const rig = createRig();
    await rig.run();
    await rig.run();
    const { note, root } = await expectWhole();
    expect(rig.checkpoints()).toEqual([
      expect.objectContaining({ origin: ORIGIN, size: 1, root: Buffer.from(root).toString('base64'), note }),
    ]);
    const { results } = await env.DB.prepare(
      'select log, size, note, cosignatures, sent_at from trail_checkpoints',
    ).all();
    expect(results).toEqual([{ log: 1, size: 1, note, cosignatures: '', sent_at: null }]);
  });

  it.each([
    ['forwards', NOW - LOG_CLOSE_AFTER_MS, true],
    ['forwards a little less', NOW - LOG_CLOSE_AFTER_MS + 1, false],
    ['back', NOW + LOG_CLOSE_AFTER_MS, true],
    ['back a little less', NOW + LOG_CLOSE_AFTER_MS - 1, false],
  ])(
    'closes a counted row whose last growth is away by as much as the clock went %s',
    async (_case, lastAt, isClosed) => {
      await addRows([countedRow({ occurred_at: Math.min(lastAt, NOW) })]);
      if (lastAt > NOW) await env.DB.prepare('update audit_events set count = 2, last_at = ?').bind(lastAt).run();
      await addRows([finalRow()]);
      await createRig().run();
      const { entries } = await expectWhole();
      expect(entries.some(({ fact }) => fact === 'counted')).toBe(isClosed);
    },
  );

  it('seals a backlog over several chunks, and its tiles prove inclusion and consistency', async () => {
    await addRows(mixedRows(1_200));
    const rig = createRig({ chunkRows: 500 });
    expect(await rig.run()).toEqual({ sealed: 1_200, publishedSize: 1_200 });
    await expectWhole();
    const notes = rig.checkpoints().map(({ note }) => parseCheckpoint(String(note))?.checkpoint);
    expect(notes.map((checkpoint) => checkpoint?.size)).toEqual([500, 1_000, 1_200]);
    const last = notes.at(-1);
    if (last === undefined) throw new Error('There is no checkpoint.');
    const fileOf = async (path: string): Promise<Uint8Array> => {
      const object = await env.TRAIL.get(`1/${path}`);
      if (object === null) throw new Error(`There is no ${path}.`);
      return new Uint8Array(await object.arrayBuffer());
    };
    const nodes = nodesOfTiles(async (level, index) => {
      const width = tileWidth(level, index, last.size);
      return hashesOfTile(await fileOf(tilePath({ level, index, width })), width) ?? [];
    });
    for (const old of notes.slice(0, -1)) {
      if (old === undefined) continue;
      const proof = await consistencyProof(old.size, last.size, nodes);
      expect(isConsistent(old.size, old.root, last.size, last.root, proof)).toBe(true);
    }
    for (const index of [0, 255, 256, 777, 1_199]) {
      const tile = Math.floor(index / 256);
      const width = tileWidth('entries', tile, last.size);
      const entries = entriesOfBundle(await fileOf(tilePath({ level: 'entries', index: tile, width })), width) ?? [];
      const leaf = leafHash(entries[index % 256] ?? new Uint8Array());
      const root = rootOfInclusion(leaf, index, last.size, await inclusionProof(index, last.size, nodes));
      expect(root !== null && sameHash(root, last.root)).toBe(true);
    }
  });

  it('ends with its budget, and the next one goes on', async () => {
    await addRows(mixedRows(300));
    const ending = createRig({ chunkRows: 100, queries: 25 });
    const first = await ending.run();
    expect(ending.trace.d1Queries).toBeLessThanOrEqual(25);
    expect(first.sealed).toBeGreaterThan(0);
    expect(first.sealed).toBeLessThan(300);
    await createRig({ chunkRows: 100 }).run();
    expect((await expectWhole()).size).toBe(300);
  });

  it('keeps whether a row was authentic, and says so again whenever its entry is made anew', async () => {
    await addRows([finalRow({ id: 'ours' }), finalRow({ id: 'theirs' })]);
    const rig = createRig({ isAuthentic: ({ id }) => id === 'ours' });
    await rig.run();
    const noted = { kind: 'row', name: 'theirs' };
    const { results } = await env.DB.prepare('select * from unauthentic_rows').all();
    expect(results).toEqual([{ ...noted, found_at: NOW }]);
    expect(rig.lines).toContainEqual({ level: 'error', event: 'row_unauthentic', ...noted });
    await addRows([finalRow()]);
    // The partial tile is made anew from the rows, by a Worker that cannot tell any more.
    await createRig().run();
    const { entries } = await expectWhole();
    expect(entries.map(({ unauthentic }) => unauthentic)).toEqual([undefined, true, undefined]);
    expect((await readLeaves()).map(({ authentic }) => authentic)).toEqual([1, 0, 1]);
  });

  it.each(['leaf', 'settlement'] as const)('seals an event that waits as %s', async (awaits) => {
    await addRows([finalRow(), openAttempt({ id: 'open' })]);
    await createRig().run();
    await settle('open');
    await env.DB.prepare('update trail_pending set awaits = ?').bind(awaits).run();
    await createRig().run();
    expect((await readLeaves()).at(-1)?.kind).toBe(awaits === 'leaf' ? 'final' : 'settled');
    expect(await readPending()).toEqual([]);
  });
});

describe('a log that has passed events which are not there', () => {
  it.each([
    ['the newest are deleted', `delete from audit_events where seq = 3`],
    ['it is told to pass over those to come', `update trail_logs set through_seq = 1000`],
    ['it is told to pass over one that is there', `update trail_logs set through_seq = 4`],
  ])('stops, where %s', async (_case, statement) => {
    await addRows([finalRow(), finalRow(), finalRow()]);
    await createRig().run();
    await unguarded([statement]);
    if (!statement.startsWith('delete')) await addRows([finalRow()]);
    const rig = createRig();
    await rig.run();
    expect(await readLog()).toMatchObject({ stopped: 'forked', published_size: 3 });
    expect(rig.lines).toContainEqual(
      expect.objectContaining({
        event: 'sealing_failed',
        because: 'forked',
        where: expect.stringMatching(/^the event/),
      }),
    );
  });
});

describe('a key that cannot go on', () => {
  it.each([
    ['has another name', 'key_renamed', async () => keyOf('another.example/trail', new Uint8Array(32))],
    ['is another one of the same name', 'key_changed', async () => keyOf(ORIGIN, new Uint8Array(32))],
    [
      'has an id that is not its own',
      'key_invalid',
      async () => ({ ...(await keyOf(ORIGIN, new Uint8Array(32))), keyId: '00000000' }),
    ],
  ])('seals nothing and says what to do where it %s', async (_case, because, key) => {
    await addRows([finalRow()]);
    await createRig().run();
    await addRows([finalRow()]);
    const rig = createRig({ key: await key() });
    expect(await rig.run()).toEqual({ sealed: 0, publishedSize: 1 });
    expect(rig.failures()).toEqual([
      expect.objectContaining({ because, next_step: expect.stringContaining('TRAIL_KEY') }),
    ]);
    expect((await readLog()).stopped).toBe(null);
    // With its own key the log goes on.
    await createRig().run();
    expect((await expectWhole()).size).toBe(2);
  });
});
