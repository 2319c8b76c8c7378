import { describe, expect, it } from 'vitest';
import type { AuditEventRow } from '../../../src/db/schema.ts';
import { entryOfRow } from '../../../src/trail/log/facts.ts';
import { changed, GOOD, idOf, verify } from './judging.ts';
import { AFTER_MS, EVENTS, exportOf, openRow, putLog, rowOf, rowsOf, smallLog, trailerOf } from './small-log.ts';

// What verifying finds in the rows of an export.

describe('a changed row', () => {
  const CHANGES: readonly (readonly [field: string, seq: number, change: Partial<AuditEventRow>])[] = [
    ['id', 8, { id: '00000000-0000-4000-8000-ffffffffffff' }],
    ['occurred_at', 8, { occurred_at: rowOf(8).occurred_at - 1 }],
    ['settled_at', 8, { settled_at: rowOf(8).occurred_at + 1 }],
    ['action', 8, { action: 'subject.unblock' as never }],
    ['status', 8, { status: 'failure' }],
    ['count', 8, { count: 2 }],
    ['actor.type', 8, { actor_type: 'system' }],
    ['actor.issuer', 8, { actor_issuer: null }],
    ['actor.subject', 8, { actor_subject: 'somebody-else' }],
    ['actor.label', 8, { actor_label: 'Zoe\u0308 8' }],
    ['workspace_uuid', 8, { workspace_uuid: null }],
    ['token_id', 10, { token_id: 'token-11' }],
    ['token_name', 10, { token_name: null }],
    ['request_id', 8, { request_id: '' }],
    ['ip', 8, { ip: '192.0.2.8' }],
    ['user_agent', 8, { user_agent: 'curl/9' }],
    ['upstream_status', 10, { upstream_status: 200 }],
    ['error_code', 11, { error_code: 'not_found' }],
    ['detail.scopes', 8, { detail: rowOf(8).detail.replace('api:read', 'api:full') }],
    ['detail.role', 10, { outcome: '{"role":"admin"}' }],
  ];

  it.each(CHANGES)('is caught by its %s', async (field, seq, change) => {
    const { words, first, exitCode } = await verify({ ...(await smallLog()), lines: exportOf(changed(seq, change)) });
    expect({ words, exitCode }).toEqual({
      words: ['integrity wrong', 'completeness good', 'freshness good'],
      exitCode: 1,
    });
    expect(first).toMatchObject({ kind: 'row_changed', seq, difference: { field } });
  });

  it('is told with what was sealed and what the export says, shortened, and without a secret', async () => {
    const secret = 'sat_AbCdEfGhIjKlMnOpQrStUvWxYz0123456789';
    const { first } = await verify({
      ...(await smallLog()),
      lines: exportOf(changed(12, { user_agent: `${secret}\u001b[2J${'x'.repeat(500)}` })),
    });
    expect(first?.message).toContain(
      `Event 12 (${idOf(12)}) was changed after its seal: user_agent was sealed as "curl/8" (entry `,
    );
    expect(first?.message).toContain('[redacted]');
    expect(first?.message).not.toContain(secret.slice(0, 20));
    expect(first?.message.length).toBeLessThan(300);
  });

  it('is caught on an attempt whose settlement is not sealed yet', async () => {
    const rows = changed(290, openRow(rowOf(290)));
    const log = await smallLog(EVENTS, rows);
    const swapped = rows.map((row) => (row.seq === 290 ? { ...row, ip: '192.0.2.9' } : row));
    expect((await verify({ ...log, lines: exportOf(swapped) })).first).toMatchObject({
      kind: 'row_changed',
      seq: 290,
      difference: { field: 'ip' },
    });
  });

  it('is caught if it is a closed row that grew', async () => {
    const { first } = await verify({
      ...(await smallLog()),
      lines: exportOf(changed(14, { count: 9, last_at: rowOf(14).occurred_at + 59_000 })),
    });
    expect(first).toMatchObject({
      kind: 'row_changed',
      seq: 14,
      difference: { field: 'count', sealed: '3', exported: '9' },
    });
  });

  it('is named first by its number, and counted with the others', async () => {
    const rows = rowsOf(1, EVENTS).map((row) => (row.seq > 40 && row.seq < 44 ? { ...row, ip: null } : row));
    const { faults } = await verify({ ...(await smallLog()), lines: exportOf(rows) });
    expect(faults).toMatchObject([{ fault: { seq: 41 }, count: 3 }]);
  });
});

