import { env } from 'cloudflare:workers';
import { expect, it } from 'vitest';
import { fingerprintKeys } from '../../../src/config/secrets.ts';
import { sha256Hex } from '../../../src/kit/digest.ts';
import { createFingerprints } from '../../../src/tokens/fingerprints.ts';
import { createQuota, quotaHeaders } from '../../pipeops-simulator/quota.ts';
import { FINGERPRINT_KEYS, ISSUER } from '../../support/harness.ts';
import { clearOrders, createWebhookHarness } from '../harness.ts';

// A leaver with thirty thousand expired tokens and fifty live ones, and a leak of somebody else's token in the middle.

const EXPIRED = 30_000;
/** So many of their orders are there already: the driver makes the rest. */
const MADE = 28_000;
const LIVE = 50;
const CALLS_A_MINUTE = 100;
const LEAKED = { id: 'leaked', secret: `sat_${'leaked'.padStart(40, '0')}` };

it('the leak goes first, the live ones within a minute’s quota, and one list settles the expired ones', async () => {
  await clearOrders();
  const subject = `leaver-${crypto.randomUUID()}`;
  const quota = createQuota();
  const live = new Set([LEAKED.id, ...Array.from({ length: LIVE }, (_item, index) => `live-${index}`)]);
  const expired = Array.from({ length: EXPIRED }, (_item, index) => `old-${index}`);
  const shown = expired.map((id) => `{"id":"${id}","name":"x","scopes":[],"is_expired":true}`).join(',');
  const calls: string[] = [];
  const answer = (method: string, url: string): Response => {
    const verdict = quota.charge('credential', harness.runtime.now());
    const headers = { ...quotaHeaders(verdict), 'Content-Type': 'application/json' };
    if (!verdict.allowed) return new Response('{"success":false}', { status: 429, headers });
    const id = new URL(url).pathname.split('/').at(-1) ?? '';
    calls.push(method === 'DELETE' ? `DELETE ${id}` : method);
    if (method === 'DELETE') {
      live.delete(id);
      return new Response('{"success":true,"message":""}', { headers });
    }
    const alive = [...live].map((one) => `{"id":"${one}","name":"x","scopes":[]}`);
    const tokens = [shown, ...alive].join(',');
    const total = EXPIRED + live.size;
    return new Response(`{"success":true,"message":"","data":{"tokens":[${tokens}],"total":${total}}}`, { headers });
  };
  const harness = await createWebhookHarness({
    runtime: { fetch: async (url, init) => await Promise.resolve(answer(init.method ?? 'GET', url)) },
  });
  await insertTokens(harness.workspace, subject, [...live], expired, harness.runtime.now());

  const accepted = await harness.offboard({ issuer: ISSUER, subject });
  expect(accepted.status, accepted.text).toBe(202);
  await leaveTheRest(accepted.body.data.delivery_id, harness.workspace, subject, harness.runtime.now());
  await harness.leak(LEAKED.secret);
  const deletes = () => calls.filter((call) => call.startsWith('DELETE'));
  for (let minute = 0; minute < 3 && live.size > 0; minute += 1) {
    harness.age(60);
    await harness.cron();
  }
  expect(live.size).toBe(0);
  expect(deletes()).toHaveLength(LIVE + 1);
  expect(calls.length).toBeLessThan(CALLS_A_MINUTE);
  const orders = async () =>
    (
      await env.DB.prepare(
        `select rank, state, result, count(*) as orders from revocation_orders where workspace_uuid = ?
         group by rank, state, result order by rank, state, result`,
      )
        .bind(harness.workspace)
        .all()
    ).results;

  let runs = 0;
  const isDone = async (): Promise<boolean> =>
    (await orders()).some(({ state, orders: count }) => state === 'confirmed' && count === EXPIRED);
  for (; runs < 12 && !(await isDone()); runs += 1) {
    harness.age(60);
    await harness.cron();
  }
  expect(await orders()).toEqual([
    { rank: 0, state: 'confirmed', result: 'revoked', orders: 1 },
    { rank: 1, state: 'confirmed', result: 'revoked', orders: LIVE },
    { rank: 2, state: 'confirmed', result: 'expired', orders: EXPIRED },
  ]);
  // No expired token was asked for by itself: a list a run, and nothing more.
  expect(deletes()).toHaveLength(LIVE + 1);
  expect(calls.length - LIVE - 1).toBeLessThan(30);
  const { results } = await env.DB.prepare(
    `select status, error_code, count(*) as rows from audit_events
     where workspace_uuid = ? and action = 'service_account_token.revoke' group by status, error_code`,
  )
    .bind(harness.workspace)
    .all();
  expect(results).toEqual([{ status: 'success', error_code: null, rows: EXPIRED + LIVE + 1 }]);
  const crons = harness.lines.filter(({ event }) => event === 'cron');
  expect(Math.max(...crons.map((line) => Number(line['d1_queries'])))).toBeLessThanOrEqual(900);
}, 120_000);

async function insertTokens(
  workspace: string,
  subject: string,
  live: readonly string[],
  expired: readonly string[],
  nowMs: number,
): Promise<void> {
  const fingerprints = createFingerprints(fingerprintKeys.parse(FINGERPRINT_KEYS));
  const { value, keyId } = await fingerprints.of(await sha256Hex(LEAKED.secret));
  const insert = env.DB.prepare(
    `insert into tokens (workspace_uuid, token_id, owner_issuer, owner_subject, created_at, expires_at)
     select ?1, value, ?2, ?3, 1, ?4 from json_each(?5)`,
  );
  await env.DB.batch([
    insert.bind(workspace, ISSUER, subject, null, JSON.stringify(live.filter((id) => id !== LEAKED.id))),
    insert.bind(workspace, ISSUER, subject, nowMs - 1, JSON.stringify(expired)),
    env.DB.prepare(
      `insert into tokens (workspace_uuid, token_id, created_at, fingerprint, fingerprint_key_id) values (?, ?, 1, ?, ?)`,
    ).bind(workspace, LEAKED.id, value, keyId),
  ]);
}

/** As acceptance, and the first runs after it, leave a delivery whose orders are more than one batch takes. */
async function leaveTheRest(deliveryId: string, workspace: string, subject: string, nowMs: number): Promise<void> {
  await env.DB.batch([
    env.DB.prepare(
      `insert into revocation_orders (id, cause, delivery_id, workspace_uuid, token_id, mode, rank, state, tries, next_at, created_at)
       select lower(hex(randomblob(16))), 'offboarding', ?1, workspace_uuid, token_id, 'revoke', 2, 'open', 0, ?2, ?2 from tokens
       where workspace_uuid = ?3 and expires_at is not null
         and token_id not in (select token_id from revocation_orders where delivery_id = ?1) limit ?4`,
    ).bind(deliveryId, nowMs, workspace, MADE),
    env.DB.prepare(
      `insert into audit_events (id, occurred_at, action, status, actor_type, actor_subject, workspace_uuid, token_id, detail, count)
       select id, created_at, 'service_account_token.revoke', 'attempted', 'webhook', 'hr', workspace_uuid, token_id, '{}', 1
       from revocation_orders as o where delivery_id = ? and not exists (select 1 from audit_events as e where e.id = o.id)`,
    ).bind(deliveryId),
    env.DB.prepare('update webhook_deliveries set orders_left = 1 where id = ?').bind(deliveryId),
    env.DB.prepare(
      `insert into webhook_owners (delivery_id, issuer, subject, found, tokens) values (?, ?, ?, 'owner', ?)
       on conflict do nothing`,
    ).bind(deliveryId, ISSUER, subject, EXPIRED + LIVE),
  ]);
}
