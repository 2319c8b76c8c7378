import { checkpointBody } from '../../../src/tlog/checkpoint.ts';
import { grow, type Hash, leafHash, rootOf } from '../../../src/tlog/merkle.ts';
import {
  createSigner,
  noteText,
  parsePrivateKey,
  privateKeyText,
  signNote,
  type Signer,
} from '../../../src/tlog/note.ts';
import { newTiles, TILE_WIDTH, tileOf, tilePath } from '../../../src/tlog/tiles.ts';

// A log in memory, made from the formats alone: what the code under test reads files of, and what it is compared with.

export const ORIGIN = 'log.example/trail';

/** A signer with a key that a seed of these bytes gives. */
export async function signerOf(kind: 'log' | 'witness', name: string, byte: number): Promise<Signer> {
  const key = parsePrivateKey(await privateKeyText(kind, name, new Uint8Array(32).fill(byte)));
  if (key === null) throw new Error('A private key is not read as it was written.');
  return await createSigner(key);
}

export interface SmallLog {
  readonly signer: Signer;
  /** The signed checkpoint of a size. */
  readonly noteAt: (size: number, signer?: Signer) => Promise<string>;
  readonly rootAt: (size: number) => Hash;
  /** Every file of the log at the sizes that it was published at, under `<number>/<path>`. */
  readonly files: Map<string, Uint8Array>;
}

/**
 * Makes a log of as many entries as the last size has.
 *
 * @param sizes the sizes at which it was published, in their order.
 * @param from entries from this one on are other ones than those of any other log.
 */
export async function smallLog(
  sizes: readonly number[],
  { number = 1, from = Infinity, name = 'other' } = {},
): Promise<SmallLog> {
  const signer = await signerOf('log', ORIGIN, 1);
  const entry = (index: number): string => (index < from ? `entry ${index}` : `${name} ${index}`);
  const leaves = Array.from({ length: sizes.at(-1) ?? 0 }, (_, index) =>
    leafHash(new TextEncoder().encode(entry(index))),
  );
  const files = new Map<string, Uint8Array>();
  const hashesOf = (level: number, begin: number, width: number): readonly Hash[] =>
    Array.from({ length: width }, (_, offset) => {
      const span = TILE_WIDTH ** level;
      return rootOf(grow([], 0, leaves.slice((begin + offset) * span, (begin + offset + 1) * span)));
    });
  let old = 0;
  for (const size of sizes) {
    for (const tile of newTiles(old, size)) {
      if (tile.level === 'entries') continue;
      const hashes = hashesOf(tile.level, tile.index * TILE_WIDTH, tile.width);
      files.set(`${number}/${tilePath(tile)}`, tileOf(hashes));
    }
    old = size;
  }
  const rootAt = (size: number): Hash => rootOf(grow([], 0, leaves.slice(0, size)));
  return {
    signer,
    files,
    rootAt,
    noteAt: async (size, by = signer) => {
      const body = checkpointBody({ origin: by.verifier.name, size, root: rootAt(size) });
      return noteText({ body, signatures: [await signNote(body, by)] });
    },
  };
}
