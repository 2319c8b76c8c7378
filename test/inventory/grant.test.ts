import { env } from 'cloudflare:workers';
import { sql } from 'drizzle-orm';
import { beforeAll, describe, expect, it } from 'vitest';
import { createDatabase } from '../../src/db/database.ts';
import type { TokenRow } from '../../src/db/schema.ts';
import { grantColumns, nextNoticeMs } from '../../src/inventory/grant.ts';
import { insertToken } from '../../src/inventory/inventory.ts';
import { newTrace } from '../../src/kit/trace.ts';
import { workerRuntime } from '../../src/worker-runtime.ts';
import { createHarness, type Harness, TOKENS } from '../support/harness.ts';

// What was granted stands beside each token, whatever PipeOps' console makes of the token.

const DAY = 24 * 60 * 60 * 1000;

describe('the next notice of an expiry', () => {
  // Lifetimes in days, how much of them is over, and how many days before the end the notice is due.
  it.each<[number, number, number | null]>([
    [100, 0, 30],
    [100, 69, 30],
    [100, 70, 7],
    [100, 92.9, 7],
    [100, 93, 1],
    [100, 99, null],
    [100, 101, null],
    [60, 0, 7],
    [60.001, 0, 30],
    [14, 0, 1],
    [14.001, 0, 7],
    [2, 0, null],
    [2.001, 0, 1],
  ])('of a token that lives %d days is, after %d of them, due %d days before the end', (days, over, before) => {
    const due = nextNoticeMs({ beganAtMs: DAY, expiresAtMs: DAY + days * DAY }, DAY + over * DAY);
    expect(due).toBe(before === null ? null : DAY + days * DAY - before * DAY);
  });

  it('of one without expiry is none', () => {
    expect(nextNoticeMs({ beganAtMs: 0, expiresAtMs: null }, 0)).toBeNull();
  });
});

it('the columns of a grant hold what it was, in whole seconds of life', () => {
  const grant = { name: 'deploy', scopes: ['b', 'a'], role: 'ci', policyVersion: 'v' };
  expect(grantColumns({ ...grant, expiresAtMs: 1_499 }, 0)).toEqual({
    name: 'deploy',
    scopes: '["b","a"]',
    role: 'ci',
    policy_version: 'v',
    lifetime_seconds: 1,
    expiry_notice_at: null,
  });
  expect(grantColumns({ ...grant, expiresAtMs: null }, 0)).toMatchObject({ lifetime_seconds: null });
});

describe('the grant beside a token', () => {
  const NOTHING_LATER = {
    replaces: null,
    replaced_by: null,
    rotation_event_id: null,
    retires_at: null,
    last_used_at: null,
  };
  let harness: Harness;
  beforeAll(async () => {
    harness = await createHarness({ policy: { presets: { sandbox: ['logs:read', 'api:read'] } } });
  });
  const rowOf = async (id: string): Promise<TokenRow | null> =>
    await env.DB.prepare('select * from tokens where token_id = ?').bind(id).first<TokenRow>();
  const create = async (body: object): Promise<string> => {
    const answer = await harness.send('POST', TOKENS, { body: { name: 'deploy', ...body } });
    expect(answer.status, answer.text).toBe(201);
    return answer.body.data.id;
  };
  const update = async (id: string, body: object) => await harness.send('PATCH', `${TOKENS}/${id}`, { body });

  it('is that of its create, its preset among the scopes', async () => {
    const row = await rowOf(await create({ scopes: ['api:read'], preset: 'sandbox', expires_in: '90d' }));
    expect(row).toMatchObject({
      name: 'deploy',
      scopes: '["api:read","logs:read"]',
      lifetime_seconds: 90 * 24 * 60 * 60,
      role: 'admin',
      policy_version: harness.policyVersion,
      expiry_notice_at: (row?.expires_at ?? 0) - 30 * DAY,
      ...NOTHING_LATER,
    });
  });

  it('follows an update that succeeded, and keeps what that does not name', async () => {
    const id = await create({ scopes: ['api:read'] });
    const before = await rowOf(id);
    await update(id, { name: 'renamed' });
    expect(await rowOf(id)).toEqual({ ...before, name: 'renamed' });
    await update(id, { scopes: ['api:write', 'api:read'] });
    expect(await rowOf(id)).toEqual({ ...before, name: 'renamed', scopes: '["api:write","api:read"]' });
    await update(id, { description: 'of no grant' });
    expect(await rowOf(id)).toMatchObject({ name: 'renamed', scopes: '["api:write","api:read"]' });
  });

  it('does not follow an update that PipeOps refused, nor what a list says', async () => {
    const id = await create({ scopes: ['api:read'] });
    const before = await rowOf(id);
    const match = { workspace_uuid: harness.workspace };
    await harness.control.fault({ match: { ...match, method: 'PATCH' }, status: 422 });
    expect((await update(id, { scopes: ['api:write'], name: 'refused' })).status).toBe(422);
    const [listed] = (await harness.upstreamTokens()).filter((token) => token.id === id);
    const changed = { ...listed, scopes: ['api:full'], permissions: ['api:full'], secret: undefined };
    const data = { tokens: [changed], total: 1 };
    await harness.control.fault({
      match: { ...match, method: 'GET' },
      body: { success: true, message: '', data },
    });
    expect((await harness.send('GET', TOKENS)).body.data.tokens).toMatchObject([{ id, scopes: ['api:full'] }]);
    expect(await rowOf(id)).toEqual(before);
  });

  it('of a create takes over a token that a list has shown before', async () => {
    const id = await create({ scopes: ['api:read'], expires_in: '90d' });
    const row = await rowOf(id);
    // As a list adopts it that fell into its create.
    await env.DB.prepare(
      `update tokens set owner_issuer = null, owner_subject = null, name = 'x', scopes = null, role = null, policy_version = null,
        lifetime_seconds = null, expiry_notice_at = null where token_id = ?`,
    )
      .bind(id)
      .run();
    const database = createDatabase(env.DB, workerRuntime);
    await database.batch({ trace: newTrace() }, [insertToken(database, row!, sql`true`)]);
    expect(await rowOf(id)).toEqual(row);
  });

  it('is none of a token that appeared at PipeOps, whose name and expiry are known all the same', async () => {
    const expires_at = new Date(Date.now() + 90 * DAY).toISOString();
    const workspace_uuid = crypto.randomUUID();
    const { id } = await harness.control.insertToken({ workspace_uuid, name: 'by hand', expires_at });
    await harness.send('GET', `${TOKENS}?workspace_uuid=${workspace_uuid}`);
    expect(await rowOf(id)).toMatchObject({
      name: 'by hand',
      scopes: null,
      role: null,
      lifetime_seconds: null,
      expiry_notice_at: Date.parse(expires_at) - 30 * DAY,
      ...NOTHING_LATER,
    });
  });
});
