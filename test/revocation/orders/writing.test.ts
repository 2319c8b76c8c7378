import { env } from 'cloudflare:workers';
import { beforeEach, describe, expect, it } from 'vitest';
import { AUDIT_ANNOUNCE_AFTER_MS, CONTRADICTION_AFTER_MS } from '../../../src/config/limits.ts';
import type { Database } from '../../../src/db/database.ts';
import { type AuditEventRow, type OrderRow, upstreamLimits } from '../../../src/db/schema.ts';
import { err } from '../../../src/kit/result.ts';
import type { DriverDependencies } from '../../../src/revocation/dependencies.ts';
import type { LeasedOrder, MovedOrder } from '../../../src/revocation/orders/queue.ts';
import {
  afterAcknowledgement,
  afterEnd,
  afterFailure,
  afterLook,
  afterSilence,
  type OrderSoFar,
} from '../../../src/revocation/orders/rules.ts';
import type { LookedAtState } from '../../../src/revocation/orders/states.ts';
import { recordMove, recordMoves } from '../../../src/revocation/orders/writing.ts';
import { createLabelMemory } from '../../../src/subjects/labels.ts';
import { createRecorder } from '../../../src/trail/recorder.ts';
import {
  BROKEN,
  clock,
  context,
  database,
  leased,
  LIMITED,
  moment,
  NOW,
  stored,
  storeEvent,
  storeToken,
  WORKSPACE,
} from './leased.ts';

// What is written down of orders that have moved: the orders, their rows in the trail, their tokens and the generation.

const OTHER = '0b0b0b0b-0000-4000-8000-000000000000';
const DAY_MS = 24 * 60 * 60 * 1000;
const DOWN: Database = { ...database, batch: async () => await Promise.resolve(err('rejected')) };
beforeEach(async () => {
  await env.DB.batch(
    ['revocation_orders', 'tokens', 'upstream_limits', 'workspaces'].map((table) =>
      env.DB.prepare(`delete from ${table}`),
    ),
  );
});

function dependenciesWith(db = database, hasNews = false): DriverDependencies {
  const runtime = { ...clock, sleep: async () => await Promise.resolve() };
  const news = () => (hasNews ? [db.build.insert(upstreamLimits).values({ scope: 'news', until: 1 })] : []);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- writing uses nothing else
  return {
    database: db,
    runtime,
    quota: { news },
    recorder: createRecorder({ database: db, runtime, labels: createLabelMemory() }),
  } as unknown as DriverDependencies;
}
const recordAll = async (moved: readonly MovedOrder[], dependencies = dependenciesWith()): Promise<boolean> =>
  await recordMoves(dependencies, context, 'lease', moved);
const recordOne = async ({ order, move }: MovedOrder, dependencies = dependenciesWith()): Promise<boolean> =>
  await recordMove(dependencies, context, 'lease', order, move);

/** An order under the lease, with its row in the trail and its token. */
async function underLease(
  values: Partial<OrderRow> = {},
  { event = {}, token = {} }: { readonly event?: object; readonly token?: object } = {},
): Promise<LeasedOrder> {
  const row = await stored({ claim: 'lease', ...values });
  const occurred = { token_id: row.token_id, workspace_uuid: row.workspace_uuid, token_name: 'deploy' };
  await storeEvent({ id: row.id, ...occurred, ...event });
  await storeToken({ token_id: row.token_id, workspace_uuid: row.workspace_uuid, ...token });
  return leased(row.state as 'open', row as never);
}
const open = async (...parameters: Parameters<typeof underLease>) =>
  (await underLease(...parameters)) as LeasedOrder<'open'>;
/** Its row in the trail is over. */
const FAILED = { status: 'failure', settled_at: NOW - 500, outcome: '{}', error_code: 'upstream_error' };
const over = async (values: Partial<OrderRow> = {}, event: object = FAILED): Promise<LeasedOrder<'open'>> => ({
  ...(await open(values, { event })),
  attempted: 0,
});

const eventOf = async (id: string) =>
  await env.DB.prepare('select * from audit_events where id = ?').bind(id).first<AuditEventRow>();
const eventsSince = async (seq: number) =>
  (await env.DB.prepare('select * from audit_events where seq > ? order by seq').bind(seq).all<AuditEventRow>())
    .results;
