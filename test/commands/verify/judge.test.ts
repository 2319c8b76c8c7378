import { describe, expect, it } from 'vitest';
import { exitCodeOf } from '../../../commands/verify/judge/findings.ts';
import { type Audit, judge } from '../../../commands/verify/judge/judge.ts';
import { parseKnown } from '../../../commands/verify/judge/known.ts';
import type { AuditEventRow } from '../../../src/db/schema.ts';
import { checkpointBody } from '../../../src/tlog/checkpoint.ts';
import { EMPTY_ROOT, grow, leafHash, rootOf } from '../../../src/tlog/merkle.ts';
import {
  cosign,
  createSigner,
  noteText,
  parseNote,
  parseVerifier,
  signatureLine,
  signNote,
  type Verifier,
  verifierText,
} from '../../../src/tlog/note.ts';
import { bundleOf, entriesOfBundle } from '../../../src/tlog/tiles.ts';
import { entryOf, entryOfRow } from '../../../src/trail/log/facts.ts';
import {
  AFTER_MS,
  entriesOf,
  EVENTS,
  exportOf,
  NAME,
  noteOf,
  openRow,
  pinOf,
  putLog,
  putTiles,
  resumedEntry,
  rowOf,
  rowsOf,
  SEED,
  signerOf,
  smallLog,
  type SmallLog,
  sourceOf,
  trailerOf,
  wireOf,
} from './small-log.ts';

const verifier = (text: string): Verifier => {
  const parsed = parseVerifier(text);
  if (parsed === null) throw new Error('no key');
  return parsed;
};

interface Given extends Partial<Omit<Audit, 'known'>> {
  /** Notes of checkpoints that were seen before. */
  readonly seen?: readonly string[];
}

async function verify(log: SmallLog, { seen = [], ...given }: Given = {}) {
  const known = parseKnown(seen.map((note) => JSON.stringify({ note })).join('\n'), 'state');
  if (!known.ok) throw new Error(known.error);
  const judged = await judge(sourceOf(log), {
    pins: [verifier(await pinOf())],
    known: known.value,
    witnesses: [],
    quorum: 0,
    isLatest: true,
    isLive: false,
    nowMs: AFTER_MS,
    progress: () => {},
    ...given,
  });
  const words = Object.entries(judged.verdicts).map(([topic, { judgement }]) => `${topic} ${judgement}`);
  const first = judged.faults[0]?.fault ?? null;
  return { ...judged, exitCode: exitCodeOf(judged.verdicts), words, first };
}

const GOOD = ['integrity good', 'completeness good', 'freshness good'];
const idOf = (seq: number): string => rowOf(seq).id;
/** The rows of a trail, one of them changed. */
const changed = (seq: number, change: Partial<AuditEventRow>): AuditEventRow[] =>
  rowsOf(1, EVENTS).map((row) => (row.seq === seq ? { ...row, ...change } : row));

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

