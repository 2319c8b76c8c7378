import { env } from 'cloudflare:workers';
import { beforeEach, describe, expect, it } from 'vitest';
import {
  ORDERS_BULK_ROWS,
  ORDERS_REQUEST_RUN_MS,
  ORDERS_RUN_MS,
  QUOTA_RUN_BLOCK_CALLS,
  UNKNOWN_WORKSPACES_MAX_COUNT,
} from '../../../src/config/limits.ts';
import type { Database } from '../../../src/db/database.ts';
import { type OrderRow, upstreamLimits } from '../../../src/db/schema.ts';
import type { UpstreamFailure } from '../../../src/failures.ts';
import { err, ok, type Result } from '../../../src/kit/result.ts';
import { createQuota } from '../../../src/pipeops/quota.ts';
import type { Call, TokenRef, UpstreamToken } from '../../../src/pipeops/types.ts';
import type { DriverDependencies } from '../../../src/revocation/dependencies.ts';
import { ORDER_RANKS } from '../../../src/inventory/orders.ts';
import { beginDueOrders } from '../../../src/revocation/orders/beginning.ts';
import { createOrderDriver } from '../../../src/revocation/orders/driver.ts';
import { createLabelMemory } from '../../../src/subjects/labels.ts';
import { createRecorder } from '../../../src/trail/recorder.ts';
import { tokenList, upstreamToken } from '../../support/upstream-token.ts';
import { BROKEN, clock, context, database, LIMITED, NOW, stored, storeEvent, storeToken, WORKSPACE } from './leased.ts';

// What a run of the driver does, in which order, where it stops, and what it leaves to the next.

beforeEach(async () => {
  await env.DB.batch(
    ['revocation_orders', 'tokens', 'upstream_limits', 'workspaces', 'job_leases', 'webhook_deliveries'].map((table) =>
      env.DB.prepare(`delete from ${table}`),
    ),
  );
});

interface Terms {
  /** What PipeOps answers to an order, by its token. By default that it is revoked. */
  readonly answers?: Readonly<Record<string, Result<'revoked', UpstreamFailure> | 'broken'>>;
  /** What each list shows: by default nothing. */
  readonly shown?: readonly UpstreamToken[];
  readonly list?: UpstreamFailure;
  /** How many steps may begin. */
  readonly steps?: number;
  /** How long each call of PipeOps takes. */
  readonly callMs?: number;
  /** Whether D1 takes a batch, by its number from 1. */
  readonly takes?: (batch: number) => boolean;
  /** How often the quota is asked for its news before it has some, which it tells one time. */
  readonly newsAfter?: number;
  /** How often what is random breaks: each pause draws from it. */
  readonly brokenDraws?: number;
}

/** A run that reads the clock or asks D1 more often than this does not end. */
const RUN_MAX_READINGS = 20_000;
const RUN_MAX_TRIPS = 500;

