import { env } from 'cloudflare:workers';
import { beforeEach, describe, expect, it } from 'vitest';
import { askedIn } from '../support/audit-detail.ts';
import { createHarness, ISSUER, TOKENS, type Answer, type Harness } from '../support/harness.ts';
import { interruptedBefore } from '../idempotency/harness.ts';
import { clearOrders, createWebhookHarness, ordersOf, type WebhookHarness } from '../revocation/harness.ts';

// Somebody is offboarded, or a token is ordered away, while a mutation is under way: neither passes the other.

const roles = {
  owner: {
    permissions: ['tokens:create', 'tokens:read', 'tokens:update', 'tokens:revoke'],
    tokens: 'own',
    workspaces: ['*'],
    scopes: ['*'],
  },
};

let harness: WebhookHarness;
let subject: string;
let alice: string;
beforeEach(async () => {
  await clearOrders();
  harness = await createWebhookHarness({ roles });
  subject = `alice-${crypto.randomUUID()}`;
  alice = await harness.jwtFor('owner', { sub: subject });
});

const rowOf = async (answer: Answer) =>
  (await harness.rows()).find(({ id }) => id === answer.headers.get('X-Audit-Event-Id'));
const outcomeOf = async (answer: Answer) => JSON.parse((await rowOf(answer))?.outcome ?? 'null') as { order?: string };

/** Another isolate, in which `meanwhile` happens once, before or after PipeOps carries out a change. */
const slow = async (moment: 'before' | 'after', meanwhile: () => Promise<unknown>): Promise<Harness> => {
  let isOver = false;
  const happen = async (now: 'before' | 'after', method: string | undefined): Promise<void> => {
    if (isOver || now !== moment || method === 'GET' || method === 'DELETE') return;
    isOver = true;
    await meanwhile();
  };
  return await createHarness({
    like: harness,
    roles,
    runtime: {
      fetch: async (url, init) => {
        await happen('before', init.method);
        const response = await harness.runtime.fetch(url, init);
        await happen('after', init.method);
        return response;
      },
    },
  });
};

/** Whatever is left to be done is done. */
const settle = async (): Promise<void> => {
  for (const seconds of [1, 125, 125]) {
    harness.age(seconds);
    await harness.cron();
  }
};

interface Mutating {
  readonly name: string;
  prepare?(): Promise<string>;
  send(h: Harness, id: string): Promise<Answer>;
}
const mintSuspended = async (): Promise<string> => {
  const { id } = await harness.mint('kept', alice);
  await harness.send('PATCH', `${TOKENS}/${id}`, { jwt: alice, body: { is_active: false } });
  return id;
};
const patch = (jwt: (() => string) | null, body: object) => async (h: Harness, id: string) =>
  await h.send('PATCH', `${TOKENS}/${id}`, { body, ...(jwt !== null && { jwt: jwt() }) });

const OWNERS: readonly Mutating[] = [
  {
    name: 'create',
    send: async (h) => await h.send('POST', TOKENS, { jwt: alice, body: { name: 'new', scopes: ['api:read'] } }),
  },
  {
    name: 'rename',
    prepare: async () => (await harness.mint('kept', alice)).id,
    send: patch(() => alice, { name: 'renamed' }),
  },
  {
    name: 'rescope',
    prepare: async () => (await harness.mint('kept', alice)).id,
    send: patch(() => alice, { scopes: ['api:write'] }),
  },
  { name: 'resume', prepare: mintSuspended, send: patch(() => alice, { is_active: true }) },
];
const ADMINISTRATORS: readonly Mutating[] = [
  { name: 'resume by an administrator', prepare: mintSuspended, send: patch(null, { is_active: true }) },
  {
    name: 'rename by an administrator',
    prepare: async () => (await harness.mint('kept', alice)).id,
    send: patch(null, { name: 'renamed' }),
  },
];
const MOMENTS = ['before trip 1', 'between trip 1 and PipeOps', 'between PipeOps and trip 2', 'after trip 2'] as const;
const MODES = ['revoke', 'suspend'] as const;

const played = async (mutating: Mutating, moment: (typeof MOMENTS)[number], offboard: () => Promise<unknown>) => {
  const id = (await mutating.prepare?.()) ?? '';
  if (moment === 'before trip 1') await offboard();
  const isBetween = moment.startsWith('between');
  const h = isBetween ? await slow(moment.endsWith('PipeOps') ? 'before' : 'after', offboard) : harness;
  const answer = await mutating.send(h, id);
  if (moment === 'after trip 2') await offboard();
  return answer;
};

const expectNothingAlive = async (): Promise<void> => {
  for (const { name, is_revoked, is_active } of await harness.upstreamTokens()) {
    expect({ name, isAlive: !is_revoked && is_active }).toEqual({ name, isAlive: false });
  }
  expect((await ordersOf(harness)).filter(({ state }) => state === 'open')).toEqual([]);
  expect((await harness.rows()).filter(({ status }) => status === 'attempted')).toEqual([]);
};

