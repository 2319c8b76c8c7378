import { env } from 'cloudflare:workers';
import { beforeEach, describe, expect, it } from 'vitest';
import { DRIFT_BATCH_TOKENS } from '../../../src/config/limits.ts';
import { createHarness, type Harness, ISSUER, TOKENS } from '../../support/harness.ts';
import { createWebhookHarness } from '../../revocation/harness.ts';
import { cronTwice, listsSay, ordersOf, outcomeOf, settleAll, withClock } from './reconciling.ts';

// What becomes of an update or a revoke whose outcome is not known.

beforeEach(settleAll);

describe.each([
  ['revoke', 'DELETE', undefined],
  ['update', 'PATCH', { name: 'renamed', scopes: ['api:write'], description: 'new', is_active: false }],
])('a %s whose answer was lost', (_name, method, body) => {
  it.each([
    ['took effect', 'after_commit', { status: 'success', error_code: null, settled_by: 'reconciliation' }],
    ['did not', 'before_commit', { status: 'failure', error_code: 'not_applied', settled_by: 'reconciliation' }],
  ] as const)('is read back: it %s', async (_case, drop, outcome) => {
    const { harness, age } = await withClock();
    const { id } = await harness.mint();
    // Both tries fail: a request is sent again where that is safe.
    await harness.control.fault({ drop, times: 2, match: { workspace_uuid: harness.workspace, method } });
    const answer = await harness.send(method, `${TOKENS}/${id}`, body === undefined ? {} : { body });
    expect([answer.status, answer.body.code]).toEqual([504, 'outcome_unknown']);
    age(121);
    await harness.cron();
    expect(await outcomeOf(harness)).toEqual(outcome);
    // What was granted is recorded beside the token, whoever settles the update.
    const isGranted = method === 'PATCH' && outcome.status === 'success';
    expect(await harness.inventory()).toMatchObject([
      isGranted ? { name: 'renamed', scopes: '["api:write"]' } : { name: 'deploy', scopes: '["api:read"]' },
    ]);
  });
});

describe('an attempt whose token PipeOps answers with 404', () => {
  const attempts = [
    ['revoke', 'DELETE', undefined, { status: 'success', error_code: null }],
    ['update', 'PATCH', { name: 'renamed' }, { status: 'failure', error_code: 'outcome_unknown' }],
  ] as const;

  /** An attempt whose answer was lost, on a token that GET does not find. */
  const lose = async (method: string, body: object | undefined, byHand = false) => {
    const { harness, age } = await withClock();
    const id = byHand
      ? (await harness.control.insertToken({ workspace_uuid: harness.workspace, name: 'by hand' })).id
      : (await harness.mint()).id;
    const match = { workspace_uuid: harness.workspace };
    await harness.control.fault({ drop: 'before_commit', times: 2, match: { ...match, method } });
    const answer = await harness.send(method, `${TOKENS}/${id}`, body === undefined ? {} : { body });
    expect(answer.status).toBe(504);
    await harness.control.fault({
      status: 404,
      times: 9,
      match: { ...match, method: 'GET', path_contains: `${TOKENS}/` },
    });
    age(121);
    return { harness, age, id, match };
  };

  describe.each(attempts)('%s', (_name, method, body, outcome) => {
    it.each([
      ['a token of ours', false],
      ['a token made elsewhere', true],
    ])('is settled by two proofs, a minute apart: %s', async (_case, byHand) => {
      const { harness, age } = await lose(method, body, byHand);
      await listsSay(harness, []);
      await harness.cron();
      expect(await outcomeOf(harness)).toMatchObject({ status: 'attempted' });
      age(61);
      await listsSay(harness, []);
      await harness.cron();
      expect(await outcomeOf(harness)).toMatchObject({ ...outcome, settled_by: 'reconciliation' });
    });

    it('is settled at once where the list shows it revoked', async () => {
      const { harness, id } = await lose(method, body);
      await listsSay(harness, [{ id, name: 'deploy', scopes: [], is_revoked: true }]);
      await harness.cron();
      expect(await outcomeOf(harness)).toMatchObject(outcome);
      expect(await harness.inventory()).toMatchObject([{ token_id: id, ended_by: 'listed' }]);
    });

    it('waits where the list shows it alive', async () => {
      const { harness, age } = await lose(method, body);
      await cronTwice({ harness, age });
      expect(await outcomeOf(harness)).toMatchObject({ status: 'attempted' });
    });

    it('waits where PipeOps answers 404 for the workspace as well, and is left to a person after a day', async () => {
      const { harness, age, match } = await lose(method, body);
      await harness.control.fault({ status: 404, times: 9, match: { ...match, method: 'GET' } });
      await cronTwice({ harness, age });
      expect(await outcomeOf(harness)).toMatchObject({ status: 'attempted' });
      expect(await harness.inventory()).toMatchObject([{ ended_by: null, unseen_at: null }]);
      age(24 * 3_600);
      await harness.cron();
      expect(await outcomeOf(harness)).toMatchObject({ status: 'failure', error_code: 'outcome_unknown' });
    });
  });
});

