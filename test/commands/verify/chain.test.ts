import { describe, expect, it } from 'vitest';
import type { AuditEventRow } from '../../../src/db/schema.ts';
import { signatureLine, signNote, verifierText } from '../../../src/tlog/note.ts';
import { entryOf, entryOfRow } from '../../../src/trail/log/facts.ts';
import { changed, GOOD, verifier, verify } from './judging.ts';
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
  resumedEntry,
  rowOf,
  rowsOf,
  SEED,
  signerOf,
  smallLog,
  type SmallLog,
} from './small-log.ts';

// What verifying finds where one key or one log follows another.

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
    expect(await kindsFor(known, [other])).toEqual(['forked']);
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
