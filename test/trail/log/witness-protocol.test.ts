import { describe, expect, it } from 'vitest';
import { createWitness, type Seen, type WitnessAnswer } from '../../../local/witness/witness.ts';
import { consistencyProof } from '../../../src/tlog/merkle.ts';
import { isSignedBy, parseNote, verifierOf } from '../../../src/tlog/note.ts';
import { hashesOfTile, nodesOfTiles, tilePath, tileWidth } from '../../../src/tlog/tiles.ts';
import { parseSize, parseSubmission, submissionText } from '../../../src/tlog/witnessing.ts';
import { ORIGIN, signerOf, smallLog, type SmallLog } from './small-log.ts';

// The small witness of `local/witness`, held against C2SP tlog-witness.

const NOW = 1_800_000_000_000;

/** The proof from the files of a log. There is none backwards. */
const proofOf = async (log: SmallLog, old: number, size: number) =>
  await consistencyProof(
    Math.min(old, size),
    size,
    nodesOfTiles(async (level, index) => {
      const width = tileWidth(level, index, size);
      const bytes = log.files.get(`1/${tilePath({ level, index, width })}`) ?? new Uint8Array();
      return await Promise.resolve(hashesOfTile(bytes, width) ?? []);
    }),
  );

async function setUp() {
  const log = await smallLog([3, 7, 300]);
  const signer = await signerOf('witness', 'witness.example/w', 9);
  const seen = new Map<string, Seen>();
  const kept: number[] = [];
  const witness = createWitness({
    signer,
    logs: [log.signer.verifier],
    seen,
    persist: () => void kept.push(seen.get(ORIGIN)?.size ?? -1),
    now: () => NOW,
  });
  const submit = async (old: number, size: number, other: SmallLog = log): Promise<WitnessAnswer> =>
    await witness(
      submissionText({
        oldSize: old,
        proof: await proofOf(other, old, size),
        checkpoint: await other.noteAt(size),
      }),
    );
  return { log, signer, witness, submit, seen, kept };
}

