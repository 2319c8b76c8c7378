import { env as workerEnv } from 'cloudflare:workers';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import defaultPolicy from '../../policy.ts';
import { parseEnv } from '../../src/config/env.ts';
import { spellingsOf } from '../support/spellings.ts';
import { FULL, policyWith } from './policies.ts';

const DB = { prepare: () => undefined, batch: () => undefined };
const SECRET = 'eyJhbGciOiJub25lIn0.c2VjcmV0.';
const LIMIT = { limit: () => undefined };
const LIMITS = { CALLER_LIMIT: LIMIT, REJECTIONS_PER_ADDRESS: LIMIT, REJECTIONS_IN_ALL: LIMIT };
const KEY = 'MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=';
const LEAST = {
  DB,
  ...LIMITS,
  PIPEOPS_API_URL: 'https://api.pipeops.io',
  PIPEOPS_ADMIN_TOKEN: SECRET,
  FINGERPRINT_KEYS: `k1:${KEY}`,
  IDEMPOTENCY_SECRET: KEY,
  WEBHOOK_SCANNER: `whsec_${KEY}`,
  WEBHOOK_SCANNER_NEXT: `whsec_${KEY}`,
  WEBHOOK_HR: `whsec_${KEY}`,
};

const problemsOf = (env: unknown, policy: unknown = FULL): readonly (readonly [string, string])[] => {
  const parsed = parseEnv(env, policy);
  return parsed.ok ? [] : parsed.error.map(({ key, problem }) => [key, problem] as const);
};

test('what is left out gets its default', () => {
  expect(parseEnv(LEAST, FULL)).toMatchObject({
    ok: true,
    value: {
      db: DB,
      d1MaxBytes: 10_000_000_000,
      pipeops: { apiUrl: 'https://api.pipeops.io', credentials: [SECRET], defaultWorkspaceUuid: null },
      reconcileAfterSeconds: 120,
      policy: { roles: [{ name: 'ci' }, { name: 'auditor' }] },
    },
  });
});

test.each(Object.entries(spellingsOf('5877a4ae-6a3c-4d0f-9a55-0f2f6a8f3f0e')))(
  'the default workspace is one value, %s',
  (_name, PIPEOPS_WORKSPACE_UUID) => {
    expect(parseEnv({ ...LEAST, PIPEOPS_WORKSPACE_UUID }, FULL)).toMatchObject({
      ok: true,
      value: { pipeops: { defaultWorkspaceUuid: '5877a4ae-6a3c-4d0f-9a55-0f2f6a8f3f0e' } },
    });
  },
);

test('everything is read, and other bindings are ignored', () => {
  const parsed = parseEnv(
    {
      ...LEAST,
      PIPEOPS_ADMIN_TOKEN_NEXT: 'next',
      PIPEOPS_WORKSPACE_UUID: 'w-1',
      RECONCILE_AFTER_SECONDS: '45',
      POLICY: JSON.stringify(policyWith({})),
      OTHER: {},
    },
    FULL,
  );
  expect(parsed).toMatchObject({
    ok: true,
    value: {
      pipeops: { credentials: [SECRET, 'next'], defaultWorkspaceUuid: 'w-1' },
      reconcileAfterSeconds: 45,
      policy: { roles: [{ name: 'ci', tokens: 'own' }] },
    },
  });
});

test('the same credential twice is tried once', () => {
  const parsed = parseEnv({ ...LEAST, PIPEOPS_ADMIN_TOKEN_NEXT: SECRET }, FULL);
  expect(parsed.ok && parsed.value.pipeops.credentials).toEqual([SECRET]);
});

test.each([
  ['https://api.pipeops.io/', 'https://api.pipeops.io'],
  ['https://proxy.example/pipeops//', 'https://proxy.example/pipeops'],
  ['http://localhost:8788', 'http://localhost:8788'],
  ['http://127.0.0.1:8788/', 'http://127.0.0.1:8788'],
  ['http://[::1]:8788', 'http://[::1]:8788'],
])('PIPEOPS_API_URL %s is read as %s', (url, expected) => {
  const parsed = parseEnv({ ...LEAST, PIPEOPS_API_URL: url }, FULL);
  expect(parsed.ok && parsed.value.pipeops.apiUrl).toBe(expected);
});

