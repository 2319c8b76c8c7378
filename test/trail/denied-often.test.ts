import { env } from 'cloudflare:workers';
import { describe, expect, it } from 'vitest';
import { CALLER_DENIALS_MAX_ROWS } from '../../src/config/limits.ts';
import { WINDOWS } from '../../src/pipeops/quota-windows.ts';
import { failingBatches } from '../support/failing-batches.ts';
import { ISSUER, TOKENS, type HarnessOptions, type SentRequest } from '../support/harness.ts';
import { createTestIssuer } from '../support/issuer.ts';
import { noteSecret } from '../support/secrets.ts';
import { createRecordingD1 } from '../security/statements.ts';
import { countsOf, createThree, isFurtherRow, rowsOfSubject } from './caller-rows.ts';

// A caller that is denied often cannot fill the trail: the first ten denials of a minute are recorded in full, and the others are
// counted exactly, whichever isolates they meet.

const EVERYTHING = ['tokens:create', 'tokens:read', 'tokens:update', 'tokens:revoke'];
const roles = {
  narrow: { permissions: EVERYTHING, tokens: 'any', workspaces: ['*'], scopes: ['api:read'] },
  own: { permissions: EVERYTHING, tokens: 'own', workspaces: ['*'], scopes: ['api:read'] },
  confined: {
    permissions: EVERYTHING,
    tokens: 'any',
    workspaces: ['e15e0000-0000-4000-8000-000000000000'],
    scopes: ['api:read'],
  },
  creator: { permissions: ['tokens:create'], tokens: 'own', workspaces: ['*'], scopes: ['api:read'] },
};
const ALLOWED = { name: 'deploy', scopes: ['api:read'] };
const BEYOND = { name: 'deploy', scopes: ['api:write'] };
const unknownId = (): string => crypto.randomUUID();

type Denied = readonly [
  name: string,
  role: string,
  request: () => readonly [method: string, path: string, request?: SentRequest],
  status: number,
  action: string,
];
const DENIED: readonly Denied[] = [
  [
    'a create beyond its scopes',
    'narrow',
    () => ['POST', TOKENS, { body: BEYOND }],
    403,
    'service_account_token.create',
  ],
  [
    'a keyed create, each with another key',
    'narrow',
    () => ['POST', TOKENS, { body: BEYOND, headers: { 'Idempotency-Key': unknownId() } }],
    403,
    'service_account_token.create',
  ],
  [
    'a create in another workspace',
    'confined',
    () => ['POST', TOKENS, { body: ALLOWED }],
    403,
    'service_account_token.create',
  ],
  [
    'an update of ids that it makes up',
    'own',
    () => ['PATCH', `${TOKENS}/${unknownId()}`, { body: { name: 'x' } }],
    404,
    'service_account_token.update',
  ],
  ['a revoke of such', 'own', () => ['DELETE', `${TOKENS}/${unknownId()}`], 404, 'service_account_token.revoke'],
  ['a get of such', 'own', () => ['GET', `${TOKENS}/${unknownId()}`], 404, 'service_account_token.get'],
  [
    'a get of such in a whole list',
    'narrow',
    () => ['GET', `${TOKENS}/${unknownId()}`],
    404,
    'service_account_token.get',
  ],
  ['a list of another workspace', 'confined', () => ['GET', TOKENS], 403, 'service_account_token.list'],
  [
    'a list without the permission, of workspaces that it makes up',
    'creator',
    () => ['GET', `${TOKENS}?workspace_uuid=${unknownId()}`],
    403,
    'service_account_token.list',
  ],
  ['a query of the trail', 'own', () => ['GET', `/api/v1/audit/events?ip=192.0.2.1`], 403, 'audit.query'],
  ['an event that there is not', 'admin', () => ['GET', `/api/v1/audit/events/${unknownId()}`], 404, 'audit.query'],
  [
    'a delivery that there is not',
    'admin',
    () => ['GET', `/api/v1/webhooks/deliveries/${unknownId()}`],
    404,
    'webhook.query',
  ],
  [
    'a retry of such',
    'admin',
    () => ['POST', `/api/v1/webhooks/deliveries/${unknownId()}/retry`],
    404,
    'webhook.retry',
  ],
  ['the status', 'own', () => ['GET', '/api/v1/status'], 403, 'status.read'],
];

