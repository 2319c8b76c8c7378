import { UnsecuredJWT } from 'jose';
import { ownSimulatorUrl } from '../support/own-simulator.ts';
import { beforeEach, describe, expect, it } from 'vitest';
import { createPipeOps } from '../../src/pipeops/client.ts';
import { createCredentials } from '../../src/pipeops/credentials.ts';
import { createQuota } from '../../src/pipeops/quota.ts';
import type { PipeOps } from '../../src/pipeops/types.ts';
import { workerRuntime } from '../../src/worker-runtime.ts';
import { createControl } from '../pipeops-simulator/control.ts';
import type { Fault, ListBehaviour } from '../pipeops-simulator/faults-wire.ts';
import { noteSecret } from '../support/secrets.ts';
import { ADMIT_ALL, callWith, patientCall, UNHEARD } from './scripted-pipeops.ts';

// Over a real network, against the simulator's own process.

const apiUrl = ownSimulatorUrl();
const control = createControl(apiUrl);

let workspaceUuid: string;
let credential: string;
let pipeops: PipeOps;

const session = (): string => {
  const jwt = new UnsecuredJWT({ session: crypto.randomUUID() }).setExpirationTime('1h').encode();
  noteSecret(jwt);
  return jwt;
};

const clientWith = (...credentials: readonly string[]): PipeOps =>
  createPipeOps({
    apiUrl,
    credentials: createCredentials(credentials),
    outcomes: UNHEARD,
    quota: createQuota(),
    admit: ADMIT_ALL,
    runtime: workerRuntime,
  });

const command = (name = 'deploy') => ({
  workspaceUuid,
  name,
  description: 'for CI',
  scopes: ['api:read'],
  expiresAt: '2099-01-01T00:00:00.000Z',
});

const fault = async (rest: Fault): Promise<void> =>
  await control.fault({ match: { workspace_uuid: workspaceUuid }, ...rest });

const mint = async (): Promise<{ workspaceUuid: string; tokenId: string }> => {
  const created = await pipeops.create(command(), patientCall());
  if (!created.ok) throw new Error(created.error.kind);
  noteSecret(created.value.data.secret);
  return { workspaceUuid, tokenId: created.value.data.id };
};

beforeEach(() => {
  workspaceUuid = crypto.randomUUID();
  credential = session();
  pipeops = clientWith(credential);
});

it('a token lives from create to revoke', async () => {
  const ref = await mint();
  expect(await control.tokens(workspaceUuid)).toMatchObject([
    { name: 'deploy', description: 'for CI', scopes: ['api:read'], expires_at: '2099-01-01T00:00:00Z' },
  ]);
  const listed = await pipeops.list(workspaceUuid, patientCall());
  expect(listed).toMatchObject({ value: { data: { total: 1, complete: true, tokens: [{ id: ref.tokenId }] } } });
  const changes = { name: 'renamed', description: 'other', scopes: ['api:write'], isActive: false };
  expect(await pipeops.update(ref, changes, patientCall())).toMatchObject({ value: { data: changes } });
  expect(await pipeops.get(ref, patientCall())).toMatchObject({
    value: { data: { ...changes, workspaceId: workspaceUuid, expiresAt: '2099-01-01T00:00:00.000Z' } },
  });
  expect(await pipeops.revoke(ref, patientCall())).toMatchObject({ value: { data: 'revoked' } });
  expect(await pipeops.revoke(ref, patientCall())).toMatchObject({ error: { kind: 'upstream_not_found' } });
  expect(await pipeops.get(ref, patientCall())).toMatchObject({ error: { kind: 'upstream_not_found' } });
});

describe('every form of an answer is read', () => {
  it.each(['token_object', 'uuid_only', 'id_only', 'token_uuid', 'permissions', 'space_times'] as const)(
    'create: %s',
    async (form) => {
      await fault({ form });
      const { tokenId } = await mint();
      expect(await control.tokens(workspaceUuid)).toMatchObject([{ id: tokenId }]);
    },
  );

  it.each(['flat_get', 'id_only', 'permissions', 'space_times'] as const)('get and update: %s', async (form) => {
    const ref = await mint();
    await fault({ form, times: 2 });
    const token = { id: ref.tokenId, scopes: ['api:read'], expiresAt: '2099-01-01T00:00:00.000Z', lastUsedAt: null };
    expect(await pipeops.get(ref, patientCall())).toMatchObject({ value: { data: token } });
    expect(await pipeops.update(ref, { name: 'new' }, patientCall())).toMatchObject({ value: { data: token } });
  });

  it('list: pagination_total', async () => {
    await mint();
    await fault({ form: 'pagination_total' });
    expect(await pipeops.list(workspaceUuid, patientCall())).toMatchObject({ value: { data: { complete: true } } });
  });

  it('list: part of it', async () => {
    await mint();
    await fault({ partial: 0 });
    expect(await pipeops.list(workspaceUuid, patientCall())).toMatchObject({
      value: { data: { tokens: [], total: 1, complete: false, state: 'partial' } },
    });
  });

  it.each<[string, ListBehaviour, object]>([
    ['in one call', {}, { state: 'complete', pages: 1 }],
    ['in pages', { page_size: 2 }, { state: 'complete', pages: 3 }],
    [
      'in pages that count revoked tokens',
      { page_size: 3, lacks_revoked: true, total: 'with_revoked' },
      { state: 'complete', pages: 3 },
    ],
    ['in pages without a total', { page_size: 3, total: 'none' }, { state: 'complete', pages: 3 }],
    [
      'in pages that end with the last one again',
      { page_size: 2, pages: 'clamped', total: 'none' },
      { state: 'unproven', pages: 4 },
    ],
    ['in part, where pages are ignored', { page_size: 4, pages: 'ignored' }, { state: 'partial', pages: 2 }],
    [
      'perhaps, where there is no total either',
      { pages: 'ignored', page_size: 4, total: 'none' },
      { state: 'unproven', pages: 2 },
    ],
    ['in part, where pages are refused', { page_size: 4, pages: 422 }, { state: 'partial', pages: 2 }],
    ['although it is cut without a word', { cut: 3 }, { state: 'complete', pages: 1, total: 3 }],
  ])('list: %s', async (_case, list, expected) => {
    const refs = [await mint(), await mint(), await mint(), await mint(), await mint()];
    await control.revokeByHand(refs[0]?.tokenId ?? '');
    await control.behave(workspaceUuid, { list });
    const listed = await pipeops.list(workspaceUuid, patientCall());
    expect(listed).toMatchObject({ value: { data: expected } });
  });

  it('revoke: no_content', async () => {
    const ref = await mint();
    await fault({ form: 'no_content' });
    expect(await pipeops.revoke(ref, patientCall())).toEqual({ ok: true, value: { status: 204, data: 'revoked' } });
  });
});

