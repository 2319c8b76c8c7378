import { describe, expect, it } from 'vitest';
import type { OpenedSession } from './faults-wire.ts';
import { startTestSimulator } from './harness.ts';

let nowMs = Date.parse('2026-11-24T12:00:00Z');
const { url, control, visit } = await startTestSimulator({ now: () => nowMs });

async function session(options: Partial<OpenedSession> = {}) {
  const client_id = crypto.randomUUID();
  const { workspace, send } = visit();
  const first = await control.openSession({ client_id, ...options });

  const post = async (body: string, type: string) => {
    const response = await fetch(`${url}/oauth/token`, { method: 'POST', headers: { 'Content-Type': type }, body });
    // oxlint-disable-next-line typescript/no-explicit-any -- tests look into bodies of every shape
    const json: any = await response.json();
    return { status: response.status, body: json };
  };
  const exchange = async (refresh_token: string, rest: object = {}) =>
    await post(JSON.stringify({ grant_type: 'refresh_token', refresh_token, client_id, ...rest }), 'application/json');
  const statusOf = async (credential: string) => (await send('GET', { credential })).status;
  const state = async () => (await control.sessions(client_id))[0];
  return { client_id, workspace, first, post, exchange, statusOf, state };
}

describe('a session', () => {
  it('renews itself: each exchange gives another access and refresh token', async () => {
    const { first, exchange, statusOf, state } = await session({ expires_in: 60 });
    const { status, body } = await exchange(first.refresh_token);
    expect([status, body.token_type, body.expires_in]).toEqual([200, 'Bearer', 60]);
    expect((await exchange(body.refresh_token)).status).toBe(200);
    expect([await statusOf(first.access_token), await statusOf(body.access_token)]).toEqual([200, 200]);
    nowMs += 61_000;
    expect(await statusOf(body.access_token)).toBe(401);
    expect(await state()).toMatchObject({ exchanges: 2, is_ended: false });
  });

  it('ends where a spent refresh token comes again', async () => {
    const { first, exchange, statusOf, state } = await session();
    const { body } = await exchange(first.refresh_token);
    expect(await exchange(first.refresh_token)).toEqual({ status: 400, body: { error: 'invalid_grant' } });
    expect(await statusOf(body.access_token)).toBe(419);
    expect((await exchange(body.refresh_token)).status).toBe(400);
    expect(await state()).toMatchObject({ exchanges: 1, is_ended: true });
  });

  it('may keep its refresh token', async () => {
    const { first, exchange } = await session({ rotates: false });
    const { body } = await exchange(first.refresh_token);
    expect(body).not.toHaveProperty('refresh_token');
    expect((await exchange(first.refresh_token)).status).toBe(200);
  });

  it('may end the access tokens before it', async () => {
    const { first, exchange, statusOf } = await session({ ends_old_access: true });
    const { body } = await exchange(first.refresh_token);
    expect([await statusOf(first.access_token), await statusOf(body.access_token)]).toEqual([419, 200]);
  });

  it('has refresh tokens that may expire', async () => {
    const { first, exchange } = await session({ refresh_expires_in: 60 });
    nowMs += 60_000;
    expect(await exchange(first.refresh_token)).toEqual({ status: 400, body: { error: 'invalid_grant' } });
  });

  it('belongs to a client, which proves itself where it has a secret', async () => {
    const { first, client_id, exchange, post } = await session({ client_secret: 's3cret' });
    expect((await exchange(first.refresh_token, { client_id: 'other' })).body.error).toBe('invalid_grant');
    expect((await exchange(first.refresh_token)).body.error).toBe('invalid_client');
    const fields = {
      grant_type: 'refresh_token',
      refresh_token: first.refresh_token,
      client_id,
      client_secret: 's3cret',
    };
    const form = new URLSearchParams(fields);
    expect((await post(form.toString(), 'application/x-www-form-urlencoded')).status).toBe(200);
  });

  it.each([
    ['another grant', { grant_type: 'password' }, 'unsupported_grant_type'],
    ['a token that nobody has', { refresh_token: 'rt-unknown' }, 'invalid_grant'],
  ])('refuses %s', async (_, fields, error) => {
    const { first, exchange } = await session();
    expect(await exchange(first.refresh_token, fields)).toEqual({ status: 400, body: { error } });
  });

  it('loses an answer, or meets an outage, by its client', async () => {
    const { first, client_id, exchange, state } = await session();
    await control.fault({ match: { client_id }, status: 503 }, { match: { client_id }, drop: 'after_commit' });
    expect((await exchange(first.refresh_token)).status).toBe(503);
    expect(await state()).toMatchObject({ exchanges: 0 });
    await expect(exchange(first.refresh_token)).rejects.toThrow('fetch failed');
    expect(await state()).toMatchObject({ exchanges: 1 });
    expect(await control.requests({ client_id })).toMatchObject([
      { status: 503, committed: false },
      { status: null, committed: true },
    ]);
  });
});
