import { describe, expect, it } from 'vitest';
import { createHarness, TOKENS, type Harness } from '../support/harness.ts';

const TRACEPARENT = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';

const lineOf = (harness: Harness) => harness.lines.findLast((line) => line['event'] === 'request');

describe('the log line of a request', () => {
  it('says who asked for what, how it was decided, and what it took', async () => {
    const harness = await createHarness();
    const { id } = await harness.mint();
    const answer = await harness.send('DELETE', `${TOKENS}/${id}`, { headers: { traceparent: TRACEPARENT } });
    expect(lineOf(harness)).toEqual({
      time: expect.stringMatching(/^\d{4}-.*Z$/),
      level: 'info',
      event: 'request',
      request_id: answer.headers.get('X-Request-Id'),
      event_id: answer.headers.get('X-Audit-Event-Id'),
      trace_id: '4bf92f3577b34da6a3ce929d0e0e4736',
      method: 'DELETE',
      route: '/api/v1/service-account-tokens/:id',
      issuer: 'https://issuer.example',
      subject: 'admin-1',
      decision: 'allowed',
      reason: null,
      status: 200,
      duration_ms: expect.any(Number),
      d1_ms: expect.any(Number),
      d1_trips: 2,
      upstream_ms: expect.any(Number),
      upstream_calls: 1,
    });
  });

  it.each([
    ['GET', '/api/v1/service-account-tokens/sat_0123456789abcdef', null, 'denied', 'unauthenticated', 401],
    ['GET', '/api/v1/service-account-tokens?limit=3', undefined, 'refused', 'invalid_request', 400],
    ['GET', '/nothing/here', null, 'refused', 'route_not_found', 404],
    // `npm start` answers this in front of the Worker.
    ['POST', '/local/leak', null, 'refused', 'route_not_found', 404],
  ])('%s %s', async (method, path, jwt, decision, _reason, status) => {
    const harness = await createHarness();
    await harness.send(method, path, jwt === undefined ? {} : { jwt });
    expect(lineOf(harness)).toMatchObject({ decision, status });
    expect(JSON.stringify(lineOf(harness))).not.toContain('sat_');
  });

  it('names the route of a rejected login, not the wildcard of the middleware', async () => {
    const harness = await createHarness();
    await harness.send('GET', `${TOKENS}/tok-1`, { jwt: null });
    expect(lineOf(harness)?.['route']).toBe(`${TOKENS}/:id`);
  });

  it('says that a denial which hides a token is a denial', async () => {
    const harness = await createHarness({ roles: { own: { permissions: ['tokens:read'], workspaces: ['*'] } } });
    const { id } = await harness.mint();
    await harness.send('GET', `${TOKENS}/${id}`, { jwt: await harness.jwtFor('own') });
    expect(lineOf(harness)).toMatchObject({ decision: 'denied' });
  });
});

it('the trace context is passed on to PipeOps', async () => {
  const harness = await createHarness();
  await harness.send('GET', TOKENS, { headers: { traceparent: TRACEPARENT } });
  expect((await harness.upstream())[0]?.headers['traceparent']).toBe(TRACEPARENT);
});

it.each([
  '00-00000000000000000000000000000000-00f067aa0ba902b7-01',
  '00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01',
  'ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
  'garbage',
])('a trace context that is none is dropped: %s', async (traceparent) => {
  const harness = await createHarness();
  await harness.send('GET', TOKENS, { headers: { traceparent } });
  expect((await harness.upstream())[0]?.headers).not.toHaveProperty('traceparent');
});

describe('the request id', () => {
  it('of the caller is kept where it can be nothing but an id', async () => {
    const harness = await createHarness();
    const answer = await harness.send('GET', TOKENS, { headers: { 'X-Request-Id': 'build-4711-step-2' } });
    expect(answer.headers.get('X-Request-Id')).toBe('build-4711-step-2');
    expect(await harness.rows()).toMatchObject([{ request_id: 'build-4711-step-2' }]);
  });

  it.each(['short', 'a'.repeat(65), 'sat_0123456789abcdef', 'a.b.c.d.e.f', 'with space in it'])(
    '%s is replaced',
    async (id) => {
      const harness = await createHarness();
      const answer = await harness.send('GET', TOKENS, { headers: { 'X-Request-Id': id } });
      expect(answer.headers.get('X-Request-Id')).toMatch(/^[0-9a-f-]{36}$/);
    },
  );
});

it('only the address that Cloudflare saw is recorded', async () => {
  const harness = await createHarness();
  const claimed = { 'X-Forwarded-For': '198.51.100.1', 'X-Real-IP': '198.51.100.2', Forwarded: 'for=198.51.100.3' };
  await harness.send('GET', TOKENS, { headers: { ...claimed, 'CF-Connecting-IP': '203.0.113.9' } });
  await harness.send('GET', TOKENS, { headers: claimed });
  expect((await harness.rows()).map(({ ip }) => ip)).toEqual(['203.0.113.9', null]);
});

it('a secret in the user agent is recorded as redacted', async () => {
  const harness = await createHarness();
  await harness.send('GET', TOKENS, { headers: { 'User-Agent': 'curl/8 sat_0123456789abcdef' } });
  expect(await harness.rows()).toMatchObject([{ user_agent: 'curl/8 [redacted]' }]);
});

it('a bug answers with a fixed 500, and the log says where it was and not what it said', async () => {
  const harness = await createHarness({
    runtime: {
      randomBytes: () => {
        throw new Error('secret inside a message');
      },
    },
  });
  const answer = await harness.send('POST', TOKENS, { body: { name: 'x', scopes: ['api:read'] } });
  expect([answer.status, answer.body.code]).toEqual([500, 'internal_error']);
  expect(harness.lines).toContainEqual(expect.objectContaining({ event: 'unexpected_error', name: 'Error' }));
  expect(JSON.stringify(harness.lines) + answer.text).not.toContain('secret inside');
});
