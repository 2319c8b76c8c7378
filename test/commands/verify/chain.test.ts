import { describe, expect, it } from 'vitest';
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

  const sealed = entriesOf(rowsOf(1, 9));
  const begin = async (number: number, before: readonly Uint8Array[], signer: number, more: object = {}) => {
    const origin = number === 2 ? NAME : `${NAME}/${number - 1}`;
    const checkpoint = await noteOf(origin, before, [await signerOf(signer, origin)]);
    return resumedEntry(number, {
      previous: { origin, size: before.length, checkpoint, known: null },
      kept_size: before.length,
      kept_seq: 9,
      gap: null,
      because: 'rolled_back',
      reason: 'r',
      ...more,
    });
  };

  it('before a log that follows is carried on into every later one', async () => {
    const log = { ...(await smallLog()), lines: exportOf(rowsOf(1, 9)) };
    const entries = [...sealed, await handOver(SEED, 8)];
    await putLog(log, 1, entries, [await signerOf(8)]);
    const second = [await begin(2, entries, 8)];
    await putLog(log, 2, second, [await signerOf(8, `${NAME}/2`)]);
    const third = [await begin(3, second, 8)];
    for (const [signer, words] of [
      [8, GOOD],
      [SEED, ['integrity wrong', ...GOOD.slice(1)]],
    ] as const) {
      await putLog(log, 3, third, [await signerOf(signer, `${NAME}/3`)]);
      expect((await verify(log)).words, `signed by ${signer}`).toEqual(words);
      expect((await verify(log, { pins: [verifier(await pinOf(8))] })).words, `signed by ${signer}`).toEqual(words);
    }
  });

  it('that was rolled back is void: the log behind it has a key that is lost until both keys are pinned', async () => {
    const log = { ...(await smallLog()), lines: exportOf(rowsOf(1, 9)) };
    await putLog(log, 1, sealed);
    const known = await noteOf(NAME, [...sealed, await handOver(SEED, 8)], [await signerOf(8)]);
    const checkpoint = await noteOf(NAME, sealed, [await signerOf(SEED)]);
    const previous = { origin: NAME, size: 9, checkpoint, known };
    const second = [await begin(2, sealed, SEED, { previous, because: 'key_lost' })];
    await putLog(log, 2, second, [await signerOf(8, `${NAME}/2`)]);
    const { faults, exitCode } = await verify(log);
    expect({ kinds: faults.map(({ fault }) => fault.kind), exitCode }).toEqual({ kinds: ['key_lost'], exitCode: 2 });
    const pins = [verifier(await pinOf()), verifier(await pinOf(8))];
    expect((await verify(log, { pins })).words).toEqual(GOOD);
    // A checkpoint that neither key has signed proves no loss.
    const forged = {
      ...previous,
      known: await noteOf(NAME, [...sealed, sealed[0] ?? new Uint8Array()], [await signerOf(9)]),
    };
    await putLog(
      log,
      2,
      [await begin(2, sealed, SEED, { previous: forged, because: 'key_lost' })],
      [await signerOf(8, `${NAME}/2`)],
    );
    expect((await verify(log, { pins })).first?.kind).toBe('chain_broken');
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
    await putLog(
      log,
      2,
      [
        first,
        ...rows.filter(({ seq }) => openBefore.has(seq)).map((row) => entryOfRow('settled', row, true)),
        ...entriesOf(rows.filter(({ seq }) => !sealedBefore.has(seq))),
      ],
      [await signerOf(seed, `${NAME}/2`)],
    );
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
