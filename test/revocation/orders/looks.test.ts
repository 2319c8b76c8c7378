import { env } from 'cloudflare:workers';
import { beforeEach, describe, expect, it } from 'vitest';
import { insertOrder } from '../../../src/inventory/orders.ts';
import { createDatabase } from '../../../src/db/database.ts';
import { newTrace } from '../../../src/kit/trace.ts';
import { sql } from 'drizzle-orm';
import { untilRoomInDay } from '../../support/clock.ts';
import { ISSUER } from '../../support/harness.ts';
import { clearOrders, ordersOf } from '../harness.ts';
import { ALL, createPipeOpsInIsolate } from '../pipeops-in-isolate.ts';

// An order that PipeOps has acknowledged is looked at: at once, after a minute, an hour and a day.

type InIsolate = Awaited<ReturnType<typeof createPipeOpsInIsolate>>;
const IDS = ['tok-1', 'tok-2'];

let pipeops: InIsolate;
let owner: { readonly issuer: string; readonly subject: string };
beforeEach(async () => {
  await clearOrders();
  pipeops = await createPipeOpsInIsolate();
  pipeops.harness.age(untilRoomInDay(Date.now(), 2) / 1000);
  owner = { issuer: ISSUER, subject: `leaver-${crypto.randomUUID()}` };
  await pipeops.hold(IDS, owner);
});

const offboard = async (mode: 'revoke' | 'suspend' = 'revoke') => {
  const accepted = await pipeops.harness.offboard({ ...owner, mode });
  expect(accepted.status, accepted.text).toBe(202);
  return accepted;
};
const orders = async () => await ordersOf(pipeops.harness);
const lists = (received: ReturnType<InIsolate['receivedAnew']>) => received.filter(({ id }) => id === null).length;
const readyz = async () => {
  pipeops.harness.age(6);
  return (await pipeops.harness.send('GET', '/readyz', { jwt: null })).body.data;
};
const contradictions = async () =>
  (await pipeops.harness.rows()).filter(({ error_code }) => error_code === 'revocation_contradicted');

describe('the rounds of looks', () => {
  it('are five, each of one list for all orders of a workspace, and no more', async () => {
    await offboard();
    const received = pipeops.receivedAnew();
    expect(received.map(({ method }) => method)).toEqual(['DELETE', 'DELETE', 'GET']);
    expect(new Set(received.map(({ id }) => id))).toEqual(new Set([...IDS, null]));
    expect(await orders()).toMatchObject(IDS.map(() => ({ state: 'confirmed', confirm_round: 1, tries: 0 })));
    for (const [seconds, asked] of [
      [50, 0],
      [15, 1],
      [3_000, 0],
      [600, 1],
      [1_500, 0],
      [300, 1],
      [80_000, 0],
      [3_600, 1],
      [100_000, 0],
    ] as const) {
      await pipeops.cronAfter(seconds);
      // The cron also asks for a list where nobody has called PipeOps for long. That is no look.
      const { probed } = pipeops.harness.lines.findLast(({ event }) => event === 'cron') ?? {};
      expect([seconds, lists(pipeops.receivedAnew()) - Number(probed)]).toEqual([seconds, asked]);
    }
    expect(await orders()).toMatchObject(IDS.map(() => ({ state: 'confirmed', confirm_round: 5, next_at: null })));
  });

  it('go on if one look in between failed', async () => {
    await offboard();
    await pipeops.cronAfter(3_700);
    await pipeops.cronAfter(61);
    expect(await orders()).toMatchObject(IDS.map(() => ({ state: 'confirmed', confirm_round: 3 })));
  });
});

