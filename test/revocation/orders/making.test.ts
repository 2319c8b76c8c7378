import { env } from 'cloudflare:workers';
import { beforeEach, describe, expect, it } from 'vitest';
import { ORDERS_MAKE_BATCH_ROWS, ORDERS_MAKE_BATCHES_MAX_COUNT } from '../../../src/config/limits.ts';
import { createDatabase, type Database } from '../../../src/db/database.ts';
import type { AuditEventRow, DeliveryRow, OrderRow, TokenRow } from '../../../src/db/schema.ts';
import { err, ok } from '../../../src/kit/result.ts';
import { newTrace } from '../../../src/kit/trace.ts';
import type { DriverDependencies } from '../../../src/revocation/dependencies.ts';
import {
  isOfDelivery,
  makeOrders,
  makeOrdersLeft,
  orderMatched,
  orderRows,
  recordOrders,
} from '../../../src/revocation/orders/making.ts';
import type { Run } from '../../../src/revocation/orders/run.ts';
import type { Actor } from '../../../src/trail/event.ts';
import { workerRuntime } from '../../../src/worker-runtime.ts';
import { expectUnauthenticRows, mac, rowMacs } from '../../support/state-secret.ts';
import { clearOrders, createWebhookHarness, deliveryOf } from '../harness.ts';

// One order gets another id than its row was made for.
expectUnauthenticRows();

// Orders of a leaver's tokens are made batch by batch, until every token whose end is not proven has one.

const database = createDatabase(env.DB, workerRuntime, mac);
const making = { database, runtime: workerRuntime };
const SENDER: Actor = { type: 'webhook', issuer: null, subject: 'hr', label: null };
const context = { requestId: 'r', ip: null, userAgent: null, policyVersion: 'v', traceparent: null, trace: newTrace() };
const RECEIVED_MS = 1_000_000;

let workspace: string;
let delivery: DeliveryRow;
/** An event of before the delivery. */
let before: string;
beforeEach(async () => {
  await clearOrders();
  workspace = crypto.randomUUID();
  before = (await deliver('revoke')).event_id;
  delivery = await deliver('revoke');
});

const subjectOf = (name: string): string => `${name}-${workspace}`;

async function deliver(mode: 'revoke' | 'suspend' | null): Promise<DeliveryRow> {
  const id = crypto.randomUUID();
  await env.DB.batch([
    env.DB.prepare(
      `insert into audit_events (id, occurred_at, settled_at, action, status, actor_type, actor_subject, detail)
       values (?1, ?2, ?2, 'webhook.receive', 'success', 'webhook', 'hr', '{}')`,
    ).bind(id, RECEIVED_MS),
    env.DB.prepare(
      `insert into webhook_deliveries (id, source, event, dedupe_key, event_id, received_at, mode, orders_left)
       values (?1, 'hr', 'subject.offboarded', ?1, ?1, ?2, ?3, 1)`,
    ).bind(id, RECEIVED_MS, mode),
    env.DB.prepare(
      `insert into webhook_owners values (?1, 'i', ?2, 'owner', 0), (?1, 'i', ?3, 'also_carried', 0), (?1, 'j', ?2, 'owner', 0)`,
    ).bind(id, subjectOf('alice'), subjectOf('bob')),
  ]);
  return await readDelivery(id);
}

const readDelivery = async (id: string): Promise<DeliveryRow> => {
  const row = await env.DB.prepare('select * from webhook_deliveries where id = ?').bind(id).first<DeliveryRow>();
  if (row === null) throw new Error('no such delivery');
  return row;
};

async function own(
  tokens: readonly (Partial<TokenRow> & { readonly token_id: string })[],
  owner = 'alice',
  issuer = 'i',
) {
  await env.DB.prepare(
    `insert into tokens (workspace_uuid, token_id, owner_issuer, owner_subject, created_at, expires_at, revoked_at, ended_by, suspended_by)
     select ?1, value ->> 'token_id', ?2, ?3, 1, value ->> 'expires_at', value ->> 'revoked_at', value ->> 'ended_by', value ->> 'suspended_by'
     from json_each(?4)`,
  )
    .bind(workspace, issuer, subjectOf(owner), JSON.stringify(tokens))
    .run();
}

const make = async (limitRows: number, of: DeliveryRow = delivery): Promise<void> => {
  const made = await database.batch(context, makeOrders(making, context, SENDER, of, limitRows, RECEIVED_MS + 5));
  expect(made.ok).toBe(true);
};
const orders = async (): Promise<OrderRow[]> =>
  (
    await env.DB.prepare('select * from revocation_orders where workspace_uuid = ? order by rowid')
      .bind(workspace)
      .all<OrderRow>()
  ).results;
