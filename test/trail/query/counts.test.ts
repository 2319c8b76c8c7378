import { env } from 'cloudflare:workers';
import { beforeAll, describe, expect, it } from 'vitest';
import { createDatabase } from '../../../src/db/database.ts';
import type { AuditEventRow } from '../../../src/db/schema.ts';
import { newTrace } from '../../../src/kit/trace.ts';
import { readCounts, selectCounts } from '../../../src/trail/query/counts.ts';
import { NO_FILTER } from '../../../src/trail/query/filter.ts';
import { COUNTED_BY, type CountedBy } from '../../../src/trail/query/params.ts';
import { workerRuntime } from '../../../src/worker-runtime.ts';
import { rowsOf } from '../../security/expectations.ts';
import { detailOf } from '../../support/audit-detail.ts';
import { type Answer, createHarness, type Harness } from '../../support/harness.ts';
import { insertRows, OPEN } from './trail.ts';
import { expectUnauthenticRows } from '../../support/state-secret.ts';

// Rows are inserted as if requests had written them.
expectUnauthenticRows();

const COUNTS = '/api/v1/audit/counts';
const ISSUER = 'https://issuer.example';
const WORKSPACE = 'c0000000-0000-4000-8000-000000000001';
const REQUEST = 'the-request-of-all';
const HOUR_MS = 60 * 60 * 1000;
const DAY_MS = 24 * HOUR_MS;
const BEGIN_MS = Date.UTC(2026, 0, 10);
/** Of the days on which the rows of this test were, and on which no query of it is. */
const TIMES = 'from=2026-01-10T00:00:00Z&to=2026-01-20T00:00:00Z';

const at = (days: number, ms = 0) => ({ occurred_at: BEGIN_MS + days * DAY_MS + ms });
const ALICE = { actor_issuer: ISSUER, actor_subject: 'auth0|7' };
const ROWS: readonly Partial<AuditEventRow>[] = [
  { ...at(0), ...ALICE, actor_label: 'alice@old.example', action: 'service_account_token.create' },
  { ...at(0, DAY_MS - 1), ...ALICE, actor_label: 'alice@acme.example', read_key: 'a' },
  { ...at(1), ...ALICE, action: 'service_account_token.revoke', status: 'failure', error_code: 'forbidden' },
  // The same subject of others, and a label and a subject that say they are the first.
  { ...at(1), actor_issuer: 'https://other.example', actor_subject: 'auth0|7', read_key: 'b' },
  { ...at(1), actor_type: 'webhook', actor_subject: 'auth0|7', action: 'webhook.receive' },
  { ...at(2), actor_issuer: ISSUER, actor_subject: 'mallory', actor_label: `${ISSUER}|auth0|7` },
  { ...at(2), actor_issuer: ISSUER, actor_subject: `${ISSUER}|auth0|7`, status: 'failure', error_code: 'forbidden' },
  // Nobody has a subject: the service itself, and strangers with a JWT of a known issuer.
  { ...at(3), actor_type: 'system', action: 'credential.renew' },
  { ...at(3), actor_type: 'system', action: 'auth.reject', status: 'failure', error_code: 'invalid_token' },
  {
    ...at(3),
    actor_type: 'system',
    actor_issuer: ISSUER,
    action: 'auth.reject',
    status: 'failure',
    error_code: 'invalid_token',
  },
  { ...at(4), actor_issuer: ISSUER, actor_subject: 'carol', ...OPEN, action: 'service_account_token.create' },
];
/** How often the reads of a key were made. */
const COUNTED: Readonly<Record<string, number>> = { a: 40, b: 3 };
const timesOf = ({ read_key }: Partial<AuditEventRow>): number => COUNTED[read_key ?? ''] ?? 1;

let harness: Harness;
beforeAll(async () => {
  harness = await createHarness();
  await insertRows(ROWS.map((row) => ({ ...row, request_id: REQUEST })));
  await env.DB.batch(
    Object.entries(COUNTED).map(([key, count]) =>
      env.DB.prepare('update audit_events set count = ?, last_at = occurred_at where read_key = ?').bind(count, key),
    ),
  );
});

interface Count {
  readonly key: string;
  readonly count: number;
  readonly label?: string;
}
const ask = async (query: string): Promise<Answer> => await harness.send('GET', `${COUNTS}?${query}`);
const countsOf = async (query: string): Promise<Count[]> => {
  const answer = await ask(`${query}&${TIMES}`);
  expect([answer.status, answer.body.partial]).toEqual([200, undefined]);
  return answer.body.data;
};

describe('a key', () => {
  /** The filter that gives the events of a key. */
  const filterOf = (by: CountedBy, key: string): Record<string, string> => {
    if (by !== 'day' && by !== 'hour') return { [by]: key };
    const spanMs = by === 'day' ? DAY_MS : HOUR_MS;
    const from = by === 'day' ? `${key}T00:00:00Z` : key;
    return { from, to: new Date(Date.parse(from) + spanMs).toISOString() };
  };

  it.each(COUNTED_BY)('is the filter that gives the events which were counted by it: %s', async (by) => {
    const counts = await countsOf(`by=${by}`);
    expect(counts.length).toBeGreaterThan(1);
    for (const { key, count } of counts) {
      const times = Object.fromEntries(new URLSearchParams(TIMES));
      const filter = new URLSearchParams({ ...times, ...filterOf(by, key), limit: '200' });
      const { body } = await harness.send('GET', `/api/v1/audit/events?${filter.toString()}`);
      const sum = body.data.reduce((total: number, event: { count: number }) => total + event.count, 0);
      expect([key, sum]).toEqual([key, count]);
    }
    const isCounted = ({ error_code }: Partial<AuditEventRow>): boolean =>
      by !== 'code' || typeof error_code === 'string';
    const all = ROWS.filter(isCounted).reduce((total, row) => total + timesOf(row), 0);
    expect(counts.reduce((total, { count }) => total + count, 0)).toBe(all);
  });
});

