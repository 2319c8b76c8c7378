import { env } from 'cloudflare:workers';
import { UnsecuredJWT } from 'jose';
import { beforeEach, describe, expect, it } from 'vitest';
import { createHarness, type HarnessOptions } from '../support/harness.ts';
import { clearOrders, createWebhookHarness } from '../revocation/harness.ts';
import { DOWN, loseCreate } from './harness.ts';

describe('GET /api/v1/status', () => {
  beforeEach(clearOrders);

  const status = async (options: HarnessOptions = {}) => {
    const harness = await createHarness(options);
    return { harness, answer: await harness.send('GET', '/api/v1/status') };
  };

  it('shows open attempts and orders, the keys of fingerprints, when the credential ends, and the size of D1', async () => {
    const harness = await createHarness();
    await loseCreate(harness);
    const answer = await harness.send('GET', '/api/v1/status');
    expect(answer.body.data).toEqual({
      ready: true,
      not_ready: [],
      degraded: [expect.objectContaining({ reason: 'upstream_unreachable' })],
      upstream: { last_success_at: null, last_failure: expect.objectContaining({ reason: 'upstream_unreachable' }) },
      policy: { version: harness.policyVersion },
      open_attempts: { count: expect.any(Number), oldest_at: expect.stringMatching(/^\d{4}-.*Z$/) },
      orders: { open: 0, acknowledged: 0, failed: 0, contradicted: 0, oldest_at: null, next_scheduled_at: null },
      webhooks: { refused_24h: expect.any(Number) },
      lists: expect.any(Object),
      quota: {
        wait_until: null,
        minute: { limit: 100, reserved: expect.any(Number), remaining: null, resets_at: null },
        hour: { limit: 1_000, reserved: expect.any(Number), remaining: null, resets_at: null },
      },
      token_limits: { above_four_fifths: [], more: false },
      expiring: { within_1_day: 0, within_7_days: 0, within_30_days: 0, more: false },
      usage: {
        workspaces: 0,
        unknown: { workspaces: 0, workspace_uuids: [], what_to_do: null },
        unused: 0,
        never_used: 0,
      },
      fingerprint_keys: { current: 'k1', missing: [] },
      credentials: [
        {
          name: 'PIPEOPS_ADMIN_TOKEN',
          in_use: false,
          expires_at: expect.stringMatching(/^\d{4}-.*Z$/),
          last_accepted_at: null,
          last_refused_at: null,
        },
      ],
      credential_renewal: null,
      trail_log: null,
      d1_bytes: expect.any(Number),
      d1_max_bytes: 10_000_000_000,
      d1_nearly_full: false,
    });
  });

  it('counts the deliveries of the last day that were signed and refused', async () => {
    let skewMs = 0;
    const harness = await createWebhookHarness({ runtime: { now: () => Date.now() + skewMs } });
    const counted = async (): Promise<unknown> => {
      const exp = Math.floor((Date.now() + skewMs) / 1000) + 3_600;
      const jwt = await harness.jwtFor('admin', { exp, iat: exp - 3_600 });
      return (await harness.send('GET', '/api/v1/status', { jwt })).body.data.webhooks;
    };
    await env.DB.prepare('delete from webhook_deliveries').run();
    expect(await counted()).toEqual({ refused_24h: 0 });
    await harness.sendRaw('scanner', '{');
    await harness.sendEvent('hr', 'subject.offboarded', {});
    // Neither of them is one: it is carried out, or not signed.
    await harness.leak('unknown');
    await harness.sendRaw('scanner', '{', { secret: harness.secrets.WEBHOOK_HR });
    expect(await counted()).toEqual({ refused_24h: 2 });
    skewMs = 24 * 60 * 60 * 1000 + 1_000;
    expect(await counted()).toEqual({ refused_24h: 0 });
  });

  it('does not guess when a credential ends that does not say', async () => {
    const { answer } = await status({ env: { PIPEOPS_ADMIN_TOKEN: 'an-opaque-session-of-somebody' } });
    expect(answer.body.data.credentials).toMatchObject([{ expires_at: null }]);
    expect(answer.body.data.degraded).toEqual([]);
  });

  it('is 503 when D1 does not answer', async () => {
    const { answer } = await status({ db: DOWN });
    expect(answer).toMatchObject({ status: 503, body: { code: 'not_ready', message: 'Not ready: d1.' } });
    expect(answer.body.errors.d1[0]).toMatch(/^Since \d{4}-.*Z\. D1 does not answer/);
  });

  it('answers whatever the admin credential says of its end', async () => {
    const credential = new UnsecuredJWT({ sub: 'admin', exp: 1e15 }).encode().concat('c2lnbmF0dXJlLW9mLWEtc2Vzc2lvbg');
    const harness = await createHarness({ env: { PIPEOPS_ADMIN_TOKEN: credential } });
    expect((await harness.send('GET', '/api/v1/status')).status).toBe(200);
  });

  it('is not recorded as a query of the trail where it is denied', async () => {
    const harness = await createHarness({ roles: { reader: { permissions: ['tokens:read'], workspaces: ['*'] } } });
    const answer = await harness.send('GET', '/api/v1/status', { jwt: await harness.jwtFor('reader') });
    const row = await env.DB.prepare('select action from audit_events where id = ?')
      .bind(answer.headers.get('X-Audit-Event-Id'))
      .first<{ action: string }>();
    expect([answer.status, row?.action]).not.toEqual([403, 'audit.query']);
  });
});