test('a real D1 binding is one, and the operator’s own file is the policy unless another is given', () => {
  const parsed = parseEnv({ ...LEAST, DB: workerEnv.DB }, defaultPolicy);
  expect(parsed.ok && parsed.value.policy.bindings).toMatchObject([{ claims: { repository: 'your-org/your-repo' } }]);
});

describe('refused', () => {
  test.each<[string, string, unknown, RegExp]>([
    ['no database', 'DB', undefined, /missing/],
    ['a database that is another kind of binding', 'DB', { get: () => undefined }, /not a D1/],
    ['a database that is half of one', 'DB', { prepare: DB.prepare, batch: 1 }, /not a D1/],
    ['a size with a unit', 'D1_MAX_BYTES', '500MB', /whole number of bytes/],
    ['a size in megabytes', 'D1_MAX_BYTES', '500', /below 10000000/],
    ['a size that no plan has', 'D1_MAX_BYTES', '10000000000000', /above/],
    ['no URL', 'PIPEOPS_API_URL', undefined, /missing/],
    ['http', 'PIPEOPS_API_URL', 'http://api.pipeops.io', /https/],
    ['another protocol', 'PIPEOPS_API_URL', 'ftp://localhost', /https/],
    ['credentials in the URL', 'PIPEOPS_API_URL', 'https://user:secret@api.pipeops.io', /credentials/],
    ['a query', 'PIPEOPS_API_URL', 'https://api.pipeops.io/?', /query/],
    ['a fragment', 'PIPEOPS_API_URL', 'https://api.pipeops.io/#', /fragment/],
    ['no credential', 'PIPEOPS_ADMIN_TOKEN', undefined, /missing/],
    ['an empty credential', 'PIPEOPS_ADMIN_TOKEN', '', /empty/],
    ['a credential with its scheme', 'PIPEOPS_ADMIN_TOKEN', `Bearer ${SECRET}`, /spaces/],
    ['a credential of two lines', 'PIPEOPS_ADMIN_TOKEN', `${SECRET}\n`, /one line/],
    ['a service token', 'PIPEOPS_ADMIN_TOKEN', 'sat_secret', /service token/],
    ['a service token to come', 'PIPEOPS_ADMIN_TOKEN_NEXT', 'sat_secret', /service token/],
    ['an empty credential to come', 'PIPEOPS_ADMIN_TOKEN_NEXT', '', /empty/],
    ['a workspace that is no id', 'PIPEOPS_WORKSPACE_UUID', '../secret', /workspace/],
    ['a workspace in brackets', 'PIPEOPS_WORKSPACE_UUID', '(secret)', /id of a workspace: a UUID, in any case/],
    ['a time that is no number', 'RECONCILE_AFTER_SECONDS', '1e3', /whole number/],
    ['a time in which a request may live', 'RECONCILE_AFTER_SECONDS', '44', /below 45/],
    ['a time after which attempts are given up', 'RECONCILE_AFTER_SECONDS', '86401', /above 86400/],
    ['no idempotency secret', 'IDEMPOTENCY_SECRET', undefined, /missing/],
    ['an idempotency secret that is not base64', 'IDEMPOTENCY_SECRET', `secret ${KEY}`, /base64 of 32 bytes/],
    ['a short idempotency secret', 'IDEMPOTENCY_SECRET', btoa('secret'), /base64 of 32 bytes/],
    ['a policy that is not JSON', 'POLICY', '{secret', /JSON: .* at line 1, column 2$/],
    [
      'a policy that stops being JSON',
      'POLICY',
      '{"issuers": [],\n "roles": secret}',
      /JSON: .* at line 2, column 11$/,
    ],
    ['a policy that is not text', 'POLICY', FULL, /JSON/],
  ])('%s', (_, key, value, problem) => {
    const problems = problemsOf({ ...LEAST, [key]: value });
    expect(problems).toEqual([[key, expect.stringMatching(problem)]]);
    expect(JSON.stringify(problems)).not.toContain('secret');
  });

  test('a policy that does not parse, with the place it came from', () => {
    expect(problemsOf(LEAST, { ...FULL, roles: 1 })).toContainEqual(['policy.ts: roles', 'is not an object']);
    expect(problemsOf(LEAST, null)).toEqual([['policy.ts', 'is not of type object']]);
    expect(problemsOf({ ...LEAST, POLICY: '[]' })).toEqual([['POLICY', 'is not of type object']]);
  });
  test.each([undefined, null, 'env', 7])('an environment that is %s', (env) => {
    expect(problemsOf(env)).toHaveLength(1);
  });
  test('all problems at once', () => {
    expect(problemsOf({ POLICY: '{}' }).map(([key]) => key)).toEqual([
      'DB',
      'CALLER_LIMIT',
      'REJECTIONS_PER_ADDRESS',
      'REJECTIONS_IN_ALL',
      'PIPEOPS_API_URL',
      'PIPEOPS_ADMIN_TOKEN',
      'FINGERPRINT_KEYS',
      'IDEMPOTENCY_SECRET',
      'POLICY: issuers',
      'POLICY: roles',
      'POLICY: bindings',
    ]);
  });
});