const lastSeq = async (): Promise<number> =>
  (await env.DB.prepare('select max(seq) as seq from audit_events').first<number>('seq')) ?? 0;
const stateOf = async ({ id }: Pick<OrderRow, 'id'>) =>
  await env.DB.prepare('select state from revocation_orders where id = ?').bind(id).first<string>('state');
const tokenOf = async ({ token_id: id, workspace_uuid: workspace }: LeasedOrder) =>
  await env.DB.prepare(
    'select revoked_at, ended_by, suspended_by from tokens where token_id = ? and workspace_uuid = ?',
  )
    .bind(id, workspace)
    .first();
const raised = async (): Promise<unknown[]> =>
  (await env.DB.prepare('select workspace_uuid from workspaces where generation > 0 order by 1').all()).results.map(
    ({ workspace_uuid: workspace }) => workspace,
  );
const hasNews = async () =>
  (await env.DB.prepare(`select 1 from upstream_limits where scope = 'news'`).first()) !== null;

const acknowledged = (order: LeasedOrder<'open'>, result: 'revoked' | 'suspended' | 'already_gone' = 'revoked') => ({
  order,
  move: afterAcknowledgement(order, result, 200, moment),
});
const OPEN_TOKEN = { revoked_at: null, ended_by: null, suspended_by: null };
const ENDED_TOKEN = { revoked_at: NOW, ended_by: 'acknowledged', suspended_by: null };

describe('one order that has moved', () => {
  it('is written with its row, its token, the generation and the news of the quota', async () => {
    const [order, beside] = [await open(), await open()];
    expect(await recordOne(acknowledged(order), dependenciesWith(database, true))).toBe(true);
    expect(await eventOf(order.id)).toMatchObject({ status: 'success', settled_at: NOW, upstream_status: 200 });
    expect([await stateOf(order), await tokenOf(order)]).toEqual(['acknowledged', ENDED_TOKEN]);
    expect([await stateOf(beside), await tokenOf(beside)]).toEqual(['open', OPEN_TOKEN]);
    expect([await raised(), await hasNews()]).toEqual([[WORKSPACE], true]);
  });

  it('ends no token that PipeOps did not revoke', async () => {
    const order = await open({ mode: 'suspend' });
    expect(await recordOne(acknowledged(order, 'suspended'))).toBe(true);
    expect(await tokenOf(order)).toEqual(OPEN_TOKEN);
  });

  it('is not written where another has settled its row', async () => {
    const order = await open({}, { event: FAILED });
    expect(await recordOne(acknowledged(order))).toBe(false);
    expect([await stateOf(order), await tokenOf(order)]).toEqual(['open', OPEN_TOKEN]);
  });

  it('is written by itself where its row is over, or stays open', async () => {
    const [ended, waiting] = [await over(), await open()];
    expect(await recordOne(acknowledged(ended))).toBe(true);
    expect(await stateOf(ended)).toBe('acknowledged');
    expect(await recordOne({ order: waiting, move: afterSilence(waiting, moment) })).toBe(true);
    expect(await eventOf(waiting.id)).toMatchObject({ status: 'attempted' });
  });

  it.each([
    ['revoke', 'service_account_token.revoke'],
    ['suspend', 'service_account_token.update'],
  ] as const)('is announced where followers may have passed its row: %s', async (mode, action) => {
    const created_at = NOW - AUDIT_ANNOUNCE_AFTER_MS;
    const order = await open({ mode, created_at }, { event: { occurred_at: created_at, action } });
    const seq = await lastSeq();
    await recordOne(acknowledged(order, mode === 'revoke' ? 'revoked' : 'suspended'));
    const [announced] = await eventsSince(seq);
    expect(announced).toMatchObject({ action: 'audit.settled', workspace_uuid: WORKSPACE, token_id: order.token_id });
    expect(JSON.parse(announced?.detail ?? '')).toMatchObject({ event_id: order.id, action, status: 'success' });
  });
});

