import { env } from 'cloudflare:workers';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { encodePlace } from '../../../src/inventory/query/params.ts';
import { sha256Hex } from '../../../src/kit/digest.ts';
import { clearOrders, createWebhookHarness, type WebhookHarness } from '../../revocation/harness.ts';
import { badRequest, expectRefused, rowsOf } from '../../security/expectations.ts';
import { askedIn } from '../../support/audit-detail.ts';
import { failingBatches } from '../../support/failing-batches.ts';
import { type Answer, createHarness, FINGERPRINT_KEYS, ISSUER, TOKENS } from '../../support/harness.ts';
import { createTestIssuer } from '../../support/issuer.ts';

// `GET /api/v1/inventory`: which tokens a caller may see, with what was granted to them. `page.test.ts` says what each filter finds.

const INVENTORY = '/api/v1/inventory';
const ELSEWHERE = 'e15e0000-0000-4000-8000-000000000000';
const owner = {
  permissions: ['tokens:create', 'tokens:read', 'tokens:revoke'],
  tokens: 'own',
  workspaces: ['*'],
  scopes: ['*'],
};
const roles = {
  owner: { ...owner, maxTtl: '30d' },
  'owner-there': { ...owner, workspaces: [ELSEWHERE] },
  'any-there': { ...owner, tokens: 'any', workspaces: [ELSEWHERE] },
};

let harness: WebhookHarness;
/** The owner of this test's tokens, and a label of its own. */
let me: { sub: string; email: string };
beforeAll(async () => {
  harness = await createWebhookHarness({ roles, policy: { presets: { sandbox: ['api:read', 'logs:read'] } } });
});
beforeEach(() => {
  const sub = `owner-${crypto.randomUUID()}`;
  me = { sub, email: `${sub}@Acme.example` };
});

const create = async (body: object, role = 'owner', workspace = harness.workspace): Promise<Record<string, string>> => {
  const path = `${TOKENS}?workspace_uuid=${workspace}`;
  const answer = await harness.send('POST', path, {
    jwt: await harness.jwtFor(role, me),
    body: { name: 'deploy', ...body },
  });
  expect(answer.status, answer.text).toBe(201);
  return { ...answer.body.data, event: answer.headers.get('X-Audit-Event-Id') };
};
const mint = async (role?: string, workspace?: string): Promise<string> =>
  (await create({ scopes: ['api:read'] }, role, workspace))['id']!;
const ask = async (query: Record<string, string> = {}, role: string | readonly string[] = 'owner'): Promise<Answer> =>
  await harness.send('GET', `${INVENTORY}?${new URLSearchParams(query).toString()}`, {
    jwt: await harness.jwtFor('owner', { ...me, role }),
  });
const ids = ({ body }: Answer): string[] => body.data.map(({ id }: { id: string }) => id);

describe('an item of the inventory', () => {
  it('says whose a token is, what was granted to it, and how it ages', async () => {
    const minted = await create({ preset: 'sandbox', expires_in: '10d' });
    const answer = await ask();
    expect(answer.body).toMatchObject({ success: true, pagination: { next_cursor: null } });
    expect(answer.body).not.toHaveProperty('partial');
    expect(answer.body.data).toEqual([
      {
        id: minted['id'],
        uuid: minted['id'],
        workspace_uuid: harness.workspace,
        name: 'deploy',
        token_prefix: minted['token_prefix'],
        scopes: ['api:read', 'logs:read'],
        owner: { issuer: ISSUER, subject: me.sub, label: me.email.toLowerCase() },
        role: 'owner',
        policy_version: harness.policyVersion,
        created_at: expect.any(String),
        expires_at: minted['expires_at'],
        last_used_at: null,
        state: 'active',
        usage: 'unknown',
        suspended_by: [],
        replaces: null,
        replaced_by: null,
        retires_at: null,
        create_event_id: minted['event'],
      },
    ]);
    expect(await ask({ state: 'active,retiring', role: 'owner', scope: 'logs:read' })).toMatchObject({
      body: { data: answer.body.data },
    });
  });

  it('goes on after a token has ended, and says why one is suspended', async () => {
    const [ended, suspended] = [await mint(), await mint()];
    await harness.send('DELETE', `${TOKENS}/${ended}`, { jwt: await harness.jwtFor('owner', me) });
    await harness.send('PATCH', `${TOKENS}/${suspended}`, { body: { is_active: false } });
    const states = (await ask()).body.data.map((one: Record<string, unknown>) => [one['state'], one['suspended_by']]);
    expect(states).toEqual([
      ['suspended', ['administrator']],
      ['revoked', []],
    ]);
  });

  it('of a token that appeared at PipeOps has no owner, and nothing that was granted', async () => {
    const workspace = crypto.randomUUID();
    const { id } = await harness.control.insertToken({ workspace_uuid: workspace, name: 'by hand' });
    await harness.send('GET', `${TOKENS}?workspace_uuid=${workspace}`);
    const answer = await harness.send('GET', `${INVENTORY}?workspace_uuid=${workspace}&owner=none`);
    expect(answer.body.data).toMatchObject([
      { id, name: 'by hand', owner: null, scopes: null, role: null, usage: 'unknown' },
    ]);
  });
});