describe('the counts', () => {
  it('of actors have the label that each had last', async () => {
    expect(await countsOf('by=actor')).toEqual([
      { key: `${ISSUER}|auth0|7`, count: 42, label: 'alice@acme.example' },
      { key: 'https://other.example|auth0|7', count: 3 },
      { key: '|', count: 2 },
      { key: `${ISSUER}|`, count: 1 },
      { key: `${ISSUER}|carol`, count: 1 },
      { key: `${ISSUER}|${ISSUER}|auth0|7`, count: 1 },
      { key: `${ISSUER}|mallory`, count: 1, label: `${ISSUER}|auth0|7` },
      { key: '|auth0|7', count: 1 },
    ]);
  });

  it('of days begin with the newest, and leave out days without events', async () => {
    const counts = await countsOf('by=day');
    expect(counts.map(({ key, count }) => [key, count])).toEqual([
      ['2026-01-14', 1],
      ['2026-01-13', 3],
      ['2026-01-12', 2],
      ['2026-01-11', 5],
      ['2026-01-10', 41],
    ]);
  });

  it('of hours begin with the newest, and leave out hours without events', async () => {
    const counts = await countsOf('by=hour&action=!service_account_token.revoke');
    expect(counts.map(({ key, count }) => [key, count])).toEqual([
      ['2026-01-14T00:00:00Z', 1],
      ['2026-01-13T00:00:00Z', 3],
      ['2026-01-12T00:00:00Z', 2],
      ['2026-01-11T00:00:00Z', 4],
      ['2026-01-10T23:00:00Z', 40],
      ['2026-01-10T00:00:00Z', 1],
    ]);
  });

  it('of anything else have no label, and begin with the largest', async () => {
    expect(await countsOf('by=status')).toEqual([
      { key: 'success', count: 47 },
      { key: 'failure', count: 4 },
      { key: 'attempted', count: 1 },
    ]);
  });

  it('answer who is denied most', async () => {
    expect(await countsOf('by=actor&code=forbidden')).toEqual([
      { key: `${ISSUER}|auth0|7`, count: 1 },
      { key: `${ISSUER}|${ISSUER}|auth0|7`, count: 1 },
    ]);
  });

  it('of nothing are none', async () => {
    expect(await countsOf('by=action&action=status.read')).toEqual([]);
    expect(await countsOf('by=status&action=status.read,!status.read')).toEqual([]);
  });

  it('are themselves in the trail, with what was asked', async () => {
    const answer = await ask(`by=code&token_id=tok-1&workspace_uuid=${WORKSPACE}&scope=api:full&action=!audit.query`);
    expect(await rowsOf(answer)).toMatchObject([
      {
        action: 'audit.count',
        status: 'success',
        token_id: 'tok-1',
        workspace_uuid: WORKSPACE,
        detail: detailOf(harness, { by: 'code', action: ['!audit.query'], scope: 'api:full' }),
      },
    ]);
  });

  it.each([
    ['by', ''],
    ['by', 'by=ip'],
    ['by', 'by=action&by=actor'],
    ['limit', 'by=action&limit=10'],
    ['cursor', 'by=action&cursor=c2VxOjQx'],
    ['status', 'by=action&status=done'],
  ])('of what is not understood are 400, naming %s: %s', async (name, query) => {
    const answer = await ask(query);
    expect([answer.status, Object.keys(answer.body.errors)]).toEqual([400, [name]]);
  });
});

describe('of a trail that is longer than may be looked at', () => {
  const database = createDatabase(env.DB, workerRuntime);
  const countWithin = async (maxRows: number) => {
    const filter = { ...NO_FILTER, requestId: REQUEST };
    const read = await database.batch({ trace: newTrace() }, [selectCounts(database, filter, 'status', maxRows)]);
    if (!read.ok) throw new Error(read.error);
    return readCounts(read.value[0], 'status', maxRows);
  };

  it('only the newest events are counted, and that is said', async () => {
    const { counts, isPartial } = await countWithin(3);
    expect([counts, isPartial]).toEqual([
      [
        { key: 'failure', count: 2 },
        { key: 'attempted', count: 1 },
        { key: 'success', count: 1 },
      ],
      true,
    ]);
  });

  it('all are counted that may be, and then it is not said', async () => {
    expect((await countWithin(ROWS.length - 1)).isPartial).toBe(true);
    expect((await countWithin(ROWS.length)).isPartial).toBe(false);
  });

  it('no more keys are given than a person reads', () => {
    const rows = Array.from({ length: 201 }, (_, n) => ({ key: `k${n}`, count: 1, label: null, looked: 201 }));
    expect(readCounts(rows, 'action').counts).toHaveLength(200);
    const uncounted = { key: null, count: 5, label: null, looked: 100_001 };
    expect(readCounts([uncounted, ...rows], 'action')).toMatchObject({ isPartial: true, counts: { length: 200 } });
    expect(readCounts([{ ...uncounted, looked: 100_000 }], 'action')).toEqual({ counts: [], isPartial: false });
  });
});
