import { env } from 'cloudflare:workers';
import { describe, expect, it } from 'vitest';
import { ABSENCE_AFTER_SETTLED_MS, ABSENCE_GAP_MS } from '../../../src/config/limits.ts';
import type { UpstreamFailure } from '../../../src/failures.ts';
import { err, ok, type Result } from '../../../src/kit/result.ts';
import type { UpstreamToken } from '../../../src/pipeops/types.ts';
import type { DriverDependencies } from '../../../src/revocation/dependencies.ts';
import type { LeasedOrder } from '../../../src/revocation/orders/queue.ts';
import {
  afterAbsence,
  afterAcknowledgement,
  afterDenial,
  afterEnd,
  afterFailure,
  afterLookUp,
  afterSilence,
  afterUpdate,
  afterWorkspaceMissing,
} from '../../../src/revocation/orders/rules.ts';
import type { Lists, WorkspaceLook } from '../../../src/revocation/orders/run.ts';
import { createSending } from '../../../src/revocation/orders/sending.ts';
import { tokenList, upstreamToken } from '../../support/upstream-token.ts';
import {
  BEGUN,
  BROKEN,
  call,
  clock,
  context,
  database,
  FORBIDDEN,
  leased,
  LIMITED,
  listed,
  moment,
  NO_TOKENS,
  NOT_FOUND,
  NOW,
  PARTIAL,
  showing,
  WORKSPACE,
} from './leased.ts';

// What becomes of an order that is sent, by what PipeOps answers to it and by what its list shows.

type Open = LeasedOrder<'open'>;
const orderWith = (values: Partial<Open> = {}): Open => leased('open', values);

/** What PipeOps answers to the order itself and to a get of its token, and what the workspace's list is. */
interface Answers {
  readonly order?: Result<UpstreamToken | 'revoked', UpstreamFailure>;
  readonly get?: Result<UpstreamToken, UpstreamFailure>;
  readonly look?: WorkspaceLook;
  readonly mayLookUp?: boolean;
  /** Whether what is kept for revocation is left of the quota. */
  readonly isPermitted?: boolean;
}

const answered = async <T>(calls: string[], name: string, answer: Result<T, UpstreamFailure> | undefined) => {
  calls.push(name);
  if (answer === undefined) throw new Error(`${name} is not expected`);
  return answer.ok ? ok({ status: 200, data: answer.value }) : answer;
};

function sendingWith(answers: Answers) {
  const calls: string[] = [];
  const dependencies = {
    database,
    quota: { permit: () => (answers.isPermitted === true ? null : LIMITED) },
    runtime: clock,
    pipeops: {
      revoke: async () => await answered(calls, 'revoke', answers.order),
      update: async (_ref: unknown, command: object) =>
        await answered(calls, `update ${JSON.stringify(command)}`, answers.order),
      get: async () => await answered(calls, 'get', answers.get),
    },
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- sending uses nothing else
  } as unknown as DriverDependencies;
  const look = async (): Promise<WorkspaceLook> => {
    calls.push('list');
    if (answers.look === undefined) throw new Error('a list is not expected');
    return answers.look;
  };
  const lists: Lists = {
    call: () => call,
    lookUp: () => (answers.mayLookUp === false ? null : call),
    any: look,
    since: look,
    unknown: look,
    outdate: (workspaceUuid) => void calls.push(`outdated ${workspaceUuid}`),
  };
  return { sending: createSending(dependencies, context, lists), calls };
}

const UNLISTED: readonly (readonly [string, WorkspaceLook, (order: Open) => unknown])[] = [
  [
    'a failure',
    { kind: 'failed', failure: BROKEN, isWorkspaceMissing: false },
    (order) => afterFailure(order, BROKEN, moment),
  ],
  [
    'no workspace',
    { kind: 'failed', failure: FORBIDDEN, isWorkspaceMissing: true },
    (order) => afterWorkspaceMissing(order, FORBIDDEN, moment),
  ],
  ['nothing of the inventory beside it', { kind: 'unread' }, (order) => afterSilence(order, moment)],
];
/** As if an update of the token had been settled just now: an end that a look shows does not count yet. */
const UPDATED = { updated_until: NOW - 3 };
const waiting = (order: Open) =>
  afterUpdate(order, { ...moment, begunAtMs: BEGUN, updatedUntilMs: order.updated_until });