describe('a token that is alive a minute after PipeOps acknowledged its revoke', () => {
  beforeEach(async () => {
    pipeops.lie({ ignores: ALL });
    await offboard();
  });

  it('contradicts it no earlier', async () => {
    expect(await orders()).toMatchObject(IDS.map(() => ({ state: 'acknowledged', contradicted_at: null })));
    expect(await contradictions()).toEqual([]);
  });

  it('contradicts its order: that is open again, the trail says so once a token and day, and /readyz is degraded', async () => {
    await pipeops.cronAfter(61);
    expect(await orders()).toMatchObject(
      IDS.map(() => ({ state: 'open', result: null, contradicted_at: expect.any(Number) })),
    );
    expect(await pipeops.harness.inventory()).toMatchObject(IDS.map(() => ({ revoked_at: null, ended_by: null })));
    expect(await readyz()).toMatchObject({ degraded: ['revocation_contradicted'], contradicted_orders: 2 });
    for (let minute = 0; minute < 30; minute += 1) await pipeops.cronAfter(60);
    const rows = await contradictions();
    expect(rows.map(({ token_id }) => token_id ?? '').toSorted()).toEqual(IDS);
    expect(rows).toMatchObject(
      IDS.map(() => ({ action: 'service_account_token.revoke', status: 'failure', actor_type: 'system' })),
    );
    await pipeops.cronAfter(24 * 3_600);
    await pipeops.cronAfter(61);
    expect(await contradictions()).toHaveLength(2 * IDS.length);
  }, 30_000);

  it('is ordered again after longer and longer pauses, under the same row of the trail', async () => {
    await pipeops.cronAfter(61);
    pipeops.receivedAnew();
    for (let minute = 0; minute < 60; minute += 1) await pipeops.cronAfter(60);
    const sent = pipeops.receivedAnew().filter(({ method, id }) => method === 'DELETE' && id === 'tok-1');
    expect(sent.length).toBeGreaterThan(3);
    expect(sent.length).toBeLessThan(9);
    const rows = (await pipeops.harness.rows()).filter(({ actor_type }) => actor_type === 'webhook');
    expect(rows.map(({ id, status }) => `${id} ${status}`).toSorted()).toEqual(
      (await orders()).map(({ id }) => `${id} success`).toSorted(),
    );
  }, 30_000);

  it('is dead once PipeOps obeys, and /readyz is well when a look agrees', async () => {
    await pipeops.cronAfter(61);
    pipeops.lie({});
    await pipeops.cronAfter(60);
    expect([...pipeops.tokens.values()].every(({ isRevoked }) => isRevoked)).toBe(true);
    expect(await orders()).toMatchObject(
      IDS.map(() => ({ state: 'confirmed', result: 'revoked', contradicted_at: null, tries: 0 })),
    );
    expect(await readyz()).toMatchObject({ degraded: [], contradicted_orders: 0 });
    expect(await pipeops.harness.inventory()).toMatchObject(IDS.map(() => ({ ended_by: 'acknowledged' })));
  });
});

it('a confirmed order whose token a later round shows alive is ordered again', async () => {
  pipeops.lie({ ignores: ALL, hides: ALL });
  await offboard();
  expect(await orders()).toMatchObject(IDS.map(() => ({ state: 'confirmed' })));
  pipeops.lie({});
  await pipeops.cronAfter(61);
  expect(await orders()).toMatchObject(IDS.map(() => ({ state: 'open', contradicted_at: expect.any(Number) })));
  await pipeops.cronAfter(60);
  expect([...pipeops.tokens.values()].every(({ isRevoked }) => isRevoked)).toBe(true);
});

it('a token that lists omit is asked for by itself, and ordered again where it is alive', async () => {
  pipeops.lie({ ignores: ALL, omits: ALL });
  await offboard();
  expect(await orders()).toMatchObject(IDS.map(() => ({ state: 'acknowledged' })));
  await pipeops.cronAfter(61);
  expect(await orders()).toMatchObject(IDS.map(() => ({ state: 'open', contradicted_at: expect.any(Number) })));
  expect(await pipeops.harness.inventory()).toMatchObject(IDS.map(() => ({ revoked_at: null, ended_by: null })));
  pipeops.lie({ omits: ALL });
  await pipeops.cronAfter(60);
  expect([...pipeops.tokens.values()].every(({ isRevoked }) => isRevoked)).toBe(true);
  expect(await orders()).toMatchObject(IDS.map(() => ({ state: 'confirmed', result: 'revoked' })));
});

it('looks end with the first that PipeOps breaks, since it would break the others too, which are due at once', async () => {
  pipeops.lie({ omits: ALL });
  await offboard();
  pipeops.lie({ omits: ALL, breaks: ALL });
  pipeops.receivedAnew();
  await pipeops.cronAfter(61);
  const asked = pipeops.receivedAnew().flatMap(({ id }) => (id === null ? [] : [id]));
  expect(new Set(asked).size).toBe(1);
  expect(await orders()).toMatchObject(IDS.map(() => ({ claim: null, contradicted_at: null })));
  const nowMs = pipeops.harness.runtime.now();
  const due = (await orders()).filter(({ next_at }) => next_at !== null && next_at <= nowMs);
  expect(due).toHaveLength(1);
  expect(due[0]?.token_id).not.toBe(asked[0]);
});

