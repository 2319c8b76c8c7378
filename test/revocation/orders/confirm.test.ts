import { describe, expect, it } from 'vitest';
import { CONTRADICTION_AFTER_MS } from '../../../src/config/limits.ts';
import type { UpstreamFailure } from '../../../src/failures.ts';
import { err, ok, type Result } from '../../../src/kit/result.ts';
import type { TokenRef, UpstreamToken } from '../../../src/pipeops/types.ts';
import type { DriverDependencies } from '../../../src/revocation/dependencies.ts';
import { lookAt } from '../../../src/revocation/orders/confirm.ts';
import type { LeasedOrder, MovedOrder } from '../../../src/revocation/orders/queue.ts';
import {
  afterFailure,
  afterLook,
  afterLookUp,
  afterSilence,
  afterWorkspaceMissing,
  type LookContext,
  type Move,
} from '../../../src/revocation/orders/rules.ts';
import type { Run, WorkspaceLook } from '../../../src/revocation/orders/run.ts';
import type { LookedAtState } from '../../../src/revocation/orders/states.ts';
import { recordMoves } from '../../../src/revocation/orders/writing.ts';
import { upstreamToken } from '../../support/upstream-token.ts';
import {
  BEGUN,
  BROKEN,
  call,
  clock,
  context,
  FORBIDDEN,
  leased,
  LIMITED,
  moment,
  NO_TOKENS,
  NOT_FOUND,
  noting,
  NOW,
  PARTIAL,
  showing,
  WORKSPACE,
} from './leased.ts';

// What a look makes of orders that PipeOps has acknowledged, and what it costs.

type Order = LeasedOrder<LookedAtState>;
const orderWith = (values: Partial<LeasedOrder> = {}): Order =>
  leased('acknowledged', { result: 'revoked', acknowledged_at: NOW - 2 * CONTRADICTION_AFTER_MS, ...values });

interface Answers {
  /** The lists of the run, by workspace. One that is missing breaks. */
  readonly looks?: Readonly<Record<string, WorkspaceLook>>;
  readonly get?: Result<UpstreamToken, UpstreamFailure>;
  readonly mayLookUp?: boolean;
  /** How many steps may begin. */
  readonly steps?: number;
}

async function look(orders: readonly Order[], { looks = {}, get, mayLookUp = true, steps = Infinity }: Answers) {
  const calls: unknown[] = [];
  const lines: unknown[] = [];
  const noted = noting();
  let begun = 0;
  const lists = {
    call: () => call,
    lookUp: () => {
      calls.push('look up');
      return mayLookUp ? call : null;
    },
    since: async (workspaceUuid: string, eventId: string, sinceMs: number) => {
      calls.push([workspaceUuid, eventId, sinceMs]);
      const found = looks[workspaceUuid];
      if (found === undefined) throw new RangeError('broken');
      return await Promise.resolve(found);
    },
  };
  const run = {
    lists,
    goesOn: () => {
      begun += 1;
      return begun <= steps;
    },
    end: () => void calls.push('end'),
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a look uses nothing else
  } as unknown as Run;
  const dependencies = {
    database: noted.database,
    quota: { news: () => [], permit: () => null },
    runtime: {
      ...clock,
      randomBytes: (length: number) => {
        calls.push('chance');
        return clock.randomBytes(length);
      },
      newId: () => 'new',
      log: (line: unknown) => void lines.push(line),
    },
    pipeops: {
      get: async (ref: TokenRef) => {
        calls.push(ref);
        if (get === undefined) throw new Error('no get is expected');
        return await Promise.resolve(get.ok ? ok({ status: 200, data: get.value }) : get);
      },
    },
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a look uses nothing else
  } as unknown as DriverDependencies;
  const left = await lookAt(dependencies, context, run, 'lease', orders);
  return { left, calls, lines, batches: noted.batches, dependencies };
}

/** What is sent to D1 to write these moves down. */
async function written(moved: readonly MovedOrder[], dependencies: DriverDependencies): Promise<unknown> {
  const noted = noting();
  await recordMoves({ ...dependencies, database: noted.database }, context, 'lease', moved);
  return noted.batches;
}

const lookContext = (values: Partial<LookContext> = {}): LookContext => ({
  ...moment,
  begunAtMs: BEGUN,
  updatedUntilMs: null,
  isLifted: false,
  ...values,
});

