import { checkpointBody } from '../../../src/tlog/checkpoint.ts';
import { type Edge, grow, type Hash, leafHash, rootOf } from '../../../src/tlog/merkle.ts';
import {
  createSigner,
  noteText,
  parsePrivateKey,
  type PrivateKey,
  privateKeyText,
  signNote,
} from '../../../src/tlog/note.ts';
import { bundleOf, newTiles, TILE_WIDTH, tileOf, tilePath, tileRoot } from '../../../src/tlog/tiles.ts';

// Logs as sealing makes them, file by file, for tests of what is known beyond D1.

export const NAME = 'log.example/trail';
const keyOf = async (byte: number): Promise<string> => await privateKeyText('log', NAME, new Uint8Array(32).fill(byte));
/** A key of tests, and another one of the same name. */
export const TRAIL_KEY = await keyOf(7);
export const OTHER_TRAIL_KEY = await keyOf(8);

export function readKey(text: string): PrivateKey {
  const key = parsePrivateKey(text);
  if (key === null) throw new Error('no key');
  return key;
}

/** The signed checkpoint of the log of these entries. */
export async function signedCheckpoint(
  origin: string,
  entries: readonly Uint8Array[],
  keyText: string = TRAIL_KEY,
): Promise<string> {
  const signer = await createSigner(readKey(keyText), origin);
  const body = checkpointBody({ origin, size: entries.length, root: rootOf(edgeOf(entries)) });
  return noteText({ body, signatures: [await signNote(body, signer)] });
}

export const edgeOf = (entries: readonly Uint8Array[]): Edge => grow([], 0, entries.map(leafHash));

/** The files of a log after it was published at each of these sizes. */
export async function filesOfLog(
  number: number,
  origin: string,
  entries: readonly Uint8Array[],
  sizes: readonly number[] = [entries.length],
  keyText: string = TRAIL_KEY,
): Promise<Map<string, Uint8Array>> {
  const files = new Map<string, Uint8Array>();
  let published = 0;
  for (const size of sizes) {
    for (const [path, bytes] of tilesBetween(published, entries.slice(0, size))) files.set(`${number}/${path}`, bytes);
    // One at a time: they are few.
    const note = await signedCheckpoint(origin, entries.slice(0, size), keyText);
    files.set(`${number}/checkpoint/${String(size).padStart(15, '0')}`, new TextEncoder().encode(note));
    published = size;
  }
  return files;
}

/** The tiles that the log of these entries has, and had not at an earlier size. */
export function tilesBetween(size: number, entries: readonly Uint8Array[]): readonly (readonly [string, Uint8Array])[] {
  const levels: (readonly Hash[])[] = [entries.map(leafHash)];
  for (let level = levels[0] ?? []; level.length >= TILE_WIDTH; level = levels.at(-1) ?? []) {
    const whole = Math.floor(level.length / TILE_WIDTH);
    levels.push(
      Array.from({ length: whole }, (_, tile) => tileRoot(level.slice(tile * TILE_WIDTH, (tile + 1) * TILE_WIDTH))),
    );
  }
  return newTiles(size, entries.length).map((tile) => {
    const [begin, end] = [tile.index * TILE_WIDTH, tile.index * TILE_WIDTH + tile.width];
    const bytes =
      tile.level === 'entries'
        ? bundleOf(entries.slice(begin, end))
        : tileOf((levels[tile.level] ?? []).slice(begin, end));
    return [tilePath(tile), bytes] as const;
  });
}
