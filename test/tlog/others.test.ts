import { describe, expect, it } from 'vitest';
import { decodePaddedBase64 } from '../../src/kit/bytes.ts';
import { parseCheckpoint } from '../../src/tlog/checkpoint.ts';
import {
  consistencyProof,
  grow,
  type Hash,
  isConsistent,
  leafHash,
  rootOf,
  rootOfInclusion,
  sameHash,
} from '../../src/tlog/merkle.ts';
import { isSignedBy, parseVerifier } from '../../src/tlog/note.ts';
import { entriesOfBundle, nodesOfTiles, tileOf } from '../../src/tlog/tiles.ts';
import consistency from './vectors/consistency.json';
import inclusion from './vectors/inclusion.json';
import tessera from './vectors/tessera.json';

// What others test their transparency logs with: vectors/README.md says where it is from.

const bytesOf = (base64: string): Uint8Array => decodePaddedBase64(base64) ?? new Uint8Array();
const proofOf = (proof: readonly string[] | null): readonly Hash[] => (proof ?? []).map(bytesOf);

describe('the cases of transparency-dev/merkle', () => {
  it('of inclusion are told apart', () => {
    const judged = inclusion.map((one) => {
      const root = rootOfInclusion(bytesOf(one.leafHash), one.leafIdx, one.treeSize, proofOf(one.proof));
      return { file: one.file, wantErr: root === null || !sameHash(root, bytesOf(one.root)) };
    });
    expect(judged).toHaveLength(98);
    expect(judged).toEqual(inclusion.map(({ file, wantErr }) => ({ file, wantErr })));
  });

  it('of consistency are told apart', () => {
    const judged = consistency.map((one) => ({
      file: one.file,
      wantErr: !isConsistent(one.size1, bytesOf(one.root1), one.size2, bytesOf(one.root2), proofOf(one.proof)),
    }));
    expect(judged).toHaveLength(98);
    expect(judged).toEqual(consistency.map(({ file, wantErr }) => ({ file, wantErr })));
  });
});

describe('the log of tessera', () => {
  const SIZE = 15;
  const entries = entriesOfBundle(bytesOf(tessera.files['tile/entries/000.p/15']), SIZE) ?? [];
  const leaves = entries.map(leafHash);

  it('has the hash tile that its entries give', () => {
    expect(Buffer.from(tileOf(leaves)).toString('base64')).toBe(tessera.files['tile/0/000.p/15']);
  });

  it('has at each size the root that its key signed, and begins with the log of each size before', async () => {
    const verifier = parseVerifier(tessera.key);
    if (verifier === null) throw new Error('The key is not read.');
    expect(tessera.checkpoints).toHaveLength(SIZE + 1);
    const roots: Hash[] = [];
    for (const [size, text] of tessera.checkpoints.entries()) {
      const parsed = parseCheckpoint(text);
      if (parsed === null) throw new Error(`The checkpoint at ${size} is not read.`);
      const { note, checkpoint } = parsed;
      expect(await isSignedBy(note, verifier)).toBe(true);
      expect(checkpoint).toEqual({ origin: verifier.name, size, root: rootOf(grow([], 0, leaves.slice(0, size))) });
      roots.push(checkpoint.root);
    }
    const read = nodesOfTiles(async () => await Promise.resolve(leaves));
    for (const [size, root] of roots.entries()) {
      const proof = await consistencyProof(size, SIZE, read);
      expect(isConsistent(size, root, SIZE, roots[SIZE] ?? root, proof)).toBe(true);
    }
  });
});
