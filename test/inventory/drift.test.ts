import { env } from 'cloudflare:workers';
import { beforeEach, describe, expect, it } from 'vitest';
import { askedIn } from '../support/audit-detail.ts';
import { ABSENCE_ASK_ALONE_MAX_TOKENS } from '../../src/config/limits.ts';
import type { Fault } from '../pipeops-simulator/faults-wire.ts';
import { createHarness, ISSUER, TOKENS } from '../support/harness.ts';
import { rowMacs } from '../support/state-secret.ts';
import { clearOrders, createWebhookHarness, ordersOf, type WebhookHarness } from '../revocation/harness.ts';

// What lists show that nobody did through this service. The clock is that of the harness, so a minute costs nothing.

let harness: WebhookHarness;
beforeEach(async () => {
  await clearOrders();
  harness = await createWebhookHarness();
});

const systemRows = async () => (await harness.rows()).filter((event) => event.actor_type === 'system');
const codes = async () => (await systemRows()).map(({ error_code }) => error_code);
/** A list that a caller asks for, so many seconds later. */
const listAfter = async (seconds: number) => {
  harness.age(seconds);
  return await harness.send('GET', TOKENS, { jwt: await harness.jwtFor('admin', await atClock()) });
};
const atClock = async () => {
  const now = Math.floor(harness.runtime.now() / 1000);
  return await Promise.resolve({ iat: now, exp: now + 300 });
};
const wire = (id: string, more: object = {}) => ({
  id,
  name: 'deploy',
  scopes: ['api:read'],
  is_revoked: false,
  ...more,
});
const listFault = (tokens: readonly object[], times = 1): Fault => ({
  match: { workspace_uuid: harness.workspace, method: 'GET', path_contains: TOKENS },
  times,
  body: { success: true, message: '', data: { tokens, total: tokens.length } },
});
/** The next lists say this, whatever is true. */
const nextListSays = async (tokens: readonly object[], times = 1) =>
  await harness.control.fault(listFault(tokens, times));
const inventory = async () => (await harness.inventory()).map(({ token_id, ended_by }) => [token_id, ended_by]);
/** The token is in no list any more: two agree, a minute apart. */
const vanish = async (others: readonly string[] = []) => {
  await nextListSays(
    others.map((id) => wire(id)),
    2,
  );
  await listAfter(61);
  await listAfter(61);
};

describe('a token that a list lacks', () => {
  it('is missed at first: neither the inventory nor the trail says that it ended', async () => {
    const { id } = await harness.mint();
    await nextListSays([]);
    await listAfter(61);
    expect(await harness.inventory()).toMatchObject([
      { token_id: id, revoked_at: null, ended_by: null, unseen_at: expect.any(Number) },
    ]);
    expect(await systemRows()).toEqual([]);
  });

  it('is seen again by the next list that shows it', async () => {
    await harness.mint();
    await nextListSays([]);
    await listAfter(61);
    await listAfter(1);
    expect(await harness.inventory()).toMatchObject([{ unseen_at: null }]);
    expect(await systemRows()).toEqual([]);
  });

  it.each([
    ['a minute later', 60, 'absent', ['gone_upstream']],
    ['sooner than that', 50, null, []],
  ] as const)('and that a second one lacks %s: %s', async (_case, seconds, endedBy, expected) => {
    const { id } = await harness.mint();
    await nextListSays([], 2);
    await listAfter(61);
    await listAfter(seconds);
    expect(await inventory()).toEqual([[id, endedBy]]);
    expect(await codes()).toEqual(expected);
  });

  it('is not missed by a replica that is older than its create', async () => {
    const { id } = await harness.mint();
    await nextListSays([], 2);
    await listAfter(3);
    await listAfter(50);
    expect(await harness.inventory()).toMatchObject([{ token_id: id, unseen_at: null, ended_by: null }]);
  });

  it('is recorded as gone once, however many isolates see it', async () => {
    await harness.mint();
    await nextListSays([], 10);
    await listAfter(61);
    harness.age(61);
    const others = await Promise.all(
      [0, 1, 2].map(async () => await createHarness({ like: harness, runtime: { now: () => harness.runtime.now() } })),
    );
    const claims = await atClock();
    await Promise.all(
      others.map(async (other) => await other.send('GET', TOKENS, { jwt: await other.jwtFor('admin', claims) })),
    );
    expect(await codes()).toEqual(['gone_upstream']);
  });

  it('is gone without a row where it has expired, or where a revoke of ours explains it', async () => {
    const expired = await harness.mint('expired');
    await harness.expire(expired.id);
    const revoked = await harness.mint('revoked');
    await harness.control.fault({
      match: { workspace_uuid: harness.workspace, method: 'DELETE' },
      drop: 'after_commit',
      times: 2,
    });
    await harness.send('DELETE', `${TOKENS}/${revoked.id}`);
    await vanish();
    expect(new Map((await inventory()) as [string, string][])).toEqual(
      new Map([
        [expired.id, 'absent'],
        [revoked.id, 'absent'],
      ]),
    );
    expect(await systemRows()).toEqual([]);
  });
});

