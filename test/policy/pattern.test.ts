import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { matchesPattern } from '../../src/policy/bindings.ts';

describe('a value matches', () => {
  test.each([
    ['acme/shop', 'acme/shop'],
    ['refs/heads/release-*', 'refs/heads/release-1.2'],
    ['refs/heads/release-*', 'refs/heads/release-'],
    ['refs/heads/*', 'refs/heads/main'],
    ['repo:acme/*:ref:refs/heads/main', 'repo:acme/shop:ref:refs/heads/main'],
    ['*@acme.example', 'ada@acme.example'],
    ['a*b*c', 'abbc'],
    ['a*b*c', 'a-b-b-c'],
    ['*', 'anything'],
    ['**', 'anything'],
    ['*/*', 'a/b'],
    ['*ab', 'aab'],
    ['a*a', 'aa'],
  ])('%s ← %s', (pattern, value) => expect(matchesPattern(pattern, value)).toBe(true));
});

describe('a value does not match', () => {
  test.each([
    ['acme/shop', 'acme/shopper', 'is longer'],
    ['acme/shop', 'Acme/shop', 'differs in case'],
    ['refs/heads/*', 'refs/heads/feature/x', 'holds a / where the * is'],
    ['repo:acme/*', 'repo:acme/shop:pull_request', 'holds a : where the * is'],
    ['*', 'a/b', 'holds a / where the * is'],
    ['*', 'a:b', 'holds a : where the * is'],
    ['*/*', 'a/b/c', 'has one / more'],
    ['a/*', 'a', 'lacks the /'],
    ['a*a', 'a', 'is too short for prefix and suffix'],
    ['a*b*c', 'a-c', 'lacks a piece'],
    ['a*b*c', 'acb', 'has the pieces in another order'],
    ['main*', 'xmain', 'has something in front'],
    ['*main', 'mainx', 'has something behind'],
    ['acme.shop', 'acmeXshop', 'is no regular expression’s match'],
    ['acme/[a-z]*', 'acme/shop', 'is no glob’s character class'],
    ['', '', 'is empty'],
    ['*', '', 'is empty'],
  ])('%s ← %s: it %s', (pattern, value) => expect(matchesPattern(pattern, value)).toBe(false));
});

const piece = fc.string({ unit: fc.constantFrom('a', 'b', '-', '/', ':'), maxLength: 6 });
const plain = fc.string({ unit: fc.constantFrom('a', 'b', '-'), maxLength: 6 });

test('a * stands for anything without / and :, and for nothing else', () => {
  fc.assert(
    fc.property(
      fc.array(piece, { minLength: 2, maxLength: 4 }),
      fc.array(plain, { minLength: 3, maxLength: 3 }),
      (pieces, fills) => {
        const value = pieces.map((text, index) => `${index === 0 ? '' : fills[index - 1]}${text}`).join('');
        fc.pre(value !== '');
        expect(matchesPattern(pieces.join('*'), value)).toBe(true);
      },
    ),
  );
});

test('it agrees with the equivalent regular expression, which would backtrack', () => {
  const pattern = fc.string({ unit: fc.constantFrom('a', 'b', '/', ':', '*', '*'), maxLength: 8 });
  const value = fc.string({ unit: fc.constantFrom('a', 'b', '/', ':'), minLength: 1, maxLength: 8 });
  fc.assert(
    fc.property(pattern, value, (wanted, actual) => {
      const expression = new RegExp(`^${wanted.replaceAll('*', '[^/:]*')}$`);
      expect(matchesPattern(wanted, actual)).toBe(expression.test(actual));
    }),
    { numRuns: 2_000 },
  );
});
