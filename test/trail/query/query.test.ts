import { env } from 'cloudflare:workers';
import { beforeAll, describe, expect, it } from 'vitest';
import { encodeCursor } from '../../../src/http/query.ts';
import { AUDIT_ACTIONS, ERROR_CODES } from '../../../src/vocabulary.ts';
import { createHarness, TOKENS, type Harness } from '../../support/harness.ts';

const EVENTS = '/api/v1/audit/events';

let harness: Harness;
let ids: string[] = [];
beforeAll(async () => {
  harness = await createHarness();
  const { id } = await harness.mint('audited');
  await harness.send('GET', `${TOKENS}/${id}`);
  await harness.send('DELETE', `${TOKENS}/${id}`);
  ids = (await harness.rows()).map((row) => row.id);
});

const query = async (parameters = '') => await harness.send('GET', EVENTS + parameters);
const rowCount = async () => await env.DB.prepare('select count(*) as n from audit_events').first<number>('n');

describe('the trail', () => {
  it('shows events newest first, in the form of the wire', async () => {
    const answer = await query('?limit=3&action=service_account_token.create');
    expect(answer.headers.get('Cache-Control')).toBe('no-store');
    const [event] = answer.body.data;
    expect(event).toEqual({
      id: ids[0],
      seq: expect.any(Number),
      occurred_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      settled_at: expect.stringMatching(/Z$/),
      action: 'service_account_token.create',
      status: 'success',
      count: 1,
      last_at: event.occurred_at,
      actor: { type: 'user', issuer: 'https://issuer.example', subject: 'admin-1', label: null },
      workspace_uuid: harness.workspace,
      token_id: expect.any(String),
      token_name: 'audited',
      request_id: expect.any(String),
      ip: null,
      user_agent: null,
      upstream_status: 201,
      error_code: null,
      detail: { scopes: ['api:read'], policy: harness.policyVersion, role: 'admin' },
    });
  });

  it('records each reading of itself, with what was asked', async () => {
    const first = await query('?status=success&limit=1');
    const [reading] = (await query('?action=audit.query&limit=1')).body.data;
    expect(reading).toMatchObject({
      id: first.headers.get('X-Audit-Event-Id'),
      action: 'audit.query',
      status: 'success',
      detail: { status: 'success', limit: 1 },
    });
  });

  it('pages without losing or repeating a row while rows are being written', async () => {
    const seen: number[] = [];
    let cursor = '';
    do {
      const answer = await query(`?limit=2${cursor && `&cursor=${cursor}`}`);
      seen.push(...answer.body.data.map(({ seq }: { seq: number }) => seq));
      cursor = answer.body.pagination.next_cursor ?? '';
    } while (cursor !== '');
    const newest = seen[0] ?? 0;
    expect(seen).toEqual(Array.from({ length: newest }, (_item, index) => newest - index));
  });
});

describe('a parameter that is not understood is named', () => {
  it.each([
    ['colour', '?colour=red'],
    ['actor', '?actor='],
    ['actor', '?actor=a%00b'],
    ['actor', `?actor=${'a'.repeat(258)}`],
    ['actor_type', '?actor_type=robot'],
    ['token_id', '?token_id=..%2F'],
    ['workspace_uuid', '?workspace_uuid='],
    ['request_id', '?request_id=short'],
    ['ip', '?ip=localhost'],
    ['from', '?from=yesterday'],
    ['from', '?from=2026-02-30T00:00:00Z'],
    // The plus of the offset became a space.
    ['from', '?from=2026-01-31T00:00:00+01:00'],
    ['to', '?from=2026-01-31T00:00:00Z&to=2026-01-31T00:00:00Z'],
    ['order', '?order=newest'],
    ['latest', '?latest=1'],
    ['action', '?action=service_account_token.create,'],
    ['action', '?action=token.*'],
    ['action', '?action=*'],
    ['action', '?action=!'],
    ['action', '?action=!!audit.query'],
    ['action', '?action=!*'],
    ['code', '?code=forbiden'],
    ['scope', '?scope=*'],
    ['scope', '?scope=API:full'],
    ['role', '?role=a%20b'],
    ['token_name', '?token_name='],
    ['token_prefix', '?token_prefix=sat%20x'],
    ['policy_version', '?policy_version=0123'],
    ['limit', '?limit=0'],
    ['limit', '?limit=201'],
    ['limit', '?limit=ten'],
    ['limit', '?limit=1&limit=2'],
    ['status', '?status=done'],
    ['action', '?action=token.create'],
    ['action', '?action='],
    ['cursor', '?cursor=MTIz'],
    ['cursor', '?cursor=%27%3B--'],
    ['__proto__', '?__proto__=1'],
  ])('%s (%s)', async (name, parameters) => {
    const before = await rowCount();
    const answer = await query(parameters);
    expect([answer.status, answer.body.code]).toEqual([400, 'invalid_request']);
    expect(Object.keys(answer.body.errors)).toEqual([name]);
    expect(await rowCount()).toBe(before);
  });
});

