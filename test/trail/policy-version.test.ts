import { env } from 'cloudflare:workers';
import { beforeAll, describe, expect, it } from 'vitest';
import type { AuditEventRow } from '../../src/db/schema.ts';
import { AUDIT_ACTIONS } from '../../src/vocabulary.ts';
import { createRenewingHarness } from '../credential/harness.ts';
import { createSessionHarness, type SessionHarness } from '../sessions/harness.ts';
import { versionOf } from '../support/audit-detail.ts';
import { type Answer, createHarness, type Harness, ISSUER, TOKENS } from '../support/harness.ts';
import { TRAIL_KEY } from './log/built-logs.ts';
import { stopLog } from './log/stored-logs.ts';

const EVENTS = '/api/v1/audit/events';
const DELIVERIES = '/api/v1/webhooks/deliveries';
const roles = {
  owner: { permissions: ['tokens:create', 'tokens:read'], workspaces: ['*'], scopes: ['api:read'] },
  operator: { permissions: ['trail:resume'], tokens: 'any', workspaces: ['*'], scopes: [] },
};

const rowsSince = async (seq: number): Promise<AuditEventRow[]> =>
  (await env.DB.prepare('select * from audit_events where seq > ? order by seq').bind(seq).all<AuditEventRow>())
    .results;
const versionIn = ({ detail }: AuditEventRow): unknown => JSON.parse(detail).policy;
const eventOf = async (answer: Answer): Promise<AuditEventRow | null> =>
  await env.DB.prepare('select * from audit_events where id = ?')
    .bind(answer.headers.get('X-Audit-Event-Id'))
    .first<AuditEventRow>();

describe('each row of the trail names the version of the policy', () => {
  let rows: readonly AuditEventRow[];
  let version: string;

  beforeAll(async () => {
    const h = await createSessionHarness({ roles, env: { TRAIL_KEY } });
    version = h.policyVersion;
    await playEverything(h);
    rows = await rowsSince(0);
  });

  it.each(AUDIT_ACTIONS.filter((action) => action !== 'credential.renew'))('%s', (action) => {
    const of = rows.filter((row) => row.action === action);
    expect(of).not.toEqual([]);
    expect([...new Set(of.map(versionIn))]).toEqual([version]);
  });

  it('credential.renew', async () => {
    const h = await createRenewingHarness();
    await h.untilDue();
    await h.cron();
    expect((await h.rows()).map(versionIn)).toEqual([h.harness.policyVersion]);
  });

  it('whoever caused it, a request, a webhook or the cron, and whatever became of it', () => {
    expect(rows.filter((row) => versionIn(row) !== version)).toEqual([]);
    expect(new Set(rows.map((row) => row.actor_type))).toEqual(new Set(['user', 'webhook', 'system']));
    expect(new Set(rows.map((row) => row.status))).toEqual(new Set(['attempted', 'success', 'failure']));
    const codes = rows.map((row) => row.error_code);
    for (const code of ['appeared_upstream', 'reappeared_upstream', 'revocation_contradicted', 'forbidden']) {
      expect(codes).toContain(code);
    }
    expect(rows.some(({ detail }) => JSON.parse(detail).further === true)).toBe(true);
  });

  it('as the status of the service does, and beside what was asked for', async () => {
    const h = await createHarness();
    const created = await h.send('POST', TOKENS, { body: { name: 'deploy', scopes: ['api:read'] } });
    const event = await h.send('GET', `${EVENTS}/${created.headers.get('X-Audit-Event-Id')}`);
    expect(event.body.data.detail).toEqual({ scopes: ['api:read'], policy: h.policyVersion, role: 'admin' });
    expect((await h.send('GET', '/api/v1/status')).body.data.policy).toEqual({ version: h.policyVersion });
    expect(h.policyVersion).toMatch(/^[0-9a-f]{16}$/);
  });
});

