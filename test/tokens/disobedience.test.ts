import { describe, expect, it } from 'vitest';
import { askedIn } from '../support/audit-detail.ts';
import { UPSTREAM_TIMEOUT_MS } from '../../src/config/limits.ts';
import type { Runtime } from '../../src/kit/runtime.ts';
import { createHarness, TOKENS, type Answer, type Harness } from '../support/harness.ts';
import { twistedAnswers, twistedTokens } from '../support/twisted-answers.ts';
import { ordersOf } from '../revocation/harness.ts';

// PipeOps says 2xx and does something else: what it did is looked at before anybody is told that it is done.

const ELSEWHERE = 'e15e0000-0000-4000-8000-000000000000';
const EXPIRY = '2031-01-01T00:00:00.000Z';
const CREATE = { body: { name: 'deploy', scopes: ['api:read', 'api:write'], expires_at: EXPIRY } };
const create = async (h: Harness, headers: Record<string, string> = {}): Promise<Answer> =>
  await h.send('POST', TOKENS, { ...CREATE, headers });
const outcomeOf = (row: { readonly outcome: string | null } | undefined): unknown => JSON.parse(row?.outcome ?? 'null');
const methods = async (h: Harness): Promise<readonly string[]> => (await h.upstream()).map(({ method }) => method);

describe('a create whose answer', () => {
  it.each([
    ['has a wider scope', { scopes: ['api:read', 'api:full'] }, { scopes: ['api:full', 'api:read'] }],
    ['has no expiry where a GET says so too', { expires_at: null }, { expires_at: null }],
    ['expires too late', { expires_at: '2031-01-01T00:01:01Z' }, { expires_at: '2031-01-01T00:01:01.000Z' }],
    ['names another workspace', { workspace_id: ELSEWHERE }, { workspace_id: ELSEWHERE }],
  ])('%s is withheld, revoked, and in the trail with what came', async (_case, change, came) => {
    const harness = await createHarness({
      runtime: twistedAnswers((body, { method }) => {
        if (method === 'POST') return { ...body, data: { ...body.data, ...change } };
        if (method === 'GET') return { ...body, data: { token: { ...body.data.token, ...change } } };
        return body;
      }),
    });
    const answer = await create(harness);
    expect([answer.status, answer.body.code]).toEqual([502, 'upstream_disobeyed']);
    expect(answer.text).not.toContain('sat_');
    const [token] = await harness.upstreamTokens();
    expect(token).toMatchObject({ is_revoked: true });
    const [created, revoked, ...others] = await harness.rows();
    expect(others).toEqual([]);
    expect(created).toMatchObject({
      id: answer.body.event_id,
      action: 'service_account_token.create',
      status: 'failure',
      error_code: 'upstream_disobeyed',
      token_id: token?.id,
    });
    expect(outcomeOf(created)).toEqual({ came });
    expect(revoked).toMatchObject({ action: 'service_account_token.revoke', actor_type: 'system', status: 'success' });
    expect(askedIn(revoked)).toEqual({ undelivered_create: created?.id });
    expect(await ordersOf(harness)).toMatchObject([
      { id: revoked?.id, cause: 'system', mode: 'revoke', state: 'acknowledged', token_id: token?.id },
    ]);
    expect(await harness.inventory()).toEqual([]);
  });

  it.each([
    ['is narrower', { scopes: ['api:read'] }, { scopes: ['api:read'] }, Date.parse(EXPIRY)],
    [
      'expires earlier',
      { expires_at: '2030-06-01T00:00:00Z' },
      { expires_at: '2030-06-01T00:00:00.000Z' },
      Date.parse('2030-06-01T00:00:00Z'),
    ],
    [
      'has expired',
      { expires_at: '2001-01-01T00:00:00Z' },
      { expires_at: '2001-01-01T00:00:00.000Z' },
      978_307_200_000,
    ],
    ['says it in other cases', { scopes: ['API:READ', 'API:WRITE'] }, undefined, Date.parse(EXPIRY)],
    ['names the workspace by a number', { workspace_id: '4711' }, undefined, Date.parse(EXPIRY)],
  ])('%s is delivered, and recorded as it came', async (_case, change, came, expiresAtMs) => {
    const harness = await createHarness({ runtime: twistedTokens('POST', () => change) });
    const answer = await create(harness);
    expect(answer.status).toBe(201);
    expect(answer.body.data).toMatchObject('scopes' in change ? change : {});
    expect(await harness.rows()).toMatchObject([{ status: 'success', token_id: answer.body.data.id }]);
    expect(outcomeOf((await harness.rows())[0])).toEqual({ role: 'admin', ...(came !== undefined && { came }) });
    expect(await harness.inventory()).toMatchObject([{ expires_at: expiresAtMs }]);
    expect(await methods(harness)).toEqual(['POST']);
  });

  it('is whole costs no further call, and none where it leaves out an expiry that was not granted', async () => {
    const harness = await createHarness();
    await create(harness);
    await harness.mint('without expiry');
    expect(await methods(harness)).toEqual(['POST', 'POST']);
    expect(harness.lines.filter((line) => line['d1_trips'] !== undefined).map((line) => line['d1_trips'])).toEqual([
      2, 2,
    ]);
  });

  it('contradicts its grant frees its key, once the token is revoked', async () => {
    let isTwisted = true;
    const harness = await createHarness({
      runtime: twistedTokens('POST', () => (isTwisted ? { scopes: ['*'] } : {})),
    });
    const key = { 'Idempotency-Key': crypto.randomUUID() };
    expect((await create(harness, key)).status).toBe(502);
    isTwisted = false;
    const again = await create(harness, key);
    expect([again.status, again.headers.get('Idempotency-Replayed')]).toEqual([201, null]);
  });

  it('names another workspace, where the token really is, has it revoked there', async () => {
    const deletes: string[] = [];
    const harness = await createHarness({
      runtime: twistedAnswers((body, { method, url }) => {
        if (method === 'POST') return { ...body, data: { ...body.data, workspace_id: ELSEWHERE } };
        if (method !== 'DELETE') return body;
        deletes.push(new URL(url).searchParams.get('workspace_uuid') ?? '');
        const isThere = deletes.at(-1) === ELSEWHERE;
        return Response.json({ success: isThere, message: '' }, { status: isThere ? 200 : 404 });
      }),
    });
    expect((await create(harness)).body.code).toBe('upstream_disobeyed');
    expect(deletes).toEqual([harness.workspace, ELSEWHERE]);
    expect(await ordersOf({ workspace: ELSEWHERE })).toMatchObject([{ state: 'acknowledged', mode: 'revoke' }]);
  });
});

