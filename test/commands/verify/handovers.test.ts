import { describe, expect, it } from 'vitest';
import { signatureLine, signNote, verifierText } from '../../../src/tlog/note.ts';
import { entryOf } from '../../../src/trail/log/facts.ts';
import { GOOD, verifier, verify } from './judging.ts';
import {
  entriesOf,
  EVENTS,
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
    // What was lost may have handed over to a third key, so this is no accusation; but it is not good.
    const doubtful = await verify(log, { pins });
    expect([doubtful.first?.kind, doubtful.exitCode]).toEqual(['key_lost', 2]);
  });
});
