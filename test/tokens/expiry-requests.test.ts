import { describe, expect, it } from 'vitest';
import { accepted, create, LEAST, NOW_MS, refused } from './parsing.ts';

const DAY_MS = 24 * 60 * 60 * 1000;
const MAX_DAYS = 3650;
const at = (ms: number): string => new Date(ms).toISOString();

// Now is 2026-03-01T12:00:00.000Z.
describe('the expiry of a create, in UTC with milliseconds', () => {
  it.each([
    ['expires_at', '2026-03-01T12:00:00.001Z', '2026-03-01T12:00:00.001Z'],
    ['expires_at', '2026-03-02T01:30:00+05:30', '2026-03-01T20:00:00.000Z'],
    ['expires_at', '2026-03-01T11:00:00-01:30', '2026-03-01T12:30:00.000Z'],
    ['expires_at', '2028-02-29T00:00:00.123456789Z', '2028-02-29T00:00:00.123Z'],
    ['expires_at', '2026-03-02 01:30:00', '2026-03-02T01:30:00.000Z'],
    ['expires_at', at(NOW_MS + MAX_DAYS * DAY_MS), at(NOW_MS + MAX_DAYS * DAY_MS)],
    ['expires_in', '1s', at(NOW_MS + 1000)],
    ['expires_in', '90m', '2026-03-01T13:30:00.000Z'],
    ['expires_in', '12h', '2026-03-02T00:00:00.000Z'],
    ['expires_in', '30d', '2026-03-31T12:00:00.000Z'],
    ['expires_in', '2w', '2026-03-15T12:00:00.000Z'],
    ['expires_in', 1, '2026-03-02T12:00:00.000Z'],
    ['expires_in', 3650, at(NOW_MS + MAX_DAYS * DAY_MS)],
  ])('%s %s', (field, value, expected) => {
    expect(accepted(create({ ...LEAST, [field]: value })).expiresAt).toBe(expected);
  });
});

describe('expiries that are refused: 422', () => {
  const past = 'Use a time in the future.';
  const tooFar = 'Use a time at most 3650 days ahead.';
  const noTime = 'Use a time in RFC 3339, such as "2030-01-31T12:00:00Z".';
  const noDuration = 'Use a whole number and s, m, h, d or w, such as "30d", or a whole number of days.';

  it.each([
    ['now', 'expires_at', at(NOW_MS), past],
    ['past', 'expires_at', '2026-03-01T11:59:59.999Z', past],
    ['past by its offset', 'expires_at', '2026-03-01T13:00:00+01:00', past],
    ['the year 0', 'expires_at', '0000-01-01T00:00:00Z', past],
    ['too far ahead', 'expires_at', at(NOW_MS + MAX_DAYS * DAY_MS + 1), tooFar],
    ['the end of time', 'expires_at', '9999-12-31T23:59:59-23:59', noTime],
    ['a year of five digits', 'expires_at', '+12026-01-01T00:00:00Z', noTime],
    ['a time without offset', 'expires_at', '2026-04-01T00:00:00', noTime],
    ['a day alone', 'expires_at', '2026-04-01', noTime],
    ['a day that is not', 'expires_at', '2027-02-29T00:00:00Z', noTime],
    ['a day that is not, as PipeOps writes it', 'expires_at', '2026-04-31 00:00:00', noTime],
    ['an hour that is not', 'expires_at', '2026-04-01T24:00:00Z', noTime],
    ['a leap second', 'expires_at', '2026-06-30T23:59:60Z', noTime],
    ['an HTTP date', 'expires_at', 'Wed, 01 Apr 2026 00:00:00 GMT', noTime],
    ['spaces around', 'expires_at', ' 2026-04-01T00:00:00Z', noTime],
    ['a line break behind', 'expires_at', '2026-04-01T00:00:00Z\n', noTime],
    ['seconds since the epoch', 'expires_at', 1_800_000_000, noTime],
    ['an empty duration', 'expires_in', '0d', past],
    ['no days', 'expires_in', 0, past],
    ['a negative number', 'expires_in', -1, past],
    ['a day too many', 'expires_in', 3651, tooFar],
    ['a second too many', 'expires_in', '315360001s', tooFar],
    ['a huge whole number', 'expires_in', Number.MAX_SAFE_INTEGER, tooFar],
    ['a number beyond exactness', 'expires_in', 1e300, noDuration],
    ['a fraction', 'expires_in', 1.5, noDuration],
    ['digits without unit', 'expires_in', '30', noDuration],
    ['an unknown unit', 'expires_in', '1y', noDuration],
    ['a unit in capitals', 'expires_in', '30D', noDuration],
    ['a negative duration', 'expires_in', '-30d', noDuration],
    ['a fraction of a unit', 'expires_in', '1.5d', noDuration],
    ['two units', 'expires_in', '1d12h', noDuration],
    ['more digits than any duration has', 'expires_in', `${'9'.repeat(400)}d`, noDuration],
    ['digits of another script', 'expires_in', '٣d', noDuration],
    ['an inherited name as unit', 'expires_in', '1constructor', noDuration],
    ['a list', 'expires_in', ['30d'], noDuration],
    ['true', 'expires_in', true, noDuration],
  ])('%s', (_case, field, value, message) => {
    expect(refused(create({ ...LEAST, [field]: value }), 'validation_failed')).toEqual({ [field]: [message] });
  });

  it('a number that JSON cannot hold', () => {
    const body = '{"name":"a","scopes":["b"],"expires_in":1e400}';
    expect(refused(create(body), 'validation_failed')).toEqual({ expires_in: [noDuration] });
  });

  it.each([
    ['30d', '2026-03-31T12:00:00Z'],
    [30, '2026-03-31T12:00:00Z'],
  ])('two forms together, even of the same time: %s and %s', (within, time) => {
    const errors = refused(create({ ...LEAST, expires_in: within, expires_at: time }), 'validation_failed');
    const message = 'Give "expires_at" or "expires_in", not both.';
    expect(errors).toEqual({ expires_at: [message], expires_in: [message] });
  });
});
