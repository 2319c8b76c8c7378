import { edgeLength, grow, type Edge, type Hash } from '../../tlog/merkle.ts';
import { newTiles, tileOf, tileRoot, TILE_WIDTH, type Tile } from '../../tlog/tiles.ts';

// How the tree of a log grows from one size to another: from the leaves of its last tile on, and the partial tiles above them.

/** What the tree from one size to another is made from. */
export interface TreeParts {
  readonly oldSize: number;
  readonly size: number;
  /** The hashes of the leaves from `firstLeaf(oldSize)` to before `size`. */
  readonly leaves: readonly Hash[];
  /** The hashes of `partialTiles(oldSize)`, in their order. */
  readonly partials: readonly (readonly Hash[])[];
}

export interface GrownTree {
  /** The edge at the old size. With the root of a checkpoint, it proves the partial tiles and the leaves before it. */
  readonly oldEdge: Edge;
  readonly edge: Edge;
  /** The hash tiles that the old tree has not, with their bytes. */
  readonly hashTiles: readonly { readonly tile: Tile; readonly bytes: Uint8Array }[];
}

/** The first leaf of the tile that a log of this size grows in. */
export const firstLeaf = (size: number): number => size - (size % TILE_WIDTH);

/** The partial tiles above those of the leaves, from the lowest up. */
export function partialTiles(size: number): readonly Tile[] {
  const tiles: Tile[] = [];
  for (let level = 1; hashesIn(level, size) > 0; level += 1) {
    const hashes = hashesIn(level, size);
    const width = hashes % TILE_WIDTH;
    if (width > 0) tiles.push({ level, index: (hashes - width) / TILE_WIDTH, width });
  }
  return tiles;
}

/** How many hashes a level of tiles has: each is over 256 of the level below. */
const hashesIn = (level: number, size: number): number => Math.floor(size / TILE_WIDTH ** level);

/** The hashes of a level from the first of a tile on. */
interface Level {
  readonly first: number;
  readonly hashes: readonly Hash[];
}

/** Grows the tree. Throws a RangeError where there are too few leaves or partial tiles. */
export function growTree({ oldSize, size, leaves, partials }: TreeParts): GrownTree {
  const known = new Map(partialTiles(oldSize).map((tile, index) => [tile.level, partials[index] ?? []]));
  const levels: Level[] = [{ first: firstLeaf(oldSize), hashes: leaves }];
  for (let level = 1; hashesIn(level, size) > 0; level += 1) {
    const below = levels[level - 1] ?? { first: 0, hashes: [] };
    const [old, now] = [hashesIn(level, oldSize), hashesIn(level, size)];
    const roots = Array.from({ length: now - old }, (_, offset) =>
      tileRoot(hashesFrom(below, (old + offset) * TILE_WIDTH, TILE_WIDTH)),
    );
    levels.push({ first: firstLeaf(old), hashes: [...(known.get(level) ?? []), ...roots] });
  }
  const hashTiles = newTiles(oldSize, size).flatMap((tile) => {
    const level = typeof tile.level === 'number' ? levels[tile.level] : undefined;
    if (level === undefined) return [];
    return [{ tile, bytes: tileOf(hashesFrom(level, tile.index * TILE_WIDTH, tile.width)) }];
  });
  return { oldEdge: edgeOf(levels, oldSize), edge: edgeOf(levels, size), hashTiles };
}

function hashesFrom({ first, hashes }: Level, from: number, count: number): readonly Hash[] {
  const found = hashes.slice(from - first, from - first + count);
  if (from < first || found.length !== count) throw new RangeError(`A level lacks hashes from ${from} on.`);
  return found;
}

/** The edge of the tree at a size: that of each level's partial tile, the highest first. */
function edgeOf(levels: readonly Level[], size: number): Edge {
  const edges = levels.map((level, height) => {
    const hashes = hashesIn(height, size);
    const width = hashes % TILE_WIDTH;
    return grow([], 0, hashesFrom(level, hashes - width, width));
  });
  return edges.toReversed().flat();
}

/** The edge as a column has it. */
export const edgeText = (edge: Edge): string => JSON.stringify(edge.map(hashText));

/** The edge of a tree of this size from its column; null where it is none. */
export function parseEdge(text: string, size: number): Edge | null {
  try {
    const parsed: unknown = JSON.parse(text);
    if (!Array.isArray(parsed)) return null;
    const hashes = parsed.map((hash) => new Uint8Array(Buffer.from(String(hash), 'base64')));
    return hashes.length === edgeLength(size) && hashes.every((hash) => hash.length === HASH_BYTES) ? hashes : null;
  } catch {
    return null;
  }
}

const HASH_BYTES = 32;

/** A hash as a column has it. */
export const hashText = (hash: Hash): string => Buffer.from(hash).toString('base64');