function driverWith(terms: Terms = {}) {
  const { answers = {}, shown = [], list, steps = Infinity, callMs = 0, takes, newsAfter, brokenDraws = 0 } = terms;
  let nowMs = NOW;
  let draws = 0;
  let begun = 0;
  let batches = 0;
  let readings = 0;
  const calls: string[] = [];
  const lines: unknown[] = [];
  const grants: unknown[] = [];
  const listed: unknown[] = [];
  const learnt: unknown[] = [];
  const batch: Database['batch'] = async (...sent) => {
    batches += 1;
    if (batches > RUN_MAX_TRIPS) throw new Error('The run does not end.');
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- D1 does not take it
    return takes?.(batches) === false ? (err('rejected') as never) : await database.batch(...sent);
  };
  const db: Database = { ...database, batch };
  const real = createQuota();
  let newsAsked = 0;
  const quota = {
    ...real,
    learn: (rows: unknown) => void learnt.push(rows),
    reserve: (...asked: Parameters<typeof real.reserve>) => {
      const reservation = real.reserve(...asked);
      return {
        ...reservation,
        grant: (...granted: Parameters<typeof reservation.grant>) => {
          grants.push(granted[1]);
          return reservation.grant(...granted);
        },
      };
    },
    reservedCalls: (block?: number) => {
      const reserved = real.reservedCalls(block);
      return {
        ...reserved,
        end: () => {
          calls.push('end');
          reserved.end();
        },
      };
    },
    news: () => {
      newsAsked += 1;
      return newsAsked - 1 === newsAfter ? [db.build.insert(upstreamLimits).values({ scope: 'news', until: 1 })] : [];
    },
  };
  const runtime = {
    ...clock,
    now: () => {
      readings += 1;
      if (readings > RUN_MAX_READINGS) throw new Error('The run does not end.');
      return nowMs;
    },
    randomBytes: (length: number) => {
      draws += 1;
      if (draws <= brokenDraws) throw new RangeError('broken');
      return clock.randomBytes(length);
    },
    sleep: async () => await Promise.resolve(),
    log: (line: unknown) => void lines.push(line),
  };
  const pipeops = {
    revoke: async ({ tokenId }: TokenRef) => {
      calls.push(`revoke ${tokenId}`);
      nowMs += callMs;
      const answer = answers[tokenId] ?? ok('revoked' as const);
      if (answer === 'broken') throw new RangeError('broken');
      return await Promise.resolve(answer.ok ? ok({ status: 200, data: answer.value }) : answer);
    },
    list: async (workspace: string, call: Call) => {
      listed.push({ isReserved: call.reserved !== undefined, purpose: call.purpose });
      calls.push(`list ${workspace}`);
      nowMs += callMs;
      return await Promise.resolve(list === undefined ? ok({ status: 200, data: tokenList(shown) }) : err(list));
    },
    get: async () => {
      calls.push('get');
      return await Promise.resolve(err(BROKEN));
    },
  };
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a driver uses nothing else
  const dependencies = {
    database: db,
    quota,
    runtime,
    pipeops,
    recorder: createRecorder({ database: db, runtime, labels: createLabelMemory() }),
  } as unknown as DriverDependencies;
  const budget = {
    permits: () => {
      begun += 1;
      return begun <= steps;
    },
  };
  const driver = createOrderDriver(dependencies);
  const run = async (deliveryId: string | null = null) => await driver.run(context, deliveryId, budget);
  return { driver, run, calls, lines, grants, listed, learnt, trips: () => batches, newsAsked: () => newsAsked };
}

/** An order with its row in the trail and its token, named after it. */
async function ordered(values: Partial<OrderRow> = {}): Promise<OrderRow> {
  const row = await stored(values);
  await storeEvent({ id: row.id, token_id: row.token_id, workspace_uuid: row.workspace_uuid });
  await storeToken({ token_id: row.token_id, workspace_uuid: row.workspace_uuid, created_at: NOW - 900_000 });
  return row;
}
/** As many due orders of each rank: expired ones to be sent, others to be looked at. The answer: the ids of their tokens. */
async function storeMany(count: number, ranks: readonly number[]): Promise<readonly string[]> {
  const ids = Array.from({ length: count }, (_item, index) => `bulk-${index}`);
  await env.DB.batch(
    ranks.map((rank) =>
      env.DB.prepare(
        `insert into revocation_orders (id, cause, workspace_uuid, token_id, mode, rank, state, tries, next_at, created_at, confirm_round, acknowledged_at)
         select ?1 || value, 'leak', ?2, value, 'revoke', ?3, ?4, 0, ?5, 1, 0, 1 from json_each(?6)`,
      ).bind(`${rank}-`, WORKSPACE, rank, rank === EXPIRED.rank ? 'open' : 'acknowledged', NOW, JSON.stringify(ids)),
    ),
  );
  return ids;
}
const rowOf = async ({ id }: Pick<OrderRow, 'id'>): Promise<OrderRow | null> =>
  await env.DB.prepare('select * from revocation_orders where id = ?').bind(id).first<OrderRow>();
const revoked = ({ token_id: id }: Pick<OrderRow, 'token_id'>): UpstreamToken => upstreamToken({ id, isRevoked: true });
const notDriven = ({ id }: Pick<OrderRow, 'id'>) => ({
  level: 'error',
  event: 'order_not_driven',
  event_id: id,
  name: 'RangeError',
});
/** The order is due at once, as if this run had not been. */
const GIVEN_BACK = { claim: null, tries: 0, begun_at: null, next_at: NOW };
const EXPIRED = { rank: 2 } as const;
const UNKNOWN = { rank: 3, delivery_id: 'd' } as const;

