import { createHash } from 'node:crypto';
import { auditPathSides, largestPowerBelow } from './audit-path.ts';

// The Merkle tree of RFC 6962 §2.1: its hashes, how it grows, and its proofs. A hash is 32 bytes. `node:crypto` hashes without a promise,
// in some 7 µs on workerd, and a log hashes each fact a few times.

export type Hash = Uint8Array;
const HASH_BYTES = 32;

/** The hash of an entry (RFC 6962 §2.1). Its prefix keeps an entry from passing for a node. */
export const leafHash = (entry: Uint8Array): Hash => digestOf(LEAF_PREFIX, entry);

/** The hash of a node over its two children (RFC 6962 §2.1). */
export const nodeHash = (left: Hash, right: Hash): Hash => digestOf(NODE_PREFIX, left, right);

const LEAF_PREFIX = Uint8Array.of(0);
const NODE_PREFIX = Uint8Array.of(1);

function digestOf(...parts: readonly Uint8Array[]): Hash {
  const digest = createHash('sha256');
  for (const part of parts) digest.update(part);
  return new Uint8Array(digest.digest());
}

/** The root of a tree without leaves. */
export const EMPTY_ROOT: Hash = digestOf();

/**
 * What must be known of a tree to add leaves to it: the roots of its largest whole subtrees from left to right, one for each bit that is
 * set in its size.
 */
export type Edge = readonly Hash[];

/**
 * Adds leaves to a tree.
 *
 * @param size how many leaves the tree has; its edge has one hash for each bit of it.
 */
export function grow(edge: Edge, size: number, leaves: readonly Hash[]): Edge {
  const grown = [...edge];
  let count = size;
  for (const leaf of leaves) {
    let hash = leaf;
    // Each whole subtree at the right end that is as large as the new one makes one of twice its size with it.
    for (let rest = count; rest % 2 === 1; rest = Math.floor(rest / 2))
      hash = nodeHash(grown.pop() ?? EMPTY_ROOT, hash);
    grown.push(hash);
    count += 1;
  }
  return grown;
}

/** The root of the tree with this edge. */
export const rootOf = (edge: Edge): Hash =>
  edge.length === 0 ? EMPTY_ROOT : edge.reduceRight((right, left) => nodeHash(left, right));

/** How many hashes the edge of a tree of this size has. */
export function edgeLength(size: number): number {
  let length = 0;
  for (let rest = size; rest > 0; rest = Math.floor(rest / 2)) length += rest % 2;
  return length;
}

/** Gives the hash of the whole subtree over the leaves from `index * 2^level` on, `2^level` of them. */
export type ReadNode = (level: number, index: number) => Promise<Hash>;

/** The root over the leaves from `begin` to before `end`, where `begin` is a multiple of the largest power of two that fits. */
export async function rangeRoot(begin: number, end: number, read: ReadNode): Promise<Hash> {
  const count = end - begin;
  const split = largestPowerBelow(count);
  if (split * 2 === count || count === 1) return await read(Math.log2(count), begin / count);
  return nodeHash(await rangeRoot(begin, begin + split, read), await rangeRoot(begin + split, end, read));
}

/** The audit path of the leaf at `index` in the tree of `size` leaves, from the leaf up (RFC 6962 §2.1.1). */
export async function inclusionProof(index: number, size: number, read: ReadNode): Promise<readonly Hash[]> {
  const path = async (begin: number, end: number): Promise<readonly Hash[]> => {
    if (end - begin === 1) return [];
    const middle = begin + largestPowerBelow(end - begin);
    return index < middle
      ? [...(await path(begin, middle)), await rangeRoot(middle, end, read)]
      : [...(await path(middle, end)), await rangeRoot(begin, middle, read)];
  };
  return await path(0, size);
}

/** The proof that the tree of `size` leaves begins with that of `oldSize` leaves (RFC 6962 §2.1.2). It is empty where they are alike. */
export async function consistencyProof(oldSize: number, size: number, read: ReadNode): Promise<readonly Hash[]> {
  const path = async (begin: number, end: number, isOld: boolean): Promise<readonly Hash[]> => {
    if (oldSize === end) return isOld ? [] : [await rangeRoot(begin, end, read)];
    const middle = begin + largestPowerBelow(end - begin);
    return oldSize <= middle
      ? [...(await path(begin, middle, isOld)), await rangeRoot(middle, end, read)]
      : [...(await path(middle, end, false)), await rangeRoot(begin, middle, read)];
  };
  return oldSize === 0 ? [] : await path(0, size, true);
}

/** The root that an audit path leads to from a leaf; null where the path cannot be one of that leaf and size. */
export function rootOfInclusion(leaf: Hash, index: number, size: number, proof: readonly Hash[]): Hash | null {
  const sides = auditPathSides(index, size);
  if (sides?.length !== proof.length || ![leaf, ...proof].every(isHash)) return null;
  return proof.reduce(
    (hash, step, place) => (sides[place] === true ? nodeHash(step, hash) : nodeHash(hash, step)),
    leaf,
  );
}

/** Whether a proof shows that the tree of `size` leaves and `root` begins with that of `oldSize` and `oldRoot` (RFC 9162 §2.1.4.2). */
export function isConsistent(
  oldSize: number,
  oldRoot: Hash,
  size: number,
  root: Hash,
  proof: readonly Hash[],
): boolean {
  if (!isCount(oldSize) || !isCount(size) || oldSize > size) return false;
  if (oldSize === 0 && !sameHash(oldRoot, EMPTY_ROOT)) return false;
  if (oldSize === size) return proof.length === 0 && sameHash(oldRoot, root);
  if (![oldRoot, root, ...proof].every(isHash)) return false;
  // Every log begins with the one without entries.
  if (oldSize === 0) return proof.length === 0;
  let position = oldSize - 1;
  let last = size - 1;
  while (position % 2 === 1) [position, last] = [half(position), half(last)];
  // Where the old tree is one whole subtree, its root is the first hash of the path, and the proof leaves it out.
  const [first, ...rest] = position === 0 ? [oldRoot, ...proof] : proof;
  if (first === undefined) return false;
  let [old, whole] = [first, first];
  for (const step of rest) {
    if (last === 0) return false;
    if (position % 2 === 1 || position === last) {
      old = nodeHash(step, old);
      whole = nodeHash(step, whole);
      while (position % 2 === 0 && position !== 0) [position, last] = [half(position), half(last)];
    } else {
      whole = nodeHash(whole, step);
    }
    [position, last] = [half(position), half(last)];
  }
  return last === 0 && sameHash(old, oldRoot) && sameHash(whole, root);
}

const half = (count: number): number => Math.floor(count / 2);
/** Bytes of another length would let those of a proof be cut elsewhere: a node is hashed over both its children, one behind the other. */
const isHash = (bytes: Uint8Array): boolean => bytes.length === HASH_BYTES;
const isCount = (value: number): boolean => Number.isSafeInteger(value) && value >= 0;

/** Whether two hashes are alike. Both are public, so their comparison may take as long as it likes. */
export const sameHash = (one: Hash, other: Hash): boolean =>
  one.length === other.length && one.every((byte, index) => byte === other[index]);
