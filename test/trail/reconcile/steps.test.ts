import { env } from 'cloudflare:workers';
import { sql } from 'drizzle-orm';
import { beforeEach, describe, expect, it } from 'vitest';
import {
  ABSENCE_AFTER_SETTLED_MS,
  ABSENCE_GAP_MS,
  RECONCILE_BACKOFF_MAX_MS,
  RECONCILE_BATCH_ROWS,
  RECONCILE_LEASE_MS,
} from '../../../src/config/limits.ts';
import type { Database } from '../../../src/db/database.ts';
import type { UpstreamFailure } from '../../../src/failures.ts';
import { err, ok, type Result } from '../../../src/kit/result.ts';
import type { Call, TokenList, UpstreamToken } from '../../../src/pipeops/types.ts';
import { judgeList } from '../../../src/inventory/looks.ts';
import { createRunLooks } from '../../../src/trail/reconcile/looks.ts';
import {
  countLeased,
  forgetReview,
  type LeasedAttempt,
  leaseDueAttempts,
  noteUnseen,
  releaseAttempts,
} from '../../../src/trail/reconcile/queue.ts';
import { tokenList, upstreamToken } from '../../support/upstream-token.ts';
import {
  BROKEN,
  clock,
  context,
  database,
  NOT_FOUND,
  NOW,
  send,
  stored,
  storeEvent,
  storeToken,
  WORKSPACE,
} from '../../revocation/orders/leased.ts';

// What reconciliation reads of open attempts and asks PipeOps about them, step by step.

const OTHER = '0b0b0b0b-0000-4000-8000-000000000000';
const OLD_ENOUGH = NOW - 120_000;
beforeEach(async () => {
  await env.DB.batch([
    // No attempt of another test is open.
    env.DB.prepare(
      `update audit_events set status = 'failure', settled_at = 1, outcome = '{}' where status = 'attempted'`,
    ),
    ...['attempt_reviews', 'revocation_orders', 'tokens', 'workspaces'].map((table) =>
      env.DB.prepare(`delete from ${table}`),
    ),
  ]);
});

const attempt = async (values: Readonly<Record<string, unknown>> = {}): Promise<string> =>
  await storeEvent({
    occurred_at: OLD_ENOUGH,
    action: 'service_account_token.update',
    actor_type: 'user',
    token_id: 'token-1',
    ...values,
  });
async function lease(leaseId = 'lease', nowMs = NOW): Promise<readonly LeasedAttempt[]> {
  const sent = await database.batch(context, leaseDueAttempts(database, OLD_ENOUGH, nowMs, leaseId));
  if (!sent.ok) throw new Error('D1 does not take it');
  return sent.value[1];
}
const idsOf = (rows: readonly { readonly id: string }[]): readonly string[] => rows.map(({ id }) => id);
const reviewOf = async (id: string) =>
  await env.DB.prepare('select tries, next_at, claim, unseen_at from attempt_reviews where event_id = ?')
    .bind(id)
    .first();
const review = async (id: string, values: Readonly<Record<string, unknown>> = {}): Promise<void> => {
  const row = { tries: 1, next_at: NOW, claim: 'earlier', unseen_at: null, ...values };
  await env.DB.prepare(
    'insert into attempt_reviews (event_id, tries, next_at, claim, unseen_at) values (?, ?, ?, ?, ?)',
  )
    .bind(id, row.tries, row.next_at, row.claim, row.unseen_at)
    .run();
};
const SETTLED = { status: 'success', settled_at: NOW, outcome: '{}' };

