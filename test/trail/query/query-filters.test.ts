import { env } from 'cloudflare:workers';
import { beforeAll, expect, it } from 'vitest';
import { createHarness, type Harness } from '../../support/harness.ts';
import { insertRows, OPEN } from './trail.ts';
import { expectUnauthenticRows } from '../../support/state-secret.ts';

// Rows are inserted as if requests had written them.
expectUnauthenticRows();

const EVENTS = '/api/v1/audit/events';
const NOON_MS = Date.UTC(2026, 0, 15, 12);
const ISSUER = 'https://issuer.example';

/** The events of the trail, by a name for each. */
const TRAIL = {
  minted: {
    action: 'service_account_token.create',
    actor_issuer: ISSUER,
    actor_subject: 'u-1',
    actor_label: 'alice@acme.example',
    token_id: 'tok-1',
    workspace_uuid: 'ws-1',
    request_id: 'request-1',
    ip: '192.0.2.1',
    token_name: 'deploy',
    detail: '{"scopes":["api:read","api:full"],"policy":"00000000000000aa"}',
    outcome: '{"role":"ci"}',
    occurred_at: NOON_MS,
  },
  read: {
    action: 'service_account_token.get',
    actor_type: 'service_account',
    actor_issuer: 'https://other.example',
    actor_subject: 'u-1',
    token_id: 'tok-1',
    workspace_uuid: 'ws-1',
    request_id: 'request-2',
    ip: '2001:db8::1',
    occurred_at: NOON_MS + 1_000,
  },
  denied: {
    action: 'service_account_token.revoke',
    status: 'failure',
    error_code: 'forbidden',
    actor_issuer: ISSUER,
    actor_subject: 'auth0|bob',
    actor_label: 'u-1',
    token_id: 'tok-1',
    workspace_uuid: 'ws-1',
    request_id: 'request-3',
    ip: '192.0.2.1',
    // This time is earlier than that of the row before it.
    occurred_at: NOON_MS + 500,
  },
  open: {
    action: 'service_account_token.revoke',
    ...OPEN,
    actor_issuer: ISSUER,
    actor_subject: 'auth0|bob',
    token_id: 'tok-2',
    workspace_uuid: 'ws-2',
    request_id: 'request-3',
    ip: null,
    occurred_at: NOON_MS + 2_000,
  },
  rejected: {
    action: 'auth.reject',
    status: 'failure',
    error_code: 'invalid_token',
    actor_type: 'system',
    // A person may choose a label; this one says that it is somebody else.
    actor_label: `${ISSUER}|u-1`,
    occurred_at: NOON_MS + 3_000,
  },
  /** PipeOps gave more than was asked for. */
  disobeyed: {
    action: 'service_account_token.create',
    status: 'failure',
    error_code: 'upstream_disobeyed',
    actor_subject: 'scanner',
    detail: '{"preset":"sandbox","preset_scopes":["api:write"],"policy":"00000000000000bb"}',
    outcome: '{"came":{"scopes":["API:full"]}}',
    occurred_at: NOON_MS + 4_000,
  },
  /** It has in its detail what it asked for. */
  asked: {
    action: 'audit.query',
    actor_subject: 'reader',
    detail:
      '{"scope":"api:full","role":"ci","code":"forbidden","policy_version":"00000000000000aa","policy":"00000000000000bb"}',
    occurred_at: NOON_MS + 5_000,
  },
} as const;
type Name = keyof typeof TRAIL;

let harness: Harness;
const names = new Map<number, Name>();
beforeAll(async () => {
  harness = await createHarness();
  const inserted = await insertRows(Object.values(TRAIL));
  await env.DB.batch(
    (
      [
        ['tok-1', 'sat_aaaaaaa'],
        ['tok-2', 'sat_bbbbbbb'],
        ['tok-3', 'sat_bbbbbbb'],
      ] as const
    ).map(([id, prefix]) =>
      env.DB.prepare(
        'insert into tokens (workspace_uuid, token_id, created_at, token_prefix) values (?, ?, 1, ?)',
      ).bind('ws-1', id, prefix),
    ),
  );
  for (const [index, name] of (Object.keys(TRAIL) as Name[]).entries()) names.set(inserted[index]!, name);
});