describe('a row that is gone', () => {
  it('is caught in the middle', async () => {
    const { words, first } = await verify({
      ...(await smallLog()),
      lines: exportOf(rowsOf(1, EVENTS).filter(({ seq }) => seq !== 120)),
    });
    expect(words).toEqual(['integrity good', 'completeness wrong', 'freshness good']);
    expect(first).toMatchObject({ kind: 'row_dropped', seq: 120, id: idOf(120) });
  });

  it.each([true, false])('is caught at the head, after its seal (export of all rows: %s)', async (isLatest) => {
    const { first, words } = await verify({ ...(await smallLog()), lines: exportOf(rowsOf(1, 297)) }, { isLatest });
    expect(words).toContain('completeness wrong');
    expect(first).toMatchObject({ kind: 'row_dropped', seq: 298, id: idOf(298) });
    expect(first?.message).toContain('The export ends with event 297');
  });

  it('is caught where it never had a seal and a later one is there', async () => {
    const rows = rowsOf(1, EVENTS).filter(({ seq }) => seq !== 294 && seq !== 295);
    const log = await smallLog(290);
    expect((await verify({ ...log, lines: exportOf(rows) })).first).toMatchObject({ kind: 'not_dense', seq: 294 });
  });

  it('is not caught at the head before its seal', async () => {
    const log = await smallLog(290);
    expect((await verify({ ...log, lines: exportOf(rowsOf(1, 292)) })).words).toEqual(GOOD);
  });

  it('cannot be told from one that may still change, where the export ends before such rows', async () => {
    const rows = changed(300, openRow(rowOf(300)));
    const log = await smallLog(EVENTS, rows);
    const { words, exitCode, first } = await verify({ ...log, lines: exportOf(rowsOf(1, 299)) }, { isLatest: false });
    expect({ words, exitCode }).toEqual({
      words: ['integrity good', 'completeness unknown', 'freshness good'],
      exitCode: 2,
    });
    expect(first).toMatchObject({ kind: 'export_held', seq: 300 });
  });
});

describe('a row that was put in', () => {
  it('is caught at or below the sealed seq', async () => {
    const log = await smallLog(
      EVENTS,
      rowsOf(1, EVENTS).filter(({ seq }) => seq !== 120),
    );
    const { words, first } = await verify({ ...log, lines: exportOf(rowsOf(1, EVENTS)) });
    expect(words).toContain('completeness wrong');
    expect(first).toMatchObject({ kind: 'row_not_sealed', seq: 120, id: idOf(120) });
  });

  it('is caught as an attempt, which is sealed as soon as it is recorded', async () => {
    const log = await smallLog(
      EVENTS,
      rowsOf(1, EVENTS).filter(({ seq }) => seq !== 295),
    );
    expect((await verify({ ...log, lines: exportOf(changed(295, openRow(rowOf(295)))) })).first).toMatchObject({
      kind: 'row_not_sealed',
      seq: 295,
    });
  });

  it('is caught under a number that another row has', async () => {
    const rows = rowsOf(1, EVENTS);
    rows.splice(120, 0, { ...rowOf(120), id: 'another' });
    expect((await verify({ ...(await smallLog()), lines: exportOf(rows) })).first).toMatchObject({
      kind: 'row_repeated',
      seq: 120,
      id: 'another',
    });
  });

  it.each([0, -7])('is caught below the first number, at %i', async (seq) => {
    const rows = [{ ...rowOf(3), seq, id: 'put-in' }, ...rowsOf(1, EVENTS)];
    expect((await verify({ ...(await smallLog()), lines: exportOf(rows) })).faults).toEqual([
      { count: 1, fault: expect.objectContaining({ kind: 'row_not_sealed', judgement: 'wrong', seq, id: 'put-in' }) },
    ]);
  });

  it('is caught by a forged number, and soon', async () => {
    const rows = [...rowsOf(1, EVENTS), { ...rowOf(301), seq: 2 ** 52 }];
    expect((await verify({ ...(await smallLog()), lines: exportOf(rows) })).first).toMatchObject({
      kind: 'not_dense',
      seq: 301,
    });
  });

  it('is caught as unauthentic by the seal itself', async () => {
    const log = await smallLog();
    const entries = rowsOf(1, EVENTS).map((row) =>
      entryOfRow(row.read_key === null ? 'final' : 'counted', row, row.seq !== 33),
    );
    await putLog(log, 1, entries);
    expect((await verify(log)).first).toMatchObject({ kind: 'unauthentic', seq: 33, id: idOf(33) });
  });
});

