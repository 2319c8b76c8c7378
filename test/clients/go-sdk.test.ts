import { beforeAll, describe, expect, it } from 'vitest';
import { createHarness, TOKENS, type Harness } from '../support/harness.ts';
import { noteSecret } from '../support/secrets.ts';
import { createSdk, ErrorResponse, RateLimitError, type SdkCreate } from './go-sdk.ts';

// PipeOps' Go SDK and CLI with another base URL and credential, and nothing else changed.

const TWO = '5409a4ae-0000-4000-8000-000000000002';
const roles = {
  ci: {
    permissions: ['tokens:create', 'tokens:read', 'tokens:update', 'tokens:revoke'],
    workspaces: ['*'],
    scopes: ['api:read'],
    maxTtl: '30d',
  },
  two: { permissions: ['tokens:create', 'tokens:read'], workspaces: [TWO], scopes: ['api:read'] },
  auditor: { permissions: ['audit:read'], tokens: 'any', workspaces: ['*'] },
};

let harness: Harness;
beforeAll(async () => {
  harness = await createHarness({ roles, policy: { presets: { sdk: ['api:read'] } } });
});

const clientOf = async (role: string, subject: string = crypto.randomUUID(), of = harness) => {
  const jwt = await of.jwtFor(role, { sub: subject });
  const sdk = createSdk('https://countersign.example/', jwt, async (request) => await of.worker.fetch(request));
  return {
    ...sdk,
    create: async (request: SdkCreate) => {
      const created = await sdk.create(request);
      noteSecret(created.token);
      return created;
    },
  };
};
const failureOf = async (work: Promise<unknown>): Promise<Error> => {
  const result: unknown = await work.catch((error: unknown) => error);
  if (!(result instanceof Error)) throw new Error('it did not fail');
  return result;
};