const cases: readonly [string, Record<string, string>, readonly Name[]][] = [
  ['an action', { action: 'service_account_token.get' }, ['read']],
  [
    'two actions, one of them twice',
    { action: 'auth.reject,service_account_token.get,auth.reject' },
    ['read', 'rejected'],
  ],
  ['all actions of a noun', { action: 'service_account_token.*' }, ['minted', 'read', 'denied', 'open', 'disobeyed']],
  ['a noun and an action', { action: 'auth.*,service_account_token.get' }, ['read', 'rejected']],
  ['all actions but one', { action: '!service_account_token.create' }, ['read', 'denied', 'open', 'rejected', 'asked']],
  ['all actions but those of two nouns', { action: '!service_account_token.*,!audit.*' }, ['rejected']],
  [
    'a noun without one of its actions',
    { action: '!service_account_token.revoke,service_account_token.*' },
    ['minted', 'read', 'disobeyed'],
  ],
  ['an action that is taken away again', { action: 'auth.reject,!auth.*' }, []],
  ['a status', { status: 'failure' }, ['denied', 'rejected', 'disobeyed']],
  ['a code', { code: 'forbidden' }, ['denied']],
  ['a scope that was asked for, or that PipeOps gave in other letters', { scope: 'api:full' }, ['minted', 'disobeyed']],
  ['a scope for which a preset stood', { scope: 'api:write' }, ['disobeyed']],
  ['a part of a scope', { scope: 'api' }, []],
  ['a scope and an action whose events name none', { scope: 'api:full', action: 'audit.query' }, []],
  ['the role that allowed it', { role: 'ci' }, ['minted']],
  ['the version of the policy', { policy_version: '00000000000000bb' }, ['disobeyed', 'asked']],
  ['the name of a token', { token_name: 'deploy' }, ['minted']],
  ['the name of a token in other letters', { token_name: 'Deploy' }, []],
  ['the beginning of a secret', { token_prefix: 'sat_aaaaaaa' }, ['minted', 'read', 'denied']],
  ['the beginning of a secret that two tokens share', { token_prefix: 'sat_bbbbbbb' }, ['open']],
  ['the beginning of no secret', { token_prefix: 'sat_ccccccc' }, []],
  ['the open ones', { status: 'attempted' }, ['open']],
  ['issuer and subject', { actor: `${ISSUER}|u-1` }, ['minted']],
  ['a subject of any issuer, and the same text as a label', { actor: 'u-1' }, ['minted', 'read', 'denied']],
  ['a label', { actor: 'alice@acme.example' }, ['minted']],
  ['a part of a label', { actor: 'alice' }, []],
  ['a subject with a bar in it', { actor: 'auth0|bob' }, ['denied', 'open']],
  ['nobody in particular: no issuer and no subject', { actor: '|' }, ['rejected']],
  ['a subject without an issuer', { actor: '|scanner' }, ['disobeyed']],
  ['an issuer and such a subject', { actor: `${ISSUER}|auth0|bob` }, ['denied', 'open']],
  ['a type of actor', { actor_type: 'service_account' }, ['read']],
  ['a token', { token_id: 'tok-1' }, ['minted', 'read', 'denied']],
  ['a workspace', { workspace_uuid: 'ws-2' }, ['open']],
  ['a request', { request_id: 'request-3' }, ['denied', 'open']],
  ['an address', { ip: '2001:db8::1' }, ['read']],
  [
    'a time on, that very millisecond included',
    { from: '2026-01-15T12:00:01Z' },
    ['read', 'open', 'rejected', 'disobeyed', 'asked'],
  ],
  ['until a time, that very millisecond excluded', { to: '2026-01-15T12:00:01.000Z' }, ['minted', 'denied']],
  [
    'between times with an offset',
    { from: '2026-01-15T13:00:00.5+01:00', to: '2026-01-15T12:00:02Z' },
    ['read', 'denied'],
  ],
  [
    'all together',
    {
      action: 'service_account_token.*',
      token_id: 'tok-1',
      status: 'failure',
      actor: 'auth0|bob',
      code: 'forbidden',
      ip: '192.0.2.1',
      workspace_uuid: 'ws-1',
      request_id: 'request-3',
      actor_type: 'user',
      from: '2026-01-15T12:00:00Z',
      to: '2026-01-15T12:00:01Z',
    },
    ['denied'],
  ],
  ['two that no event has both', { token_id: 'tok-2', workspace_uuid: 'ws-1' }, []],
];

it.each(cases)('finds events by %s', async (_name, filter, expected) => {
  for (const order of ['asc', 'desc']) {
    const parameters = new URLSearchParams({ ...filter, order, latest: 'true', limit: '200' });
    const answer = await harness.send('GET', `${EVENTS}?${parameters.toString()}`);
    expect(answer.status, answer.text).toBe(200);
    // The queries of this test are in the trail themselves.
    const found = answer.body.data.flatMap(({ seq }: { seq: number }) => names.get(seq) ?? []);
    expect(found).toEqual(order === 'asc' ? expected : expected.toReversed());
  }
});

it('answers who minted a token, and who has read about it since, in one request', async () => {
  const bob = await harness.jwtFor('admin', { sub: 'bob' });
  await harness.send('GET', `${EVENTS}?token_id=tok-2`, { jwt: bob });
  const answer = await harness.send('GET', `${EVENTS}?token_id=tok-2`);
  expect(
    answer.body.data.map(({ action, actor }: { action: string; actor: { subject: string } }) => [
      action,
      actor.subject,
    ]),
  ).toContainEqual(['audit.query', 'bob']);
});

it('a query that names an action many times is no outage of the trail', async () => {
  const { send } = await createHarness();
  const action = Array.from({ length: 90 }, () => 'service_account_token.create').join(',');
  const answer = await send('GET', `${EVENTS}?action=${action}`);
  expect([200, 400]).toContain(answer.status);
});
