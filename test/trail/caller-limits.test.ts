import { env } from 'cloudflare:workers';
import { describe, expect, it } from 'vitest';
import { CALLER_IDLE_MAX_ROWS, CALLER_READS_MAX_ROWS, CALLER_ROWS_MAX_COUNT } from '../../src/config/limits.ts';
import type { AuditEventRow } from '../../src/db/schema.ts';
import { TOKENS, type Answer, type SentRequest } from '../support/harness.ts';
import { countsOf, createThree, isFurtherRow, rowsOfSubject } from './caller-rows.ts';

// A caller adds a bounded number of rows to the trail within a minute, whatever it does, and all that it does is still in the trail.

const roles = {
  own: {
    permissions: ['tokens:create', 'tokens:read', 'tokens:update', 'tokens:revoke'],
    tokens: 'own',
    workspaces: ['*'],
    scopes: ['api:read'],
  },
};
const ALLOWED = { name: 'deploy', scopes: ['api:read'] };
const unknownId = (): string => crypto.randomUUID();
const sum = (rows: readonly AuditEventRow[]): number => countsOf(rows).reduce((all, count) => all + count, 0);

describe('reads that differ, beyond those that a minute records, are counted in one row for each action', () => {
  const EXTRA = 15;
  const READS: readonly (readonly [
    name: string,
    action: string,
    path: (index: number) => string,
    statuses: number[],
  ])[] = [
    ['queries of addresses', 'audit.query', (i) => `/api/v1/audit/events?ip=192.0.2.${i}`, [200]],
    ['queries of tokens', 'audit.query', () => `/api/v1/audit/events?token_id=${unknownId()}`, [200]],
    ['queries of pages', 'audit.query', (i) => `/api/v1/audit/events?limit=${i + 1}`, [200]],
    ['pages of deliveries', 'webhook.query', (i) => `/api/v1/webhooks/deliveries?limit=${i + 1}`, [200]],
    [
      'lists of workspaces that it makes up',
      'service_account_token.list',
      () => `${TOKENS}?workspace_uuid=${unknownId()}`,
      // Only while PipeOps is asked at all.
      [200, 429, 503],
    ],
  ];
  it.each(READS)('%s', async (_name, action, path, expected) => {
    const company = await createThree();
    const subject = unknownId();
    const jwt = await company.jwtOf('admin', subject);
    for (let sent = 0; sent < CALLER_READS_MAX_ROWS + EXTRA; sent += 1)
      expect(expected).toContain((await company.send('GET', path(sent), { jwt })).status);
    const rows = await rowsOfSubject(subject);
    const further = rows.filter(isFurtherRow);
    expect(rows.length - further.length).toBe(CALLER_READS_MAX_ROWS);
    expect(sum(further)).toBe(EXTRA);
    for (const row of further) expect(row).toMatchObject({ action, workspace_uuid: null, token_id: null, ip: null });
    // There is one row for each outcome.
    expect(new Set(further.map(({ status: was, error_code }) => `${was} ${error_code}`)).size).toBe(further.length);
  });

  it('includes gets of its own tokens, and each is answered in full', async () => {
    // Gets for which PipeOps is asked have a limit of their own.
    const company = await createThree({ roles, env: { SNAPSHOT_MAX_AGE_SECONDS: '300' } });
    const [subject, minter] = [unknownId(), await company.jwtOf('own', unknownId())];
    const jwt = await company.jwtOf('admin', subject);
    const ids = await Promise.all(
      Array.from({ length: CALLER_READS_MAX_ROWS + EXTRA }, async (_, index) => {
        const token = { workspace_uuid: company.first.workspace, name: `token-${index}` };
        return (await company.first.control.insertToken(token)).id;
      }),
    );
    expect((await company.first.send('GET', TOKENS, { jwt: minter })).status).toBe(200);
    for (const id of ids) {
      const answer = await company.send('GET', `${TOKENS}/${id}`, { jwt });
      expect([answer.status, answer.body.data?.token?.uuid]).toEqual([200, id]);
      expect(answer.headers.get('X-Audit-Event-Id')).not.toBeNull();
    }
    const rows = await rowsOfSubject(subject);
    expect(rows.map(isFurtherRow).filter(Boolean)).toHaveLength(1);
    expect(rows.at(-1)).toMatchObject({ action: 'service_account_token.get', status: 'success', count: EXTRA });
  });

  it('includes reads that come together, in one isolate or in three', async () => {
    const company = await createThree();
    const subject = unknownId();
    const jwt = await company.jwtOf('admin', subject);
    const reads = Array.from({ length: 120 }, async (_, index) =>
      index < 60
        ? await company.send('GET', `/api/v1/audit/events?limit=${index + 1}`, { jwt })
        : await company.first.send('GET', `${TOKENS}?workspace_uuid=${unknownId()}`, { jwt }),
    );
    await Promise.all(reads);
    const rows = await rowsOfSubject(subject);
    expect(rows.filter((row) => !isFurtherRow(row))).toHaveLength(CALLER_READS_MAX_ROWS);
    expect(sum(rows)).toBe(120);
  });

  it('goes on counting a read in its own row, if the minute has recorded it in full', async () => {
    const company = await createThree();
    const subject = unknownId();
    const jwt = await company.jwtOf('admin', subject);
    const query = async (limit: number): Promise<Answer> =>
      await company.send('GET', `/api/v1/audit/events?limit=${limit}`, { jwt });
    const first = await query(1);
    for (let limit = 2; limit <= CALLER_READS_MAX_ROWS + 2; limit += 1) await query(limit);
    const again = await query(1);
    expect(again.headers.get('X-Audit-Event-Id')).toBe(first.headers.get('X-Audit-Event-Id'));
    const rows = await rowsOfSubject(subject);
    expect(rows[0]).toMatchObject({ count: 2 });
    expect(rows.filter(isFurtherRow)).toMatchObject([{ count: 2 }]);
    company.age(60);
    await query(CALLER_READS_MAX_ROWS + 3);
    expect((await rowsOfSubject(subject)).at(-1)).toMatchObject({
      count: 1,
      detail: expect.not.stringContaining('further'),
    });
  });
});