describe('an update whose answer was lost', () => {
  const losePatch = async (harness: Harness, id: string, body: object, drop: 'after_commit' | 'before_commit') => {
    await harness.control.fault({ drop, times: 2, match: { workspace_uuid: harness.workspace, method: 'PATCH' } });
    const answer = await harness.send('PATCH', `${TOKENS}/${id}`, { body });
    expect(answer.status).toBe(504);
    return answer.body.event_id as string;
  };
  const settled = async (harness: Harness, id: string) => {
    const row = (await harness.rows()).find((event) => event.id === id);
    return [row?.status, row?.error_code];
  };

  it.each([
    ['update', 'PATCH', { name: 'second' }],
    ['revoke', 'DELETE', undefined],
  ])('and that a later %s followed was in force, for all that anybody knows', async (_name, method, body) => {
    const { harness, age } = await withClock();
    const { id } = await harness.mint();
    const first = await losePatch(harness, id, { name: 'first' }, 'after_commit');
    const later = await harness.send(method, `${TOKENS}/${id}`, body === undefined ? {} : { body });
    expect(later.status).toBe(200);
    age(121);
    await harness.cron();
    expect(await settled(harness, first)).toEqual(['failure', 'outcome_unknown']);
  });

  it('is not settled by what an older change says', async () => {
    const { harness, age } = await withClock();
    const { id } = await harness.mint();
    expect((await harness.send('PATCH', `${TOKENS}/${id}`, { body: { name: 'first' } })).status).toBe(200);
    const second = await losePatch(harness, id, { name: 'second' }, 'before_commit');
    age(121);
    await harness.cron();
    expect(await settled(harness, second)).toEqual(['failure', 'not_applied']);
  });

  it('and that PipeOps carries out 40 s late is seen done', async () => {
    let late: Promise<unknown> = Promise.resolve();
    const { harness, age } = await withClock();
    const { id } = await harness.mint();
    const slow = await createHarness({
      like: harness,
      runtime: {
        now: () => harness.runtime.now(),
        fetch: async (url, init) => {
          if (init.method !== 'PATCH') return await harness.runtime.fetch(url, init);
          late = harness.runtime.fetch(url, { ...init, signal: null });
          throw new TypeError('the connection broke');
        },
      },
      env: { RECONCILE_AFTER_SECONDS: '45' },
    });
    const answer = await slow.send('PATCH', `${TOKENS}/${id}`, { body: { name: 'late' } });
    expect(answer.status).toBe(504);
    age(40);
    await slow.cron();
    expect(await settled(harness, answer.body.event_id)).toEqual(['attempted', null]);
    await late;
    age(6);
    await slow.cron();
    expect(await settled(harness, answer.body.event_id)).toEqual(['success', null]);
  });

  describe.each(['revoke', 'suspend'] as const)(
    'that resumes a token does not stand against its offboarding: %s',
    (mode) => {
      it.each([
        ['the order is over: nobody knows what the resume did', null, 'outcome_unknown'],
        ['the order is open, and the token is seen active', 500, 'revocation_pending'],
      ])('%s', async (_case, status, code) => {
        const harness = await createWebhookHarness();
        const subject = `leaver-${crypto.randomUUID()}`;
        const { id } = await harness.mint('hers', await harness.jwtFor('admin', { sub: subject }));
        const resume = await losePatch(harness, id, { is_active: true }, 'before_commit');
        const match = { workspace_uuid: harness.workspace, path_contains: `${TOKENS}/` };
        const method = mode === 'revoke' ? 'DELETE' : 'PATCH';
        if (status !== null) await harness.control.fault({ match: { ...match, method }, status, times: 9 });
        await harness.offboard({ issuer: ISSUER, subject, mode });
        const alive = { id, name: 'hers', scopes: ['api:read'], is_revoked: false, is_active: true };
        const body = { success: true, message: '', data: alive };
        await harness.control.fault({ match: { ...match, method: 'GET' }, body, times: 9 });
        harness.age(121);
        await harness.cron();
        expect(await settled(harness, resume)).toEqual(['failure', code]);
        const orders = await ordersOf(harness);
        expect(orders).toMatchObject([
          { cause: 'offboarding' },
          { cause: 'system', mode, state: 'open', token_id: id },
        ]);
        const order = orders[1]?.['id'] as string;
        expect(await settled(harness, order)).toEqual(['attempted', null]);
        const row = (await harness.rows()).find((event) => event.id === resume);
        expect(JSON.parse(row?.outcome ?? '')).toEqual({ settled_by: 'reconciliation', order });
      });
    },
  );

  it('stands where nobody ordered anything', async () => {
    const { harness, age } = await withClock();
    const { id } = await harness.mint();
    const resume = await losePatch(harness, id, { is_active: true }, 'after_commit');
    age(121);
    await harness.cron();
    expect(await settled(harness, resume)).toEqual(['success', null]);
    expect(await ordersOf(harness)).toEqual([]);
  });
});

