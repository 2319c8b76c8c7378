import { describe, expect, it } from 'vitest';
import { judge } from '../../../commands/verify/judge/judge.ts';
import { parseKnown } from '../../../commands/verify/judge/known.ts';
import { parseVerifier, type Verifier } from '../../../src/tlog/note.ts';
import { entryOfRow } from '../../../src/trail/log/facts.ts';
import {
  AFTER_MS,
  exportOf,
  NAME,
  noteOf,
  pinOf,
  putLog,
  resumedEntry,
  rowsOf,
  SEED,
  signerOf,
  smallLog,
  type SmallLog,
  sourceOf,
} from './small-log.ts';

// What an operator who has the key, the database and the files could declare void, and what it has to admit.

const verifier = (text: string): Verifier => {
  const parsed = parseVerifier(text);
  if (parsed === null) throw new Error('no key');
  return parsed;
};

/** What somebody finds who has seen these checkpoints before. */
async function verify(log: SmallLog, seen: readonly string[] = [], pinSeeds: readonly number[] = [SEED]) {
  const known = parseKnown(seen.map((note) => JSON.stringify({ note })).join('\n'), 'state');
  if (!known.ok) throw new Error(known.error);
  const { verdicts, faults, remarks } = await judge(sourceOf(log), {
    pins: await Promise.all(pinSeeds.map(async (seed) => verifier(await pinOf(seed)))),
    known: known.value,
    witnesses: [],
    quorum: 0,
    isLatest: true,
    isLive: false,
    nowMs: AFTER_MS + 20 * 60_000,
    progress: () => {},
  });
  const { integrity, completeness } = verdicts;
  return {
    words: [integrity?.judgement, completeness?.judgement],
    kinds: faults.map(({ fault }) => fault.kind),
    faults,
    remarks,
  };
}
const GOOD = ['good', 'good'];

/** Rows that one `final` fact seals. */
const finals = (from: number, to: number) =>
  rowsOf(from, to).map((row) => ({ ...row, read_key: null, last_at: null, count: 1 }));
const sealed = (from: number, to: number) => finals(from, to).map((row) => entryOfRow('final', row, true));

describe('entries that a following log declares void', () => {
  const OLD = sealed(1, 100);
  const KEPT = 60;
  const chained = async (known: string | null, served: number): Promise<SmallLog> => {
    const log = await smallLog();
    const key = await signerOf(SEED);
    const checkpoint = await noteOf(NAME, OLD.slice(0, KEPT), [key]);
    const first = resumedEntry(2, {
      previous: { origin: NAME, size: KEPT, checkpoint, known },
      kept_size: KEPT,
      kept_seq: KEPT,
      gap: { from: KEPT + 1, to: 100 },
      because: 'rolled_back',
      reason: 'D1 was restored',
    });
    await putLog(log, 1, OLD.slice(0, served));
    await putLog(log, 2, [first, ...sealed(101, 110)], [await signerOf(SEED, `${NAME}/2`)]);
    log.lines = exportOf([...finals(1, KEPT), ...finals(101, 110)]);
    return log;
  };
  const noteAt = async (size: number) => await noteOf(NAME, OLD.slice(0, size), [await signerOf(SEED)]);

  it('are admitted by the largest checkpoint that it names', async () => {
    expect(await verify(await chained(await noteAt(100), KEPT), [await noteAt(100)])).toMatchObject({ words: GOOD });
    expect(await verify(await chained(await noteAt(100), 100), [await noteAt(100)])).toMatchObject({ words: GOOD });
  });

  it('are rolled back where it does not admit that they were signed, though their files are still there', async () => {
    expect((await verify(await chained(null, 100), [await noteAt(100)])).kinds).toContain('rolled_back');
    expect((await verify(await chained(await noteAt(80), 100), [await noteAt(100)])).kinds).toContain('rolled_back');
  });

  it('are a fork for somebody who has seen another root at the size that it names', async () => {
    const other = await noteOf(NAME, sealed(101, 200), [await signerOf(SEED)]);
    expect((await verify(await chained(await noteAt(100), KEPT), [other])).kinds).toEqual(['forked']);
  });

  it('are a fork by two checkpoints of others, whatever the log itself names', async () => {
    const other = await noteOf(NAME, sealed(101, 190), [await signerOf(SEED)]);
    const log = await chained(await noteAt(100), KEPT);
    expect((await verify(log, [await noteAt(90)])).kinds).toEqual([]);
    expect((await verify(log, [other])).kinds).toEqual([]);
    expect((await verify(log, [await noteAt(90), other])).kinds).toEqual(['forked']);
    const forged = await noteOf(NAME, sealed(101, 190), [await signerOf(9)]);
    expect((await verify(log, [await noteAt(90), forged])).kinds).toEqual(['state_not_signed']);
  });

  it('are rolled back for somebody who has seen nothing, where the old checkpoint itself covers them', async () => {
    expect((await verify(await chained(null, 100))).kinds).toContain('rolled_back');
  });
});