it('names everything that is not understood at once', async () => {
  const answer = await query('?limit=0&order=up&from=x&nonsense=1');
  expect(Object.keys(answer.body.errors).toSorted()).toEqual(['from', 'limit', 'nonsense', 'order']);
});

const STORED = [
  'actor',
  'code',
  'policy_version',
  'role',
  'scope',
  'token_id',
  'token_name',
  'token_prefix',
  'workspace_uuid',
];
it.each(STORED)('text shaped like a secret is not accepted as %s', async (name) => {
  const before = await rowCount();
  const answer = await query(`?${name}=sat_${'a'.repeat(40)}`);
  expect([answer.status, answer.body.code]).toEqual([422, 'validation_failed']);
  expect(Object.keys(answer.body.errors)).toEqual([name]);
  expect(await rowCount()).toBe(before);
});

const longestFirst = <T extends string>(names: readonly T[]): T[] =>
  names.toSorted((one, other) => other.length - one.length);
/** Of more than half of the actions the row says which ones are left out. */
const ACTIONS_THAT_TAKE_MOST = longestFirst(AUDIT_ACTIONS)
  .slice(0, AUDIT_ACTIONS.length / 2)
  .join(',');
const [LONGEST_CODE = ''] = longestFirst(ERROR_CODES);

it('a query with the longest filters still fits into its row', async () => {
  const jwt = await harness.jwtFor('admin', { sub: 's'.repeat(128), email: 'é'.repeat(48) });
  const id = 'i'.repeat(128);
  const actor = '"'.repeat(257);
  const parameters = new URLSearchParams({
    action: ACTIONS_THAT_TAKE_MOST,
    status: 'attempted',
    code: LONGEST_CODE,
    token_name: '"'.repeat(96),
    token_prefix: 'p'.repeat(15),
    scope: 's'.repeat(32),
    role: 'r'.repeat(64),
    policy_version: 'f'.repeat(16),
    actor,
    actor_type: 'service_account',
    token_id: id,
    workspace_uuid: id,
    request_id: 'r'.repeat(64),
    ip: 'f'.repeat(45),
    from: '2026-01-31T00:00:00Z',
    to: '2026-02-28T00:00:00Z',
    order: 'asc',
    latest: 'true',
    limit: '200',
    cursor: encodeCursor(999_999_999_999_999),
  });
  const answer = await harness.send('GET', `${EVENTS}?${parameters.toString()}`, {
    jwt,
    headers: { 'X-Request-Id': 'x'.repeat(64), 'User-Agent': 'u'.repeat(200), 'CF-Connecting-IP': 'f'.repeat(45) },
  });
  expect(answer.status, answer.text).toBe(200);
  const [event] = (await query(`?token_id=${id}`)).body.data;
  expect(event).toMatchObject({
    token_id: id,
    workspace_uuid: id,
    detail: { limit: 200, actor: expect.stringMatching(/^"{24,}$/) },
  });
});

it('says in its row which actions it left out, where those are fewer', async () => {
  const detailOf = async (action: string): Promise<unknown> => {
    const answer = await query(`?limit=1&action=${action}`);
    expect(answer.status, answer.text).toBe(200);
    const [event] = (await query('?action=audit.query&limit=1')).body.data;
    return event.detail.action;
  };
  expect(await detailOf('!audit.settled,!auth.reject')).toEqual(['!audit.settled', '!auth.reject']);
  expect(await detailOf('auth.reject,status.read,!status.*')).toEqual(['auth.reject']);
  expect(await detailOf('auth.reject,!auth.reject')).toEqual([]);
});

it('is closed to callers without audit:read, and their attempt is in it', async () => {
  const other = await createHarness({
    like: harness,
    roles: { reader: { permissions: ['tokens:read'], tokens: 'any', workspaces: ['*'], scopes: ['*'] } },
  });
  const denied = await other.send('GET', EVENTS, { jwt: await other.jwtFor('reader') });
  expect([denied.status, denied.body.code]).toEqual([403, 'forbidden']);
  const [event] = (await query('?action=audit.query&status=failure')).body.data;
  expect(event).toMatchObject({ id: denied.body.event_id, error_code: 'forbidden', detail: { reason: 'permission' } });
});

it('is not shown when the reading cannot be recorded', async () => {
  const readOnly = new Proxy(harness.runtime, {});
  const broken = await createHarness({
    like: harness,
    runtime: readOnly,
    db: { prepare: () => ({ bind: () => ({}) }), batch: async () => await Promise.reject(new Error('down')) } as never,
  });
  const answer = await broken.send('GET', EVENTS);
  expect([answer.status, answer.body.code]).toEqual([503, 'audit_unavailable']);
});
