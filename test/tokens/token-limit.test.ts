import { env } from 'cloudflare:workers';
import { beforeEach, describe, expect, it } from 'vitest';
import { ISSUER, TOKENS } from '../support/harness.ts';
import { failingBatches } from '../support/failing-batches.ts';
import { twistedTokens } from '../support/twisted-answers.ts';
import { clearOrders } from '../revocation/harness.ts';
import { settleAll } from '../trail/reconcile/reconciling.ts';
import { countOf, createLimitHarness, fill, type LimitHarness } from './limiting.ts';

// `maxTokens`: how many live tokens one owner may hold, and what makes room for another.

beforeEach(async () => {
  await clearOrders();
  await settleAll();
});

const outcomeOf = (row: { readonly outcome: string | null } | undefined): unknown => JSON.parse(row?.outcome ?? 'null');
const posts = async (harness: LimitHarness): Promise<number> =>
  (await harness.upstream()).filter(({ method }) => method === 'POST').length;
const codeOf = ({ status, body }: { status: number; body: { code?: string } }): readonly unknown[] => [
  status,
  body.code ?? null,
];
const LIMIT_REACHED = [403, 'token_limit_reached'];
const CREATED = [201, null];

describe('an owner at its limit', () => {
  it('is told so, and how to make room; its row says why, and PipeOps is not asked', async () => {
    const harness = await createLimitHarness();
    await fill(harness);
    const refused = await harness.create();
    expect(codeOf(refused)).toEqual(LIMIT_REACHED);
    expect(refused.body.message).toBe(
      'You hold as many live tokens as your roles allow (3). Revoke one that nobody needs (DELETE /api/v1/service-account-tokens/{id}), or wait until one expires. GET /api/v1/whoami shows how many you hold.',
    );
    const row = (await harness.rows()).at(-1);
    expect(row).toMatchObject({
      id: refused.body.event_id,
      action: 'service_account_token.create',
      status: 'failure',
      error_code: 'token_limit_reached',
      token_id: null,
      upstream_status: null,
    });
    expect(outcomeOf(row)).toEqual({ max_tokens: 3 });
    expect(await posts(harness)).toBe(3);
    expect(await countOf(harness)).toMatchObject({ live: 3, open: 0, max_tokens: 3 });
  });

  it('holds them in all workspaces together', async () => {
    const harness = await createLimitHarness();
    for (const workspace of [crypto.randomUUID(), crypto.randomUUID(), crypto.randomUUID()]) {
      const path = `${TOKENS}?workspace_uuid=${workspace}`;
      const body = { name: 'deploy', scopes: ['api:read'] };
      expect((await harness.as('ci', 'POST', path, { body })).status).toBe(201);
    }
    expect(codeOf(await harness.create())).toEqual(LIMIT_REACHED);
  });

  it('is nobody else: not another subject, and not the same subject of another issuer', async () => {
    const harness = await createLimitHarness();
    await fill(harness);
    await env.DB.prepare(
      `insert into tokens (workspace_uuid, token_id, owner_issuer, owner_subject, created_at) values ('w', ?, 'https://other.example', ?, 1)`,
    )
      .bind(crypto.randomUUID(), `bot-${harness.subject}`)
      .run();
    for (let n = 0; n < 3; n += 1) expect(codeOf(await harness.create('bot'))).toEqual(CREATED);
    expect(codeOf(await harness.create('bot'))).toEqual(LIMIT_REACHED);
  });

  it('reads, updates and revokes as before', async () => {
    const harness = await createLimitHarness();
    const [id] = await fill(harness);
    expect((await harness.as('ci', 'GET', TOKENS)).body.data.total).toBe(3);
    expect((await harness.as('ci', 'PATCH', `${TOKENS}/${id}`, { body: { name: 'renamed' } })).status).toBe(200);
    expect((await harness.as('ci', 'PATCH', `${TOKENS}/${id}`, { body: { is_active: false } })).status).toBe(200);
    // A suspended token is one that can be resumed.
    expect(codeOf(await harness.create())).toEqual(LIMIT_REACHED);
    expect((await harness.as('ci', 'DELETE', `${TOKENS}/${id}`)).status).toBe(200);
    expect(codeOf(await harness.create())).toEqual(CREATED);
  });

  it('hears of the limit only where nothing else is wrong with its request', async () => {
    const harness = await createLimitHarness();
    await fill(harness);
    expect(codeOf(await harness.create('ci', { scopes: ['api:full'] }))).toEqual([403, 'forbidden']);
    expect(codeOf(await harness.create('ci', { scopes: ['no scope'] }))).toEqual([422, 'validation_failed']);
    expect(codeOf(await harness.create())).toEqual(LIMIT_REACHED);
  });

  it('is one whose limit was lowered since', async () => {
    const harness = await createLimitHarness();
    await fill(harness);
    const roles = { ci: { permissions: ['tokens:create'], workspaces: ['*'], scopes: ['api:read'], maxTokens: 2 } };
    const stricter = await createLimitHarness({ like: harness, roles });
    expect(codeOf(await stricter.create())).toEqual(LIMIT_REACHED);
    expect(await countOf(harness)).toMatchObject({ live: 3, max_tokens: 2 });
  });
});