describe('a witness', () => {
  it('cosigns a log that begins with all that it has seen of it, after it has kept what it signs', async () => {
    const { log, signer, submit, kept } = await setUp();
    for (const [old, size] of [
      [0, 3],
      [3, 3],
      [3, 7],
      [7, 300],
    ] as const) {
      const answer = await submit(old, size);
      expect(answer.status, `${old} to ${size}`).toBe(200);
      const note = parseNote(`${await log.noteAt(size)}${answer.body}`);
      expect(note !== null && (await isSignedBy(note, signer.verifier))).toBe(true);
    }
    expect(kept).toEqual([3, 3, 7, 300]);
  });

  it('does not sign what it cannot keep', async () => {
    const { log, signer } = await setUp();
    const full = createWitness({
      signer,
      logs: [log.signer.verifier],
      seen: new Map(),
      persist: () => {
        throw new Error('The disk is full.');
      },
      now: () => NOW,
    });
    const body = submissionText({ oldSize: 0, proof: [], checkpoint: await log.noteAt(3) });
    await expect(full(body)).rejects.toThrow('The disk is full.');
  });

  it.each<[string, number, number, number]>([
    ['an old size below what it has', 0, 300, 409],
    ['an old size above what it has', 300, 300, 409],
    ['an old size above the checkpoint', 7, 3, 400],
  ])('refuses %s', async (_, old, size, status) => {
    const { submit } = await setUp();
    await submit(0, 7);
    const answer = await submit(old, size);
    expect(answer.status).toBe(status);
    expect(answer.contentType === 'text/x.tlog.size' ? answer.body : null).toBe(status === 409 ? '7\n' : null);
  });

  it('refuses another log of the same name: of the same size, and beyond it', async () => {
    const { submit, seen } = await setUp();
    await submit(0, 7);
    const other = await smallLog([7, 300], { from: 5 });
    expect((await submit(7, 7, other)).status).toBe(409);
    expect((await submit(7, 300, other)).status).toBe(422);
    expect(seen.get(ORIGIN)?.size).toBe(7);
  });

  it.each<[string, (proof: readonly Uint8Array[]) => readonly Uint8Array[]]>([
    ['without its last hash', (proof) => proof.slice(0, -1)],
    ['with another hash', ([, ...rest]) => [new Uint8Array(32), ...rest]],
    ['with one hash more', (proof) => [...proof, new Uint8Array(32)]],
  ])('refuses a proof %s', async (_, change) => {
    const { witness, submit, log } = await setUp();
    await submit(0, 7);
    const proof = change(await proofOf(log, 7, 300));
    const answer = await witness(submissionText({ oldSize: 7, proof, checkpoint: await log.noteAt(300) }));
    expect(answer.status).toBe(422);
  });

  it('wants no proof of a log that it has never seen', async () => {
    const { witness, log } = await setUp();
    const body = submissionText({ oldSize: 0, proof: [new Uint8Array(32)], checkpoint: await log.noteAt(7) });
    expect((await witness(body)).status).toBe(422);
  });

  it('knows a log by its name, and what signs for it by its key', async () => {
    const { witness, log } = await setUp();
    const of = async (note: string): Promise<number> =>
      (await witness(submissionText({ oldSize: 0, proof: [], checkpoint: note }))).status;
    expect(await of(await log.noteAt(3, await signerOf('log', 'other.example', 1)))).toBe(404);
    expect(await of(await log.noteAt(3, await signerOf('log', ORIGIN, 2)))).toBe(403);
    expect(await of((await log.noteAt(3)).replace('\n3\n', '\n4\n'))).toBe(403);
    expect(await of((await log.noteAt(3)).replace(/\n\n[^]*/, '\n\n'))).toBe(400);
  });

  it('knows the logs that follow one, under its key', async () => {
    const { witness, log } = await setUp();
    const of = async (origin: string, byte: number): Promise<number> =>
      await witness(
        submissionText({ oldSize: 0, proof: [], checkpoint: await log.noteAt(3, await signerOf('log', origin, byte)) }),
      ).then(({ status }) => status);
    expect(await of(`${ORIGIN}/2`, 1)).toBe(200);
    expect(await of(`${ORIGIN}/2`, 2)).toBe(403);
    expect(await of(`${ORIGIN}/two`, 1)).toBe(404);
    expect(await of(`${ORIGIN}/02`, 1)).toBe(404);
    expect(verifierOf('log', `${ORIGIN}/2`, log.signer.verifier.publicKey).keyId).not.toBe(log.signer.verifier.keyId);
  });

  it('lets of two requests at once only the one that comes first advance it', async () => {
    const { submit, seen } = await setUp();
    await submit(0, 3);
    const answers = await Promise.all([submit(3, 300), submit(3, 7)]);
    expect(answers.map(({ status }) => status)).toEqual(expect.arrayContaining([200, 409]));
    expect([7, 300]).toContain(seen.get(ORIGIN)?.size);
  });
});

describe('the body of add-checkpoint', () => {
  it('is read as it was written', async () => {
    const log = await smallLog([3, 7]);
    const submission = { oldSize: 3, proof: await proofOf(log, 3, 7), checkpoint: await log.noteAt(7) };
    expect(parseSubmission(submissionText(submission))).toEqual(submission);
    expect(submissionText({ ...submission, proof: [] })).toBe(`old 3\n\n${submission.checkpoint}`);
  });

  const hash = Buffer.from(new Uint8Array(32)).toString('base64');
  it.each<[string, string]>([
    ['has no empty line', 'old 3\n'],
    ['has no old size', '\nlog'],
    ['has a size with a leading zero', 'old 03\n\nlog'],
    ['has a negative size', 'old -3\n\nlog'],
    ['has a hash of another length', 'old 3\nAAAA\n\nlog'],
    ['has a hash that is no base64', `old 3\n${hash.replace('A', '!')}\n\nlog`],
    ['has 64 hashes', `old 3\n${`${hash}\n`.repeat(64)}\nlog`],
  ])('is none that %s', (_, text) => {
    expect(parseSubmission(text)).toBeNull();
  });

  it.each<[string, number | null]>([
    ['7\n', 7],
    ['7', 7],
    ['0\n', 0],
    ['07\n', null],
    ['7\n\n', null],
    ['', null],
    ['1e3', null],
    ['9007199254740993', null],
  ])('a size of %j is %j', (text, size) => {
    expect(parseSize(text)).toBe(size);
  });
});