describe('a token that a list shows revoked', () => {
  it('was revoked at PipeOps’ console, which is recorded once', async () => {
    const { id } = await harness.mint();
    await harness.control.revokeByHand(id);
    for (let lists = 0; lists < 3; lists += 1) await listAfter(1);
    expect(await systemRows()).toMatchObject([
      { action: 'service_account_token.revoke', status: 'success', error_code: 'gone_upstream', token_id: id },
    ]);
    expect(await harness.inventory()).toMatchObject([
      { token_id: id, revoked_at: expect.any(Number), ended_by: 'listed' },
    ]);
  });

  it('was revoked here, and nothing more is recorded', async () => {
    const { id } = await harness.mint();
    await harness.send('DELETE', `${TOKENS}/${id}`);
    await listAfter(1);
    expect(await systemRows()).toEqual([]);
  });
});

describe('a list that lacks most tokens at once', () => {
  const gets = async () =>
    (await harness.upstream()).filter(({ method, token_id }) => method === 'GET' && token_id !== null);

  it('proves nothing: its tokens are asked for one by one, a few at a time, and are there', async () => {
    for (let made = 0; made < 7; made += 1) await harness.mint();
    const empty = { ...listFault([], 1) };
    await harness.control.fault(empty);
    await listAfter(61);
    expect(await gets()).toHaveLength(ABSENCE_ASK_ALONE_MAX_TOKENS);
    for (const { revoked_at, unseen_at } of await harness.inventory())
      expect([revoked_at, unseen_at]).toEqual([null, null]);
  });

  it('is believed about the tokens for which PipeOps answers 404 as well, twice', async () => {
    for (let made = 0; made < 3; made += 1) await harness.mint();
    await harness.control.fault({
      match: { workspace_uuid: harness.workspace, method: 'GET', path_contains: `${TOKENS}/` },
      status: 404,
      times: 6,
    });
    for (const seconds of [61, 61]) {
      await nextListSays([]);
      await listAfter(seconds);
    }
    expect((await inventory()).map(([, endedBy]) => endedBy)).toEqual(['absent', 'absent', 'absent']);
    expect(await codes()).toEqual(['gone_upstream', 'gone_upstream', 'gone_upstream']);
  });
});