describe('room is made by', () => {
  const list = async (harness: LimitHarness, tokens: readonly object[]) => {
    await harness.control.fault({
      match: { workspace_uuid: harness.workspace, method: 'GET', path_contains: TOKENS },
      body: { success: true, message: '', data: { tokens, total: tokens.length } },
    });
    expect((await harness.as('admin', 'GET', TOKENS)).status).toBe(200);
  };
  const wire = (id: string, more: object = {}) => ({ id, name: 'deploy', scopes: ['api:read'], ...more });

  it.each<[string, (harness: LimitHarness, ids: readonly string[]) => Promise<unknown>]>([
    ['its own revoke', async (h, [id]) => await h.as('ci', 'DELETE', `${TOKENS}/${id}`)],
    ['an administrator’s revoke', async (h, [id]) => await h.as('admin', 'DELETE', `${TOKENS}/${id}`)],
    [
      'a revoke that is settled by reconciliation',
      async (h, [id]) => {
        await h.control.fault({
          match: { workspace_uuid: h.workspace, method: 'DELETE' },
          times: 2,
          drop: 'after_commit',
        });
        await h.as('ci', 'DELETE', `${TOKENS}/${id}`);
        for (let n = 0; n < 3; n += 1) {
          h.age(180);
          await h.cron();
        }
      },
    ],
    [
      'an order of a webhook',
      async (h, [id]) => await h.sendEvent('scanner', 'token.revoke', { token_id: id, workspace_uuid: h.workspace }),
    ],
    [
      'a leak',
      async (h) => {
        const [token] = await h.upstreamTokens();
        await h.leak(token?.secret ?? '');
      },
    ],
    [
      'a list that shows it revoked',
      async (h, ids) =>
        await list(
          h,
          ids.map((id, n) => wire(id, { is_revoked: n === 0 })),
        ),
    ],
    [
      'two lists that lack it',
      async (h, ids) => {
        for (let n = 0; n < 2; n += 1) {
          h.age(61);
          await list(
            h,
            ids.slice(1).map((id) => wire(id)),
          );
        }
      },
    ],
    [
      'its expiry, which nobody has noted',
      async (h) => {
        h.age(3_601);
        await Promise.resolve();
      },
    ],
  ])('%s', async (_case, end) => {
    const harness = await createLimitHarness();
    const ids = await fill(harness, { expires_in: '1h' });
    expect(codeOf(await harness.create())).toEqual(LIMIT_REACHED);
    await end(harness, ids);
    await harness.cron();
    expect(codeOf(await harness.create())).toEqual(CREATED);
    const { count } = await harness.whoami();
    expect(count).toBeLessThanOrEqual(3);
  });

  it('no end of a token that had expired before: it is not taken off twice', async () => {
    const harness = await createLimitHarness();
    const ids = await fill(harness, { expires_in: '1h' });
    harness.age(3_601);
    await fill(harness);
    expect(codeOf(await harness.create())).toEqual(LIMIT_REACHED);
    for (const id of ids) await harness.as('ci', 'DELETE', `${TOKENS}/${id}`);
    expect(codeOf(await harness.create())).toEqual(LIMIT_REACHED);
    expect(await countOf(harness)).toMatchObject({ live: 3 });
  });

  it('a clock that runs ahead only while it does', async () => {
    const harness = await createLimitHarness();
    await fill(harness, { expires_in: '1h' });
    harness.age(7_200);
    expect(codeOf(await harness.create())).toEqual(CREATED);
    // Put back: the three are alive after all, and the fourth was too many.
    harness.age(-7_200);
    expect(codeOf(await harness.create())).toEqual(LIMIT_REACHED);
    expect(await countOf(harness)).toMatchObject({ live: 4 });
  });
});