describe('PipeOps takes an order', () => {
  it('to revoke, and lists from before are outdated', async () => {
    const order = orderWith();
    const { sending, calls } = sendingWith({ order: ok('revoked') });
    expect(await sending.send(order)).toEqual(afterAcknowledgement(order, 'revoked', 200, moment));
    expect(calls).toEqual(['revoke', `outdated ${WORKSPACE}`]);
  });

  it.each([false, null])('to suspend, unless its answer says otherwise: active is %j', async (isActive) => {
    const order = orderWith({ mode: 'suspend' });
    const { sending, calls } = sendingWith({ order: ok(upstreamToken({ isActive })) });
    expect(await sending.send(order)).toEqual(afterAcknowledgement(order, 'suspended', 200, moment));
    expect(calls[0]).toBe('update {"isActive":false}');
  });

  it('and says that the token is active: it is ordered again', async () => {
    const order = orderWith({ mode: 'suspend' });
    const { sending } = sendingWith({ order: ok(upstreamToken({ isActive: true })) });
    const failure = { kind: 'upstream_disobeyed', status: 200, detail: {} } as const;
    expect(await sending.send(order)).toEqual(afterFailure(order, failure, moment));
  });

  it('not: it is sent again later', async () => {
    const order = orderWith();
    const { sending } = sendingWith({ order: err(BROKEN) });
    expect(await sending.send(order)).toEqual(afterFailure(order, BROKEN, moment));
  });
});

describe('a token whose end is proven costs no call', () => {
  it('since PipeOps has acknowledged another revoke of it', async () => {
    const order = orderWith({ ended_by: 'acknowledged', ...UPDATED });
    const { sending, calls } = sendingWith({});
    const moved = afterAcknowledgement(order, 'already_gone', null, moment);
    expect([await sending.send(order), sending.settleFrom(PARTIAL, order), calls]).toEqual([moved, moved, []]);
  });

  it('since it is gone by the rule of absence, once no update is under way beside it', async () => {
    const order = orderWith({ ended_by: 'absent' });
    const { sending, calls } = sendingWith({});
    const moved = afterEnd(order, 'already_gone', null, moment);
    expect([await sending.send(order), sending.settleFrom(PARTIAL, order), calls]).toEqual([moved, moved, []]);
    const updated = orderWith({ ended_by: 'absent', updated_until: NOW + 1 });
    expect((await sending.send(updated)).transition).toBe('wait');
  });
});

