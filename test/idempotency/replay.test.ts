import { beforeEach, describe, expect, it } from 'vitest';
import { createHarness, ISSUER, TOKENS } from '../support/harness.ts';
import { clearOrders, createWebhookHarness } from '../revocation/harness.ts';
import { BODY, create, createIdempotencyHarness, creates, keysOf, live, newKey, outcomeOf, posts } from './harness.ts';

// A create is sent twice, one request after the other.

let harness: Awaited<ReturnType<typeof createIdempotencyHarness>>;
let key: string;
beforeEach(async () => {
  harness = await createIdempotencyHarness();
  key = newKey();
});

describe('a create that is repeated with its key', () => {
  it('mints once, and answers the same data again, saying so', async () => {
    const first = await create(harness, key);
    const second = await create(harness, key);
    expect([first.status, second.status]).toEqual([201, 201]);
    expect(JSON.stringify(second.body)).toBe(JSON.stringify(first.body));
    expect(second.body.data.token).toMatch(/^sat_/);
    expect([first.headers.get('Idempotency-Replayed'), second.headers.get('Idempotency-Replayed')]).toEqual([
      null,
      'true',
    ]);
    expect(second.headers.get('Cache-Control')).toBe('no-store');
    expect(await posts(harness)).toBe(1);
    expect(await live(harness)).toEqual([first.body.data.id]);
    expect(await harness.inventory()).toHaveLength(1);
  });

  it('leaves a row of its own, which names the first', async () => {
    const first = await create(harness, key);
    const second = await create(harness, key);
    const rows = await creates(harness);
    expect(rows).toMatchObject([
      { id: first.headers.get('X-Audit-Event-Id'), status: 'success', token_id: first.body.data.id },
      {
        id: second.headers.get('X-Audit-Event-Id'),
        status: 'success',
        token_id: first.body.data.id,
        token_name: 'deploy',
        upstream_status: null,
        error_code: null,
      },
    ]);
    expect(outcomeOf(rows[1])).toEqual({ role: 'admin', idempotent_of: rows[0]?.id });
    // A reader of the trail sees this.
    const shown = await harness.send('GET', `/api/v1/audit/events/${rows[1]?.id}`);
    expect(shown.body.data.detail).toMatchObject({ idempotent_of: rows[0]?.id });
  });

  it('is answered by another isolate too', async () => {
    const first = await create(harness, key);
    const other = await createHarness({ like: harness });
    const second = await create(other, key);
    expect([second.status, second.body.data]).toEqual([201, first.body.data]);
    expect(await posts(harness)).toBe(1);
  });

  it.each([
    ['its fields in another order', BODY, { scopes: ['api:read'], name: 'deploy' }],
    ['a duration, which is another time by now', { ...BODY, expires_in: '1h' }, { ...BODY, expires_in: '1h' }],
  ])('is the same request with %s', async (_case, body, again) => {
    const first = await create(harness, key, { body });
    harness.age(60);
    const second = await create(harness, key, { body: again });
    expect([second.status, second.body.data]).toEqual([201, first.body.data]);
  });

  it('costs two trips to D1, as many as the first', async () => {
    await create(harness, key);
    await create(harness, key);
    await create(harness, newKey());
    const trips = harness.lines.filter(({ event }) => event === 'request').map(({ d1_trips }) => d1_trips);
    expect(trips).toEqual([2, 2, 2]);
  });

  it('is the same request with other white space', async () => {
    const headers = { 'Idempotency-Key': key };
    const first = await harness.send('POST', TOKENS, { headers, rawBody: '{"name":"a","scopes":["api:read"]}' });
    const second = await harness.send('POST', TOKENS, {
      headers,
      rawBody: '{ "scopes": [ "api:read" ], "name": "a" }',
    });
    expect([first.status, second.status, second.body.data]).toEqual([201, 201, first.body.data]);
  });
});

describe('without a key', () => {
  it('two creates mint two', async () => {
    await harness.mint();
    await harness.mint();
    expect(await posts(harness)).toBe(2);
    expect(await keysOf(harness)).toEqual([]);
  });
});

describe('a key that was used for another request', () => {
  it.each([
    ['another name', { ...BODY, name: 'other' }],
    ['other scopes', { ...BODY, scopes: ['api:write'] }],
    ['one more field', { ...BODY, description: 'x' }],
    ['the same in the form of the SDK', { name: BODY.name, permissions: BODY.scopes }],
  ])('%s: 422, with the event id of the first', async (_case, body) => {
    const first = await create(harness, key);
    const answer = await create(harness, key, { body });
    expect([answer.status, answer.body.code]).toEqual([422, 'idempotency_key_reused']);
    const firstId = first.headers.get('X-Audit-Event-Id');
    expect(answer.body.errors['Idempotency-Key'][0]).toContain(firstId);
    const row = (await creates(harness)).at(-1);
    expect(row).toMatchObject({
      id: answer.body.event_id,
      status: 'failure',
      error_code: 'idempotency_key_reused',
      token_id: null,
    });
    expect(outcomeOf(row)).toEqual({ idempotent_of: firstId });
    expect(await posts(harness)).toBe(1);
    // The first create is not harmed.
    expect((await create(harness, key)).body.data).toEqual(first.body.data);
  });
});