describe('the attempts that are due', () => {
  it.each<[string, Readonly<Record<string, unknown>>, boolean]>([
    ['that are old enough', {}, true],
    ['that are not old enough', { occurred_at: OLD_ENOUGH + 1 }, false],
    ['that are settled', SETTLED, false],
    ['of webhooks', { actor_type: 'webhook' }, false],
  ])('are those %s: %o', async (_name, values, isDue) => {
    const id = await attempt(values);
    expect(idsOf(await lease())).toEqual(isDue ? [id] : []);
  });

  it('are none that an order drives', async () => {
    const order = await stored();
    await attempt({ id: order.id });
    const own = await attempt();
    expect(idsOf(await lease())).toEqual([own]);
  });

  it.each([
    [NOW, true],
    [NOW + 1, false],
  ])('are due again when their pause is over: at %i', async (next_at, isDue) => {
    const id = await attempt();
    await review(id, { next_at });
    expect(idsOf(await lease())).toEqual(isDue ? [id] : []);
  });

  it('are leased for a time that doubles, up to a most, and are read by their lease', async () => {
    const id = await attempt();
    await review('of another', { claim: 'another' });
    await lease('first');
    expect(await reviewOf(id)).toEqual({
      tries: 1,
      next_at: NOW + RECONCILE_LEASE_MS,
      claim: 'first',
      unseen_at: null,
    });
    const later = NOW + RECONCILE_LEASE_MS;
    expect(await lease('second', later)).toMatchObject([{ id, unseen_at: null, later_change: null, is_missed: 0 }]);
    expect(await reviewOf(id)).toMatchObject({ tries: 2, next_at: later + 2 * RECONCILE_LEASE_MS, claim: 'second' });
    await env.DB.prepare('update attempt_reviews set tries = 70, next_at = 0 where event_id = ?').bind(id).run();
    await lease('third');
    expect(await reviewOf(id)).toMatchObject({ tries: 71, next_at: NOW + RECONCILE_BACKOFF_MAX_MS });
    const counted = sql<number>`${countLeased('third')}`.as('count');
    expect(await send(database.build.select({ count: counted }).from(sql`(select 1)`))).toEqual([{ count: 1 }]);
  });

  it('are so many at the most, the oldest first', async () => {
    const newest = await attempt();
    const ids = [];
    for (let age = 1; age <= RECONCILE_BATCH_ROWS; age += 1) ids.push(await attempt({ occurred_at: OLD_ENOUGH - age }));
    expect(idsOf(await lease()).toSorted()).toEqual(ids.toSorted());
    expect(idsOf(await lease('another'))).toEqual([newest]);
  });

  const UPDATE = { action: 'service_account_token.update', token_id: 'token-1', occurred_at: NOW };
  it.each<[string, Readonly<Record<string, unknown>>, string | null]>([
    ['took effect', { ...UPDATE, ...SETTLED }, 'settled'],
    ['revoked the token', { ...UPDATE, ...SETTLED, action: 'service_account_token.revoke' }, 'settled'],
    ['is under way', UPDATE, 'open'],
    ['may have taken effect', { ...UPDATE, ...SETTLED, status: 'failure', error_code: 'outcome_unknown' }, 'open'],
    ['failed', { ...UPDATE, ...SETTLED, status: 'failure', error_code: 'upstream_error' }, null],
    ['is no change', { ...UPDATE, ...SETTLED, action: 'service_account_token.get' }, null],
    ['is of another token', { ...UPDATE, ...SETTLED, token_id: 'token-2' }, null],
    ['is of another workspace', { ...UPDATE, ...SETTLED, workspace_uuid: OTHER }, null],
  ])('say whether a later change %s', async (_name, later, change) => {
    // An earlier change is none.
    await storeEvent({ ...UPDATE, ...SETTLED });
    const id = await attempt();
    await storeEvent(later);
    expect((await lease()).find((row) => row.id === id)).toMatchObject({ later_change: change });
  });

  it.each<[Readonly<Record<string, unknown>>, 0 | 1]>([
    [{ token_id: 'token-1' }, 0],
    [{ token_id: 'token-1', unseen_at: 5 }, 1],
    [{ token_id: 'token-1', revoked_at: 5 }, 1],
    [{ token_id: 'token-2', unseen_at: 5 }, 0],
    [{ token_id: 'token-1', unseen_at: 5, workspace_uuid: OTHER }, 0],
  ])('say whether the inventory misses the token: %o', async (token, is_missed) => {
    await storeToken(token);
    await attempt({ workspace_uuid: WORKSPACE.toUpperCase() });
    expect(await lease()).toMatchObject([{ is_missed, workspace_uuid: WORKSPACE }]);
  });
});

