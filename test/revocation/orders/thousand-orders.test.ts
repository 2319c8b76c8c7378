import { env } from 'cloudflare:workers';
import { expect, it } from 'vitest';
import { fingerprintKeys } from '../../../src/config/secrets.ts';
import { CONFIRM_PAUSES_MS } from '../../../src/config/limits.ts';
import { sha256Hex } from '../../../src/kit/digest.ts';
import { createFingerprints } from '../../../src/tokens/fingerprints.ts';
import { FINGERPRINT_KEYS } from '../../support/harness.ts';
import { createQuota, quotaHeaders } from '../../pipeops-simulator/quota.ts';
import { clearOrders, createWebhookHarness, ordersOf } from '../harness.ts';

// A thousand tokens leaked at once, against the limits of the one credential: 100 calls a minute, 1,000 an hour.

const secretOf = (id: string): string => `sat_${id.padStart(40, '0')}`;
const TOKENS = Array.from({ length: 1_000 }, (_item, index) => `tok-${index}`);

it('are all revoked, in the order of PipeOps’ limits, and nothing is sent while PipeOps says wait', async () => {
  await clearOrders();
  const quota = createQuota();
  const live = new Set(TOKENS);
  const impatient: string[] = [];
  let waitUntilMs = 0;
  let calls = 0;

  /** PipeOps in this isolate, by the clock of the test. */
  const answer = (method: string, url: string): Response => {
    const nowMs = harness.runtime.now();
    if (nowMs < waitUntilMs) impatient.push(`${method} ${url}`);
    const verdict = quota.charge('credential', nowMs);
    const headers = quotaHeaders(verdict);
    if (!verdict.allowed) {
      waitUntilMs = nowMs + verdict.retryAfterSeconds * 1000;
      return Response.json({ success: false, message: 'Too many requests' }, { status: 429, headers });
    }
    calls += 1;
    if (method === 'DELETE') {
      live.delete(new URL(url).pathname.split('/').at(-1) ?? '');
      return Response.json({ success: true, message: '' }, { headers });
    }
    const tokens = [...live].map((id) => ({ id, name: id, scopes: [] }));
    return Response.json({ success: true, message: '', data: { tokens, total: tokens.length } }, { headers });
  };
  const harness = await createWebhookHarness({
    runtime: { fetch: async (url, init) => await Promise.resolve(answer(init.method ?? 'GET', url)) },
  });
  const fingerprints = createFingerprints(fingerprintKeys.parse(FINGERPRINT_KEYS));
  const inventory = await Promise.all(
    TOKENS.map(async (id) => ({ id, fingerprint: await fingerprints.of(await sha256Hex(secretOf(id))) })),
  );
  await env.DB.prepare(
    `insert into tokens (workspace_uuid, token_id, created_at, fingerprint, fingerprint_key_id)
     select ?1, value ->> 'id', 1, value ->> '$.fingerprint.value', value ->> '$.fingerprint.keyId' from json_each(?2)`,
  )
    .bind(harness.workspace, JSON.stringify(inventory))
    .run();

  const leaks = TOKENS.map((id) => ({ token: secretOf(id) }));
  const accepted = await harness.sendEvent('scanner', 'token.leaked', { tokens: leaks });
  expect(accepted.status, accepted.text).toBe(202);
  const startedAtMs = harness.runtime.now();
  for (let minute = 0; minute < 90 && live.size > 0; minute += 1) {
    harness.age(60);
    await harness.cron();
  }
  const revokedAtMs = harness.runtime.now();
  // The rounds of an hour and of a day, of the first orders and of the last.
  for (const minutes of [1, 30, 31, 12 * 60, 12 * 60, 12 * 60]) {
    harness.age(minutes * 60);
    await harness.cron();
  }

  expect(live.size).toBe(0);
  expect(impatient).toEqual([]);
  const orders = await ordersOf(harness);
  expect(orders).toHaveLength(TOKENS.length);
  expect(new Set(orders.map(({ state, result }) => `${state} ${result}`))).toEqual(new Set(['confirmed revoked']));
  expect(orders.every(({ confirmed_at }) => confirmed_at !== null)).toBe(true);
  const rows = (await harness.rows()).filter(({ actor_type }) => actor_type === 'webhook');
  expect(rows.map(({ status }) => status)).toEqual(TOKENS.map(() => 'success'));
  expect(
    orders.every(({ next_at, confirm_round }) => next_at === null && confirm_round === CONFIRM_PAUSES_MS.length),
  ).toBe(true);
  // One revoke each, one list for each run that looks, and no more: the first thousand calls take an hour of PipeOps'.
  expect(calls).toBeLessThan(TOKENS.length + 50);
  expect(revokedAtMs - startedAtMs).toBeLessThan(75 * 60_000);
}, 60_000);
