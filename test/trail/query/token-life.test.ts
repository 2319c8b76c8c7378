import { env } from 'cloudflare:workers';
import { beforeAll, describe, expect, it } from 'vitest';
import { SNAPSHOT_NO_CACHE_AGE_MS } from '../../../src/config/limits.ts';
import { createWebhookHarness, type WebhookHarness } from '../../revocation/harness.ts';
import { expectRefusal, rowsOf } from '../../security/expectations.ts';
import { detailOf } from '../../support/audit-detail.ts';
import { failingBatches } from '../../support/failing-batches.ts';
import { type Answer, createHarness, ISSUER, TOKENS } from '../../support/harness.ts';
import { insertRows, meteredD1, OPEN, RANDOM_ID } from './trail.ts';

// Whoever may read a token reads what was done to it, and learns nothing of those who only read or asked.

const ELSEWHERE = 'e15e0000-0000-4000-8000-000000000000';
const FROM = { 'CF-Connecting-IP': '192.0.2.77', 'User-Agent': 'browser-of-somebody' };
const everything = ['tokens:create', 'tokens:read', 'tokens:update', 'tokens:revoke'];
const roles = {
  own: { permissions: everything, tokens: 'own', workspaces: ['*'], scopes: ['api:read'] },
  operator: { permissions: everything, tokens: 'any', workspaces: ['*'], scopes: ['api:read'] },
};

const { db, batches } = meteredD1();
let harness: WebhookHarness;
let token: { id: string; token: string };
let minted: Answer;
let suspended: Answer;
beforeAll(async () => {
  harness = await createWebhookHarness({ roles, db });
  const owner = await jwtOf('own', 'owner');
  minted = await harness.send('POST', TOKENS, {
    jwt: owner,
    headers: FROM,
    body: { name: 'deploy', scopes: ['api:read'] },
  });
  token = minted.body.data;
  const path = `${TOKENS}/${token.id}`;
  const operator = await jwtOf('operator', 'operator');
  suspended = await harness.send('PATCH', path, { jwt: operator, headers: FROM, body: { is_active: false } });
  // None of these does anything to it.
  await harness.send('GET', path, { jwt: operator, headers: FROM });
  await harness.send('DELETE', path, { jwt: await jwtOf('own', 'stranger'), headers: FROM });
  await harness.send('PATCH', path, { jwt: owner, body: { scopes: ['api:full'] } });
  await harness.send('GET', `/api/v1/audit/events?token_id=${token.id}`, { headers: FROM });
  await harness.send('GET', `/api/v1/audit/export?token_id=${token.id}`, { headers: FROM });
  await insertRows([
    { action: 'service_account_token.update', token_id: token.id, workspace_uuid: ELSEWHERE, ip: '192.0.2.9' },
  ]);
  await harness.leak(token.token);
});

const jwtOf = async (role: string, sub: string): Promise<string> => await harness.jwtFor(role, { sub });
const lifeOf = async (id: string, query = '', role = 'own', sub = 'owner'): Promise<Answer> =>
  await harness.send('GET', `${TOKENS}/${id}/events${query}`, { jwt: await jwtOf(role, sub) });
const ids = ({ body }: Answer): string[] => body.data.map(({ id }: { id: string }) => id);
const eventOf = ({ headers }: Answer): string => headers.get('X-Audit-Event-Id') ?? '';

