import { anyAttempt } from '../../support/no-macs.ts';
import { env } from 'cloudflare:workers';
import { beforeEach, describe, expect, it } from 'vitest';
import {
  ABSENCE_GAP_MS,
  AUDIT_ANNOUNCE_AFTER_MS,
  COMPENSATION_TIMEOUT_MS,
  CONTRADICTION_AFTER_MS,
  QUOTA_RUN_BLOCK_CALLS,
  RECONCILE_GIVE_UP_SECONDS,
  RECONCILE_RUN_MS,
  UNDELIVERED_BATCH_TOKENS,
} from '../../../src/config/limits.ts';
import type { Database } from '../../../src/db/database.ts';
import { type AuditEventRow, upstreamLimits } from '../../../src/db/schema.ts';
import type { UpstreamFailure } from '../../../src/failures.ts';
import { freeKeyOf } from '../../../src/idempotency/keys.ts';
import { markRevoked } from '../../../src/inventory/inventory.ts';
import { err, ok, type Result } from '../../../src/kit/result.ts';
import { createQuota } from '../../../src/pipeops/quota.ts';
import type { Call, PipeOps, TokenRef, UpstreamToken } from '../../../src/pipeops/types.ts';
import { createLabelMemory } from '../../../src/subjects/labels.ts';
import { createReconciler } from '../../../src/trail/reconcile/run.ts';
import { createRecorder } from '../../../src/trail/recorder.ts';
import { tokenList, upstreamToken } from '../../support/upstream-token.ts';
import {
  BROKEN,
  clock,
  context,
  database,
  LIMITED,
  NOT_FOUND,
  NOW,
  stored,
  storeEvent,
  storeToken,
  WORKSPACE,
} from '../../revocation/orders/leased.ts';

// What reconciliation makes of an open attempt: what it asks of PipeOps, and what it writes down in one batch.

const OTHER = '0b0b0b0b-0000-4000-8000-000000000000';
let marker: string;
let markers = 0;
/** One that no create has. */
const anotherMarker = (): string => `-csgn-${marker.slice(-16).split('').toReversed().join('')}`;
/** Old enough to be looked into, and too young to be announced. */
const OLD = NOW - 121_000;
const GIVEN_UP = NOW - RECONCILE_GIVE_UP_SECONDS * 1000;
beforeEach(async () => {
  markers += 1;
  // No other test has a create of this marker.
  marker = `-csgn-${String.fromCharCode(97 + Math.floor(markers / 26), 97 + (markers % 26)).repeat(8)}`;
  const tables = ['attempt_reviews', 'revocation_orders', 'tokens', 'workspaces', 'idempotency_keys', 'subject_blocks'];
  await env.DB.batch([
    env.DB.prepare(
      `update audit_events set status = 'failure', settled_at = 1, outcome = '{}' where status = 'attempted'`,
    ),
    ...[...tables, 'upstream_limits'].map((table) => env.DB.prepare(`delete from ${table}`)),
  ]);
});

