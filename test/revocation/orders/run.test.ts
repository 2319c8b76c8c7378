import { env } from 'cloudflare:workers';
import { describe, expect, it } from 'vitest';
import { ABSENCE_GAP_MS, UNKNOWN_IDS_MAX_COUNT, UPSTREAM_TIMEOUT_MS } from '../../../src/config/limits.ts';
import type { UpstreamFailure } from '../../../src/failures.ts';
import { err, ok } from '../../../src/kit/result.ts';
import type { Call, TokenList } from '../../../src/pipeops/types.ts';
import type { DriverDependencies } from '../../../src/revocation/dependencies.ts';
import { createRun, logNotDriven } from '../../../src/revocation/orders/run.ts';
import { tokenList, upstreamToken } from '../../support/upstream-token.ts';
import { BROKEN, clock, context, database, FORBIDDEN, LIMITED, NOT_FOUND, NOW } from './leased.ts';

// What the steps of a driver's run share: when the run ends, its calls, and its lists of workspaces.

interface Terms {
  readonly isPermitted?: boolean;
  readonly mayTry?: boolean;
  readonly mostQueries?: number;
  readonly answer?: TokenList | UpstreamFailure;
  readonly isDown?: boolean;
}

function runWith({ isPermitted = true, mayTry = false, mostQueries = 10, answer = tokenList([]), isDown }: Terms = {}) {
  let nowMs = NOW;
  const calls: Call[] = [];
  const workspaces: string[] = [];
  const timeouts: number[] = [];
  const reserved = { add: () => {}, end: () => {} };
  const runtime = {
    ...clock,
    now: () => nowMs,
    timeout: (ms: number) => {
      timeouts.push(ms);
      return new AbortController().signal;
    },
  };
  const dependencies = {
    runtime,
    quota: { permit: () => (isPermitted ? null : LIMITED), mayTry: () => mayTry },
    database: isDown === true ? { ...database, batch: async () => await Promise.resolve(err('rejected')) } : database,
    pipeops: {
      list: async (workspaceUuid: string, call: Call) => {
        workspaces.push(workspaceUuid);
        calls.push(call);
        return await Promise.resolve('kind' in answer ? err(answer) : ok({ status: 200, data: answer }));
      },
    },
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a run uses nothing else
  } as unknown as DriverDependencies;
  const budget = { permits: (d1Queries: number) => d1Queries <= mostQueries };
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the calls are only passed on
  const run = createRun(dependencies, context, { of: null, budget, reserved: reserved as never });
  const wait = (ms: number): void => {
    nowMs += ms;
  };
  return { run, lists: run.lists, calls, workspaces, timeouts, reserved, wait };
}

describe('a run goes on', () => {
  it.each<[string, boolean, Terms]>([
    ['while PipeOps takes calls', true, {}],
    ['while PipeOps says wait and a call is tried all the same', true, { isPermitted: false, mayTry: true }],
    ['not while PipeOps says wait', false, { isPermitted: false }],
    ['not beyond its budget', false, { mostQueries: 6 }],
  ])('%s', (_name, goesOn, terms) => {
    expect(runWith(terms).run.goesOn(7)).toBe(goesOn);
  });

  it('not once it is ended', () => {
    const { run } = runWith();
    run.end();
    expect(run.goesOn(1)).toBe(false);
  });
});

it.each([
  [new RangeError('broken'), 'RangeError'],
  ['broken', 'unknown'],
])('a bug is logged by the name of its error alone: %s', (error, name) => {
  const lines: unknown[] = [];
  logNotDriven({ log: (line) => void lines.push(line) }, 'order-1', error);
  expect(lines).toEqual([{ level: 'error', event: 'order_not_driven', event_id: 'order-1', name }]);
});

describe('a call of a run', () => {
  it('for an order uses what is kept for revocation, and what the run has reserved', () => {
    const { lists, reserved, timeouts } = runWith();
    expect(lists.call('order-1')).toMatchObject({ eventId: 'order-1', purpose: 'revocation', isRetriedLater: true });
    expect(lists.call('order-1').reserved).toBe(reserved);
    expect(timeouts).toEqual([UPSTREAM_TIMEOUT_MS, UPSTREAM_TIMEOUT_MS]);
  });

  it('for a token that may be made up uses neither, and there are only so many', () => {
    const { lists } = runWith();
    for (let count = 0; count < UNKNOWN_IDS_MAX_COUNT; count += 1) {
      const call = lists.lookUp('order-1');
      expect(call).toMatchObject({ eventId: 'order-1', purpose: 'change', isRetriedLater: true });
      expect(call?.reserved).toBeUndefined();
    }
    expect(lists.lookUp('order-1')).toBeNull();
  });
});

