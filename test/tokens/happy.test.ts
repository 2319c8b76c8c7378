import { beforeAll, describe, expect, it } from 'vitest';
import { askedIn } from '../support/audit-detail.ts';
import { createHarness, TOKENS, type Harness } from '../support/harness.ts';

// The five operations as they are meant to go, each with the row that it leaves.

let harness: Harness;
beforeAll(async () => {
  harness = await createHarness();
});

const lastRow = async () => (await harness.rows()).at(-1);

describe('create', () => {
  it('mints a token, answers its secret once, and records it', async () => {
    const answer = await harness.send('POST', TOKENS, {
      body: { name: 'deploy', scopes: ['api:read'], expires_in: '30d' },
      headers: { 'User-Agent': 'acme/1.0', 'CF-Connecting-IP': '203.0.113.9' },
    });
    expect(answer.status).toBe(201);
    expect(answer.headers.get('Cache-Control')).toBe('no-store');
    expect(answer.body).toMatchObject({
      success: true,
      data: { name: 'deploy', scopes: ['api:read'], is_active: true },
    });
    expect(answer.body.data.token).toMatch(/^sat_/);
    expect(answer.body.data.uuid).toBe(answer.body.data.id);

    const row = await lastRow();
    expect(row).toMatchObject({
      id: answer.headers.get('X-Audit-Event-Id'),
      request_id: answer.headers.get('X-Request-Id'),
      action: 'service_account_token.create',
      status: 'success',
      actor_type: 'user',
      actor_issuer: 'https://issuer.example',
      actor_subject: 'admin-1',
      workspace_uuid: harness.workspace,
      token_id: answer.body.data.id,
      token_name: 'deploy',
      ip: '203.0.113.9',
      user_agent: 'acme/1.0',
      upstream_status: expect.any(Number),
      error_code: null,
    });
    expect(JSON.parse(row?.detail ?? '')).toMatchObject({
      scopes: ['api:read'],
      expires_at: answer.body.data.expires_at,
    });
    expect(JSON.parse(row?.outcome ?? '')).toMatchObject({ role: 'admin' });
  });

  it.each([
    [{}, { preset: 'sdk', preset_scopes: ['api:read', 'api:write'] }],
    [{ scopes: ['api:read'] }, { scopes: ['api:read'], preset: 'sdk', preset_scopes: ['api:write'] }],
  ])('records what a preset stood for, beside the scopes that are named: %o', async (named, detail) => {
    const presets = { sdk: ['api:read', 'api:write'] };
    const other = await createHarness({ like: harness, policy: { presets } });
    const answer = await other.send('POST', TOKENS, { body: { name: 'deploy', preset: 'sdk', ...named } });
    expect(answer.status, answer.text).toBe(201);
    expect(JSON.parse((await lastRow())?.detail ?? '')).toEqual({ ...detail, policy: other.policyVersion });
  });

  it('sends the form that PipeOps reads, under a marked name, with the event id', async () => {
    const answer = await harness.send('POST', TOKENS, {
      body: { name: 'sdk form', description: 'nightly', permissions: ['api:read'], expires_at: '2031-01-01T00:00:00Z' },
    });
    const sent = (await harness.upstream()).at(-1);
    expect(sent).toMatchObject({
      method: 'POST',
      event_id: answer.headers.get('X-Audit-Event-Id'),
      committed: true,
      workspace_uuid: harness.workspace,
      body: {
        workspace_uuid: harness.workspace,
        scopes: ['api:read'],
        metadata: { description: 'nightly' },
        expires_at: '2031-01-01T00:00:00.000Z',
      },
    });
    const name = String((sent?.body as { name?: string } | undefined)?.name);
    expect(name).toMatch(/^sdk form-csgn-[a-z2-7]{16}$/);
    expect((await lastRow())?.marker).toBe(name.slice('sdk form'.length));
  });

  it('enters the owner into the inventory', async () => {
    const { id } = await harness.mint('owned');
    expect(await harness.inventory()).toContainEqual(
      expect.objectContaining({ token_id: id, owner_issuer: 'https://issuer.example', owner_subject: 'admin-1' }),
    );
  });

  it.each([
    ['the query', (workspace: string) => ({ query: `?workspace_uuid=${workspace}`, body: {} })],
    ['the body', (workspace: string) => ({ query: '', body: { workspace_uuid: workspace } })],
    [
      'both, if they agree',
      (workspace: string) => ({ query: `?workspace_uuid=${workspace}`, body: { workspace_uuid: workspace } }),
    ],
  ])('takes the workspace from %s', async (_name, place) => {
    const elsewhere = crypto.randomUUID();
    const { query, body } = place(elsewhere);
    const answer = await harness.send('POST', TOKENS + query, {
      body: { name: 'there', scopes: ['api:read'], ...body },
    });
    expect(answer.status).toBe(201);
    expect(await harness.control.tokens(elsewhere)).toHaveLength(1);
  });

  it('shows in its event the expiry that was asked for beside the one that was granted', async () => {
    const limited = await createHarness({
      roles: { short: { permissions: ['tokens:create'], workspaces: ['*'], scopes: ['*'], maxTtl: '1h' } },
    });
    const jwt = await limited.jwtFor('short');
    const asked = new Date(Date.now() + 3_630_000).toISOString();
    const created = await limited.send('POST', TOKENS, { jwt, body: { name: 'x', scopes: ['a'], expires_at: asked } });
    expect(created.status).toBe(201);
    const trail = await limited.send('GET', '/api/v1/audit/events?action=service_account_token.create&limit=1');
    expect(JSON.stringify(trail.body.data)).toContain(asked);
  });
});