describe('what a create’s answer leaves out', () => {
  const rig = async (
    leftOut: readonly string[],
    get: (body: { data: { token: object } }, nth: number) => unknown,
    runtime: Partial<Runtime> = {},
  ): Promise<{ harness: Harness; gets: () => number }> => {
    let gets = 0;
    const harness = await createHarness({
      runtime: {
        ...twistedAnswers((body, { method }) => {
          if (method === 'POST')
            return { ...body, data: { ...body.data, ...Object.fromEntries(leftOut.map((name) => [name, null])) } };
          if (method !== 'GET') return body;
          gets += 1;
          return get(body, gets);
        }),
        ...runtime,
      },
    });
    return { harness, gets: () => gets };
  };
  const notFound = () => Response.json({ success: false, message: 'not found' }, { status: 404 });

  it.each([['scopes'], ['expires_at'], ['workspace_id'], ['scopes', 'expires_at', 'workspace_id']])(
    '(%s …) is read by one GET',
    async (...leftOut) => {
      const { harness, gets } = await rig(leftOut, (body) => body);
      const answer = await create(harness);
      expect(answer.status).toBe(201);
      expect(answer.body.data).toMatchObject({
        scopes: ['api:read', 'api:write'],
        expires_at: EXPIRY,
        workspace_id: harness.workspace,
      });
      expect(gets()).toBe(1);
      expect(await harness.inventory()).toMatchObject([{ expires_at: Date.parse(EXPIRY) }]);
    },
  );

  it('counts as none where the GET leaves it out too', async () => {
    const { harness } = await rig(['expires_at'], (body) => ({
      ...body,
      data: { token: { ...body.data.token, expires_at: '' } },
    }));
    expect((await create(harness)).body.code).toBe('upstream_disobeyed');
    expect(outcomeOf((await harness.rows())[0])).toEqual({ came: { expires_at: null } });
    expect(await harness.upstreamTokens()).toMatchObject([{ is_revoked: true }]);
  });

  it('is asked for again while PipeOps lags', async () => {
    const pauses: number[] = [];
    const { harness, gets } = await rig(['scopes'], (body, nth) => (nth <= 3 ? notFound() : body), {
      sleep: async (ms) => void pauses.push(ms),
    });
    expect((await create(harness)).status).toBe(201);
    expect(gets()).toBe(4);
    expect(pauses).toEqual([250, 500, 1_000]);
  });

  it.each([
    ['is not found in time', notFound, 502, 'upstream_invalid_response'],
    ['is not told, since PipeOps fails', () => Response.json({}, { status: 503 }), 502, 'upstream_error'],
    ['is not told, since PipeOps says wait', () => Response.json({}, { status: 429 }), 429, 'upstream_rate_limited'],
    ['cannot be read', () => Response.json({ success: true, data: {} }), 502, 'upstream_invalid_response'],
  ])('and %s keeps its secret from everybody', async (_case, get, status, code) => {
    const { harness } = await rig(['scopes'], get, { sleep: async () => {} });
    const answer = await create(harness);
    expect([answer.status, answer.body.code]).toEqual([status, code]);
    expect(answer.text).not.toContain('sat_');
    const [created] = await harness.rows();
    expect(created).toMatchObject({ status: 'failure', error_code: 'undelivered' });
    // While PipeOps says wait nothing is sent; the order is.
    const isTold = code !== 'upstream_rate_limited';
    expect(await harness.upstreamTokens()).toMatchObject([{ is_revoked: isTold }]);
    expect(await ordersOf(harness)).toMatchObject([{ state: isTold ? 'acknowledged' : 'open' }]);
  });

  it('is waited for no longer than PipeOps may take in all', async () => {
    const calls: AbortController[] = [];
    let pauses = 0;
    const { harness, gets } = await rig(['scopes'], notFound, {
      timeout: (ms) => {
        const controller = new AbortController();
        if (ms === UPSTREAM_TIMEOUT_MS) calls.push(controller);
        return controller.signal;
      },
      // The time of the call is up during the second pause. No clock of this machine has a part in it.
      sleep: async () => {
        pauses += 1;
        if (pauses === 2) for (const call of calls) call.abort();
      },
    });
    expect((await create(harness)).status).toBe(502);
    expect(gets()).toBe(2);
    expect(await harness.upstreamTokens()).toMatchObject([{ is_revoked: true }]);
  });
});