describe("a token's life", () => {
  it('is what was done to it, by whom, and what became of that, the newest first', async () => {
    const answer = await lifeOf(token.id);
    expect(answer.status, answer.text).toBe(200);
    expect(answer.body).toMatchObject({
      data: [
        {
          action: 'service_account_token.revoke',
          status: 'success',
          actor: { type: 'webhook', subject: 'scanner' },
          detail: { event: 'token.leaked' },
        },
        {
          id: eventOf(suspended),
          action: 'service_account_token.update',
          actor: { subject: 'operator' },
          detail: { is_active: false, role: 'operator' },
        },
        {
          id: eventOf(minted),
          action: 'service_account_token.create',
          actor: { subject: 'owner' },
          detail: { scopes: ['api:read'], role: 'own' },
        },
      ],
      pagination: { next_cursor: null, has_more: false },
    });
  });

  it('has the notices that it expires', async () => {
    const made = await harness.send('POST', TOKENS, {
      jwt: await jwtOf('own', 'owner'),
      body: { name: 'expiring', scopes: ['api:read'], expires_in: '7d' },
    });
    const { id } = made.body.data;
    const notice = {
      action: 'service_account_token.expiring',
      token_id: id,
      workspace_uuid: harness.workspace,
    } as const;
    await insertRows([{ ...notice, detail: JSON.stringify({ days: 1 }) }]);
    expect((await lifeOf(id)).body.data).toMatchObject([
      { action: 'service_account_token.expiring', detail: { days: 1 } },
      { id: eventOf(made), action: 'service_account_token.create' },
    ]);
  });

  it('does not tell from where others did it; from where one did it oneself, it does', async () => {
    const [revoked, changed, created] = (await lifeOf(token.id)).body.data;
    const nothing = { ip: null, user_agent: null, request_id: null };
    expect([revoked, changed]).toMatchObject([nothing, nothing]);
    expect(created).toMatchObject({
      ip: '192.0.2.77',
      user_agent: 'browser-of-somebody',
      request_id: expect.any(String),
    });
  });

  it('has the same events for whoever may read all tokens, and all of them for readers of the trail', async () => {
    const mine = await lifeOf(token.id);
    const operators = await lifeOf(token.id, '', 'operator', 'another-operator');
    expect(ids(operators)).toEqual(ids(mine));
    expect(operators.body.data).toMatchObject([{ ip: null }, { ip: null }, { ip: null }]);
    const readers = await lifeOf(token.id, '', 'admin', 'reader');
    expect(ids(readers)).toEqual(ids(mine));
    expect(readers.body.data).toMatchObject([{}, { ip: '192.0.2.77' }, { ip: '192.0.2.77' }]);
  });

  it('is read in pages, in either order and in any spelling of the workspace', async () => {
    const all = ids(await lifeOf(token.id));
    const first = await lifeOf(token.id, '?limit=2');
    const second = await lifeOf(token.id, `?limit=2&cursor=${first.body.pagination.next_cursor}`);
    expect([ids(first), ids(second)]).toEqual([all.slice(0, 2), all.slice(2)]);
    const spelled = harness.workspace.replaceAll('-', '').toUpperCase();
    const forwards = await lifeOf(token.id, `?order=asc&workspace=${spelled}`);
    expect(ids(forwards)).toEqual(all.toReversed());
    expect(forwards.body.pagination).toEqual({ next_cursor: expect.any(String), has_more: false });
  });

  it('in ascending order, ends before what can still change', async () => {
    const id = (await harness.mint('changing')).id;
    await insertRows([
      {
        action: 'service_account_token.update',
        status: 'attempted',
        settled_at: null,
        outcome: null,
        token_id: id,
        workspace_uuid: harness.workspace,
        occurred_at: harness.runtime.now(),
      },
      { action: 'service_account_token.revoke', token_id: id, workspace_uuid: harness.workspace },
    ]);
    expect(ids(await lifeOf(id, '', 'admin'))).toHaveLength(3);
    expect(ids(await lifeOf(id, '?order=asc', 'admin'))).toHaveLength(1);
  });

  it('has no others’ and no reads, and does not wait for them to end', async () => {
    const id = (await harness.mint('read-about')).id;
    const ofToken = { token_id: id, workspace_uuid: harness.workspace } as const;
    const open = { ...OPEN, occurred_at: harness.runtime.now() } as const;
    await insertRows([
      { ...ofToken, ...open, action: 'service_account_token.update', token_id: token.id },
      { ...ofToken, ...open, action: 'service_account_token.get' },
      { ...ofToken, action: 'audit.export' },
      { ...ofToken, action: 'service_account_token.revoke' },
    ]);
    expect((await lifeOf(id, '?order=asc', 'admin')).body.data).toMatchObject([
      { action: 'service_account_token.create' },
      { action: 'service_account_token.revoke' },
    ]);
  });

  it('can be read for ever: of a token that is revoked, and of one that has expired', async () => {
    const owner = await jwtOf('own', 'owner');
    expect((await harness.send('GET', `${TOKENS}/${token.id}`, { jwt: owner })).status).toBe(404);
    expect((await lifeOf(token.id)).status).toBe(200);
    const other = await harness.mint('to-expire', owner);
    await harness.expire(other.id);
    expect(ids(await lifeOf(other.id))).toHaveLength(1);
  });

  it('is itself a query in the trail, which names the token', async () => {
    const answer = await lifeOf(token.id, '?limit=9', 'own', 'owner');
    expect(await rowsOf(answer)).toMatchObject([
      {
        action: 'audit.query',
        status: 'success',
        actor_subject: 'owner',
        token_id: token.id,
        workspace_uuid: harness.workspace,
        detail: detailOf(harness, { life: true, limit: 9 }),
      },
    ]);
  });

  it('costs no more for all the reads of a token, in rows and in pages', async () => {
    const id = (await harness.mint('busy')).id;
    const costOfLife = async () => {
      batches.length = 0;
      const answer = await lifeOf(id, '', 'admin');
      expect([ids(answer).length, answer.body.pagination.next_cursor]).toEqual([1, null]);
      return batches.flatMap(({ rowsRead }) => rowsRead).reduce((sum, rows) => sum + rows, 0);
    };
    const before = await costOfLife();
    await env.DB.prepare(
      `insert into audit_events (id, occurred_at, settled_at, action, status, actor_type, workspace_uuid, token_id, detail, outcome, read_key)
       select ${RANDOM_ID}, 1, 1, 'service_account_token.get', 'success', 'user', ?, ?, '{"policy":"0"}', '{}', 'k' || value
       from json_each(?)`,
    )
      .bind(harness.workspace, id, JSON.stringify(Array.from({ length: 2_400 }, (_, n) => n)))
      .run();
    expect((await costOfLife()) - before).toBeLessThan(60);
  });
});