const rows = async (): Promise<AuditEventRow[]> =>
  (
    await env.DB.prepare('select * from audit_events where workspace_uuid = ? order by seq')
      .bind(workspace)
      .all<AuditEventRow>()
  ).results;
const isLeft = async (): Promise<boolean> => (await readDelivery(delivery.id)).orders_left === 1;

describe('an order is made', () => {
  it.each<[string, Partial<TokenRow>, 0 | 1]>([
    ['for a live token', {}, 1],
    ['for one that expires later', { expires_at: RECEIVED_MS + 1 }, 1],
    ['for one that has expired: our clock proves nothing', { expires_at: RECEIVED_MS }, 1],
    ['for one that one list lacked in an earlier version', { revoked_at: 5 }, 1],
    ['for one that a list calls revoked', { revoked_at: 5, ended_by: 'listed' }, 1],
    ['not for one whose revoke PipeOps acknowledged', { revoked_at: 5, ended_by: 'acknowledged' }, 0],
    ['not for one that is gone by the rule of absence', { revoked_at: 5, ended_by: 'absent' }, 0],
  ])('%s', async (_case, token, count) => {
    await own([{ token_id: 't', ...token }]);
    await make(10);
    expect(await orders()).toHaveLength(count);
    expect(await isLeft()).toBe(false);
  });

  it('for the owners that are meant, of each issuer, and for nobody else', async () => {
    await own([{ token_id: 'mine' }]);
    await own([{ token_id: 'mine elsewhere' }], 'alice', 'j');
    await own([{ token_id: 'namesake' }], 'alice', 'k');
    await own([{ token_id: 'former holder' }], 'bob');
    await make(10);
    expect((await orders()).map(({ token_id }) => token_id).toSorted()).toEqual(['mine', 'mine elsewhere']);
  });

  it('not for a token that its owner has minted since it was reinstated', async () => {
    const since = crypto.randomUUID();
    await own([{ token_id: 'first' }, { token_id: 'since' }, { token_id: 'unknown' }]);
    const created = env.DB.prepare('update tokens set create_event_id = ? where workspace_uuid = ? and token_id = ?');
    await env.DB.batch([
      env.DB.prepare(
        `insert into audit_events (id, occurred_at, settled_at, action, status, actor_type, detail)
         values (?1, 1, 1, 'service_account_token.create', 'success', 'user', '{}')`,
      ).bind(since),
      created.bind(since, workspace, 'since'),
      created.bind(before, workspace, 'first'),
    ]);
    // Somebody else of the issuer is blocked.
    await env.DB.prepare(
      `insert into subject_blocks (issuer, subject, delivery_id, created_at) values ('i', 'x', 'd', 1)`,
    ).run();
    await make(10);
    expect((await orders()).map(({ token_id }) => token_id).toSorted()).toEqual(['first', 'unknown']);
  });

  it('for each token of an owner who is blocked, whenever it was minted', async () => {
    const id = crypto.randomUUID();
    await own([{ token_id: 'since' }]);
    await env.DB.batch([
      env.DB.prepare(
        `insert into audit_events (id, occurred_at, settled_at, action, status, actor_type, detail)
         values (?1, 1, 1, 'service_account_token.create', 'success', 'user', '{}')`,
      ).bind(id),
      env.DB.prepare('update tokens set create_event_id = ? where workspace_uuid = ?').bind(id, workspace),
      env.DB.prepare(
        `insert into subject_blocks (issuer, subject, delivery_id, created_at) values ('i', ?, 'd', 1)`,
      ).bind(subjectOf('alice')),
    ]);
    await make(10);
    expect(await orders()).toHaveLength(1);
  });

  it('that revokes, where the delivery is from before it had a mode', async () => {
    await own([{ token_id: 't' }]);
    await make(10, await deliver(null));
    expect(await orders()).toMatchObject([{ mode: 'revoke' }]);
  });

  it('and only one that is open is recorded before it is sent', async () => {
    await own([{ token_id: 'open' }, { token_id: 'lifted' }]);
    await make(10);
    const [, lifted] = await orders();
    await env.DB.batch([
      env.DB.prepare(`update revocation_orders set id = id || '-again' where workspace_uuid = ?`).bind(workspace),
      env.DB.prepare(`update revocation_orders set state = 'lifted' where id = ?`).bind(`${lifted?.id}-again`),
    ]);
    const { id: deliveryId, event } = delivery;
    const terms = { deliveryId, event, mode: 'revoke', nowMs: RECEIVED_MS, actor: SENDER } as const;
    const record = recordOrders(database, orderRows(making, context, terms, 1), isOfDelivery(deliveryId));
    expect((await database.batch(context, [record])).ok).toBe(true);
    const again = (await rows()).filter(({ id }) => id.endsWith('-again'));
    expect(again.map(({ token_id }) => token_id)).toEqual(['open']);
  });

  it('with its row in the trail, open and due, and with no try begun', async () => {
    await own([{ token_id: 't' }]);
    await make(10);
    const [order] = await orders();
    expect(order).toMatchObject({
      cause: 'offboarding',
      delivery_id: delivery.id,
      mode: 'revoke',
      state: 'open',
      rank: 1,
      next_at: RECEIVED_MS + 5,
      begun_at: null,
    });
    expect(await rows()).toMatchObject([
      {
        id: order?.id,
        status: 'attempted',
        action: 'service_account_token.revoke',
        token_id: 't',
        actor_subject: 'hr',
      },
    ]);
  });

  it('with a row that has the MAC of this service, however many were made', async () => {
    await own(Array.from({ length: 12 }, (_item, index) => ({ token_id: `t-${index}` })));
    await make(5);
    await make(20);
    const made = await rows();
    expect(made).toHaveLength(12);
    expect(new Set(made.map(({ id }) => id)).size).toBe(12);
    expect(made.filter((row) => !rowMacs.isUntouched(row, undefined))).toEqual([]);
  });
});

