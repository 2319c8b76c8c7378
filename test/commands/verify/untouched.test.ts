import { describe, expect, it } from 'vitest';
import type { AuditEventRow } from '../../../src/db/schema.ts';
import { checkpointBody } from '../../../src/tlog/checkpoint.ts';
import { EMPTY_ROOT, grow, leafHash, rootOf } from '../../../src/tlog/merkle.ts';
import { noteText, signNote } from '../../../src/tlog/note.ts';
import { bundleOf, entriesOfBundle } from '../../../src/tlog/tiles.ts';
import { entryOfRow } from '../../../src/trail/log/facts.ts';
import { GOOD, verify } from './judging.ts';
import {
  AFTER_MS,
  entriesOf,
  EVENTS,
  exportOf,
  NAME,
  noteOf,
  openRow,
  putLog,
  putTiles,
  rowOf,
  rowsOf,
  SEED,
  signerOf,
  smallLog,
  type SmallLog,
  wireOf,
} from './small-log.ts';

// What verifying says of a trail that nobody has touched, and of how fresh its seal is.

describe('an untouched trail', () => {
  it('is good, with each kind of fact in it', async () => {
    const { words, exitCode, faults, rows, verdicts } = await verify(await smallLog());
    expect({ words, exitCode, faults }).toEqual({ words: GOOD, exitCode: 0, faults: [] });
    expect(rows).toMatchObject({ count: EVENTS, lastSeq: EVENTS, unsealed: 0 });
    expect(verdicts.completeness?.because).toBe('Events up to 300 are all there. All of them are sealed.');
  });

  it.each([255, 256, 257])('is good at a size of about a tile: %i events', async (events) => {
    const rows = rowsOf(1, events);
    const entries = rows.map((row) => entryOfRow('final', { ...row, read_key: null }, true));
    const log: SmallLog = {
      list: { logs: [] },
      files: new Map(),
      lines: exportOf(rows.map((row) => ({ ...row, count: 1, last_at: null }))),
    };
    await putLog(log, 1, entries);
    expect((await verify(log)).words).toEqual(GOOD);
  });

  it('says how many rows are as they were sealed, which those that wait for their seal are not', async () => {
    const { verdicts } = await verify(await smallLog(290), { nowMs: AFTER_MS });
    expect(verdicts.completeness?.because).toContain('Not sealed yet: 10 of the newest');
    expect(verdicts.integrity?.because).toContain(' 290 rows are as they were sealed.');
  });

  it('is good without hash tiles, which a verifier does not need', async () => {
    const log = await smallLog();
    for (const name of log.files.keys()) if (/tile\/\d/.test(name)) log.files.delete(name);
    expect((await verify(log)).words).toEqual(GOOD);
  });

  it('is good where a partial bundle has given way to the whole one', async () => {
    const log = await smallLog();
    const entries = entriesOf(rowsOf(1, EVENTS));
    const note = log.files.get('1/checkpoint') ?? new Uint8Array();
    log.files.clear();
    putTiles(log.files, 1, [...entries, ...entriesOf(rowsOf(301, 600))]);
    log.files.set('1/checkpoint', note);
    expect((await verify(log)).words).toEqual(GOOD);
  });

  it('is good while its newest events wait for their seal, and attempts for what becomes of them', async () => {
    const rows = [...rowsOf(1, 290).map((row) => (row.seq === 285 ? openRow(row) : row)), ...rowsOf(291, EVENTS)];
    const log = await smallLog(294, rows);
    const { words, rows: read } = await verify({
      ...log,
      lines: exportOf(
        rowsOf(1, EVENTS).map((row) => (row.seq === 285 ? { ...row, settled_at: row.occurred_at + 14 * 60_000 } : row)),
      ),
    });
    expect(words).toEqual(GOOD);
    expect(read.unsealed).toBe(6);
  });

  it('is good while a counted row at or below the sealed seq may still grow', async () => {
    const rows = rowsOf(1, EVENTS);
    const log = await smallLog();
    const entries = entriesOf(rows.filter(({ seq }) => seq !== 294));
    await putLog(log, 1, entries);
    expect((await verify(log)).words).toEqual(GOOD);
  });

  it('is good where a clock ran ahead and back, and rows wait that were made since', async () => {
    const HOUR_MS = 60 * 60_000;
    const ahead = (row: AuditEventRow): AuditEventRow => {
      if (row.seq < 200 || row.seq > 210) return row;
      const [occurred_at, last_at] = [row.occurred_at, row.last_at].map((ms) =>
        ms === null ? null : ms + 3 * HOUR_MS,
      );
      return {
        ...row,
        occurred_at: occurred_at ?? 0,
        last_at: last_at ?? null,
        settled_at: (row.settled_at ?? 0) + 3 * HOUR_MS,
      };
    };
    const rows = rowsOf(1, EVENTS).map(ahead);
    // A counted row that may still grow, an attempt that has just been settled, and the newest rows.
    const waits = new Set([294, 298, 299, 300]);
    const log = await smallLog(
      EVENTS,
      rows.filter(({ seq }) => !waits.has(seq)).map((row) => (row.seq === 295 ? openRow(row) : row)),
    );
    const { words, faults } = await verify({ ...log, lines: exportOf(rows) }, { nowMs: AFTER_MS + 24 * HOUR_MS });
    expect({ words, faults }).toEqual({ words: GOOD, faults: [] });
  });

  it('goes on from the checkpoints that an auditor has seen', async () => {
    const entries = entriesOf(rowsOf(1, EVENTS));
    const signers = [await signerOf(SEED)];
    const seen = await Promise.all(
      [0, 1, 255, 256, 290].map(async (size) => await noteOf(NAME, entries.slice(0, size), signers)),
    );
    expect((await verify(await smallLog(), { seen })).words).toEqual(GOOD);
  });
});

