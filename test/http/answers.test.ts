import { describe, expect, it } from 'vitest';
import { DOWN } from '../health/harness.ts';
import { createHarness, TOKENS } from '../support/harness.ts';

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
      help: '/docs/errors#not_ready',
    });
  });
  it('a configuration that does not parse', async () => {
    const harness = await createHarness({ env: { PIPEOPS_API_URL: 'nonsense' } });
    const answer = await harness.send('GET', TOKENS);
    expect(answer.body).toMatchObject({ code: 'configuration_invalid', request_id: expect.any(String) });
  });
});
