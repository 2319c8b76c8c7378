import { describe, expect, it } from 'vitest';
import { COSIGNATURE_MAX_SKEW_MS } from '../../../src/config/trail-limits.ts';
import { cosign, parseNote, signatureLine } from '../../../src/tlog/note.ts';
import { askWitness, cosignatureOf } from '../../../src/trail/log/witness.ts';
import { workerRuntime } from '../../../src/worker-runtime.ts';
import { signerOf, smallLog } from './small-log.ts';

// What is concluded from what a witness answers. That it holds another log, or a larger one, stops ours: nothing less may.

const NOW = 1_800_000_000_000;
const SIZE = 7;
const witness = await signerOf('witness', 'witness.example/w', 9);
const note = await (await smallLog([SIZE])).noteAt(SIZE);
const body = parseNote(note)?.body ?? '';

const asSize = (size: number): Response =>
  new Response(`${size}\n`, { status: 409, headers: { 'Content-Type': 'text/x.tlog.size' } });
const status = (code: number): Response => new Response(null, { status: code });

/** Asks a witness that answers so, one answer after another. */
async function ask(answers: readonly Response[], remembered = 0) {
  const waiting = [...answers];
  const asked: string[] = [];
  const runtime = {
    ...workerRuntime,
    now: () => NOW,
    fetch: async (_url: string, init: RequestInit) => {
      asked.push(typeof init.body === 'string' ? (init.body.split('\n', 1)[0] ?? '') : '');
      return await Promise.resolve(waiting.shift() ?? status(500));
    },
  };
  const of = { url: 'https://witness.example/w', verifier: witness.verifier };
  const outcome = await askWitness(
    runtime,
    of,
    { size: SIZE, note },
    remembered,
    async () => await Promise.resolve([]),
  );
  return { outcome, asked };
}

describe('a witness that says', () => {
  const failed = (problem: string, code: number, size: number) => ({ kind: 'failed', problem, status: code, size });
  it.each<[string, () => readonly Response[], object]>([
    ['a larger size', () => [asSize(9)], { kind: 'ahead', size: 9 }],
    ['a smaller size, and then a larger one', () => [asSize(5), asSize(9)], { kind: 'ahead', size: 9 }],
    ['our size twice', () => [asSize(7), asSize(7)], { kind: 'other', size: 7 }],
    ['a smaller size, and then ours', () => [asSize(5), asSize(7)], failed('conflict', 409, 7)],
    ['our size, and then a smaller one', () => [asSize(7), asSize(5)], failed('conflict', 409, 5)],
    ['a size, and that the proof from it is wrong', () => [asSize(5), status(422)], { kind: 'other', size: 5 }],
    ['at once that the proof is wrong', () => [status(422)], failed('inconsistent', 422, 0)],
    ['a size, and then nothing of use', () => [asSize(5), status(500)], failed('unexpected_status', 500, 5)],
    ['a size, and then something else', () => [asSize(5), new Response('OK\n')], failed('bad_cosignature', 200, 5)],
  ])('%s', async (_case, answers, outcome) => {
    expect((await ask(answers())).outcome).toEqual(outcome);
  });

  it.each([
    [SIZE - 1, 'old 6'],
    [SIZE, 'old 7'],
    // There is no proof from a larger size.
    [SIZE + 1, 'old 0'],
  ])('nothing new is asked from the size that it was remembered with: %i', async (remembered, line) => {
    expect((await ask([status(500)], remembered)).asked).toEqual([line]);
  });
});

describe('a cosignature', () => {
  const NOW_SECONDS = NOW / 1000;
  const SKEW_SECONDS = COSIGNATURE_MAX_SKEW_MS / 1000;
  it.each([
    ['of this moment', 0, true],
    ['as old as a clock may be wrong', -SKEW_SECONDS, true],
    ['older than that', -SKEW_SECONDS - 1, false],
    ['as early as a clock may be wrong', SKEW_SECONDS, true],
    ['earlier than that', SKEW_SECONDS + 1, false],
  ])('%s', async (_case, seconds, isTaken) => {
    const line = signatureLine(await cosign(body, NOW_SECONDS + seconds, witness));
    expect((await cosignatureOf(note, line, witness.verifier, NOW)) !== null).toBe(isTaken);
  });

  it('under another name is none, although the key id and the signature are right', async () => {
    const line = signatureLine({ ...(await cosign(body, NOW_SECONDS, witness)), name: 'other.example' });
    expect(await cosignatureOf(note, line, witness.verifier, NOW)).toBeNull();
  });
});
