import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isElsewhere, isTokenId, isWithin, parseWorkspaceUuid, workspaceAsRead } from '../../src/kit/ids.ts';

const WORKSPACE = '5877a4ae-0d0c-4f6c-9a4c-5d2f2f9b0b11';
const DIGITS = WORKSPACE.replaceAll('-', '');
const OTHER = '5877a4ae-0d0c-4f6c-9a4c-5d2f2f9b0b12';

const accepted = ['tok-1', 'token-123', WORKSPACE, 'a', 'a..b', 'a~_.-', 'a'.repeat(128)];

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
    expect([isTokenId(text), parseWorkspaceUuid(text)]).toEqual([true, text]);
  });

  it.each(refused)('%j is none', (text) => {
    expect([isTokenId(text), parseWorkspaceUuid(text)]).toEqual([false, null]);
  });
});

describe('a workspace', () => {
  it.each([
    ['as RFC 9562 has it', WORKSPACE],
    ['in capitals', WORKSPACE.toUpperCase()],
    ['in mixed case', '5877A4ae-0d0C-4f6c-9a4C-5d2F2f9b0b11'],
    ['without hyphens', DIGITS],
    ['in capitals without hyphens', DIGITS.toUpperCase()],
    ['without one hyphen', WORKSPACE.replace('-', '')],
    ['with a hyphen in an odd place', `5877-${DIGITS.slice(4)}`],
    ['with a hyphen behind it', `${WORKSPACE}-`],
    ['as a URN', `urn:uuid:${WORKSPACE}`],
    ['as a URN in capitals', `URN:UUID:${WORKSPACE.toUpperCase()}`],
    ['in braces', `{${WORKSPACE}}`],
    ['in braces and capitals', `{${WORKSPACE.toUpperCase()}}`],
  ])('is one value %s', (_spelling, text) => {
    expect(parseWorkspaceUuid(text)).toBe(WORKSPACE);
  });

  it.each([
    ['a URN of something else', `urn:oid:${WORKSPACE}`],
    ['a URN of a UUID that lacks a digit', `urn:uuid:${WORKSPACE.slice(0, -1)}`],
    ['a URN of an id that is no UUID', 'urn:uuid:shop'],
    ['a URN in braces', `{urn:uuid:${WORKSPACE}}`],
    ['braces in a URN', `urn:uuid:{${WORKSPACE}}`],
    ['a brace that is not closed', `{${WORKSPACE}`],
    ['braces around nothing', '{}'],
    ['round brackets', `(${WORKSPACE})`],
    ['quotation marks', `"${WORKSPACE}"`],
    ['a space before it', ` ${WORKSPACE}`],
    ['a line feed behind it', `${WORKSPACE}\n`],
    ['underscores for hyphens, in braces', `{${WORKSPACE.replaceAll('-', '_')}}`],
    ['digits of another script', WORKSPACE.replace('0', '٠')],
    ['letters of another script', WORKSPACE.replace('a', 'а')],
    ['a hyphen that is longer', WORKSPACE.replace('-', '–')],
  ])('is not %s', (_name, text) => {
    expect(parseWorkspaceUuid(text)).toBeNull();
    expect(workspaceAsRead(text)).toBe(text);
  });

  it.each([
    ['a digit less', WORKSPACE.slice(0, -1)],
    ['a digit more', `${WORKSPACE}0`],
    ['a letter beyond f', WORKSPACE.replace('a', 'g')],
    ['underscores', WORKSPACE.replaceAll('-', '_')],
    ['a word in capitals', 'Shop'],
    ['32 letters in capitals', 'ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEF'],
  ])('is opaque where it is no UUID: %s', (_name, text) => {
    expect(parseWorkspaceUuid(text)).toBe(text);
  });
});

/** A UUID in one of its spellings: each digit in either case, each hyphen there or not, maybe in something. */
const spelled = fc
  .record({
    uuid: fc.uuid({ version: [1, 2, 3, 4, 5, 6, 7, 8] }),
    capitals: fc.array(fc.boolean(), { minLength: 36, maxLength: 36 }),
    hyphens: fc.array(fc.boolean(), { minLength: 36, maxLength: 36 }),
    wrapped: fc.constantFrom(
      (text: string) => text,
      (text: string) => `urn:uuid:${text}`,
      (text: string) => `{${text}}`,
    ),
  })
  .map(({ uuid, capitals, hyphens, wrapped }) => ({
    uuid,
    text: wrapped(
      uuid
        .split('')
        .filter((character, index) => character !== '-' || hyphens[index])
        .map((character, index) => (capitals[index] ? character.toUpperCase() : character))
        .join(''),
    ),
  }));

describe('every spelling', () => {
  it('of one workspace gives one value, and those of another give another', () => {
    fc.assert(
      fc.property(spelled, spelled, (one, other) => {
        expect(parseWorkspaceUuid(one.text)).toBe(one.uuid);
        expect(parseWorkspaceUuid(one.uuid)).toBe(one.uuid);
        expect(parseWorkspaceUuid(one.text) === parseWorkspaceUuid(other.text)).toBe(one.uuid === other.uuid);
        expect([isWithin(one.uuid, one.text), isElsewhere(one.uuid, one.text)]).toEqual([true, false]);
        expect(isElsewhere(one.uuid, other.text)).toBe(one.uuid !== other.uuid);
      }),
      { numRuns: 500 },
    );
  });

  it('two ids are one only where both are the same UUID, and reading an id again changes nothing', () => {
    const near = fc.string({ unit: fc.constantFrom('0', 'a', 'A', 'f', 'g', '-', '.'), minLength: 30, maxLength: 38 });
    fc.assert(
      fc.property(fc.oneof(near, fc.string()), fc.oneof(near, fc.string()), (one, other) => {
        const [first, second] = [parseWorkspaceUuid(one), parseWorkspaceUuid(other)];
        expect(parseWorkspaceUuid(first ?? '')).toBe(first);
        const areOne = first !== null && first === second && one !== other;
        const digits = one.replaceAll('-', '').toLowerCase();
        const isSameUuid = /^[0-9a-f]{32}$/.test(digits) && digits === other.replaceAll('-', '').toLowerCase();
        expect(areOne).toBe(isSameUuid && one !== other);
      }),
      { numRuns: 1000 },
    );
  });
});

describe('the workspace that an answer of PipeOps names', () => {
  it.each([
    ['this one', WORKSPACE, [true, false]],
    ['this one in capitals', WORKSPACE.toUpperCase(), [true, false]],
    ['this one without hyphens', DIGITS, [true, false]],
    ['another', OTHER, [false, true]],
    ['another without hyphens, in capitals', OTHER.replaceAll('-', '').toUpperCase(), [false, true]],
    ['a number of a database', '4711', [false, false]],
    ['what is no id', '[redacted]', [false, false]],
    ['nothing', null, [false, false]],
  ])('is %s', (_name, id, expected) => {
    expect([isWithin(WORKSPACE, id), isElsewhere(WORKSPACE, id)]).toEqual(expected);
  });

  it('says nothing where one is no UUID, unless both are equal', () => {
    expect([isWithin('shop', WORKSPACE), isElsewhere('shop', WORKSPACE)]).toEqual([false, false]);
    expect([isWithin('shop', 'shop'), isElsewhere('shop', 'shop')]).toEqual([true, false]);
  });
});