describe('a changed row', () => {
  const CHANGES: readonly (readonly [field: string, seq: number, change: Partial<AuditEventRow>])[] = [
    ['id', 8, { id: '00000000-0000-4000-8000-ffffffffffff' }],
    ['occurred_at', 8, { occurred_at: rowOf(8).occurred_at - 1 }],
    ['settled_at', 8, { settled_at: rowOf(8).occurred_at + 1 }],
    ['action', 8, { action: 'subject.unblock' as never }],
    ['status', 8, { status: 'failure' }],
    ['count', 8, { count: 2 }],
    ['actor.type', 8, { actor_type: 'system' }],
    ['actor.issuer', 8, { actor_issuer: null }],
    ['actor.subject', 8, { actor_subject: 'somebody-else' }],
    ['actor.label', 8, { actor_label: 'Zoe\u0308 8' }],
    ['workspace_uuid', 8, { workspace_uuid: null }],
    ['token_id', 10, { token_id: 'token-11' }],
    ['token_name', 10, { token_name: null }],
    ['request_id', 8, { request_id: '' }],
    ['ip', 8, { ip: '192.0.2.8' }],
    ['user_agent', 8, { user_agent: 'curl/9' }],
    ['upstream_status', 10, { upstream_status: 200 }],
    ['error_code', 11, { error_code: 'not_found' }],
    ['detail.scopes', 8, { detail: rowOf(8).detail.replace('api:read', 'api:full') }],
    ['detail.role', 10, { outcome: '{"role":"admin"}' }],
  ];

  it.each(CHANGES)('is caught by its %s', async (field, seq, change) => {
    const { words, first, exitCode } = await verify({ ...(await smallLog()), lines: exportOf(changed(seq, change)) });
    expect({ words, exitCode }).toEqual({
      words: ['integrity wrong', 'completeness good', 'freshness good'],
      exitCode: 1,
    });
    expect(first).toMatchObject({ kind: 'row_changed', seq, difference: { field } });
  });

  it('is told with what was sealed and what the export says, shortened, and without a secret', async () => {
    const secret = 'sat_AbCdEfGhIjKlMnOpQrStUvWxYz0123456789';
    const { first } = await verify({
      ...(await smallLog()),
      lines: exportOf(changed(12, { user_agent: `${secret}\u001b[2J${'x'.repeat(500)}` })),
    });
    expect(first?.message).toContain(
      `Event 12 (${idOf(12)}) was changed after its seal: user_agent was sealed as "curl/8" (entry `,
    );
    expect(first?.message).toContain('[redacted]');
    expect(first?.message).not.toContain(secret.slice(0, 20));
    expect(first?.message.length).toBeLessThan(300);
  });

  it('is caught on an attempt whose settlement is not sealed yet', async () => {
    const rows = changed(290, openRow(rowOf(290)));
    const log = await smallLog(EVENTS, rows);
    const swapped = rows.map((row) => (row.seq === 290 ? { ...row, ip: '192.0.2.9' } : row));
    expect((await verify({ ...log, lines: exportOf(swapped) })).first).toMatchObject({
      kind: 'row_changed',
      seq: 290,
      difference: { field: 'ip' },
    });
  });

  it('is caught if it is a closed row that grew', async () => {
    const { first } = await verify({
      ...(await smallLog()),
      lines: exportOf(changed(14, { count: 9, last_at: rowOf(14).occurred_at + 59_000 })),
    });
    expect(first).toMatchObject({
      kind: 'row_changed',
      seq: 14,
      difference: { field: 'count', sealed: '3', exported: '9' },
    });
  });

  it('is named first by its number, and counted with the others', async () => {
    const rows = rowsOf(1, EVENTS).map((row) => (row.seq > 40 && row.seq < 44 ? { ...row, ip: null } : row));
    const { faults } = await verify({ ...(await smallLog()), lines: exportOf(rows) });
    expect(faults).toMatchObject([{ fault: { seq: 41 }, count: 3 }]);
  });
});

describe('a row that is gone', () => {
  it('is caught in the middle', async () => {
    const { words, first } = await verify({
      ...(await smallLog()),
      lines: exportOf(rowsOf(1, EVENTS).filter(({ seq }) => seq !== 120)),
    });
    expect(words).toEqual(['integrity good', 'completeness wrong', 'freshness good']);
    expect(first).toMatchObject({ kind: 'row_dropped', seq: 120, id: idOf(120) });
  });

  it.each([true, false])('is caught at the head, after its seal (export of all rows: %s)', async (isLatest) => {
    const { first, words } = await verify({ ...(await smallLog()), lines: exportOf(rowsOf(1, 297)) }, { isLatest });
    expect(words).toContain('completeness wrong');
    expect(first).toMatchObject({ kind: 'row_dropped', seq: 298, id: idOf(298) });
    expect(first?.message).toContain('The export ends with event 297');
  });

  it('is caught where it never had a seal and a later one is there', async () => {
    const rows = rowsOf(1, EVENTS).filter(({ seq }) => seq !== 294 && seq !== 295);
    const log = await smallLog(290);
    expect((await verify({ ...log, lines: exportOf(rows) })).first).toMatchObject({ kind: 'not_dense', seq: 294 });
  });

  it('is not caught at the head before its seal', async () => {
    const log = await smallLog(290);
    expect((await verify({ ...log, lines: exportOf(rowsOf(1, 292)) })).words).toEqual(GOOD);
  });

  it('cannot be told from one that may still change, where the export ends before such rows', async () => {
    const rows = changed(300, openRow(rowOf(300)));
    const log = await smallLog(EVENTS, rows);
    const { words, exitCode, first } = await verify({ ...log, lines: exportOf(rowsOf(1, 299)) }, { isLatest: false });
    expect({ words, exitCode }).toEqual({
      words: ['integrity good', 'completeness unknown', 'freshness good'],
      exitCode: 2,
    });
    expect(first).toMatchObject({ kind: 'export_held', seq: 300 });
  });
});

