import { describe, expect, it } from 'vitest';
import { parseCheckpoint } from '../../src/tlog/checkpoint.ts';
import {
  consistencyProof,
  EMPTY_ROOT,
  grow,
  type Hash,
  inclusionProof,
  isConsistent,
  leafHash,
  nodeHash,
  rangeRoot,
  rootOf,
  rootOfInclusion,
} from '../../src/tlog/merkle.ts';
import {
  cosign,
  createSigner,
  isSignedBy,
  noteText,
  parseNote,
  parsePrivateKey,
  parseVerifier,
  privateKeyText,
  signNote,
  verifierText,
} from '../../src/tlog/note.ts';
import { parseReceipt, proveReceipt, receiptText } from '../../src/tlog/proof.ts';
import {
  bundleOf,
  entriesOfBundle,
  hashesOfTile,
  newTiles,
  nodesOfTiles,
  parseTilePath,
  TILE_WIDTH,
  tileOf,
  tilePath,
  tileRoot,
  tileWidth,
} from '../../src/tlog/tiles.ts';
import { checkpointBody } from '../../src/tlog/checkpoint.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const hex = (hash: Uint8Array): string => Buffer.from(hash).toString('hex');
const leavesOf = (count: number): readonly Hash[] =>
  Array.from({ length: count }, (_, index) => leafHash(bytes(`entry ${index}`)));

/** The root as RFC 6962 §2.1 defines it, by recursion over the leaves. */
function definedRoot(leaves: readonly Hash[]): Hash {
  const [first = EMPTY_ROOT] = leaves;
  if (leaves.length <= 1) return first;
  let split = 1;
  while (split * 2 < leaves.length) split *= 2;
  return nodeHash(definedRoot(leaves.slice(0, split)), definedRoot(leaves.slice(split)));
}

/** The tiles of a log, as a reader of the log finds them. */
function tilesOf(leaves: readonly Hash[]) {
  const files = new Map<string, Uint8Array>();
  const levels: (readonly Hash[])[] = [leaves];
  for (let level = 0; (levels[level]?.length ?? 0) >= TILE_WIDTH; level += 1) {
    const hashes = levels[level] ?? [];
    const whole = Math.floor(hashes.length / TILE_WIDTH);
    levels.push(
      Array.from({ length: whole }, (_, index) => tileRoot(hashes.slice(index * TILE_WIDTH, (index + 1) * TILE_WIDTH))),
    );
  }
  for (const { level, index, width } of newTiles(0, leaves.length)) {
    if (level === 'entries') continue;
    const hashes = (levels[level] ?? []).slice(index * TILE_WIDTH, index * TILE_WIDTH + width);
    files.set(tilePath({ level, index, width }), tileOf(hashes));
  }
  return {
    files,
    read: nodesOfTiles(async (level, index) => {
      const width = tileWidth(level, index, leaves.length);
      const file = files.get(tilePath({ level, index, width }));
      return await Promise.resolve(hashesOfTile(file ?? new Uint8Array(), width) ?? []);
    }),
  };
}

describe('the hashes of RFC 6962', () => {
  it.each([
    ['', '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d'],
    ['L123456', '395aa064aa4c29f7010acfe3f25db9485bbd4b91897b6ad7ad547639252b4d56'],
  ])('hash the leaf %j', (entry, expected) => {
    expect(hex(leafHash(bytes(entry)))).toBe(expected);
  });

  it('hash a node', () => {
    expect(hex(nodeHash(bytes('N123'), bytes('N456')))).toBe(
      'aa217fe888e47007fa15edab33c2b492a722cb106c64667fc2b044444de66bbb',
    );
  });

  it('grow a tree by any steps to the root that the RFC defines', () => {
    const leaves = leavesOf(70);
    for (let size = 0; size <= leaves.length; size += 1) {
      const root = hex(definedRoot(leaves.slice(0, size)));
      expect(hex(rootOf(grow([], 0, leaves.slice(0, size))))).toBe(root);
      const middle = Math.floor(size / 3);
      const edge = grow([], 0, leaves.slice(0, middle));
      expect(hex(rootOf(grow(edge, middle, leaves.slice(middle, size))))).toBe(root);
    }
  });
});

