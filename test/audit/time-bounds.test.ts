import { env } from 'cloudflare:workers';
import { beforeAll, expect, it } from 'vitest';
import { NO_FILTER } from '../../src/audit/event-filter.ts';
import { readScan, selectEvents } from '../../src/audit/select-events.ts';
import { AUDIT_DISORDER_MS } from '../../src/config/limits.ts';
import { createDatabase } from '../../src/db/database.ts';
import type { AuditEventRow } from '../../src/db/schema.ts';
import { newTrace } from '../../src/request-context.ts';
import { workerRuntime } from '../../src/worker-runtime.ts';
import { insertRows } from './trail.ts';

const database = createDatabase(env.DB, workerRuntime);
const BEGIN_MS = Date.UTC(2026, 0, 1);
const ROWS = 400;
let trail: AuditEventRow[] = [];
beforeAll(async () => {
  // A row a second. Every other one was a minute on its way to the database, or nearly.
  const rows = Array.from({ length: ROWS }, (_item, index) => ({
    occurred_at: BEGIN_MS + index * 1_000 - (index % 2 === 0 ? 0 : AUDIT_DISORDER_MS - 1),
  }));
  for (let first = 0; first < ROWS; first += 50) await insertRows(rows.slice(first, first + 50));
  trail = (await env.DB.prepare('select * from audit_events order by seq').all<AuditEventRow>()).results;
});

it.each([
  ['from', 'asc'],
  ['to', 'desc'],
] as const)('no row is lost that was a minute late: %s', async (edge, order) => {
  for (let second = -70; second < ROWS + 70; second += 7) {
    const ms = BEGIN_MS + second * 1_000;
    const filter = { ...NO_FILTER, ...(edge === 'from' ? { fromMs: ms } : { toMs: ms }) };
    const query = selectEvents(database, filter, { order, seq: null }, ROWS);
    const read = await database.batch({ trace: newTrace() }, [query]);
    expect(read.ok).toBe(true);
    const found = read.ok ? readScan(read.value[0], ROWS).events.map(({ seq }) => seq) : [];
    const expected = trail.filter((row) => (edge === 'from' ? row.occurred_at >= ms : row.occurred_at < ms));
    expect(found.toSorted((a, b) => a - b)).toEqual(expected.map(({ seq }) => seq));
  }
});