interface Case {
  readonly name: string;
  readonly order: Order;
  readonly found: WorkspaceLook | ((order: Order) => WorkspaceLook);
  readonly move: (order: Order) => Move;
  readonly get?: Result<UpstreamToken, UpstreamFailure>;
}
const SUSPENDED = { mode: 'suspend', result: 'suspended' } as const;
const MISSED = { known: 0, result: 'not_found' } as const;
const CASES: readonly Case[] = [
  {
    name: 'fails',
    order: orderWith(),
    found: { kind: 'failed', failure: BROKEN, isWorkspaceMissing: false },
    move: (order) => afterFailure(order, BROKEN, moment),
  },
  {
    name: 'is no list, since there is no workspace',
    order: orderWith(),
    found: { kind: 'failed', failure: FORBIDDEN, isWorkspaceMissing: true },
    move: (order) => afterWorkspaceMissing(order, FORBIDDEN, moment),
  },
  {
    name: 'has nothing of the inventory beside it',
    order: orderWith(),
    found: { kind: 'unread' },
    move: (order) => afterSilence(order, moment),
  },
  {
    name: 'shows the token alive',
    order: orderWith(),
    found: (order) => showing(order, {}),
    move: (order) => afterLook(order, 'alive', lookContext()),
  },
  {
    name: 'shows the token suspended',
    order: orderWith(SUSPENDED),
    found: (order) => showing(order, { isActive: false }),
    move: (order) => afterLook(order, 'inactive', lookContext()),
  },
  {
    name: 'shows a token active that nothing suspends any more',
    order: orderWith(SUSPENDED),
    found: (order) => showing(order, {}),
    move: (order) => afterLook(order, 'alive', lookContext({ isLifted: true })),
  },
  {
    name: 'shows a token active that is still to be suspended',
    order: orderWith({ ...SUSPENDED, suspended_by: '["offboarding"]' }),
    found: (order) => showing(order, {}),
    move: (order) => afterLook(order, 'alive', lookContext()),
  },
  {
    name: 'shows a token active of which nothing is known here',
    order: orderWith({ ...SUSPENDED, known: 0 }),
    found: (order) => showing(order, {}),
    move: (order) => afterLook(order, 'alive', lookContext()),
  },
  {
    name: 'lacks the token',
    order: orderWith(),
    found: NO_TOKENS,
    move: (order) => afterLook(order, 'absent', lookContext()),
  },
  {
    name: 'lacks a token that was updated just now',
    order: orderWith({ updated_until: NOW - 3 }),
    found: NO_TOKENS,
    move: (order) => afterLook(order, 'absent', lookContext({ updatedUntilMs: NOW - 3 })),
  },
  {
    name: 'says nothing, and a get shows the token revoked',
    order: orderWith(),
    found: PARTIAL,
    move: (order) => afterLook(order, 'revoked', lookContext({ begunAtMs: NOW })),
    get: ok(upstreamToken({ isRevoked: true })),
  },
  {
    name: 'says nothing, and a get shows the token suspended',
    order: orderWith(SUSPENDED),
    found: PARTIAL,
    move: (order) => afterLook(order, 'inactive', lookContext({ begunAtMs: NOW })),
    get: ok(upstreamToken({ isActive: false })),
  },
  {
    name: 'says nothing, and a get is answered with 404',
    order: orderWith(),
    found: PARTIAL,
    move: (order) => afterLook(order, 'absent', lookContext({ begunAtMs: NOW })),
    get: err(NOT_FOUND),
  },
  {
    name: 'says nothing, and a get is answered with 429',
    order: orderWith(),
    found: PARTIAL,
    move: (order) => afterLookUp({ permit: () => null }, order, LIMITED, moment),
    get: err(LIMITED),
  },
];

it.each(CASES)('a list that $name is taken for what it is', async ({ order, found, move, get }) => {
  const workspaceLook = typeof found === 'function' ? found(order) : found;
  const { left, batches, dependencies } = await look([order], {
    looks: { [WORKSPACE]: workspaceLook },
    ...(get !== undefined && { get }),
  });
  expect(left).toEqual([]);
  expect(batches).toEqual(await written([{ order, move: move(order) }], dependencies));
});

