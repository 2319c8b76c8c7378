import { env } from 'cloudflare:workers';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { D1_MAX_BYTES_DEFAULT, READY_PROBE_INTERVAL_MS } from '../../src/config/limits.ts';
import { createHarness, FINGERPRINT_KEYS, type Harness, TOKENS } from '../support/harness.ts';
import { clearOrders, createWebhookHarness, type WebhookHarness } from '../revocation/harness.ts';
import { DOWN, loseCreate } from './harness.ts';

const probe = { jwt: null };

/** D1, and how often it was asked. */
function countedD1() {
  let batches = 0;
  const db: D1Database = new Proxy(env.DB, {
    get: (target, key) => {
      if (key === 'batch') {
        return async (statements: D1PreparedStatement[]) => {
          batches += 1;
          return await target.batch(statements);
        };
      }
      const value: unknown = Reflect.get(target, key);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  return { db, batches: () => batches };
}

describe('GET /healthz', () => {
  it('answers while the process runs, whatever D1 does', async () => {
    const harness = await createHarness({ db: DOWN });
    expect(await harness.send('GET', '/healthz', probe)).toMatchObject({ status: 200, body: { success: true } });
  });
});

describe('GET /readyz', () => {
  it('is ready, and counts the attempts that are open', async () => {
    const harness = await createHarness();
    await loseCreate(harness);
    await harness.mint();
    const answer = await harness.send('GET', '/readyz', probe);
    expect(answer).toMatchObject({
      status: 200,
      body: {
        data: { ready: true, not_ready: [], degraded: [], open_attempts: 1, open_orders: 0, failed_orders: 0 },
      },
    });
    expect(answer.headers.get('Cache-Control')).toBe('no-store');
  });

  it('names D1 when it does not answer', async () => {
    const harness = await createHarness({ db: DOWN });
    const answer = await harness.send('GET', '/readyz', probe);
    expect(answer).toMatchObject({ status: 503, body: { success: false, status: 'error', code: 'not_ready' } });
    expect(answer.body.message).toBe('Not ready: d1.');
  });

  it('asks D1 once in five seconds, however often it is asked, and PipeOps never', async () => {
    let nowMs = 1_000_000_000_000;
    const { db, batches } = countedD1();
    const harness = await createHarness({ db, runtime: { now: () => nowMs } });
    await Promise.all(Array.from({ length: 20 }, async () => await harness.send('GET', '/readyz', probe)));
    expect(batches()).toBe(1);
    nowMs += READY_PROBE_INTERVAL_MS;
    await harness.send('GET', '/readyz', probe);
    expect(batches()).toBe(2);
    expect(await harness.upstream()).toEqual([]);
  });
});

describe('orders of webhooks', () => {
  let harness: WebhookHarness;
  let nowMs: number;
  beforeEach(async () => {
    await clearOrders();
    // What other tests left open would be settled by these crons, and ordered.
    await env.DB.prepare(
      `update audit_events set status = 'failure', settled_at = 1, outcome = '{}' where status = 'attempted'`,
    ).run();
    nowMs = Date.now();
    harness = await createWebhookHarness({ runtime: { now: () => nowMs } });
  });
  afterEach(clearOrders);

  const age = (seconds: number): void => {
    nowMs += seconds * 1000;
  };
  /** What both say about orders: anybody is told how many, and a reader of the trail since when. */
  const told = async () => {
    age(READY_PROBE_INTERVAL_MS / 1000);
    const iat = Math.floor(nowMs / 1000);
    const jwt = await harness.jwtFor('admin', { iat, exp: iat + 300 });
    const ready = await harness.send('GET', '/readyz', probe);
    const status = await harness.send('GET', '/api/v1/status', { jwt });
    expect([ready.status, status.status]).toEqual([200, 200]);
    const { ready: isReady, degraded, ...counts } = ready.body.data;
    const { open_orders, acknowledged_orders, failed_orders, contradicted_orders } = counts;
    const { orders } = status.body.data;
    return { isReady, degraded, open_orders, acknowledged_orders, failed_orders, contradicted_orders, orders };
  };
  const NO_ORDERS = { open: 0, acknowledged: 0, failed: 0, contradicted: 0, oldest_at: null, next_scheduled_at: null };
  const NONE = {
    isReady: true,
    degraded: [],
    open_orders: 0,
    acknowledged_orders: 0,
    failed_orders: 0,
    contradicted_orders: 0,
    orders: NO_ORDERS,
  };
  const leak = async (method: string, times: number) => {
    const { token } = await harness.mint('leaked');
    await harness.control.fault({ status: 500, times, match: { workspace_uuid: harness.workspace, method } });
    return (await harness.leak(token)).body.data;
  };

  it('are counted while they are not done, and the oldest is named', async () => {
    expect(await told()).toEqual(NONE);
    const { received_at: oldest_at } = await leak('DELETE', 1);
    age(1);
    await leak('DELETE', 1);
    const orders = { ...NO_ORDERS, open: 2, oldest_at };
    expect(await told()).toEqual({ ...NONE, degraded: ['upstream_unreachable'], open_orders: 2, orders });
    age(600);
    await harness.cron();
    expect(await told()).toEqual(NONE);
  });

  it('are counted until they are confirmed', async () => {
    await leak('GET', 1);
    expect(await told()).toMatchObject({ open_orders: 0, acknowledged_orders: 1 });
    age(600);
    await harness.cron();
    expect(await told()).toEqual(NONE);
  });

  it('need somebody to look once one was given up, until it is retried with success', async () => {
    const { delivery_id: id } = await leak('DELETE', 1_000);
    age(73 * 3_600);
    await harness.cron();
    const failed = { failed_orders: 1, orders: { ...NO_ORDERS, failed: 1 } };
    const degraded = ['upstream_unreachable', 'revocation_orders'];
    expect(await told()).toEqual({ ...NONE, degraded, ...failed });
    expect((await harness.send('GET', '/readyz', probe)).body.message).toContain('revocation_orders');

    await harness.control.clearFaults({ workspace_uuid: harness.workspace });
    const iat = Math.floor(nowMs / 1000);
    const jwt = await harness.jwtFor('admin', { iat, exp: iat + 300 });
    expect((await harness.send('POST', `/api/v1/webhooks/deliveries/${id}/retry`, { jwt })).status).toBe(202);
    expect(await told()).toEqual(NONE);
  });
});

describe('a fingerprint key that is not configured', () => {
  const GONE = `gone:${btoa('a-key-that-somebody-took-away-00')}`;
  const clear = async (): Promise<void> => {
    await env.DB.prepare('update tokens set revoked_at = 1').run();
  };
  let harness: Harness;
  let tokenId: string;
  beforeEach(async () => {
    await clear();
    harness = await createHarness({ env: { FINGERPRINT_KEYS: GONE } });
    tokenId = (await harness.mint()).id;
  });
  afterEach(clear);

  const degraded = async (keys: string): Promise<unknown> => {
    const other = await createHarness({ like: harness, env: { FINGERPRINT_KEYS: keys } });
    const ready = (await other.send('GET', '/readyz', probe)).body.data.degraded as unknown;
    const missing = (await other.send('GET', '/api/v1/status')).body.data.fingerprint_keys.missing as unknown;
    expect(missing).toEqual((ready as string[]).includes('fingerprint_keys') ? ['gone'] : []);
    return ready;
  };
  const change = async (what: string): Promise<unknown> =>
    await env.DB.prepare(`update tokens set ${what} where token_id = ?`).bind(tokenId).run();

  it('is missed while a live token needs it: a leak of that would not be recognised', async () => {
    await (await createHarness()).mint();
    expect(await degraded(FINGERPRINT_KEYS)).toEqual(['fingerprint_keys']);
  });

  it('is not missed once it is configured as well', async () => {
    expect(await degraded(`${FINGERPRINT_KEYS},${GONE}`)).toEqual([]);
  });

  it('is not missed by a token that is revoked', async () => {
    await harness.send('DELETE', `${TOKENS}/${tokenId}`);
    expect(await degraded(FINGERPRINT_KEYS)).toEqual([]);
  });

  it.each([
    ['is over', 'expires_at = 1', []],
    ['is to come', `expires_at = ${Date.now() + 3_600_000}`, ['fingerprint_keys']],
  ])('by a token whose end %s', async (_case, what, expected) => {
    await change(what);
    expect(await degraded(FINGERPRINT_KEYS)).toEqual(expected);
  });

  it('is not missed by a token without a fingerprint: it was made before there were any', async () => {
    await change('fingerprint = null, fingerprint_key_id = null');
    expect(await degraded(FINGERPRINT_KEYS)).toEqual([]);
  });
});

describe('a database that is nearly full', () => {
  /** D1, with a size of its own telling. */
  const sized = (bytes: number): D1Database =>
    new Proxy(env.DB, {
      get: (target, key) => {
        if (key === 'batch') {
          return async (statements: D1PreparedStatement[]) =>
            (await target.batch(statements)).map((result) => ({
              ...result,
              meta: { ...result.meta, size_after: bytes },
            }));
        }
        const value: unknown = Reflect.get(target, key);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });

  it.each([
    [0.8 * D1_MAX_BYTES_DEFAULT - 1, [], false],
    [0.8 * D1_MAX_BYTES_DEFAULT, ['d1_size'], true],
  ])('at %i bytes: /readyz names %j, /api/v1/status says %s, and both go on', async (bytes, degraded, nearlyFull) => {
    const harness = await createHarness({ db: sized(bytes) });
    expect(await harness.send('GET', '/readyz', probe)).toMatchObject({
      status: 200,
      body: { data: { ready: true, degraded } },
    });
    expect((await harness.send('GET', '/api/v1/status')).body.data).toMatchObject({
      d1_bytes: bytes,
      d1_nearly_full: nearlyFull,
    });
  });
});

describe('GET /api/v1/whoami', () => {
  it('tells a caller who it is and what it may do', async () => {
    const harness = await createHarness();
    const answer = await harness.send('GET', '/api/v1/whoami', {
      jwt: await harness.jwtFor('admin', { email: 'a@example.com' }),
    });
    expect(answer.body.data).toEqual({
      issuer: 'https://issuer.example',
      subject: 'admin-1',
      label: 'a@example.com',
      actor_type: 'user',
      roles: [
        {
          name: 'admin',
          permissions: ['tokens:create', 'tokens:read', 'tokens:update', 'tokens:revoke', 'audit:read'],
          tokens: 'any',
          workspaces: ['*'],
          scopes: ['*'],
          max_ttl_seconds: null,
          presets: {},
          max_tokens: 2_000,
          max_overlap_seconds: 604_800,
        },
      ],
      session: null,
      live_tokens: { count: expect.any(Number), limit: 2_000 },
    });
  });

  it('shows with each role the presets that it can use, and no other', async () => {
    const presets = { sdk: ['api:read'], mcp: ['api:read', 'api:write'], platform: ['api:full'] };
    const roles = {
      least: { permissions: ['tokens:create'], workspaces: ['*'], scopes: ['api:read'] },
      broad: { permissions: ['tokens:create'], workspaces: ['*'], scopes: ['*'] },
      none: { permissions: ['tokens:read'], workspaces: ['*'] },
    };
    const harness = await createHarness({ roles, policy: { presets } });
    const jwt = await harness.jwtFor('x', { role: ['least', 'broad', 'none'] });
    const answer = await harness.send('GET', '/api/v1/whoami', { jwt });
    expect(answer.body.data.roles.map((role: { presets: object }) => role.presets)).toEqual([
      { sdk: ['api:read'] },
      presets,
      {},
    ]);
    const least = await harness.jwtFor('least');
    for (const [preset, status] of [
      ['sdk', 201],
      ['mcp', 403],
    ] as const) {
      const body = { name: 'by-preset', preset };
      expect((await harness.send('POST', TOKENS, { jwt: least, body })).status).toBe(status);
    }
  });
});

it.each(['/api/v1/whoami?x=1', '/api/v1/status?verbose=true'])('%s: unknown parameters are 400', async (path) => {
  const answer = await (await createHarness()).send('GET', path);
  expect([answer.status, answer.body.code]).toEqual([400, 'invalid_request']);
});

it('probes refuse parameters that they do not know', async () => {
  const harness = await createHarness();
  expect((await harness.send('GET', '/healthz?x=1', { jwt: null })).status).toBe(400);
});