describe('whom it shows', () => {
  it('to an owner its own tokens of each workspace, and to an administrator those of everybody', async () => {
    const [here, there] = [await mint(), await mint('owner-there', ELSEWHERE)];
    const others = { ...me, sub: `${me.sub}-2` };
    expect(ids(await ask())).toEqual([there, here]);
    expect(ids(await ask({ owner: `${ISSUER}|${others.sub}` }))).toEqual([]);
    expect(ids(await ask({}, 'owner-there'))).toEqual([there]);
    expect(ids(await ask({ owner: 'me' }, 'admin'))).toEqual([there, here]);
    me = others;
    const further = await mint();
    expect(ids(await ask())).toEqual([further]);
    expect(ids(await ask({ limit: '3' }, 'admin'))).toEqual([further, there, here]);
    // One role shows any token there, another its own here.
    expect(ids(await ask({ limit: '2' }, ['any-there', 'owner']))).toEqual([further, there]);
  });

  it('nobody who does not read in the workspace that is named', async () => {
    const row = {
      action: 'inventory.query' as const,
      workspace_uuid: harness.workspace,
      token_id: 't-1',
      outcome: JSON.stringify({ reason: 'workspace' }),
    };
    const query = { workspace: harness.workspace, token_id: 't-1' };
    await expectRefused(harness, async () => await ask(query, 'any-there'), { status: 403, code: 'forbidden', row });
  });

  it('nobody who was offboarded', async () => {
    await clearOrders();
    await mint();
    await harness.offboard({ issuer: ISSUER, subject: me.sub });
    const answer = await ask();
    expect([answer.status, answer.body.code, answer.body.data]).toEqual([403, 'subject_blocked', undefined]);
    expect(await rowsOf(answer)).toMatchObject([{ action: 'inventory.query', error_code: 'subject_blocked' }]);
  });
});

describe('whose secret it is', () => {
  it('is found by its SHA-256 under every key, and by its owner or an administrator alone', async () => {
    const { id, token = '' } = await create({ scopes: ['api:read'] });
    const sha256 = await sha256Hex(token);
    const rotated = await createHarness({
      like: harness,
      roles,
      env: { FINGERPRINT_KEYS: `k2:${btoa('another-fingerprint-key-of-tests-')},${FINGERPRINT_KEYS}` },
    });
    const whose = async (jwt: string, hash: string): Promise<unknown> =>
      ids(await rotated.send('GET', `${INVENTORY}?token_sha256=${hash}`, { jwt }));
    expect(await whose(await harness.jwtFor('admin'), sha256.toUpperCase())).toEqual([id]);
    expect(await whose(await harness.jwtFor('owner', me), sha256)).toEqual([id]);
    expect(await whose(await harness.jwtFor('owner', { sub: 'another' }), sha256)).toEqual([]);
    expect(await whose(await harness.jwtFor('admin'), await sha256Hex('another'))).toEqual([]);

    const answer = await ask({ token_sha256: sha256, token_id: id! });
    expect(ids(answer)).toEqual([id]);
    const [row] = await rowsOf(answer);
    expect([row?.token_id, askedIn(row)]).toEqual([id, { token_sha256: true, limit: 50 }]);
    expect(JSON.stringify((await env.DB.prepare('select * from audit_events').all()).results)).not.toContain(sha256);
  });
});

