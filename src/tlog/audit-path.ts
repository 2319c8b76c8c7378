// The shape of an audit path. It needs no hashes, so a browser, which hashes by promises alone, checks proofs by it too.

/** The largest power of two that is smaller than `count`, and 1 for 1 (RFC 6962 §2.1: "k < n <= 2k"). */
export function largestPowerBelow(count: number): number {
  let power = 1;
  while (power * 2 < count) power *= 2;
  return power;
}

/**
 * Where the hashes of the audit path of a leaf stand, from the leaf up (RFC 6962 §2.1.1): true where one stands to the left of what it is
 * hashed with. Null: a log of this size has no such leaf.
 */
export function auditPathSides(index: number, size: number): readonly boolean[] | null {
  if (!Number.isSafeInteger(index) || !Number.isSafeInteger(size) || index < 0 || index >= size) return null;
  const sides: boolean[] = [];
  let [begin, end] = [0, size];
  while (end - begin > 1) {
    const middle = begin + largestPowerBelow(end - begin);
    const isLeft = index >= middle;
    sides.unshift(isLeft);
    [begin, end] = isLeft ? [middle, end] : [begin, middle];
  }
  return sides;
}