describe('a 404', () => {
  const sentOf = async (order: Open, answers: Answers) => {
    const { sending } = sendingWith({ order: err(NOT_FOUND), ...answers });
    return await sending.send(order);
  };
  const own = async (order: Open, values: { readonly created_at: number; readonly unseen_at: number | null }) =>
    await env.DB.prepare('insert into tokens (workspace_uuid, token_id, created_at, unseen_at) values (?, ?, ?, ?)')
      .bind(WORKSPACE, order.token_id, values.created_at, values.unseen_at)
      .run();

  it.each(UNLISTED)('says nothing about the token while its list is %s', async (_name, look, moved) => {
    const order = orderWith();
    expect(await sentOf(order, { look })).toEqual(moved(order));
  });

  it.each(['revoke', 'suspend'] as const)('is denied by a list that shows it: %s', async (mode) => {
    const order = orderWith({ mode, unseen_at: 5 });
    const look = showing(order, { isActive: mode === 'revoke' });
    expect(await sentOf(order, { look })).toEqual(afterDenial(order, NOT_FOUND, moment));
  });

  it.each([
    [{ isRevoked: true }, 'already_gone'],
    [{ isExpired: true }, 'expired'],
  ] as const)('is an end where the list says so: %j', async (values, result) => {
    const order = orderWith();
    expect(await sentOf(order, { look: showing(order, values) })).toEqual(afterEnd(order, result, 404, moment));
    const updated = orderWith(UPDATED);
    expect(await sentOf(updated, { look: showing(updated, values) })).toEqual(waiting(updated));
  });

  it.each([
    [{ isRevoked: true }, 'already_gone'],
    [{ isExpired: true }, 'expired'],
  ] as const)('is an end where the list says nothing and a get says so: %j', async (values, result) => {
    const order = orderWith();
    const get = ok(upstreamToken({ id: order.token_id, ...values }));
    expect(await sentOf(order, { look: PARTIAL, get })).toEqual(afterEnd(order, result, 200, moment));
  });

  it('is denied by a get that shows the token, which is then not missed any more', async () => {
    const order = orderWith();
    await own(order, { created_at: NOW - 100 * ABSENCE_GAP_MS, unseen_at: NOW - 60_000 });
    const get = ok(upstreamToken({ id: order.token_id }));
    expect(await sentOf(order, { look: PARTIAL, get })).toEqual(afterDenial(order, NOT_FOUND, moment));
    const row = await env.DB.prepare('select unseen_at from tokens where token_id = ?').bind(order.token_id).first();
    expect(row).toEqual({ unseen_at: null });
  });

  it('waits where a get fails', async () => {
    const order = orderWith();
    expect(await sentOf(order, { look: PARTIAL, get: err(BROKEN) })).toEqual(afterFailure(order, BROKEN, moment));
  });

  it.each<[string, Answers]>([
    ['list', { look: NO_TOKENS }],
    ['get', { look: PARTIAL, get: err(NOT_FOUND) }],
  ])('is one proof of absence where the %s agrees', async (_name, answers) => {
    const unknown = orderWith();
    const missed = { result: 'not_found', unseenAtMs: NOW } as const;
    expect(await sentOf(unknown, answers)).toEqual(afterAbsence(unknown, 'unseen', missed, 404, moment));

    const known = orderWith({ unseen_at: 5 });
    await own(known, { created_at: NOW - 100 * ABSENCE_GAP_MS, unseen_at: null });
    const unseen = { result: 'already_gone', unseenAtMs: null } as const;
    expect(await sentOf(known, answers)).toEqual(afterAbsence(known, 'unseen', unseen, 404, moment));
  });

  it('is the second proof where the first is old enough, once no update is under way beside it', async () => {
    const [order, updated] = [orderWith(), orderWith(UPDATED)];
    for (const one of [order, updated]) {
      await own(one, { created_at: NOW - 100 * ABSENCE_GAP_MS, unseen_at: NOW - ABSENCE_GAP_MS });
    }
    const answers = { look: NO_TOKENS };
    expect(await sentOf(order, answers)).toEqual(afterEnd(order, 'already_gone', 404, moment));
    expect((await sentOf(updated, answers)).transition).toBe('wait');
  });
});

