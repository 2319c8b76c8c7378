import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { openWitness } from '../../local/witness/open.ts';
import { checkpointBody } from '../../src/tlog/checkpoint.ts';
import { leafHash } from '../../src/tlog/merkle.ts';
import {
  createSigner,
  isSignedBy,
  noteText,
  parseNote,
  parsePrivateKey,
  parseVerifier,
  privateKeyText,
  signNote,
  type Signer,
} from '../../src/tlog/note.ts';
import { submissionText } from '../../src/tlog/witnessing.ts';
import { freePorts } from '../e2e/service.ts';

// The witness that `npm start` runs beside the service: what it answers is told by test/trail/log/witness-protocol.test.ts, and what it keeps here.

const ORIGIN = 'countersign.localhost/trail';
const root = mkdtempSync(path.join(tmpdir(), 'countersign-witness-'));
afterAll(() => rmSync(root, { recursive: true }));

const TRAIL_KEY = await privateKeyText('log', ORIGIN, new Uint8Array(32).fill(1));

async function logSigner(): Promise<Signer> {
  const key = parsePrivateKey(TRAIL_KEY);
  if (key === null) throw new Error('A private key is not read as it was written.');
  return await createSigner(key);
}

/** Starts a witness over a state directory, asks it, and stops it. */
async function ask(stateDir: string, bodies: readonly (readonly [string, string])[]) {
  const { people: port } = await freePorts();
  const witness = await openWitness({ port, stateDir, trailKey: TRAIL_KEY });
  const [url = '', key = ''] = witness.setting.split(' ');
  expect(key).toBe(witness.verifierKey);
  try {
    const answers = [];
    for (const [place, body] of bodies) {
      // oxlint-disable-next-line no-await-in-loop -- each one changes what it has seen
      const response = await fetch(`${url}${place}`, { method: 'POST', body });
      // oxlint-disable-next-line no-await-in-loop -- as above
      answers.push({ status: response.status, text: await response.text() });
    }
    return { answers, key };
  } finally {
    await witness.close();
  }
}

async function noteOf(size: number, entry: string): Promise<string> {
  const body = checkpointBody({ origin: ORIGIN, size, root: leafHash(new TextEncoder().encode(entry)) });
  return noteText({ body, signatures: [await signNote(body, await logSigner())] });
}
const submission = (oldSize: number, checkpoint: string): readonly [string, string] => [
  '/add-checkpoint',
  submissionText({ oldSize, proof: [], checkpoint }),
];

it('a witness keeps its key and what it has seen across a restart', async () => {
  const stateDir = path.join(root, 'kept');
  const note = await noteOf(1, 'one');
  const first = await ask(stateDir, [submission(0, note)]);
  const verifier = parseVerifier(first.key);
  const cosigned = parseNote(`${note}${first.answers[0]?.text ?? ''}`);
  if (verifier === null || cosigned === null) throw new Error('The witness has no key, or signed nothing.');
  expect(await isSignedBy(cosigned, verifier)).toBe(true);
  expect(statSync(path.join(stateDir, 'witness-key')).mode & 0o777).toBe(0o600);

  const again = await ask(stateDir, [
    submission(0, note),
    submission(1, await noteOf(1, 'other')),
    submission(1, note),
  ]);
  expect(again.answers.map(({ status }) => status)).toEqual([409, 409, 200]);
  expect(again.answers[0]?.text).toBe('1\n');
  expect(again.key).toBe(first.key);
});

it('a witness refuses what is no call of the protocol', async () => {
  const { answers } = await ask(path.join(root, 'other'), [
    ['/', ''],
    ['/add-checkpoint', 'nothing'],
    ['/add-checkpoint', 'x'.repeat(70_000)],
  ]);
  expect(answers.map(({ status }) => status)).toEqual([404, 400, 413]);
});

it.each(['{', '{"log":{"size":-1,"root":""}}', '[]'])(
  'a witness does not take a damaged file for an empty one: %s',
  async (text) => {
    const stateDir = path.join(root, 'damaged');
    await ask(stateDir, [submission(0, await noteOf(1, 'one'))]);
    const file = path.join(stateDir, 'witness.json');
    expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({ [ORIGIN]: { size: 1 } });
    writeFileSync(file, text);
    await expect(ask(stateDir, [])).rejects.toThrow(`${file} is damaged.`);
    rmSync(file);
  },
);
