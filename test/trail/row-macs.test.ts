import { describe, expect, it } from 'vitest';
import type { AuditEventRow } from '../../src/db/schema.ts';
import { createMac } from '../../src/kit/mac.ts';
import { createRowMacs, type LeftOut, recordedMac, settledMac } from '../../src/trail/row-macs.ts';
import { auditRow } from './audit-row.ts';

const mac = createMac(new TextEncoder().encode('state-secret-of-all-tests-000000'), 'audit-event/v1');
const macs = createRowMacs({ mac, adoptUntilMs: null, now: () => 0 });

const withMac = (row: AuditEventRow, leftOut?: LeftOut): AuditEventRow => ({
  ...row,
  recorded_mac: recordedMac(mac, row, leftOut),
});
const OPEN = withMac(
  auditRow({
    status: 'attempted',
    settled_at: null,
    upstream_status: null,
    outcome: null,
    marker: '-m',
    user_agent: 'u',
  }),
);
const SETTLEMENT = { status: 'failure', settled_at: 7, upstream_status: 404, error_code: 'not_found' } as const;
const settle = (row: AuditEventRow, outcome: string, known: string | null = outcome): AuditEventRow => {
  const settled = { ...row, ...SETTLEMENT, outcome };
  return { ...settled, settled_mac: settledMac(mac, { ...settled, outcome: known }) };
};
const SETTLED = settle(OPEN, '{"a":1}');
const FINAL = withMac(auditRow({ token_name: 'deploy', outcome: '{}', read_key: 'k' }));

/** A row with each of these columns changed, one at a time. */
const changed = (row: AuditEventRow, columns: readonly (keyof AuditEventRow)[]): readonly AuditEventRow[] =>
  columns.map((column) => ({ ...row, [column]: typeof row[column] === 'number' ? row[column] + 1 : 'another' }));

const NAMED = { ...withMac(OPEN, 'name'), token_name: 'as D1 has it' };
const ORDERED = {
  ...withMac({ ...OPEN, workspace_uuid: null, token_id: null }, 'token'),
  token_id: 't',
  workspace_uuid: 'w',
};
const LIFTED = { ...withMac(FINAL, 'outcome'), outcome: '{"blocks_lifted":2}' };
const CREATE = withMac({ ...OPEN, action: 'service_account_token.create', token_id: null });
const PLAIN = auditRow({ seq: 7 });

const RECORDED = [
  ...(['id', 'occurred_at', 'action', 'actor_type', 'actor_issuer', 'actor_subject', 'actor_label'] as const),
  ...([
    'workspace_uuid',
    'token_id',
    'token_name',
    'request_id',
    'ip',
    'user_agent',
    'detail',
    'marker',
    'recorded_mac',
  ] as const),
] as const;
const SETTLED_COLUMNS = ['id', 'status', 'settled_at', 'token_id', 'upstream_status', 'error_code', 'outcome'] as const;