describe('whoever may not read the token', () => {
  it.each([
    ['of somebody else', () => token.id, 'not_readable'],
    ['that never was', () => crypto.randomUUID(), 'unknown'],
  ])('learns nothing of one %s, and the trail has the true reason', async (_whose, idOf, reason) => {
    const id = idOf();
    const answer = await lifeOf(id, '', 'own', crypto.randomUUID());
    await expectRefusal(answer, {
      status: 404,
      code: 'not_found',
      row: { action: 'audit.query', token_id: id, outcome: JSON.stringify({ reason }) },
    });
  });

  it('causes no call to PipeOps, and takes as many trips for one of somebody else as for one that never was', async () => {
    const before = await harness.upstream();
    const trips: (readonly number[])[] = [];
    for (const id of [token.id, crypto.randomUUID()]) {
      batches.length = 0;
      expect((await lifeOf(id, '', 'own', crypto.randomUUID())).status).toBe(404);
      trips.push(batches.map(({ rowsRead }) => rowsRead.length));
    }
    expect(trips[0]).toEqual(trips[1]);
    expect(await harness.upstream()).toEqual(before);
  });

  it('is refused where it was offboarded', async () => {
    const sub = crypto.randomUUID();
    const { id } = await harness.mint('of-a-leaver', await jwtOf('own', sub));
    await harness.offboard({ issuer: ISSUER, subject: sub });
    expect((await lifeOf(id, '', 'own', sub)).body.code).toBe('subject_blocked');
  });

  it.each([
    ['limit', '?limit=201'],
    ['order', '?order=newest'],
    ['cursor', '?cursor=1'],
    ['workspace_uuid', '?workspace_uuid=a%20b'],
    ['action', '?action=audit.query'],
    ['latest', '?latest=true'],
  ])('and whoever may hears of a parameter that is not understood: %s', async (name, query) => {
    const answer = await lifeOf(token.id, query);
    expect([answer.status, Object.keys(answer.body.errors)]).toEqual([400, [name]]);
  });
});

