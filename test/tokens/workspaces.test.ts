import { env } from 'cloudflare:workers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WORKSPACES_SHOWN_MAX_COUNT } from '../../src/config/limits.ts';
import { createDatabase } from '../../src/db/database.ts';
import { workerRuntime } from '../../src/worker-runtime.ts';
import { selectWorkspacesInUse } from '../../src/tokens/workspaces.ts';
import { rowsOf } from '../security/expectations.ts';
import { createRecordingD1 } from '../security/statements.ts';
import { TOKENS, type Answer } from '../support/harness.ts';
import { createWebhookHarness, type WebhookHarness } from '../revocation/harness.ts';

// PipeOps' CLI, MCP server and SDK ask for `GET /workspace` first, and take the first of what they get.

const SHOP = '5409a4ae-0000-4000-8000-000000000001';
const BANK = 'ba4ca4ae-0000-4000-8000-000000000002';
/** In use, and first among those that are. */
const USED = '00000000-0000-4000-8000-000000000001';
const GONE = '00000000-0000-4000-8000-000000000002';
const ALL = ['tokens:create', 'tokens:read', 'tokens:update', 'tokens:revoke'];
const recording = createRecordingD1();

let harness: WebhookHarness;
beforeAll(async () => {
  const workspace = crypto.randomUUID();
  harness = await createWebhookHarness({
    db: recording.db,
    env: { PIPEOPS_WORKSPACE_UUID: workspace },
    roles: {
      shop: { permissions: ALL, workspaces: [SHOP], scopes: ['*'] },
      home: { permissions: ALL, workspaces: [SHOP, workspace], scopes: ['*'] },
      bank: { permissions: ['tokens:revoke'], workspaces: [BANK] },
      anywhere: { permissions: ['tokens:read'], workspaces: ['*'] },
      auditor: { permissions: ['audit:read'], tokens: 'any', workspaces: ['*'] },
    },
  });
  harness = { ...harness, workspace };
  const insert = env.DB.prepare('insert into tokens (workspace_uuid, token_id, created_at) values (?, ?, 1)');
  await env.DB.batch([USED, USED, GONE].map((uuid) => insert.bind(uuid, crypto.randomUUID())));
  await env.DB.prepare(
    `insert into workspaces (workspace_uuid, generation, lease_until, list_state) values (?, 1, 0, 'unavailable')`,
  )
    .bind(GONE)
    .run();
});

afterAll(async () => {
  const uuids = [USED, GONE];
  await env.DB.batch(
    ['tokens', 'workspaces'].flatMap((table) =>
      uuids.map((uuid) => env.DB.prepare(`delete from ${table} where workspace_uuid = ?`).bind(uuid)),
    ),
  );
});

const ask = async (role: string | readonly string[], claims: object = {}): Promise<Answer> => {
  recording.statements.length = 0;
  return await harness.send('GET', '/workspace', { jwt: await harness.jwtFor('x', { sub: 'dev', role, ...claims }) });
};
const uuids = ({ body }: Answer): readonly string[] => body.data.workspaces.map(({ uuid }: { uuid: string }) => uuid);