describe('a token that reappears', () => {
  it('is live again, and that is recorded', async () => {
    const { id } = await harness.mint();
    await vanish();
    await listAfter(61);
    expect(await inventory()).toEqual([[id, null]]);
    expect(await harness.inventory()).toMatchObject([{ revoked_at: null, unseen_at: null }]);
    expect(await systemRows()).toMatchObject([
      { error_code: 'gone_upstream' },
      { action: 'service_account_token.create', status: 'success', error_code: 'reappeared_upstream', token_id: id },
    ]);
    expect(await ordersOf(harness)).toEqual([]);
  });

  it('may vanish again, which is recorded again', async () => {
    await harness.mint();
    await vanish();
    await listAfter(61);
    await vanish();
    expect(await codes()).toEqual(['gone_upstream', 'reappeared_upstream', 'gone_upstream']);
  });

  it('is recorded once, however many isolates see it', async () => {
    await harness.mint();
    await vanish();
    harness.age(61);
    const others = await Promise.all(
      [0, 1, 2].map(async () => await createHarness({ like: harness, runtime: { now: () => harness.runtime.now() } })),
    );
    const claims = await atClock();
    await Promise.all(
      others.map(async (other) => await other.send('GET', TOKENS, { jwt: await other.jwtFor('admin', claims) })),
    );
    expect(await codes()).toEqual(['gone_upstream', 'reappeared_upstream']);
  });

  it.each([
    ['revoke', 'service_account_token.revoke'],
    ['suspend', 'service_account_token.update'],
  ] as const)('is ordered where its owner was offboarded meanwhile: %s', async (mode, action) => {
    const subject = `leaver-${crypto.randomUUID()}`;
    const { id } = await harness.mint('hers', await harness.jwtFor('admin', { sub: subject }));
    await vanish();
    await harness.offboard({ issuer: ISSUER, subject, mode });
    await env.DB.prepare('delete from revocation_orders where workspace_uuid = ?').bind(harness.workspace).run();
    await listAfter(61);
    const [order, ...others] = await ordersOf(harness);
    expect(order).toMatchObject({ token_id: id, mode, cause: 'system', state: 'open', contradicted_at: null });
    expect(others).toEqual([]);
    const row = (await harness.rows()).find((event) => event.id === order?.id);
    expect(row).toMatchObject({ action, status: 'attempted', actor_type: 'system', token_id: id });
    expect(askedIn(row)).toEqual({
      reappeared: true,
      ...(mode === 'suspend' && { is_active: false }),
    });
  });

  it('contradicts its revoke in one row a day, however often it does', async () => {
    const { id } = await harness.mint();
    const contradictIn = async (seconds: number) => {
      await env.DB.prepare(`update tokens set revoked_at = ?, ended_by = 'acknowledged' where token_id = ?`)
        .bind(harness.runtime.now(), id)
        .run();
      await nextListSays([wire(id)]);
      await listAfter(seconds);
      return (await codes()).filter((code) => code === 'revocation_contradicted').length;
    };
    // Noon, so that a few minutes are no other day.
    const dayMs = 24 * 3_600_000;
    harness.age(Math.ceil((dayMs * 1.5 - (harness.runtime.now() % dayMs)) / 1000));
    expect(await contradictIn(61)).toBe(1);
    expect(await contradictIn(61)).toBe(1);
    expect(await contradictIn(24 * 3_600)).toBe(2);
  });

  it('is ordered where its DELETE was asked for, and contradicts that revoke', async () => {
    const { id } = await harness.mint();
    expect((await harness.send('DELETE', `${TOKENS}/${id}`)).status).toBe(200);
    await env.DB.prepare('delete from revocation_orders where workspace_uuid = ?').bind(harness.workspace).run();
    await env.DB.prepare(`update tokens set ended_by = 'acknowledged' where token_id = ?`).bind(id).run();
    await nextListSays([wire(id)], 3);
    await listAfter(30);
    expect(await ordersOf(harness), 'a minute may be lag').toEqual([]);
    await listAfter(31);
    await listAfter(61);
    expect(await ordersOf(harness)).toMatchObject([
      { token_id: id, mode: 'revoke', cause: 'system', state: 'open', contradicted_at: expect.any(Number) },
    ]);
    expect(await codes()).toEqual(['revocation_contradicted', null]);
    expect((await systemRows())[0]).toMatchObject({
      action: 'service_account_token.revoke',
      status: 'failure',
      token_id: id,
    });
  });

  it('opens its finished orders again', async () => {
    const { id, token } = await harness.mint();
    await harness.leak(token);
    await env.DB.prepare(`update revocation_orders set state = 'confirmed', next_at = null where workspace_uuid = ?`)
      .bind(harness.workspace)
      .run();
    await env.DB.prepare(`update tokens set ended_by = 'acknowledged' where token_id = ?`).bind(id).run();
    await nextListSays([wire(id)]);
    await listAfter(61);
    expect(await ordersOf(harness)).toMatchObject([
      { token_id: id, cause: 'leak', state: 'open', contradicted_at: expect.any(Number), next_at: expect.any(Number) },
    ]);
    expect(await codes()).toEqual(['revocation_contradicted']);
    expect(await inventory()).toEqual([[id, null]]);
  });

  it.each([
    ['alive and active: it is suspended again', true, 'open'],
    ['suspended, as it was ordered: nothing', false, 'confirmed'],
  ] as const)('that was only ever suspended contradicts nothing. %s', async (_case, isActive, state) => {
    const subject = `leaver-${crypto.randomUUID()}`;
    const { id } = await harness.mint('hers', await harness.jwtFor('admin', { sub: subject }));
    await harness.offboard({ issuer: ISSUER, subject, mode: 'suspend' });
    await env.DB.prepare(`update revocation_orders set state = 'confirmed' where workspace_uuid = ?`)
      .bind(harness.workspace)
      .run();
    await vanish();
    await nextListSays([wire(id, { is_active: isActive })]);
    await listAfter(61);
    expect(await codes()).toEqual(['gone_upstream', 'reappeared_upstream']);
    expect(await ordersOf(harness)).toMatchObject([{ mode: 'suspend', state, contradicted_at: null }]);
  });
});

