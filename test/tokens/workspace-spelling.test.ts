import { env } from 'cloudflare:workers';
import { beforeEach, describe, expect, it } from 'vitest';
import { parseCreate, parseTokenRequest, parseUpdate, parseWorkspaceRequest } from '../../src/tokens/requests.ts';
import { createHarness, TOKENS, type Harness } from '../support/harness.ts';
import { spellingsOf } from '../support/spellings.ts';
import { accepted, LEAST, OTHER_WORKSPACE, refused, WORKSPACE } from './parsing.ts';

// A workspace is one, however its UUID is spelled: whoever spells it otherwise sees the same tokens, and may do no more and no less.

const SPELLINGS = Object.entries(spellingsOf(WORKSPACE));
const queryOf = (names: Readonly<Record<string, string>>) => new URLSearchParams(names);

describe('a request names the same workspace', () => {
  it.each(SPELLINGS)('%s', (_name, text) => {
    for (const name of ['workspace_uuid', 'workspace']) {
      const place = { query: queryOf({ [name]: text }), defaultWorkspaceUuid: OTHER_WORKSPACE };
      const inBody = { query: queryOf({}), defaultWorkspaceUuid: OTHER_WORKSPACE };
      expect(accepted(parseWorkspaceRequest(place)).workspaceUuid).toBe(WORKSPACE);
      expect(accepted(parseTokenRequest({ ...place, id: 'tok-1' })).workspaceUuid).toBe(WORKSPACE);
      expect(accepted(parseCreate({ ...place, body: LEAST, nowMs: 0 })).workspaceUuid).toBe(WORKSPACE);
      expect(accepted(parseCreate({ ...inBody, body: { ...LEAST, [name]: text }, nowMs: 0 })).workspaceUuid).toBe(
        WORKSPACE,
      );
      expect(accepted(parseUpdate({ ...inBody, id: 'tok-1', body: { name: 'x', [name]: text } })).workspaceUuid).toBe(
        WORKSPACE,
      );
    }
  });

  it.each(SPELLINGS)('beside its one spelling: %s', (_name, text) => {
    const query = queryOf({ workspace_uuid: WORKSPACE, workspace: text });
    expect(accepted(parseWorkspaceRequest({ query, defaultWorkspaceUuid: null })).workspaceUuid).toBe(WORKSPACE);
    const body = { ...LEAST, workspace_uuid: text };
    expect(accepted(parseCreate({ query, body, defaultWorkspaceUuid: null, nowMs: 0 })).workspaceUuid).toBe(WORKSPACE);
  });

  it.each(SPELLINGS)('and refuses another beside it: %s', (_name, text) => {
    const query = queryOf({ workspace_uuid: OTHER_WORKSPACE, workspace: text });
    const errors = refused(parseWorkspaceRequest({ query, defaultWorkspaceUuid: null }), 'invalid_request');
    expect(errors).toEqual({ workspace_uuid: ['Give one workspace: this request names several.'] });
  });

  it.each([
    ['a space around it', ` ${WORKSPACE} `],
    ['brackets', `(${WORKSPACE})`],
    ['a brace alone', `{${WORKSPACE}`],
    ['another URN', `urn:oid:${WORKSPACE}`],
    ['quotation marks', `"${WORKSPACE}"`],
    ['nothing', ''],
  ])('or none, and is told what one is: %s', (_name, text) => {
    const query = queryOf({ workspace_uuid: text });
    const errors = refused(parseWorkspaceRequest({ query, defaultWorkspaceUuid: WORKSPACE }), 'invalid_request');
    expect(errors).toEqual({
      workspace_uuid: [
        'Use the id of a workspace: a UUID, in any case and with or without hyphens, or up to 128 letters, digits, ".", "_", "~" and "-" with a letter or digit first.',
      ],
    });
  });
});

