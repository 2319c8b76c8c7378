import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { containsMarkerShape, markerOf, newMarker, stripMarker, withMarker } from '../../src/kit/marker.ts';

const MARKER = '-csgn-abcdefghijklmn27';
const from = (first: number) => (length: number) => Uint8Array.from({ length }, (_, index) => first + index);
const bytes = fc.uint8Array({ minLength: 16, maxLength: 16 });

it('is made of nothing but the random bytes it is given', () => {
  expect(newMarker(from(0))).toBe('-csgn-abcdefghijklmnop');
  expect(newMarker(from(240))).toBe('-csgn-qrstuvwxyz234567');
});

it('differs from one create to the next', () => {
  const markers = Array.from({ length: 1000 }, () =>
    newMarker((length) => crypto.getRandomValues(new Uint8Array(length))),
  );
  expect(new Set(markers).size).toBe(1000);
});

it('comes off again and leaves the name as it was', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), bytes, (name, random) => {
      const marker = newMarker(() => random);
      const upstream = withMarker(name, marker);
      expect(markerOf(upstream)).toBe(marker);
      expect(stripMarker(upstream)).toBe(name);
      expect(containsMarkerShape(upstream)).toBe(true);
    }),
  );
});

describe('a name of PipeOps', () => {
  it.each([
    ['without a marker', 'shop', null, 'shop'],
    ['that is a marker', MARKER, MARKER, ''],
    ['with two markers', `shop${MARKER}${MARKER}`, MARKER, `shop${MARKER}`],
    ['with a marker inside', `shop${MARKER} copy`, null, `shop${MARKER} copy`],
    ['with a marker before a line break', `shop${MARKER}\n`, null, `shop${MARKER}\n`],
    ['with one character too few', MARKER.slice(0, -1), null, MARKER.slice(0, -1)],
    ['with one character too many', `${MARKER}a`, null, `${MARKER}a`],
    ['with a character that is none of base32', MARKER.replace('a', '1'), null, MARKER.replace('a', '1')],
    ['in capitals', MARKER.toUpperCase(), null, MARKER.toUpperCase()],
  ])('%s', (_case, name, marker, stripped) => {
    expect(markerOf(name)).toBe(marker);
    expect(stripMarker(name)).toBe(stripped);
  });
});

describe('text of the shape of a marker', () => {
  it.each([
    ['at the end', `shop${MARKER}`, true],
    ['alone', MARKER, true],
    ['inside', `a${MARKER}b`, true],
    ['in capitals, since PipeOps might fold them', MARKER.toUpperCase(), true],
    ['on a second line', `a\n${MARKER}`, true],
    ['too short', MARKER.slice(0, -1), false],
    ['with a space', MARKER.replace('e', ' '), false],
    ['none', 'shop', false],
  ])('%s', (_case, text, expected) => {
    expect(containsMarkerShape(text)).toBe(expected);
  });

  it('is never completed by the marker that follows it', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^.{0,3}(-csgn(-[a-z2-7]{0,15})?)$/), bytes, (name, random) => {
        fc.pre(!containsMarkerShape(name));
        expect(
          stripMarker(
            withMarker(
              name,
              newMarker(() => random),
            ),
          ),
        ).toBe(name);
      }),
    );
  });
});