interface Terms {
  readonly shown?: readonly UpstreamToken[];
  readonly list?: UpstreamFailure;
  readonly get?: Result<UpstreamToken, UpstreamFailure>;
  readonly revoke?: UpstreamFailure | 'broken';
  readonly isPermitted?: boolean;
  /** How long each call of PipeOps takes. */
  readonly callMs?: number;
  readonly takes?: (batch: number) => boolean;
  readonly hasNews?: boolean;
  /** What is done while PipeOps is asked for a token. */
  readonly meanwhile?: () => Promise<unknown>;
}
function rig({
  shown = [],
  list,
  get = err(NOT_FOUND),
  revoke,
  isPermitted = true,
  callMs = 0,
  takes,
  hasNews,
  meanwhile,
}: Terms = {}) {
  let nowMs = NOW;
  let batches = 0;
  const calls: string[] = [];
  const lines: unknown[] = [];
  const options: Call[] = [];
  const grants: unknown[] = [];
  const learnt: unknown[] = [];
  const deadlines: number[] = [];
  const batch: Database['batch'] = async (...sent) => {
    batches += 1;
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- D1 does not take it
    return takes?.(batches) === false ? (err('rejected') as never) : await database.batch(...sent);
  };
  const db: Database = { ...database, batch };
  const called = async <T>(name: string, call: Call, answer: Result<T, UpstreamFailure>) => {
    calls.push(name);
    options.push(call);
    nowMs += callMs;
    return await Promise.resolve(answer.ok ? ok({ status: 200, data: answer.value }) : answer);
  };
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- reconciliation asks for nothing else
  const pipeops = {
    list: async (workspace: string, call: Call) =>
      await called(`list ${workspace}`, call, list === undefined ? ok(tokenList(shown)) : err(list)),
    get: async ({ tokenId }: TokenRef, call: Call) => {
      await meanwhile?.();
      return await called(`get ${tokenId}`, call, get);
    },
    revoke: async ({ workspaceUuid, tokenId }: TokenRef, call: Call) => {
      if (revoke === 'broken') throw new RangeError('broken');
      return await called(
        `revoke ${workspaceUuid} ${tokenId}`,
        call,
        revoke === undefined ? ok('revoked') : err(revoke),
      );
    },
  } as unknown as PipeOps;
  const real = createQuota();
  const quota = {
    ...real,
    permit: () => (isPermitted ? null : LIMITED),
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
      return { ...reserved, end: () => (calls.push('end'), reserved.end()) };
    },
    news: () => (hasNews === true ? [db.build.insert(upstreamLimits).values({ scope: 'news', until: 1 })] : []),
  };
  const runtime = {
    ...clock,
    now: () => nowMs,
    sleep: async () => await Promise.resolve(),
    log: (line: unknown) => void lines.push(line),
    timeout: (ms: number) => {
      deadlines.push(ms);
      return new AbortController().signal;
    },
  };
  const reconciler = createReconciler({
    database: db,
    recorder: createRecorder({ database: db, runtime, labels: createLabelMemory() }),
    pipeops,
    quota,
    runtime,
    reconcileAfterSeconds: 120,
    attempts: anyAttempt,
    noteUnauthentic: () => [],
    markRevoked: (ref, atMs, guard, end) => markRevoked(db, ref, atMs, guard, end),
    freeKeyOf: (eventId, guard) => freeKeyOf(db, eventId, guard),
  });
  const trips = () => batches;
  return {
    reconciler,
    calls,
    lines,
    options,
    grants,
    learnt,
    deadlines,
    trips,
    run: async () => await reconciler.run(context),
  };
}

const attempt = async (values: Readonly<Record<string, unknown>> = {}): Promise<string> =>
  await storeEvent({
    occurred_at: OLD,
    action: 'service_account_token.update',
    actor_type: 'user',
    token_id: 'token-1',
    ...values,
  });
const create = async (values: Readonly<Record<string, unknown>> = {}): Promise<string> =>
  await attempt({
    action: 'service_account_token.create',
    token_id: null,
    token_name: 'deploy',
    marker,
    ...values,
  });
const revoke = async (values: Readonly<Record<string, unknown>> = {}): Promise<string> =>
  await attempt({ action: 'service_account_token.revoke', ...values });
const eventOf = async (id: string) =>
  await env.DB.prepare('select * from audit_events where id = ?').bind(id).first<AuditEventRow>();
const lastSeq = async (): Promise<number> =>
  (await env.DB.prepare('select max(seq) as seq from audit_events').first<number>('seq')) ?? 0;
const eventsSince = async (seq: number) =>
  (await env.DB.prepare('select * from audit_events where seq > ? order by seq').bind(seq).all<AuditEventRow>())
    .results;
const orders = async () => (await env.DB.prepare('select * from revocation_orders order by id').all()).results;
const tokenOf = async (id = 'token-1') =>
  await env.DB.prepare('select revoked_at, ended_by, name, scopes from tokens where token_id = ?').bind(id).first();
const raised = async () =>
  (await env.DB.prepare('select workspace_uuid from workspaces where generation > 0').all()).results.map(
    ({ workspace_uuid: workspace }) => workspace,
  );
const isReviewed = async (id: string) =>
  (await env.DB.prepare('select 1 from attempt_reviews where event_id = ?').bind(id).first()) !== null;
const hold = async (...events: string[]): Promise<void> => {
  for (const id of events) {
    await env.DB.prepare(
      `insert into idempotency_keys (key_hash, request_fingerprint, event_id, expires_at) values (?1, 'f', ?1, 1)`,
    )
      .bind(id)
      .run();
  }
};
const held = async () =>
  (await env.DB.prepare('select event_id from idempotency_keys order by 1').all()).results.map(
    ({ event_id: id }) => id,
  );
