import { describe, expect, it } from 'vitest';
import type { TokenRow } from '../../src/db/schema.ts';
import { type Findings, judgeList } from '../../src/inventory/looks.ts';
import { tokenList as list, upstreamToken as token } from '../support/upstream-token.ts';

// What a list says about the inventory, decided apart from any I/O.

const BEGUN = 10_000_000;
const MINUTE = 60_000;
const row = (values: Partial<TokenRow> = {}): TokenRow => ({
  workspace_uuid: 'w',
  token_id: 'tok-1',
  owner_issuer: 'i',
  owner_subject: 's',
  marker: null,
  create_event_id: null,
  created_at: BEGUN - MINUTE,
  expires_at: null,
  revoked_at: null,
  ended_by: null,
  unseen_at: null,
  owner_label: null,
  owner_mac: null,
  token_prefix: null,
  fingerprint: null,
  fingerprint_key_id: null,
  suspended_by: null,
  name: null,
  scopes: null,
  lifetime_seconds: null,
  role: null,
  policy_version: null,
  replaces: null,
  replaced_by: null,
  rotation_event_id: null,
  retires_at: null,
  expiry_notice_at: null,
  last_used_at: null,
  usage_seen_at: null,
  usage_sweeps: null,
  usage_since: null,
  usage_doubted_at: null,
  ...values,
});
const rows = (count: number, values: Partial<TokenRow> = {}) =>
  Array.from({ length: count }, (_item, index) => row({ token_id: `tok-${index}`, ...values }));
const found = (findings: Findings) => ({
  seen: findings.seen,
  unseen: findings.unseen,
  gone: findings.gone.map(({ token_id }) => token_id),
  ended: findings.ended.map(({ token_id }) => token_id),
  reappeared: findings.reappeared.map(({ token_id }) => token_id),
  appeared: findings.appeared.map(({ id }) => id),
});
const NOTHING = { seen: [], unseen: [], gone: [], ended: [], reappeared: [], appeared: [] };
const judged = (known: readonly TokenRow[], listed: Parameters<typeof judgeList>[1]['list']) =>
  found(judgeList(known, { list: listed, begunAtMs: BEGUN }));

describe('a token that a complete list lacks', () => {
  it.each([
    ['is unseen, the first time', row(), { unseen: ['tok-1'] }],
    ['is still unseen before a minute is over', row({ unseen_at: BEGUN - MINUTE + 1 }), {}],
    ['is gone when two lists a minute apart agree', row({ unseen_at: BEGUN - MINUTE }), { gone: ['tok-1'] }],
    ['is not even missed within a minute of its create', row({ created_at: BEGUN - MINUTE + 1 }), {}],
    ['is not missed where it was made while the list was on its way', row({ created_at: BEGUN }), {}],
    ['is nothing to an older list than the one that missed it', row({ unseen_at: BEGUN + 1 }), {}],
    ['is missed though it has expired: our clock proves nothing', row({ expires_at: 1 }), { unseen: ['tok-1'] }],
    ['is nothing new where PipeOps acknowledged its revoke', row({ revoked_at: 5, ended_by: 'acknowledged' }), {}],
    ['is nothing new where it is absent already', row({ revoked_at: 5, ended_by: 'absent' }), {}],
    [
      'is missed where a list once said that it is revoked',
      row({ revoked_at: 5, ended_by: 'listed' }),
      { unseen: ['tok-1'] },
    ],
    ['is missed where its end was never proven', row({ revoked_at: 5 }), { unseen: ['tok-1'] }],
  ])('%s', (_name, known, expected) => {
    expect(judged([known], list([]))).toEqual({ ...NOTHING, ...expected });
  });

  it('is missed by two passes of several pages as well', () => {
    const pages = { ...list([]), pages: 3 };
    expect(judged([row({ unseen_at: BEGUN - MINUTE })], pages).gone).toEqual(['tok-1']);
  });
});

it('an incomplete list that lacks a token says nothing about it', () => {
  const findings = judgeList([row({ unseen_at: 1 })], { list: list([], false), begunAtMs: BEGUN });
  expect(found(findings)).toEqual(NOTHING);
  expect([findings.isNoProof, findings.askAlone]).toEqual([true, []]);
});