describe('what goes wrong on the way is told as what it is', () => {
  it.each([
    ['a connection dropped before the effect', { drop: 'before_commit' }, 'upstream_unreachable', false],
    ['a connection dropped after the effect', { drop: 'after_commit' }, 'upstream_unreachable', true],
    [
      'a connection dropped within the body',
      { drop: 'after_commit', truncate_body: true },
      'upstream_unreachable',
      true,
    ],
    ['half a JSON', { truncate_body: true }, 'upstream_invalid_response', true],
    ['an HTML page', { html: true, commit: true }, 'upstream_invalid_response', true],
    ['a 500', { status: 500, commit: true }, 'upstream_error', true],
    ['a 422', { status: 422, body: { errors: { name: ['no'] } } }, 'upstream_rejected', false],
  ] as const)('%s', async (_case, what, kind, isMinted) => {
    await fault(what);
    expect(await pipeops.create(command(), patientCall())).toMatchObject({ ok: false, error: { kind } });
    expect(await control.tokens(workspaceUuid)).toHaveLength(isMinted ? 1 : 0);
    expect(await control.requests({ workspace_uuid: workspaceUuid })).toHaveLength(1);
  });

  it.each([
    ['an answer that never comes', { delay_ms: -1 }],
    ['a body that never ends', { delay_ms: -1, truncate_body: true }],
  ] as const)('%s', async (_case, what) => {
    await fault(what);
    const answered = await pipeops.list(workspaceUuid, callWith(AbortSignal.timeout(300)));
    expect(answered).toEqual({ ok: false, error: { kind: 'upstream_timeout' } });
  });

  it('a redirect to another origin, which never hears the credential', async () => {
    const elsewhere = crypto.randomUUID();
    // The same process under another name is another origin.
    const other = new URL(apiUrl);
    other.hostname = other.hostname === 'localhost' ? '127.0.0.1' : 'localhost';
    other.pathname = '/api/v1/service-account-tokens';
    other.search = `?workspace_uuid=${elsewhere}`;
    await fault({ redirect: other.href, status: 307 });
    expect(await pipeops.create(command(), patientCall())).toEqual({
      ok: false,
      error: { kind: 'upstream_invalid_response', status: 307 },
    });
    expect(await control.requests({ credential })).toHaveLength(1);
    expect(await control.requests({ workspace_uuid: elsewhere })).toEqual([]);
  });
});

describe('credentials', () => {
  it('an ended session gives way to the next', async () => {
    const next = session();
    await control.endSession(credential);
    expect(await clientWith(credential, next).create(command(), patientCall())).toMatchObject({ ok: true });
    const requests = await control.requests({ workspace_uuid: workspaceUuid });
    expect(requests.map(({ status }) => status)).toEqual([419, 201]);
    expect(await control.tokens(workspaceUuid)).toHaveLength(1);
  });

  it('an ended session without a next is our failure', async () => {
    await control.endSession(credential);
    expect(await pipeops.list(workspaceUuid, patientCall())).toEqual({
      ok: false,
      error: { kind: 'upstream_credential_rejected', status: 419 },
    });
  });

  it('a service account token is forbidden, not tried again', async () => {
    const serviceToken = `sat_${crypto.randomUUID()}`;
    noteSecret(serviceToken);
    const client = clientWith(serviceToken, credential);
    expect(await client.list(workspaceUuid, patientCall())).toMatchObject({ error: { kind: 'upstream_forbidden' } });
    expect(await control.requests({ workspace_uuid: workspaceUuid })).toHaveLength(1);
  });

  it('a hundred calls a minute are passed, and the next says when to come back', async () => {
    const answers = await Promise.all(
      Array.from({ length: 101 }, async () => await pipeops.list(workspaceUuid, patientCall())),
    );
    const failures = answers.filter((answer) => !answer.ok).map((answer) => answer.error);
    expect(failures).toEqual([{ kind: 'upstream_rate_limited', status: 429, retryAfterSeconds: expect.any(Number) }]);
  });
});
