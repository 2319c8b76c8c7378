import {
  SEALING_CHUNK_ROWS,
  UNSEALED_NUMBERS_MAX_COUNT,
  UNSIGNED_BUNDLES_MAX_COUNT,
  UNSIGNED_CHECKPOINTS_MAX_COUNT,
} from '../../config/trail-limits.ts';
import { isObject, parseJson } from '../../kit/json.ts';
import type { Result } from '../../kit/result.ts';
import type { Trace } from '../../kit/trace.ts';
import { parseCheckpoint } from '../../tlog/checkpoint.ts';
import { type Hash, inclusionProof, leafHash, type ReadNode, rootOfInclusion, sameHash } from '../../tlog/merkle.ts';
import { isSignedBy, type Verifier } from '../../tlog/note.ts';
import {
  entriesOfBundle,
  hashesOfTile,
  nodesOfTiles,
  parseTilePath,
  TILE_WIDTH,
  tilePath,
  tileWidth,
} from '../../tlog/tiles.ts';
import { checkpointKey, checkpointPrefix, type LogStore, type StoreFailure } from './store.ts';

// What the files of logs know beyond D1, after D1 was rolled back: the largest checkpoint that was signed, and the highest number of an
// event that was ever sealed. Whoever can write to the bucket, and has no key, can put anything there. So a checkpoint counts by its
// signature, an entry by its proof, and what has neither counts no further than the log can have come.

/** The files of logs, as far as they are read here. They throw a `FilesUnavailable` where the store does not answer. */
export interface StoredFiles {
  get(key: string): Promise<Uint8Array | null>;
  firstAfter(prefix: string, key: string): Promise<string | null>;
}

export class FilesUnavailable extends Error {
  override readonly name = 'FilesUnavailable';
}

/** The files of a store. */
export function storedFilesOf(
  store: Pick<LogStore, 'get' | 'firstAfter'>,
  context: { readonly trace: Trace },
): StoredFiles {
  const orThrow = <T>(read: Result<T, StoreFailure>): T => {
    if (!read.ok) throw new FilesUnavailable(read.error);
    return read.value;
  };
  return {
    get: async (key) => orThrow(await store.get(context, key)),
    firstAfter: async (prefix, key) => orThrow(await store.firstAfter(context, prefix, key)),
  };
}

/** The log that D1 knows last, and how much of it D1 has published. */
export interface KnownLog {
  readonly number: number;
  readonly publishedSize: number;
  /** The highest number of an event that the published part seals; 0: none. */
  readonly keptSeq: number;
}

/** What is known beyond D1. */
export interface Beyond {
  /** The signed note of the largest checkpoint of the last log; null: there is none beyond what D1 has published. */
  readonly known: string | null;
  /** No event with a higher number was ever sealed. */
  readonly highestSeq: number;
  /** The number of the last log that has files: a log that D1 has forgotten may have followed. */
  readonly lastNumber: number;
}

/**
 * Looks for what is known beyond D1. It throws as the files do.
 *
 * @param verifiersOf the keys that may have signed the log of a number.
 * @param toldSize how many entries somebody outside says that the log has; 0: nobody does.
 * @param chunkRows as sealing has it.
 */
export async function lookBeyond(
  files: StoredFiles,
  log: KnownLog,
  verifiersOf: (number: number) => readonly Verifier[],
  toldSize = 0,
  chunkRows = SEALING_CHUNK_ROWS,
): Promise<Beyond> {
  let found: Beyond = { known: null, highestSeq: log.keptSeq, lastNumber: log.number };
  // One at a time: each log is counted on from the one before it.
  for (let number = log.number; number === log.number || (await hasFiles(files, number)); number += 1) {
    const begin = number === log.number ? log.publishedSize : 0;
    const signed = await largestSigned(files, number, begin, verifiersOf(number));
    const size = Math.max(signed?.size ?? begin, number === log.number ? toldSize : 0);
    // Each entry can raise the number by one; and by as many as there were rows that had not stopped to grow.
    const mostSeq = found.highestSeq + (size - begin) + UNSEALED_NUMBERS_MAX_COUNT;
    const proven = signed === null ? null : await highestIn(files, { number, begin, lookBack: chunkRows * 2 }, signed);
    const isWhole = size === (signed?.size ?? begin) && (signed === null || proven !== null);
    const unsigned = await highestAfter(files, number, signed?.size ?? begin, mostSeq);
    const highestSeq = isWhole ? Math.max(found.highestSeq, proven ?? 0, unsigned) : mostSeq;
    found = { known: signed?.note ?? found.known, highestSeq, lastNumber: number };
  }
  return found;
}