describe('the reason of a suspension', () => {
  it.each<[string, Partial<OrderRow>, boolean]>([
    ['of a token that nobody uses', { cause: 'unused' }, true],
    ['of a leaver’s token, which has it from its order on', { cause: 'offboarding' }, false],
  ])('%s is noted once PipeOps acknowledges it', async (_name, values, isNoted) => {
    for (const record of [recordOne, async (moved: MovedOrder) => await recordAll([moved])]) {
      const order = await open({ mode: 'suspend', ...values });
      await record({ order, move: afterSilence(order, moment) });
      expect((await tokenOf(order))?.['suspended_by']).toBeNull();
      await env.DB.prepare(`update revocation_orders set claim = 'lease'`).run();
      await record(acknowledged(order, 'suspended'));
      expect((await tokenOf(order))?.['suspended_by']).toBe(isNoted ? '["unused"]' : null);
    }
  });

  it('is not noted of a token of which PipeOps acknowledged nothing', async () => {
    const order = await open({ mode: 'suspend', cause: 'unused', state: 'acknowledged' });
    await recordAll([{ order, move: afterSilence(order, moment) }]);
    expect((await tokenOf(order))?.['suspended_by']).toBeNull();
  });
});

describe('several orders that have moved', () => {
  it('are written together, each with its own row', async () => {
    const [ended, expired, waiting] = [await open(), await open(), await open()];
    const untouched = await open();
    const moved = [
      acknowledged(ended),
      { order: expired, move: afterEnd(expired, 'not_found', 404, moment) },
      { order: waiting, move: afterSilence(waiting, moment) },
    ];
    expect(await recordAll(moved, dependenciesWith(database, true))).toBe(true);
    expect(await eventOf(ended.id)).toMatchObject({
      status: 'success',
      settled_at: NOW,
      upstream_status: 200,
      error_code: null,
      outcome: '{"tries":0}',
    });
    expect(await eventOf(expired.id)).toMatchObject({
      status: 'failure',
      settled_at: NOW,
      upstream_status: 404,
      error_code: 'not_found',
    });
    for (const { id } of [waiting, untouched]) expect(await eventOf(id)).toMatchObject({ status: 'attempted' });
    expect([await tokenOf(ended), await tokenOf(expired)]).toEqual([ENDED_TOKEN, OPEN_TOKEN]);
    expect([await stateOf(ended), await stateOf(expired)]).toEqual(['acknowledged', 'confirmed']);
    expect(await hasNews()).toBe(true);
  });

  it('leave rows alone that are over', async () => {
    const [order, late] = [await over(), await open({}, { event: FAILED })];
    const before = [await eventOf(order.id), await eventOf(late.id)];
    expect(await recordAll([acknowledged(order), acknowledged(late)])).toBe(true);
    expect([await eventOf(order.id), await eventOf(late.id)]).toEqual(before);
  });

  it('send a statement for what there is to write alone', async () => {
    const [settled, ended] = [await open(), await over()];
    const before = context.trace.d1Queries;
    // Its row, itself, its token and the generation.
    await recordAll([acknowledged(settled)]);
    expect(context.trace.d1Queries).toBe(before + 4);
    // Itself, its token, the row that says that it was done, and the generation.
    await recordAll([acknowledged(ended)]);
    expect(context.trace.d1Queries).toBe(before + 8);
  });

  it('are announced where followers may have passed their rows', async () => {
    const created_at = NOW - AUDIT_ANNOUNCE_AFTER_MS;
    const [passed, recent, settled] = [
      await open({ created_at }, { event: { occurred_at: created_at } }),
      await open(),
      await open({ created_at }, { event: { ...FAILED, occurred_at: created_at } }),
    ];
    const seq = await lastSeq();
    await recordAll([acknowledged(recent), acknowledged(passed), acknowledged(settled)]);
    const events = await eventsSince(seq);
    expect(events).toMatchObject([
      {
        id: expect.stringMatching(/^[0-9a-f-]{36}$/),
        action: 'audit.settled',
        actor_type: 'system',
        workspace_uuid: WORKSPACE,
        token_id: passed.token_id,
        // An order names no token.
        token_name: null,
        occurred_at: NOW,
      },
    ]);
    expect(JSON.parse(events[0]?.detail ?? '')).toEqual({
      event_id: passed.id,
      action: 'service_account_token.revoke',
      status: 'success',
      error_code: null,
      policy: 'v',
    });
    const seqAfter = await lastSeq();
    await recordAll([acknowledged(await open())]);
    expect(await eventsSince(seqAfter)).toHaveLength(1);
  });

  it('cost nothing where there is nothing to write, and are not written where D1 is down', async () => {
    expect(await recordAll([], dependenciesWith(DOWN))).toBe(true);
    expect(await recordAll([acknowledged(await open())], dependenciesWith(DOWN))).toBe(false);
    const queries = context.trace.d1Queries;
    const order = await over({ state: 'acknowledged' });
    await recordAll([{ order, move: afterSilence(order, moment) }]);
    expect(context.trace.d1Queries).toBe(queries + 1);
  });

  const look = async (values: Partial<OrderRow>, sight: 'alive' | 'absent') => {
    const before = { state: 'acknowledged', acknowledged_at: NOW - CONTRADICTION_AFTER_MS, ...values } as const;
    const order = {
      ...(await open(before, { event: { ...FAILED, status: 'success', error_code: null } })),
      attempted: 0,
    };
    const seen = { ...moment, begunAtMs: NOW, updatedUntilMs: null, isLifted: false };
    return { order, move: afterLook(order as unknown as OrderSoFar<LookedAtState>, sight, seen) } as MovedOrder;
  };

  it.each<[string, () => Promise<MovedOrder>, boolean]>([
    ['an answer', async () => acknowledged(await open()), true],
    [
      'no answer, which may have been carried out',
      async () => {
        const order = await open();
        return { order, move: afterFailure(order, BROKEN, moment) };
      },
      true,
    ],
    [
      'a refusal for the quota',
      async () => {
        const order = await open();
        return { order, move: afterFailure(order, LIMITED, moment) };
      },
      false,
    ],
    ['a look that agrees', async () => await look({}, 'absent'), false],
    ['a look that contradicts', async () => await look({}, 'alive'), true],
  ])('raise the generation of their workspaces after %s: once each', async (_name, move, isRaised) => {
    const [first, second] = [await move(), await move()];
    await recordAll([first, second]);
    expect(await raised()).toEqual(isRaised ? [WORKSPACE] : []);
    const generation = await env.DB.prepare('select generation from workspaces').first<number>('generation');
    expect(generation).toBe(isRaised ? 1 : null);
  });

  describe('after their rows were settled as failures', () => {
    const REVOKED = { action: 'service_account_token.revoke', status: 'success', actor_type: 'system' };

    it('have one more row that says that it was done, and only one', async () => {
      const [order, beside] = [await over(), await over()];
      await env.DB.prepare(`update revocation_orders set state = 'acknowledged' where id = ?`).bind(beside.id).run();
      const seq = await lastSeq();
      await recordAll([acknowledged(order)]);
      const done = await eventsSince(seq);
      expect(done).toMatchObject([{ ...REVOKED, workspace_uuid: WORKSPACE, token_id: order.token_id, ip: null }]);
      expect(done[0]?.id).toMatch(/^[0-9a-f-]{36}$/);
      expect(JSON.parse(done[0]?.detail ?? '')).toEqual({ order_id: order.id, policy: 'v' });
      await env.DB.prepare(`update revocation_orders set state = 'open', claim = 'lease' where id = ?`)
        .bind(order.id)
        .run();
      await recordAll([acknowledged(order)]);
      expect(await eventsSince(seq)).toHaveLength(1);
    });

    it('have it though something else was done to the token, or to another', async () => {
      const order = await over();
      const said = JSON.stringify({ order_id: order.id });
      const settled = { settled_at: NOW, outcome: '{}', detail: said, token_id: order.token_id };
      await storeEvent({ ...settled, status: 'success', detail: '{"order_id":"another"}' });
      await storeEvent({ ...settled, status: 'failure', error_code: 'upstream_error' });
      await storeEvent({ ...settled, status: 'success', token_id: 'another' });
      await storeEvent({ ...settled, status: 'success', workspace_uuid: OTHER });
      const seq = await lastSeq();
      await recordAll([acknowledged(order)]);
      expect(await eventsSince(seq)).toHaveLength(1);
    });

    it('are suspended as they say', async () => {
      const order = await over({ mode: 'suspend' }, { ...FAILED, action: 'service_account_token.update' });
      const seq = await lastSeq();
      await recordAll([acknowledged(order, 'suspended')]);
      expect(await eventsSince(seq)).toMatchObject([{ ...REVOKED, action: 'service_account_token.update' }]);
    });

    it.each<[string, () => Promise<MovedOrder>]>([
      ['is gone already', async () => acknowledged(await over(), 'already_gone')],
      [
        'has succeeded before',
        async () => acknowledged(await over({}, { ...FAILED, status: 'success', error_code: null })),
      ],
      ['has its row settled now', async () => acknowledged(await open())],
      [
        'is not acknowledged',
        async () => {
          const order = await over();
          return { order, move: afterSilence(order, moment) };
        },
      ],
      ['is leased by another', async () => acknowledged(await over({ claim: 'another' }))],
    ])('have none of what %s', async (_name, move) => {
      const moved = await move();
      const seq = await lastSeq();
      await recordAll([moved]);
      expect(await eventsSince(seq)).toEqual([]);
    });
  });

  describe('by a look that contradicts them', () => {
    const ENDED = { revoked_at: NOW - CONTRADICTION_AFTER_MS, ended_by: 'acknowledged' };
    const contradicted = async (values: Partial<OrderRow> = {}) => await look(values, 'alive');
    const CONTRADICTION = { status: 'failure', error_code: 'revocation_contradicted', actor_type: 'system' };
    const end = async ({ order }: MovedOrder): Promise<void> => {
      await env.DB.prepare('update tokens set revoked_at = ?, ended_by = ? where token_id = ?')
        .bind(ENDED.revoked_at, ENDED.ended_by, order.token_id)
        .run();
    };

    it.each([
      ['revoke', 'service_account_token.revoke'],
      ['suspend', 'service_account_token.update'],
    ] as const)('have no end any more, and the trail says so: %s', async (mode, action) => {
      const [moved, agreed] = [await contradicted({ mode }), await look({}, 'absent')];
      await end(moved);
      await end(agreed);
      const seq = await lastSeq();
      await recordAll([moved, agreed]);
      expect([await tokenOf(moved.order), await tokenOf(agreed.order)]).toMatchObject([OPEN_TOKEN, ENDED]);
      const events = await eventsSince(seq);
      expect(events).toMatchObject([
        { ...CONTRADICTION, action, workspace_uuid: WORKSPACE, token_id: moved.order.token_id, ip: null },
      ]);
      expect(events[0]?.id).toMatch(/^[0-9a-f-]{36}$/);
      expect(JSON.parse(events[0]?.detail ?? '')).toEqual({ order_id: moved.order.id, policy: 'v' });
    });

    it('have one row a token and day', async () => {
      const first = await contradicted();
      const { token_id } = first.order;
      const other = await contradicted();
      const second = { ...other, order: { ...other.order, token_id } };
      await env.DB.prepare('update revocation_orders set token_id = ? where id = ?')
        .bind(token_id, second.order.id)
        .run();
      const seq = await lastSeq();
      await recordAll([first, second]);
      expect(await eventsSince(seq)).toHaveLength(1);
      await env.DB.prepare(`update revocation_orders set state = 'acknowledged', claim = 'lease'`).run();
      await recordAll([first]);
      expect(await eventsSince(seq)).toHaveLength(1);
    });

    it.each<[string, object, number]>([
      ['since midnight', { occurred_at: NOW - (NOW % DAY_MS) }, 0],
      ['yesterday', { occurred_at: NOW - (NOW % DAY_MS) - 1 }, 1],
      ['about another token', { token_id: 'another' }, 1],
      ['in another workspace', { workspace_uuid: OTHER }, 1],
      ['about something else', { error_code: 'upstream_error' }, 1],
    ])('have another row where there is one %s: %o', async (_name, values, count) => {
      const moved = await contradicted();
      const said = { ...CONTRADICTION, settled_at: NOW, outcome: '{}', token_id: moved.order.token_id };
      await storeEvent({ ...said, occurred_at: NOW, ...values });
      const seq = await lastSeq();
      await recordAll([moved]);
      expect(await eventsSince(seq)).toHaveLength(count);
    });

    it('are only those that the look has reopened', async () => {
      const moved = await contradicted();
      const others = [
        await contradicted({ claim: 'another' }),
        await contradicted({ claim: 'another', contradicted_at: 5 }),
        await contradicted({ claim: 'another' }),
      ];
      // Another driver has it, and no look has contradicted it.
      await env.DB.prepare(`update revocation_orders set state = 'open' where id = ?`).bind(others[2]?.order.id).run();
      await stored({ contradicted_at: 5 });
      const seq = await lastSeq();
      await recordAll([moved, ...others]);
      expect((await eventsSince(seq)).map(({ token_id: id }) => id)).toEqual([moved.order.token_id]);
    });
  });
});