describe('a token that nobody made here', () => {
  it('is named once, and adopted without an owner', async () => {
    const { id } = await harness.control.insertToken({ workspace_uuid: harness.workspace, name: 'by hand' });
    await Promise.all([1, 2, 3].map(async () => await harness.send('GET', TOKENS)));
    expect(await systemRows()).toMatchObject([
      { action: 'service_account_token.create', error_code: 'appeared_upstream', token_id: id, token_name: 'by hand' },
    ]);
    expect(await harness.inventory()).toMatchObject([{ token_id: id, owner_issuer: null, owner_subject: null }]);
  });

  it('contradicts an order that names its id alone, once it is more than lag', async () => {
    const { id } = await harness.control.insertToken({ workspace_uuid: harness.workspace, name: 'by hand' });
    await harness.sendEvent('scanner', 'token.revoke', { token_id: id, workspace_uuid: harness.workspace });
    await env.DB.prepare(
      `update revocation_orders set state = 'acknowledged', acknowledged_at = ? where workspace_uuid = ?`,
    )
      .bind(harness.runtime.now(), harness.workspace)
      .run();
    await nextListSays([wire(id)], 2);
    await listAfter(1);
    expect(await inventory(), 'lag').toEqual([[id, 'acknowledged']]);
    expect(await ordersOf(harness)).toMatchObject([{ state: 'acknowledged' }]);
    await listAfter(61);
    expect(await inventory()).toEqual([[id, null]]);
    expect(await ordersOf(harness)).toMatchObject([{ state: 'open', contradicted_at: expect.any(Number) }]);
    expect(await codes()).toEqual(['appeared_upstream', 'revocation_contradicted']);
  });
});

describe('a name that merely looks like one of ours', () => {
  const NAME = 'x-csgn-aaaaaaaaaaaaaaaa';

  it('belongs to a token that appeared, and is shown whole', async () => {
    const { id } = await harness.control.insertToken({ workspace_uuid: harness.workspace, name: NAME });
    await harness.send('GET', TOKENS);
    expect(await systemRows()).toMatchObject([{ error_code: 'appeared_upstream', token_id: id, token_name: NAME }]);
    const listed = await harness.send('GET', TOKENS);
    expect(listed.body.data.tokens).toMatchObject([{ id, name: NAME }]);
    expect((await harness.send('GET', `${TOKENS}/${id}`)).body.data.token.name).toBe(NAME);
    const suspended = await harness.send('PATCH', `${TOKENS}/${id}`, { body: { is_active: false } });
    expect(suspended.body.data.token.name).toBe(NAME);
  });

  it.each([
    ['before', false],
    ['after', true],
  ])('is not sent again by a rename, %s it was adopted', async (_case, isAdopted) => {
    const { id } = await harness.control.insertToken({ workspace_uuid: harness.workspace, name: NAME });
    if (isAdopted) await harness.send('GET', TOKENS);
    const renamed = await harness.send('PATCH', `${TOKENS}/${id}`, { body: { name: 'mine' } });
    expect([renamed.status, renamed.body.data.token.name]).toEqual([200, 'mine']);
    expect(await harness.upstreamTokens()).toMatchObject([{ name: 'mine' }]);
  });

  it('is the name of an open create’s token where a row of ours holds the marker: it is not shown', async () => {
    await harness.control.fault({ match: { workspace_uuid: harness.workspace, method: 'POST' }, drop: 'after_commit' });
    await harness.send('POST', TOKENS, { body: { name: 'lost', scopes: ['api:read'] } });
    const listed = await harness.send('GET', TOKENS);
    expect(listed.body.data.tokens).toMatchObject([{ name: 'lost' }]);
    expect(await systemRows()).toEqual([]);
    expect(await harness.inventory()).toEqual([]);
    const renamed = await harness.send('PATCH', `${TOKENS}/${listed.body.data.tokens[0].id}`, {
      body: { name: 'mine' },
    });
    expect(renamed.body.data.token.name).toBe('mine');
    expect((await harness.upstreamTokens())[0]?.name).toMatch(/^mine-csgn-/);
  });

  it('is a copy where the create with that marker has another token', async () => {
    const { id } = await harness.mint('deploy');
    const name = (await harness.upstreamTokens())[0]?.name ?? '';
    const copy = await harness.control.insertToken({ workspace_uuid: harness.workspace, name });
    await harness.send('GET', TOKENS);
    expect(await systemRows()).toMatchObject([{ error_code: 'appeared_upstream', token_id: copy.id }]);
    const listed = await harness.send('GET', TOKENS);
    const names = listed.body.data.tokens.map((token: { id: string; name: string }) => [token.id, token.name]);
    expect(names).toEqual([
      [id, 'deploy'],
      [copy.id, name],
    ]);
  });
});

