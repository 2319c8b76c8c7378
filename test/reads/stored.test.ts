import { describe, expect, it } from 'vitest';
import { SNAPSHOT_STORE_MAX_BYTES } from '../../src/config/limits.ts';
import { byteLength } from '../../src/kit/bytes.ts';
import { readStored, storedBody } from '../../src/reads/snapshot.ts';
import { tokenList, upstreamToken } from '../support/upstream-token.ts';

const list = tokenList([upstreamToken()]);
const stored = (body: unknown) => readStored({ generation: 1, begun_at: 2, body: JSON.stringify(body) });
const read = (body: unknown) => stored(body)?.list;

describe('a list that D1 kept', () => {
  it.each(['complete', 'partial', 'unproven'] as const)('is read as it was stored: %s', (state) => {
    const kept = { ...list, complete: state === 'complete', state, pages: 3, total: 9 };
    expect(stored(JSON.parse(storedBody(kept) ?? ''))).toEqual({ list: kept, generation: 1, begunAtMs: 2 });
  });

  it('is stored if it fits into a row, to the byte', () => {
    const named = (bytes: number) => tokenList([upstreamToken({ name: 'é'.repeat(4) + 'x'.repeat(bytes - 8) })]);
    const overhead = byteLength(JSON.stringify(named(8))) - 8;
    const longest = SNAPSHOT_STORE_MAX_BYTES - overhead;
    expect(storedBody(named(longest))).not.toBeNull();
    expect(storedBody(named(longest + 1))).toBeNull();
  });

  it.each([
    ['complete', true, 'complete'],
    ['partial', false, 'partial'],
  ])('is read where an earlier version stored it: %s', (_case, complete, state) => {
    const { pages: _pages, state: _state, ...older } = { ...list, complete };
    expect(read(older)).toEqual({ ...list, complete, state, pages: 1 });
  });

  it.each([
    ['a word for its state that nobody knows', { ...list, state: 'whole' }],
    ['no tokens', { ...list, tokens: undefined }],
    ['nothing', null],
  ])('is none where it has %s', (_case, body) => {
    expect(stored(body)).toBeNull();
  });
});
