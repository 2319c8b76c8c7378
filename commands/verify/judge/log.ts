import { type Hash, leafHash, sameHash } from '../../../src/tlog/merkle.ts';
import { TILE_WIDTH, type Tile, tilePath, tileWidth } from '../../../src/tlog/tiles.ts';
import { readEntries, readHashes, type Source } from '../source.ts';
import { type Entry, parseEntry } from './entries.ts';
import { createTree, type MadeTile } from './tree.ts';

/** Takes in an entry; null: it is not there. */
export type Take = (entry: Entry | null, index: number) => Promise<void>;

export interface ReadLog {
  readonly number: number;
  /** The entries of its checkpoint. */
  readonly size: number;
  /** The sizes whose root is wanted. */
  readonly sizes: Iterable<number>;
}

/** What the files of a log come to. */
export interface LogContent {
  /** The roots that its entries give. */
  readonly roots: ReadonlyMap<number, Hash>;
  /** The roots that its lowest hash tiles give, where these differ from the entries. */
  readonly tileRoots: ReadonlyMap<number, Hash> | null;
  /** The first entry that its hash tile contradicts; null: there is none. */
  readonly differing: Differing | null;
  /** Entries that are not there. Where the hash tile is there, the roots are known all the same. */
  readonly absent: {
    readonly from: number;
    readonly to: number;
    readonly count: number;
    readonly areHashesThere: boolean;
  } | null;
  /** The path of the first hash tile from level 1 on that differs from the entries; null: none does. */
  readonly differingTile: string | null;
}

interface Differing {
  readonly index: number;
  readonly seq: number | null;
  readonly id: string | null;
  readonly path: string;
}

/** Reads a log once, bundle by bundle: its tree comes from its entries, and each hash tile is compared with that. */
export async function readLog(source: Source, { number, size, sizes }: ReadLog, take: Take): Promise<LogContent> {
  const wanted = [...new Set([...sizes, size])];
  const tree = createTree(wanted);
  let tileTree: ReturnType<typeof createTree> | null = null;
  let differing: Differing | null = null;
  let absent = null as LogContent['absent'];
  let differingTile: string | null = null;

  const compare = async ({ level, index, hashes }: MadeTile): Promise<void> => {
    const tile: Tile = { level, index, width: hashes.length };
    const stored = await readHashes(source, number, tile);
    const isRight =
      stored === 'absent' || stored?.every((hash, at) => sameHash(hash, hashes[at] ?? new Uint8Array())) === true;
    if (!isRight) differingTile ??= tilePath(tile);
  };

  for await (const { index, width, entries, hashes } of bundlesOf(source, number, size)) {
    const begin = index * TILE_WIDTH;
    const made = entries?.map(leafHash) ?? null;
    const stored = hashes === 'absent' || hashes === null ? null : hashes;
    if (made === null) {
      const before = absent;
      const count: number = (before?.count ?? 0) + width;
      absent = { from: before?.from ?? begin, to: begin + width - 1, count, areHashesThere: stored !== null };
      await take(null, begin);
      // Without its hashes nothing behind it can be judged.
      if (stored === null) break;
    }
    const leaves = made ?? stored ?? [];
    if (made !== null && hashes !== 'absent' && differing === null) {
      const at = made.findIndex(
        (hash, offset) => stored === null || !sameHash(hash, stored[offset] ?? new Uint8Array()),
      );
      if (at >= 0) {
        const entry = parseEntry(entries?.[at] ?? new Uint8Array());
        const isEvent = 'seq' in entry;
        const path = tilePath({ level: 0, index, width });
        differing = { index: begin + at, seq: isEvent ? entry.seq : null, id: isEvent ? entry.id : null, path };
        tileTree = createTree(wanted, tree.begun());
      }
    }
    tileTree?.add(stored ?? leaves);
    for (const tile of tree.add(leaves)) if (tile.level > 0) await compare(tile);
    for (const [offset, bytes] of (entries ?? []).entries()) await take(parseEntry(bytes), begin + offset);
  }
  if (absent === null || absent.areHashesThere) for (const tile of tree.rest()) await compare(tile);
  return { roots: tree.roots(), tileRoots: tileTree?.roots() ?? null, differing, differingTile, absent };
}

interface Bundle {
  readonly index: number;
  readonly width: number;
  readonly entries: readonly Uint8Array[] | null;
  readonly hashes: readonly Hash[] | 'absent' | null;
}

/** The bundles of a log and their hash tiles. It asks for some of them ahead, since a service answers from far away. */
async function* bundlesOf(source: Source, log: number, size: number): AsyncGenerator<Bundle, void, undefined> {
  const count = Math.ceil(size / TILE_WIDTH);
  const read = async (index: number): Promise<Bundle> => {
    const width = tileWidth('entries', index, size);
    const [entries, hashes] = await Promise.all([
      readEntries(source, log, { index, width }),
      readHashes(source, log, { level: 0, index, width }),
    ]);
    return { index, width, entries, hashes };
  };
  const ahead: Promise<Bundle>[] = [];
  for (let index = 0, asked = 0; index < count; index += 1) {
    for (; asked < count && asked < index + source.atOnce; asked += 1) {
      const bundle = read(asked);
      // It is awaited later; until then its failure is nobody's.
      bundle.catch(() => {});
      ahead.push(bundle);
    }
    const next = ahead.shift();
    if (next !== undefined) yield await next;
  }
}