describe('a run', () => {
  it('asks D1 twice where there is nothing to do, and PipeOps for nothing', async () => {
    const { run, calls, trips } = driverWith();
    expect(await run()).toEqual({ due: 0, ended: 0 });
    expect([calls, trips()]).toEqual([['end'], 2]);
  });

  it('sends what is due, looks at it, and reserves a call for each', async () => {
    const orders = [await ordered(), await ordered()];
    const { run, calls, grants, listed, learnt } = driverWith({ shown: orders.map(revoked) });
    expect(await run()).toEqual({ due: 2, ended: 2 });
    // Orders of one moment go in the order of their ids, which are texts.
    expect(calls.slice(0, 2).toSorted()).toEqual(orders.map(({ token_id: id }) => `revoke ${id}`).toSorted());
    expect(calls.slice(2)).toEqual([`list ${WORKSPACE}`, 'end']);
    for (const order of orders) expect(await rowOf(order)).toMatchObject({ state: 'confirmed', claim: null });
    expect(grants).toEqual([{ calls: 2 }, { calls: 2 }]);
    expect(listed).toEqual([{ isReserved: true, purpose: 'revocation' }]);
    expect(learnt).toEqual([[], []]);
  });

  it('reserves a block of calls at the most', async () => {
    for (let count = 0; count < QUOTA_RUN_BLOCK_CALLS + 1; count += 1) await ordered();
    const { run, grants } = driverWith({ steps: 1 });
    await run();
    expect(grants).toEqual([{ calls: QUOTA_RUN_BLOCK_CALLS }]);
  });

  it('is about one delivery, or one order', async () => {
    const [first, second, third] = [
      await ordered({ delivery_id: 'one' }),
      await ordered({ delivery_id: 'one' }),
      await ordered({ delivery_id: 'two' }),
    ];
    const { driver, calls } = driverWith();
    expect(await driver.runOne(context, first.id)).toMatchObject({ due: 1 });
    expect(await driver.run(context, 'one')).toMatchObject({ due: 1 });
    expect(calls.filter((call) => call.startsWith('revoke'))).toEqual([
      `revoke ${first.token_id}`,
      `revoke ${second.token_id}`,
    ]);
    expect(await rowOf(third)).toEqual(third);
  });

  it('looks at what is due for that alone', async () => {
    const order = await ordered({ state: 'acknowledged', acknowledged_at: NOW - 5 });
    const { run, calls } = driverWith({ shown: [revoked(order)] });
    expect(await run()).toEqual({ due: 0, ended: 0 });
    expect([calls, (await rowOf(order))?.state]).toEqual([[`list ${WORKSPACE}`, 'end'], 'confirmed']);
  });

  it.each([
    [null, ORDERS_RUN_MS, 2],
    [null, ORDERS_RUN_MS + 1, 1],
    ['d', ORDERS_REQUEST_RUN_MS, 2],
    ['d', ORDERS_REQUEST_RUN_MS + 1, 1],
  ])('sends for so long: of %s, %i ms a call', async (delivery, callMs, count) => {
    const [, second] = [await ordered({ delivery_id: 'd' }), await ordered({ delivery_id: 'd' })];
    const { run, calls } = driverWith({ callMs });
    expect(await run(delivery)).toEqual({ due: 2, ended: count });
    expect(calls.filter((call) => call.startsWith('revoke'))).toHaveLength(count);
    expect(await rowOf(second)).toMatchObject({ claim: null, tries: 0 });
  });

  it('gives back what it does not get to, and ends where PipeOps would fail all alike', async () => {
    const [failed, left] = [await ordered(), await ordered()];
    const { run, calls } = driverWith({ answers: { [failed.token_id]: err({ kind: 'upstream_timeout' }) } });
    expect(await run()).toEqual({ due: 2, ended: 0 });
    expect(calls).toEqual([`revoke ${failed.token_id}`, 'end']);
    expect(await rowOf(left)).toEqual({ ...left, ...GIVEN_BACK });
  });

  it('goes on with the next order where a bug keeps one from being sent', async () => {
    const [broken, next] = [await ordered(), await ordered()];
    const { run, lines } = driverWith({ answers: { [broken.token_id]: 'broken' } });
    expect(await run()).toEqual({ due: 2, ended: 1 });
    expect(lines).toContainEqual(notDriven(broken));
    expect((await rowOf(next))?.state).not.toBe('open');
  });

  it('counts no order as ended that is tried again, or of which nothing could be written', async () => {
    const [waiting, lost] = [await ordered(), await ordered()];
    await env.DB.prepare(`update audit_events set status = 'failure', settled_at = 1, outcome = '{}' where id = ?`)
      .bind(lost.id)
      .run();
    const { run } = driverWith({ answers: { [waiting.token_id]: err(BROKEN) }, takes: (batch) => batch !== 4 });
    expect(await run()).toEqual({ due: 2, ended: 0 });
  });

  it('does nothing where D1 does not take its lease', async () => {
    const order = await ordered();
    await ordered(EXPIRED);
    const { run, calls } = driverWith({ takes: (batch) => batch === 1 });
    expect(await run()).toEqual({ due: 0, ended: 0 });
    expect([calls, await rowOf(order)]).toEqual([['end'], order]);
  });

  it('begins nothing that its budget does not permit', async () => {
    const order = await ordered();
    const { run, trips } = driverWith({ steps: 0 });
    expect(await run()).toEqual({ due: 0, ended: 0 });
    expect([await rowOf(order), trips()]).toEqual([order, 1]);
    const others = [
      await ordered({ state: 'acknowledged', acknowledged_at: NOW - 5 }),
      await ordered(EXPIRED),
      await ordered(UNKNOWN),
    ];
    const one = driverWith({ steps: 1 });
    expect(await one.run()).toEqual({ due: 1, ended: 0 });
    expect(await rowOf(order)).toEqual({ ...order, ...GIVEN_BACK });
    for (const other of others) expect(await rowOf(other)).toEqual(other);
  });

  it('gives back what it does not come to look at', async () => {
    const order = await ordered({ state: 'acknowledged', acknowledged_at: NOW - 5 });
    const { run, calls } = driverWith({ shown: [revoked(order)], steps: 2 });
    expect(await run()).toEqual({ due: 0, ended: 0 });
    expect([calls, await rowOf(order)]).toEqual([['end'], { ...order, ...GIVEN_BACK }]);
  });

  it('tells the news of the quota, whenever in the run there are some', async () => {
    const seen: unknown[] = [];
    for (let newsAfter = 0, asked = 1; newsAfter < asked; newsAfter += 1) {
      const sent = await ordered();
      const expired = await ordered(EXPIRED);
      const { run, newsAsked } = driverWith({ newsAfter, shown: [revoked(sent), revoked(expired)] });
      expect(await run()).toEqual({ due: 2, ended: 2 });
      asked = newsAsked();
      const news = await env.DB.prepare(`delete from upstream_limits where scope = 'news' returning until`).all();
      seen.push(...news.results);
      expect(seen, `after ${newsAfter}`).toHaveLength(newsAfter + 1);
    }
    // At the least: after what it sent, looked at and compared with a list, and at its end.
    expect(seen.length).toBeGreaterThanOrEqual(4);
  });

  it('makes the orders that are left of a delivery, and drives them', async () => {
    await env.DB.batch([
      env.DB.prepare(
        `insert into webhook_deliveries (id, source, event, dedupe_key, event_id, received_at, mode, orders_left)
         values ('d', 'hr', 'subject.offboarded', 'd', 'd', ?, 'revoke', 1)`,
      ).bind(NOW),
      env.DB.prepare(`insert into webhook_owners values ('d', 'i', 'alice', 'owner', 0)`),
      env.DB.prepare(
        `insert into tokens (workspace_uuid, token_id, created_at, expires_at, owner_issuer, owner_subject)
         values (?, 'hers', 1, 5, 'i', 'alice')`,
      ).bind(WORKSPACE),
    ]);
    const { run, calls } = driverWith({ shown: [upstreamToken({ id: 'hers', isRevoked: true })] });
    expect(await run()).toEqual({ due: 1, ended: 1 });
    expect(calls[0]).toBe(`list ${WORKSPACE}`);
  });
});