it('a row that an order drives is left to it, whoever made it', async () => {
  const { harness, age } = await withClock();
  const { id } = await harness.mint();
  await harness.control.fault({
    drop: 'before_commit',
    times: 2,
    match: { workspace_uuid: harness.workspace, method: 'DELETE' },
  });
  const { body } = await harness.send('DELETE', `${TOKENS}/${id}`);
  await env.DB.prepare(
    `insert into revocation_orders (id, cause, workspace_uuid, token_id, mode, rank, state, next_at, created_at)
      values (?, 'caller', ?, ?, 'revoke', 1, 'failed', null, 1)`,
  )
    .bind(body.event_id, harness.workspace, id)
    .run();
  age(121);
  await cronTwice({ harness, age });
  expect(await outcomeOf(harness)).toMatchObject({ status: 'attempted' });
});

describe('a revoke that reconciliation found done', () => {
  it('is noted in the inventory', async () => {
    const { harness, age } = await withClock();
    const { id } = await harness.mint();
    await harness.control.fault({
      match: { workspace_uuid: harness.workspace, method: 'DELETE' },
      drop: 'after_commit',
      times: 2,
    });
    expect((await harness.send('DELETE', `${TOKENS}/${id}`)).status).toBe(504);
    age(121);
    await harness.cron();
    expect((await harness.rows()).at(-1)).toMatchObject({ status: 'success' });
    await harness.send('GET', TOKENS);
    await harness.send('GET', TOKENS);
    expect((await harness.inventory())[0]?.revoked_at).not.toBeNull();
  });

  it('does not crowd out, with as many others, the drift that a list has to write down', async () => {
    const { harness } = await withClock();
    const columns = 'workspace_uuid, token_id, owner_issuer, owner_subject, created_at';
    const enter = (id: string) =>
      env.DB.prepare(`insert into tokens (${columns}) values (?, ?, 'i', 's', 1)`).bind(harness.workspace, id);
    const revoke = (id: string) =>
      env.DB.prepare(
        `insert into audit_events (id, occurred_at, settled_at, action, status, actor_type, workspace_uuid, token_id, detail, outcome) values (?, 1, 2, 'service_account_token.revoke', 'success', 'user', ?, ?, '{}', '{"settled_by":"reconciliation"}')`,
      ).bind(crypto.randomUUID(), harness.workspace, id);
    const ids = Array.from({ length: DRIFT_BATCH_TOKENS }, (_, n) => `a${n}`);
    // What as many revokes leave behind whose answers were lost, and a token that somebody revoked by hand.
    await env.DB.batch([...ids.flatMap((id) => [enter(id), revoke(id)]), enter('z')]);
    const tokens = [...ids, 'z'].map((id) => ({ id, name: id, scopes: [], is_revoked: true }));
    const body = { success: true, message: '', data: { tokens, total: tokens.length } };
    await harness.control.fault({ match: { workspace_uuid: harness.workspace, method: 'GET' }, body, times: 2 });
    for (const _ of [1, 2]) await harness.send('GET', TOKENS);
    expect((await harness.rows()).filter((row) => row.error_code === 'gone_upstream')).toMatchObject([
      { token_id: 'z' },
    ]);
  });
});