const hasFiles = async (files: StoredFiles, number: number): Promise<boolean> =>
  (await files.firstAfter(`${number}/`, `${number}/`)) !== null;

interface SignedCheckpoint {
  readonly size: number;
  readonly root: Hash;
  readonly note: string;
}

/** The largest checkpoint beyond a size that one of these keys has signed. */
async function largestSigned(
  files: StoredFiles,
  number: number,
  beyond: number,
  verifiers: readonly Verifier[],
): Promise<SignedCheckpoint | null> {
  let end = Infinity;
  for (let tries = 0; tries < UNSIGNED_CHECKPOINTS_MAX_COUNT; tries += 1) {
    const size = await largestBelow(files, number, beyond, end);
    if (size === null) return null;
    const bytes = await files.get(checkpointKey(number, size));
    const signed = bytes === null ? null : await readSigned(new TextDecoder().decode(bytes), verifiers);
    if (signed?.size === size) return signed;
    end = size;
  }
  return null;
}

/**
 * The largest size above `beyond` and below `end` that has a checkpoint. It is searched for by steps that double and then by halves, since a
 * day has 1,440 checkpoints and each look is a call.
 */
async function largestBelow(files: StoredFiles, number: number, beyond: number, end: number): Promise<number | null> {
  const prefix = checkpointPrefix(number);
  const nextAfter = async (size: number): Promise<number | null> => {
    const key = await files.firstAfter(prefix, checkpointKey(number, size));
    const next = key === null ? NaN : Number(key.slice(prefix.length));
    return next < end ? next : null;
  };
  let found: number | null = null;
  let [low, high] = [beyond, beyond];
  for (let step = 1; high <= low; step *= 2) {
    const from = found === null ? beyond : low + step;
    const next = await nextAfter(from);
    if (next === null) high = found === null ? Infinity : from;
    else [found, low, high] = [next, next, next];
  }
  // No size stands above `high`, and `found` is the largest that is known up to it.
  while (found !== null && high - found > 1) {
    const middle: number = found + Math.floor((high - found) / 2);
    const next = await nextAfter(middle);
    if (next === null) high = middle;
    else found = next;
  }
  return found === null ? null : ((await nextAfter(found)) ?? found);
}

async function readSigned(text: string, verifiers: readonly Verifier[]): Promise<SignedCheckpoint | null> {
  const parsed = parseCheckpoint(text);
  if (parsed === null) return null;
  for (const verifier of verifiers) {
    const isOfLog = parsed.checkpoint.origin === verifier.name && (await isSignedBy(parsed.note, verifier));
    if (isOfLog) return { ...parsed.checkpoint, note: text };
  }
  return null;
}

/**
 * The highest number of an event in the last entries of a signed log. Facts of older events may stand last, so it reads back until an
 * event comes that is sealed for the first time, and then over a whole chunk more: a chunk may have its leaves in any order, those that
 * waited and the new ones, and no earlier chunk has a higher number. Null: a file is missing, or is not what was signed.
 */
async function highestIn(
  files: StoredFiles,
  { number, begin, lookBack }: { readonly number: number; readonly begin: number; readonly lookBack: number },
  { size, root }: SignedCheckpoint,
): Promise<number | null> {
  const readNode = nodesOf(files, number, size);
  let highest = 0;
  let more = Infinity;
  for (let index = Math.ceil(size / TILE_WIDTH) - 1; index >= Math.floor(begin / TILE_WIDTH) && more > 0; index -= 1) {
    const entries = await readBundle(files, number, index, tileWidth('entries', index, size));
    if (entries === null || !(await isInTree(entries, index, size, root, readNode))) return null;
    const facts = entries.map(numberedIn);
    highest = Math.max(highest, ...facts.map(({ seq }) => seq));
    more = Number.isFinite(more) ? more - entries.length : facts.some(({ isFirst }) => isFirst) ? lookBack : more;
  }
  return highest;
}