describe('tiles', () => {
  it('have the layout of tlog-tiles', () => {
    const paths = newTiles(0, 70_000).map(tilePath);
    expect(paths.filter((path) => /^tile\/0\/\d{3}$/.test(path))).toHaveLength(273);
    expect(paths).toContain('tile/0/273.p/112');
    expect(paths.filter((path) => path.startsWith('tile/1/'))).toEqual(['tile/1/000', 'tile/1/001.p/17']);
    expect(paths.filter((path) => path.startsWith('tile/2/'))).toEqual(['tile/2/000.p/1']);
    const bundles = paths.filter((path) => path.startsWith('tile/entries/'));
    expect([bundles.length, bundles.at(-1)]).toEqual([274, 'tile/entries/273.p/112']);
    expect(tilePath({ level: 1, index: 1_234_067, width: 256 })).toBe('tile/1/x001/x234/067');
  });

  it.each([
    'tile/0/0',
    'tile/0/000.p/0',
    'tile/0/000.p/256',
    'tile/0/000.p/01',
    'tile/0/x000/001',
    'tile/64/000',
    'tile/00/000',
    '/tile/0/000',
    'tile/0/000/',
    'tile/entries/1000',
    'tile/0/../000',
  ])('are not named by %s', (path) => {
    expect(parseTilePath(path)).toBeNull();
  });

  it('are named by one path each', () => {
    for (const tile of [...newTiles(0, 70_000), ...newTiles(300, 301), { level: 3, index: 1_234_067, width: 256 }])
      expect(parseTilePath(tilePath(tile))).toEqual(tile);
  });

  it('of a growth are those that the log had not before', () => {
    for (const [from, to] of [
      [0, 1],
      [255, 256],
      [256, 256],
      [256, 257],
      [10, 700],
      [65_535, 65_537],
    ] as const) {
      const before = new Set(newTiles(0, from).map(tilePath));
      const after = newTiles(0, to).map(tilePath);
      expect(newTiles(from, to).map(tilePath).toSorted()).toEqual(after.filter((path) => !before.has(path)).toSorted());
    }
  });

  it('give back the entries of a bundle, and nothing where bytes are missing or too many', () => {
    const entries = [bytes(''), bytes('a'), new Uint8Array(65_535).fill(7)];
    const bundle = bundleOf(entries);
    expect(entriesOfBundle(bundle, 3)).toEqual(entries);
    expect(entriesOfBundle(bundle, 2)).toBeNull();
    expect(entriesOfBundle(bundle, 4)).toBeNull();
    expect(entriesOfBundle(bundle.slice(0, -1), 3)).toBeNull();
  });
});

describe('proofs', () => {
  it('of inclusion and consistency lead to the roots, by tiles, and to no other', async () => {
    const all = leavesOf(700);
    for (const size of [1, 2, 3, 7, 8, 255, 256, 257, 700]) {
      const leaves = all.slice(0, size);
      const { read } = tilesOf(leaves);
      const root = definedRoot(leaves);
      expect(hex(await rangeRoot(0, size, read))).toBe(hex(root));
      for (const index of [0, 1, 127, 255, 256, size - 1].filter((one) => one < size)) {
        const leaf = all[index] ?? EMPTY_ROOT;
        const proof = await inclusionProof(index, size, read);
        expect(hex(rootOfInclusion(leaf, index, size, proof) ?? EMPTY_ROOT)).toBe(hex(root));
        expect(rootOfInclusion(leaf, index, size, [...proof, root])).toBeNull();
        const shorter = proof.length === 0 ? null : rootOfInclusion(leaf, index, size, proof.slice(1));
        expect(shorter).not.toEqual(root);
        expect(rootOfInclusion(leaf, size, size, proof)).toBeNull();
      }
      for (const old of [0, 1, 2, 3, 4, 128, 255, 256, 257, size].filter((one) => one <= size)) {
        const oldRoot = definedRoot(all.slice(0, old));
        const proof = await consistencyProof(old, size, read);
        expect(isConsistent(old, oldRoot, size, root, proof)).toBe(true);
        expect(isConsistent(old, oldRoot, size, root, [...proof, root])).toBe(false);
        const other = leafHash(bytes('another'));
        expect(isConsistent(old, other, size, root, proof)).toBe(false);
        // Nothing can be said of a tree that began without leaves.
        expect(isConsistent(old, oldRoot, size, other, proof)).toBe(old === 0);
      }
    }
  });
});

