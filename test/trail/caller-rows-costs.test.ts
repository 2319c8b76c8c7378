import { env } from 'cloudflare:workers';
import { beforeEach, describe, expect, it } from 'vitest';
import { CALLER_IDLE_MAX_ROWS } from '../../src/config/limits.ts';
import { createHarness, ISSUER, TOKENS, type Harness } from '../support/harness.ts';
import { noteSecret } from '../support/secrets.ts';
import { rowsOfSubject } from './caller-rows.ts';
import { meteredD1, RANDOM_ID } from './query/trail.ts';

// Counting a caller's rows of a minute reads little more than those rows, however long the trail is, whoever else writes, and
// however the clocks ran before.

const MINUTE_MS = 60_000;
/** Two spans of events, one span for each 128 events of the minute, and as many rows again for their index. */
const READ_MAX = 600;

const { db, batches } = meteredD1();
let harness: Harness;
let subject: string;
let nowMs = Date.UTC(2028, 0, 1, 12, 0, 30);
beforeEach(async () => {
  // No other test writes in this hour.
  nowMs += 60 * MINUTE_MS;
  harness = await createHarness({ db, runtime: { now: () => nowMs } });
  subject = crypto.randomUUID();
});

const append = async (count: number, of: string, atMs: (index: number) => number): Promise<void> => {
  const times = Array.from({ length: count }, (_, index) => atMs(index));
  await env.DB.prepare(
    `insert into audit_events (id, occurred_at, settled_at, action, status, actor_type, actor_issuer, actor_subject, detail)
     select ${RANDOM_ID}, value, value, 'audit.export', 'success', 'user', ?1, ?2, '{}' from json_each(?3)`,
  )
    .bind(ISSUER, of, JSON.stringify(times))
    .run();
};

/** What the most expensive statement of a request reads. */
async function send(method: string, path: string, body?: object) {
  const jwt = await harness.issuer.sign({ sub: subject, role: 'admin' }, { nowMs });
  noteSecret(jwt);
  batches.length = 0;
  const answer = await harness.send(method, path, { jwt, ...(body !== undefined && { body }) });
  return { status: answer.status, rowsRead: Math.max(...batches.flatMap((batch) => batch.rowsRead)) };
}

const REQUESTS = [
  { name: 'a create', method: 'POST', path: TOKENS, status: 201, body: { name: 'deploy', scopes: ['api:read'] } },
  { name: 'a read of the trail', method: 'GET', path: '/api/v1/audit/events?limit=1', status: 200, body: undefined },
  { name: 'an export', method: 'GET', path: '/api/v1/audit/export?action=auth.reject', status: 200, body: undefined },
  {
    name: 'a denial',
    method: 'GET',
    path: `/api/v1/audit/events/${crypto.randomUUID()}`,
    status: 404,
    body: undefined,
  },
];

describe.each(REQUESTS)('$name', ({ method, path, status, body }) => {
  it('of a caller with thousands of rows before this minute', async () => {
    await append(3_000, subject, (index) => nowMs - 3_100_000 + index * 1_000);
    const sent = await send(method, path, body);
    expect(sent.status).toBe(status);
    expect(sent.rowsRead).toBeLessThan(READ_MAX);
  });

  it('beside thousands of rows that others add in this minute', async () => {
    await append(5_000, crypto.randomUUID(), () => nowMs);
    const sent = await send(method, path, body);
    expect(sent.status).toBe(status);
    expect(sent.rowsRead).toBeLessThan(READ_MAX);
  });

  it('after a clock that ran a year ahead: what it left is of no minute that comes before', async () => {
    await append(CALLER_IDLE_MAX_ROWS, subject, () => nowMs + 365 * 24 * 60 * MINUTE_MS);
    expect((await send(method, path, body)).status).toBe(status);
    expect((await rowsOfSubject(subject)).at(-1)).toMatchObject({ occurred_at: nowMs, count: 1 });
  });

  it('by a clock that runs an hour behind', async () => {
    await append(3_000, subject, (index) => nowMs + index * 1_000);
    nowMs -= 30 * MINUTE_MS;
    expect((await send(method, path, body)).status).toBe(status);
  });
});

it('rows of one subject that two issuers know are counted by issuer, in whatever order they come', async () => {
  const other = 'https://other.example';
  for (let pair = 0; pair < CALLER_IDLE_MAX_ROWS; pair += 1) {
    await append(1, subject, () => nowMs);
    await env.DB.prepare(
      `insert into audit_events (id, occurred_at, settled_at, action, status, actor_type, actor_issuer, actor_subject, detail)
       values (?, ?, 1, 'audit.export', 'success', 'user', ?, ?, '{}')`,
    )
      .bind(crypto.randomUUID(), nowMs, other, subject)
      .run();
  }
  expect((await send('GET', '/api/v1/audit/export')).status).toBe(429);
});