describe('orders of expired tokens', () => {
  it('are settled by a list, and those that it shows alive are sent', async () => {
    const [gone, alive] = [await ordered(EXPIRED), await ordered(EXPIRED)];
    const { run, calls, grants } = driverWith({
      shown: [revoked(gone), upstreamToken({ id: alive.token_id })],
    });
    expect(await run()).toEqual({ due: 2, ended: 2 });
    expect(calls).toEqual([`list ${WORKSPACE}`, `revoke ${alive.token_id}`, 'end']);
    expect(await rowOf(gone)).toMatchObject({ state: 'confirmed', result: 'already_gone' });
    expect(grants).toEqual([{ calls: 0 }, { calls: 2 }]);
  });

  it('wait where the list fails, and the run ends if all others would', async () => {
    const [here, there] = [await ordered(EXPIRED), await ordered({ ...EXPIRED, workspace_uuid: 'there' })];
    const { run, calls } = driverWith({ list: LIMITED });
    expect(await run()).toEqual({ due: 2, ended: 0 });
    expect(calls).toEqual([`list ${WORKSPACE}`, 'end']);
    expect(await rowOf(here)).toMatchObject({ state: 'open', error_code: 'upstream_rate_limited' });
    expect(await rowOf(there)).toEqual({ ...there, ...GIVEN_BACK });
    const other = driverWith({ list: BROKEN });
    await env.DB.prepare('update revocation_orders set next_at = 0').run();
    await other.run();
    expect(other.calls.filter((call) => call.startsWith('list'))).toHaveLength(2);
  });

  it('go on with the next where a bug keeps one from being compared', async () => {
    const [broken, next] = [await ordered(EXPIRED), await ordered(EXPIRED)];
    const { run, lines } = driverWith({ list: BROKEN, brokenDraws: 1 });
    expect(await run()).toEqual({ due: 2, ended: 0 });
    expect(lines).toEqual([notDriven(broken)]);
    expect(await rowOf(broken)).toMatchObject({ claim: expect.any(String), error_code: null });
    expect(await rowOf(next)).toMatchObject({ claim: null, error_code: 'upstream_error' });
  });

  it('are given back where the budget ends before they are sent', async () => {
    const alive = await ordered(EXPIRED);
    const { run, calls } = driverWith({ shown: [upstreamToken({ id: alive.token_id })], steps: 3 });
    expect(await run()).toEqual({ due: 1, ended: 0 });
    expect([calls, await rowOf(alive)]).toEqual([[`list ${WORKSPACE}`, 'end'], { ...alive, ...GIVEN_BACK }]);
  });

  it('are left alone where D1 does not take their lease', async () => {
    const gone = await ordered(EXPIRED);
    const { run, calls } = driverWith({ shown: [revoked(gone)], takes: (batch) => batch < 3 });
    expect(await run()).toEqual({ due: 0, ended: 0 });
    expect([calls, await rowOf(gone)]).toEqual([['end'], gone]);
  });

  it('are not counted as ended where nothing could be written', async () => {
    const gone = await ordered(EXPIRED);
    const { run } = driverWith({ shown: [revoked(gone)], takes: (batch) => batch < 5 });
    expect(await run()).toEqual({ due: 1, ended: 0 });
  });

  it('are leased no more where the time of sending is over', async () => {
    const ids = await storeMany(ORDERS_BULK_ROWS, [EXPIRED.rank]);
    const { run, calls } = driverWith({ shown: ids.map((id) => upstreamToken({ id })), callMs: ORDERS_RUN_MS + 1 });
    expect(await run()).toEqual({ due: ids.length, ended: 0 });
    expect(calls).toEqual([`list ${WORKSPACE}`, 'end']);
  });

  it('and looks are taken up as many at a time as there are', async () => {
    const ids = await storeMany(ORDERS_BULK_ROWS + 1, [EXPIRED.rank, 1]);
    const { run } = driverWith({ shown: ids.map((id) => upstreamToken({ id, isRevoked: true })) });
    expect(await run()).toEqual({ due: ids.length, ended: ids.length });
    const open = await env.DB.prepare(
      `select count(*) as count from revocation_orders where state <> 'confirmed'`,
    ).first<number>('count');
    expect(open).toBe(0);
  });
});