describe('no room is taken by a create', () => {
  it.each<[string, object]>([
    ['that PipeOps rejects', { status: 422, body: { success: false, message: 'no' } }],
    ['that PipeOps forbids', { status: 403, body: { success: false, message: 'no' } }],
    ['that PipeOps does not take now', { status: 429, headers: { 'Retry-After': '1' }, body: {} }],
    ['for which our credential is not good', { status: 401, body: {} }],
  ])('%s', async (_case, fault) => {
    const harness = await createLimitHarness();
    await harness.control.fault({ match: { workspace_uuid: harness.workspace, method: 'POST' }, ...fault });
    expect((await harness.create()).status).toBeGreaterThan(400);
    expect(await harness.whoami()).toEqual({ count: 0, limit: 3 });
    expect(await countOf(harness)).toMatchObject({ live: 0, open: 0 });
  });

  it('whose token is withheld, since it is not what was granted', async () => {
    const harness = await createLimitHarness({ runtime: twistedTokens('POST', () => ({ scopes: ['*'] })) });
    expect((await harness.create()).status).toBe(502);
    expect(await countOf(harness)).toMatchObject({ live: 0, open: 0 });
  });

  it('whose token is withheld, since D1 did not take its outcome', async () => {
    const { db } = failingBatches((batch) => batch > 1 && batch < 5);
    const harness = await createLimitHarness({ db, runtime: { sleep: async () => {} } });
    expect((await harness.create()).status).toBe(503);
    expect(await countOf(harness)).toMatchObject({ live: 0, open: 0 });
  });

  it('that policy refuses', async () => {
    const harness = await createLimitHarness();
    await harness.create('ci', { scopes: ['api:full'] });
    expect(await countOf(harness)).toBeNull();
  });

  it('of an offboarded caller', async () => {
    const harness = await createLimitHarness();
    await harness.offboard({ issuer: ISSUER, subject: `ci-${harness.subject}`, mode: 'suspend' });
    expect(codeOf(await harness.create())).toEqual([403, 'subject_blocked']);
    expect(await countOf(harness)).toMatchObject({ live: 0, open: 0 });
  });
});

describe('a create whose outcome is unknown', () => {
  it.each<[string, 'before_commit' | 'after_commit', string]>([
    ['and that was not applied', 'before_commit', 'not_applied'],
    ['and whose token is found', 'after_commit', 'undelivered'],
  ])('takes room until it is settled: one %s', async (_case, drop, code) => {
    const harness = await createLimitHarness();
    // A list proves something only where it shows a marker of ours.
    expect((await harness.create('ci')).status).toBe(201);
    await harness.control.fault({ match: { workspace_uuid: harness.workspace, method: 'POST' }, drop });
    expect((await harness.create()).status).toBe(504);
    expect(await harness.whoami()).toEqual({ count: 2, limit: 3 });
    expect(codeOf(await harness.create())).toEqual(CREATED);
    expect(codeOf(await harness.create())).toEqual(LIMIT_REACHED);
    for (let n = 0; n < 3; n += 1) {
      harness.age(180);
      await harness.cron();
    }
    expect((await harness.rows()).filter(({ error_code }) => error_code === code)).toHaveLength(1);
    expect(await harness.whoami()).toEqual({ count: 2, limit: 3 });
    expect(codeOf(await harness.create())).toEqual(CREATED);
  });
});

it('a token that reappears takes its room again, even where there is none', async () => {
  const harness = await createLimitHarness();
  const [id = ''] = await fill(harness);
  await harness.as('ci', 'DELETE', `${TOKENS}/${id}`);
  expect(codeOf(await harness.create())).toEqual(CREATED);
  expect(await countOf(harness)).toMatchObject({ live: 3 });
  // PipeOps had said 2xx and revoked nothing.
  harness.age(120);
  const shown = (await harness.upstreamTokens()).map((token) => ({ ...token, secret: undefined, is_revoked: false }));
  await harness.control.fault({
    match: { workspace_uuid: harness.workspace, method: 'GET', path_contains: TOKENS },
    body: { success: true, message: '', data: { tokens: shown, total: shown.length } },
  });
  await harness.as('admin', 'GET', TOKENS);
  expect((await harness.inventory()).filter(({ revoked_at }) => revoked_at === null)).toHaveLength(4);
  expect(await countOf(harness)).toMatchObject({ live: 4 });
  expect(codeOf(await harness.create())).toEqual(LIMIT_REACHED);
});