describe('a run of looks', () => {
  const OTHER = crypto.randomUUID();

  it('asks for one list for each workspace, begun after the last acknowledgement, and writes once for each', async () => {
    const first = orderWith();
    const orders = [
      first,
      orderWith({ acknowledged_at: NOW - 5 }),
      orderWith({ workspace_uuid: OTHER, acknowledged_at: NOW - 9 }),
    ];
    const { calls, batches } = await look(orders, { looks: { [WORKSPACE]: NO_TOKENS, [OTHER]: NO_TOKENS } });
    expect(calls).toEqual([
      [WORKSPACE, first.id, NOW - 5],
      [OTHER, orders[2]?.id, NOW - 9],
    ]);
    expect(batches).toHaveLength(2);
  });

  it('asks for a token by itself in its workspace', async () => {
    const order = orderWith();
    const { calls } = await look([order], { looks: { [WORKSPACE]: PARTIAL }, get: err(NOT_FOUND) });
    expect(calls[1]).toEqual({ workspaceUuid: WORKSPACE, tokenId: order.token_id });
  });

  it.each([
    ['may be made up', MISSED, true],
    ['has been revoked', { known: 0 }, false],
    ['is in the inventory', { known: 1, result: 'not_found' } as const, false],
  ])('asks only so often for a token that %s', async (_name, values, isLookUp) => {
    const order = orderWith(values);
    const { calls, batches, dependencies } = await look([order], {
      looks: { [WORKSPACE]: PARTIAL },
      mayLookUp: false,
      get: err(NOT_FOUND),
    });
    expect(calls[1]).toEqual(isLookUp ? 'look up' : { workspaceUuid: WORKSPACE, tokenId: order.token_id });
    const move = isLookUp ? afterSilence(order, moment) : afterLook(order, 'absent', lookContext({ begunAtMs: NOW }));
    expect(batches).toEqual(await written([{ order, move }], dependencies));
  });

  it('leaves what it may not begin, and has asked for nothing then', async () => {
    const orders = [orderWith(), orderWith({ workspace_uuid: OTHER })];
    const { left, calls, batches } = await look(orders, { steps: 0 });
    expect([left, calls, batches]).toEqual([orders, [], []]);
  });

  it('leaves the orders of a list that it may not judge any more', async () => {
    const orders = [orderWith(), orderWith()];
    const { left, batches, dependencies } = await look(orders, { looks: { [WORKSPACE]: NO_TOKENS }, steps: 2 });
    expect(left).toEqual(orders.slice(1));
    const [order] = orders as [Order];
    const move = afterLook(order, 'absent', lookContext());
    expect(batches).toEqual(await written([{ order, move }], dependencies));
  });

  it('tells all orders of a list that it failed, which costs no step', async () => {
    const orders = [orderWith(), orderWith()];
    const failed = { kind: 'failed', failure: BROKEN, isWorkspaceMissing: false } as const;
    const { left, batches, dependencies } = await look(orders, { looks: { [WORKSPACE]: failed }, steps: 1 });
    expect(left).toEqual([]);
    const moved = orders.map((order) => ({ order, move: afterFailure(order, BROKEN, moment) }));
    expect(batches).toEqual(await written(moved, dependencies));
  });

  it.each([
    [{ kind: 'upstream_timeout' } as const, ['end']],
    [BROKEN, []],
  ])('ends where every other call would fail too: %j', async (failure, ends) => {
    const failed = { kind: 'failed', failure, isWorkspaceMissing: false } as const;
    const { calls } = await look([orderWith()], { looks: { [WORKSPACE]: failed } });
    expect(calls.slice(2)).toEqual(ends);
  });

  it('goes on with the next workspace where a bug keeps one from being judged', async () => {
    const orders = [orderWith(), orderWith({ workspace_uuid: OTHER })];
    const { left, lines, batches } = await look(orders, { looks: { [OTHER]: NO_TOKENS } });
    expect(left).toEqual([]);
    expect(lines).toEqual([{ level: 'error', event: 'order_not_driven', event_id: orders[0]?.id, name: 'RangeError' }]);
    expect(batches).toHaveLength(1);
  });

  it('says in the log which order a list contradicts', async () => {
    const [contradicted, agreed] = [orderWith(), orderWith()];
    const { lines } = await look([contradicted, agreed], { looks: { [WORKSPACE]: showing(contradicted, {}) } });
    expect(lines).toEqual([{ level: 'error', event: 'revocation_contradicted', event_id: contradicted.id }]);
  });

  it.each([
    ['alive', ['chance']],
    ['gone', []],
  ])('leaves a pause to chance, and nothing else: the token is %s', async (state, drawn) => {
    const order = orderWith();
    const { calls } = await look([order], {
      looks: { [WORKSPACE]: state === 'alive' ? showing(order, {}) : NO_TOKENS },
    });
    expect(calls.slice(1)).toEqual(drawn);
  });
});