describe('an attempt under a lease', () => {
  it('is noted as unseen since the first look, by its own lease alone', async () => {
    const [id, other] = [await attempt(), await attempt()];
    await lease();
    await send(noteUnseen(database, 'another', id, 5));
    expect(await reviewOf(id)).toMatchObject({ unseen_at: null });
    await send(noteUnseen(database, 'lease', id, 5));
    expect(await reviewOf(id)).toMatchObject({ unseen_at: 5, next_at: 5 + ABSENCE_GAP_MS });
    await send(noteUnseen(database, 'lease', id, 9));
    expect(await reviewOf(id)).toMatchObject({ unseen_at: 5, next_at: 9 + ABSENCE_GAP_MS });
    expect(await reviewOf(other)).toMatchObject({ unseen_at: null, next_at: NOW + RECONCILE_LEASE_MS });
  });

  it('is given back as if it had not been leased', async () => {
    const [id, kept] = [await attempt(), await attempt()];
    const [tried, others] = ['tried', 'others'];
    await review(tried, { claim: 'lease', tries: 3 });
    await review(others, { claim: 'another', tries: 3 });
    await lease();
    await send(releaseAttempts(database, 'lease', [id, tried, others], NOW + 7));
    expect(await reviewOf(id)).toMatchObject({ tries: 0, next_at: NOW + 7 });
    expect(await reviewOf(tried)).toMatchObject({ tries: 2, next_at: NOW + 7 });
    expect(await reviewOf(others)).toMatchObject({ tries: 3, next_at: NOW });
    expect(await reviewOf(kept)).toMatchObject({ tries: 1, next_at: NOW + RECONCILE_LEASE_MS });
    await send(releaseAttempts(database, 'lease', [id], NOW + 7));
    expect(await reviewOf(id)).toMatchObject({ tries: 0 });
  });

  it('is forgotten where it is settled', async () => {
    const [id, other] = ['one', 'other'];
    await review(id);
    await review(other);
    await send(forgetReview(database, id, sql`1 = 2`));
    expect(await reviewOf(id)).not.toBeNull();
    await send(forgetReview(database, id, sql`1 = 1`));
    expect([await reviewOf(id), await reviewOf(other)]).toEqual([null, expect.anything()]);
  });
});

