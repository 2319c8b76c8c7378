import { env } from 'cloudflare:workers';
import { beforeAll, expect, it } from 'vitest';
import { AUDIT_COUNT_MAX_ROWS } from '../../../src/config/trail-limits.ts';
import { failingBatches } from '../../support/failing-batches.ts';
import { createHarness, TOKENS, type Harness } from '../../support/harness.ts';

const COUNTS = '/api/v1/audit/counts';

let harness: Harness;
beforeAll(async () => {
  harness = await createHarness();
});

it.each([
  ['the trail', '/api/v1/audit/events'],
  ['one event', `/api/v1/audit/events/${crypto.randomUUID()}`],
  ['an export', '/api/v1/audit/export'],
  ['counts', COUNTS],
  ['the life of a token', `${TOKENS}/${crypto.randomUUID()}/events`],
])('%s takes GET alone', async (_what, path) => {
  const answer = await harness.send('DELETE', path);
  expect([answer.status, answer.headers.get('Allow')]).toEqual([405, 'GET']);
});

it('counts that cannot be recorded do not leave: 503', async () => {
  const broken = await createHarness({ like: harness, db: failingBatches(() => true).db });
  const answer = await broken.send('GET', `${COUNTS}?by=action`);
  expect([answer.status, answer.body.code, answer.body.data]).toEqual([503, 'audit_unavailable', undefined]);
});

it.each([
  ['all that there are', AUDIT_COUNT_MAX_ROWS, undefined],
  ['more than may be looked at', AUDIT_COUNT_MAX_ROWS + 1, true],
])('counts say whether they are of a part of the trail: %s', async (_what, looked, partial) => {
  // D1 that says how many rows it looked at: to insert so many takes too long.
  const db = new Proxy(env.DB, {
    get: (target, key) => {
      const value: unknown = Reflect.get(target, key);
      if (key !== 'batch') return typeof value === 'function' ? value.bind(target) : value;
      return async (statements: D1PreparedStatement[]) =>
        (await target.batch<object>(statements)).map((result) => ({
          ...result,
          results: result.results.map((row) => ('looked' in row ? { ...row, looked } : row)),
        }));
    },
  });
  const { send } = await createHarness({ like: harness, db });
  const answer = await send('GET', `${COUNTS}?by=action`);
  expect([answer.status, answer.body.partial]).toEqual([200, partial]);
});

it.each(['asc', 'desc'] as const)(
  'whoever may read the trail sees the true reason of a refusal in a list, in either order: %s',
  async (order) => {
    const trail = await createHarness();
    const missing = await trail.send('DELETE', `${TOKENS}/${crypto.randomUUID()}`);
    const id = String(missing.body['event_id']);
    const [row] = (await trail.rows()).filter((one) => one.id === id);
    const list = await trail.send('GET', `/api/v1/audit/events?order=${order}&action=service_account_token.revoke`);
    const shown = (list.body.data as { id: string; detail: object }[]).find((event) => event.id === id);
    expect(list.body.message).toBe(`Audit events, ${order === 'asc' ? 'oldest' : 'newest'} first.`);
    expect(shown?.detail).toEqual({ ...JSON.parse(row?.detail ?? ''), ...JSON.parse(row?.outcome ?? '') });
    expect(shown?.detail).toHaveProperty('reason');
  },
);