describe('a token that the inventory lacks', () => {
  const unknown = (values: Partial<Open> = {}) => orderWith({ known: 0, ...values });

  it.each(UNLISTED)('is not ordered while its list is %s', async (_name, look, moved) => {
    const order = unknown();
    const { sending, calls } = sendingWith({ look });
    expect([await sending.send(order), calls]).toEqual([moved(order), ['list']]);
  });

  it.each([
    ['as alive', {}, true],
    ['as revoked, in a part', { isRevoked: true }, false],
  ])('is ordered where a list shows it %s', async (_name, values, isComplete) => {
    const order = unknown();
    const { sending, calls } = sendingWith({ look: showing(order, values, isComplete), order: ok('revoked') });
    expect((await sending.send(order)).transition).toBe('acknowledge');
    expect(calls.slice(0, 2)).toEqual(['list', 'revoke']);
  });

  it.each([
    ['too early', { created_at: BEGUN - ABSENCE_AFTER_SETTLED_MS + 1, unseen_at: 5 }, 'too_early', null],
    ['the first', {}, 'unseen', BEGUN],
    ['soon after the first', { unseen_at: BEGUN - 5 }, 'unseen', BEGUN - 5],
    ['the second', { unseen_at: BEGUN - ABSENCE_GAP_MS }, 'gone', BEGUN - ABSENCE_GAP_MS],
  ] as const)(
    'is not found by two complete lists without it: this one is %s',
    async (_name, values, finding, unseenAtMs) => {
      const order = unknown(values);
      const { sending, calls } = sendingWith({ look: NO_TOKENS });
      const missed = { result: 'not_found', unseenAtMs } as const;
      expect(await sending.send(order)).toEqual(afterAbsence(order, finding, missed, null, moment));
      expect(calls).toEqual(['list']);
    },
  );

  it('is not asked for by itself where that was done often enough in a run', async () => {
    const order = unknown();
    const { sending, calls } = sendingWith({ look: PARTIAL, mayLookUp: false });
    expect([await sending.send(order), calls]).toEqual([afterSilence(order, moment), ['list']]);
  });

  it('is ordered where PipeOps has it in this workspace', async () => {
    const order = unknown();
    const get = ok(upstreamToken({ workspaceId: WORKSPACE }));
    const { sending, calls } = sendingWith({ look: PARTIAL, get, order: ok('revoked') });
    expect((await sending.send(order)).transition).toBe('acknowledge');
    expect(calls.slice(0, 3)).toEqual(['list', 'get', 'revoke']);
  });

  it.each<[string, Result<UpstreamToken, UpstreamFailure>, (order: Open) => unknown]>([
    [
      'where PipeOps has it in another workspace',
      ok(upstreamToken({ workspaceId: crypto.randomUUID() })),
      (order) => afterAbsence(order, 'unseen', { result: 'not_found', unseenAtMs: NOW }, null, moment),
    ],
    [
      'where PipeOps does not say in which workspace it is',
      ok(upstreamToken({ workspaceId: null })),
      (order) => afterFailure(order, { kind: 'upstream_invalid_response', status: 200 }, moment),
    ],
    [
      'where PipeOps answers 404',
      err(NOT_FOUND),
      (order) => afterAbsence(order, 'unseen', { result: 'not_found', unseenAtMs: NOW }, 404, moment),
    ],
    [
      'where PipeOps does not answer for now',
      err(LIMITED),
      (order) => afterLookUp({ permit: () => null }, order, LIMITED, moment),
    ],
  ])('is not ordered %s', async (_name, get, moved) => {
    const order = unknown();
    const { sending, calls } = sendingWith({ look: PARTIAL, get, isPermitted: true });
    expect([await sending.send(order), calls]).toEqual([moved(order), ['list', 'get']]);
  });
});

describe('a list settles an order', () => {
  const { sending } = sendingWith({});

  it.each(UNLISTED)('also where it is %s', (_name, look, moved) => {
    const order = orderWith();
    expect(sending.settleFrom(look, order)).toEqual(moved(order));
  });

  it.each([
    [{ isRevoked: true }, 'already_gone'],
    [{ isExpired: true }, 'expired'],
  ] as const)('where it says that the token has ended, once no update is under way beside it: %j', (values, result) => {
    const order = orderWith();
    expect(sending.settleFrom(showing(order, values), order)).toEqual(afterEnd(order, result, null, moment));
    const updated = orderWith(UPDATED);
    expect(sending.settleFrom(showing(updated, values), updated)).toEqual(waiting(updated));
  });

  it('where it is a proof of absence, the second or another', () => {
    const [first, second, updated] = [orderWith({ unseen_at: 5 }), orderWith(), orderWith(UPDATED)];
    const look = listed(tokenList([]), { gone: new Set([second.token_id, updated.token_id]) });
    const unseen = { result: 'already_gone', unseenAtMs: null } as const;
    expect(sending.settleFrom(look, first)).toEqual(afterAbsence(first, 'unseen', unseen, null, moment));
    expect(sending.settleFrom(look, second)).toEqual(afterEnd(second, 'already_gone', null, moment));
    expect(sending.settleFrom(look, updated)).toEqual(waiting(updated));
  });

  it.each<[string, Partial<Open>, (order: Open) => WorkspaceLook]>([
    ['shows the token alive', {}, (order) => showing(order, {})],
    ['says nothing of the token', {}, () => PARTIAL],
    ['lacks a token that the inventory lacks too', { known: 0 }, () => NO_TOKENS],
  ])('not where it %s', (_name, values, lookOf) => {
    const order = orderWith(values);
    expect(sending.settleFrom(lookOf(order), order)).toBeNull();
  });
});