describe('an update that PipeOps does not obey', () => {
  it.each([
    ['a suspension', { is_active: false }, { is_active: true }, { is_active: true }],
    ['a resume', { is_active: true }, { is_active: false }, { is_active: false }],
    ['a narrowing', { scopes: ['api:read'] }, { scopes: ['api:read', '*'] }, { scopes: ['*', 'api:read'] }],
  ])('%s is a failure, and revokes nothing', async (_case, body, change, came) => {
    const harness = await createHarness({ runtime: twistedTokens('PATCH', () => change) });
    const { id } = await harness.mint();
    const answer = await harness.send('PATCH', `${TOKENS}/${id}`, { body });
    expect([answer.status, answer.body.code]).toEqual([502, 'upstream_disobeyed']);
    const row = (await harness.rows()).at(-1);
    expect(row).toMatchObject({
      id: answer.body.event_id,
      status: 'failure',
      error_code: 'upstream_disobeyed',
      upstream_status: 200,
    });
    expect(outcomeOf(row)).toEqual({ came });
    expect(await harness.upstreamTokens()).toMatchObject([{ is_revoked: false }]);
    expect(await ordersOf(harness)).toEqual([]);
    expect(await harness.inventory()).toMatchObject([{ suspended_by: null, revoked_at: null }]);
  });

  it.each([
    ['a suspension that says nothing of it', { is_active: false }, { is_active: null }],
    ['a rename that shows a suspended token', { name: 'renamed' }, { is_active: false }],
    ['a narrowing that names no scope', { scopes: ['api:read'] }, { scopes: null }],
  ])('is none where the answer does not contradict it: %s', async (_case, body, change) => {
    const harness = await createHarness({ runtime: twistedTokens('PATCH', () => change) });
    const { id } = await harness.mint();
    expect((await harness.send('PATCH', `${TOKENS}/${id}`, { body })).status).toBe(200);
  });

  it('is in the very next list: no list from before is served', async () => {
    const harness = await createHarness({
      env: { SNAPSHOT_MAX_AGE_SECONDS: '15' },
      runtime: twistedTokens('PATCH', () => ({ scopes: ['*'] })),
    });
    const { id } = await harness.mint();
    await harness.send('GET', TOKENS);
    await harness.send('PATCH', `${TOKENS}/${id}`, { body: { scopes: ['api:write'] } });
    expect((await harness.send('GET', TOKENS)).body.data.tokens).toMatchObject([{ id, scopes: ['api:write'] }]);
  });
});
