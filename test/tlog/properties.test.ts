import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { checkpointBody, parseCheckpoint, parseCheckpointBody } from '../../src/tlog/checkpoint.ts';
import {
  consistencyProof,
  grow,
  type Hash,
  inclusionProof,
  isConsistent,
  leafHash,
  rangeRoot,
  rootOf,
  rootOfInclusion,
  sameHash,
} from '../../src/tlog/merkle.ts';
import {
  type Note,
  noteText,
  parseNote,
  parsePrivateKey,
  parseSignatureLine,
  parseVerifier,
  verifierOf,
  verifierText,
} from '../../src/tlog/note.ts';
import { parseReceipt, receiptText } from '../../src/tlog/proof.ts';
import {
  bundleOf,
  entriesOfBundle,
  nodesOfTiles,
  parseTilePath,
  TILE_WIDTH,
  tilePath,
  tileRoot,
} from '../../src/tlog/tiles.ts';
import { parseSize, parseSubmission, submissionText } from '../../src/tlog/witnessing.ts';

const MAX_SIZE = 600;
const LEAVES = Array.from({ length: MAX_SIZE }, (_, index) => leafHash(Uint8Array.of(index >> 8, index & 0xff)));
const rootAt = (size: number): Hash => rootOf(grow([], 0, LEAVES.slice(0, size)));
/** The roots of the whole tiles, which stand in the level above them. */
const WHOLE = [0, 1].map((index) => tileRoot(LEAVES.slice(index * TILE_WIDTH, (index + 1) * TILE_WIDTH)));
const read = nodesOfTiles(async (level, index) => {
  const hashes = level === 0 ? LEAVES : WHOLE;
  return await Promise.resolve(hashes.slice(index * TILE_WIDTH, (index + 1) * TILE_WIDTH));
});

const size = fc.integer({ min: 1, max: MAX_SIZE });
const flip = fc.record({ step: fc.nat(), byte: fc.nat({ max: 31 }), bit: fc.nat({ max: 7 }) });
type Flip = Readonly<{ step: number; byte: number; bit: number }>;

/** The hashes with one bit flipped. */
const flipped = (hashes: readonly Hash[], { step, byte, bit }: Flip): readonly Hash[] =>
  hashes.map((hash, place) =>
    place === step % hashes.length ? hash.with(byte, (hash[byte] ?? 0) ^ (1 << bit)) : hash,
  );

const RUNS = { numRuns: 25 };

it('a proof of inclusion leads to the root of its size, and with a bit flipped to none', async () => {
  await fc.assert(
    fc.asyncProperty(size, fc.nat(), flip, async (count, any, one) => {
      const index = any % count;
      const leaf = LEAVES[index] ?? new Uint8Array();
      const proof = await inclusionProof(index, count, read);
      const root = await rangeRoot(0, count, read);
      expect(root).toEqual(rootAt(count));
      expect(rootOfInclusion(leaf, index, count, proof)).toEqual(root);
      const [other = leaf, ...rest] = flipped([leaf, ...proof], one);
      expect(rootOfInclusion(other, index, count, rest)).not.toEqual(root);
      const shorter = proof.map((hash) => hash.slice(0, one.byte));
      expect(rootOfInclusion(leaf, index, count, shorter)).toEqual(proof.length === 0 ? root : null);
    }),
    RUNS,
  );
});

it('a proof of consistency is one of its two sizes and roots, and with a bit flipped of none', async () => {
  await fc.assert(
    fc.asyncProperty(size, size, flip, async (one, other, bit) => {
      const [old, count] = [Math.min(one, other), Math.max(one, other)];
      const proof = await consistencyProof(old, count, read);
      expect(isConsistent(old, rootAt(old), count, rootAt(count), proof)).toBe(true);
      const [oldRoot = new Uint8Array(), root = oldRoot, ...rest] = flipped(
        [rootAt(old), rootAt(count), ...proof],
        bit,
      );
      expect(isConsistent(old, oldRoot, count, root, rest)).toBe(false);
      expect(isConsistent(old, rootAt(old), count, rootAt(old), proof)).toBe(old === count);
    }),
    RUNS,
  );
});

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const name = fc.stringMatching(/^[a-z0-9./-]{1,40}$/);
const body = fc.string({ unit: 'grapheme' }).map((text) => `${text}\n`);
const checkpoint = fc
  .record({ origin: name, size: fc.nat({ max: Number.MAX_SAFE_INTEGER }), root: bytes(32) })
  .map((one) => ({ ...one, text: checkpointBody(one) }));