describe('its parameters', () => {
  const secret = `sat_${'x'.repeat(40)}`;
  it.each<[Record<string, string>, 'invalid_request' | 'validation_failed', string]>([
    [{ q: 'x' }, 'invalid_request', 'q'],
    [{ owner: 'somebody' }, 'invalid_request', 'owner'],
    [{ owner: '|somebody' }, 'invalid_request', 'owner'],
    [{ state: 'active,gone' }, 'invalid_request', 'state'],
    [{ usage: '' }, 'invalid_request', 'usage'],
    [{ token_sha256: 'abc' }, 'invalid_request', 'token_sha256'],
    [{ created_from: 'yesterday' }, 'invalid_request', 'created_from'],
    [{ expires_from: '2026-02-01T00:00:00Z', expires_to: '2026-01-01T00:00:00Z' }, 'invalid_request', 'expires_to'],
    [{ expires_to: '2026-01-01T00:00:00Z', state: 'active,revoked' }, 'invalid_request', 'state'],
    [{ limit: '201' }, 'invalid_request', 'limit'],
    [{ limit: '0' }, 'invalid_request', 'limit'],
    [{ workspace_uuid: '' }, 'invalid_request', 'workspace_uuid'],
    [{ workspace_uuid: ELSEWHERE, workspace: 'other' }, 'invalid_request', 'workspace_uuid'],
    [{ cursor: 'WyJ3Il0' }, 'invalid_request', 'cursor'],
    [{ cursor: encodePlace({ workspaceUuid: 'w', tokenId: 't', dueMs: 1 }) }, 'invalid_request', 'cursor'],
    [
      { cursor: encodePlace({ workspaceUuid: 'w', tokenId: 't', dueMs: null }), expires_from: '2026-01-01T00:00:00Z' },
      'invalid_request',
      'cursor',
    ],
    [{ cursor: encodePlace({ workspaceUuid: secret, tokenId: 't', dueMs: null }) }, 'invalid_request', 'cursor'],
    ...[
      'owner',
      'label',
      'token_name',
      'token_id',
      'token_prefix',
      'role',
      'scope',
      'replaces',
      'token_sha256',
      'workspace',
    ].map((name): [Record<string, string>, 'validation_failed', string] => [
      { [name]: secret },
      'validation_failed',
      name,
    ]),
  ])('%j is refused as %s, which names %s', async (query, code, field) => {
    await expectRefused(harness, async () => await ask(query), badRequest(code, [field]));
  });

  it('are in its row, but for a workspace and a token, which have columns', async () => {
    const query = {
      owner: 'me',
      label: me.email,
      state: 'revoked,active',
      usage: 'unused',
      created_from: '2026-01-01T01:00:00+01:00',
      replaced_by: 't-2',
      limit: '7',
    };
    const answer = await ask({ ...query, workspace_uuid: harness.workspace, token_id: 't-1' });
    const again = await ask({ ...query, workspace_uuid: harness.workspace, token_id: 't-1' });
    const [row] = await rowsOf(again);
    expect(again.headers.get('X-Audit-Event-Id')).toBe(answer.headers.get('X-Audit-Event-Id'));
    expect(row).toMatchObject({
      action: 'inventory.query',
      status: 'success',
      count: 2,
      actor_subject: me.sub,
      workspace_uuid: harness.workspace,
      token_id: 't-1',
    });
    expect(askedIn(row)).toEqual({
      ...query,
      state: ['active', 'revoked'],
      usage: ['unused'],
      created_from: '2026-01-01T00:00:00.000Z',
      limit: 7,
    });
  });

  it('fit into its row however long they are', async () => {
    const issuer = await createTestIssuer({ issuer: `https://${'i'.repeat(60)}.example/${'p'.repeat(51)}` });
    const reader = 'r'.repeat(64);
    const longest = await createHarness({ issuer, roles: { [reader]: { ...owner, tokens: 'any' } } });
    const id = 't'.repeat(128);
    const time = '2026-01-01T00:00:00Z';
    const query = {
      workspace_uuid: 'W'.repeat(128),
      owner: `${'"'.repeat(128)}|${'"'.repeat(128)}`,
      label: '"'.repeat(320),
      role: 'r'.repeat(64),
      policy_version: '0'.repeat(16),
      scope: `a:${'b'.repeat(30)}`,
      token_name: '"'.repeat(96),
      token_id: id,
      token_prefix: 'sat_abcdefghijk',
      token_sha256: '0'.repeat(64),
      state: 'active,retiring,suspended,expired',
      usage: 'unknown,never_used,recent,unused',
      ...Object.fromEntries(['created', 'expires', 'last_used'].map((name) => [`${name}_from`, time])),
      ...Object.fromEntries(['created', 'expires', 'last_used'].map((name) => [`${name}_to`, '2027-01-01T00:00:00Z'])),
      replaces: id,
      replaced_by: id,
      limit: '200',
      cursor: encodePlace({ workspaceUuid: 'W'.repeat(128), tokenId: id, dueMs: 1_796_000_000_000 }),
    };
    const answer = await longest.send('GET', `${INVENTORY}?${new URLSearchParams(query).toString()}`, {
      jwt: await longest.jwtFor(reader, { sub: 's'.repeat(128), email: 'e'.repeat(96) }),
      headers: {
        'User-Agent': 'U'.repeat(200),
        'X-Request-Id': 'x'.repeat(64),
        'CF-Connecting-IP': '2001:0db8:85a3:0000:0000:8a2e:192.168.100.100',
      },
    });
    expect(answer.status, answer.text).toBe(200);
    const [row] = await rowsOf(answer);
    const asked = askedIn(row);
    expect(Object.keys(asked)).toHaveLength(Object.keys(query).length - 2);
    expect(asked).toMatchObject({ created_from: '2026-01-01T00:00:00.000Z', token_prefix: query.token_prefix });
    const bytes = Object.values(row ?? {}).map((value) =>
      typeof value === 'string' ? new TextEncoder().encode(value).length : 8,
    );
    expect(bytes.reduce((sum, size) => sum + size, 0)).toBeLessThanOrEqual(2_048);
  });
});