describe('of 25 denials within a minute ten have a row each, and fifteen one together', () => {
  it.each(DENIED)('%s', async (_name, role, request, status, action) => {
    const company = await createThree({ roles });
    const subject = unknownId();
    const jwt = await company.jwtOf(role, subject);
    const ids: unknown[] = [];
    for (let sent = 0; sent < 25; sent += 1) {
      const [method, path, more] = request();
      const answer = await company.send(method, path, { jwt, ...more });
      expect(answer.status).toBe(status);
      ids.push(answer.body.event_id);
    }
    const rows = await rowsOfSubject(subject);
    expect(countsOf(rows)).toEqual([...Array.from({ length: 10 }, () => 1), 15]);
    expect(rows.map(isFurtherRow)).toEqual([...Array.from({ length: 10 }, () => false), true]);
    expect(new Set(rows.map((row) => `${row.action} ${row.status} ${row.error_code}`))).toEqual(
      new Set([`${action} failure ${status === 403 ? 'forbidden' : 'not_found'}`]),
    );
    // The caller hears which row its denial is in.
    expect(ids).toEqual([...rows.map(({ id }) => id), ...Array.from({ length: 14 }, () => rows[10]!.id)]);
    expect(rows[10]).toMatchObject({ token_id: null, workspace_uuid: null, ip: null, user_agent: null, outcome: '{}' });
    expect((await company.first.upstream()).filter(({ method }) => method !== 'GET')).toEqual([]);
  });
});

it('ten are recorded in full and no more, when sixty come at once to three isolates', async () => {
  const company = await createThree({ roles });
  const subject = unknownId();
  const jwt = await company.jwtOf('narrow', subject);
  const requests = Array.from({ length: 60 }, async (_, index) =>
    index % 2 === 0
      ? await company.send('POST', TOKENS, { jwt, body: BEYOND })
      : await company.send('GET', `${TOKENS}/${unknownId()}`, { jwt }),
  );
  for (const answer of await Promise.all(requests)) expect([403, 404]).toContain(answer.status);
  const rows = await rowsOfSubject(subject);
  const further = rows.filter(isFurtherRow);
  expect(rows.length - further.length).toBe(CALLER_DENIALS_MAX_ROWS);
  expect(further.map(({ action }) => action).toSorted()).toEqual([
    'service_account_token.create',
    'service_account_token.get',
  ]);
  expect(countsOf(rows).reduce((sum, count) => sum + count)).toBe(60);
});

it('ten reads that one isolate sends to D1 together are recorded in full, and no more', async () => {
  const company = await createThree({ roles });
  const subject = unknownId();
  const jwt = await company.jwtOf('own', subject);
  const get = async () => await company.first.send('GET', `${TOKENS}/${unknownId()}`, { jwt });
  for (const answer of await Promise.all(Array.from({ length: 40 }, get))) expect(answer.status).toBe(404);
  expect(countsOf(await rowsOfSubject(subject))).toEqual([...Array.from({ length: 10 }, () => 1), 30]);
});

it('each action and code has a row that counts, and a minute later all begins anew', async () => {
  const company = await createThree({ roles });
  const subject = unknownId();
  const jwt = await company.jwtOf('own', subject);
  const round = async (): Promise<void> => {
    for (let sent = 0; sent < 10; sent += 1) {
      await company.send('DELETE', `${TOKENS}/${unknownId()}`, { jwt });
      await company.send('GET', `${TOKENS}/${unknownId()}`, { jwt });
      await company.send('POST', TOKENS, { jwt, body: BEYOND });
    }
  };
  const further = async () =>
    (await rowsOfSubject(subject))
      .filter(isFurtherRow)
      .map(({ action, error_code, count }) => `${action.split('.')[1]} ${error_code} ${count}`)
      .toSorted();
  const COUNTED = ['create forbidden 7', 'get not_found 7', 'revoke not_found 6'];
  await round();
  expect(await further()).toEqual(COUNTED);
  company.age(60);
  await round();
  expect(await further()).toEqual([...COUNTED, ...COUNTED].toSorted());
  expect(await rowsOfSubject(subject)).toHaveLength(2 * (10 + 3));
});

it('another address, label or user agent makes no further row', async () => {
  const company = await createThree({ roles });
  const subject = unknownId();
  for (let sent = 0; sent < 30; sent += 1) {
    const jwt = await company.jwtOf('own', subject, { email: `${sent}@acme.example` });
    const headers = { 'CF-Connecting-IP': `192.0.2.${sent}`, 'User-Agent': `agent-${sent}` };
    await company.send(sent % 2 === 0 ? 'GET' : 'DELETE', `${TOKENS}/${unknownId()}`, { jwt, headers });
  }
  expect(countsOf(await rowsOfSubject(subject))).toEqual([...Array.from({ length: 10 }, () => 1), 10, 10]);
});