describe('a row that was put in', () => {
  it('is caught at or below the sealed seq', async () => {
    const log = await smallLog(
      EVENTS,
      rowsOf(1, EVENTS).filter(({ seq }) => seq !== 120),
    );
    const { words, first } = await verify({ ...log, lines: exportOf(rowsOf(1, EVENTS)) });
    expect(words).toContain('completeness wrong');
    expect(first).toMatchObject({ kind: 'row_not_sealed', seq: 120, id: idOf(120) });
  });

  it('is caught as an attempt, which is sealed as soon as it is recorded', async () => {
    const log = await smallLog(
      EVENTS,
      rowsOf(1, EVENTS).filter(({ seq }) => seq !== 295),
    );
    expect((await verify({ ...log, lines: exportOf(changed(295, openRow(rowOf(295)))) })).first).toMatchObject({
      kind: 'row_not_sealed',
      seq: 295,
    });
  });

  it('is caught under a number that another row has', async () => {
    const rows = rowsOf(1, EVENTS);
    rows.splice(120, 0, { ...rowOf(120), id: 'another' });
    expect((await verify({ ...(await smallLog()), lines: exportOf(rows) })).first).toMatchObject({
      kind: 'row_repeated',
      seq: 120,
      id: 'another',
    });
  });

  it.each([0, -7])('is caught below the first number, at %i', async (seq) => {
    const rows = [{ ...rowOf(3), seq, id: 'put-in' }, ...rowsOf(1, EVENTS)];
    expect((await verify({ ...(await smallLog()), lines: exportOf(rows) })).faults).toEqual([
      { count: 1, fault: expect.objectContaining({ kind: 'row_not_sealed', judgement: 'wrong', seq, id: 'put-in' }) },
    ]);
  });

  it('is caught by a forged number, and soon', async () => {
    const rows = [...rowsOf(1, EVENTS), { ...rowOf(301), seq: 2 ** 52 }];
    expect((await verify({ ...(await smallLog()), lines: exportOf(rows) })).first).toMatchObject({
      kind: 'not_dense',
      seq: 301,
    });
  });

  it('is caught as unauthentic by the seal itself', async () => {
    const log = await smallLog();
    const entries = rowsOf(1, EVENTS).map((row) =>
      entryOfRow(row.read_key === null ? 'final' : 'counted', row, row.seq !== 33),
    );
    await putLog(log, 1, entries);
    expect((await verify(log)).first).toMatchObject({ kind: 'unauthentic', seq: 33, id: idOf(33) });
  });
});

describe('an attempt', () => {
  const DAYS = 3 * 24 * 60 * 60 * 1000;
  const late = (row: AuditEventRow): AuditEventRow => ({
    ...row,
    occurred_at: row.occurred_at + DAYS,
    settled_at: row.occurred_at + DAYS,
    last_at: null,
    count: 1,
    read_key: null,
  });

  it('is wrong without a settlement beyond its time', async () => {
    const rows = [...changed(50, openRow(rowOf(50))), ...rowsOf(301, 310).map(late)];
    const { words, first } = await verify(await smallLog(310, rows), { nowMs: AFTER_MS + DAYS });
    expect(words).toContain('completeness wrong');
    expect(first).toMatchObject({ kind: 'never_settled', seq: 50, id: idOf(50) });
  });

  it('is good without one within its time', async () => {
    expect((await verify(await smallLog(EVENTS, changed(50, openRow(rowOf(50)))))).words).toEqual(GOOD);
  });

  it('is wrong if it was settled long ago and that was never sealed', async () => {
    const log = await smallLog(EVENTS, changed(50, openRow(rowOf(50))));
    expect((await verify({ ...log, lines: exportOf(rowsOf(1, EVENTS)) })).first).toMatchObject({
      kind: 'settlement_not_sealed',
      seq: 50,
    });
  });

  it('is wrong if an entry of a clock that ran ahead does not make it late', async () => {
    const rows = changed(50, openRow(rowOf(50)));
    const ahead = rows.map((row) => (row.seq === 299 ? { ...row, occurred_at: row.occurred_at + DAYS } : row));
    expect((await verify(await smallLog(EVENTS, ahead))).words.slice(0, 2)).toEqual(GOOD.slice(0, 2));
    // Also once that time has come, for whoever verifies the files of before.
    expect((await verify(await smallLog(EVENTS, ahead), { nowMs: AFTER_MS + 2 * DAYS })).words).toEqual(GOOD);
  });
});

