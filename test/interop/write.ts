import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { judge } from '../../commands/verify/judge/judge.ts';
import { keepingTiles } from '../../commands/verify/tile-tree.ts';
import { readTrailSecrets } from '../../src/config/trail-log.ts';
import { parseCheckpoint } from '../../src/tlog/checkpoint.ts';
import { consistencyProof, inclusionProof, type Hash } from '../../src/tlog/merkle.ts';
import {
  cosign,
  createSigner,
  noteText,
  privateKeyText,
  signatureLine,
  type Signer,
  signNote,
  verifierText,
} from '../../src/tlog/note.ts';
import { receiptText } from '../../src/tlog/proof.ts';
import { hashesOfTile, nodesOfTiles, tilePath, tileWidth } from '../../src/tlog/tiles.ts';
import {
  AFTER_MS,
  entriesOf,
  exportOf,
  NAME,
  noteOf,
  putLog,
  rowsOf,
  SEED,
  signerOf,
  type SmallLog,
  sourceOf,
} from '../commands/verify/small-log.ts';

// Writes a log for `main.go` to check: by the code that seals, signs, proves and exports.

/** As many events as have 70,000 entries: three levels of tiles, and a partial tile on each. */
const EVENTS = 63_637;
const SIZE = 70_000;
/** A size that was signed before, within a tile. */
const OLD_SIZE = 41_237;
const INDICES = [0, 1, 255, 256, 41_236, 41_237, 65_535, 65_536, 69_887, 69_888, 69_999];
const OLD_SIZES = [1, 2, 255, 256, 257, OLD_SIZE, 65_535, 65_536, 65_537, 69_888, 69_999];

/** A key that Go has made. */
export interface GoKey {
  readonly private: string;
  readonly verifier: string;
}

/**
 * Writes the log into a folder that is empty.
 *
 * @throws if `verify` does not find it good, or a TRAIL_KEY is not read.
 */
export async function writeLog(folder: string, goKey: GoKey): Promise<void> {
  const privateKey = await privateKeyText('log', NAME, new Uint8Array(32).fill(SEED));
  const signer = await signerOfSetting(privateKey);
  const witness = await createSigner({
    kind: 'witness',
    name: 'witness.example',
    keyId: '',
    seed: new Uint8Array(32).fill(9),
  });

  const rows = rowsOf(1, EVENTS);
  const entries = entriesOf(rows);
  if (entries.length !== SIZE) throw new Error(`The log has ${entries.length} entries.`);
  const log: SmallLog = { list: { logs: [] }, files: new Map(), lines: exportOf(rows) };
  const signed = await putLog(log, 1, entries, [signer]);
  const seen = await cosign(bodyOf(signed), Math.floor(AFTER_MS / 1000), witness);
  const checkpoint = signed + signatureLine(seen);
  log.files.set('1/checkpoint', new TextEncoder().encode(checkpoint));

  // As `verify --export-tlog` does.
  const judged = await judge(keepingTiles(sourceOf(log), folder), {
    pins: [signer.verifier],
    known: [],
    witnesses: [witness.verifier],
    quorum: 1,
    nowMs: Date.now(),
    isLatest: true,
    isLive: false,
    progress: () => {},
  });
  const wrong = Object.entries(judged.verdicts).filter(([, verdict]) => verdict.judgement !== 'good');
  if (wrong.length > 0) throw new Error(`verify does not find the log good: ${JSON.stringify(wrong)}`);

  const write = (name: string, text: string): void => writeFileSync(path.join(folder, name), text);
  write('old-checkpoint', await noteOf(NAME, entries.slice(0, OLD_SIZE), [signer]));
  const goSigner = await signerOfSetting(goKey.private);
  if (verifierText(goSigner.verifier) !== goKey.verifier)
    throw new Error('The verifier key of a key of Go is another.');
  const body = bodyOf(signed);
  write('by-go-key', noteText({ body, signatures: [await signNote(body, goSigner)] }));

  const read = nodesOfTiles(async (level, index) => await Promise.resolve(hashesAt(log, level, index)));
  const inclusion = [];
  mkdirSync(path.join(folder, 'receipts'));
  for (const index of INDICES) {
    const proof = await inclusionProof(index, SIZE, read);
    inclusion.push({ index, proof: proof.map(base64) });
    const entry = entries[index] ?? new Uint8Array();
    write(`receipts/${index}.tlog-proof`, receiptText({ entry, index, proof, checkpoint }));
  }
  const consistency = [];
  for (const oldSize of OLD_SIZES) {
    consistency.push({ oldSize, proof: (await consistencyProof(oldSize, SIZE, read)).map(base64) });
  }
  const facts = {
    key: verifierText(signer.verifier),
    other: verifierText((await signerOf(SEED + 1)).verifier),
    witness: verifierText(witness.verifier),
    private: privateKey,
    goKey: goKey.verifier,
    oldSize: OLD_SIZE,
    size: SIZE,
    inclusion,
    consistency,
    receipts: INDICES.map((index) => `receipts/${index}.tlog-proof`),
  };
  write('facts.json', JSON.stringify(facts));
}

/** The signer of a TRAIL_KEY, read as the Worker reads it. */
async function signerOfSetting(text: string): Promise<Signer> {
  const secrets = readTrailSecrets({ TRAIL_KEY: text });
  const key = secrets.ok ? secrets.value.trailLog?.key : undefined;
  if (key === undefined) throw new Error('A TRAIL_KEY is not read.');
  return await createSigner(key);
}

function bodyOf(text: string): string {
  const parsed = parseCheckpoint(text);
  if (parsed === null) throw new Error('A checkpoint is not read.');
  return parsed.note.body;
}

function hashesAt({ files }: SmallLog, level: number, index: number): readonly Hash[] {
  const width = tileWidth(level, index, SIZE);
  const hashes = hashesOfTile(files.get(`1/${tilePath({ level, index, width })}`) ?? new Uint8Array(), width);
  if (hashes === null) throw new Error(`There is no tile ${index} of level ${level}.`);
  return hashes;
}

const base64 = (hash: Hash): string => Buffer.from(hash).toString('base64');