describe('a caller that was denied often', () => {
  const deniedOften = async (role: string, options: HarnessOptions = {}) => {
    const company = await createThree({ roles, ...options });
    const subject = unknownId();
    const jwt = await company.jwtOf(role, subject);
    for (let sent = 0; sent < 12; sent += 1) await company.send('POST', TOKENS, { jwt, body: BEYOND });
    return { company, subject, jwt };
  };
  const lastTrips = (company: Awaited<ReturnType<typeof createThree>>) =>
    company.isolates.map(({ lines }) => lines.findLast(({ event }) => event === 'request')?.['d1_trips']);

  it('does what it may do for one trip more, with a row before PipeOps is asked, and one that says success', async () => {
    const { company, subject, jwt } = await deniedOften('narrow');
    const created = await company.first.send('POST', TOKENS, { jwt, body: ALLOWED });
    expect(created.status).toBe(201);
    expect(lastTrips(company)[0]).toBe(3);
    const path = `${TOKENS}/${created.body.data.id}`;
    const renamed = await company.isolates[1].send('PATCH', path, { jwt, body: { name: 'renamed' } });
    expect(renamed.status).toBe(200);
    expect((await company.isolates[2].send('DELETE', path, { jwt })).status).toBe(200);
    expect((await rowsOfSubject(subject)).slice(-3)).toMatchObject([
      { action: 'service_account_token.create', status: 'success', count: 1, token_id: created.body.data.id },
      { action: 'service_account_token.update', status: 'success', count: 1 },
      { action: 'service_account_token.revoke', status: 'success', count: 1 },
    ]);
    expect((await company.first.upstream()).map(({ method }) => method)).toEqual(['POST', 'PATCH', 'DELETE']);
  });

  it('claims no key for what it may not do, and one for what it may', async () => {
    const { company, jwt } = await deniedOften('narrow');
    const keys = async () =>
      (await env.DB.prepare('select count(*) as n from idempotency_keys').first<{ n: number }>())?.n ?? 0;
    const before = await keys();
    const headers = { 'Idempotency-Key': unknownId() };
    expect((await company.send('POST', TOKENS, { jwt, body: BEYOND, headers })).status).toBe(403);
    expect(await keys()).toBe(before);
    const first = await company.send('POST', TOKENS, { jwt, body: ALLOWED, headers });
    expect(first.status).toBe(201);
    const again = await company.send('POST', TOKENS, { jwt, body: ALLOWED, headers });
    expect([again.status, again.body.data]).toEqual([201, first.body.data]);
    expect(again.headers.get('Idempotency-Replayed')).toBe('true');
    expect(await keys()).toBe(before + 1);
    expect(await company.first.upstreamTokens()).toHaveLength(1);
  });

  it('reads as it always did', async () => {
    const { company, subject, jwt } = await deniedOften('narrow');
    expect((await company.send('GET', TOKENS, { jwt })).status).toBe(200);
    expect((await rowsOfSubject(subject)).at(-1)).toMatchObject({
      action: 'service_account_token.list',
      status: 'success',
      workspace_uuid: company.first.workspace,
    });
  });

  it('takes nothing from another, not even from one of its name whom another issuer knows', async () => {
    const [first, second] = [
      await createTestIssuer({ issuer: ISSUER }),
      await createTestIssuer({ issuer: 'https://second.example' }),
    ];
    const issuers = [first, second].map(({ issuer, jwks }) => ({ issuer, audience: 'countersign', jwks }));
    const bindings = issuers.map(({ issuer }) => ({ issuer, claims: { role: 'narrow' }, role: 'narrow' }));
    const policy = { POLICY: JSON.stringify({ issuers, roles: { narrow: roles.narrow }, bindings }) };
    const { company, subject } = await deniedOften('narrow', { issuer: first, env: policy });
    const neighbour = unknownId();
    await company.send('POST', TOKENS, { jwt: await company.jwtOf('narrow', neighbour), body: BEYOND });
    expect(await rowsOfSubject(neighbour)).toMatchObject([{ count: 1, outcome: '{"reason":"scopes"}' }]);

    const namesake = await second.sign({ sub: subject, role: 'narrow' }, { nowMs: company.nowMs() });
    noteSecret(namesake);
    await company.send('POST', TOKENS, { jwt: namesake, body: BEYOND });
    expect((await rowsOfSubject(subject)).at(-1)).toMatchObject({
      actor_issuer: second.issuer,
      count: 1,
      outcome: '{"reason":"scopes"}',
    });
  });

  it('gives back the calls that it reserved where D1 does not take its row', async () => {
    let isDown: (batch: number) => boolean = () => false;
    const { db, sent } = failingBatches((batch) => isDown(batch));
    const { company, jwt } = await deniedOften('narrow', { db });
    const bucket = Math.floor(company.nowMs() / WINDOWS.hour.bucketMs);
    const reserved = async () =>
      await env.DB.prepare(`select calls from upstream_calls where span = 'hour' and bucket = ?`)
        .bind(bucket)
        .first<number>('calls');
    // What the denials before have left to give back goes with a batch that D1 takes.
    await company.first.send('POST', TOKENS, { jwt, body: BEYOND });
    const before = await reserved();
    const first = sent() + 1;
    isDown = (batch) => batch > first;
    const answer = await company.first.send('POST', TOKENS, { jwt, body: ALLOWED });
    expect(answer.body.code).toBe('audit_unavailable');
    isDown = () => false;
    await company.first.send('POST', TOKENS, { jwt, body: BEYOND });
    expect(await reserved()).toBe(before);
  });

  it('is not told of a denial that cannot be counted', async () => {
    let isDown = false;
    const { db } = failingBatches(() => isDown);
    const { company, subject, jwt } = await deniedOften('narrow', { db });
    const before = countsOf(await rowsOfSubject(subject));
    isDown = true;
    for (const [method, path] of [
      ['POST', TOKENS],
      ['GET', `${TOKENS}/${unknownId()}`],
      ['GET', '/api/v1/status'],
    ] as const) {
      const answer = await company.send(method, path, { jwt, ...(method === 'POST' && { body: BEYOND }) });
      expect([answer.status, answer.body.code]).toEqual([503, 'audit_unavailable']);
    }
    expect(countsOf(await rowsOfSubject(subject))).toEqual(before);
  });

  it('cannot tell the token of another from an id that never was', async () => {
    const recording = createRecordingD1();
    const { company, jwt } = await deniedOften('own', { db: recording.db });
    const { id } = await company.first.mint('of another', await company.jwtOf('narrow', unknownId()));
    const observe = async (method: string, tokenId: string) => {
      recording.statements.length = 0;
      const request = { jwt, ...(method === 'PATCH' && { body: { name: 'mine' } }) };
      const answer = await company.first.send(method, `${TOKENS}/${tokenId}`, request);
      return { status: answer.status, message: answer.body.message, statements: [...recording.statements] };
    };
    for (const method of ['GET', 'PATCH', 'DELETE']) {
      // The first of each action makes the row that counts.
      await observe(method, unknownId());
      expect(await observe(method, id)).toEqual(await observe(method, unknownId()));
    }
  });

  it('cannot hide what it tries behind changes of its own that are under way: those are counted too', async () => {
    const company = await createThree({ roles });
    const subject = unknownId();
    const jwt = await company.jwtOf('narrow', subject);
    await company.first.control.fault({ drop: 'after_commit', match: { method: 'POST' }, times: 10 });
    for (let sent = 0; sent < 10; sent += 1)
      expect((await company.send('POST', TOKENS, { jwt, body: ALLOWED })).status).toBe(504);
    await company.send('POST', TOKENS, { jwt, body: BEYOND });
    const rows = await rowsOfSubject(subject);
    expect(rows.slice(0, 10).every(({ status }) => status === 'attempted')).toBe(true);
    expect(rows.slice(10)).toMatchObject([{ status: 'failure', error_code: 'forbidden', count: 1 }]);
  });
});

it('a leaver who goes on is told so, and counted like anybody who is denied', async () => {
  const company = await createThree({ roles });
  const subject = unknownId();
  const jwt = await company.jwtOf('narrow', subject);
  await company.first.offboard({ issuer: company.first.issuer.issuer, subject });
  for (let sent = 0; sent < 12; sent += 1) {
    const requests = [
      ['POST', TOKENS, { jwt, body: ALLOWED }],
      ['GET', TOKENS, { jwt }],
    ] as const;
    for (const [method, path, request] of requests) {
      const answer = await company.send(method, path, request);
      expect([answer.status, answer.body.code]).toEqual([403, 'subject_blocked']);
    }
  }
  const rows = await rowsOfSubject(subject);
  expect(rows.filter((row) => !isFurtherRow(row))).toHaveLength(10);
  expect(rows.filter(isFurtherRow)).toMatchObject([
    { action: expect.any(String), error_code: 'subject_blocked', count: 7 },
    { action: expect.any(String), error_code: 'subject_blocked', count: 7 },
  ]);
});
