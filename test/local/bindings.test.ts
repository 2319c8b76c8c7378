import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { bindingsFor, type BindingFacts } from '../../local/bindings.ts';
import { stateFileOf } from '../../local/secrets.ts';
import { openWebhooks } from '../../local/webhook-keys.ts';

const stateDir = mkdtempSync(path.join(tmpdir(), 'countersign-bindings-'));
afterAll(() => rmSync(stateDir, { recursive: true }));
const webhooks = await openWebhooks(stateDir);

const facts: BindingFacts = {
  fileOf: (binding) => stateFileOf(stateDir, binding),
  pipeopsUrl: 'http://127.0.0.1:8788',
  adminToken: 'eyJ.secret-credential.x',
  workspaceUuid: '5877a4ae-6a3c-4d0f-9a55-0f2f6a8f3f0e',
  reconcileAfterSeconds: 45,
  callLimits: { minute: 600, hour: 6_000 },
  publicJwk: { kty: 'EC', crv: 'P-256', x: 'x', y: 'y', kid: 'k' },
  webhooks,
  idempotencySecret: 'MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=',
};

describe('the bindings of a local run', () => {
  it('are those that the Worker reads', () => {
    const { POLICY = '', ...rest } = bindingsFor(facts);
    expect(rest).toEqual({
      PIPEOPS_API_URL: facts.pipeopsUrl,
      PIPEOPS_ADMIN_TOKEN: facts.adminToken,
      PIPEOPS_WORKSPACE_UUID: facts.workspaceUuid,
      RECONCILE_AFTER_SECONDS: '45',
      PIPEOPS_CALLS_PER_MINUTE: '600',
      PIPEOPS_CALLS_PER_HOUR: '6000',
      FINGERPRINT_KEYS: webhooks.fingerprintKeys,
      IDEMPOTENCY_SECRET: facts.idempotencySecret,
      ...webhooks.secrets,
    });
    expect(JSON.parse(POLICY)).toMatchObject({ roles: { ci: { workspaces: [facts.workspaceUuid] } } });
    expect(JSON.parse(POLICY)).toMatchObject({ webhooks: { github: { keys: [webhooks.github.publicKey] } } });
    expect(POLICY).not.toContain('PRIVATE');
  });

  it('let people sign in, with a secret of their sessions', () => {
    const people = { issuer: 'http://localhost:8789', publicJwk: { ...facts.publicJwk, kid: 'people' } };
    const { POLICY = '', SESSION_SECRET } = bindingsFor({
      ...facts,
      signIn: { people, sessionSecret: 's'.repeat(44) },
    });
    expect(SESSION_SECRET).toBe('s'.repeat(44));
    expect(JSON.parse(POLICY)).toMatchObject({
      issuers: [{}, { issuer: people.issuer, clientId: 'countersign-console', jwks: { keys: [{ kid: 'people' }] } }],
    });
  });

  it('leave out what is not set, so that the defaults count', () => {
    const bindings = bindingsFor({
      ...facts,
      workspaceUuid: null,
      reconcileAfterSeconds: null,
      callLimits: { minute: null, hour: null },
    });
    expect(Object.keys(bindings)).toEqual([
      'PIPEOPS_API_URL',
      'PIPEOPS_ADMIN_TOKEN',
      'FINGERPRINT_KEYS',
      'IDEMPOTENCY_SECRET',
      'WEBHOOK_SCANNER',
      'WEBHOOK_HR',
      'POLICY',
    ]);
  });

  it.each([
    ['simulator-admin.jwt', { adminToken: '' }],
    ['fingerprint-keys', { webhooks: { ...webhooks, fingerprintKeys: 'k1:secret-credential' } }],
    ['idempotency-secret', { idempotencySecret: 'secret-credential' }],
  ])('name the file that is damaged: %s', (name, change) => {
    const make = (): unknown => bindingsFor({ ...facts, ...change });
    expect(make).toThrow(`${path.join(stateDir, name)} is damaged: its text is`);
    expect(make).toThrow('Delete it: the next start makes a new one.');
    expect(make).not.toThrow(/\n|secret-credential/);
  });

  it.each([
    ['PIPEOPS_API_URL', { pipeopsUrl: 'http://api.example' }, /^PIPEOPS_API_URL .+ Correct: /],
    [
      'PIPEOPS_ADMIN_TOKEN',
      { adminToken: 'sat_secret-credential' },
      /^PIPEOPS_ADMIN_TOKEN is a service token .+ Correct: /,
    ],
    ['PIPEOPS_WORKSPACE_UUID', { workspaceUuid: 'not a uuid' }, /^PIPEOPS_WORKSPACE_UUID .+ Correct: /],
    [
      'FINGERPRINT_KEYS',
      { webhooks: { ...webhooks, fingerprintKeys: 'k1:secret-credential' } },
      /^FINGERPRINT_KEYS .+ Correct: /,
    ],
    ['IDEMPOTENCY_SECRET', { idempotencySecret: 'secret-credential' }, /^IDEMPOTENCY_SECRET .+ Correct: /],
  ])('that the Worker would refuse are one line: %s', (_key, change, line) => {
    const make = (): unknown => bindingsFor({ ...facts, fileOf: () => null, ...change });
    expect(make).toThrow(line);
    expect(make).not.toThrow(/\n|secret-credential/);
  });
});