describe('a suspension', () => {
  it('that PipeOps acknowledged and did not make is ordered again', async () => {
    pipeops.lie({ ignores: ALL });
    await offboard('suspend');
    expect(await orders()).toMatchObject(IDS.map(() => ({ state: 'acknowledged', result: 'suspended' })));
    pipeops.lie({});
    await pipeops.cronAfter(61);
    expect(await orders()).toMatchObject(IDS.map(() => ({ state: 'open', contradicted_at: expect.any(Number) })));
    expect((await contradictions()).map(({ action }) => action)).toEqual(IDS.map(() => 'service_account_token.update'));
    await pipeops.cronAfter(60);
    expect([...pipeops.tokens.values()]).toEqual(IDS.map(() => ({ isRevoked: false, isActive: false })));
    expect(await orders()).toMatchObject(IDS.map(() => ({ state: 'confirmed', contradicted_at: null })));
  });

  it('that a resume has lifted is not ordered again', async () => {
    await offboard('suspend');
    for (const token of pipeops.tokens.values()) token.isActive = true;
    await env.DB.prepare('update tokens set suspended_by = null where workspace_uuid = ?')
      .bind(pipeops.harness.workspace)
      .run();
    await pipeops.cronAfter(61);
    expect(await orders()).toMatchObject(IDS.map(() => ({ state: 'lifted', next_at: null })));
    await pipeops.cronAfter(61);
    expect([...pipeops.tokens.values()]).toEqual(IDS.map(() => ({ isRevoked: false, isActive: true })));
  });
});

describe('an update that is under way beside an order', () => {
  const update = async (status: 'attempted' | 'success') => {
    const at = pipeops.harness.runtime.now();
    await env.DB.prepare(
      `insert into audit_events (id, occurred_at, settled_at, action, status, actor_type, workspace_uuid, token_id, detail, count)
       values (?, ?, ?, 'service_account_token.update', ?, 'user', ?, 'tok-1', '{}', 1)`,
    )
      .bind(crypto.randomUUID(), at, status === 'attempted' ? null : at, status, pipeops.harness.workspace)
      .run();
  };
  const settle = async () =>
    await env.DB.prepare(
      `update audit_events set status = 'failure', settled_at = ?, outcome = '{}' where workspace_uuid = ? and token_id = 'tok-1'
       and action = 'service_account_token.update' and status = 'attempted'`,
    )
      .bind(pipeops.harness.runtime.now(), pipeops.harness.workspace)
      .run();
  const states = async () => (await orders()).map(({ token_id, state }) => `${token_id} ${state}`).toSorted();

  it('delays its confirmation until half a minute after its end', async () => {
    await update('attempted');
    await offboard();
    const held = ['tok-1 acknowledged', 'tok-2 confirmed'];
    expect(await states()).toEqual(held);
    await pipeops.cronAfter(61);
    expect(await states()).toEqual(held);
    await settle();
    await pipeops.cronAfter(29);
    expect(await states()).toEqual(held);
    // The look before has put it off by a minute.
    await pipeops.cronAfter(32);
    expect(await states()).toEqual(IDS.map((id) => `${id} confirmed`));
  });
});

it('a caller’s revoke that PipeOps acknowledged is confirmed by the cron, and ordered again where it is contradicted', async () => {
  const { harness } = pipeops;
  const database = createDatabase(env.DB, harness.runtime);
  const order = {
    id: crypto.randomUUID(),
    cause: 'caller',
    workspaceUuid: harness.workspace,
    tokenId: 'tok-1',
    mode: 'revoke',
    state: 'acknowledged',
    nowMs: harness.runtime.now(),
  } as const;
  await database.batch({ trace: newTrace() }, [insertOrder(database, order, sql`true`)]);
  await pipeops.cronAfter(61);
  expect(await orders()).toMatchObject([{ cause: 'caller', delivery_id: null, state: 'open' }]);
  await pipeops.cronAfter(60);
  expect(await orders()).toMatchObject([{ state: 'confirmed', result: 'revoked' }]);
  expect(pipeops.tokens.get('tok-1')?.isRevoked).toBe(true);
  expect(pipeops.tokens.get('tok-2')?.isRevoked).toBe(false);
});