describe('batch by batch', () => {
  const LIVE = ['live 1', 'live 2', 'live 3'];
  const EXPIRED = ['old 1', 'old 2', 'old 3', 'old 4'];
  beforeEach(async () => {
    await own(EXPIRED.map((token_id) => ({ token_id, expires_at: 5 })));
    await own(LIVE.map((token_id) => ({ token_id })));
  });

  it('live tokens come before expired ones, and the delivery says whether any is left', async () => {
    const left: boolean[] = [];
    for (let batch = 0; batch < 4; batch += 1) {
      await make(2);
      left.push(await isLeft());
    }
    const made = await orders();
    const named = (some: readonly OrderRow[]) => some.map(({ token_id, rank }) => `${token_id}: ${rank}`).toSorted();
    expect(named(made.slice(0, 3))).toEqual(LIVE.map((id) => `${id}: 1`));
    expect(named(made.slice(3))).toEqual(EXPIRED.map((id) => `${id}: 2`));
    expect(left).toEqual([true, true, true, false]);
    expect((await rows()).map(({ id }) => id).toSorted()).toEqual(made.map(({ id }) => id).toSorted());
  });

  it('a token never has two orders of a delivery: not by two runs at once, and not where the first has ended', async () => {
    await make(2);
    await env.DB.prepare(`update revocation_orders set state = 'confirmed' where workspace_uuid = ?`)
      .bind(workspace)
      .run();
    await Promise.all(Array.from({ length: 6 }, async () => await make(2)));
    const made = await orders();
    expect(made.map(({ token_id }) => token_id).toSorted()).toEqual([...LIVE, ...EXPIRED]);
    expect(await rows()).toHaveLength(7);
    expect(await isLeft()).toBe(false);
  });

  it('another delivery has orders of its own', async () => {
    await make(10);
    await make(10, await deliver('revoke'));
    expect(await orders()).toHaveLength(14);
    expect(await rows()).toHaveLength(14);
  });

  it('a suspension is noted on the tokens whose orders are made, beside what suspended them before', async () => {
    await own([{ token_id: 'live 0', suspended_by: '["owner"]' }], 'alice', 'j');
    delivery = await deliver('suspend');
    await make(4);
    const suspensions = async () =>
      (
        await env.DB.prepare('select token_id, suspended_by from tokens where workspace_uuid = ? order by token_id')
          .bind(workspace)
          .all<TokenRow>()
      ).results.map(({ token_id, suspended_by }) => [token_id, suspended_by]);
    const OFFBOARDED = '["offboarding"]';
    expect(await suspensions()).toEqual([
      ['live 0', '["owner","offboarding"]'],
      ...LIVE.map((id) => [id, OFFBOARDED]),
      ...EXPIRED.map((id) => [id, null]),
    ]);
    expect((await rows()).map(({ action }) => action)).toEqual(Array(4).fill('service_account_token.update'));
    await make(10);
    expect(new Set((await suspensions()).slice(1).map(([, reasons]) => reasons))).toEqual(new Set([OFFBOARDED]));
  });
});

