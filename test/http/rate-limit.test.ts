import { env } from 'cloudflare:workers';
import { expect, it } from 'vitest';
import wranglerToml from '../../wrangler.toml?raw';
import {
  CALLER_LIMIT_PERIOD_SECONDS,
  CALLER_LIMIT_REQUESTS,
  REJECTIONS_IN_ALL_ROWS,
  REJECTIONS_PERIOD_SECONDS,
  REJECTIONS_PER_ADDRESS_ROWS,
} from '../../src/config/limits.ts';
import { workerRuntime } from '../../src/worker-runtime.ts';
import { createHarness, TOKENS } from '../support/harness.ts';

const WHOAMI = '/api/v1/whoami';

it('a caller that asks too often is told to wait, and another is not', async () => {
  const harness = await createHarness({ env: { CALLER_LIMIT: env.CALLER_LIMIT } });
  const eager = await harness.jwtFor('admin', { sub: 'eager' });
  let answer = await harness.send('GET', WHOAMI, { jwt: eager });
  expect(answer.headers.get('RateLimit-Policy')).toBe('"caller";q=100;w=10');
  for (let sent = 1; answer.status === 200 && sent <= 2 * CALLER_LIMIT_REQUESTS; sent += 1) {
    answer = await harness.send('GET', WHOAMI, { jwt: eager });
  }
  expect([answer.status, answer.body.code]).toEqual([429, 'rate_limited']);
  expect(answer.headers.get('Retry-After')).toBe('10');
  expect(answer.headers.get('RateLimit-Policy')).toBe('"caller";q=100;w=10');
  expect(answer.headers.get('RateLimit')).toBe('"caller";r=0;t=10');
  expect(answer.headers.get('X-RateLimit-Limit')).toBe('100');
  expect(answer.headers.get('X-RateLimit-Remaining')).toBe('0');
  // The reset is in seconds since the epoch.
  expect(Number(answer.headers.get('X-RateLimit-Reset'))).toBeGreaterThan(Date.now() / 1000);
  expect(Number(answer.headers.get('X-RateLimit-Reset'))).toBeLessThanOrEqual(Date.now() / 1000 + 11);
  const patient = await harness.jwtFor('admin', { sub: 'patient' });
  expect((await harness.send('GET', WHOAMI, { jwt: patient })).status).toBe(200);
});

it('a refused request reaches neither PipeOps nor the trail', async () => {
  const exhausted = { limit: async () => await Promise.resolve({ success: false }) };
  const harness = await createHarness({ env: { CALLER_LIMIT: exhausted } });
  const answer = await harness.send('POST', TOKENS, { body: { name: 'x', scopes: ['api:read'] } });
  expect(answer.status).toBe(429);
  expect(await harness.upstream()).toEqual([]);
  expect(await harness.rows()).toEqual([]);
});

it.each([
  ['fails', async () => await Promise.reject(new Error('down'))],
  [
    'throws',
    () => {
      throw new TypeError('down');
    },
  ],
])('a limiter that %s lets callers pass and says so in the log', async (_case, limit) => {
  const harness = await createHarness({ env: { CALLER_LIMIT: { limit } } });
  expect((await harness.send('GET', WHOAMI)).status).toBe(200);
  expect(harness.lines).toContainEqual(expect.objectContaining({ event: 'rate_limiter_failed' }));
});

it.each([
  ['CALLER_LIMIT', CALLER_LIMIT_REQUESTS, CALLER_LIMIT_PERIOD_SECONDS],
  ['REJECTIONS_PER_ADDRESS', REJECTIONS_PER_ADDRESS_ROWS, REJECTIONS_PERIOD_SECONDS],
  ['REJECTIONS_IN_ALL', REJECTIONS_IN_ALL_ROWS, REJECTIONS_PERIOD_SECONDS],
])('%s is declared as src/config/limits.ts says, locally, in staging and in production', (name, limit, period) => {
  const declarations = new RegExp(`name = "${name}"\\nnamespace_id = "\\d+"\\nsimple = (.*)`, 'g');
  const declared = [...wranglerToml.matchAll(declarations)].map(([, simple]) => simple);
  expect(declared).toEqual(Array.from({ length: 3 }, () => `{ limit = ${limit}, period = ${period} }`));
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