describe('what costs PipeOps nothing and has a row of its own ends with 429 when a minute has enough of it', () => {
  const IDLE: readonly (readonly [
    name: string,
    prepare: (
      company: Awaited<ReturnType<typeof createThree>>,
      jwt: string,
    ) => Promise<readonly [string, string, SentRequest]>,
    rowsBefore: number,
  ])[] = [
    ['exports', async () => ['GET', '/api/v1/audit/export', {}], 0],
    [
      'repeats of an idempotency key',
      async (company, jwt) => {
        const request = { body: ALLOWED, headers: { 'Idempotency-Key': unknownId() } };
        expect((await company.send('POST', TOKENS, { jwt, ...request })).status).toBe(201);
        return ['POST', TOKENS, request];
      },
      1,
    ],
    [
      'a used key with another request',
      async (company, jwt) => {
        const headers = { 'Idempotency-Key': unknownId() };
        expect((await company.send('POST', TOKENS, { jwt, body: ALLOWED, headers })).status).toBe(201);
        return ['POST', TOKENS, { body: { ...ALLOWED, name: 'another' }, headers }];
      },
      1,
    ],
    [
      'revokes of a token whose end is proven',
      async (company, jwt) => {
        const { id } = await company.first.mint('deploy', jwt);
        expect((await company.send('DELETE', `${TOKENS}/${id}`, { jwt })).status).toBe(200);
        return ['DELETE', `${TOKENS}/${id}`, {}];
      },
      2,
    ],
    [
      'creates that our own limits refuse',
      async (company) => {
        await company.first.control.fault({
          status: 429,
          headers: { 'Retry-After': '50' },
          match: { workspace_uuid: company.first.workspace },
        });
        return ['POST', TOKENS, { body: ALLOWED }];
      },
      0,
    ],
    [
      'retries of a delivery',
      async (company) => {
        const delivered = await company.first.sendEvent('scanner', 'token.revoke', { token_id: unknownId() });
        return ['POST', `/api/v1/webhooks/deliveries/${delivered.body.data.delivery_id}/retry`, {}];
      },
      0,
    ],
  ];
  it.each(IDLE)('%s', async (_name, prepare, rowsBefore) => {
    const company = await createThree();
    const subject = unknownId();
    const jwt = await company.jwtOf('admin', subject);
    const [method, path, request] = await prepare(company, jwt);
    const send = async (): Promise<Answer> => await company.send(method, path, { jwt, ...request });
    const limited = async (): Promise<number> => {
      const { status, body, headers } = await send();
      expect([status, body.code, headers.get('Retry-After')]).toEqual([429, 'rate_limited', '55']);
      return status;
    };
    for (let sent = 0; sent < CALLER_IDLE_MAX_ROWS; sent += 1)
      expect((await send()).body?.code).not.toBe('rate_limited');
    for (let sent = 0; sent < 5; sent += 1) await limited();
    const rows = await rowsOfSubject(subject);
    expect(rows).toHaveLength(CALLER_IDLE_MAX_ROWS + rowsBefore);
    expect(rows.every(({ count, status }) => count === 1 && status !== 'attempted')).toBe(true);
    // A denial is still counted, and a minute later all begins anew.
    expect((await company.send('GET', `/api/v1/audit/events/${unknownId()}`, { jwt })).status).toBe(404);
    expect((await rowsOfSubject(subject)).at(-1)).toMatchObject({ error_code: 'not_found', count: 1 });
    company.age(55);
    expect((await send()).body?.code).not.toBe('rate_limited');
  });
});