it('an accepted offboarding makes the first batch, live tokens first, and says that more is left', async () => {
  const harness = await createWebhookHarness();
  // So that no driver sends any of them.
  await env.DB.prepare(`insert into upstream_limits values ('all', ?, null)`)
    .bind(Date.now() + 60_000)
    .run();
  const old = Array.from({ length: ORDERS_MAKE_BATCH_ROWS }, (_item, index) => `old ${index}`);
  await own(old.map((token_id) => ({ token_id, expires_at: 5 })));
  await own([{ token_id: 'live' }, { token_id: 'gone', revoked_at: 5, ended_by: 'absent' }]);
  const answer = await harness.offboard({ issuer: 'i', subject: subjectOf('alice') });
  expect(answer.status).toBe(202);
  const made = await orders();
  expect(made).toHaveLength(ORDERS_MAKE_BATCH_ROWS);
  expect(made.map(({ token_id }) => token_id)).toContain('live');
  const accepted = await deliveryOf(answer);
  expect(accepted?.orders_left).toBe(1);
  const owner = await env.DB.prepare('select * from webhook_owners where delivery_id = ?').bind(accepted?.id).all();
  expect(owner.results).toMatchObject([{ found: 'owner', tokens: ORDERS_MAKE_BATCH_ROWS + 1 }]);
  if (accepted !== null) await make(ORDERS_MAKE_BATCH_ROWS, accepted);
  expect((await orders()).map(({ token_id }) => token_id).toSorted()).toEqual(['live', ...old].toSorted());
  expect((await deliveryOf(answer))?.orders_left).toBe(0);
});

describe('orders of tokens that a delivery names', () => {
  const name = async (token_id: string, found = 'matched', workspace_uuid = workspace): Promise<unknown> =>
    await env.DB.prepare(
      `insert into webhook_items (delivery_id, position, found, workspace_uuid, token_id)
       values (?1, (select count(*) from webhook_items), ?2, ?3, ?4)`,
    )
      .bind(delivery.id, found, workspace_uuid, token_id)
      .run();
  const match = async (cause: 'leak' | 'command', count: number, named: readonly string[] = []): Promise<void> => {
    const { id: deliveryId, event } = delivery;
    const terms = { deliveryId, event, mode: 'revoke', nowMs: RECEIVED_MS, actor: SENDER } as const;
    const made = await database.batch(context, orderMatched(making, context, terms, cause, named, count));
    expect(made.ok).toBe(true);
  };

  it.each([
    ['leak', [], 0],
    ['command', [], 3],
    ['command', ['the workspace'], 1],
  ] as const)('are of the rank of their cause: %s, where the policy names %j', async (cause, named, rank) => {
    await name('t');
    await match(
      cause,
      1,
      named.map(() => workspace),
    );
    expect(await orders()).toMatchObject([{ cause, rank, token_id: 't' }]);
  });

  it('have rows with the MAC of this service, also where one id is found in two workspaces', async () => {
    const elsewhere = crypto.randomUUID();
    for (const of of [workspace, elsewhere]) await name('twin', 'matched', of);
    await name('unknown', 'unmatched');
    await match('leak', 1);
    const { results } = await env.DB.prepare(`select * from audit_events where token_id = 'twin'`).all<AuditEventRow>();
    expect(new Set(results.map((row) => row.workspace_uuid))).toEqual(new Set([workspace, elsewhere]));
    expect(results).toHaveLength(2);
    expect(results.filter((row) => !rowMacs.isUntouched(row, undefined))).toEqual([]);
  });

  it('are made whatever their number, and those beyond twice what was named have rows without a MAC', async () => {
    for (const id of ['a', 'b', 'c']) await name(id);
    await match('leak', 1);
    const made = await rows();
    expect([(await orders()).length, made.length]).toEqual([3, 3]);
    expect(made.filter(({ recorded_mac }) => recorded_mac === null)).toHaveLength(1);
  });
});

