import { type Hash, nodeHash, type ReadNode } from './merkle.ts';

// The files of a log (C2SP tlog-tiles): hash tiles of 256 hashes, and bundles of 256 entries.

/** Hashes of a whole tile: a tile has the height 8. */
export const TILE_WIDTH = 256;
const TILE_HEIGHT = 8;
const HASH_BYTES = 32;

/** A file of a log. A hash tile has a level; a bundle of entries has the level `entries` and stands beside the tile of level 0. */
export interface Tile {
  readonly level: number | 'entries';
  readonly index: number;
  /** How many hashes or entries it has: TILE_WIDTH where it is whole, fewer at the right edge. */
  readonly width: number;
}

/** The path of a file, without a leading slash: `tile/0/x001/234`, and `tile/0/x001/234.p/5` where it is partial. */
export const tilePath = ({ level, index, width }: Tile): string =>
  `tile/${level}/${indexPath(index)}${width === TILE_WIDTH ? '' : `.p/${width}`}`;

function indexPath(index: number): string {
  const groups = [String(index % 1000).padStart(3, '0')];
  for (let rest = Math.floor(index / 1000); rest > 0; rest = Math.floor(rest / 1000)) {
    groups.unshift(`x${String(rest % 1000).padStart(3, '0')}`);
  }
  return groups.join('/');
}

const TILE_PATH =
  /^tile\/(?<level>entries|\d|[1-5]\d|6[0-3])\/(?<index>(?:x\d{3}\/){0,4}\d{3})(?:\.p\/(?<width>[1-9]\d{0,2}))?$/;

/** The file that a path names; null where it names none, which is so for every spelling but that of `tilePath`. */
export function parseTilePath(path: string): Tile | null {
  const { level, index, width } = TILE_PATH.exec(path)?.groups ?? {};
  if (level === undefined || index === undefined) return null;
  const tile: Tile = {
    level: level === 'entries' ? level : Number(level),
    index: Number(index.replaceAll(/[x/]/g, '')),
    width: width === undefined ? TILE_WIDTH : Number(width),
  };
  return tilePath(tile) === path && tile.width <= TILE_WIDTH ? tile : null;
}

/** How many hashes the tiles of a level hold in a log of `size` entries. */
const hashesOf = (level: number, size: number): number => Math.floor(size / TILE_WIDTH ** level);

/** The width of a tile in a log of `size` entries; 0 where the log has no such tile. */
export function tileWidth(level: Tile['level'], index: number, size: number): number {
  const hashes = hashesOf(level === 'entries' ? 0 : level, size);
  return Math.max(0, Math.min(TILE_WIDTH, hashes - index * TILE_WIDTH));
}

/** The hash tiles and bundles that a log of `size` entries has and one of `oldSize` had not, whole and partial ones, the lower levels first. */
export function newTiles(oldSize: number, size: number): readonly Tile[] {
  const levels = [newOfLevel('entries', oldSize, size)];
  for (let level = 0; hashesOf(level, size) > 0; level += 1) levels.push(newOfLevel(level, oldSize, size));
  // Not by spreading into `push`: a log of a hundred million entries has more tiles than a call may have arguments.
  return levels.flat();
}

function newOfLevel(level: Tile['level'], oldSize: number, size: number): readonly Tile[] {
  const number = level === 'entries' ? 0 : level;
  const [old, now] = [hashesOf(number, oldSize), hashesOf(number, size)];
  if (old === now) return [];
  const [first, end] = [Math.floor(old / TILE_WIDTH), Math.ceil(now / TILE_WIDTH)];
  return Array.from({ length: end - first }, (_, offset) => {
    const index = first + offset;
    return { level, index, width: tileWidth(level, index, size) };
  });
}

/** The hashes that a hash tile holds; null where its bytes are not of that many hashes. */
export function hashesOfTile(bytes: Uint8Array, width: number): readonly Hash[] | null {
  if (bytes.length !== width * HASH_BYTES) return null;
  return Array.from({ length: width }, (_, index) => bytes.slice(index * HASH_BYTES, (index + 1) * HASH_BYTES));
}

/** The bytes of a hash tile. */
export const tileOf = (hashes: readonly Hash[]): Uint8Array => joined(hashes);

/** The root of a whole tile, which stands in the level above it. */
export function tileRoot(hashes: readonly Hash[]): Hash {
  let level = hashes;
  while (level.length > 1) {
    level = Array.from({ length: level.length / 2 }, (_, pair) =>
      nodeHash(at(level, pair * 2), at(level, pair * 2 + 1)),
    );
  }
  return at(level, 0);
}

function at(hashes: readonly Hash[], index: number): Hash {
  const hash = hashes[index];
  if (hash === undefined) throw new RangeError(`A tile has no hash ${index}.`);
  return hash;
}

/** The bytes of a bundle: each entry with its length before it, as two bytes, the higher one first. */
export function bundleOf(entries: readonly Uint8Array[]): Uint8Array {
  return joined(entries.flatMap((entry) => [Uint8Array.of(entry.length >> 8, entry.length & 0xff), entry]));
}

/** The entries of a bundle; null where its bytes are not of that many entries. A forged one makes no more of them than `width`. */
export function entriesOfBundle(bytes: Uint8Array, width: number): readonly Uint8Array[] | null {
  const entries: Uint8Array[] = [];
  let position = 0;
  while (position + 2 <= bytes.length && entries.length < width) {
    const length = (bytes[position] ?? 0) * 256 + (bytes[position + 1] ?? 0);
    entries.push(bytes.slice(position + 2, position + 2 + length));
    position += 2 + length;
  }
  return position === bytes.length && entries.length === width ? entries : null;
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let position = 0;
  for (const part of parts) {
    bytes.set(part, position);
    position += part.length;
  }
  return bytes;
}

/** Gives the hashes of the tile of a level at an index, as many as the log of the reader's size has. */
export type ReadTile = (level: number, index: number) => Promise<readonly Hash[]>;

/** Reads nodes of the tree from tiles. A node that is no tile's own hash is hashed together from those of the tile that it stands over. */
export function nodesOfTiles(read: ReadTile): ReadNode {
  return async (level, index) => {
    const within = level % TILE_HEIGHT;
    const begin = index * 2 ** within;
    const hashes = await read(Math.floor(level / TILE_HEIGHT), Math.floor(begin / TILE_WIDTH));
    const offset = begin % TILE_WIDTH;
    return tileRoot(hashes.slice(offset, offset + 2 ** within));
  };
}
