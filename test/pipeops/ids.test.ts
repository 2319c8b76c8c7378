import { describe, expect, it } from 'vitest';
import { isTokenId, isWorkspaceUuid } from '../../src/pipeops/ids.ts';

const accepted = ['tok-1', 'token-123', '5877a4ae-0d0c-4f6c-9a4c-5d2f2f9b0b11', 'a', 'a..b', 'a~_.-', 'a'.repeat(128)];

const refused = [
  '',
  '.',
  '..',
  '../tokens',
  '-a',
  'a/b',
  'a\\b',
  'a%2fb',
  '%2e%2e',
  'a?b',
  'a#b',
  'a b',
  'a\n',
  'a\u0000',
  'a;b',
  'a@b',
  'é',
  'a'.repeat(129),
  `sat_${'a'.repeat(20)}`,
  'eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.c2ln',
];

describe('the shape of an id', () => {
  it.each(accepted)('%j is one', (text) => {
    expect([isTokenId(text), isWorkspaceUuid(text)]).toEqual([true, true]);
  });

  it.each(refused)('%j is none', (text) => {
    expect([isTokenId(text), isWorkspaceUuid(text)]).toEqual([false, false]);
  });
});