describe('a run that makes the orders that are left', () => {
  const runOf = (steps: number, deliveryId: string | null = delivery.id) =>
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- nothing else of it is used
    ({
      of: deliveryId === null ? null : { deliveryId },
      goesOn: () => (steps -= 1) >= 0,
    }) as unknown as Run;
  const dependenciesWith = (of: Database) => ({ database: of, runtime: workerRuntime }) as DriverDependencies;

  it('takes the deliveries that it is about alone, the oldest one first', async () => {
    const [older, newer] = [delivery, await deliver('revoke')];
    await own([{ token_id: 't' }]);
    await makeOrdersLeft(dependenciesWith(database), context, runOf(9, newer.id));
    expect((await orders()).map(({ delivery_id }) => delivery_id)).toEqual([newer.id]);
    await makeOrdersLeft(dependenciesWith(database), context, runOf(1, older.id));
    expect((await orders()).map(({ delivery_id }) => delivery_id)).toEqual([newer.id, older.id]);
  });

  it('names who ordered the delivery, as its own row in the trail does', async () => {
    await own([{ token_id: 't' }]);
    await makeOrdersLeft(dependenciesWith(database), context, runOf(1));
    expect(await rows()).toMatchObject([{ actor_type: 'webhook', actor_issuer: null, actor_subject: 'hr' }]);
  });

  it('makes none where its budget is used up', async () => {
    await own([{ token_id: 't' }]);
    await makeOrdersLeft(dependenciesWith(database), context, runOf(0));
    expect(await orders()).toEqual([]);
  });

  it.each([1, 2])('ends where D1 does not take batch %i', async (refused) => {
    await own([{ token_id: 't' }]);
    let batches = 0;
    const batch: Database['batch'] = async (...sent) =>
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- D1 does not take it
      (batches += 1) === refused ? (err('rejected') as never) : await database.batch(...sent);
    await makeOrdersLeft(dependenciesWith({ ...database, batch }), context, runOf(9));
    expect([batches, await orders()]).toEqual([refused, []]);
  });

  it('takes no more batches than one run may', async () => {
    let batches = 0;
    const batch = async () => await Promise.resolve(ok([[{ ...delivery, actor_type: null }]]));
    const counted = async (...sent: Parameters<Database['batch']>) => {
      batches += sent[1].length > 1 ? 1 : 0;
      return await batch();
    };
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a D1 whose delivery is never done
    const endless = { ...database, batch: counted } as unknown as Database;
    await makeOrdersLeft(dependenciesWith(endless), context, runOf(1_000));
    expect(batches).toBe(ORDERS_MAKE_BATCHES_MAX_COUNT);
  });
});

describe('a leaver with 30,000 expired tokens and 50 live ones', () => {
  const COUNT = 30_050;
  const meta = async () => {
    const statements = makeOrders(making, context, SENDER, delivery, ORDERS_MAKE_BATCH_ROWS, RECEIVED_MS + 5).map(
      (query) => {
        const { sql, params } = query.toSQL();
        return env.DB.prepare(sql).bind(...params);
      },
    );
    const results = await env.DB.batch(statements);
    return results.reduce((sum, result) => sum + result.meta.rows_read, 0);
  };

  it('gets orders for the live ones in the first batch, and a batch reads no more than the leaver’s tokens, however many orders exist', async () => {
    // Somebody else's tokens and orders are not looked at.
    await own(
      Array.from({ length: 5_000 }, (_item, index) => ({ token_id: `other ${index}` })),
      'somebody',
    );
    await own(Array.from({ length: 30_000 }, (_item, index) => ({ token_id: `old ${index}`, expires_at: 5 })));
    await own(Array.from({ length: 50 }, (_item, index) => ({ token_id: `live ${index}` })));
    await meta();
    const first = await orders();
    expect(first).toHaveLength(ORDERS_MAKE_BATCH_ROWS);
    expect(first.filter(({ rank }) => rank === 1)).toHaveLength(50);
    const costs = [await meta(), await meta(), await meta()];
    expect(await orders()).toHaveLength(4 * ORDERS_MAKE_BATCH_ROWS);
    expect(await isLeft()).toBe(true);
    for (const rowsRead of costs) expect(rowsRead).toBeLessThan(3 * COUNT);
  }, 30_000);

  it('finds them by their owner and their orders by the delivery, never by going through a table', async () => {
    for (const query of makeOrders(making, context, SENDER, delivery, 500, RECEIVED_MS)) {
      const { sql, params } = query.toSQL();
      const plan = await env.DB.prepare(`explain query plan ${sql}`)
        .bind(...params)
        .all<{ detail: string }>();
      const scans = plan.results.map(({ detail }) => detail).filter((detail) => detail.startsWith('SCAN'));
      // The newest orders come from the end of their table, and those that are made are numbered.
      expect(scans.filter((detail) => !/^SCAN (n|target|\(subquery-\d+\))$/.test(detail))).toEqual([]);
    }
  });
});