describe('scheduled orders', () => {
  const SCHEDULED = { rank: ORDER_RANKS.scheduled, state: 'scheduled', next_at: NOW } as const;
  const attemptsAt = async (): Promise<readonly Record<string, unknown>[]> =>
    (
      await env.DB.prepare(
        `select id, workspace_uuid, token_id, detail ->> '$.replaced_by' as replaced_by from audit_events
         where occurred_at = ? and status = 'attempted' order by seq`,
      )
        .bind(NOW)
        .all()
    ).results;

  it('begin when they are due, each with its row in the trail, and no others do', async () => {
    const due = await stored(SCHEDULED);
    const expired = await stored({ ...SCHEDULED, next_at: NOW - 1 });
    const alone = [
      await stored({ ...SCHEDULED, next_at: NOW + 1 }),
      await stored({ ...SCHEDULED, state: 'acknowledged' }),
    ];
    await storeToken({ token_id: due.token_id, expires_at: NOW + 1, replaced_by: 'successor' });
    // Neither another token of the workspace nor the same id elsewhere says anything about it.
    await storeToken({ token_id: due.token_id, workspace_uuid: 'elsewhere', expires_at: 1, replaced_by: 'other' });
    await storeToken({ token_id: 'a-neighbour', expires_at: 1, replaced_by: 'other' });
    await storeToken({ token_id: expired.token_id, expires_at: NOW });
    await beginDueOrders(database, context, NOW);
    const begun = { state: 'open', next_at: NOW, created_at: NOW };
    expect(await rowOf(due)).toEqual({ ...due, ...begun, rank: ORDER_RANKS.live });
    expect(await rowOf(expired)).toEqual({ ...expired, ...begun, rank: ORDER_RANKS.expired });
    for (const order of alone) expect(await rowOf(order)).toEqual(order);
    const attempt = ({ id, token_id }: OrderRow, replaced_by: string | null) => ({
      id,
      workspace_uuid: WORKSPACE,
      token_id,
      replaced_by,
    });
    // The one that has waited longest comes first.
    expect(await attemptsAt()).toEqual([attempt(expired, null), attempt(due, 'successor')]);
  });

  it('begin by one of two runs at once, and not where they are withdrawn after they were read', async () => {
    const [due, lifted] = [await stored(SCHEDULED), await stored({ ...SCHEDULED, next_at: NOW - 2 })];
    let batches = 0;
    const overtaken: typeof database = {
      ...database,
      batch: async (...sent) => {
        if ((batches += 1) === 2) {
          await env.DB.prepare(`update revocation_orders set state = 'lifted' where id = ?`).bind(lifted.id).run();
          await beginDueOrders(database, context, NOW);
          await env.DB.prepare(`update revocation_orders set rank = ? where id = ?`)
            .bind(ORDER_RANKS.leak, due.id)
            .run();
        }
        return await database.batch(...sent);
      },
    };
    await beginDueOrders(overtaken, context, NOW);
    expect(await rowOf(lifted)).toEqual({ ...lifted, state: 'lifted' });
    expect(await rowOf(due)).toMatchObject({ state: 'open', rank: ORDER_RANKS.leak });
    expect((await attemptsAt()).filter(({ id }) => [due.id, lifted.id].includes(String(id)))).toHaveLength(1);
  });
});