describe('a row of the trail', () => {
  it.each<[string, AuditEventRow]>([
    ['an open attempt', OPEN],
    ['an attempt that was settled', SETTLED],
    ['an attempt whose outcome D1 has made', settle(OPEN, '{"order":"o"}', null)],
    ['a create, which gets its token when it is settled', settle({ ...CREATE, token_id: 'new' }, '{}')],
    ['a create that is open', CREATE],
    ['an attempt that D1 has given the name of its token', NAMED],
    ['one that is settled', settle(NAMED, '{}')],
    ['the row of an order that D1 has given its token', ORDERED],
    ['one that is settled, whose settlement covers the token', settle(ORDERED, '{}')],
    ['a final row whose outcome D1 has made', LIFTED],
    ['a final row', FINAL],
    ['a counted one that has grown and is closed', { ...FINAL, count: 5, last_at: 9, closed_at: 10 }],
    [
      'text that UTF-8 does not have, as D1 gives it back',
      { ...withMac({ ...OPEN, user_agent: '\ud800' }), user_agent: '\ufffd' },
    ],
  ])('may be sealed as it is: %s', (_case, row) => {
    expect(macs.isUntouched(row, undefined)).toBe(true);
  });

  it.each<[string, readonly AuditEventRow[]]>([
    ['what was recorded of an attempt is changed', changed(OPEN, RECORDED)],
    ['the same, once it is settled', changed(SETTLED, RECORDED)],
    ['how it was settled is changed', changed(SETTLED, [...SETTLED_COLUMNS, 'settled_mac'])],
    ['the settlement loses its MAC', [{ ...SETTLED, settled_mac: null }]],
    ['an open attempt is settled without one', [{ ...OPEN, ...SETTLEMENT, outcome: '{}' }]],
    [
      'it gets the settlement of another',
      [{ ...OPEN, id: 'other' }, OPEN].map((row) => ({ ...settle(row, '{}'), id: 'other' })),
    ],
    [
      'the row of an order is changed',
      changed(
        ORDERED,
        RECORDED.filter((name) => name !== 'workspace_uuid' && name !== 'token_id'),
      ),
    ],
    ['its token is, once it is settled', changed(settle(ORDERED, '{}'), ['token_id'])],
    ['an attempt gets a token’s name', [{ ...OPEN, token_name: 'another' }]],
    ['an open create gets a token', [{ ...CREATE, token_id: 'planted' }]],
    ['an open attempt has the MAC of a settlement', [{ ...OPEN, settled_mac: SETTLED.settled_mac }]],
    ['its outcome was made by D1, and another column is changed', changed(LIFTED, RECORDED)],
    ['it has no MAC', [PLAIN, { ...OPEN, recorded_mac: null }, settle({ ...OPEN, recorded_mac: null }, '{}')]],
    [
      'its MAC names another list of what it leaves out',
      [OPEN, SETTLED, NAMED, ORDERED, FINAL, LIFTED].flatMap((row) => {
        const bare = row.recorded_mac?.replace(/^.*:/, '') ?? '';
        return ['', 'nothing:', 'name:', 'token:', 'outcome:', 'toString:', ':']
          .map((label) => ({ ...row, recorded_mac: `${label}${bare}` }))
          .filter(({ recorded_mac: text }) => text !== row.recorded_mac);
      }),
    ],
    ['a final row is changed', changed(FINAL, [...RECORDED, ...SETTLED_COLUMNS, 'token_name', 'read_key'])],
    ['a final row becomes an open attempt', [{ ...FINAL, status: 'attempted' }]],
    ['an attempt becomes a final row', [{ ...OPEN, status: 'success', settled_at: 1, settled_mac: null }]],
  ])('is not authentic where %s', (_case, rows) => {
    const taken = rows.filter((row) => macs.isUntouched(row, undefined));
    expect(taken).toEqual([]);
  });

  it('that is final, or the row of an order, is no attempt to act on', () => {
    const rows = [OPEN, SETTLED, NAMED, FINAL, { ...FINAL, status: 'attempted' as const }, ORDERED];
    expect(rows.map((row) => macs.isAuthentic(row))).toEqual([true, true, true, false, false, false]);
  });

  it('is authenticated by a MAC as rows have it that were written long ago', () => {
    const row = auditRow({ id: 'event-1', outcome: '{}' });
    expect([recordedMac(mac, row), recordedMac(mac, { ...row, status: 'attempted' }, 'name')]).toEqual([
      'jPS-9oQLYBFZWYxyE78JRU',
      'name:gn6jLN0jK3bLU3Oxe9FdT8',
    ]);
  });

  it('may be acted on and sealed, whatever it is, where there is no secret', () => {
    const none = createRowMacs({ mac: null, adoptUntilMs: null, now: () => 0 });
    const rows = [OPEN, PLAIN, changed(FINAL, ['id'])[0]!];
    expect(rows.filter((row) => none.isUntouched(row, undefined))).toEqual(rows);
    expect(rows.filter((row) => none.isAuthentic(row))).toEqual(rows);
  });

  describe('without a MAC', () => {
    let nowMs = 0;
    const adopting = createRowMacs({ mac, adoptUntilMs: 100, now: () => nowMs });
    const ORPHAN = { ...OPEN, seq: 7, recorded_mac: null };
    const OF_BEFORE = [PLAIN, ORPHAN, settle(ORPHAN, '{}')];
    const taken = (adoption: ReturnType<typeof adopting.adopt> | undefined) =>
      OF_BEFORE.filter((row) => adopting.isUntouched(row, adoption ?? undefined));

    it('counts until the adoption ends, and from then on up to where the trail had come by then', () => {
      nowMs = 99;
      expect(taken(undefined)).toEqual(OF_BEFORE);
      const [short, whole] = [adopting.adopt(6), adopting.adopt(7)];
      nowMs = 100;
      expect(taken(undefined)).toEqual([]);
      expect(taken(short)).toEqual([]);
      expect(taken(whole)).toEqual(OF_BEFORE);
      expect(adopting.adopt(8)).toBe(null);
    });

    it.each([
      [99, true],
      [100, false],
    ])('is an attempt to act on until the adoption ends: at %i', (atMs, isActedOn) => {
      nowMs = atMs;
      expect(adopting.isAuthentic(ORPHAN)).toBe(isActedOn);
    });

    it('does not count where somebody has moved the end of the adoption', () => {
      nowMs = 99;
      const adoption = adopting.adopt(6);
      nowMs = 100;
      expect(taken({ position: 7, mac: adoption?.mac ?? null })).toEqual([]);
      expect(taken({ position: 7, mac: null })).toEqual([]);
    });

    it('is settled as it was', () => {
      nowMs = 99;
      const settled = settle(ORPHAN, '{}');
      expect(changed(settled, SETTLED_COLUMNS).filter((row) => adopting.isUntouched(row, undefined))).toEqual([]);
    });

    it('is not adopted where there is no secret', () => {
      expect(createRowMacs({ mac: null, adoptUntilMs: 100, now: () => 0 }).adopt(7)).toBe(null);
    });
  });
});