const BY_US = { settled_by: 'reconciliation' };
const outcomeOf = async (id: string) => JSON.parse((await eventOf(id))?.outcome ?? 'null');
const named = (id = 'minted') => upstreamToken({ id, name: `deploy${marker}` });

describe('a run', () => {
  it('asks nothing while the rest of the quota is kept for others, or where D1 takes no lease', async () => {
    await create();
    const waits = rig({ isPermitted: false });
    expect([await waits.run(), waits.trips()]).toEqual([{ due: 0, settled: 0 }, 0]);
    const down = rig({ takes: () => false });
    expect([await down.run(), down.calls]).toEqual([{ due: 0, settled: 0 }, []]);
  });

  it('settles what it can, reserves a call for each, and counts both', async () => {
    await storeToken({ token_id: 'token-1' });
    const [settled, waiting] = [await revoke(), await revoke({ token_id: 'token-2' })];
    const { run, calls, grants, learnt } = rig({ get: err(BROKEN) });
    expect(await run()).toEqual({ due: 2, settled: 0 });
    expect([calls, grants, learnt]).toEqual([['get token-1', 'get token-2', 'end'], [{ calls: 2 }], [[]]]);
    await env.DB.prepare('update attempt_reviews set next_at = 0').run();
    const seen = rig({ get: ok(upstreamToken({ isRevoked: true })) });
    expect(await seen.run()).toEqual({ due: 2, settled: 2 });
    expect([await isReviewed(settled), await isReviewed(waiting)]).toEqual([false, false]);
  });

  it('gives back what it does not get to, and tells the news of the quota', async () => {
    const [first, second] = [await revoke(), await revoke({ token_id: 'token-2' })];
    const { run, calls } = rig({ get: err(BROKEN), callMs: RECONCILE_RUN_MS + 1, hasNews: true });
    expect(await run()).toEqual({ due: 2, settled: 0 });
    expect(calls).toEqual(['get token-1', 'end']);
    const reviews = await env.DB.prepare('select event_id, tries from attempt_reviews order by tries').all();
    expect(reviews.results).toEqual([
      { event_id: second, tries: 0 },
      { event_id: first, tries: 1 },
    ]);
    expect(await env.DB.prepare(`select until from upstream_limits where scope = 'news'`).first()).toEqual({
      until: 1,
    });
    const inTime = rig({ get: err(BROKEN), callMs: RECONCILE_RUN_MS });
    await env.DB.prepare('update attempt_reviews set next_at = 0').run();
    await inTime.run();
    expect(inTime.calls).toHaveLength(3);
    expect(inTime.options[0]?.reserved).toBeDefined();
  });

  it('goes no further than its budget, and reserves a block of calls at the most', async () => {
    for (let count = 0; count < QUOTA_RUN_BLOCK_CALLS + 1; count += 1) await revoke({ token_id: `token-${count}` });
    let steps = 0;
    const { reconciler, calls, grants } = rig({ get: err(BROKEN) });
    await reconciler.run(context, { permits: () => (steps += 1) > 1 });
    expect([calls, grants]).toEqual([['end'], [{ calls: QUOTA_RUN_BLOCK_CALLS }]]);
  });

  it('asks D1 once where nothing is due', async () => {
    const { run, trips } = rig();
    const queries = context.trace.d1Queries;
    expect([await run(), trips()]).toEqual([{ due: 0, settled: 0 }, 1]);
    await revoke();
    const waiting = rig({ get: err(BROKEN) });
    await waiting.run();
    expect([waiting.trips(), context.trace.d1Queries > queries]).toEqual([1, true]);
  });

  it('goes on with the next attempt where one cannot be judged', async () => {
    const broken = await revoke({ actor_type: 'system', occurred_at: OLD - 1 });
    await revoke({ token_id: 'token-2' });
    const { run, lines, calls } = rig({ get: ok(upstreamToken()), revoke: 'broken' });
    expect(await run()).toEqual({ due: 2, settled: 1 });
    expect(lines).toContainEqual({ level: 'error', event: 'attempt_not_judged', event_id: broken, name: 'RangeError' });
    expect(calls).toEqual(['get token-1', 'get token-2', 'end']);
  });

  it('ends a renewal of the credential that died as unknown, and asks for nothing', async () => {
    const id = await attempt({
      action: 'credential.renew',
      token_id: null,
      workspace_uuid: null,
      actor_type: 'system',
    });
    const { run, calls } = rig();
    expect(await run()).toEqual({ due: 1, settled: 1 });
    expect([await eventOf(id), calls]).toMatchObject([{ status: 'failure', error_code: 'outcome_unknown' }, ['end']]);
  });
});