/** What the caller hears: of a block of its own, or that its change is undone; a revoked token is not found. */
const statusOf = (name: string, moment: (typeof MOMENTS)[number], mode: string, overtaken: number): number => {
  if (moment === 'before trip 1') return 403;
  if (moment === 'after trip 2') return name === 'create' ? 201 : 200;
  const isGone = moment === 'between trip 1 and PipeOps' && mode === 'revoke' && name !== 'create';
  return isGone ? 404 : overtaken;
};

describe.each(MODES)('offboarding with mode %s in every order of events with', (mode) => {
  const offboard = async () => await harness.offboard({ issuer: ISSUER, subject, mode });

  describe.each(OWNERS)('$name by the leaver', (mutating) => {
    it.each(MOMENTS)('%s: nothing is alive in the end', async (moment) => {
      const answer = await played(mutating, moment, offboard);
      expect(answer.status, answer.text).toBe(statusOf(mutating.name, moment, mode, 403));
      await settle();
      await expectNothingAlive();
    });
  });

  describe.each(ADMINISTRATORS)('$name', (mutating) => {
    it.each(MOMENTS.slice(1))('%s: nothing is alive in the end', async (moment) => {
      const answer = await played(mutating, moment, offboard);
      expect(answer.status, answer.text).toBe(statusOf(mutating.name, moment, mode, 409));
      await settle();
      await expectNothingAlive();
    });
  });

  it.each([
    ['a leaver', (): string => alice, 403, 'subject_blocked'],
    ['an administrator', (): undefined => undefined, 409, 'revocation_pending'],
  ])('a resume by %s, which is undone by an order that its row names', async (_who, jwt, status, code) => {
    const id = await mintSuspended();
    const answer = await (
      await slow('after', offboard)
    ).send('PATCH', `${TOKENS}/${id}`, {
      body: { is_active: true },
      ...(jwt() !== undefined && { jwt: jwt() ?? '' }),
    });
    expect([answer.status, answer.body.code]).toEqual([status, code]);
    const { order, ...others } = await outcomeOf(answer);
    expect(others).toEqual({});
    expect(await rowOf(answer)).toMatchObject({ status: 'failure', error_code: code, upstream_status: 200 });
    const undoing = (await ordersOf(harness)).find(({ id: orderId }) => orderId === order);
    expect(undoing).toMatchObject({ cause: 'system', mode, delivery_id: null, token_id: id });
    const row = (await harness.rows()).find(({ id: rowId }) => rowId === order);
    expect(row).toMatchObject({
      action: mode === 'revoke' ? 'service_account_token.revoke' : 'service_account_token.update',
      actor_type: 'system',
      token_id: id,
    });
    expect(askedIn(row)).toEqual({
      overtaken: answer.body.event_id,
      ...(mode === 'suspend' && { is_active: false }),
    });
  });
});

