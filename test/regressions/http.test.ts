import { env } from 'cloudflare:workers';
import { UnsecuredJWT } from 'jose';
import { describe, expect, it } from 'vitest';
import { workerRuntime } from '../../src/worker-runtime.ts';
import { createHarness, TOKENS } from '../support/harness.ts';

const DOWN = {
  prepare: () => ({ bind: () => ({}) }),
  batch: async () => await Promise.reject(new Error('down')),
} as never;
const limited = { CALLER_LIMIT: { limit: async () => await Promise.resolve({ success: false }) } };
const EVENTS = '/api/v1/audit/events';

describe('Cache-Control: no-store', () => {
  it.each([TOKENS, `${TOKENS}/tok-1`, EVENTS, '/api/v1/whoami', '/api/v1/status'])('on a 401 of %s', async (path) => {
    const harness = await createHarness();
    const answer = await harness.send('GET', path, { jwt: null });
    expect([answer.status, answer.headers.get('Cache-Control')]).toEqual([401, 'no-store']);
  });
  it('on a no_role 403 of a token route', async () => {
    const harness = await createHarness();
    const answer = await harness.send('GET', TOKENS, { jwt: await harness.jwtFor('nobody') });
    expect([answer.status, answer.headers.get('Cache-Control')]).toEqual([403, 'no-store']);
  });
  it('on a 429 of a token route', async () => {
    const harness = await createHarness({ env: limited });
    const answer = await harness.send('GET', TOKENS);
    expect([answer.status, answer.headers.get('Cache-Control')]).toEqual([429, 'no-store']);
  });
  it('on a 400 of the trail', async () => {
    const harness = await createHarness();
    const answer = await harness.send('GET', `${EVENTS}?x=1`);
    expect([answer.status, answer.headers.get('Cache-Control')]).toEqual([400, 'no-store']);
  });
  it.each(['/api/v1/whoami', '/api/v1/status'])('on %s', async (path) => {
    const harness = await createHarness();
    const answer = await harness.send('GET', path);
    expect([answer.status, answer.headers.get('Cache-Control')]).toEqual([200, 'no-store']);
  });
  it('on a 500 of a token route', async () => {
    const harness = await createHarness({
      runtime: {
        randomBytes: () => {
          throw new Error('x');
        },
      },
    });
    const answer = await harness.send('POST', TOKENS, { body: { name: 'x', scopes: ['a'] } });
    expect([answer.status, answer.headers.get('Cache-Control')]).toEqual([500, 'no-store']);
  });
});

describe('failures have one envelope everywhere', () => {
  it('/readyz', async () => {
    const harness = await createHarness({ db: DOWN });
    const answer = await harness.send('GET', '/readyz', { jwt: null });
    expect(answer.body).toMatchObject({
      success: false,
      status: 'error',
      message: expect.any(String),
      code: expect.any(String),
      request_id: expect.any(String),
    });
  });
  it('a configuration that does not parse', async () => {
    const harness = await createHarness({ env: { PIPEOPS_API_URL: 'nonsense' } });
    const answer = await harness.send('GET', TOKENS);
    expect(answer.body).toMatchObject({ code: 'configuration_invalid', request_id: expect.any(String) });
  });
});

it('a limiter that never answers lets the request pass, like one that fails', async () => {
  const harness = await createHarness({
    env: { CALLER_LIMIT: { limit: async () => await new Promise<never>(() => {}) } },
    runtime: { after: (ms, call) => workerRuntime.after(ms / 20, call) },
  });
  const answered = harness.send('GET', TOKENS).then(({ status }) => status);
  const waited = new Promise((resolve) => setTimeout(() => resolve('hangs'), 2000));
  expect(await Promise.race([answered, waited])).toBe(200);
});

it('status answers whatever the admin credential says of its end', async () => {
  const credential = new UnsecuredJWT({ sub: 'admin', exp: 1e15 }).encode().concat('c2lnbmF0dXJlLW9mLWEtc2Vzc2lvbg');
  const harness = await createHarness({ env: { PIPEOPS_ADMIN_TOKEN: credential } });
  expect((await harness.send('GET', '/api/v1/status')).status).toBe(200);
});

it('the log line of a rejected login names its route, not the wildcard of the middleware', async () => {
  const harness = await createHarness();
  await harness.send('GET', `${TOKENS}/tok-1`, { jwt: null });
  expect(harness.lines.findLast((line) => line['event'] === 'request')?.['route']).toBe(`${TOKENS}/:id`);
});

it('a status request that is denied is not recorded as a query of the trail', async () => {
  const harness = await createHarness({ roles: { reader: { permissions: ['tokens:read'], workspaces: ['*'] } } });
  const answer = await harness.send('GET', '/api/v1/status', { jwt: await harness.jwtFor('reader') });
  const row = await env.DB.prepare('select action from audit_events where id = ?')
    .bind(answer.headers.get('X-Audit-Event-Id'))
    .first<{ action: string }>();
  expect([answer.status, row?.action]).not.toEqual([403, 'audit.query']);
});

it('probes refuse parameters that they do not know', async () => {
  const harness = await createHarness();
  expect((await harness.send('GET', '/healthz?x=1', { jwt: null })).status).toBe(400);
});

it('a denial that hides a token is logged as denied', async () => {
  const harness = await createHarness({ roles: { own: { permissions: ['tokens:read'], workspaces: ['*'] } } });
  const { id } = await harness.mint();
  await harness.send('GET', `${TOKENS}/${id}`, { jwt: await harness.jwtFor('own') });
  expect(harness.lines.findLast((line) => line['event'] === 'request')).toMatchObject({ decision: 'denied' });
});