/** Causes an event of every action, and every kind of row that is not written for a request alone. */
async function playEverything(h: SessionHarness): Promise<void> {
  const at = async (role: string, method: string, path: string, body?: unknown): Promise<Answer> => {
    const iat = Math.floor(h.runtime.now() / 1000);
    const jwt = await h.jwtFor(role, { iat, exp: iat + 300 });
    return await h.send(method, path, { jwt, ...(body !== undefined && { body }) });
  };
  const create = async (): Promise<{ id: string; token: string }> =>
    (await at('admin', 'POST', TOKENS, { name: 'deploy', scopes: ['api:read'] })).body.data;

  // Two people sign in. One signs out, and the cron records that the other was offboarded.
  await h.signIn({ sub: 'admin-1', role: 'admin' });
  await h.ask(await h.signIn(), 'POST', '/auth/logout');

  const token = await create();
  await at('admin', 'GET', TOKENS);
  await at('admin', 'GET', `${TOKENS}/${token.id}`);
  await at('admin', 'PATCH', `${TOKENS}/${token.id}`, { name: 'renamed' });
  await at('admin', 'GET', EVENTS);
  await at('admin', 'GET', '/api/v1/audit/export');
  await at('admin', 'GET', '/api/v1/audit/counts?by=day');
  await at('owner', 'GET', '/api/v1/status');
  // Denials beyond the first ten of a minute are counted.
  for (let count = 0; count < 12; count += 1) await at('owner', 'GET', '/api/v1/status');
  await h.send('GET', TOKENS, { jwt: 'a.b.c' });

  // A leak whose order ends, and is contradicted by a later list.
  const leaked = await create();
  const delivery = await h.leak(leaked.token);
  await at('admin', 'GET', `${DELIVERIES}/${delivery.body.data.delivery_id}`);
  await at('admin', 'POST', `${DELIVERIES}/${delivery.body.data.delivery_id}/retry`);
  const listed = async (ids: readonly string[]): Promise<void> => {
    const tokens = ids.map((id) => ({ id, name: 'deploy', scopes: ['api:read'], is_revoked: false }));
    await h.control.fault({
      match: { workspace_uuid: h.workspace, method: 'GET' },
      body: { success: true, message: '', data: { tokens, total: tokens.length } },
    });
    await at('admin', 'GET', TOKENS);
  };
  // What a person does in an incident, whose orders the next crons make.
  const nobody = { subject: { issuer: ISSUER, subject: 'nobody' }, reason: 'a test' };
  await at('admin', 'POST', '/api/v1/revocations', nobody);
  await at('admin', 'GET', '/api/v1/subjects');
  await at('admin', 'GET', '/api/v1/inventory');
  // A token that vanishes, and one that nobody made here.
  for (const ids of [[], []]) {
    h.age(61);
    await listed(ids);
  }
  await listed([token.id, leaked.id, 'made-elsewhere']);

  // A leaver whose token is driven by the cron, and an attempt that is settled late.
  await h.control.fault({ match: { workspace_uuid: h.workspace, method: 'POST' }, drop: 'after_commit' });
  await create();
  await create();
  await h.control.fault({ match: { workspace_uuid: h.workspace, method: 'DELETE' }, status: 500 });
  await h.offboard({ issuer: ISSUER, subject: 'admin-1' });
  // To a leaver alone it is denied, and so recorded.
  await at('admin', 'GET', '/workspace');
  await h.reinstate({ issuer: ISSUER, subject: 'admin-1' });
  // A token whose expiry is told by the next cron.
  await at('admin', 'POST', TOKENS, { name: 'short', scopes: ['api:read'], expires_in: '3d' });
  await env.DB.prepare(`update tokens set expiry_notice_at = 1 where workspace_uuid = ? and expires_at is not null`)
    .bind(h.workspace)
    .run();
  for (const seconds of [301, 61]) {
    h.age(seconds);
    await h.cron();
  }
  // A log that cannot go on.
  await stopLog();
  await at('operator', 'POST', '/api/v1/audit/log', { reason: 'a test' });
  // One more that stays open.
  await h.control.fault({ match: { workspace_uuid: h.workspace, method: 'POST' }, drop: 'after_commit' });
  await create();
}

describe('alike events that two policies decide', () => {
  const frozenMs = Math.floor(Date.now() / 60_000) * 60_000 + 1_000;
  const under = async (like: Harness | null, scopes: readonly string[]): Promise<Harness> =>
    await createHarness({
      ...(like !== null && { like }),
      runtime: { now: () => frozenMs },
      roles: { owner: { ...roles.owner, scopes } },
    });
  const jwtOf = async (h: Harness): Promise<string> => await h.jwtFor('owner', { iat: frozenMs / 1000 });

  it('are two rows, though they are of one caller and minute: reads', async () => {
    const before = await under(null, ['api:read']);
    const after = await under(before, ['api:read', 'api:write']);
    const jwt = await jwtOf(before);
    const answers = [
      await before.send('GET', TOKENS, { jwt }),
      await before.send('GET', TOKENS, { jwt }),
      await after.send('GET', TOKENS, { jwt }),
    ];
    const events = await Promise.all(answers.map(eventOf));
    expect(events.map((row) => [row?.count, row && versionIn(row)])).toEqual([
      [2, before.policyVersion],
      [2, before.policyVersion],
      [1, after.policyVersion],
    ]);
    expect(before.policyVersion).not.toBe(after.policyVersion);
  });

  it('and denials beyond those that are recorded in full', async () => {
    const before = await under(null, ['api:read']);
    const after = await under(before, ['api:write']);
    const jwt = await before.jwtFor('owner', { sub: 'denied-often', iat: frozenMs / 1000 });
    for (let count = 0; count < 10; count += 1) await before.send('GET', '/api/v1/status', { jwt });
    const further = [
      await before.send('GET', '/api/v1/status', { jwt }),
      await after.send('GET', '/api/v1/status', { jwt }),
    ];
    const events = await Promise.all(further.map(eventOf));
    expect(events.map((row) => JSON.parse(row?.detail ?? ''))).toEqual([
      { further: true, policy: before.policyVersion },
      { further: true, policy: after.policyVersion },
    ]);
  });
});

it('an attempt names the policy that it was decided under, whichever settles it', async () => {
  let skewMs = 0;
  const now = () => Date.now() + skewMs;
  const before = await createHarness({ runtime: { now } });
  await before.control.fault({ match: { workspace_uuid: before.workspace, method: 'POST' }, drop: 'after_commit' });
  const answer = await before.send('POST', TOKENS, { body: { name: 'lost', scopes: ['api:read'] } });
  expect(answer.status).toBe(504);
  const after = await createHarness({ like: before, runtime: { now }, roles });
  skewMs = 301_000;
  await after.cron();
  const [create, revoke] = await before.rows();
  expect([create?.status, create && versionIn(create)]).toEqual(['failure', before.policyVersion]);
  expect([revoke?.action, revoke && versionIn(revoke)]).toEqual(['service_account_token.revoke', after.policyVersion]);
  expect(versionOf({})).toBe('');
});