describe('notes', () => {
  // The keys and the note of golang.org/x/mod/sumdb/note.
  const NAME = 'PeterNeumann';
  const PUBLIC = 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW';
  const PRIVATE = 'PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz';
  const BODY =
    'If you think cryptography is the answer to your problem,\nthen you don’t know what your problem is.\n'.replace(
      '’',
      "'",
    );
  const NOTE = `${BODY}\n— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n`;

  it('of Go are accepted, and made alike', async () => {
    const verifier = parseVerifier(PUBLIC);
    const note = parseNote(NOTE);
    if (verifier === null || note === null) throw new Error('the vectors are not read');
    expect(verifierText(verifier)).toBe(PUBLIC);
    expect(await isSignedBy(note, verifier)).toBe(true);
    expect(await isSignedBy({ ...note, body: note.body.replace('answer', 'anwser') }, verifier)).toBe(false);
    const key = parsePrivateKey(PRIVATE);
    if (key === null) throw new Error('the key is not read');
    expect(await privateKeyText('log', NAME, key.seed)).toBe(PRIVATE);
    const signer = await createSigner(key);
    expect(verifierText(signer.verifier)).toBe(PUBLIC);
    expect(noteText({ body: BODY, signatures: [await signNote(BODY, signer)] })).toBe(NOTE);
  });

  it('carry cosignatures, which tell when the witness saw the checkpoint', async () => {
    const signer = await createSigner({
      kind: 'witness',
      name: 'witness.example',
      keyId: '',
      seed: new Uint8Array(32),
    });
    const body = checkpointBody({ origin: 'log.example', size: 3, root: EMPTY_ROOT });
    const note = { body, signatures: [await cosign(body, 1_796_000_000, signer)] };
    expect(await isSignedBy(parseNote(noteText(note)) ?? note, signer.verifier)).toBe(true);
    const later = { body, signatures: note.signatures.map((line) => ({ ...line, payload: line.payload.with(7, 9) })) };
    expect(await isSignedBy(later, signer.verifier)).toBe(false);
  });
});

it('a receipt proves its entry by the public key alone, and nothing once any part of it is changed', async () => {
  const signer = await createSigner({ kind: 'log', name: 'log.example', keyId: '', seed: new Uint8Array(32).fill(1) });
  const entries = Array.from({ length: 300 }, (_, index) => bytes(`entry ${index}`));
  const leaves = entries.map(leafHash);
  const body = checkpointBody({ origin: 'log.example', size: 300, root: definedRoot(leaves) });
  const checkpoint = noteText({ body, signatures: [await signNote(body, signer)] });
  const { read } = tilesOf(leaves);
  const text = receiptText({
    entry: entries[280] ?? bytes(''),
    index: 280,
    proof: await inclusionProof(280, 300, read),
    checkpoint,
  });
  const receipt = parseReceipt(text);
  if (receipt === null) throw new Error('the receipt is not read');
  expect(receiptText(receipt)).toBe(text);
  expect((await proveReceipt(receipt, signer.verifier))?.checkpoint.size).toBe(300);
  expect(parseCheckpoint(receipt.checkpoint)?.checkpoint.origin).toBe('log.example');
  const other = await createSigner({ kind: 'log', name: 'log.example', keyId: '', seed: new Uint8Array(32).fill(2) });
  for (const changed of [
    { ...receipt, entry: bytes('entry 281') },
    { ...receipt, index: 281 },
    { ...receipt, proof: receipt.proof.slice(1) },
    { ...receipt, checkpoint: receipt.checkpoint.replace('300', '301') },
  ])
    expect(await proveReceipt(changed, signer.verifier)).toBeNull();
  expect(await proveReceipt(receipt, other.verifier)).toBeNull();
});
