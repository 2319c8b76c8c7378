import { UnsecuredJWT } from 'jose';
import { describe, expect, it } from 'vitest';
import {
  CREDENTIAL_END_SLACK_MS,
  CREDENTIAL_EXCHANGE_TIMEOUT_MS,
  CREDENTIAL_LEASE_MS,
  CREDENTIAL_PAUSE_MS,
} from '../../src/config/credential-limits.ts';
import { D1_TIMEOUT_MS, SETTLE_TIMEOUT_MS } from '../../src/config/limits.ts';
import { dueAtMs, expiryOf, judgeRenewal, lossOf } from '../../src/credential/chain.ts';
import type { ChainRow } from '../../src/db/schema.ts';

const NOW = 1_800_000_000_000;
const HOUR = 3_600_000;
const CLIENT = 'client-1';
const row = (change: Partial<ChainRow> = {}): ChainRow => ({
  chain: 'chain-1',
  client: CLIENT,
  counter: 1,
  sealed: 'jwe',
  issued_at: NOW - HOUR,
  expires_at: NOW + HOUR,
  attempt_id: null,
  tried_at: NOW - HOUR,
  lease_until: NOW - HOUR,
  failed: null,
  lost: null,
  lost_at: null,
  ...change,
});

describe('a credential is due', () => {
  it.each<[string, number | null, number | null, number | null]>([
    ['at four fifths of its life', NOW, NOW + 10 * HOUR, NOW + 8 * HOUR],
    ['at once, where it does not say when it began', null, NOW + HOUR, 0],
    ['at once, where it ends before it begins', NOW + HOUR, NOW, 0],
    ['when PipeOps refuses it, where it does not say when it ends', NOW, null, null],
  ])('%s', (_, issuedAtMs, expiresAtMs, due) => {
    expect(dueAtMs({ issuedAtMs, expiresAtMs })).toBe(due);
  });
});

describe('a new credential ends', () => {
  const jwt = (exp: number): string => new UnsecuredJWT({ exp: exp / 1000 }).encode();
  it.each<[string, string, number | null, number | null]>([
    ['when PipeOps says', 'opaque', 60, NOW + 60_000],
    ['when it says itself', jwt(NOW + HOUR), null, NOW + HOUR],
    ['at the earlier of the two', jwt(NOW + HOUR), 60, NOW + 60_000],
    ['at the earlier of the two, whichever that is', jwt(NOW + 30_000), 60, NOW + 30_000],
    ['at no time that is known', 'opaque', null, null],
  ])('%s', (_, token, seconds, end) => {
    expect(expiryOf(token, seconds, NOW)).toBe(end);
  });
});

describe('whether a refresh token is presented', () => {
  const young = { issuedAtMs: NOW, expiresAtMs: NOW + HOUR };
  const due = { issuedAtMs: NOW - 9 * HOUR, expiresAtMs: NOW + HOUR };
  const over = { issuedAtMs: NOW - 9 * HOUR, expiresAtMs: NOW - CREDENTIAL_END_SLACK_MS };
  const justOver = { issuedAtMs: NOW - 9 * HOUR, expiresAtMs: NOW - CREDENTIAL_END_SLACK_MS + 1 };
  const endless = { issuedAtMs: NOW, expiresAtMs: null };
  const claimed = { attempt_id: 'e-1', lease_until: NOW - 1 };
  const lost = { attempt_id: 'e-1', lost: 'outcome_unknown' } as const;

  it.each<[string, ChainRow | null, typeof young | typeof endless, boolean, string | null]>([
    ['never renewed and young', null, young, false, null],
    ['never renewed and due', null, due, false, 'due'],
    ['never renewed and refused', null, young, true, 'refused'],
    ['without an end', null, endless, false, null],
    ['without an end, refused', null, endless, true, 'refused'],
    ['young', row(), young, false, null],
    ['due', row(), due, false, 'due'],
    ['over', row(), over, false, 'due'],
    ['refused', row(), young, true, 'refused'],
    ['due, and tried a moment ago', row({ tried_at: NOW - CREDENTIAL_PAUSE_MS + 1 }), due, false, null],
    ['refused, and tried a moment ago', row({ tried_at: NOW - CREDENTIAL_PAUSE_MS + 1 }), due, true, null],
    ['due, and tried five minutes ago', row({ tried_at: NOW - CREDENTIAL_PAUSE_MS }), due, false, 'due'],
    ['due, and tried by a clock that was far ahead', row({ tried_at: NOW + HOUR }), due, false, 'due'],
    ['due, and under way', row({ ...claimed, lease_until: NOW + 1 }), due, false, null],
    ['over, and under way', row({ ...claimed, lease_until: NOW + 1 }), over, true, null],
    ['due, and claimed by one that died', row(claimed), due, false, null],
    ['refused, and claimed by one that died', row(claimed), due, true, 'ended'],
    ['over, and claimed by one that died', row(claimed), over, false, 'ended'],
    ['perhaps over, and claimed by one that died', row(claimed), justOver, false, null],
    [
      'over, and claimed by a clock that was ahead',
      row({ ...claimed, lease_until: NOW + CREDENTIAL_LEASE_MS + 1 }),
      over,
      false,
      'ended',
    ],
    ['of unknown outcome', row(lost), due, false, null],
    ['of unknown outcome, and over', row(lost), over, false, 'ended'],
    ['of unknown outcome, and over, and tried a moment ago', row({ ...lost, tried_at: NOW }), over, false, null],
    ['refused by PipeOps', row({ lost: 'refused' }), over, true, null],
    ['refused by PipeOps, to another client', row({ lost: 'refused', client: 'other' }), due, false, 'due'],
    ['rolled back', row({ lost: 'rolled_back' }), over, true, null],
    ['replaced', row({ lost: 'replaced' }), over, true, null],
  ])('%s', (_, chain, access, isRefused, presented) => {
    expect(judgeRenewal(chain, CLIENT, access, isRefused, NOW)).toBe(presented);
  });
});

describe('a chain is lost', () => {
  it.each<[string, ChainRow | null, object | null]>([
    ['never, where it has no row', null, null],
    ['not while it goes on', row(), null],
    ['not while its exchange is under way', row({ attempt_id: 'e-1', lease_until: NOW + 1 }), null],
    [
      'since the lease of its exchange ended',
      row({ attempt_id: 'e-1', lease_until: NOW - 5 }),
      { because: 'outcome_unknown', sinceMs: NOW - 5 },
    ],
    ['as its row says', row({ lost: 'refused', lost_at: NOW - 7 }), { because: 'refused', sinceMs: NOW - 7 }],
    ['not for another client', row({ lost: 'refused', client: 'other' }), null],
  ])('%s', (_, chain, loss) => {
    expect(lossOf(chain, CLIENT, NOW)).toEqual(loss);
  });
});

it('the lease of an exchange is longer than all that happens under it', () => {
  expect(CREDENTIAL_LEASE_MS).toBeGreaterThan(D1_TIMEOUT_MS + CREDENTIAL_EXCHANGE_TIMEOUT_MS + 2 * SETTLE_TIMEOUT_MS);
});