describe('a create', () => {
  it('whose token is there is settled as undelivered, and the token revoked', async () => {
    const id = await create();
    await storeToken({ token_id: 'minted' });
    const other = await create({ marker: anotherMarker(), workspace_uuid: OTHER });
    await hold(id, 'another');
    const seq = await lastSeq();
    const { run, calls, options, deadlines } = rig({ shown: [named()] });
    await run();
    expect(calls.slice(0, 2)).toEqual([`list ${WORKSPACE}`, `revoke ${WORKSPACE} minted`]);
    expect(options[1]).toMatchObject({ eventId: id, isRetriedLater: true });
    expect(deadlines).toContain(COMPENSATION_TIMEOUT_MS);
    expect(await eventOf(id)).toMatchObject({
      status: 'failure',
      error_code: 'undelivered',
      token_id: 'minted',
      settled_at: NOW,
    });
    const [revoked, ...more] = (await eventsSince(seq)).filter((row) => row.workspace_uuid === WORKSPACE);
    expect([revoked, more]).toMatchObject([
      {
        action: 'service_account_token.revoke',
        actor_type: 'system',
        status: 'success',
        upstream_status: 200,
        workspace_uuid: WORKSPACE,
        token_id: 'minted',
      },
      [],
    ]);
    expect(JSON.parse(revoked?.detail ?? '')).toMatchObject({ undelivered_create: id });
    expect(await orders()).toMatchObject([
      {
        id: revoked?.id,
        cause: 'system',
        mode: 'revoke',
        state: 'acknowledged',
        workspace_uuid: WORKSPACE,
        token_id: 'minted',
      },
    ]);
    expect([await tokenOf('minted'), await raised(), await held()]).toMatchObject([
      { ended_by: 'acknowledged' },
      [WORKSPACE],
      ['another'],
    ]);
    expect(await eventOf(other)).toMatchObject({ status: 'attempted' });
  });

  it('stays open while PipeOps does not revoke its token', async () => {
    const id = await create();
    const { run } = rig({ shown: [named()], revoke: BROKEN });
    expect(await run()).toEqual({ due: 1, settled: 0 });
    expect(await eventOf(id)).toMatchObject({ status: 'attempted' });
  });

  it('is not applied by the second list without it, and holds no key then', async () => {
    const id = await create();
    await hold(id);
    expect(await rig().run()).toEqual({ due: 1, settled: 0 });
    expect(await env.DB.prepare('select unseen_at from attempt_reviews where event_id = ?').bind(id).first()).toEqual({
      unseen_at: NOW,
    });
    await env.DB.prepare('update attempt_reviews set next_at = 0, unseen_at = ?')
      .bind(NOW - ABSENCE_GAP_MS)
      .run();
    expect(await rig().run()).toEqual({ due: 1, settled: 1 });
    expect(await eventOf(id)).toMatchObject({ status: 'failure', error_code: 'not_applied' });
    expect([await held(), await isReviewed(id)]).toEqual([[], false]);
  });

  it.each<[string, Terms]>([
    ['no list', { list: BROKEN }],
    ['a list of others', { shown: [upstreamToken()] }],
  ])('of which a day gives %s is unknown, and holds its key', async (_name, terms) => {
    const [id, young] = [await create({ occurred_at: GIVEN_UP }), await create({ marker: anotherMarker() })];
    await hold(id);
    expect(await rig(terms).run()).toEqual({ due: 2, settled: 1 });
    expect(await eventOf(id)).toMatchObject({ status: 'failure', error_code: 'outcome_unknown' });
    expect([await held(), (await eventOf(young))?.status]).toEqual([[id], 'attempted']);
  });

  it('that is settled late is announced', async () => {
    const id = await create({ occurred_at: NOW - AUDIT_ANNOUNCE_AFTER_MS });
    const seq = await lastSeq();
    await rig({ shown: [{ ...named(), isRevoked: true }] }).run();
    const announced = (await eventsSince(seq)).filter(({ action }) => action === 'audit.settled');
    expect(announced.map(({ detail }) => JSON.parse(detail).event_id)).toEqual([id]);
  });
});

