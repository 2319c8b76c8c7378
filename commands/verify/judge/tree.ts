import { type Edge, EMPTY_ROOT, grow, type Hash, rootOf } from '../../../src/tlog/merkle.ts';
import { TILE_WIDTH, tileRoot } from '../../../src/tlog/tiles.ts';

/** A hash tile as the entries give it. */
export interface MadeTile {
  readonly level: number;
  readonly index: number;
  readonly hashes: readonly Hash[];
}

/** A tree up to a whole bundle. */
interface Begun {
  readonly edge: Edge;
  readonly bundles: number;
  readonly roots: ReadonlyMap<number, Hash>;
}

/**
 * The tree over the entries of a log, a bundle at a time. Each node is hashed once: a whole bundle is one leaf of the tree over bundles.
 *
 * @param sizes at which the root is wanted.
 * @param begun a tree that this one begins as.
 */
export function createTree(sizes: Iterable<number>, begun: Begun | null = null) {
  const wanted = new Set(sizes);
  const roots = new Map<number, Hash>(begun?.roots ?? (wanted.has(0) ? [[0, EMPTY_ROOT]] : []));
  let edge: Edge = begun?.edge ?? [];
  let bundles = begun?.bundles ?? 0;
  let size = bundles * TILE_WIDTH;
  /** The hashes at the right end of each level from 1 on, and how many tiles of it are made. */
  const levels: { hashes: Hash[]; made: number }[] = [];

  const raise = (level: number, hash: Hash, tiles: MadeTile[]): void => {
    const at = (levels[level] ??= { hashes: [], made: 0 });
    at.hashes.push(hash);
    if (at.hashes.length < TILE_WIDTH) return;
    tiles.push({ level: level + 1, index: at.made, hashes: at.hashes });
    levels[level] = { hashes: [], made: at.made + 1 };
    raise(level + 1, tileRoot(at.hashes), tiles);
  };

  return {
    /** Adds the leaves of the next bundle, which is whole unless it is the last one. Gives the tiles that are whole by it. */
    add: (leaves: readonly Hash[]): readonly MadeTile[] => {
      for (let width = 1; width <= leaves.length; width += 1) {
        if (wanted.has(size + width)) {
          roots.set(size + width, rootOf([...edge, ...grow([], 0, leaves.slice(0, width))]));
        }
      }
      const tiles: MadeTile[] = [{ level: 0, index: bundles, hashes: leaves }];
      size += leaves.length;
      if (leaves.length < TILE_WIDTH) return tiles;
      const root = tileRoot(leaves);
      edge = grow(edge, bundles, [root]);
      bundles += 1;
      raise(0, root, tiles);
      return tiles;
    },
    /** The tiles at the right edge that are not whole, from level 1 on. */
    rest: (): readonly MadeTile[] =>
      levels.flatMap(({ hashes, made }, level) =>
        hashes.length === 0 ? [] : [{ level: level + 1, index: made, hashes }],
      ),
    roots: (): ReadonlyMap<number, Hash> => roots,
    begun: (): Begun => ({ edge, bundles, roots: new Map(roots) }),
  };
}