/**
 * The highest number in bundles beyond what was signed, which a run has put that did not come to its end. It is `mostSeq` where there are
 * more bundles than any run puts.
 */
async function highestAfter(files: StoredFiles, number: number, size: number, mostSeq: number): Promise<number> {
  let highest = 0;
  const first = Math.floor(size / TILE_WIDTH);
  for (let index = first; index < first + UNSIGNED_BUNDLES_MAX_COUNT; index += 1) {
    const whole = await readBundle(files, number, index, TILE_WIDTH);
    const bundles = whole === null ? await partialBundles(files, number, index) : [whole];
    // Nothing proves these entries. One that cannot be true is none.
    const numbers = bundles.flat().map((entry) => numberedIn(entry).seq);
    highest = Math.max(highest, ...numbers.filter((seq) => seq <= mostSeq));
    if (whole === null) return highest;
  }
  return mostSeq;
}

async function partialBundles(files: StoredFiles, number: number, index: number): Promise<readonly Uint8Array[][]> {
  const prefix = `${number}/${tilePath({ level: 'entries', index, width: TILE_WIDTH })}.p/`;
  const found: Uint8Array[][] = [];
  for (let key = await files.firstAfter(prefix, prefix); key !== null; key = await files.firstAfter(prefix, key)) {
    const tile = parseTilePath(key.slice(key.indexOf('/') + 1));
    const entries = tile === null ? null : await readBundle(files, number, index, tile.width);
    if (entries !== null) found.push([...entries]);
  }
  return found;
}

async function readBundle(
  files: StoredFiles,
  number: number,
  index: number,
  width: number,
): Promise<readonly Uint8Array[] | null> {
  const bytes = await files.get(`${number}/${tilePath({ level: 'entries', index, width })}`);
  return bytes === null ? null : entriesOfBundle(bytes, width);
}

/** Reads nodes of the tree of a size from its hash tiles, each of which is read once. A tile that is missing has no node. */
function nodesOf(files: StoredFiles, number: number, size: number): ReadNode {
  const known = new Map<string, readonly Hash[]>();
  return nodesOfTiles(async (level, index) => {
    const width = tileWidth(level, index, size);
    const key = `${number}/${tilePath({ level, index, width })}`;
    const bytes = known.has(key) ? null : await files.get(key);
    const hashes = known.get(key) ?? (bytes === null ? null : hashesOfTile(bytes, width)) ?? [];
    known.set(key, hashes);
    return hashes;
  });
}

/** Whether these entries are a bundle of the tree: each node over them is hashed anew, and the rest leads to the root. */
async function isInTree(
  entries: readonly Uint8Array[],
  index: number,
  size: number,
  root: Hash,
  readNode: ReadNode,
): Promise<boolean> {
  const begin = index * TILE_WIDTH;
  const own = nodesOfTiles(async () => await Promise.resolve(entries.map(leafHash)));
  const isOwn = (level: number, node: number): boolean =>
    node * 2 ** level >= begin && (node + 1) * 2 ** level <= begin + entries.length;
  const read: ReadNode = async (level, node) =>
    isOwn(level, node) && level < TILE_LEVELS ? await own(level, node) : await readNode(level, node);
  const [first] = entries;
  if (first === undefined) return false;
  try {
    const proof = await inclusionProof(begin, size, read);
    const reached = rootOfInclusion(leafHash(first), begin, size, proof);
    return reached !== null && sameHash(reached, root);
  } catch (error) {
    // A tile that is missing, or too short, has no such hash.
    if (error instanceof RangeError) return false;
    throw error;
  }
}

/** A tile is so high, and a node above it stands in another one. */
const TILE_LEVELS = 8;

/** The kinds of facts that seal an event for the first time. */
const FIRST_FACTS = ['recorded', 'final'];

function numberedIn(entry: Uint8Array): { readonly seq: number; readonly isFirst: boolean } {
  const read = parseJson(new TextDecoder().decode(entry));
  const { fact, seq } = isObject(read) ? read : {};
  const isNumber = typeof seq === 'number' && Number.isSafeInteger(seq) && seq > 0;
  return { seq: isNumber ? seq : 0, isFirst: isNumber && FIRST_FACTS.some((name) => name === fact) };
}
