import { env } from 'cloudflare:workers';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import type { Fault } from '../../pipeops-simulator/faults-wire.ts';
import { ORDERS_LEASE_MS } from '../../../src/config/limits.ts';
import { workerRuntime } from '../../../src/worker-runtime.ts';
import { createHarness } from '../../support/harness.ts';
import { expectUnauthenticRows } from '../../support/state-secret.ts';
import { clearOrders, createWebhookHarness, ordersOf, rowsOfDelivery, type WebhookHarness } from '../harness.ts';

// Orders are driven until their tokens are gone, whatever PipeOps, D1 or the Worker does on the way.

let harness: WebhookHarness;
let id: string;
let secret: string;
beforeEach(async () => {
  await clearOrders();
  harness = await createWebhookHarness();
  ({ id, token: secret } = await harness.mint('leaked'));
});

// Some rows are settled by hand.
expectUnauthenticRows();

const NOT_DRIVEN = expect.objectContaining({ event: 'order_not_driven', name: 'RangeError' });

const faults = async (fault: Fault) =>
  await harness.control.fault({ ...fault, match: { workspace_uuid: harness.workspace, ...fault.match } });
const sent = async (method = 'DELETE') => (await harness.upstream()).filter((request) => request.method === method);
const isAlive = async (): Promise<boolean> =>
  (await harness.upstreamTokens()).some((token) => token.id === id && !token.is_revoked);
const settleAs = async (status: string): Promise<void> => {
  await env.DB.prepare(`update audit_events set status = ?, settled_at = ? where status = 'attempted' and token_id = ?`)
    .bind(status, harness.runtime.now(), id)
    .run();
};
const cronAfter = async (seconds: number): Promise<void> => {
  harness.age(seconds);
  await harness.cron();
};

describe('an order that PipeOps does not take', () => {
  it('waits out an hour of outage, with longer and longer pauses, and is done afterwards', async () => {
    await faults({ status: 503, times: 1_000 });
    const answer = await harness.leak(secret);
    expect(answer.status).toBe(202);
    // Each minute of a third of the hour, which is enough for most of the tries.
    for (const minutes of [...Array.from({ length: 20 }, () => 1), 10, 10, 20]) await cronAfter(60 * minutes);
    const tries = (await sent()).length;
    expect(tries).toBeGreaterThan(5);
    expect(tries).toBeLessThan(12);
    expect(await ordersOf(harness)).toMatchObject([{ state: 'open', error_code: 'upstream_error' }]);

    await harness.control.clearFaults({ workspace_uuid: harness.workspace });
    await cronAfter(3_600);
    expect(await isAlive()).toBe(false);
    expect(await ordersOf(harness)).toMatchObject([{ state: 'confirmed', result: 'revoked', error_code: null }]);
    const rows = await rowsOfDelivery(answer);
    expect(rows.filter(({ action }) => action === 'service_account_token.revoke')).toMatchObject([
      { status: 'success' },
    ]);
  }, 30_000);

  it('is announced to those who have read past its row', async () => {
    await faults({ status: 503 });
    await harness.leak(secret);
    await cronAfter(600);
    const [order] = await ordersOf(harness);
    const announced = (await harness.rows()).filter(({ action }) => action === 'audit.settled');
    expect(announced.map(({ detail }) => JSON.parse(detail).event_id)).toEqual([order?.id]);
  });

  it('waits as long as PipeOps says, and so does every other', async () => {
    const another = await harness.mint('another');
    await faults({ status: 429, headers: { 'Retry-After': '90' } });
    await harness.leak(secret);
    await harness.leak(another.token);
    await cronAfter(60);
    expect(await sent()).toHaveLength(1);
    await cronAfter(31);
    expect(await sent()).toHaveLength(3);
    expect((await ordersOf(harness)).map(({ state }) => state)).toEqual(['confirmed', 'confirmed']);
  });

  it.each([401, 419])(
    'waits while PipeOps refuses our credential with %s, and is done with the next',
    async (status) => {
      await faults({ status, times: 3 });
      await harness.leak(secret);
      await cronAfter(60);
      expect(await ordersOf(harness)).toMatchObject([{ state: 'open', error_code: 'upstream_credential_rejected' }]);
      await cronAfter(60);
      await cronAfter(60);
      expect(await isAlive()).toBe(false);
    },
  );

  it('is given up after three days, and its row says why', async () => {
    await faults({ status: 503, times: 1_000 });
    const answer = await harness.leak(secret);
    await cronAfter(72 * 3_600 - 60);
    expect(await ordersOf(harness)).toMatchObject([{ state: 'open' }]);
    await cronAfter(3_700);
    expect(await ordersOf(harness)).toMatchObject([
      { state: 'failed', error_code: 'upstream_error', acknowledged_at: null },
    ]);
    const row = (await rowsOfDelivery(answer)).at(-1);
    expect(row).toMatchObject({
      action: 'service_account_token.revoke',
      status: 'failure',
      error_code: 'upstream_error',
    });
    await cronAfter(3_600);
    expect(await sent()).toHaveLength(3);
  });

  it('has three days from its first try, whenever it was made', async () => {
    await faults({ status: 503, times: 1_000 });
    await harness.leak(secret);
    // As if nothing had been tried: the cron stood still.
    await env.DB.prepare('update revocation_orders set tries = 0, begun_at = null, next_at = 0 where token_id = ?')
      .bind(id)
      .run();
    await cronAfter(100 * 3_600);
    expect(await ordersOf(harness)).toMatchObject([{ state: 'open', tries: 1 }]);
    await cronAfter(71 * 3_600);
    expect(await ordersOf(harness)).toMatchObject([{ state: 'open' }]);
    await cronAfter(3_700);
    expect(await ordersOf(harness)).toMatchObject([{ state: 'failed' }]);
  });
});