describe('the list of a workspace', () => {
  const workspace = () => crypto.randomUUID();

  it.each(['any', 'since', 'unknown'] as const)('is asked for again only where it is too old: %s', async (name) => {
    const { lists, calls, wait } = runWith();
    const [here, there] = [workspace(), workspace()];
    const first = await lists[name](here, 'order-1', NOW - 5);
    expect(await lists[name](here, 'order-2', NOW)).toBe(first);
    expect(calls).toHaveLength(1);
    wait(1);
    expect(await lists[name](here, 'order-2', NOW + 1)).not.toBe(first);
    await lists[name](there, 'order-3', NOW);
    expect(calls.map(({ eventId }) => eventId)).toEqual(['order-1', 'order-2', 'order-3']);
  });

  it.each([
    ['any', 1],
    ['since', 2],
    ['unknown', 2],
  ] as const)('is outdated by what is done there, but not for %s', async (name, count) => {
    const { lists, calls } = runWith();
    const [here, there] = [workspace(), workspace()];
    // Nothing is known of it yet.
    lists.outdate(here);
    await lists[name](here, 'order-1', NOW);
    lists.outdate(there);
    await lists[name](here, 'order-2', NOW);
    expect(calls).toHaveLength(1);
    lists.outdate(here);
    await lists[name](here, 'order-3', NOW);
    expect(calls).toHaveLength(count);
  });

  it('is asked for with what is kept for revocation, unless nothing is known of the workspace', async () => {
    const { lists, calls } = runWith();
    await lists.any(workspace(), 'order-1', NOW);
    await lists.since(workspace(), 'order-1', NOW);
    await lists.unknown(workspace(), 'order-1', NOW);
    expect(calls.map(({ purpose }) => purpose)).toEqual(['revocation', 'revocation', 'change']);
  });

  it.each<[UpstreamFailure, boolean]>([
    [FORBIDDEN, true],
    [{ kind: 'upstream_forbidden', status: 403 }, false],
    [NOT_FOUND, false],
    [BROKEN, false],
  ])('that fails says whether the workspace is missing: %j', async (failure, isWorkspaceMissing) => {
    const { lists } = runWith({ answer: failure });
    expect(await lists.any(workspace(), 'order-1', NOW)).toEqual({ kind: 'failed', failure, isWorkspaceMissing });
  });

  it('says nothing where D1 does not say what the inventory has', async () => {
    const { lists } = runWith({ isDown: true });
    expect(await lists.any(workspace(), 'order-1', NOW)).toEqual({ kind: 'unread' });
  });

  it('is compared with the inventory, and what it shows is written down', async () => {
    const here = workspace();
    const insert = `insert into tokens (workspace_uuid, token_id, created_at, unseen_at, revoked_at, ended_by) values (?1, ?2, 1, ?3, ?4, ?5)`;
    await env.DB.batch([
      env.DB.prepare(insert).bind(here, 'shown', NOW - ABSENCE_GAP_MS, null, null),
      env.DB.prepare(insert).bind(here, 'missed', NOW - ABSENCE_GAP_MS, null, null),
      env.DB.prepare(insert).bind(here, 'new', null, null, null),
      env.DB.prepare(insert).bind(here, 'back', null, 1, 'absent'),
    ]);
    const list = tokenList([
      upstreamToken({ id: 'shown' }),
      upstreamToken({ id: 'strange' }),
      upstreamToken({ id: 'back' }),
    ]);
    const { lists } = runWith({ answer: list });
    const look = await lists.any(here, 'order-1', NOW);
    expect(look).toEqual({
      kind: 'listed',
      begunAtMs: NOW,
      list,
      shown: new Map(list.tokens.map((token) => [token.id, token])),
      gone: new Set(['missed']),
      isNoProof: false,
    });
    const tokens = await env.DB.prepare(
      'select token_id, unseen_at, ended_by from tokens where workspace_uuid = ? order by token_id',
    )
      .bind(here)
      .all();
    expect(tokens.results).toEqual([
      { token_id: 'back', unseen_at: null, ended_by: null },
      { token_id: 'missed', unseen_at: expect.any(Number), ended_by: 'absent' },
      { token_id: 'new', unseen_at: NOW, ended_by: null },
      { token_id: 'shown', unseen_at: null, ended_by: null },
      { token_id: 'strange', unseen_at: null, ended_by: null },
    ]);
    const row = await env.DB.prepare('select list_state, list_state_at from workspaces where workspace_uuid = ?')
      .bind(here)
      .first();
    expect(row).toEqual({ list_state: 'complete', list_state_at: NOW });
  });
});
