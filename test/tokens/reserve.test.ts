import { env } from 'cloudflare:workers';
import { beforeEach, describe, expect, it } from 'vitest';
import { REVOCATION_TRY_MS } from '../../src/config/limits.ts';
import { TOKENS } from '../support/harness.ts';
import { clearOrders, createWebhookHarness, type WebhookHarness } from '../revocation/harness.ts';

// A strict PipeOps that tells nothing of its limits until they are exceeded, before many isolates over one D1: what is kept for
// revocation is there when it is needed.

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

/** Counts in fixed windows that begin when nobody expects it, and answers 429 without `X-RateLimit-*` beyond its limits. */
function createStrictPipeOps(now: () => number) {
  const tokens = new Map<string, { isRevoked: boolean }>();
  const counts = new Map<string, number>();
  const sent: { readonly method: string; readonly status: number; readonly atMs: number }[] = [];
  let refuseUntilMs = 0;
  const count = (name: string, lengthMs: number, limit: number): boolean => {
    const key = `${name} ${Math.floor((now() + 17_321) / lengthMs)}`;
    const calls = (counts.get(key) ?? 0) + 1;
    counts.set(key, calls);
    return calls <= limit;
  };
  const wait = (seconds: number): Response =>
    Response.json({ success: false, message: '' }, { status: 429, headers: { 'Retry-After': String(seconds) } });
  const answer = (method: string, url: string, body: unknown): Response => {
    if (now() < refuseUntilMs) return wait(Math.ceil((refuseUntilMs - now()) / 1000));
    if (![count('minute', MINUTE_MS, 100), count('hour', HOUR_MS, 1_000)].every(Boolean)) return wait(3_000);
    const id = new URL(url).pathname.split('/').at(-1) ?? '';
    const shown = (one: string) => ({ id: one, name: one, scopes: ['api:read'], is_active: true });
    if (method === 'POST') {
      const minted = crypto.randomUUID();
      tokens.set(minted, { isRevoked: false });
      const token = `sat_${minted.replaceAll('-', '')}`;
      const { name } = body as { name: string };
      return Response.json(
        { success: true, data: { ...shown(minted), name, token, workspace_id: null } },
        { status: 201 },
      );
    }
    const alive = [...tokens].filter(([, { isRevoked }]) => !isRevoked).map(([one]) => shown(one));
    if (id === 'service-account-tokens')
      return Response.json({ success: true, data: { tokens: alive, total: alive.length } });
    const token = tokens.get(id);
    if (token === undefined || token.isRevoked) return Response.json({ success: false, message: '' }, { status: 404 });
    if (method === 'DELETE') token.isRevoked = true;
    return Response.json({ success: true, data: shown(id) });
  };
  return {
    tokens,
    sent,
    refuse: (ms: number) => {
      refuseUntilMs = now() + ms;
    },
    fetch: async (url: string, init: RequestInit): Promise<Response> => {
      const method = init.method ?? 'GET';
      const body: unknown = typeof init.body === 'string' ? JSON.parse(init.body) : null;
      const response = answer(method, url, body);
      sent.push({ method, status: response.status, atMs: now() });
      return response;
    },
  };
}

let skewMs: number;
const now = (): number => START_MS + skewMs;
// The signatures of webhooks are verified at the real time.
const START_MS = Date.now();
let pipeops: ReturnType<typeof createStrictPipeOps>;
let first: WebhookHarness;
const isolate = async (like?: WebhookHarness): Promise<WebhookHarness> =>
  await createWebhookHarness({
    ...(like !== undefined && { like }),
    runtime: { now, fetch: pipeops.fetch },
    env: { SNAPSHOT_MAX_AGE_SECONDS: '15' },
  });
beforeEach(async () => {
  await clearOrders();
  skewMs = 0;
  pipeops = createStrictPipeOps(now);
  first = await isolate();
});
const wait = (ms: number): void => {
  skewMs += ms;
};

/** A session JWT that the verifier takes at the moved clock. */
const jwtOf = async (harness: WebhookHarness, name: string): Promise<string> => {
  const iat = Math.floor(now() / 1000);
  return await harness.jwtFor('admin', { sub: name, iat, exp: iat + 600 });
};
const mintedBy = async (harness: WebhookHarness): Promise<string> => {
  const jwt = await jwtOf(harness, 'owner');
  const { status, body } = await harness.send('POST', TOKENS, { jwt, body: { name: 'deploy', scopes: ['api:read'] } });
  expect(status).toBe(201);
  return String(body.data.id);
};