describe('GET /workspace', () => {
  it('answers in the form that the SDK decodes', async () => {
    const answer = await ask('shop');
    expect([answer.status, answer.body]).toEqual([
      200,
      {
        success: true,
        message: 'Workspaces that you may use here.',
        data: { workspaces: [{ id: SHOP, uuid: SHOP, name: SHOP }] },
      },
    ]);
    expect(answer.headers.get('Cache-Control')).toBe('no-store');
  });

  it('names the default first where the caller may use it, and not where it may not', async () => {
    expect(uuids(await ask('home'))).toEqual([harness.workspace, SHOP]);
    expect(uuids(await ask(['shop', 'bank']))).toEqual([SHOP, BANK]);
    expect(uuids(await ask(['bank', 'home']))).toEqual(
      [harness.workspace, SHOP, BANK].toSorted(first(harness.workspace)),
    );
  });

  it('names to a role for all workspaces the default, those of the policy, webhooks included, and those in use', async () => {
    const named = uuids(await ask('anywhere'));
    expect(named[0]).toBe(harness.workspace);
    expect(named).toEqual(expect.arrayContaining([SHOP, BANK, 'e15e0000-0000-4000-8000-000000000000', USED]));
    expect(named).not.toContain('*');
    expect(new Set(named).size).toBe(named.length);
  });

  it('names no workspace that PipeOps does not know, nor one that a caller made up', async () => {
    const madeUp = '00000000-0000-4000-8000-00000000dead';
    await harness.send('GET', `${TOKENS}?workspace_uuid=${madeUp}`);
    const named = uuids(await ask('anywhere'));
    expect(named).not.toContain(GONE);
    expect(named).not.toContain(madeUp);
  });

  it('tells a caller with named workspaces nothing of others, and does not ask D1 for them', async () => {
    await ask('shop');
    expect(recording.statements.filter((statement) => statement.includes('from "tokens"'))).toEqual([]);
    expect(uuids(await ask('shop'))).toEqual([SHOP]);
  });

  it('names none to a caller that only reads the trail', async () => {
    expect((await ask('auditor')).body.data).toEqual({ workspaces: [] });
  });

  it('is logged, like whoami, and reaches neither the trail nor PipeOps', async () => {
    await harness.control.clearRequests({ credential: harness.credential });
    const answer = await ask('anywhere');
    expect(await rowsOf(answer)).toEqual([]);
    expect(harness.lines.at(-1)).toMatchObject({
      event: 'request',
      route: '/workspace',
      subject: 'dev',
      status: 200,
      decision: 'allowed',
    });
    expect(await harness.control.requests({ credential: harness.credential })).toEqual([]);
  });

  it('refuses a leaver, and that is in the trail', async () => {
    await harness.offboard({ issuer: harness.issuer.issuer, subject: 'leaver' });
    const answer = await ask('anywhere', { sub: 'leaver' });
    expect([answer.status, answer.body.code]).toEqual([403, 'subject_blocked']);
    expect(await rowsOf(answer)).toMatchObject([
      { action: 'workspace.list', status: 'failure', error_code: 'subject_blocked', actor_subject: 'leaver' },
    ]);
  });

  it.each(['POST', 'PUT', 'DELETE'])('takes no %s', async (method) => {
    const answer = await harness.send(method, '/workspace', method === 'DELETE' ? {} : { body: { name: 'x' } });
    expect([answer.status, answer.headers.get('Allow')]).toEqual([405, 'GET']);
  });

  it('is there for callers alone', async () => {
    expect((await harness.send('GET', '/workspace', { jwt: null })).status).toBe(401);
    for (const path of ['/workspace/', '/workspace/fetch/x', '/Workspace']) {
      expect((await harness.send('GET', path)).status).toBe(404);
    }
  });
});

it('the rows read are bounded, however many workspaces and tokens there are', async () => {
  await env.DB.prepare(
    `insert into tokens (workspace_uuid, token_id, created_at)
     select printf('00000000-0000-4000-9000-%012d', value / 10), 'token-' || value, 1 from json_each(?)`,
  )
    .bind(JSON.stringify(Array.from({ length: 5_000 }, (_row, index) => index)))
    .run();
  const database = createDatabase(env.DB, { ...workerRuntime, log: () => {} });
  const { sql, params } = selectWorkspacesInUse(database).toSQL();
  const { results, meta } = await env.DB.prepare(sql)
    .bind(...params)
    .all();
  expect(results.length).toBeLessThanOrEqual(WORKSPACES_SHOWN_MAX_COUNT);
  expect(results.length).toBeGreaterThan(WORKSPACES_SHOWN_MAX_COUNT - 5);
  expect(meta.rows_read).toBeLessThan(5 * WORKSPACES_SHOWN_MAX_COUNT);
  await env.DB.prepare(`delete from tokens where workspace_uuid like '00000000-0000-4000-9000-%'`).run();
});

