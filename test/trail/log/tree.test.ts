import { describe, expect, it } from 'vitest';
import { grow, type Hash, leafHash } from '../../../src/tlog/merkle.ts';
import { edgeText, growTree, hashText, parseEdge, partialTiles } from '../../../src/trail/log/tree.ts';

// How a log grows from the partial tiles at its right edge, and what its column of the edge may hold.

const leaves = (from: number, to: number): readonly Hash[] =>
  Array.from({ length: to - from }, (_, more) => leafHash(Uint8Array.of((from + more) >> 8, (from + more) & 0xff)));
const [A, B] = leaves(0, 2) as [Hash, Hash];

describe('the edge of a log', () => {
  const ONE = hashText(A);
  it('is read as it was written', () => {
    expect(parseEdge(edgeText([A, B]), 3)).toEqual([A, B]);
    expect(parseEdge('[]', 0)).toEqual([]);
  });

  it.each([
    ['no JSON', '[', 1],
    ['no list', `{"0":"${ONE}"}`, 1],
    ['a text', `"${ONE}"`, 1],
    ['of too few hashes', edgeText([A]), 3],
    ['of too many hashes', edgeText([A, B]), 2],
    ['of hashes of which one is short', `["${ONE}","AAAA"]`, 3],
    ['of hashes that are short', '["AAAA","AAAA"]', 3],
    ['of numbers', '[1]', 1],
  ])('is none that is %s', (_case, text, size) => {
    expect(parseEdge(text, size)).toBeNull();
  });
});

describe('the partial tiles above the leaves', () => {
  it.each([
    [0, []],
    [255, []],
    [256, [{ level: 1, index: 0, width: 1 }]],
    [65_535, [{ level: 1, index: 0, width: 255 }]],
    // The tile of level 1 is whole.
    [65_536, [{ level: 2, index: 0, width: 1 }]],
    [
      70_000,
      [
        { level: 1, index: 1, width: 17 },
        { level: 2, index: 0, width: 1 },
      ],
    ],
  ])('of %i leaves', (size, tiles) => {
    expect(partialTiles(size)).toEqual(tiles);
  });
});

describe('a tree that grows', () => {
  const whole = growTree({ oldSize: 0, size: 300, leaves: leaves(0, 300), partials: [] });
  const [root] = grow([], 0, leaves(0, 256)) as [Hash];

  it('comes to the same from the leaves of its last tile and the partial tiles above', () => {
    const { oldEdge, edge, hashTiles } = growTree({
      oldSize: 260,
      size: 300,
      leaves: leaves(256, 300),
      partials: [[root]],
    });
    expect(edge).toEqual(whole.edge);
    expect(oldEdge).toEqual(grow([], 0, leaves(0, 260)));
    expect(hashTiles).toEqual(whole.hashTiles.filter(({ tile }) => tile.level === 0 && tile.index === 1));
  });

  it.each<[string, Parameters<typeof growTree>[0]]>([
    ['leaves', { oldSize: 260, size: 300, leaves: leaves(256, 299), partials: [[root]] }],
    ['a partial tile', { oldSize: 260, size: 300, leaves: leaves(256, 300), partials: [] }],
    ['hashes of a partial tile', { oldSize: 520, size: 530, leaves: leaves(512, 530), partials: [[root]] }],
  ])('is none that lacks %s', (_case, parts) => {
    expect(() => growTree(parts)).toThrow(RangeError);
  });
});