describe('what signing in needs', () => {
  const issuer = { issuer: 'https://issuer.example', audience: 'countersign' };
  const policy = (entry: object) => ({ issuers: [{ ...issuer, ...entry }], roles: {}, bindings: [] });
  const client = policy({ clientId: 'console' });
  const confidential = policy({ clientId: 'console', clientSecret: 'CONSOLE_SECRET' });

  test('is nothing where no issuer has a client, whatever is set', () => {
    expect(parseEnv({ ...LEAST, SESSION_SECRET: 'x' }, policy({}))).toMatchObject({
      ok: true,
      value: { signIn: null },
    });
  });

  test('is a secret for sessions, and one for each client that has one', () => {
    expect(parseEnv({ ...LEAST, SESSION_SECRET: KEY }, client)).toMatchObject({
      ok: true,
      value: { signIn: { clientSecrets: new Map() } },
    });
    expect(parseEnv({ ...LEAST, SESSION_SECRET: KEY, CONSOLE_SECRET: 'hush' }, confidential)).toMatchObject({
      ok: true,
      value: { signIn: { clientSecrets: new Map([['CONSOLE_SECRET', 'hush']]) } },
    });
  });

  test.each([
    ['no secret for sessions', client, {}, 'SESSION_SECRET', /^is missing; an issuer with a clientId needs it$/],
    ['a short one', client, { SESSION_SECRET: btoa('secret') }, 'SESSION_SECRET', /base64 of 32 bytes/],
    ['none of a client', confidential, { SESSION_SECRET: KEY }, 'CONSOLE_SECRET', /^is missing; the client of/],
    [
      'one of a client that no form carries',
      confidential,
      { SESSION_SECRET: KEY, CONSOLE_SECRET: 'se cret' },
      'CONSOLE_SECRET',
      /one line of visible ASCII/,
    ],
  ])('%s is a problem', (_name, of, env, key, problem) => {
    expect(problemsOf({ ...LEAST, ...env }, of)).toEqual([[key, expect.stringMatching(problem)]]);
  });

  test('a secret without a client is of no use', () => {
    const [problem] = problemsOf(LEAST, policy({ clientSecret: 'CONSOLE_SECRET' }));
    expect(problem).toEqual(['policy.ts: issuers[0].clientSecret', expect.stringContaining('of no use')]);
  });
});

test('parsing never throws, and no problem repeats a credential', () => {
  const value = fc.oneof(fc.jsonValue(), fc.string(), fc.constant(`${SECRET} `), fc.json());
  const anyEnv = fc.record(
    { DB: value, PIPEOPS_API_URL: value, PIPEOPS_ADMIN_TOKEN: value, PIPEOPS_ADMIN_TOKEN_NEXT: value, POLICY: value },
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(anyEnv, (env) => {
      const parsed = parseEnv(env, FULL);
      expect(parsed.ok).toBe(false);
      expect(JSON.stringify(parsed)).not.toContain(SECRET);
    }),
  );
});