describe('creates at once', () => {
  it.each([
    ['one isolate', 1, 0],
    ['one isolate, near the limit', 1, 2],
    ['two isolates', 2, 0],
    ['two isolates, near the limit', 2, 2],
  ])('never pass the limit: %s', async (_case, isolates, held) => {
    const first = await createLimitHarness();
    const second = await createLimitHarness({ like: first });
    for (let n = 0; n < held; n += 1) await first.create();
    const answers = await Promise.all(
      Array.from({ length: 12 }, async (_, n) => await (n % isolates === 0 ? first : second).create()),
    );
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(3 - held);
    for (const answer of answers) expect([CREATED, LIMIT_REACHED]).toContainEqual(codeOf(answer));
    expect(await first.upstreamTokens()).toHaveLength(3);
    expect(await countOf(first)).toMatchObject({ live: 3, open: 0 });
    expect((await first.rows()).filter(({ status }) => status === 'success')).toHaveLength(3);
    // Of those beyond ten in a minute one row says how many they are.
    for (const { body } of answers.filter(({ status }) => status === 403)) {
      const row = await env.DB.prepare('select status, error_code from audit_events where id = ?')
        .bind(body.event_id)
        .first();
      expect(row).toEqual({ status: 'failure', error_code: 'token_limit_reached' });
    }
  });

  it('take no room from each other where policy refuses them in any case', async () => {
    const harness = await createLimitHarness();
    await harness.create();
    await harness.create();
    const refused = Array.from({ length: 5 }, async () => await harness.create('ci', { scopes: ['api:full'] }));
    const [good, ...others] = await Promise.all([harness.create(), ...refused]);
    expect(codeOf(good)).toEqual(CREATED);
    for (const other of others) expect(codeOf(other)).toEqual([403, 'forbidden']);
  });
});

describe('with an idempotency key, a create', () => {
  const keyed = async (harness: LimitHarness, key: string) =>
    await harness.create('ci', {}, { headers: { 'Idempotency-Key': key } });

  it('is answered again at the limit: a repeat mints nothing', async () => {
    const harness = await createLimitHarness();
    await harness.create();
    await harness.create();
    const first = await keyed(harness, 'one');
    const again = await keyed(harness, 'one');
    expect(codeOf(again)).toEqual(CREATED);
    expect(again.body.data).toEqual(first.body.data);
    expect(again.headers.get('Idempotency-Replayed')).toBe('true');
    expect(codeOf(await keyed(harness, 'another'))).toEqual(LIMIT_REACHED);
    expect(await countOf(harness)).toMatchObject({ live: 3, open: 0 });
  });

  it('takes room once, however often it is sent at once', async () => {
    const harness = await createLimitHarness();
    await harness.create();
    const sent = await Promise.all(Array.from({ length: 8 }, async () => await keyed(harness, 'one')));
    expect(sent.map(codeOf)).not.toContainEqual(LIMIT_REACHED);
    expect(codeOf(await harness.create())).toEqual(CREATED);
    expect(codeOf(await harness.create())).toEqual(LIMIT_REACHED);
  });

  it('that was refused at the limit frees its key for when there is room', async () => {
    const harness = await createLimitHarness();
    const [id] = await fill(harness);
    expect(codeOf(await keyed(harness, 'one'))).toEqual(LIMIT_REACHED);
    await harness.as('ci', 'DELETE', `${TOKENS}/${id}`);
    expect(codeOf(await keyed(harness, 'one'))).toEqual(CREATED);
  });
});

describe('of several roles', () => {
  const permissions = ['tokens:create', 'tokens:revoke'];
  const roles = {
    small: { permissions, workspaces: ['*'], scopes: ['api:read'], maxTokens: 1 },
    large: { permissions, workspaces: ['*'], scopes: ['api:read'], maxTokens: 2 },
    elsewhere: { permissions, workspaces: ['e15e0000-0000-4000-8000-000000000000'], scopes: ['*'], maxTokens: 9 },
  };

  it('the first that has room allows, and the most that any allows is the limit', async () => {
    const harness = await createLimitHarness({ roles });
    const jwt = await harness.jwt('small', { role: ['small', 'large', 'elsewhere'] });
    const create = async () => await harness.create('small', {}, { jwt });
    expect((await harness.send('GET', '/api/v1/whoami', { jwt })).body.data.live_tokens).toEqual({
      count: 0,
      limit: 9,
    });
    expect([codeOf(await create()), codeOf(await create())]).toEqual([CREATED, CREATED]);
    const rows = await harness.rows();
    expect(rows.map(outcomeOf)).toMatchObject([{ role: 'small' }, { role: 'large' }]);
    const refused = await create();
    expect(codeOf(refused)).toEqual(LIMIT_REACHED);
    expect(refused.body.message).toContain('(2)');
    // What `elsewhere` allows, it allows there.
    const body = { name: 'deploy', scopes: ['api:read'] };
    const path = `${TOKENS}?workspace_uuid=${roles.elsewhere.workspaces[0]}`;
    expect((await harness.send('POST', path, { jwt, body })).status).toBe(201);
  });
});