const note = fc.record({
  body,
  signatures: fc.array(
    fc.record({
      name,
      keyId: bytes(4).map((id) => Buffer.from(id).toString('hex')),
      payload: fc.uint8Array({ minLength: 1, maxLength: 72 }),
    }),
    { minLength: 1, maxLength: 3 },
  ),
});
const proof = fc.array(bytes(32), { maxLength: 20 });
const tile = fc.record({
  level: fc.oneof(fc.constant('entries' as const), fc.nat({ max: 63 })),
  index: fc.nat({ max: 999_999_999_999 }),
  width: fc.integer({ min: 1, max: TILE_WIDTH }),
});

it('what is written is read as what it was', () => {
  fc.assert(
    fc.property(note, checkpoint, proof, tile, bytes(32), (one, signed, hashes, file, publicKey) => {
      expect(parseNote(noteText(one))).toEqual(one);
      const { text: signedBody, ...rest } = signed;
      expect(parseCheckpointBody(signedBody)).toEqual(rest);
      const cosigned: Note = { body: signedBody, signatures: one.signatures };
      expect(parseCheckpoint(noteText(cosigned))).toEqual({ note: cosigned, checkpoint: rest });
      const receipt = { entry: publicKey, index: signed.size, proof: hashes, checkpoint: noteText(cosigned) };
      expect(parseReceipt(receiptText(receipt))).toEqual(receipt);
      const submission = { oldSize: signed.size, proof: hashes, checkpoint: noteText(cosigned) };
      expect(parseSubmission(submissionText(submission))).toEqual(submission);
      expect(parseTilePath(tilePath(file))).toEqual(file);
      expect(entriesOfBundle(bundleOf(hashes), hashes.length)).toEqual(hashes);
      const verifier = verifierOf('log', signed.origin, publicKey);
      expect(parseVerifier(verifierText(verifier))).toEqual(verifier);
    }),
    RUNS,
  );
});

const READERS = [
  parseNote,
  parseSignatureLine,
  parseVerifier,
  parsePrivateKey,
  parseCheckpointBody,
  parseCheckpoint,
  parseReceipt,
  parseSubmission,
  parseSize,
  parseTilePath,
] as const;

/** Any text, and texts that begin like one of ours and are cut or changed somewhere. */
const text = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc
    .tuple(
      fc.oneof(
        note.map(noteText),
        checkpoint.map(({ text: signed }) => `${signed}\n— a AAAA\n`),
        fc.constant('c2sp.org/tlog-proof@v1\nextra AA==\nindex 9007199254740991\n\nlog.example\n4\n'),
        fc.constant('old 5\n\nlog.example\n4\n'),
        tile.map(tilePath),
      ),
      fc.nat(),
      fc.string({ maxLength: 3 }),
      fc.nat({ max: 3 }),
    )
    .map(([whole, at, put, gone]) => {
      const place = at % (whole.length + 1);
      return whole.slice(0, place) + put + whole.slice(place + gone);
    }),
);

it('no reader throws at any text, and what one reads is written so that it is read alike', () => {
  fc.assert(
    fc.property(text, (any) => {
      for (const reader of READERS) expect(() => reader(any)).not.toThrow();
      const [asNote, receipt, path] = [parseNote(any), parseReceipt(any), parseTilePath(any)];
      expect(asNote === null ? null : parseNote(noteText(asNote))).toEqual(asNote);
      expect(receipt === null ? null : parseReceipt(receiptText(receipt))).toEqual(receipt);
      // A second spelling of a path would be a second file.
      expect(path === null ? any : tilePath(path)).toBe(any);
    }),
    { numRuns: 150 },
  );
});

it('a bundle is read from its own bytes alone', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), fc.nat({ max: 4 }), (any, width) => {
      const entries = entriesOfBundle(any, width);
      expect(entries === null || sameHash(bundleOf(entries), any)).toBe(true);
    }),
    { numRuns: 200 },
  );
});
