import { describe, expect, it } from 'vitest';
import { createCredentials } from '../../src/pipeops/credentials.ts';
import { newTrace } from '../../src/kit/trace.ts';
import {
  API_URL,
  callWith,
  CREATE,
  json,
  MINTED,
  operations,
  patientCall,
  REF,
  scripted,
  WORKSPACE,
} from './scripted-pipeops.ts';

const collection = `${API_URL}/api/v1/service-account-tokens?workspace_uuid=ws-1`;
const one = `${API_URL}/api/v1/service-account-tokens/tok-1?workspace_uuid=ws-1`;
const token = { uuid: 'tok-1', name: 'deploy', scopes: [] };

describe('each operation', () => {
  it('create posts the whole command and gives the secret', async () => {
    const { pipeops, sent } = scripted([json(201, { success: true, data: MINTED })]);
    const answered = await pipeops.create(CREATE, patientCall());
    expect(answered).toMatchObject({ ok: true, value: { status: 201, data: { id: 'tok-1', secret: MINTED.token } } });
    expect(sent).toMatchObject([
      {
        method: 'POST',
        url: collection,
        body: { name: 'deploy', workspace_uuid: 'ws-1', scopes: ['api:read'], permissions: ['api:read'] },
      },
    ]);
  });

  it('list gets the workspace', async () => {
    const { pipeops, sent } = scripted([json(200, { data: { tokens: [token], total: 1 } })]);
    const answered = await pipeops.list(WORKSPACE, patientCall());
    expect(answered).toMatchObject({ ok: true, value: { status: 200, data: { total: 1, complete: true } } });
    expect(sent).toMatchObject([{ method: 'GET', url: collection, body: null }]);
  });

  it('get gets the token', async () => {
    const { pipeops, sent } = scripted([json(200, { data: { token } })]);
    expect(await pipeops.get(REF, patientCall())).toMatchObject({ ok: true, value: { data: { id: 'tok-1' } } });
    expect(sent).toMatchObject([{ method: 'GET', url: one, body: null }]);
  });

  it('update patches the token', async () => {
    const { pipeops, sent } = scripted([json(200, { data: { ...token, is_active: false } })]);
    const answered = await pipeops.update(REF, { isActive: false }, patientCall());
    expect(answered).toMatchObject({ ok: true, value: { data: { isActive: false } } });
    expect(sent).toMatchObject([{ method: 'PATCH', url: one, body: { is_active: false } }]);
  });

  it.each([
    ['200 with an acknowledgement', json(200, { success: true, message: 'revoked' }), 200, 'revoked'],
    ['204 without a body', () => new Response(null, { status: 204 }), 204, 'revoked'],
  ] as const)('revoke succeeds with %s', async (_case, answer, status, data) => {
    const { pipeops, sent } = scripted([answer]);
    expect(await pipeops.revoke(REF, patientCall())).toEqual({ ok: true, value: { status, data } });
    expect(sent).toMatchObject([{ method: 'DELETE', url: one, body: null }]);
  });

  it('revoke fails with 404: it may be the token, the workspace, or a replica that lags', async () => {
    const { pipeops, sent } = scripted([json(404, { message: 'not found' })]);
    const error = { kind: 'upstream_not_found', status: 404 };
    expect(await pipeops.revoke(REF, patientCall())).toEqual({ ok: false, error });
    expect(sent).toHaveLength(1);
  });
});

describe('every request', () => {
  it.each(operations)(
    '%s carries the credential, the event id and the trace, and follows no redirect',
    async (_name, run) => {
      const { pipeops, sent } = scripted([json(500, {})]);
      const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
      await run(pipeops, callWith(new AbortController().signal, { traceparent }));
      const [request] = sent;
      expect(request?.redirect).toBe('manual');
      expect(Object.fromEntries(request?.headers ?? [])).toEqual({
        accept: 'application/json',
        authorization: 'Bearer admin-jwt',
        'user-agent': 'countersign',
        'x-request-id': 'event-1',
        traceparent,
        ...(request?.body !== null && { 'content-type': 'application/json' }),
      });
    },
  );

  it('is counted, and carries no trace where there is none', async () => {
    const { pipeops, sent } = scripted([json(401, {}), json(404, {})], ['admin-jwt', 'next-jwt']);
    const trace = newTrace();
    await pipeops.get(REF, callWith(new AbortController().signal, { trace }));
    expect(trace.upstreamCalls).toBe(2);
    expect(sent[0]?.headers.has('traceparent')).toBe(false);
  });

  it('is not sent for an id that is none', async () => {
    const { pipeops, sent } = scripted([]);
    await expect(pipeops.get({ ...REF, tokenId: '../../admin' }, patientCall())).rejects.toThrow('Not a token id.');
    await expect(pipeops.revoke({ ...REF, workspaceUuid: 'a&b' }, patientCall())).rejects.toThrow('Not a workspace');
    expect(sent).toEqual([]);
  });
});

it.each([[[]], [['']], [['two words']], [['line\nbreak']], [['good', '']]])(
  'credentials %j are refused when they are configured',
  (credentials) => {
    expect(() => createCredentials(credentials)).toThrow('No PipeOps credential');
  },
);
