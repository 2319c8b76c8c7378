import { describe, expect, it } from 'vitest';
import { cosign, createSigner, parseNote, signatureLine } from '../../../src/tlog/note.ts';
import { entryOfRow } from '../../../src/trail/log/facts.ts';
import { verify } from './judging.ts';
import { AFTER_MS, entriesOf, EVENTS, openRow, putLog, rowOf, rowsOf, smallLog, type SmallLog } from './small-log.ts';

// What verifying finds in the files of a log, and in the cosignatures under its checkpoint.

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