it('fifty isolates of readers at full speed leave revocation what it needs, and PipeOps refuses nothing', async () => {
  const isolates = [first, ...(await Promise.all(Array.from({ length: 49 }, async () => await isolate(first))))];
  const ids = [];
  for (let index = 0; index < 12; index += 1) ids.push(await mintedBy(first));
  const answers: number[] = [];
  for (let minute = 0; minute < 6; minute += 1) {
    for (let part = 0; part < 2; part += 1) {
      const reads = isolates.map(async (harness, index) => {
        const jwt = await jwtOf(harness, `reader-${index}`);
        const headers = { 'Cache-Control': 'no-cache' };
        return (await harness.send('GET', TOKENS, { jwt, headers })).status;
      });
      answers.push(...(await Promise.all(reads)));
      wait(30_000);
    }
    for (const [turn, harness] of [first, isolates[minute + 1] ?? first].entries()) {
      const id = ids[minute * 2 + turn] ?? '';
      const { status, body } = await harness.send('DELETE', `${TOKENS}/${id}`, { jwt: await jwtOf(harness, 'admin') });
      expect([status, body.code, minute]).toEqual([200, undefined, minute]);
      expect(pipeops.tokens.get(id)).toEqual({ isRevoked: true });
    }
  }
  expect(pipeops.sent.filter(({ status }) => status === 429)).toEqual([]);
  expect(pipeops.sent.length).toBeLessThanOrEqual(1_000);
  expect(answers).toContain(200);
}, 60_000);

it('whoever deletes ids that it makes up leaves a part of the reserve to those that are there', async () => {
  const id = await mintedBy(first);
  const jwt = await jwtOf(first, 'vandal');
  const answers = await Promise.all(
    Array.from({ length: 110 }, async () => await first.send('DELETE', `${TOKENS}/${crypto.randomUUID()}`, { jwt })),
  );
  expect(new Set(answers.map(({ body }) => body.code))).toEqual(new Set(['not_found', 'upstream_rate_limited']));
  expect(pipeops.sent.length).toBeLessThanOrEqual(95);
  const { status } = await first.send('DELETE', `${TOKENS}/${id}`, { jwt: await jwtOf(first, 'admin') });
  expect(status).toBe(200);
});

describe('while PipeOps says wait for long', () => {
  const deletes = () => pipeops.sent.filter(({ method }) => method === 'DELETE').length;
  const remove = async (harness: WebhookHarness, id: string) =>
    (await harness.send('DELETE', `${TOKENS}/${id}`, { jwt: await jwtOf(harness, 'admin') })).status;

  it('revocations try one call a minute in all, whichever isolate it is', async () => {
    const ids = [await mintedBy(first), await mintedBy(first)];
    const other = await isolate(first);
    pipeops.refuse(HOUR_MS);
    await remove(first, ids[0] ?? '');
    expect(deletes()).toBe(1);
    for (const harness of [first, other]) for (const id of ids) await remove(harness, id);
    expect(deletes()).toBe(1);
    for (const tries of [2, 3]) {
      wait(REVOCATION_TRY_MS);
      for (const harness of [other, first]) for (const id of ids) await remove(harness, id);
      expect(deletes()).toBe(tries);
    }
  });

  it('the first that PipeOps takes ends the wait for all', async () => {
    const ids = [await mintedBy(first), await mintedBy(first), await mintedBy(first)];
    const other = await isolate(first);
    pipeops.refuse(HOUR_MS);
    await remove(first, ids[0] ?? '');
    pipeops.refuse(0);
    expect(await remove(other, ids[1] ?? '')).not.toBe(200);
    wait(REVOCATION_TRY_MS);
    for (const id of ids) expect(await remove(other, id)).toBe(200);
    await mintedBy(await isolate(first));
    expect(await env.DB.prepare(`select * from upstream_limits where scope = 'all'`).first()).toBeNull();
  });

  it('no reader and no change tries', async () => {
    const id = await mintedBy(first);
    pipeops.refuse(HOUR_MS);
    await remove(first, id);
    const before = pipeops.sent.length;
    for (let minute = 0; minute < 3; minute += 1) {
      wait(REVOCATION_TRY_MS);
      const jwt = await jwtOf(first, 'reader');
      await first.send('POST', TOKENS, { jwt, body: { name: 'deploy', scopes: ['api:read'] } });
      await first.send('GET', TOKENS, { jwt, headers: { 'Cache-Control': 'no-cache' } });
    }
    expect(pipeops.sent.length).toBe(before);
  });

  it('an order that waits is tried by the cron, a minute apart', async () => {
    const id = await mintedBy(first);
    pipeops.refuse(HOUR_MS);
    const order = { workspace_uuid: first.workspace, token_id: id };
    expect((await first.sendEvent('scanner', 'token.revoke', order)).status).toBe(202);
    const before = deletes();
    expect(before).toBe(1);
    wait(REVOCATION_TRY_MS);
    await first.cron();
    await first.cron();
    expect(deletes() - before).toBe(1);
    pipeops.refuse(0);
    wait(REVOCATION_TRY_MS);
    await first.cron();
    expect(pipeops.tokens.get(id)).toEqual({ isRevoked: true });
  });

  it('a wait of a minute is waited for', async () => {
    const id = await mintedBy(first);
    pipeops.refuse(MINUTE_MS);
    await remove(first, id);
    wait(30_000);
    await remove(first, id);
    expect(deletes()).toBe(1);
    wait(30_001);
    expect(await remove(first, id)).toBe(200);
  });
});
