import { describe, expect, it } from 'vitest';
import { readStored, storedBody } from '../../src/reads/snapshot.ts';
import { tokenList, upstreamToken } from '../support/upstream-token.ts';

const list = tokenList([upstreamToken()]);
const read = (body: unknown) => readStored({ generation: 1, begun_at: 2, body: JSON.stringify(body) })?.list;

describe('a list that D1 kept', () => {
  it('is read as it was stored', () => {
    const partial = { ...list, complete: false, state: 'unproven', pages: 3, total: 9 } as const;
    expect(read(JSON.parse(storedBody(partial) ?? ''))).toEqual(partial);
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
    expect(read(body)).toBeUndefined();
  });
});