describe('the whole of a token’s life', () => {
  let harness: Harness;
  let spelled: [string, string][];
  beforeEach(async () => {
    harness = await createHarness();
    spelled = Object.entries(spellingsOf(harness.workspace));
  });
  const at = (text: string, id = ''): string =>
    `${TOKENS}${id && `/${id}`}?${queryOf({ workspace_uuid: text }).toString()}`;

  it('is in one workspace, whatever each request calls it', async () => {
    const [create, get, list, update, revoke] = spelled.map(([, text]) => text);
    const made = await harness.send('POST', at(create!), { body: LEAST });
    expect(made.status).toBe(201);
    const { id } = made.body.data;
    expect((await harness.send('GET', at(get!, id))).body.data.token.uuid).toBe(id);
    expect((await harness.send('GET', at(list!))).body.data.tokens).toMatchObject([{ uuid: id }]);
    expect((await harness.send('PATCH', at(update!, id), { body: { name: 'renamed' } })).status).toBe(200);
    expect((await harness.send('DELETE', at(revoke!, id))).status).toBe(200);
    expect((await harness.send('GET', at(create!))).body.data.tokens).toMatchObject([{ uuid: id, is_revoked: true }]);

    expect(await harness.inventory()).toMatchObject([{ token_id: id, ended_by: 'acknowledged' }]);
    const rows = await harness.rows();
    const recorded = rows.map(({ action, status }) => `${action.replace('service_account_token.', '')} ${status}`);
    const expected = ['create success', 'get success', 'list success', 'update success', 'revoke success'];
    expect([...new Set(recorded)]).toEqual(expected);
    // PipeOps hears one spelling, in the query and in the body.
    const asked = await harness.control.requests({ credential: harness.credential });
    expect(new Set(asked.map(({ workspace_uuid }) => workspace_uuid))).toEqual(new Set([harness.workspace]));
    expect((await harness.upstream()).find(({ method }) => method === 'POST')?.body).toMatchObject({
      workspace_uuid: harness.workspace,
    });
    const kept = await env.DB.prepare(
      `select workspace_uuid from workspaces where lower(replace(workspace_uuid, '-', '')) = ?`,
    )
      .bind(harness.workspace.replaceAll('-', ''))
      .all();
    expect(kept.results).toEqual([{ workspace_uuid: harness.workspace }]);
  });

  it('a change under one spelling is seen at once under another, with snapshots too', async () => {
    const held = await createHarness({ like: harness, env: { SNAPSHOT_MAX_AGE_SECONDS: '60' } });
    const [, [, one], [, other]] = spelled as [unknown, [string, string], [string, string]];
    const { id } = (await held.send('POST', at(one), { body: LEAST })).body.data;
    expect((await held.send('GET', at(other))).body.data.tokens).toMatchObject([{ uuid: id }]);
    expect((await held.send('DELETE', at(one, id))).status).toBe(200);
    expect((await held.send('GET', at(other))).body.data.tokens).toMatchObject([{ uuid: id, is_revoked: true }]);
    expect((await held.send('GET', at(held.workspace, id))).status).toBe(404);
  });

  it('a role covers its workspace however both are spelled, and covers no other', async () => {
    const roles = {
      confined: {
        permissions: ['tokens:create', 'tokens:read'],
        workspaces: [harness.workspace.toUpperCase(), harness.workspace.replaceAll('-', '')],
        scopes: ['api:read'],
      },
    };
    const confined = await createHarness({ like: harness, roles });
    const jwt = await confined.jwtFor('confined');
    for (const [, text] of spelled) {
      const created = await confined.send('POST', at(text), { body: LEAST, jwt });
      expect(created.status, text).toBe(201);
    }
    const denied = await confined.send('GET', at(OTHER_WORKSPACE.toUpperCase()), { jwt });
    expect(denied.status).toBe(403);
    expect(denied.body.message).toContain(`role "confined" is for ${harness.workspace} alone`);
    const row = await harness.send('GET', `/api/v1/audit/events/${denied.body.event_id}`);
    expect(row.body.data).toMatchObject({
      workspace_uuid: OTHER_WORKSPACE,
      status: 'failure',
      error_code: 'forbidden',
    });
    const whoami = await confined.send('GET', '/workspace', { jwt });
    expect(whoami.body.data.workspaces).toMatchObject([{ uuid: harness.workspace }]);
  });

  it('the default of the configuration is one value too', async () => {
    const other = await createHarness({
      like: harness,
      env: { PIPEOPS_WORKSPACE_UUID: harness.workspace.toUpperCase() },
    });
    const { id } = await other.mint();
    expect((await other.send('GET', at(other.workspace))).body.data.tokens).toMatchObject([{ uuid: id }]);
    expect(await harness.inventory()).toMatchObject([{ token_id: id }]);
  });

  it('whoever lacks the permission is denied, and the row names the workspace in its one spelling', async () => {
    const reader = await createHarness({
      like: harness,
      roles: { reader: { permissions: ['tokens:read'], workspaces: ['*'] } },
    });
    for (const [, text] of spelled) {
      const denied = await reader.send('POST', at(text), { body: LEAST, jwt: await reader.jwtFor('reader') });
      expect(denied.status).toBe(403);
    }
    const rows = await harness.rows();
    expect(rows.map(({ workspace_uuid, error_code }) => [workspace_uuid, error_code])).toEqual(
      spelled.map(() => [harness.workspace, 'forbidden']),
    );
  });
});

describe('the workspace that PipeOps names', () => {
  it.each(['in capitals', 'without hyphens', 'as a URN', 'in braces'])('is this one, %s', async (name) => {
    const harness = await createHarness();
    const text = spellingsOf(harness.workspace)[name]!;
    const byHand = crypto.randomUUID();
    const shown = { uuid: byHand, name: 'by hand', scopes: ['api:read'], workspace_id: text, is_revoked: false };
    // The list is not whole, so the id is asked for by itself, and its answer must name the workspace.
    const match = { workspace_uuid: harness.workspace, method: 'GET' };
    await harness.control.fault({
      match,
      times: 1,
      body: { success: true, message: '', data: { tokens: [], total: 9 } },
    });
    await harness.control.fault({
      match: { ...match, path_contains: byHand },
      body: { success: true, message: '', data: { token: shown } },
    });
    const got = await harness.send('GET', `${TOKENS}/${byHand}`);
    expect(got.status, got.text).toBe(200);
    expect(got.body.data.token).toMatchObject({ uuid: byHand, workspace_id: harness.workspace });
  });
});