describe('a token that the inventory lacks', () => {
  it('is looked for at PipeOps, for whoever may read all tokens', async () => {
    const { id } = await harness.control.insertToken({ workspace_uuid: harness.workspace, name: 'by hand' });
    const answer = await lifeOf(id, '', 'operator', 'finder');
    expect(answer.status, answer.text).toBe(200);
    expect(await rowsOf(answer)).toContainEqual(
      expect.objectContaining({
        action: 'audit.query',
        status: 'success',
        detail: detailOf(harness, { life: true, limit: 50 }),
      }),
    );
    // The list that was asked for shows it, which is recorded meanwhile.
    expect((await lifeOf(id, '', 'operator', 'finder')).body.data).toMatchObject([{ error_code: 'appeared_upstream' }]);
    expect((await lifeOf(crypto.randomUUID(), '', 'operator', 'finder')).body.code).toBe('not_found');
  });

  it('is looked for in the list that is there, without another call', async () => {
    let skewMs = 0;
    const other = await createHarness({
      like: harness,
      roles,
      env: { SNAPSHOT_MAX_AGE_SECONDS: '60' },
      runtime: { now: () => Date.now() + skewMs },
    });
    const calls: number[] = [];
    for (const laterMs of [0, SNAPSHOT_NO_CACHE_AGE_MS + 1_000]) {
      skewMs = laterMs;
      const answer = await other.send('GET', `${TOKENS}/${crypto.randomUUID()}/events`);
      expect(answer.body.code).toBe('not_found');
      calls.push((await other.upstream()).length);
    }
    expect(calls[1]).toBe(calls[0]);
  });

  it('shows nothing where its events cannot be read: 503', async () => {
    const { id } = await harness.control.insertToken({ workspace_uuid: harness.workspace, name: 'also by hand' });
    const lives = new WeakSet<D1PreparedStatement>();
    const failing: Pick<D1Database, 'prepare' | 'batch'> = {
      prepare: (query) => {
        const statement = env.DB.prepare(query);
        if (!query.includes('audit_events_token_life')) return statement;
        const bind = statement.bind.bind(statement);
        statement.bind = (...values) => {
          const bound = bind(...values);
          lives.add(bound);
          return bound;
        };
        return statement;
      },
      batch: async (statements) =>
        statements.some((statement) => lives.has(statement))
          ? await Promise.reject(new Error('injected: D1 is down'))
          : await env.DB.batch(statements),
    };
    const broken = new Proxy(env.DB, {
      get: (target, key) => {
        const value: unknown = Reflect.get(key in failing ? failing : target, key);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
    const other = await createHarness({ like: harness, roles, db: broken });
    const answer = await other.send('GET', `${TOKENS}/${id}/events`);
    expect([answer.status, answer.body.code]).toEqual([503, 'audit_unavailable']);
  });

  it('is no 404 where PipeOps cannot be asked', async () => {
    await harness.control.fault({ match: { workspace_uuid: ELSEWHERE, method: 'GET' }, times: 3, status: 500 });
    const answer = await lifeOf(crypto.randomUUID(), `?workspace_uuid=${ELSEWHERE}`, 'operator', 'finder');
    expect([answer.status, answer.body.code]).toEqual([502, 'upstream_error']);
    expect(await rowsOf(answer)).toMatchObject([
      { action: 'audit.query', status: 'failure', error_code: 'upstream_error' },
    ]);
  });
});

it('without its row, no page leaves: whichever trip fails', async () => {
  for (const failing of [1, 2]) {
    const broken = failingBatches((batch) => batch === failing).db;
    const other = await createHarness({ like: harness, roles, db: broken });
    const answer = await other.send('GET', `${TOKENS}/${token.id}/events`);
    expect([answer.status, answer.body.code]).toEqual([503, 'audit_unavailable']);
    expect(answer.text).not.toContain('operator');
  }
});