describe('list', () => {
  it('shows every token of the workspace without secrets or markers, and records that it did', async () => {
    const { id } = await harness.mint('listed');
    const answer = await harness.send('GET', TOKENS);
    expect(answer.status).toBe(200);
    const { tokens, total } = answer.body.data;
    expect(total).toBe(tokens.length);
    expect(tokens).toContainEqual(
      expect.objectContaining({ id, uuid: id, name: 'listed', token_prefix: expect.stringMatching(/^sat_.{7}$/) }),
    );
    expect(answer.text).not.toContain('-csgn-');
    expect(await lastRow()).toMatchObject({
      action: 'service_account_token.list',
      status: 'success',
      upstream_status: 200,
    });
  });
});

describe('get', () => {
  it('shows one token, nested as PipeOps does, and records that it did', async () => {
    const { id } = await harness.mint('shown');
    const answer = await harness.send('GET', `${TOKENS}/${id}`);
    expect(answer.body).toMatchObject({ success: true, data: { token: { id, uuid: id, name: 'shown' } } });
    expect(await lastRow()).toMatchObject({ action: 'service_account_token.get', status: 'success', token_id: id });
  });
});

describe('update', () => {
  it('renames a token and keeps its marker', async () => {
    const { id } = await harness.mint('before');
    const marked = (await harness.upstream()).at(-1)?.body as { name: string };
    const answer = await harness.send('PATCH', `${TOKENS}/${id}`, { body: { name: 'after' } });
    expect(answer.body.data.token).toMatchObject({ id, name: 'after' });
    const sent = (await harness.upstream()).at(-1)?.body as { name: string };
    expect(sent.name).toBe(marked.name.replace('before', 'after'));
    const row = await lastRow();
    expect(row).toMatchObject({ action: 'service_account_token.update', status: 'success', token_id: id });
    expect(row?.token_name).toBe('after');
    expect(askedIn(row)).toEqual({ name: true });
  });

  it('suspends, resumes and rescopes, recording each change', async () => {
    const { id } = await harness.mint('changed');
    for (const change of [{ is_active: false }, { is_active: true }, { scopes: ['api:write'] }]) {
      const answer = await harness.send('PATCH', `${TOKENS}/${id}`, { body: change });
      expect(answer.status).toBe(200);
      expect(answer.body.data.token).toMatchObject(change);
      expect(askedIn(await lastRow())).toEqual(change);
    }
  });

  it('records a description by its digest', async () => {
    const { id } = await harness.mint('described');
    await harness.send('PATCH', `${TOKENS}/${id}`, { body: { description: 'for the nightly build' } });
    expect(askedIn(await lastRow())).toEqual({
      description_sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
  });
});

describe('revoke', () => {
  it('revokes, records it, and notes it in the inventory', async () => {
    const { id } = await harness.mint('doomed');
    const answer = await harness.send('DELETE', `${TOKENS}/${id}`);
    expect(answer).toMatchObject({ status: 200, body: { success: true } });
    expect(await lastRow()).toMatchObject({ action: 'service_account_token.revoke', status: 'success', token_id: id });
    expect(await harness.inventory()).toContainEqual(
      expect.objectContaining({ token_id: id, revoked_at: expect.any(Number) }),
    );
    expect(await harness.upstreamTokens()).toContainEqual(expect.objectContaining({ id, is_revoked: true }));
  });

  it('counts a token whose end is proven as revoked without a call, and the row says so', async () => {
    const { id } = await harness.mint('gone');
    await harness.send('DELETE', `${TOKENS}/${id}`);
    const before = (await harness.upstream()).length;
    expect((await harness.send('DELETE', `${TOKENS}/${id}`)).status).toBe(200);
    expect(await harness.upstream()).toHaveLength(before);
    const row = await lastRow();
    expect(row).toMatchObject({ status: 'success', upstream_status: null });
    expect(JSON.parse(row?.outcome ?? '')).toEqual({ role: 'admin', already_gone: true });
  });
});
