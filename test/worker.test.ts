import { env } from 'cloudflare:workers';
import { describe, expect, it } from 'vitest';
import app from '../samples/service-binding.ts';
import { workerRuntime } from '../src/worker-runtime.ts';
import { createWorker } from '../src/worker.ts';
import { conforming } from './support/conformance.ts';
import { createHarness } from './support/harness.ts';

// A configuration that does not parse serves nothing; and another Worker of the account reaches this one by a service binding.

const lines: Readonly<Record<string, unknown>>[] = [];
const runtime = { ...workerRuntime, log: (line: Readonly<Record<string, unknown>>) => void lines.push(line) };
const credential = 'sat_a-service-token-in-the-wrong-place';
const misconfigured = createWorker(
  { DB: env.DB, PIPEOPS_API_URL: 'http://pipeops.example', PIPEOPS_ADMIN_TOKEN: credential },
  runtime,
);

describe('a Worker whose configuration does not parse', () => {
  it.each(['/healthz', '/readyz', '/api/v1/service-account-tokens', '/nothing'])(
    'answers %s with the same fixed 500',
    async (path) => {
      const request = new Request(`https://countersign.example${path}`);
      const response = await conforming(request, await misconfigured.fetch(request));
      expect(response.status).toBe(500);
      expect(await response.json()).toEqual({
        success: false,
        status: 'error',
        code: 'configuration_invalid',
        request_id: response.headers.get('X-Request-Id'),
        message: 'This service is not configured correctly. Its operators find the reason in its log.',
        help: '/docs/errors#configuration_invalid',
      });
    },
  );

  it('logs every problem by its key, and no value', async () => {
    lines.length = 0;
    await misconfigured.fetch(new Request('https://countersign.example/'));
    expect(lines.map((line) => line['key'])).toEqual(
      expect.arrayContaining(['CALLER_LIMIT', 'PIPEOPS_API_URL', 'PIPEOPS_ADMIN_TOKEN']),
    );
    expect(JSON.stringify(lines)).not.toContain(credential);
  });

  it('runs no cron', async () => {
    lines.length = 0;
    await misconfigured.scheduled();
    expect(lines.map((line) => line['event'])).not.toContain('cron');
  });
});

it('mints and revokes for a Worker that is bound to it, under the JWT of that one’s caller', async () => {
  const harness = await createHarness();
  const bound = {
    fetch: async (...args: Parameters<typeof fetch>) => await harness.worker.fetch(new Request(...args)),
  };
  const asked = new Request('https://app.example', {
    headers: { Authorization: `Bearer ${await harness.jwtFor('admin')}` },
  });
  expect(await (await app.fetch(asked, { COUNTERSIGN: bound })).json()).toEqual({ length: 44 });
  expect(await harness.upstreamTokens()).toMatchObject([{ is_revoked: true }]);
  const done = ['service_account_token.create', 'service_account_token.revoke'].map((action) => ({
    action,
    status: 'success',
  }));
  expect(await harness.rows()).toMatchObject(done);
  const refused = app.fetch(new Request(asked, { headers: { Authorization: 'Bearer nonsense' } }), {
    COUNTERSIGN: bound,
  });
  await expect(refused).rejects.toThrow(/^401: /);
});