describe('a run', () => {
  /** A harness of its own, in which what is random breaks: where PipeOps fails, a pause is drawn. */
  async function breakable() {
    const broken = { is: false, lines: [] as unknown[] };
    harness = await createWebhookHarness({
      runtime: {
        log: (line) => void broken.lines.push(line),
        randomBytes: (length) => {
          if (broken.is) throw new RangeError('broken');
          return workerRuntime.randomBytes(length);
        },
      },
    });
    return broken;
  }

  it('goes on with the others if a bug keeps one from being sent, and that one is sent again', async () => {
    const broken = await breakable();
    const tokens = [await harness.mint('one'), await harness.mint('other')].map(({ token }) => ({ token }));
    broken.is = true;
    await faults({ status: 503 });
    await harness.sendEvent('scanner', 'token.leaked', { tokens });
    expect((await ordersOf(harness)).map(({ state }) => state).toSorted()).toEqual(['confirmed', 'open']);
    expect(broken.lines).toContainEqual(NOT_DRIVEN);

    broken.is = false;
    await cronAfter(ORDERS_LEASE_MS / 1_000 + 1);
    expect((await ordersOf(harness)).map(({ state }) => state)).toEqual(['confirmed', 'confirmed']);
    expect((await harness.upstreamTokens()).every((token) => token.is_revoked)).toBe(true);
    expect(await harness.rows()).toEqual(
      expect.not.arrayContaining([expect.objectContaining({ status: 'attempted' })]),
    );
  });

  it('ends well if a bug keeps one from being confirmed, and that one is confirmed later', async () => {
    const broken = await breakable();
    const { token } = await harness.mint('one');
    broken.is = true;
    await faults({ status: 503, match: { method: 'GET' } });
    await harness.leak(token);
    expect(await ordersOf(harness)).toMatchObject([{ state: 'acknowledged', result: 'revoked' }]);
    expect(broken.lines).toContainEqual(NOT_DRIVEN);

    broken.is = false;
    await cronAfter(ORDERS_LEASE_MS / 1_000 + 1);
    expect(await ordersOf(harness)).toMatchObject([{ state: 'confirmed', confirmed_at: expect.any(Number) }]);
  });

  it('ends when PipeOps refuses our credential: every other order would be refused too', async () => {
    const another = await harness.mint('another');
    await faults({ status: 401, times: 10 });
    await harness.sendEvent('scanner', 'token.leaked', { tokens: [{ token: secret }, { token: another.token }] });
    expect(await sent()).toHaveLength(1);
    await harness.control.clearFaults({ workspace_uuid: harness.workspace });
    await cronAfter(60);
    expect((await ordersOf(harness)).map(({ state }) => state)).toEqual(['confirmed', 'confirmed']);
  });

  it('of another isolate leases nothing while PipeOps says wait, and its orders are due at once afterwards', async () => {
    const another = await harness.mint('another');
    await faults({ status: 429, headers: { 'Retry-After': '90' } });
    await harness.leak(secret);
    const other = await createWebhookHarness({ like: harness });
    await other.leak(another.token);
    const fresh = await createWebhookHarness({ like: harness });
    await fresh.cron();
    expect(fresh.lines.find(({ event }) => event === 'cron')).toMatchObject({ due_orders: 0 });
    expect(await sent()).toHaveLength(1);
    fresh.age(91);
    await fresh.cron();
    expect((await ordersOf(harness)).map(({ state }) => state)).toEqual(['confirmed', 'confirmed']);
  });
});