describe('a token that a list shows', () => {
  it.each([
    ['is nothing new', row(), token(), {}],
    ['is seen again', row({ unseen_at: BEGUN - 1 }), token(), { seen: ['tok-1'] }],
    ['is not seen by an older list than the one that missed it', row({ unseen_at: BEGUN + 1 }), token(), {}],
    ['has ended where it is revoked', row(), token({ isRevoked: true }), { ended: ['tok-1'] }],
    ['has ended as before', row({ revoked_at: 1, ended_by: 'listed' }), token({ isRevoked: true }), {}],
    ['has ended as before', row({ revoked_at: 1, ended_by: 'acknowledged' }), token({ isRevoked: true }), {}],
    [
      'reappears a minute after its end',
      row({ revoked_at: BEGUN - MINUTE, ended_by: 'absent' }),
      token(),
      { reappeared: ['tok-1'] },
    ],
    [
      'reappears a minute after its revoke',
      row({ revoked_at: BEGUN - MINUTE, ended_by: 'acknowledged' }),
      token(),
      { reappeared: ['tok-1'] },
    ],
    [
      'reappears after an end that was never proven',
      row({ revoked_at: BEGUN - MINUTE }),
      token(),
      { reappeared: ['tok-1'] },
    ],
    ['lags, until a minute is over', row({ revoked_at: BEGUN - MINUTE + 1, ended_by: 'acknowledged' }), token(), {}],
    [
      'does not reappear where it has expired',
      row({ revoked_at: 1, ended_by: 'absent' }),
      token({ isExpired: true }),
      {},
    ],
    [
      'reappears though it is suspended',
      row({ revoked_at: 1, ended_by: 'absent' }),
      token({ isActive: false }),
      { reappeared: ['tok-1'] },
    ],
  ])('%s', (_name, known, listed, expected) => {
    expect(judged([known], list([listed]))).toEqual({ ...NOTHING, ...expected });
    const partial = { ...list([listed], false) };
    expect(judged([known], partial), 'in a partial list').toEqual({ ...NOTHING, ...expected });
  });
});

const MARKED = token({ name: 'n-csgn-aaaaaaaaaaaaaaaa' });
describe('a listed token appeared', () => {
  it.each([
    ['where the inventory lacks it', [], token(), undefined, true],
    ['not where the inventory has it', [row()], token(), undefined, false],
    ['not where it is revoked already', [], token({ isRevoked: true }), undefined, false],
    ['not where a row of ours holds its marker', [], MARKED, new Set(['-csgn-aaaaaaaaaaaaaaaa']), false],
    ['where its name merely looks like one of ours', [], MARKED, new Set(['-csgn-bbbbbbbbbbbbbbbb']), true],
    ['for all that is known, where nobody asked whose its marker is', [], MARKED, undefined, true],
  ])('%s', (_name, known, listed, markers, appeared) => {
    const findings = judgeList(known, { list: list([listed]), begunAtMs: BEGUN }, markers);
    expect(findings.appeared).toEqual(appeared ? [listed] : []);
  });
});

describe('a list that lacks too much at once proves nothing', () => {
  const missed = { unseen_at: BEGUN - MINUTE };
  it.each([
    ['all of three', rows(3), 0, true],
    ['two of two: that may be', rows(2), 0, false],
    ['three of five', rows(5), 2, true],
    ['three of six: no more than half', rows(6), 3, false],
    ['four of seven', rows(7), 3, true],
    ['tokens that were revoked here are not expected', rows(4, { revoked_at: 5, ended_by: 'acknowledged' }), 0, false],
    ['nor those that have expired', rows(4, { expires_at: BEGUN }), 0, false],
    ['nor those that were made meanwhile', rows(4, { created_at: BEGUN }), 0, false],
  ])('%s', (_name, known, listedCount, isNoProof) => {
    const listed = known.slice(0, listedCount).map(({ token_id: id }) => token({ id }));
    const findings = judgeList(known, { list: list(listed), begunAtMs: BEGUN });
    expect(findings.isNoProof).toBe(isNoProof);
    expect(isNoProof ? found(findings) : NOTHING).toEqual(NOTHING);
  });

  it('and has the missing tokens asked for one by one, first those that were missed before', () => {
    const known = [...rows(6), row({ token_id: 'due', ...missed }), row({ token_id: 'soon', unseen_at: BEGUN - 1 })];
    const { askAlone } = judgeList(known, { list: list([]), begunAtMs: BEGUN });
    expect(askAlone[0]).toBe('due');
    expect(askAlone.toSorted()).toEqual(['due', ...rows(6).map(({ token_id }) => token_id)].toSorted());
  });

  it('and begins with another token each time, since nobody remembers those that are there', () => {
    const first = (begunAtMs: number) => judgeList(rows(6), { list: list([]), begunAtMs }).askAlone[0];
    expect(new Set([0, 1, 2, 3, 4, 5].map((ms) => first(BEGUN + ms))).size).toBe(6);
  });

  it('but the tokens that it shows count', () => {
    const known = [...rows(4), row({ token_id: 'seen', ...missed }), row({ token_id: 'over' })];
    const shown = [token({ id: 'seen' }), token({ id: 'over', isRevoked: true }), token({ id: 'new' })];
    expect(judged(known, list(shown))).toEqual({ ...NOTHING, seen: ['seen'], ended: ['over'], appeared: ['new'] });
  });
});