describe('the same key', () => {
  it('of another caller is another key', async () => {
    const others = await harness.jwtFor('admin', { sub: 'admin-2' });
    const first = await create(harness, key);
    const second = await create(harness, key, { jwt: others });
    expect([first.status, second.status]).toEqual([201, 201]);
    expect(second.body.data.id).not.toBe(first.body.data.id);
    expect(second.headers.get('Idempotency-Replayed')).toBe(null);
  });

  it('in another workspace is another key', async () => {
    const elsewhere = crypto.randomUUID();
    const first = await create(harness, key);
    const second = await create(harness, key, { query: `?workspace_uuid=${elsewhere}` });
    expect([first.status, second.status]).toEqual([201, 201]);
    expect(await harness.control.tokens(elsewhere)).toHaveLength(1);
    expect(await posts(harness)).toBe(1);
  });
});

describe('a replay is judged at its own time', () => {
  const roles = (scopes: readonly string[]) => ({
    ci: { permissions: ['tokens:create'], tokens: 'own', workspaces: ['*'], scopes },
  });

  it('the policy counts: what may not be created now is not given again', async () => {
    const before = await createHarness({ roles: roles(['api:read']) });
    const jwt = await before.jwtFor('ci');
    const first = await create(before, key, { jwt });
    const after = await createHarness({ like: before, roles: roles(['api:write']) });
    const second = await create(after, key, { jwt });
    expect([first.status, second.status, second.body.code]).toEqual([201, 403, 'forbidden']);
    expect((await creates(before)).at(-1)).toMatchObject({
      id: second.body.event_id,
      status: 'failure',
      error_code: 'forbidden',
    });
    // The denial frees nothing: the first create still holds its key.
    expect((await create(before, key, { jwt })).body.data).toEqual(first.body.data);
    expect(await posts(before)).toBe(1);
  });

  const GONE = [409, 'idempotency_token_gone'];
  it('a token that was revoked is not handed out again, and no other is minted', async () => {
    const first = await create(harness, key);
    await harness.send('DELETE', `${TOKENS}/${first.body.data.id}`);
    const second = await create(harness, key);
    expect([second.status, second.body.code]).toEqual(GONE);
    expect(second.body.errors['Idempotency-Key'][0]).toContain(first.headers.get('X-Audit-Event-Id'));
    expect(outcomeOf((await creates(harness)).at(-1))).toEqual({
      idempotent_of: first.headers.get('X-Audit-Event-Id'),
    });
    expect(await posts(harness)).toBe(1);
  });

  it('a token that has expired is not handed out again', async () => {
    const body = { ...BODY, expires_in: '10m' };
    await create(harness, key, { body });
    harness.age(601);
    const second = await create(harness, key, { body });
    expect([second.status, second.body.code]).toEqual(GONE);
  });

  it('a token that a webhook suspended is not handed out again', async () => {
    await clearOrders();
    const hooked = await createWebhookHarness();
    const subject = `leaver-${crypto.randomUUID()}`;
    const jwt = await hooked.jwtFor('admin', { sub: subject });
    expect((await create(hooked, key, { jwt })).status).toBe(201);
    await hooked.offboard({ issuer: ISSUER, subject, mode: 'suspend' });
    await hooked.reinstate({ issuer: ISSUER, subject });
    expect(await hooked.inventory()).toMatchObject([{ revoked_at: null, suspended_by: expect.any(String) }]);
    const second = await create(hooked, key, { jwt });
    expect([second.status, second.body.code]).toEqual(GONE);
  });

  it('a token is handed out again until it expires', async () => {
    const body = { ...BODY, expires_in: '10m' };
    await create(harness, key, { body });
    harness.age(590);
    expect((await create(harness, key, { body })).status).toBe(201);
  });
});

describe('after an hour', () => {
  it('the key is forgotten, and a create with it mints anew', async () => {
    const first = await create(harness, key);
    harness.age(60 * 60 - 5);
    expect((await create(harness, key)).body.data).toEqual(first.body.data);
    harness.age(10);
    const second = await create(harness, key);
    expect(second.status).toBe(201);
    expect(second.headers.get('Idempotency-Replayed')).toBe(null);
    expect(second.body.data.id).not.toBe(first.body.data.id);
    expect(await keysOf(harness)).toMatchObject([{ event_id: second.headers.get('X-Audit-Event-Id') }]);
  });

  it('the cron erases what was sealed', async () => {
    await create(harness, key);
    await harness.cron();
    expect(await keysOf(harness)).toMatchObject([{ sealed: expect.stringMatching(/^eyJ/) }]);
    harness.age(60 * 60 + 1);
    await harness.cron();
    expect(await keysOf(harness)).toEqual([]);
    expect(harness.lines.findLast(({ event }) => event === 'cron')).toMatchObject({ erased_keys: expect.any(Number) });
  });
});