describe('a create whose token was adopted meanwhile', () => {
  it('takes the token over: a list fell into the create, and PipeOps had cut the name', async () => {
    let listed = 0;
    const cutting = await createWebhookHarness({
      like: harness,
      runtime: {
        fetch: async (url, init) => {
          if (init.method !== 'POST') return await harness.runtime.fetch(url, init);
          const body = JSON.parse(init.body as string) as { name: string };
          const cut = JSON.stringify({ ...body, name: body.name.slice(0, 6) });
          const response = await harness.runtime.fetch(url, { ...init, body: cut });
          listed = (await harness.send('GET', TOKENS)).body.data.tokens.length;
          return response;
        },
      },
    });
    const own = {
      own: { permissions: ['tokens:create', 'tokens:read'], tokens: 'own', workspaces: ['*'], scopes: ['*'] },
    };
    const caller = await createHarness({
      like: cutting,
      roles: own,
      runtime: { fetch: async (url, init) => await cutting.runtime.fetch(url, init) },
    });
    const mine = await caller.jwtFor('own');
    const made = await caller.send('POST', TOKENS, { jwt: mine, body: { name: 'deploy', scopes: ['api:read'] } });
    expect([made.status, listed]).toEqual([201, 1]);
    expect(await codes()).toEqual(['appeared_upstream']);
    expect(await harness.inventory()).toMatchObject([
      {
        token_id: made.body.data.id,
        owner_issuer: ISSUER,
        owner_subject: 'own-1',
        marker: expect.stringMatching(/^-csgn-/),
        fingerprint: expect.any(String),
        create_event_id: made.headers.get('X-Audit-Event-Id'),
      },
    ]);
    const got = await caller.send('GET', `${TOKENS}/${made.body.data.id}`, { jwt: mine });
    expect(got.status).toBe(200);
    await harness.leak(made.body.data.token);
    expect(await ordersOf(harness)).toMatchObject([{ token_id: made.body.data.id }]);
  });
});

it('a list that differs in nothing costs no trip beside that of its read', async () => {
  await harness.mint();
  const before = harness.lines.length;
  await harness.send('GET', TOKENS);
  const trips = harness.lines.slice(before).filter(({ event }) => event === 'request');
  expect(trips).toMatchObject([{ d1_trips: 2 }]);
});

it.each(['a"b\\c', '😀é', 'a\u0000b', '\u2028', '\ud800y', '{"a":1}', '$.x', 'null', '7'])(
  'the row of a token that appears with the name %j has the MAC of this service',
  async (name) => {
    await harness.mint('first');
    const claims = {
      iat: Math.floor(harness.runtime.now() / 1000),
      exp: Math.floor(harness.runtime.now() / 1000) + 900,
    };
    const list = async () =>
      await harness.send('GET', TOKENS, {
        jwt: await harness.jwtFor('admin', claims),
        headers: { 'Cache-Control': 'no-cache' },
      });
    await list();
    await harness.control.insertToken({ workspace_uuid: harness.workspace, name });
    harness.age(61);
    await list();
    const rows = (await harness.rows()).filter(({ error_code }) => error_code === 'appeared_upstream');
    expect(rows.map((row) => [row.token_name, rowMacs.isUntouched(row, undefined)])).toEqual([
      [name.toWellFormed(), true],
    ]);
  },
);