describe('an attempt', () => {
  const DAYS = 3 * 24 * 60 * 60 * 1000;
  const late = (row: AuditEventRow): AuditEventRow => ({
    ...row,
    occurred_at: row.occurred_at + DAYS,
    settled_at: row.occurred_at + DAYS,
    last_at: null,
    count: 1,
    read_key: null,
  });

  it('is wrong without a settlement beyond its time', async () => {
    const rows = [...changed(50, openRow(rowOf(50))), ...rowsOf(301, 310).map(late)];
    const { words, first } = await verify(await smallLog(310, rows), { nowMs: AFTER_MS + DAYS });
    expect(words).toContain('completeness wrong');
    expect(first).toMatchObject({ kind: 'never_settled', seq: 50, id: idOf(50) });
  });

  it('is good without one within its time', async () => {
    expect((await verify(await smallLog(EVENTS, changed(50, openRow(rowOf(50)))))).words).toEqual(GOOD);
  });

  it('is wrong if it was settled long ago and that was never sealed', async () => {
    const log = await smallLog(EVENTS, changed(50, openRow(rowOf(50))));
    expect((await verify({ ...log, lines: exportOf(rowsOf(1, EVENTS)) })).first).toMatchObject({
      kind: 'settlement_not_sealed',
      seq: 50,
    });
  });

  it('is wrong if an entry of a clock that ran ahead does not make it late', async () => {
    const rows = changed(50, openRow(rowOf(50)));
    const ahead = rows.map((row) => (row.seq === 299 ? { ...row, occurred_at: row.occurred_at + DAYS } : row));
    expect((await verify(await smallLog(EVENTS, ahead))).words.slice(0, 2)).toEqual(GOOD.slice(0, 2));
    // Also once that time has come, for whoever verifies the files of before.
    expect((await verify(await smallLog(EVENTS, ahead), { nowMs: AFTER_MS + 2 * DAYS })).words).toEqual(GOOD);
  });
});

describe('an export', () => {
  const lines = exportOf(rowsOf(1, EVENTS));
  it.each<[string, readonly string[]]>([
    ['without its last line', lines.slice(0, -1)],
    ['cut within a row', [...lines.slice(0, 200), lines[200]?.slice(0, 40) ?? '']],
    ['cut, with a last line that counts other rows', [...lines.slice(0, 200), lines.at(-1) ?? '']],
    ['whose last line says that more is to come', [...lines.slice(0, -1), '{"complete":false,"count":300,"next":"c"}']],
    ['that is empty', []],
  ])('is caught %s', async (_what, given) => {
    const { words, first, exitCode } = await verify({ ...(await smallLog()), lines: [...given] });
    expect({ word: words[1], exitCode, kind: first?.kind }).toEqual({
      word: 'completeness wrong',
      exitCode: 1,
      kind: 'export_cut',
    });
    expect(first?.seq).toBe(Math.min(given.length, EVENTS - (given.length === 300 ? 0 : 0)) === 0 ? 1 : first?.seq);
  });

  it('is good in parts, one after another', async () => {
    const parts = [
      ...lines.slice(0, 100),
      '{"complete":false,"count":100,"next":"c"}',
      ...lines.slice(100, -1),
      trailerOf(200),
    ];
    expect((await verify({ ...(await smallLog()), lines: parts })).words).toEqual(GOOD);
  });
});