describe('a program that uses the SDK', () => {
  it('makes the five calls, beginning with the workspace', async () => {
    const sdk = await clientOf('ci');
    const created = await sdk.create({ name: 'deploy', description: 'Deploys', permissions: ['api:read'] });
    expect(created).toMatchObject({
      uuid: expect.stringMatching(/^[0-9a-f-]{36}$/),
      name: 'deploy',
      token: expect.stringMatching(/^sat_/),
      permissions: ['api:read'],
      scopes: ['api:read'],
      workspace_id: harness.workspace,
      expires_at: expect.any(Date),
      is_active: true,
    });
    expect(sdk.sent).toEqual(['GET /workspace', `POST ${TOKENS}?workspace_uuid=${harness.workspace}`]);

    const shown = { uuid: created.uuid, name: 'deploy', description: 'Deploys', token: '', is_active: true };
    expect(await sdk.list()).toMatchObject({ tokens: [shown], total: 1 });
    expect(await sdk.get(created.uuid)).toMatchObject(shown);
    expect(await sdk.update(created.uuid, { name: 'deploy-2' })).toMatchObject({ ...shown, name: 'deploy-2' });
    expect(await sdk.update(created.uuid, { is_active: false })).toMatchObject({ name: 'deploy-2', is_active: false });
    await sdk.revoke(created.uuid);
    // PipeOps goes on listing it.
    expect((await sdk.list()).tokens.filter(({ is_active: isActive }) => isActive)).toEqual([]);
    expect(sdk.sent).toHaveLength(8);

    const rows = (await harness.rows()).filter(({ token_id }) => token_id === created.uuid);
    expect(rows.map(({ action, status }) => `${action.split('.')[1]} ${status}`)).toEqual([
      'create success',
      'get success',
      'update success',
      'update success',
      'revoke success',
    ]);
  });

  it.each<[string, string, SdkCreate, number, string]>([
    ['no scope', 'ci', { name: 'x' }, 422, 'scopes: name at least one scope or a preset.'],
    ['no name', 'ci', { name: '', preset: 'sdk' }, 422, 'name: give the token a name.'],
    [
      'a time that nobody reads',
      'ci',
      { name: 'x', preset: 'sdk', expires_at: 'tomorrow' },
      422,
      'expires_at: use a time in RFC 3339, such as "2030-01-31T12:00:00Z".',
    ],
    [
      'a workspace that is none',
      'ci',
      { name: 'x', preset: 'sdk', workspace_uuid: '../x' },
      400,
      'workspace_uuid: use the id of a workspace: a UUID, in any case and with or without hyphens, or up to 128 letters, digits, ".", "_", "~" and "-" with a letter or digit first.',
    ],
    [
      'a scope beyond its role',
      'ci',
      { name: 'x', permissions: ['api:full'] },
      403,
      'None of your roles allows the whole of this request: role "ci" allows at most api:read. GET /api/v1/whoami shows what they allow.',
    ],
    [
      'another workspace',
      'two',
      { name: 'x', permissions: ['api:read'], workspace_uuid: 'elsewhere' },
      403,
      `None of your roles allows the whole of this request: role "two" is for ${TWO} alone. GET /api/v1/whoami shows what they allow.`,
    ],
    [
      'without the permission',
      'auditor',
      { name: 'x', permissions: ['api:read'] },
      403,
      'None of your roles has the permission tokens:create. GET /api/v1/whoami shows what they allow.',
    ],
  ])('prints what is wrong and what would be right: %s', async (_case, role, request, status, message) => {
    const error = await failureOf((await clientOf(role)).create(request));
    expect(error).toBeInstanceOf(ErrorResponse);
    expect(error).toMatchObject({ status, text: message });
    expect(error.message.endsWith(`: ${status} ${message}`)).toBe(true);
  });

  it('prints that a token is not there, and that its JWT is not accepted', async () => {
    const sdk = await clientOf('ci');
    expect(await failureOf(sdk.get(crypto.randomUUID()))).toMatchObject({
      status: 404,
      text: 'There is no such token in this workspace, or it is not within your reach.',
    });
    const stranger = createSdk(
      'https://countersign.example',
      'x',
      async (request) => await harness.worker.fetch(request),
    );
    expect(await failureOf(stranger.list())).toMatchObject({
      status: 401,
      text: 'The JWT is not accepted. Get a fresh one from a configured issuer, for this audience.',
    });
  });

  it('mints by a preset, in the first workspace that its role is for', async () => {
    const sdk = await clientOf('two');
    expect((await sdk.workspaces()).map(({ uuid }) => uuid)).toEqual([TWO]);
    expect(await sdk.create({ name: 'by-preset', preset: 'sdk' })).toMatchObject({
      workspace_id: TWO,
      is_active: true,
    });
    expect(sdk.sent.at(-1)).toBe(`POST ${TOKENS}?workspace_uuid=${TWO}`);
    expect((await sdk.list(TWO)).total).toBe(1);
  });

  it('knows that PipeOps’ limit is reached by the type of the error, and when to come again', async () => {
    const limited = await createHarness({ roles });
    await limited.control.fault({
      status: 429,
      headers: { 'Retry-After': '40' },
      times: 4,
      match: { workspace_uuid: limited.workspace },
    });
    const sdk = await clientOf('ci', 'limited', limited);
    const error = await failureOf(sdk.create({ name: 'x', permissions: ['api:read'] }));
    expect(error).toBeInstanceOf(RateLimitError);
    expect((error as RateLimitError).retryAfter).toBeGreaterThan(30);
    expect((error as RateLimitError).retryAfter).toBeLessThanOrEqual(40);
    expect(error).toMatchObject({ limit: 0, remaining: 0 });
  });

  it('knows by it which limit of its own is reached', async () => {
    const exhausted = { limit: async () => await Promise.resolve({ success: false }) };
    const eager = await createHarness({ roles, env: { CALLER_LIMIT: exhausted } });
    const sdk = await clientOf('ci', 'eager', eager);
    expect(await failureOf(sdk.list())).toMatchObject({ retryAfter: 10, limit: 100, remaining: 0 });
    expect(sdk.sent).toHaveLength(4);
  });
});

describe('the CLI', () => {
  it('creates with null scopes and both spellings of a grant', async () => {
    const jwt = await harness.jwtFor('ci', { sub: 'cli' });
    const [workspace] = await (await clientOf('ci', 'cli')).workspaces();
    const send = async (grant: object) =>
      await harness.send('POST', TOKENS, {
        jwt,
        body: { name: 'cli', workspace_uuid: workspace?.uuid, metadata: { description: 'by hand' }, ...grant },
      });
    const refused = await send({ scopes: null, permissions: null });
    expect([refused.status, refused.body.message]).toEqual([422, 'scopes: name at least one scope or a preset.']);
    const created = await send({ scopes: ['api:read'], permissions: ['api:read'] });
    expect([created.status, created.body.data.description]).toEqual([201, 'by hand']);
  });

  it('is shown one workspace that it takes without a question, where there is one', async () => {
    expect(await (await clientOf('two')).workspaces()).toMatchObject([{ uuid: TWO, name: TWO }]);
  });
});