describe('a revoke', () => {
  it.each<[string, Terms, string]>([
    ['listed', { get: ok(upstreamToken({ isRevoked: true })) }, 'listed'],
    ['absent', {}, 'absent'],
  ])('whose token is gone took effect, and its token has ended: %s', async (_name, terms, end) => {
    await storeToken({ token_id: 'token-1', unseen_at: NOW - ABSENCE_GAP_MS });
    const [made, id] = ['a-create', await revoke({ detail: '{"undelivered_create":"a-create"}' })];
    await hold(made, 'another');
    expect(await rig(terms).run()).toEqual({ due: 1, settled: 1 });
    expect(await eventOf(id)).toMatchObject({ status: 'success', error_code: null });
    expect([(await tokenOf())?.['ended_by'], await held(), await raised()]).toEqual([end, ['another'], [WORKSPACE]]);
  });

  it('of a caller whose token is there was not applied, and nothing is revoked', async () => {
    const id = await revoke({ detail: '{"undelivered_create":"a-create"}' });
    await hold('a-create');
    await storeToken({ token_id: 'token-1' });
    const { run, calls } = rig({ get: ok(upstreamToken()) });
    expect(await run()).toEqual({ due: 1, settled: 1 });
    expect([await eventOf(id), calls, await held(), await tokenOf()]).toMatchObject([
      { status: 'failure', error_code: 'not_applied' },
      ['get token-1', 'end'],
      ['a-create'],
      { ended_by: null },
    ]);
  });

  it('that D1 does not settle is not counted as settled', async () => {
    await revoke();
    const { run } = rig({ get: ok(upstreamToken({ isRevoked: true })), takes: (batch) => batch === 1 });
    expect(await run()).toEqual({ due: 1, settled: 0 });
  });

  it('by the system stays open while PipeOps does not revoke the token', async () => {
    const id = await revoke({ actor_type: 'system' });
    const { run, lines } = rig({ get: ok(upstreamToken({ id: 'token-1' })), revoke: BROKEN });
    expect(await run()).toEqual({ due: 1, settled: 0 });
    expect([(await eventOf(id))?.status, await orders(), lines]).toEqual(['attempted', [], []]);
  });

  it('by the system is sent again, and has an order of its own id', async () => {
    const id = await revoke({ actor_type: 'system' });
    await storeToken({ token_id: 'token-1' });
    const { run, calls } = rig({ get: ok(upstreamToken({ id: 'token-1' })) });
    expect(await run()).toEqual({ due: 1, settled: 1 });
    expect(calls).toEqual(['get token-1', `revoke ${WORKSPACE} token-1`, 'end']);
    expect([await eventOf(id), await orders(), await tokenOf()]).toMatchObject([
      { status: 'success' },
      [{ id, cause: 'system', mode: 'revoke', state: 'acknowledged', token_id: 'token-1' }],
      { ended_by: 'acknowledged' },
    ]);
  });
});

