import { describe, expect, it } from 'vitest';
import type { AuditEventRow } from '../../src/db/schema.ts';
import { createMac } from '../../src/kit/mac.ts';
import { createRowMacs, recordedMac, settledMac } from '../../src/trail/row-macs.ts';
import { auditRow } from './audit-row.ts';

const mac = createMac(new TextEncoder().encode('state-secret-of-all-tests-000000'), 'audit-event/v1');
const macs = createRowMacs({ mac, adoptUntilMs: null, now: () => 0 });

const withMac = (row: AuditEventRow): AuditEventRow => ({ ...row, recorded_mac: recordedMac(mac, row) });
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

const RECORDED = [
  ...(['id', 'occurred_at', 'action', 'actor_type', 'actor_issuer', 'actor_subject', 'actor_label'] as const),
  ...(['workspace_uuid', 'request_id', 'ip', 'user_agent', 'detail', 'marker', 'recorded_mac'] as const),
] as const;
const SETTLED_COLUMNS = ['id', 'status', 'settled_at', 'token_id', 'upstream_status', 'error_code', 'outcome'] as const;

describe('a row of the trail', () => {
  it.each<[string, AuditEventRow]>([
    ['an open attempt', OPEN],
    ['an attempt that was settled', SETTLED],
    ['an attempt whose outcome D1 has made', settle(OPEN, '{"order":"o"}', null)],
    [
      'a create, which gets its token when it is settled',
      settle(
        { ...withMac({ ...OPEN, action: 'service_account_token.create', token_id: null }), token_id: 'new' },
        '{}',
      ),
    ],
    ['an attempt that D1 has recorded, with a settlement', settle({ ...OPEN, recorded_mac: null }, '{}')],
    ['a final row', FINAL],
    ['a counted one that has grown and is closed', { ...FINAL, count: 5, last_at: 9, closed_at: 10 }],
    ['a row without a MAC, which claims nothing', auditRow()],
    [
      'text that UTF-8 does not have, as D1 gives it back',
      { ...withMac({ ...OPEN, user_agent: '\ud800' }), user_agent: '\ufffd' },
    ],
  ])('may be sealed as it is: %s', (_case, row) => {
    expect(macs.isUntouched(row)).toBe(true);
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
      'an attempt that D1 has recorded is settled otherwise',
      changed(settle({ ...OPEN, recorded_mac: null }, '{}'), SETTLED_COLUMNS),
    ],
    ['a final row is changed', changed(FINAL, [...RECORDED, ...SETTLED_COLUMNS, 'token_name', 'read_key'])],
    ['a final row becomes an open attempt', [{ ...FINAL, status: 'attempted' }]],
    ['an attempt becomes a final row', [{ ...OPEN, status: 'success', settled_at: 1, settled_mac: null }]],
  ])('is not authentic where %s', (_case, rows) => {
    const taken = rows.filter((row) => macs.isUntouched(row));
    expect(taken).toEqual([]);
  });

  it('that is final is no attempt to act on', () => {
    expect(
      [OPEN, SETTLED, FINAL, { ...FINAL, status: 'attempted' as const }].map((row) => macs.isAuthentic(row)),
    ).toEqual([true, true, false, false]);
  });
});