describe('freshness', () => {
  it('is wrong where events wait too long for their seal', async () => {
    const { words, first } = await verify(await smallLog(280));
    expect(words).toEqual(['integrity good', 'completeness good', 'freshness wrong']);
    expect(first).toMatchObject({ kind: 'sealing_late' });
  });

  it('is wrong where the log is stopped', async () => {
    const log = await smallLog();
    log.list.logs = log.list.logs.map((one) => ({ ...one, stopped: 'forked', stopped_at: '2026-11-02T00:00:00Z' }));
    expect((await verify(log)).first).toMatchObject({ kind: 'log_stopped' });
  });

  it('and integrity are unknown where nothing is sealed', async () => {
    const { words, exitCode } = await verify({ list: { logs: [] }, files: new Map(), lines: exportOf(rowsOf(1, 3)) });
    expect({ words, exitCode }).toEqual({
      words: ['integrity unknown', 'completeness good', 'freshness good'],
      exitCode: 2,
    });
  });
});

describe('what is said', () => {
  const wordsOf = async (log: SmallLog): Promise<readonly (string | undefined)[]> => {
    const { integrity, completeness, freshness } = (await verify(log)).verdicts;
    return [integrity, completeness, freshness].map((verdict) => verdict?.because);
  };
  const unsealed = (events: number): SmallLog => ({
    list: { logs: [] },
    files: new Map(),
    lines: exportOf(rowsOf(1, events)),
  });

  it('before the first seal is a plain sentence for each verdict', async () => {
    expect(await wordsOf(unsealed(3))).toEqual([
      'Nothing is sealed yet.',
      'Events up to 3 are all there. Not sealed yet: all of them.',
      'No fact is sealed yet, and no event is unsealed for more than 10 minutes as of the newest row of the export.',
    ]);
    expect((await wordsOf(unsealed(0)))[1]).toBe('There is no event, and none was sealed.');
  });

  it('counts one thing as one', async () => {
    const log = await smallLog(1, rowsOf(1, 1));
    expect((await wordsOf(log))[0]).toBe(
      'One entry in one log gives the roots that the pinned key signed. One row is as it was sealed.',
    );
    const late = await smallLog(1, [
      rowOf(1),
      { ...rowOf(2), occurred_at: AFTER_MS - 3_600_000 },
      { ...rowOf(3), occurred_at: AFTER_MS },
    ]);
    expect((await wordsOf(late))[2]).toMatch(/^2 events are not sealed, the oldest of /);
    const one = await smallLog(1, [rowOf(1), { ...rowOf(2), occurred_at: AFTER_MS - 3_600_000 }]);
    const atOnce = await verify(one, { isLive: true });
    expect(atOnce.verdicts.freshness?.because).toMatch(/^One event is not sealed, of /);
  });
});

it('a checkpoint of an empty log is read', async () => {
  const log = await smallLog();
  const body = checkpointBody({ origin: NAME, size: 0, root: EMPTY_ROOT });
  log.files.set(
    '1/checkpoint',
    new TextEncoder().encode(noteText({ body, signatures: [await signNote(body, await signerOf(SEED))] })),
  );
  expect((await verify({ ...log, lines: exportOf(rowsOf(1, 2)) })).words[0]).toBe('integrity good');
});

it('entries are the bytes that were signed', () => {
  const entries = entriesOf(rowsOf(1, 5));
  const read = entriesOfBundle(bundleOf(entries), entries.length);
  expect(read).toEqual(entries);
  expect(rootOf(grow([], 0, (read ?? []).map(leafHash)))).toHaveLength(32);
  expect(wireOf(rowOf(1))).toContain('"seq":1');
});