describe('an update', () => {
  const NAME = { detail: '{"name":"new","scopes":["api:read","api:write"]}', token_name: 'new' };
  const asAsked = (values: Partial<UpstreamToken> = {}) =>
    ok(upstreamToken({ id: 'token-1', name: 'new', scopes: ['api:read', 'api:write'], ...values }));

  it('that took effect is recorded beside its token', async () => {
    await storeToken({ token_id: 'token-1', name: 'old' });
    const id = await attempt(NAME);
    expect(await rig({ get: asAsked() }).run()).toEqual({ due: 1, settled: 1 });
    expect(await eventOf(id)).toMatchObject({ status: 'success', error_code: null, token_id: 'token-1' });
    expect(await outcomeOf(id)).toMatchObject(BY_US);
    expect([await tokenOf(), await raised(), await isReviewed(id), await orders()]).toMatchObject([
      { name: 'new', scopes: '["api:read","api:write"]' },
      [WORKSPACE],
      false,
      [],
    ]);
  });

  it.each<[string, Readonly<Record<string, unknown>>, object]>([
    ['a name', { detail: '{"name":"new"}', token_name: 'new' }, { name: 'new', scopes: null }],
    ['scopes', { detail: '{"scopes":["api:read","api:write"]}' }, { name: 'old', scopes: '["api:read","api:write"]' }],
    ['neither', { detail: '{"is_active":true}' }, { name: 'old', scopes: null }],
  ])('that asked for %s grants no more', async (_name, values, recorded) => {
    await storeToken({ token_id: 'token-1', name: 'old' });
    await attempt(values);
    await rig({ get: asAsked() }).run();
    expect(await tokenOf()).toMatchObject(recorded);
  });

  it('that was not applied changes nothing', async () => {
    await storeToken({ token_id: 'token-1', name: 'old' });
    const id = await attempt(NAME);
    expect(await rig({ get: asAsked({ name: 'old' }) }).run()).toEqual({ due: 1, settled: 1 });
    expect([await eventOf(id), await tokenOf()]).toMatchObject([{ error_code: 'not_applied' }, { name: 'old' }]);
  });

  it('whose description is another was not applied', async () => {
    const id = await attempt({ detail: '{"description_sha256":"of another"}' });
    await rig({ get: asAsked({ description: 'this' }) }).run();
    expect(await eventOf(id)).toMatchObject({ error_code: 'not_applied' });
  });

  it('that a later change has replaced is unknown, and PipeOps is not asked', async () => {
    const id = await attempt(NAME);
    await storeEvent({
      action: 'service_account_token.update',
      token_id: 'token-1',
      status: 'success',
      settled_at: NOW,
      outcome: '{}',
    });
    const { run, calls } = rig();
    await run();
    expect([(await eventOf(id))?.error_code, calls]).toEqual(['outcome_unknown', ['end']]);
  });

  it.each(['revoke', 'suspend'] as const)(
    'must not stand against a later order to %s, which is made anew',
    async (mode) => {
      await storeToken({ token_id: 'token-1', name: 'old' });
      const id = await attempt(NAME);
      const later = await stored({ token_id: 'token-1', mode });
      const seq = await lastSeq();
      expect(await rig({ get: asAsked() }).run()).toEqual({ due: 1, settled: 1 });
      const undone = (await orders()).filter((order) => order['id'] !== later.id);
      expect(undone).toMatchObject([
        { cause: 'system', mode, state: 'open', token_id: 'token-1', workspace_uuid: WORKSPACE },
      ]);
      expect(await eventOf(id)).toMatchObject({ status: 'failure', error_code: 'revocation_pending' });
      expect(await outcomeOf(id)).toEqual({ ...BY_US, order: undone[0]?.['id'] });
      const anew = await eventsSince(seq);
      expect(JSON.parse(anew[0]?.detail ?? '')).toMatchObject({ overtaken: id });
      expect(anew).toMatchObject([
        {
          id: undone[0]?.['id'],
          status: 'attempted',
          action: mode === 'revoke' ? 'service_account_token.revoke' : 'service_account_token.update',
        },
      ]);
      expect([await tokenOf(), await isReviewed(id), await raised()]).toMatchObject([
        { name: 'old' },
        false,
        [WORKSPACE],
      ]);
    },
  );

  it.each<[string, string, boolean]>([
    ['a resume that may have taken effect', '{"is_active":true}', true],
    ['a suspension that may have taken effect', '{"is_active":false}', false],
  ])('that is unknown is undone where it is %s', async (_name, detail, isUndone) => {
    const id = await attempt({ detail, occurred_at: GIVEN_UP });
    await stored({ token_id: 'token-1' });
    await rig({ get: err(BROKEN) }).run();
    expect(await eventOf(id)).toMatchObject({ status: 'failure', error_code: 'outcome_unknown' });
    expect(await orders()).toHaveLength(isUndone ? 2 : 1);
  });

  it('that is settled late is announced as what became of it', async () => {
    const [id, undone] = [
      await attempt({ ...NAME, occurred_at: NOW - AUDIT_ANNOUNCE_AFTER_MS }),
      await attempt({ ...NAME, occurred_at: NOW - AUDIT_ANNOUNCE_AFTER_MS, token_id: 'token-2' }),
    ];
    await stored({ token_id: 'token-2' });
    const seq = await lastSeq();
    await rig({ get: asAsked() }).run();
    const announced = (await eventsSince(seq)).filter(({ action }) => action === 'audit.settled');
    expect(announced.map(({ detail }) => JSON.parse(detail))).toMatchObject([
      { event_id: id, status: 'success', error_code: null },
      { event_id: undone, status: 'failure', error_code: 'revocation_pending' },
    ]);
  });

  it('that D1 does not settle stays as it is', async () => {
    const id = await attempt(NAME);
    const { run, lines } = rig({ get: asAsked(), takes: (batch) => batch !== 2 });
    expect(await run()).toEqual({ due: 1, settled: 0 });
    expect([(await eventOf(id))?.status, await isReviewed(id), lines]).toEqual(['attempted', true, []]);
  });

  it.each([
    ['earlier', 'success', NOW - 1, BY_US],
    ['as something else', 'success', NOW, { reason: 'other' }],
    ['as a failure', 'failure', NOW, BY_US],
  ])('that another has settled meanwhile, %s, is left as it is', async (_name, status, settledAtMs, outcome) => {
    await storeToken({ token_id: 'token-1', name: 'old' });
    const id = await attempt(NAME);
    const meanwhile = async () =>
      await env.DB.prepare('update audit_events set status = ?, settled_at = ?, outcome = ? where id = ?')
        .bind(status, settledAtMs, JSON.stringify(outcome), id)
        .run();
    expect(await rig({ get: asAsked(), meanwhile }).run()).toEqual({ due: 1, settled: 0 });
    expect([await isReviewed(id), await tokenOf()]).toMatchObject([true, { name: 'old' }]);
  });

  it('that was not applied is not undone, though it was a resume', async () => {
    const id = await attempt({ detail: '{"is_active":true}' });
    await stored({ token_id: 'token-1' });
    await rig({ get: asAsked({ isActive: false }) }).run();
    expect([(await eventOf(id))?.error_code, (await orders()).length]).toEqual(['not_applied', 1]);
  });

  it('that may have taken effect is not taken for what the token has now', async () => {
    await storeToken({ token_id: 'token-1', name: 'old' });
    await attempt({ detail: '{"is_active":true,"name":"new"}', token_name: 'new', occurred_at: GIVEN_UP });
    await rig({ get: err(BROKEN) }).run();
    expect(await tokenOf()).toMatchObject({ name: 'old' });
  });

  it('of a description that PipeOps leaves out waits', async () => {
    const id = await attempt({ detail: '{"description_sha256":"of another"}' });
    await rig({ get: asAsked({ description: null }) }).run();
    expect((await eventOf(id))?.status).toBe('attempted');
  });
});

