import { env } from 'cloudflare:workers';
import { beforeEach, describe, expect, it } from 'vitest';
import {
  SEALING_D1_STORE_QUERIES,
  SEALING_PAGE_LEAVES,
  SEALING_PUBLISH_QUERIES,
} from '../../../src/config/trail-limits.ts';
import { type Checkpoint, checkpointBody } from '../../../src/tlog/checkpoint.ts';
import { createSigner, type NoteSignature, noteText, signatureLine, signNote } from '../../../src/tlog/note.ts';
import {
  addRows,
  type Call,
  clearTrail,
  createRig,
  finalRow,
  KEY,
  keyOf,
  ORIGIN,
  readLog,
  readPublished,
  unguarded,
} from './rig.ts';

// Nothing is signed that does not go on from what was signed before.

beforeEach(clearTrail);

/** A log of three leaves, and an event that it has not sealed. */
const grown = async (): Promise<void> => {
  await addRows([finalRow(), finalRow(), finalRow()]);
  await createRig().run();
  await addRows([finalRow()]);
};

describe('the last checkpoint', () => {
  /** Puts a note in the place of the last checkpoint, in D1 and in the store, as somebody does who has both and not the key. */
  const replaceCheckpoint = async (note: string | null): Promise<void> => {
    await unguarded([
      note === null
        ? 'delete from trail_checkpoints'
        : `update trail_checkpoints set note = '${note.replaceAll('\n', "' || char(10) || '")}'`,
    ]);
    const key = '1/checkpoint/000000000000003';
    await (note === null ? env.TRAIL.delete(key) : env.TRAIL.put(key, note));
  };
  const noteOf = async (change: Partial<Checkpoint>, signature: Partial<NoteSignature> = {}): Promise<string> => {
    const signer = await createSigner(KEY);
    const body = checkpointBody({ origin: ORIGIN, size: 3, root: (await readPublished()).root, ...change });
    return noteText({ body, signatures: [{ ...(await signNote(body, signer)), ...signature }] });
  };

  it.each<[string, string, () => Promise<string | null>]>([
    ['is gone', 'the checkpoint of size 3', async () => await Promise.resolve(null)],
    ['is no checkpoint', 'the checkpoint of size 3', async () => await Promise.resolve('none')],
    [
      'is signed by nobody',
      'the checkpoint of size 3',
      async () => await noteOf({ root: new Uint8Array(32) }, { payload: new Uint8Array(64) }),
    ],
    ['is one of another size', 'the checkpoint of size 3', async () => await noteOf({ size: 2 })],
    ['is one of another log', 'the checkpoint of size 3', async () => await noteOf({ origin: `${ORIGIN}/2` })],
    ['has another root', 'the root at size 3', async () => await noteOf({ root: new Uint8Array(32) })],
  ])('signs nothing more where the last checkpoint %s, in D1 and in the store', async (_case, where, forge) => {
    await grown();
    await replaceCheckpoint(await forge());
    const rig = createRig();
    expect(await rig.run()).toEqual({ sealed: 0, publishedSize: 3 });
    expect(rig.failures()).toEqual([expect.objectContaining({ because: 'forked', where })]);
    expect(await readLog()).toMatchObject({ stopped: 'forked', published_size: 3 });
    expect(rig.checkpoints()).toEqual([]);
  });

  it('goes on where its own signature stands beside others in the last checkpoint', async () => {
    await grown();
    const own = await noteOf({});
    const stranger = await createSigner(await keyOf(ORIGIN, new Uint8Array(32).fill(8)));
    const body = own.slice(0, own.indexOf('\n\n') + 1);
    await replaceCheckpoint(`${own}${signatureLine(await signNote(body, stranger))}`);
    const rig = createRig();
    expect(await rig.run()).toEqual({ sealed: 1, publishedSize: 4 });
    expect(rig.failures()).toEqual([]);
  });
});

/** Three leaves that are assigned, by a run that was killed then: its batch of this number assigns them. */
async function assigned(store: 'r2' | 'd1', number: number): Promise<void> {
  await addRows([finalRow(), finalRow(), finalRow()]);
  let batches = 0;
  const after = ({ name }: Call): void => {
    batches += name === 'batch' ? 1 : 0;
    if (name === 'batch' && batches === number) throw new Error('killed');
  };
  await createRig({ store, after }).run();
  expect(await readLog()).toMatchObject({ size: 3, published_size: 0 });
}

it('signs nothing where the last of the leaves that were assigned is gone', async () => {
  await assigned('r2', 4);
  // Its event seems to wait, so the log seems to have passed it.
  await unguarded(['delete from trail_leaves where idx = 2', `insert into trail_pending values (3, 'settlement')`]);
  const rig = createRig();
  await rig.run();
  expect(rig.failures()).toEqual([expect.objectContaining({ because: 'forked', where: 'the leaves before 3' })]);
  expect(await readLog()).toMatchObject({ stopped: 'forked', published_size: 0 });
});

describe('a run with few statements left', () => {
  it.each([
    // Four read the log and the trail, one looks for a file that the bucket has not, and one reads the leaves.
    ['r2', 4, 5, 5 + 1 + SEALING_PUBLISH_QUERIES],
    // Here three look for files, and two put them.
    ['d1', 6, 7, 7 + 1 + 2 + SEALING_PUBLISH_QUERIES + SEALING_D1_STORE_QUERIES],
  ] as const)(
    'puts no file in %s and signs nothing before they suffice for all of it',
    async (store, assigning, least, enough) => {
      await assigned(store, assigning);
      for (let queries = least; queries < enough; queries += 1) {
        const rig = createRig({ store, queries });
        expect(await rig.run(), `${queries}`).toEqual({ sealed: 0, publishedSize: 0 });
        expect(rig.trace.d1Queries).toBeLessThanOrEqual(queries);
        expect(rig.failures()).toEqual([]);
      }
      expect((await env.TRAIL.list()).objects).toEqual([]);
      expect(await env.DB.prepare('select count(*) as files from trail_objects').first('files')).toBe(0);
      const rig = createRig({ store, queries: enough });
      expect(await rig.run()).toEqual({ sealed: 3, publishedSize: 3 });
      expect(rig.trace.d1Queries).toBeLessThanOrEqual(enough);
    },
  );
});

it('a run that is overtaken as it publishes has published nothing', async () => {
  await addRows([finalRow(), finalRow(), finalRow()]);
  let other: unknown = null;
  let batches = 0;
  const before = async ({ name }: Call): Promise<void> => {
    batches += name === 'batch' ? 1 : 0;
    // The log, a file that the bucket has not, a chunk, its leaves assigned and read, and then the checkpoint.
    if (name === 'batch' && batches === 6) other = await createRig().run();
  };
  const rig = createRig({ before });
  expect(await rig.run()).toEqual({ sealed: 0, publishedSize: 0 });
  expect(other).toEqual({ sealed: 3, publishedSize: 3 });
  expect([rig.failures(), rig.checkpoints()]).toEqual([[], []]);
  expect(await readLog()).toMatchObject({ size: 3, published_size: 3, stopped: null });
});

it('no statement reads more leaves than a page has', async () => {
  const costOf = async (count: number): Promise<number> => {
    await clearTrail();
    await addRows(Array.from({ length: count }, () => finalRow()));
    const rig = createRig({ chunkRows: count });
    expect(await rig.run()).toEqual({ sealed: count, publishedSize: count });
    return rig.trace.d1Queries;
  };
  expect((await costOf(SEALING_PAGE_LEAVES + 1)) - (await costOf(3))).toBe(1);
});
