import { describe, expect, it } from 'vitest';
import { SNAPSHOT_LIST_WEIGHT_TOKENS } from '../../src/config/limits.ts';
import { createSnapshotMemory, type DatedList } from '../../src/reads/snapshot.ts';
import { tokenList, upstreamToken } from '../support/upstream-token.ts';

const TOKEN = upstreamToken();
const listOf = (tokens: number, begunAtMs = 1): DatedList => ({
  list: tokenList(Array.from({ length: tokens }, () => TOKEN)),
  generation: 0,
  begunAtMs,
});
const weights = (...tokens: readonly number[]): number =>
  tokens.reduce((sum, count) => sum + count + SNAPSHOT_LIST_WEIGHT_TOKENS, 0);

describe('what an isolate holds', () => {
  it('is bounded by the tokens of all lists, whatever the number of workspaces', () => {
    const memory = createSnapshotMemory(weights(100, 100, 100));
    for (const name of ['a', 'b', 'c', 'd']) memory.put(name, listOf(100));
    expect(['a', 'b', 'c', 'd'].map((name) => memory.get(name, 0) !== null)).toEqual([false, true, true, true]);
  });

  it('loses first what was looked at longest ago', () => {
    const memory = createSnapshotMemory(weights(100, 100, 100));
    for (const name of ['a', 'b', 'c']) memory.put(name, listOf(100));
    memory.get('a', 0);
    memory.put('d', listOf(100));
    expect(['a', 'b'].map((name) => memory.get(name, 0) !== null)).toEqual([true, false]);
  });

  it('gives several small ones up for a large one', () => {
    const memory = createSnapshotMemory(weights(300));
    for (const name of ['a', 'b', 'c']) memory.put(name, listOf(50));
    memory.put('large', listOf(300));
    expect(['a', 'b', 'c', 'large'].map((name) => memory.get(name, 0) !== null)).toEqual([false, false, false, true]);
  });

  it('does not hold one that is longer than all of it', () => {
    const memory = createSnapshotMemory(weights(300));
    memory.put('too long', listOf(301));
    expect(memory.get('too long', 0)).toBeNull();
    memory.put('a', listOf(300));
    expect(memory.get('a', 0)).not.toBeNull();
  });

  it('counts empty lists too', () => {
    const memory = createSnapshotMemory(weights(0, 0));
    for (const name of ['a', 'b', 'c']) memory.put(name, listOf(0));
    expect(memory.get('a', 0)).toBeNull();
    expect(memory.get('c', 0)).not.toBeNull();
  });

  it('counts a list once that takes the place of another, and none that was dropped', () => {
    const memory = createSnapshotMemory(weights(100, 100));
    for (const begunAtMs of [1, 2, 3]) memory.put('a', listOf(100, begunAtMs));
    memory.put('b', listOf(100));
    expect(memory.get('a', 3)).not.toBeNull();
    memory.drop('a');
    memory.drop('a');
    memory.put('c', listOf(100));
    expect(['b', 'c'].map((name) => memory.get(name, 0) !== null)).toEqual([true, true]);
  });

  it('is the list that was begun last, and none that is older than is wanted', () => {
    const memory = createSnapshotMemory();
    memory.put('a', listOf(1, 20));
    memory.put('a', listOf(2, 10));
    expect(memory.get('a', 20)?.list.tokens).toHaveLength(1);
    expect(memory.get('a', 21)).toBeNull();
  });
});