describe('one driver at a time', () => {
  const sameCompany = async (runtime = {}) => await createWebhookHarness({ like: harness, runtime });

  it('sends an order, however many run', async () => {
    await faults({ status: 503 });
    await harness.leak(secret);
    harness.age(60);
    const others = await Promise.all([sameCompany(), sameCompany(), sameCompany()]);
    for (const other of others) other.age(60);
    await Promise.all([harness.cron(), ...others.map(async (other) => await other.cron())]);
    expect(await sent()).toHaveLength(2);
    expect(await ordersOf(harness)).toMatchObject([{ state: 'confirmed' }]);
  });

  it('leases it for a minute, and another follows a driver that died', async () => {
    const dying = await createWebhookHarness({
      like: harness,
      runtime: {
        fetch: async (url, init) => {
          const response = await harness.runtime.fetch(url, init);
          // Its isolate is gone: PipeOps' answer reaches nobody, and nothing ends.
          if (init.method === 'DELETE') await new Promise(() => {});
          return response;
        },
        timeout: () => new AbortController().signal,
        background: () => {},
      },
    });
    expect((await dying.leak(secret)).status).toBe(202);
    await vi.waitFor(async () => expect(await sent()).toHaveLength(1));
    // The clock runs on meanwhile, on a busy machine for seconds.
    await cronAfter(45);
    expect(await ordersOf(harness)).toMatchObject([{ state: 'open' }]);
    await cronAfter(16);
    expect(await ordersOf(harness)).toMatchObject([{ state: 'confirmed' }]);
    expect(await isAlive()).toBe(false);
  });

  it('leaves an order alone while another has leased it', async () => {
    await faults({ status: 503 });
    await harness.leak(secret);
    await env.DB.prepare(
      `update revocation_orders set claim = 'another', next_at = ?, state = 'open' where token_id = ?`,
    )
      .bind(harness.runtime.now() + 60_000, id)
      .run();
    await cronAfter(30);
    expect(await sent()).toHaveLength(1);
    await cronAfter(31);
    expect(await sent()).toHaveLength(2);
  });
});

it('an order ends only with its row in the trail, which says what became of it', async () => {
  const late = await createWebhookHarness({
    like: harness,
    runtime: {
      fetch: async (url, init) => {
        const response = await harness.runtime.fetch(url, init);
        // Another has settled it meanwhile, as one does that took over from a driver it held for dead.
        if (init.method === 'DELETE') await settleAs('failure');
        return response;
      },
    },
  });
  await late.leak(secret);
  expect(await ordersOf(harness)).toMatchObject([{ state: 'open', result: null }]);
});

describe('the proof that a token is gone', () => {
  it('is a list in which it is missing; one that shows it within a minute may lag', async () => {
    const stale = { tokens: [{ id, name: 'leaked', scopes: ['api:read'], is_revoked: false }], total: 1 };
    await faults({ body: { success: true, message: '', data: stale }, match: { method: 'GET' } });
    await harness.leak(secret);
    expect(await ordersOf(harness)).toMatchObject([
      { state: 'acknowledged', confirmed_at: null, contradicted_at: null },
    ]);
    await cronAfter(60);
    expect(await ordersOf(harness)).toMatchObject([{ state: 'confirmed', confirmed_at: expect.any(Number) }]);
    expect(await sent()).toHaveLength(1);
  });

  it('is looked for again soon, however long the revocation took', async () => {
    await faults({ status: 503, times: 9, match: { method: 'DELETE' } });
    await harness.leak(secret);
    for (let hour = 0; hour < 8; hour += 1) await cronAfter(3_700);
    expect(await isAlive()).toBe(true);
    await harness.control.clearFaults({ workspace_uuid: harness.workspace });
    await faults({ status: 500, match: { method: 'GET' } });
    await cronAfter(3_700);
    expect(await ordersOf(harness)).toMatchObject([{ state: 'acknowledged' }]);
    await cronAfter(60);
    expect(await ordersOf(harness)).toMatchObject([{ state: 'confirmed', confirmed_at: expect.any(Number) }]);
  });

  it('is an answer about it alone if the list is partial', async () => {
    await harness.mint('another');
    await faults({ partial: 0, match: { method: 'GET' } });
    await harness.leak(secret);
    expect(await ordersOf(harness)).toMatchObject([{ state: 'confirmed', confirmed_at: expect.any(Number) }]);
    const asked = (await sent('GET')).map(({ path }) => path.split('/').at(-1));
    // However many pages were asked for.
    expect([...new Set(asked)]).toEqual(['service-account-tokens', id]);
  });

  it('is looked for again later if the list fails', async () => {
    await faults({ status: 500, match: { method: 'GET' } });
    await harness.leak(secret);
    expect(await ordersOf(harness)).toMatchObject([{ state: 'acknowledged', result: 'revoked' }]);
    await cronAfter(60);
    expect(await ordersOf(harness)).toMatchObject([{ state: 'confirmed', confirmed_at: expect.any(Number) }]);
    expect(await sent()).toHaveLength(1);
  });
});

it('one job of the cron failing does not keep the other from its work', async () => {
  await harness.control.fault({ drop: 'after_commit', match: { workspace_uuid: harness.workspace, method: 'POST' } });
  await harness.send('POST', '/api/v1/service-account-tokens', { body: { name: 'lost', scopes: ['api:read'] } });
  const broken = await createHarness({
    like: harness,
    runtime: { now: () => Date.now() + 200_000 },
    db: new Proxy(env.DB, {
      get: (target, key) => {
        const value: unknown = Reflect.get(target, key);
        if (key !== 'prepare') return typeof value === 'function' ? value.bind(target) : value;
        return (sql: string) => {
          if (sql.startsWith('update "revocation_orders"')) throw new TypeError('injected');
          return target.prepare(sql);
        };
      },
    }),
  });
  await broken.cron();
  expect((await harness.rows()).filter(({ status }) => status === 'attempted')).toEqual([]);
});