describe('its pages', () => {
  it('go on from a cursor, and show each token once, whatever is created and ends between them', async () => {
    const minted = [await mint(), await mint(), await mint(), await mint(), await mint()].toReversed();
    const first = await ask({ limit: '2' });
    await mint();
    await harness.send('DELETE', `${TOKENS}/${minted[1]}`, { jwt: await harness.jwtFor('owner', me) });
    const second = await ask({ limit: '2', cursor: first.body.pagination.next_cursor });
    const third = await ask({ limit: '2', cursor: second.body.pagination.next_cursor });
    expect([first, second, third].flatMap(ids)).toEqual(minted);
    expect([third.body.pagination.next_cursor, third.body.partial]).toEqual([null, undefined]);
    expect(askedIn((await rowsOf(second))[0])).toEqual({ limit: 2, after: `${harness.workspace}|${minted[1]}` });
    // As many as there are is the last page too.
    expect((await ask({ limit: '6' })).body.pagination.next_cursor).toBeNull();
  });

  it('go on in the order of expiry', async () => {
    for (const days of [5, 1, 9, 5, 5]) await create({ scopes: ['api:read'], expires_at: at(days) });
    const expiries: string[] = [];
    let cursor: Record<string, string> = {};
    do {
      const { body } = await ask({ expires_to: at(8), limit: '2', ...cursor });
      expiries.push(...body.data.map((one: Record<string, string>) => one['expires_at']));
      cursor = { cursor: body.pagination.next_cursor };
    } while (cursor['cursor'] !== null);
    expect(expiries).toEqual([1, 5, 5, 5].map(at));
  });

  it('behind a token that the caller does not see do not pass for the end', async () => {
    const theirs = await mint();
    me = { ...me, sub: `${me.sub}-2` };
    await mint();
    for (const tokenId of [theirs, 'none-such']) {
      const { body } = await ask({ cursor: encodePlace({ workspaceUuid: harness.workspace, tokenId, dueMs: null }) });
      expect([body.data, body.pagination.next_cursor, body.partial]).toEqual([[], null, true]);
    }
  });
});

const TODAY_MS = Date.now() - (Date.now() % 1_000);
const at = (days: number): string => new Date(TODAY_MS + days * 24 * 60 * 60 * 1000).toISOString();

describe('what it knows of PipeOps', () => {
  it('is as old as the last list that was answered, or nothing', async () => {
    const sharing = await createHarness({ env: { SNAPSHOT_MAX_AGE_SECONDS: '15' } });
    const { workspace } = sharing;
    const known = async (): Promise<unknown> =>
      (await sharing.send('GET', `${INVENTORY}?workspace_uuid=${workspace}`)).body.knowledge;
    expect(await known()).toEqual([{ workspace_uuid: workspace, listed_at: null, list_state: null }]);

    await sharing.mint();
    await sharing.send('GET', TOKENS);
    const begun = await env.DB.prepare('select begun_at from snapshots where workspace_uuid = ?')
      .bind(workspace)
      .first<number>('begun_at');
    const listed_at = new Date(begun ?? 0).toISOString();
    expect(await known()).toEqual([{ workspace_uuid: workspace, listed_at, list_state: 'complete' }]);
    // Of all workspaces, those on the page.
    const all = await sharing.send('GET', `${INVENTORY}?limit=1`);
    expect(all.body.knowledge).toEqual(await known());

    // A list that was asked for and not answered makes nothing newer.
    await env.DB.batch(
      [
        `update workspaces set listed_at = ${Date.now() + 1}, list_state = 'partial', list_state_at = 86400000 where workspace_uuid = ?`,
        'delete from snapshots where workspace_uuid = ?',
      ].map((statement) => env.DB.prepare(statement).bind(workspace)),
    );
    expect(await known()).toEqual([
      { workspace_uuid: workspace, listed_at: '1970-01-02T00:00:00.000Z', list_state: 'partial' },
    ]);
  });

  it('is not asked for, and without D1 there is no answer', async () => {
    const { db } = failingBatches(() => true);
    const down = await createHarness({ like: harness, roles, db });
    await harness.control.clearRequests({ credential: harness.credential });
    const answer = await down.send('GET', INVENTORY, { jwt: await harness.jwtFor('admin') });
    expect([answer.status, answer.body.code, answer.body.data]).toEqual([503, 'audit_unavailable', undefined]);
    expect((await ask({}, 'admin')).status).toBe(200);
    expect(await harness.control.requests({ credential: harness.credential })).toEqual([]);
  });
});