describe('a log that a rollback took away altogether', () => {
  const FIRST = sealed(1, 50);
  const chained = async (named: string | null = null): Promise<{ log: SmallLog; lost: string }> => {
    const log = await smallLog();
    const key = await signerOf(SEED);
    const checkpoint = await noteOf(NAME, FIRST, [key]);
    const second = [
      resumedEntry(2, {
        previous: { origin: NAME, size: 50, checkpoint, known: null },
        kept_size: 50,
        kept_seq: 50,
        gap: null,
        because: 'forked',
        reason: 'r',
      }),
      ...sealed(51, 60),
    ];
    const lost = await noteOf(`${NAME}/2`, second, [await signerOf(SEED, `${NAME}/2`)]);
    await putLog(log, 1, FIRST);
    const third = resumedEntry(3, {
      previous: { origin: NAME, size: 50, checkpoint, known: named ?? lost },
      kept_size: 50,
      kept_seq: 50,
      gap: { from: 51, to: 60 },
      because: 'rolled_back',
      reason: 'D1 was restored to before log 2',
    });
    await putLog(log, 3, [third, ...sealed(61, 70)], [await signerOf(SEED, `${NAME}/3`)]);
    log.lines = exportOf([...finals(1, 50), ...finals(61, 70)]);
    return { log, lost };
  };

  it('is admitted by the log that follows, which names its largest checkpoint', async () => {
    const { log, lost } = await chained();
    expect(await verify(log)).toMatchObject({ words: GOOD, kinds: [] });
    expect(await verify(log, [lost])).toMatchObject({ words: GOOD, kinds: [] });
  });

  it('is admitted with what was lost of the log before it', async () => {
    const { log } = await chained();
    const before = await noteOf(NAME, [...FIRST, ...sealed(51, 55)], [await signerOf(SEED)]);
    expect(await verify(log, [before])).toMatchObject({ words: GOOD, kinds: [] });
  });

  it('is gone for somebody who has seen more of it than is admitted', async () => {
    const { log } = await chained();
    const more = await noteOf(`${NAME}/2`, sealed(1, 12), [await signerOf(SEED, `${NAME}/2`)]);
    expect((await verify(log, [more])).kinds).toEqual(['log_absent']);
  });

  it.each([
    ['of another trail', 'elsewhere.example/trail', SEED],
    ['of another key', `${NAME}/2`, 9],
    ['of a name that no log of it can have', `${NAME}/02`, SEED],
  ])('is not meant by a checkpoint %s, which says nothing', async (_what, origin, seed) => {
    const { log } = await chained();
    const note = await noteOf(origin, sealed(1, 12), [await signerOf(seed, origin)]);
    expect((await verify(log, [note])).kinds).toEqual(['state_not_signed']);
  });

  it.each([
    ['of a log before it', NAME + '/1'],
    ['of itself', `${NAME}/3`],
    ['of another trail', 'elsewhere.example/trail'],
  ])('is not admitted by a checkpoint %s', async (_what, origin) => {
    const { log } = await chained(await noteOf(origin, sealed(1, 12), [await signerOf(SEED, origin)]));
    expect((await verify(log)).kinds).toContain('chain_broken');
  });
});

describe('a log whose key was lost after a hand-over that a rollback took away', () => {
  const chained = async (): Promise<SmallLog> => {
    const log = await smallLog();
    const old = sealed(1, 60);
    const checkpoint = await noteOf(NAME, old.slice(0, 50), [await signerOf(SEED)]);
    // The key that had taken over has signed it alone.
    const known = await noteOf(NAME, old, [await signerOf(8)]);
    const first = resumedEntry(2, {
      previous: { origin: NAME, size: 50, checkpoint, known },
      kept_size: 50,
      kept_seq: 50,
      gap: { from: 51, to: 60 },
      because: 'key_lost',
      reason: 'r',
    });
    await putLog(log, 1, old.slice(0, 50));
    await putLog(log, 2, [first, ...sealed(61, 70)], [await signerOf(8, `${NAME}/2`)]);
    log.lines = exportOf([...finals(1, 50), ...finals(61, 70)]);
    return log;
  };

  it('is unknown until its key is pinned as well', async () => {
    expect((await verify(await chained())).words).toEqual(['unknown', 'good']);
    expect(await verify(await chained(), [], [SEED, 8])).toMatchObject({ words: GOOD, kinds: [] });
  });
});