it('a hostile mixture over three isolates adds no more rows within a minute than docs/security.md names', async () => {
  const company = await createThree({ roles });
  const subject = unknownId();
  const [jwt, own] = [await company.jwtOf('admin', subject), await company.jwtOf('own', subject)];
  const { id } = await company.first.mint('deploy', jwt);
  await company.send('DELETE', `${TOKENS}/${id}`, { jwt });
  const key = { 'Idempotency-Key': unknownId() };
  const minted = await company.send('POST', TOKENS, { jwt, body: ALLOWED, headers: key });
  const MIXTURE: readonly (() => readonly [string, string, SentRequest])[] = [
    () => ['GET', `${TOKENS}/${unknownId()}`, { jwt }],
    () => ['GET', `${TOKENS}/${unknownId()}`, { jwt: own }],
    () => ['GET', `${TOKENS}?workspace_uuid=${unknownId()}`, { jwt }],
    () => ['GET', `${TOKENS}/${minted.body.data.id}`, { jwt, headers: { 'CF-Connecting-IP': `2001:db8::${hex()}` } }],
    () => ['POST', TOKENS, { jwt: own, body: { ...ALLOWED, scopes: ['api:write'] } }],
    () => ['POST', TOKENS, { jwt: own, body: { ...ALLOWED, scopes: ['api:full'] }, headers: randomKey() }],
    () => ['POST', TOKENS, { jwt, body: ALLOWED }],
    () => ['POST', TOKENS, { jwt, body: ALLOWED, headers: key }],
    () => ['POST', TOKENS, { jwt, body: { ...ALLOWED, name: hex() }, headers: key }],
    () => ['PATCH', `${TOKENS}/${unknownId()}`, { jwt: own, body: { name: hex() } }],
    () => ['DELETE', `${TOKENS}/${unknownId()}`, { jwt: own }],
    () => ['DELETE', `${TOKENS}/${id}`, { jwt }],
    () => ['GET', `/api/v1/audit/events?request_id=${unknownId()}`, { jwt }],
    () => ['GET', `/api/v1/audit/events?actor=${hex()}`, { jwt: own }],
    () => ['GET', `/api/v1/audit/events/${unknownId()}`, { jwt }],
    () => ['GET', '/api/v1/audit/export', { jwt }],
    () => ['GET', `/api/v1/webhooks/deliveries/${unknownId()}`, { jwt }],
    () => ['POST', `/api/v1/webhooks/deliveries/${unknownId()}/retry`, { jwt }],
    () => ['GET', '/api/v1/status', { jwt: own }],
    () => ['GET', '/api/v1/status', { jwt }],
    () => ['GET', '/api/v1/whoami', { jwt }],
  ];
  const tables = async () =>
    (
      await env.DB.prepare(
        `select (select count(*) from subject_labels) + (select count(*) from idempotency_keys)
           + (select count(*) from attempt_reviews) as n`,
      ).first<{ n: number }>()
    )?.n ?? 0;
  const before = await tables();
  for (let round = 0; round < 30; round += 1) {
    await Promise.all(
      MIXTURE.map(async (make) => {
        const answer = await company.send(...make());
        expect([200, 201, 403, 404, 422, 429, 502, 503], answer.text).toContain(answer.status);
      }),
    );
  }
  const rows = await rowsOfSubject(subject);
  expect(rows.length).toBeGreaterThan(100);
  expect(rows.length).toBeLessThanOrEqual(CALLER_ROWS_MAX_COUNT);
  expect(await tables()).toBeLessThanOrEqual(before + 5);
}, 60_000);

const hex = (): string => crypto.randomUUID().slice(0, 4);
const randomKey = () => ({ 'Idempotency-Key': unknownId() });