describe('orders of unknown workspaces', () => {
  it('are sent where the list shows their tokens, and looked at where they were sent before', async () => {
    const order = await stored(UNKNOWN);
    await storeEvent({ id: order.id, token_id: order.token_id });
    const seen = await stored({ ...UNKNOWN, state: 'acknowledged', acknowledged_at: NOW - 5 });
    const { run, calls } = driverWith({ shown: [upstreamToken({ id: order.token_id }), revoked(seen)] });
    expect(await run('d')).toEqual({ due: 2, ended: 1 });
    expect(calls).toEqual([`list ${WORKSPACE}`, `revoke ${order.token_id}`, `list ${WORKSPACE}`, 'end']);
    expect([(await rowOf(order))?.state, (await rowOf(seen))?.state]).toEqual(['acknowledged', 'confirmed']);
  });

  it('cost no second list where none of them was sent before', async () => {
    const order = await ordered(UNKNOWN);
    const { run, calls } = driverWith({ shown: [upstreamToken({ id: order.token_id })] });
    expect(await run()).toEqual({ due: 1, ended: 1 });
    expect(calls).toEqual([`list ${WORKSPACE}`, `revoke ${order.token_id}`, 'end']);
  });

  it('are compared with no list that was begun before they came', async () => {
    const seen = await ordered({ state: 'acknowledged', acknowledged_at: NOW - 5 });
    const later = await ordered({ ...UNKNOWN, created_at: NOW + 1 });
    const { run, calls } = driverWith({ shown: [revoked(seen), revoked(later)], callMs: 5 });
    await run();
    expect(calls).toEqual([`list ${WORKSPACE}`, `list ${WORKSPACE}`, `revoke ${later.token_id}`, 'end']);
  });

  it('wait together where the list fails', async () => {
    const [first, second] = [await stored(UNKNOWN), await stored({ ...UNKNOWN, tries: 4 })];
    const { run, calls } = driverWith({ list: { kind: 'upstream_forbidden', status: 404 } });
    expect(await run()).toEqual({ due: 2, ended: 0 });
    const waiting = await rowOf(second);
    expect(waiting).toMatchObject({ error_code: 'workspace_unavailable', tries: 5 });
    expect(await rowOf(first)).toMatchObject({ next_at: waiting?.next_at, tries: 5 });
    expect(calls).toEqual([`list ${WORKSPACE}`, 'end']);
  });

  it('are asked about by one run a minute, of whichever delivery', async () => {
    const other = await stored({ ...UNKNOWN, delivery_id: 'other' });
    await stored({ ...UNKNOWN, workspace_uuid: 'there' });
    expect(await driverWith({ list: BROKEN }).run('d')).toEqual({ due: 2, ended: 0 });
    expect(await rowOf(other)).toMatchObject({ error_code: 'upstream_error' });
    await env.DB.prepare('update revocation_orders set next_at = 0').run();
    expect(await driverWith({ list: BROKEN }).run('d')).toEqual({ due: 0, ended: 0 });
  });

  it('are asked about a few workspaces at a time', async () => {
    for (let count = 0; count < UNKNOWN_WORKSPACES_MAX_COUNT + 1; count += 1) {
      await stored({ ...UNKNOWN, workspace_uuid: `there-${count}` });
    }
    const { run, listed } = driverWith({ list: BROKEN });
    expect(await run()).toEqual({ due: UNKNOWN_WORKSPACES_MAX_COUNT, ended: 0 });
    expect(listed).toEqual(
      Array.from({ length: UNKNOWN_WORKSPACES_MAX_COUNT }, () => ({ isReserved: false, purpose: 'change' })),
    );
  });

  it('are given back where the budget ends after their list', async () => {
    const order = await ordered(UNKNOWN);
    const { run, calls } = driverWith({ shown: [upstreamToken({ id: order.token_id })], steps: 3 });
    expect(await run()).toEqual({ due: 1, ended: 0 });
    expect([calls, await rowOf(order)]).toEqual([[`list ${WORKSPACE}`, 'end'], { ...order, ...GIVEN_BACK }]);
  });

  it('are given back where the budget ends, and left alone where D1 takes no lease', async () => {
    const order = await stored(UNKNOWN);
    expect(await driverWith({ takes: (batch) => batch < 3 }).run()).toEqual({ due: 0, ended: 0 });
    expect(await rowOf(order)).toEqual(order);
    const { run, calls } = driverWith({ steps: 2 });
    expect(await run()).toEqual({ due: 1, ended: 0 });
    expect([calls, await rowOf(order)]).toEqual([['end'], { ...order, ...GIVEN_BACK }]);
  });
});
