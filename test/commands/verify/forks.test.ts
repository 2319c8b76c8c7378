import { describe, expect, it } from 'vitest';
import { parseKnown } from '../../../commands/verify/judge/known.ts';
import { changed, GOOD, idOf, verify } from './judging.ts';
import {
  entriesOf,
  EVENTS,
  exportOf,
  NAME,
  noteOf,
  putLog,
  rowsOf,
  SEED,
  signerOf,
  smallLog,
  type SmallLog,
} from './small-log.ts';

// What verifying finds in a log that was rewritten, by what was seen of it before.

/** A trail in which one event was changed in D1 and in the files alike. */
async function rewritten(seed: number): Promise<SmallLog> {
  const rows = changed(100, { actor_subject: 'somebody-else' });
  const log: SmallLog = { list: { logs: [] }, files: new Map(), lines: exportOf(rows) };
  await putLog(log, 1, entriesOf(rows), [await signerOf(seed)]);
  return log;
}

describe('a log that was rewritten with D1 and the files', () => {
  it('is caught by its signature where another key signs it', async () => {
    const { words, first } = await verify(await rewritten(9));
    expect(words[0]).toBe('integrity wrong');
    expect(first).toMatchObject({ kind: 'not_signed' });
  });

  it('is caught by its root where the old checkpoint stands', async () => {
    const [log, old] = [await rewritten(9), await smallLog()];
    log.files.set('1/checkpoint', old.files.get('1/checkpoint') ?? new Uint8Array());
    expect((await verify(log)).first).toMatchObject({ kind: 'root_differs' });
  });

  it('is caught to the event where its hash tiles stand', async () => {
    const log = await rewritten(9);
    for (const [name, bytes] of (await smallLog()).files) if (!name.includes('entries')) log.files.set(name, bytes);
    expect((await verify(log)).first).toMatchObject({ kind: 'entry_changed', seq: 100, id: idOf(100) });
  });

  it('is caught with the key too, given one checkpoint that was seen outside', async () => {
    const log = await rewritten(SEED);
    expect((await verify(log)).words).toEqual(GOOD);
    const entries = entriesOf(rowsOf(1, EVENTS));
    for (const size of [entries.length, 200]) {
      const seen = [await noteOf(NAME, entries.slice(0, size), [await signerOf(SEED)])];
      const { words, first } = await verify(log, { seen });
      expect(words[0]).toBe('integrity wrong');
      expect(first).toMatchObject({ kind: 'forked' });
    }
  });

  it('goes on from a checkpoint that was seen before the change', async () => {
    const entries = entriesOf(rowsOf(1, EVENTS));
    const seen = [await noteOf(NAME, entries.slice(0, 90), [await signerOf(SEED)])];
    expect((await verify(await rewritten(SEED), { seen })).words).toEqual(GOOD);
  });
});

describe('what was seen before', () => {
  const noteAt = async (size: number): Promise<string> =>
    await noteOf(NAME, entriesOf(rowsOf(1, EVENTS)).slice(0, size), [await signerOf(SEED)]);

  it('shows a fork that two auditors were shown, whoever of them verifies', async () => {
    const [one, other] = [await smallLog(), await rewritten(SEED)];
    const [seenByOne, seenByOther] = [one, other].map(({ files }) =>
      new TextDecoder().decode(files.get('1/checkpoint')),
    );
    for (const [log, seen] of [
      [one, seenByOther],
      [other, seenByOne],
    ] as const) {
      const { first, exitCode } = await verify(log, { seen: [seen ?? ''] });
      expect({ kind: first?.kind, exitCode }).toEqual({ kind: 'forked', exitCode: 1 });
    }
  });

  it('shows a fork of one size even where the files are not there', async () => {
    const log = await smallLog();
    for (const name of log.files.keys()) if (/tile\/(?:0|entries)\/000/.test(name)) log.files.delete(name);
    const seen = [new TextDecoder().decode((await rewritten(SEED)).files.get('1/checkpoint'))];
    expect((await verify(log, { seen })).first?.kind).toBe('forked');
  });

  it('shows a database that was rolled back', async () => {
    const size = entriesOf(rowsOf(1, EVENTS)).length;
    const { words, first } = await verify(
      { ...(await smallLog(250)), lines: exportOf(rowsOf(1, 250)) },
      { seen: [await noteAt(size)] },
    );
    expect(words).toContain('completeness wrong');
    expect(first).toMatchObject({ kind: 'rolled_back' });
  });

  it('says nothing where the key has not signed it', async () => {
    const seen = [await noteOf(NAME, [], [await signerOf(9)])];
    const { words, first, exitCode } = await verify(await smallLog(), { seen });
    expect({ word: words[0], kind: first?.kind, exitCode }).toEqual({
      word: 'integrity unknown',
      kind: 'state_not_signed',
      exitCode: 2,
    });
  });

  it('shows that a log is gone', async () => {
    const seen = [await noteOf(`${NAME}/2`, [], [await signerOf(SEED, `${NAME}/2`)])];
    expect((await verify(await smallLog(), { seen })).first).toMatchObject({ kind: 'log_absent' });
  });

  it('is read from notes one after another too, and nothing else is', async () => {
    const notes = [await noteAt(3), await noteAt(7)];
    const sizes = (text: string) => {
      const known = parseKnown(text, 'file');
      return known.ok ? known.value.map(({ checkpoint }) => checkpoint.size) : known.error;
    };
    expect(sizes(notes.join(''))).toEqual([3, 7]);
    expect(sizes(notes.join('\n'))).toEqual([3, 7]);
    expect(sizes('')).toEqual([]);
    expect(sizes(`${notes[0] ?? ''}rubbish\n`)).toBe('line 6 of file is no checkpoint');
    expect(sizes('{"note":"rubbish"}')).toBe('line 1 of file is no checkpoint');
  });
});