describe('what a run asks PipeOps', () => {
  interface Answers {
    readonly list?: Result<TokenList, UpstreamFailure>;
    readonly get?: Result<UpstreamToken, UpstreamFailure>;
    readonly db?: Database;
  }
  function looksWith({ list = ok(tokenList([])), get = err(NOT_FOUND), db = database }: Answers = {}) {
    const calls: (readonly [string, Call])[] = [];
    const reserved = { add: () => {}, end: () => {} };
    const answer = async <T>(name: string, call: Call, result: Result<T, UpstreamFailure>) => {
      calls.push([name, call]);
      return await Promise.resolve(result.ok ? ok({ status: 200, data: result.value }) : result);
    };
    const looks = createRunLooks(
      {
        database: db,
        runtime: clock,
        pipeops: {
          list: async (workspace, call) => await answer(`list ${workspace}`, call, list),
          get: async ({ workspaceUuid, tokenId }, call) => await answer(`get ${workspaceUuid} ${tokenId}`, call, get),
        },
        // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the calls are only passed on
        reserved: reserved as never,
      },
      context,
    );
    return { looks, calls, reserved };
  }
  const row = (values: Partial<LeasedAttempt> = {}): LeasedAttempt =>
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a look reads these columns alone
    ({
      id: 'event-of-row',
      workspace_uuid: WORKSPACE,
      token_id: 'token-1',
      occurred_at: OLD_ENOUGH,
      unseen_at: null,
      is_missed: 0,
      ...values,
    }) as LeasedAttempt;
  const tokenOf = async (id: string) =>
    await env.DB.prepare('select unseen_at, ended_by from tokens where token_id = ?').bind(id).first();
  const DOWN: Database = { ...database, batch: async () => await Promise.resolve(err('rejected')) };
  const MARKER = '-csgn-abcdefghijklmnop';

  it('is one list for each workspace, by a call that is not repeated at once', async () => {
    const { looks, calls, reserved } = looksWith();
    const look = await looks.listOf(row());
    expect(await looks.listOf(row({ id: 'another' }))).toBe(look);
    await looks.listOf(row({ workspace_uuid: OTHER }));
    expect(calls.map(([name]) => name)).toEqual([`list ${WORKSPACE}`, `list ${OTHER}`]);
    expect(calls[0]?.[1]).toMatchObject({ eventId: 'event-of-row', purpose: 'reconciliation', isRetriedLater: true });
    expect(calls[0]?.[1].reserved).toBe(reserved);
    expect([...looks.answered().keys()]).toEqual([WORKSPACE, OTHER]);
    expect(looks.answered().get(WORKSPACE)).toBe(look);
  });

  it('says nothing where PipeOps gives no list, and is not asked again', async () => {
    const { looks, calls } = looksWith({ list: err(BROKEN) });
    expect([await looks.listOf(row()), await looks.listOf(row())]).toEqual([null, null]);
    expect([calls.length, looks.answered().size]).toEqual([1, 0]);
  });

  it('is compared with the inventory, and what it shows is written down', async () => {
    await storeToken({ token_id: 'missed', unseen_at: NOW - ABSENCE_GAP_MS });
    await storeToken({ token_id: 'back', revoked_at: 1, ended_by: 'absent' });
    await storeEvent({ ...SETTLED, action: 'service_account_token.create', marker: MARKER });
    const list = tokenList([upstreamToken({ id: 'back' }), upstreamToken({ id: 'marked', name: `deploy${MARKER}` })]);
    const { looks } = looksWith({ list: ok(list) });
    const look = await looks.listOf(row());
    expect(look).toMatchObject({ list, begunAtMs: NOW, isNoProof: false, ourMarkers: new Set([MARKER]) });
    expect([await tokenOf('missed'), await tokenOf('back')]).toMatchObject([
      { ended_by: 'absent' },
      { ended_by: null },
    ]);
    const kept = await env.DB.prepare('select list_state, list_state_at from workspaces').first();
    expect(kept).toEqual({ list_state: 'complete', list_state_at: NOW });
  });

  it('proves nothing where D1 does not say what the inventory has', async () => {
    const list = tokenList([upstreamToken({ name: `deploy${MARKER}` })]);
    const { looks } = looksWith({ db: DOWN, list: ok(list) });
    expect(await looks.listOf(row())).toEqual({
      list,
      begunAtMs: NOW,
      isNoProof: true,
      ourMarkers: new Set(),
      findings: judgeList([], { begunAtMs: NOW, list: { tokens: [], complete: false } }),
    });
  });

  it('is the token by itself', async () => {
    const token = upstreamToken({ id: 'token-1' });
    const { looks, calls, reserved } = looksWith({ get: ok(token) });
    expect(await looks.sightOf(row())).toEqual({ kind: 'seen', token });
    expect(calls.map(([name]) => name)).toEqual([`get ${WORKSPACE} token-1`]);
    expect(calls[0]?.[1]).toMatchObject({ eventId: 'event-of-row', purpose: 'reconciliation', isRetriedLater: true });
    expect(calls[0]?.[1].reserved).toBe(reserved);
    const revoked = looksWith({ get: ok(upstreamToken({ isRevoked: true })) });
    expect(await revoked.looks.sightOf(row())).toEqual({ kind: 'revoked' });
    const broken = looksWith({ get: err(BROKEN) });
    expect([await broken.looks.sightOf(row()), broken.calls.length]).toEqual([{ kind: 'unknown' }, 1]);
  });

  it.each([
    [1, null],
    [0, 5],
  ])('refutes that the inventory misses a token that is there: %i', async (is_missed, unseen_at) => {
    await storeToken({ token_id: 'token-1', unseen_at: 5 });
    const { looks } = looksWith({ get: ok(upstreamToken({ id: 'token-1' })) });
    await looks.sightOf(row({ is_missed }));
    expect(await tokenOf('token-1')).toMatchObject({ unseen_at });
  });

  it.each<[string, Answers['list'], string]>([
    ['fails', err(BROKEN), 'unknown'],
    ['shows it', ok(tokenList([upstreamToken({ isRevoked: true }), upstreamToken({ id: 'token-1' })])), 'unknown'],
    ['shows it revoked', ok(tokenList([upstreamToken({ id: 'token-1', isRevoked: true })])), 'revoked'],
  ])('takes a 404 for nothing where the list %s', async (_name, list, kind) => {
    const { looks } = looksWith({ ...(list !== undefined && { list }) });
    expect(await looks.sightOf(row())).toEqual({ kind });
  });

  it.each<[string, Partial<LeasedAttempt>, object]>([
    ['the first', {}, { kind: 'unseen', begunAtMs: NOW }],
    ['the second', { unseen_at: NOW - ABSENCE_GAP_MS }, { kind: 'gone' }],
    ['too early', { occurred_at: NOW - ABSENCE_AFTER_SETTLED_MS + 1, unseen_at: 5 }, { kind: 'unknown' }],
  ])('takes a 404 for a proof of absence where the list agrees: %s', async (_name, values, sight) => {
    expect(await looksWith().looks.sightOf(row(values))).toEqual(sight);
  });

  it.each<[string, number | null, object]>([
    ['the first', null, { kind: 'unseen', begunAtMs: NOW }],
    ['the second', NOW - ABSENCE_GAP_MS, { kind: 'gone' }],
  ])('takes the inventory’s word for a token that it has: this proof is %s', async (_name, unseen_at, sight) => {
    await storeToken({ token_id: 'token-1', unseen_at });
    // A part of a list proves nothing by itself.
    const list = ok(tokenList([], false));
    expect(await looksWith({ list }).looks.sightOf(row({ unseen_at: 5, occurred_at: NOW }))).toEqual(sight);
    expect(await tokenOf('token-1')).toMatchObject(unseen_at === null ? { unseen_at: NOW } : { ended_by: 'absent' });
  });
});