describe('a resume that an order overtakes', () => {
  const resume = { body: { is_active: true } };
  const order = async (id: string, state: string, mode: string): Promise<void> => {
    const eventId = crypto.randomUUID();
    const nowMs = harness.runtime.now();
    await env.DB.batch([
      env.DB.prepare(
        `insert into audit_events (id, occurred_at, action, status, actor_type, workspace_uuid, token_id, detail)
         values (?, ?, 'service_account_token.revoke', 'attempted', 'system', ?, ?, '{}')`,
      ).bind(eventId, nowMs, harness.workspace, id),
      env.DB.prepare(
        `insert into revocation_orders (id, cause, workspace_uuid, token_id, mode, rank, state, created_at)
         values (?, 'command', ?, ?, ?, 1, ?, ?)`,
      ).bind(eventId, harness.workspace, id, mode, state, nowMs),
    ]);
  };

  it.each([
    ['open since before it', 'before trip 1', 'open', 'revoke', 409],
    ['open, and suspends', 'before trip 1', 'open', 'suspend', 409],
    ['confirmed before it', 'before trip 1', 'confirmed', 'suspend', 200],
    ['lifted before it', 'before trip 1', 'lifted', 'suspend', 200],
    ['made meanwhile, and confirmed', 'meanwhile', 'confirmed', 'suspend', 409],
    ['made meanwhile, and given up', 'meanwhile', 'failed', 'revoke', 409],
    ['made and lifted meanwhile', 'meanwhile', 'lifted', 'suspend', 200],
  ])('%s', async (_case, moment, state, mode, status) => {
    const id = await mintSuspended();
    if (moment === 'before trip 1') await order(id, state, mode);
    const h = moment === 'meanwhile' ? await slow('after', async () => await order(id, state, mode)) : harness;
    const answer = await h.send('PATCH', `${TOKENS}/${id}`, { jwt: alice, ...resume });
    expect(answer.status, answer.text).toBe(status);
    const [token] = await harness.inventory();
    expect(token?.suspended_by).toBe(status === 200 ? null : '["owner"]');
    if (status === 200) return;
    const { order: undoing } = await outcomeOf(answer);
    expect((await ordersOf(harness)).find(({ id: orderId }) => orderId === undoing)).toMatchObject({
      mode,
      state: 'open',
    });
  });

  it('is overtaken by an order that was acknowledged meanwhile, though it was open no more', async () => {
    const id = await mintSuspended();
    await order(id, 'open', 'suspend');
    const acknowledge = async () =>
      await env.DB.prepare(
        `update revocation_orders set state = 'acknowledged', acknowledged_at = ? where token_id = ?`,
      )
        .bind(harness.runtime.now(), id)
        .run();
    const answer = await (await slow('after', acknowledge)).send('PATCH', `${TOKENS}/${id}`, { jwt: alice, ...resume });
    expect([answer.status, answer.body.code]).toEqual([409, 'revocation_pending']);
  });

  it('is overtaken by an administrator’s suspension meanwhile', async () => {
    const id = await mintSuspended();
    const suspend = async () => await harness.send('PATCH', `${TOKENS}/${id}`, { body: { is_active: false } });
    const answer = await (await slow('before', suspend)).send('PATCH', `${TOKENS}/${id}`, { jwt: alice, ...resume });
    expect([answer.status, answer.body.code]).toEqual([409, 'revocation_pending']);
    expect(await harness.inventory()).toMatchObject([{ suspended_by: '["owner","administrator"]' }]);
    await settle();
    await expectNothingAlive();
  });

  it('is undone too where PipeOps did not quite obey it', async () => {
    const id = await mintSuspended();
    const h = await slow('after', async () => await harness.offboard({ issuer: ISSUER, subject, mode: 'suspend' }));
    const widened = await createHarness({
      like: harness,
      roles,
      runtime: {
        fetch: async (url, init) => {
          const response = await h.runtime.fetch(url, init);
          if (init.method !== 'PATCH') return response;
          const body: { data: { token: object } } = await response.json();
          return Response.json({ ...body, data: { token: { ...body.data.token, scopes: ['*'] } } });
        },
      },
    });
    const answer = await widened.send('PATCH', `${TOKENS}/${id}`, { body: { is_active: true, scopes: ['api:read'] } });
    expect([answer.status, answer.body.code]).toEqual([409, 'revocation_pending']);
    expect(await outcomeOf(answer)).toMatchObject({ came: { scopes: ['*'] }, order: expect.any(String) });
    await settle();
    await expectNothingAlive();
  });

  it.each([
    ['fails before it is taken', async () => await Promise.reject(new Error('injected'))],
    [
      'is taken and its answer lost',
      async (commit: () => Promise<unknown>): Promise<never> => {
        await commit();
        throw new Error('injected: the answer was lost');
      },
    ],
  ])('is undone once, where the batch %s', async (_case, fail) => {
    const id = await mintSuspended();
    await order(id, 'open', 'suspend');
    let batches = 0;
    const db: D1Database = new Proxy(env.DB, {
      get: (target, key) => {
        const value: unknown = Reflect.get(target, key);
        if (key !== 'batch') return typeof value === 'function' ? value.bind(target) : value;
        return async (statements: D1PreparedStatement[]) => {
          batches += 1;
          const commit = async () => await target.batch(statements);
          // Trip 1, the settlement that finds it overtaken, and then what undoes it.
          return batches === 3 || batches === 4 ? await fail(commit) : await commit();
        };
      },
    });
    const h = await createHarness({ like: harness, roles, db, runtime: { sleep: async () => {} } });
    const answer = await h.send('PATCH', `${TOKENS}/${id}`, { jwt: alice, ...resume });
    expect([answer.status, answer.body.code]).toEqual([409, 'revocation_pending']);
    const undoing = (await ordersOf(harness)).filter(({ cause }) => cause === 'system');
    expect(undoing).toMatchObject([{ id: (await outcomeOf(answer)).order }]);
  });

  it('stays open where nothing overtakes it any more, for reconciliation to settle', async () => {
    const id = await mintSuspended();
    await order(id, 'open', 'suspend');
    const lift = async () =>
      await env.DB.prepare(`update revocation_orders set state = 'lifted' where token_id = ?`).bind(id).run();
    const h = await createHarness({ like: harness, roles, db: interruptedBefore(3, lift) });
    const answer = await h.send('PATCH', `${TOKENS}/${id}`, { jwt: alice, ...resume });
    expect([answer.status, answer.body.code]).toEqual([504, 'outcome_unknown']);
    expect(await rowOf(answer)).toMatchObject({ status: 'attempted' });
    expect((await ordersOf(harness)).filter(({ cause }) => cause === 'system')).toEqual([]);
  });
});

it('a suspension is not undone by what overtakes it', async () => {
  const { id } = await harness.mint('kept', alice);
  const h = await slow('after', async () => await harness.offboard({ issuer: ISSUER, subject, mode: 'suspend' }));
  expect((await h.send('PATCH', `${TOKENS}/${id}`, { body: { is_active: false } })).status).toBe(200);
  expect((await ordersOf(harness)).filter(({ cause }) => cause === 'system')).toEqual([]);
});

it('an update of another’s token is none of a leaver’s business', async () => {
  const { id } = await harness.mint('the administrator’s');
  const h = await slow('after', async () => await harness.offboard({ issuer: ISSUER, subject }));
  expect((await h.send('PATCH', `${TOKENS}/${id}`, { body: { name: 'renamed' } })).status).toBe(200);
});
