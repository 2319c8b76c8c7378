import { env } from 'cloudflare:workers';
import { expect, it } from 'vitest';
import type { RateWindow } from '../../src/failures.ts';
import { toWireError } from '../../src/http/wire-errors.ts';
import { createHarness, TOKENS } from '../support/harness.ts';

// A client of PipeOps knows a 429 by its status, and the 429 says when to try again, whoever set the limit.

const BODY = { name: 'deploy', scopes: ['api:read'] };
const window: RateWindow = { policy: 'pipeops', limit: 1_000, windowSeconds: 3_600, untilMs: 1_795_525_200_001 };

it.each([
  [40, '40'],
  [1, '1'],
  [null, '60'],
])('PipeOps’ own 429 that says wait %s is passed on with Retry-After %s, and no limit of ours', (seconds, header) => {
  const { status, code, headers } = toWireError({
    kind: 'upstream_rate_limited',
    status: 429,
    retryAfterSeconds: seconds,
  });
  expect([status, code, headers]).toEqual([429, 'upstream_rate_limited', { 'Retry-After': header }]);
});

it.each([
  ['calls to PipeOps', { kind: 'upstream_rate_limited', status: 429, retryAfterSeconds: 12, window } as const],
  [
    'requests of a caller',
    { kind: 'rate_limited', retryAfterSeconds: 12, window: { ...window, policy: 'caller' } } as const,
  ],
])('our own 429 says what is left and until when: %s', (_name, failure) => {
  expect(toWireError(failure)).toMatchObject({
    status: 429,
    headers: {
      'Retry-After': '12',
      'X-RateLimit-Limit': '1000',
      'X-RateLimit-Remaining': '0',
      'X-RateLimit-Reset': '1795525201',
      'RateLimit-Policy': `"${failure.window.policy}";q=1000;w=3600`,
      RateLimit: `"${failure.window.policy}";r=0;t=12`,
    },
  });
});

const limits = (headers: Headers) =>
  ['X-RateLimit-Limit', 'X-RateLimit-Remaining', 'RateLimit'].map((name) => headers.get(name));

it('a 429 of PipeOps reaches the caller as a 429, is logged as refused, and stands in its row', async () => {
  const harness = await createHarness();
  await harness.control.fault({
    status: 429,
    headers: { 'Retry-After': '40', 'X-RateLimit-Limit': '7' },
    match: { workspace_uuid: harness.workspace },
  });
  const answer = await harness.send('POST', TOKENS, { body: BODY });
  expect([answer.status, answer.body.code, answer.headers.get('Retry-After')]).toEqual([
    429,
    'upstream_rate_limited',
    '40',
  ]);
  // No header of PipeOps is passed on.
  expect(limits(answer.headers)).toEqual([null, null, null]);
  expect(harness.lines.at(-1)).toMatchObject({ status: 429, decision: 'refused' });
  expect((await harness.rows()).at(-1)).toMatchObject({
    id: answer.body.event_id,
    status: 'failure',
    error_code: 'upstream_rate_limited',
    upstream_status: 429,
  });
});

it('where the last calls of a minute are kept, the 429 is ours and names its limit beside that of callers', async () => {
  const harness = await createHarness();
  const query = 'insert or replace into upstream_limits (scope, until, remaining) values (?, ?, ?)';
  await env.DB.prepare(query)
    .bind('minute', Date.now() + 60_000, 3)
    .run();
  const answer = await harness.send('POST', TOKENS, { body: BODY });
  expect([answer.status, answer.body.code]).toEqual([429, 'upstream_rate_limited']);
  const wait = Number(answer.headers.get('Retry-After'));
  expect(wait).toBeGreaterThan(0);
  expect(limits(answer.headers)).toEqual(['100', '0', `"pipeops";r=0;t=${wait}`]);
  expect(answer.headers.get('RateLimit-Policy')).toBe('"pipeops";q=100;w=60, "caller";q=100;w=10');
  expect(await harness.upstream()).toEqual([]);
});