describe('a listed token of a create that failed', () => {
  const FAILED = { status: 'failure', settled_at: 1, outcome: '{}', error_code: 'outcome_unknown' };
  const sweep = async (terms: Terms = {}, listed: readonly UpstreamToken[] = [named()]) => {
    const made = rig(terms);
    await made.reconciler.sweep(context, WORKSPACE, listed, NOW);
    return made;
  };

  it('is ordered and revoked, with a row of its own', async () => {
    const id = await create(FAILED);
    await storeToken({ token_id: 'minted' });
    const seq = await lastSeq();
    const { calls, options, lines, deadlines } = await sweep();
    const [row, ...more] = await eventsSince(seq);
    expect([row, more]).toMatchObject([
      {
        action: 'service_account_token.revoke',
        actor_type: 'system',
        status: 'success',
        upstream_status: 200,
        token_id: 'minted',
      },
      [],
    ]);
    expect(JSON.parse(row?.detail ?? '')).toMatchObject({ undelivered_create: id });
    expect(await orders()).toMatchObject([{ id: row?.id, cause: 'system', mode: 'revoke', state: 'acknowledged' }]);
    expect([calls, await tokenOf('minted'), await raised()]).toMatchObject([
      [`revoke ${WORKSPACE} minted`],
      { ended_by: 'acknowledged' },
      [WORKSPACE],
    ]);
    expect(options[0]).toMatchObject({ eventId: row?.id, isRetriedLater: true });
    expect(deadlines).toContain(COMPENSATION_TIMEOUT_MS);
    expect(lines).toEqual([{ level: 'warn', event: 'undelivered_token_revoked', event_id: row?.id, revoked: true }]);
  });

  it('has an open order where PipeOps does not revoke it, and lists from before are outdated', async () => {
    await create(FAILED);
    const seq = await lastSeq();
    const { lines } = await sweep({ revoke: BROKEN });
    expect(await eventsSince(seq)).toMatchObject([{ status: 'attempted' }]);
    expect([await orders(), await raised(), lines]).toMatchObject([
      [{ state: 'open' }],
      [WORKSPACE],
      [{ revoked: false }],
    ]);
  });

  it.each<[string, Readonly<Record<string, unknown>>, () => UpstreamToken, number]>([
    ['whose create is open', {}, named, 1],
    ['whose create succeeded', { ...FAILED, status: 'success', error_code: null }, named, 1],
    ['of another workspace', { ...FAILED, workspace_uuid: OTHER }, named, 1],
    ['with another marker', FAILED, () => upstreamToken({ name: `deploy${anotherMarker()}` }), 1],
    ['without a marker', FAILED, () => upstreamToken(), 0],
    ['that is revoked', FAILED, () => ({ ...named(), isRevoked: true }), 0],
  ])('is left alone %s', async (_name, values, listed, count) => {
    await create(values);
    const { calls, trips } = await sweep({}, [listed()]);
    expect([calls, await orders(), trips()]).toEqual([[], [], count]);
  });

  const DONE = { token_id: 'minted', state: 'confirmed', acknowledged_at: NOW - CONTRADICTION_AFTER_MS } as const;
  it.each<[string, Parameters<typeof stored>[0], 'ordered' | 'contradicted' | 'left']>([
    ['an open order', { token_id: 'minted' }, 'left'],
    [
      'an order that PipeOps has acknowledged just now',
      { ...DONE, acknowledged_at: NOW - CONTRADICTION_AFTER_MS + 1 },
      'left',
    ],
    ['an order that PipeOps has acknowledged', DONE, 'contradicted'],
    [
      'an order that PipeOps has acknowledged and no look confirmed',
      { ...DONE, state: 'acknowledged' },
      'contradicted',
    ],
    ['an order that was given up', { ...DONE, state: 'failed' }, 'ordered'],
    ['an order that was given up just now', { ...DONE, state: 'failed', acknowledged_at: NOW }, 'ordered'],
    ['a suspension', { token_id: 'minted', mode: 'suspend' }, 'ordered'],
    ['an order of another token', { ...DONE, token_id: 'another' }, 'ordered'],
    ['an order of another workspace', { ...DONE, workspace_uuid: OTHER }, 'ordered'],
  ])('beside %s is taken as it should be', async (_name, order, became) => {
    await create(FAILED);
    // The trail says so once a day of each token.
    const tokenId = `minted-${markers}`;
    const { id } = await stored(order?.token_id === 'minted' ? { ...order, token_id: tokenId } : order);
    const seq = await lastSeq();
    const { calls, trips } = await sweep({}, [named(tokenId)]);
    expect([calls.length, trips() === 1]).toEqual([became === 'ordered' ? 1 : 0, became === 'left']);
    const own = (await orders()).find((row) => row['id'] === id);
    expect(own).toMatchObject({ state: became === 'contradicted' ? 'open' : (order?.state ?? 'open') });
    const codes = (await eventsSince(seq)).map(({ error_code: code, token_id: of }) => [code, of]);
    expect(codes).toEqual(
      became === 'left' ? [] : [[became === 'contradicted' ? 'revocation_contradicted' : null, tokenId]],
    );
  });

  it('is ordered once, however many runs list it', async () => {
    await create(FAILED);
    const runs = await Promise.all([sweep(), sweep()]);
    expect(runs.flatMap(({ calls }) => calls)).toHaveLength(1);
    expect(await orders()).toHaveLength(1);
  });

  it('is one of a few at a time', async () => {
    const names = Array.from(
      { length: UNDELIVERED_BATCH_TOKENS + 1 },
      (_item, index) => `-csgn-${String.fromCharCode(50 + index).repeat(16)}`,
    );
    for (const name of names) await create({ ...FAILED, marker: name });
    const listed = names.map((name, index) => upstreamToken({ id: `t-${index}`, name: `d${name}` }));
    const { calls } = await sweep({}, listed);
    expect(calls).toHaveLength(UNDELIVERED_BATCH_TOKENS);
  });

  it('is not revoked where D1 does not take its order, or does not answer', async () => {
    await create(FAILED);
    for (const lost of [1, 2]) {
      const { calls } = await sweep({ takes: (batch) => batch !== lost });
      expect([calls, await orders()]).toEqual([[], []]);
    }
  });

  it('is revoked by the run that listed it, and tokens of lists that prove nothing are asked for by themselves', async () => {
    await create(FAILED);
    await create({ marker: anotherMarker() });
    const { run, calls } = rig({ shown: [named()] });
    await run();
    expect(calls).toEqual([`list ${WORKSPACE}`, `revoke ${WORKSPACE} minted`, 'end']);
  });
});
