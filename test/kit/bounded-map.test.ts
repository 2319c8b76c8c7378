import { expect, it } from 'vitest';
import { createBoundedMap } from '../../src/kit/bounded-map.ts';

const keysOf = (map: ReturnType<typeof createBoundedMap<number>>): readonly string[] =>
  [...map.entries()].map(([key]) => key);

it('drops the entries that were set longest ago, beyond its number of entries', () => {
  const map = createBoundedMap<number>({ maxCount: 2 });
  for (const key of ['a', 'b', 'a', 'c']) map.set(key, 1);
  expect(keysOf(map)).toEqual(['a', 'c']);
  expect([map.get('a'), map.get('b'), map.size]).toEqual([1, undefined, 2]);
});

it('drops the entries that were set longest ago, beyond the weight of all', () => {
  const map = createBoundedMap<number>({ maxWeight: 10, weightOf: (_key, value) => value });
  for (const [key, value] of [
    ['a', 4],
    ['b', 4],
    ['c', 4],
  ] as const)
    map.set(key, value);
  expect(keysOf(map)).toEqual(['b', 'c']);
  map.set('b', 1);
  map.set('d', 5);
  expect(keysOf(map)).toEqual(['c', 'b', 'd']);
  map.delete('c');
  map.set('e', 4);
  expect(keysOf(map)).toEqual(['b', 'd', 'e']);
});

it('does not keep an entry that is too heavy by itself', () => {
  const map = createBoundedMap<number>({ maxWeight: 10, weightOf: (_key, value) => value });
  map.set('a', 11);
  expect(map.size).toBe(0);
  map.set('b', 10);
  expect(keysOf(map)).toEqual(['b']);
});

it('forgets nothing by deleting what it does not have', () => {
  const map = createBoundedMap<number>({ maxWeight: 10, weightOf: (_key, value) => value });
  map.set('a', 6);
  map.delete('b');
  map.set('c', 5);
  expect(keysOf(map)).toEqual(['c']);
});