describe('`workspace`, the other name of `workspace_uuid`', () => {
  const OTHER = crypto.randomUUID();
  const BODY = { name: 'deploy', scopes: ['api:read'] };

  it('names the workspace of all five operations', async () => {
    const query = `?workspace=${OTHER}`;
    const created = await harness.send('POST', `${TOKENS}${query}`, { body: BODY });
    expect([created.status, created.body.data.workspace_id]).toEqual([201, OTHER]);
    const path = `${TOKENS}/${created.body.data.id}`;
    const listed = await harness.send('GET', `${TOKENS}${query}`);
    expect(listed.body.data.tokens).toMatchObject([{ uuid: created.body.data.id }]);
    expect((await harness.send('GET', `${path}${query}`)).status).toBe(200);
    expect((await harness.send('PATCH', `${path}${query}`, { body: { name: 'other' } })).status).toBe(200);
    const revoked = await harness.send('DELETE', `${path}${query}`);
    expect(revoked.status).toBe(200);
    expect(await rowsOf(revoked)).toMatchObject([{ workspace_uuid: OTHER, status: 'success' }]);
    expect((await harness.control.requests({ workspace_uuid: OTHER })).length).toBeGreaterThanOrEqual(5);
  });

  it.each([
    ['both in the query', `?workspace=${OTHER}&workspace_uuid=${SHOP}`, {}, 'workspace_uuid'],
    ['twice in the query', `?workspace=${OTHER}&workspace=${SHOP}`, {}, 'workspace'],
    ['in query and body', `?workspace=${OTHER}`, { workspace_uuid: SHOP }, 'workspace_uuid'],
    ['in body and query', `?workspace_uuid=${OTHER}`, { workspace: SHOP }, 'workspace_uuid'],
    ['both in the body', '', { workspace: OTHER, workspace_uuid: SHOP }, 'workspace_uuid'],
  ])('given with different values is 400: %s', async (_case, query, fields, named) => {
    const answer = await harness.send('POST', `${TOKENS}${query}`, { body: { ...BODY, ...fields } });
    expect([answer.status, answer.body.message]).toEqual([
      400,
      `${named}: give one workspace: this request names several.`,
    ]);
  });

  it.each([`?workspace=&workspace_uuid=${SHOP}`, `?workspace=${SHOP}&workspace_uuid=`])(
    'given where one of them is empty is 400, since a variable was not set: %s',
    async (query) => {
      const { status, body } = await harness.send('POST', `${TOKENS}${query}`, { body: BODY });
      expect([status, body.code]).toEqual([400, 'invalid_request']);
      expect(body.message).toMatch(/^workspace(_uuid)?: use the id of a workspace: /);
    },
  );

  it('given with one value is one workspace, and the same request to a key', async () => {
    const headers = { 'Idempotency-Key': crypto.randomUUID() };
    const queries = [`?workspace=${OTHER}`, `?workspace_uuid=${OTHER}`];
    const answers = [];
    for (const query of queries) answers.push(await harness.send('POST', `${TOKENS}${query}`, { body: BODY, headers }));
    expect(answers.map(({ status }) => status)).toEqual([201, 201]);
    expect(answers[1]?.body.data.id).toBe(answers[0]?.body.data.id);
    const both = { ...BODY, workspace: OTHER, workspace_uuid: OTHER };
    expect((await harness.send('POST', `${TOKENS}?workspace=${OTHER}`, { body: both })).status).toBe(201);
  });

  it('that is no workspace is 400 under its own name', async () => {
    const answer = await harness.send('GET', `${TOKENS}?workspace=..%2Fx`);
    expect([answer.status, Object.keys(answer.body.errors)]).toEqual([400, ['workspace']]);
  });

  it('is in the row of a denial that came before the request was read', async () => {
    const jwt = await harness.jwtFor('auditor');
    const denied = await harness.send('GET', `${TOKENS}?workspace=${OTHER}`, { jwt });
    expect(denied.status).toBe(403);
    expect(await rowsOf(denied)).toMatchObject([{ workspace_uuid: OTHER, error_code: 'forbidden' }]);
  });
});

/** Sorts one text to the front and leaves the others as they are. */
const first = (text: string) => (a: string, b: string) => Number(b === text) - Number(a === text);