describe('an export', () => {
  const lines = exportOf(rowsOf(1, EVENTS));
  it.each<[string, readonly string[]]>([
    ['without its last line', lines.slice(0, -1)],
    ['cut within a row', [...lines.slice(0, 200), lines[200]?.slice(0, 40) ?? '']],
    ['cut, with a last line that counts other rows', [...lines.slice(0, 200), lines.at(-1) ?? '']],
    ['whose last line says that more is to come', [...lines.slice(0, -1), '{"complete":false,"count":300,"next":"c"}']],
    ['that is empty', []],
  ])('is caught %s', async (_what, given) => {
    const { words, first, exitCode } = await verify({ ...(await smallLog()), lines: [...given] });
    expect({ word: words[1], exitCode, kind: first?.kind }).toEqual({
      word: 'completeness wrong',
      exitCode: 1,
      kind: 'export_cut',
    });
    expect(first?.seq).toBe(Math.min(given.length, EVENTS - (given.length === 300 ? 0 : 0)) === 0 ? 1 : first?.seq);
  });

  it('is good in parts, one after another', async () => {
    const parts = [
      ...lines.slice(0, 100),
      '{"complete":false,"count":100,"next":"c"}',
      ...lines.slice(100, -1),
      trailerOf(200),
    ];
    expect((await verify({ ...(await smallLog()), lines: parts })).words).toEqual(GOOD);
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

describe('the files of a log', () => {
  it.each(['1/tile/0/000', '1/tile/1/000.p/1'])('are wrong with a hash tile that was swapped: %s', async (name) => {
    const log = await smallLog();
    const tile = log.files.get(name) ?? new Uint8Array();
    log.files.set(
      name,
      tile.map((byte) => byte ^ 1),
    );
    const { words, first } = await verify(log);
    expect(words[0]).toBe('integrity wrong');
    expect(first?.kind).toBe('tile_differs');
    expect(first?.message).toContain(name.slice(2));
    expect(first?.seq).toBe(name.includes('tile/0') ? 1 : null);
  });

  it('are wrong with two bundles that were swapped', async () => {
    const rows = rowsOf(1, 600);
    const log = await smallLog(600, rows);
    const [one, other] = ['1/tile/entries/000', '1/tile/entries/001'].map(
      (name) => log.files.get(name) ?? new Uint8Array(),
    );
    log.files.set('1/tile/entries/000', other ?? new Uint8Array());
    log.files.set('1/tile/entries/001', one ?? new Uint8Array());
    expect((await verify(log, { nowMs: AFTER_MS * 2 })).first?.kind).toBe('entry_changed');
  });

  it('are unknown without a bundle, whose hashes still give the root', async () => {
    const log = await smallLog();
    log.files.delete('1/tile/entries/000');
    const { words, exitCode, first } = await verify(log);
    expect({ words, exitCode }).toEqual({
      words: ['integrity unknown', 'completeness unknown', 'freshness good'],
      exitCode: 2,
    });
    expect(first).toMatchObject({ kind: 'entries_absent' });
  });

  it('are unknown from where neither entries nor hashes are there', async () => {
    const log = await smallLog();
    log.files.delete('1/tile/entries/000');
    log.files.delete('1/tile/0/000');
    expect((await verify(log)).exitCode).toBe(2);
  });

  it.each<[string, object | string]>([
    ['another version', { v: 2, fact: 'final', seq: 301, id: 'x' }],
    ['another kind of fact', { v: 1, fact: 'merged', seq: 301, id: 'x' }],
    ['no event', { v: 1, fact: 'final' }],
    ['no JSON', 'rubbish'],
  ])('are unknown with an entry of %s', async (_what, entry) => {
    const log = await smallLog();
    const bytes = new TextEncoder().encode(typeof entry === 'string' ? entry : JSON.stringify(entry));
    await putLog(log, 1, [...entriesOf(rowsOf(1, EVENTS)), bytes]);
    const { exitCode, first } = await verify(log);
    expect({ exitCode, kind: first?.kind }).toEqual({ exitCode: 2, kind: 'entry_not_understood' });
  });

  it('are wrong with facts that contradict each other', async () => {
    const entries = entriesOf(rowsOf(1, EVENTS));
    const row = rowOf(50);
    const cases: readonly (readonly [Uint8Array[], number])[] = [
      [[entryOfRow('final', rowOf(8), true)], 8],
      [[entryOfRow('settled', rowOf(301), true)], 301],
      [[entryOfRow('recorded', openRow(rowOf(310)), true), entryOfRow('recorded', openRow(rowOf(310)), true)], 310],
      [
        [entryOfRow('recorded', openRow(rowOf(310)), true), entryOfRow('settled', { ...rowOf(310), id: row.id }, true)],
        310,
      ],
      [
        [entryOfRow('recorded', openRow(rowOf(310)), true), entryOfRow('final', { ...rowOf(310), ip: null }, true)],
        310,
      ],
    ];
    for (const [more, seq] of cases) {
      const log = await smallLog();
      await putLog(log, 1, [...entries, ...more]);
      const { faults } = await verify(log);
      expect(faults.find(({ fault }) => fault.kind === 'fact_out_of_place')?.fault.seq).toBe(seq);
    }
  });
});

describe('witnesses', () => {
  const witnessOf = async (seed: number) =>
    await createSigner({
      kind: 'witness',
      name: `witness-${seed}.example`,
      keyId: '',
      seed: new Uint8Array(32).fill(seed),
    });
  /** Some minutes before the newest row. */
  const LATELY = Date.parse('2026-11-01T04:50:00Z');
  const cosigned = async (seeds: readonly number[], change = '', atMs = LATELY): Promise<SmallLog> => {
    const log = await smallLog();
    const text = new TextDecoder().decode(log.files.get('1/checkpoint'));
    const body = parseNote(text)?.body ?? '';
    const lines = await Promise.all(
      seeds.map(async (seed) => signatureLine(await cosign(body + change, atMs / 1000, await witnessOf(seed)))),
    );
    log.files.set('1/checkpoint', new TextEncoder().encode(text + lines.join('')));
    return log;
  };

  it('are judged where some are named, with when they saw it', async () => {
    const witnesses = [(await witnessOf(1)).verifier, (await witnessOf(2)).verifier];
    const { verdicts, exitCode } = await verify(await cosigned([1, 2]), { witnesses, quorum: 2 });
    expect({ exitCode, verdict: verdicts.witnessed?.judgement }).toEqual({ exitCode: 0, verdict: 'good' });
    expect(verdicts.witnessed?.because).toContain('witness-1.example saw it at 2026-11-01T');
    expect((await verify(await cosigned([2]), { witnesses, quorum: 1 })).exitCode).toBe(0);
  });

  it('are unknown where too few have cosigned, and wrong where one has cosigned something else', async () => {
    const witnesses = [(await witnessOf(1)).verifier, (await witnessOf(2)).verifier];
    expect((await verify(await cosigned([1]), { witnesses, quorum: 2 })).words.at(-1)).toBe('witnessed unknown');
    expect((await verify(await cosigned([1, 2], 'x\n'), { witnesses, quorum: 2 })).words.at(-1)).toBe(
      'witnessed wrong',
    );
  });

  it('are unknown where a cosignature is older than two hours: the newest checkpoint is cosigned each hour', async () => {
    const HOUR_MS = 60 * 60_000;
    const witnesses = [(await witnessOf(1)).verifier];
    const old = await cosigned([1], '', LATELY - 3 * HOUR_MS);
    const { verdicts, exitCode, first } = await verify(old, { witnesses, quorum: 1 });
    expect({ exitCode, kind: first?.kind }).toEqual({ exitCode: 2, kind: 'cosigned_long_ago' });
    expect(verdicts.witnessed?.because).toContain('witness-1.example saw it at 2026-11-01T01:50:00.000Z');
    // A service is judged by the auditor's clock, and files by the newest row of the export.
    const live = { witnesses, quorum: 1, isLive: true };
    const [soon, late] = [AFTER_MS + HOUR_MS, AFTER_MS + 2 * HOUR_MS];
    expect((await verify(await cosigned([1]), { ...live, nowMs: soon })).words.at(-1)).toBe('witnessed good');
    expect((await verify(await cosigned([1]), { ...live, nowMs: late })).words.at(-1)).toBe('witnessed unknown');
    expect((await verify(await cosigned([1]), { witnesses, quorum: 1, nowMs: late })).words.at(-1)).toBe(
      'witnessed good',
    );
  });

  it('count as many as are timely, whoever else has seen it long ago', async () => {
    const log = await cosigned([1]);
    const stale = await cosigned([2], '', LATELY - 3 * 60 * 60_000);
    const lines = parseNote(new TextDecoder().decode(stale.files.get('1/checkpoint')))?.signatures.slice(1) ?? [];
    const text = new TextDecoder().decode(log.files.get('1/checkpoint')) + lines.map(signatureLine).join('');
    log.files.set('1/checkpoint', new TextEncoder().encode(text));
    const witnesses = [(await witnessOf(1)).verifier, (await witnessOf(2)).verifier];
    expect((await verify(log, { witnesses, quorum: 1 })).words.at(-1)).toBe('witnessed good');
    expect((await verify(log, { witnesses, quorum: 2 })).words.at(-1)).toBe('witnessed unknown');
  });
});

describe('a hand-over of keys', () => {
  const handOver = async (from: number, to: number) => {
    const key = verifierText((await signerOf(to)).verifier);
    const signature = signatureLine(await signNote(`countersign-handover/v1\n${NAME}\n${key}\n`, await signerOf(from)));
    return entryOf('handover', { at: '2026-11-01T04:00:00.000Z', to: key, signature });
  };
  const handedOver = async (entry: Uint8Array, signer: number): Promise<SmallLog> => {
    const log = await smallLog();
    const entries = entriesOf(rowsOf(1, EVENTS));
    await putLog(log, 1, [...entries.slice(0, 200), entry, ...entries.slice(200)], [await signerOf(signer)]);
    return log;
  };

  it('moves to the new key, which an auditor may pin as well', async () => {
    const log = await handedOver(await handOver(SEED, 8), 8);
    expect((await verify(log)).words).toEqual(GOOD);
    expect((await verify(log, { pins: [verifier(await pinOf(8))] })).words).toEqual(GOOD);
  });

  it('leaves the old key without a say in later checkpoints', async () => {
    expect((await verify(await handedOver(await handOver(SEED, 8), SEED))).first?.kind).toBe('not_signed');
  });

  it('is wrong without the signature of the key before', async () => {
    const { first } = await verify(await handedOver(await handOver(9, 8), 8));
    expect(first?.kind).toBe('handover_not_signed');
  });

  it('is followed into the next log', async () => {
    const log = await handedOver(await handOver(SEED, 8), 8);
    const entries = entriesOf(rowsOf(1, EVENTS)).length + 1;
    const checkpoint = new TextDecoder().decode(log.files.get('1/checkpoint'));
    const first = resumedEntry(2, {
      previous: { origin: NAME, size: entries, checkpoint, known: null },
      kept_size: entries,
      kept_seq: EVENTS,
      gap: null,
      because: 'forked',
      reason: 'r',
    });
    await putLog(log, 2, [first], [await signerOf(8, `${NAME}/2`)]);
    expect((await verify(log)).words).toEqual(GOOD);
    await putLog(log, 2, [first]);
    expect((await verify(log)).first?.kind).toBe('not_signed');
  });
});

describe('a log that follows another one', () => {
  const KEPT = 250;
  const old = entriesOf(rowsOf(1, EVENTS));
  /** D1 was rolled back to KEPT entries; the events that were sealed beyond are lost. New events have numbers from 301 on. */
  const chained = async (
    change: Record<string, unknown> = {},
    { seed = SEED, rows = [...rowsOf(1, KEPT_SEQ), ...rowsOf(301, 320)] } = {},
  ): Promise<SmallLog> => {
    const log = await smallLog();
    const key = await signerOf(SEED);
    const checkpoint = await noteOf(NAME, old.slice(0, KEPT), [key]);
    const known = await noteOf(NAME, old, [key]);
    const first = resumedEntry(2, {
      previous: { origin: NAME, size: KEPT, checkpoint, known },
      kept_size: KEPT,
      kept_seq: KEPT_SEQ,
      gap: { from: KEPT_SEQ + 1, to: EVENTS },
      because: 'rolled_back',
      reason: 'D1 was restored',
      ...change,
    });
    await putLog(log, 1, old.slice(0, KEPT));
    await putLog(log, 2, [first, ...restOf(rows)], [await signerOf(seed, `${NAME}/2`)]);
    log.lines = exportOf(rows);
    return log;
  };
  const facts = old
    .slice(0, KEPT)
    .map((entry) => JSON.parse(new TextDecoder().decode(entry)) as { seq: number; fact: string });
  /** What the first KEPT entries seal, and what they only record. */
  const sealedBefore = new Set(facts.map(({ seq }) => seq));
  const openBefore = new Set(facts.filter(({ fact }) => fact === 'recorded').map(({ seq }) => seq));
  for (const { seq, fact } of facts) if (fact === 'settled') openBefore.delete(seq);
  /** What the first KEPT entries do not say of these rows. */
  const restOf = (rows: readonly AuditEventRow[]): Uint8Array[] => [
    ...rows.filter(({ seq }) => openBefore.has(seq)).map((row) => entryOfRow('settled', row, true)),
    ...entriesOf(rows.filter(({ seq }) => !sealedBefore.has(seq))),
  ];
  const KEPT_SEQ = Math.max(...sealedBefore);
  const LATER = { nowMs: AFTER_MS + 20 * 60_000 };

  it('is good where its first entry says what it follows, and names the numbers that are lost', async () => {
    const { words, remarks, faults } = await verify(await chained(), LATER);
    expect({ words, faults }).toEqual({ words: GOOD, faults: [] });
    expect(remarks).toEqual([expect.stringContaining(`No event has a number from ${KEPT_SEQ + 1} to 300.`)]);
  });

  it('is good for an auditor who has seen the void part', async () => {
    const seen = [await noteOf(NAME, old.slice(0, 280), [await signerOf(SEED)])];
    expect((await verify(await chained(), { ...LATER, seen })).words).toEqual(GOOD);
  });

  it.each<[string, Record<string, unknown>, string]>([
    [
      'has seen more than it names',
      { previous: { origin: NAME, size: KEPT, checkpoint: 'KEEP', known: null } },
      'rolled_back',
    ],
  ])('is wrong for an auditor who %s', async (_what, change, kind) => {
    const key = await signerOf(SEED);
    const checkpoint = await noteOf(NAME, old.slice(0, KEPT), [key]);
    const previous = { ...(change['previous'] as object), checkpoint };
    const seen = [await noteOf(NAME, old, [key])];
    const { faults } = await verify(await chained({ previous }), { ...LATER, seen });
    expect(faults.map(({ fault }) => fault.kind)).toContain(kind);
  });

  it('is wrong where it names no gap, and numbers are missing', async () => {
    expect((await verify(await chained({ gap: null }), LATER)).first).toMatchObject({
      kind: 'not_dense',
      seq: KEPT_SEQ + 1,
    });
  });

  it('is wrong where numbers behind the lost ones are missing', async () => {
    const first = resumedEntry(2, {
      previous: {
        origin: NAME,
        size: KEPT,
        checkpoint: await noteOf(NAME, old.slice(0, KEPT), [await signerOf(SEED)]),
        known: null,
      },
      kept_size: KEPT,
      kept_seq: KEPT_SEQ,
      gap: { from: KEPT_SEQ + 1, to: EVENTS },
      because: 'rolled_back',
      reason: 'D1 was restored',
    });
    const log = await chained();
    // The new log has sealed nothing but its beginning.
    await putLog(log, 2, [first]);
    log.lines = exportOf([...rowsOf(1, KEPT_SEQ), ...rowsOf(305, 320)]);
    expect((await verify(log, LATER)).faults.map(({ fault }) => [fault.kind, fault.seq])).toContainEqual([
      'not_dense',
      301,
    ]);
  });

  it('is wrong where an event has a number that is lost', async () => {
    const rows = [...rowsOf(1, KEPT_SEQ), ...rowsOf(301, 320)];
    const log = await chained();
    const put = [...rows.filter(({ seq }) => seq < 300), rowOf(299), ...rowsOf(301, 320)];
    expect((await verify({ ...log, lines: exportOf(put) }, LATER)).first).toMatchObject({
      kind: 'row_in_gap',
      seq: 299,
    });
  });

  it.each<[string, Record<string, unknown>]>([
    ['another log', { previous: { origin: 'elsewhere.example', size: KEPT, checkpoint: null, known: null } }],
    ['another size', { previous: { origin: NAME, size: KEPT - 1, checkpoint: null, known: null } }],
    ['no checkpoint', { previous: { origin: NAME, size: KEPT, checkpoint: 'rubbish', known: null } }],
    ['another number', { log: 3 }],
    ['no gap that can be', { gap: { from: 300, to: 299 } }],
  ])('is wrong where its first entry names %s', async (_what, change) => {
    const { faults } = await verify(await chained(change), LATER);
    expect(faults.map(({ fault }) => fault.kind)).toContain('chain_broken');
  });

  it('is wrong where the checkpoint that it names has another root, or another signature', async () => {
    const forged = entriesOf(changed(3, { ip: null })).slice(0, KEPT);
    for (const checkpoint of [
      await noteOf(NAME, forged, [await signerOf(SEED)]),
      await noteOf(NAME, old.slice(0, KEPT), [await signerOf(9)]),
    ]) {
      const { faults } = await verify(
        await chained({ previous: { origin: NAME, size: KEPT, checkpoint, known: null } }),
        LATER,
      );
      expect(faults.map(({ fault }) => fault.kind)).toContain('chain_broken');
    }
  });

  it('is unknown where the key before it was lost, until its key is pinned as well', async () => {
    const log = await chained({ because: 'key_lost' }, { seed: 8 });
    const { first, exitCode } = await verify(log, LATER);
    expect({ kind: first?.kind, exitCode }).toEqual({ kind: 'key_lost', exitCode: 2 });
    const pins = [verifier(await pinOf()), verifier(await pinOf(8))];
    expect((await verify(log, { ...LATER, pins })).words).toEqual(GOOD);
    expect((await verify(await chained({}, { seed: 8 }), LATER)).first?.kind).toBe('not_signed');
  });

  it('hands over to a key that signs the log behind it, also where it has itself begun with the loss of a key', async () => {
    const origin = `${NAME}/2`;
    const [lost, next] = [await signerOf(8, origin), await signerOf(9, origin)];
    const log = await chained({}, { rows: rowsOf(1, KEPT_SEQ) });
    const begin = resumedEntry(2, {
      previous: {
        origin: NAME,
        size: KEPT,
        checkpoint: await noteOf(NAME, old.slice(0, KEPT), [await signerOf(SEED)]),
        known: null,
      },
      kept_size: KEPT,
      kept_seq: KEPT_SEQ,
      gap: null,
      because: 'key_lost',
      reason: 'r',
    });
    const to = verifierText(next.verifier);
    const signature = signatureLine(await signNote(`countersign-handover/v1\n${origin}\n${to}\n`, lost));
    const entries = [begin, entryOf('handover', { at: '2026-11-01T04:00:00.000Z', to, signature })];
    const checkpoint = await putLog(log, 2, entries, [next]);
    const third = resumedEntry(3, {
      previous: { origin, size: 2, checkpoint, known: null },
      kept_size: 2,
      kept_seq: KEPT_SEQ,
      gap: null,
      because: 'forked',
      reason: 'r',
    });
    await putLog(log, 3, [third, ...restOf(rowsOf(1, KEPT_SEQ))], [await signerOf(9, `${NAME}/3`)]);
    const pins = [verifier(await pinOf()), verifier(await pinOf(8))];
    expect((await verify(log, { ...LATER, pins })).faults).toEqual([]);
    await putLog(log, 3, [third, ...restOf(rowsOf(1, KEPT_SEQ))], [await signerOf(8, `${NAME}/3`)]);
    expect((await verify(log, { ...LATER, pins })).first?.kind).toBe('not_signed');
  });

  it('may name the last checkpoint of a log that D1 has forgotten, and is good for an auditor who has seen that', async () => {
    const rows = [...rowsOf(1, KEPT_SEQ), ...rowsOf(301, 320)];
    const forgotten = [entryOf('resumed', { log: 2 }), entryOf('final', { seq: 260, id: 'lost' })];
    const following = async (known: string): Promise<SmallLog> => {
      const log = await chained({}, { rows });
      const checkpoint = await noteOf(NAME, old.slice(0, KEPT), [await signerOf(SEED)]);
      const first = resumedEntry(3, {
        previous: { origin: NAME, size: KEPT, checkpoint, known },
        kept_size: KEPT,
        kept_seq: KEPT_SEQ,
        gap: { from: KEPT_SEQ + 1, to: EVENTS },
        because: 'rolled_back',
        reason: 'D1 was restored',
      });
      log.list.logs = log.list.logs.filter(({ number }) => number === 1);
      await putLog(log, 3, [first, ...restOf(rows)]);
      return log;
    };
    const own = await signerOf(SEED, `${NAME}/2`);
    const known = await noteOf(`${NAME}/2`, forgotten, [own]);
    expect((await verify(await following(known), LATER)).faults).toEqual([]);
    const earlier = await noteOf(`${NAME}/2`, forgotten.slice(0, 1), [own]);
    const { faults, remarks } = await verify(await following(known), { ...LATER, seen: [known, earlier] });
    expect(faults).toEqual([]);
    expect(remarks.join()).toContain('void');

    const kindsFor = async (named: string, seen: readonly string[] = []) =>
      (await verify(await following(named), { ...LATER, seen })).faults.map(({ fault }) => fault.kind);
    expect(await kindsFor(earlier, [known])).toEqual(['log_absent']);
    const other = await noteOf(`${NAME}/2`, [...forgotten].toReversed(), [own]);
    expect(await kindsFor(known, [other])).toEqual(['log_absent']);
    expect(await kindsFor(await noteOf(`${NAME}/2`, forgotten, [await signerOf(9, `${NAME}/2`)]))).toEqual([
      'chain_broken',
    ]);
    expect(await kindsFor(await noteOf(`${NAME}/3`, forgotten, [await signerOf(SEED, `${NAME}/3`)]))).toEqual([
      'chain_broken',
    ]);
  });

  it('is wrong where it does not begin with what it follows', async () => {
    const log = await chained();
    await putLog(log, 2, entriesOf(rowsOf(301, 320)));
    expect((await verify(log, LATER)).faults.map(({ fault }) => fault.kind)).toContain('chain_broken');
  });

  it('is wrong where the first log is not there', async () => {
    const log = await chained();
    log.list.logs = log.list.logs.filter(({ number }) => number === 2);
    expect((await verify(log, LATER)).words[0]).toBe('integrity wrong');
  });

  it('may seal as a whole what the void part has settled', async () => {
    const key = await signerOf(SEED);
    const log = await smallLog();
    const first = [
      ...rowsOf(1, 9).map((row) => entryOfRow(row.read_key === null ? 'final' : 'counted', row, true)),
      entryOfRow('recorded', openRow(rowOf(10)), true),
    ];
    await putLog(log, 1, first);
    const checkpoint = await noteOf(NAME, first, [key]);
    const begin = resumedEntry(2, {
      previous: { origin: NAME, size: 10, checkpoint, known: null },
      kept_size: 10,
      kept_seq: 10,
      gap: null,
      because: 'forked',
      reason: 'r',
    });
    for (const fact of ['final', 'settled'] as const) {
      await putLog(log, 2, [begin, entryOfRow(fact, rowOf(10), true)]);
      expect((await verify({ ...log, lines: exportOf(rowsOf(1, 10)) })).words).toEqual(GOOD);
    }
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
