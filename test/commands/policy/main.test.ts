import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { SignJWT, exportJWK, generateKeyPair } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run } from '../../../commands/policy/run.ts';
import rootPolicy from '../../../policy.ts';
import { parsePolicy } from '../../../src/config/policy.ts';
import { policyVersion } from '../../../src/policy/version.ts';

const CHECKOUT = path.resolve(import.meta.dirname, '../../..');
const NODE = path.join(CHECKOUT, 'node_modules/.bin/node');
const ISSUER = 'https://issuer.example';
const W = '5877a4ae-0000-4000-8000-000000000001';

let directory: string;
let jwt: string;
beforeAll(async () => {
  directory = mkdtempSync(path.join(tmpdir(), 'policy-'));
  const { publicKey, privateKey } = await generateKeyPair('ES256');
  const written = {
    issuers: [
      { issuer: ISSUER, audience: 'countersign', jwks: { keys: [{ ...(await exportJWK(publicKey)), alg: 'ES256' }] } },
    ],
    roles: {
      ci: { permissions: ['tokens:create', 'tokens:read'], workspaces: [W], scopes: ['api:read'], maxTtl: '30d' },
      root: { permissions: ['tokens:create'], tokens: 'any', workspaces: ['*'], scopes: ['*'] },
    },
    bindings: [
      { issuer: ISSUER, claims: { team: 'shop' }, role: 'ci' },
      { issuer: ISSUER, claims: { team: 'ops' }, role: 'root' },
    ],
  };
  writeFileSync(path.join(directory, 'p.json'), JSON.stringify(written));
  writeFileSync(path.join(directory, 'p.ts'), `export default ${JSON.stringify(written)};\n`);
  // A secret in a claim that the policy reads must not be shown either.
  jwt = await new SignJWT({ team: 'shop', ref: 'sat_0123456789abcdefghij' })
    .setProtectedHeader({ alg: 'ES256' })
    .setIssuer(ISSUER)
    .setAudience('countersign')
    .setSubject('alice')
    .setIssuedAt()
    .setExpirationTime('5m')
    .sign(privateKey);
  writeFileSync(path.join(directory, 'jwt'), `${jwt}\n`);
  writeFileSync(path.join(directory, 'other.json'), JSON.stringify({ iss: 'https://other.example', sub: 'x' }));
  writeFileSync(
    path.join(directory, 'claims.json'),
    JSON.stringify({ iss: ISSUER, aud: 'countersign', sub: 'ada', team: 'ops' }),
  );
});
afterAll(() => rmSync(directory, { recursive: true }));

interface Given {
  readonly input?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** Asks as a user does who stands in the directory of the test. Whatever is said, it repeats no secret. */
async function policy(args: readonly string[], { input = '', env = {} }: Given = {}) {
  let [output, errors] = ['', ''];
  const status = await run(args, {
    environment: { INIT_CWD: directory, ...env },
    standardInput: async () => await Promise.resolve(input),
    say: (line) => void (output += `${line}\n`),
    complain: (text) => void (errors += `${text}\n`),
  });
  expectNoSecret(output + errors);
  return { status, output, errors };
}

/** The same in a process of its own, as npm starts it. */
function spawned(
  args: readonly string[],
  { input = '', env = {}, stdout = 'pipe' }: Given & { readonly stdout?: 'pipe' | number } = {},
) {
  const ended = spawnSync(NODE, ['commands/policy/main.ts', ...args], {
    cwd: CHECKOUT,
    encoding: 'utf8',
    input,
    env: { PATH: process.env['PATH'], INIT_CWD: directory, ...env },
    stdio: ['pipe', stdout, 'pipe'],
  });
  expectNoSecret(`${ended.stdout ?? ''}${ended.stderr}`);
  return { status: ended.status, output: ended.stdout ?? '', errors: ended.stderr };
}

function expectNoSecret(text: string): void {
  const [, , signature = ''] = jwt.split('.');
  expect(text).not.toContain(signature);
  expect(text).not.toContain('sat_0123456789abcdefghij');
}

const CREATE = ['create', '--workspace', W, '--expires-in', '30d'];

describe('npm run policy -- explain', () => {
  it('says yes with 0, by which role, and whether the signature was checked', async () => {
    const { status, output, errors } = await policy([
      'explain',
      '--policy',
      'p.ts',
      '--jwt-file',
      'jwt',
      ...CREATE,
      '--scopes',
      'api:read',
    ]);
    expect(errors).toBe('');
    expect(output).toMatch(/^policy +p\.ts, version [0-9a-f]{16}$/m);
    expect(output).toMatch(/^caller +alice of https:\/\/issuer\.example$/m);
    expect(output).toContain('The signature is good.');
    expect(output).toMatch(/^bindings +bindings\[0\] gives ci: team shop$/m);
    expect(output).toMatch(/bindings\[1\] does not give root: team is shop, and not ops/);
    expect(output).toMatch(/^role ci +allows: scopes api:read, until \d{4}-.* \(30 days from now\)$/m);
    expect(output).toMatch(/^ALLOWED +by the role ci\./m);
    expect(status).toBe(0);
  });

  it('says no with 1, role by role, and what the caller is answered', () => {
    const { status, output } = spawned(
      ['explain', '--policy', 'p.json', '--jwt-file', '-', ...CREATE, '--scopes', 'api:read,api:full'],
      {
        input: jwt,
      },
    );
    expect(output).toMatch(/^role ci +falls short: scopes: it allows at most api:read$/m);
    expect(output).toMatch(/^DENIED +scopes: /m);
    expect(output).toContain(
      'The answer is 403 forbidden: None of your roles allows the whole of this request: role "ci" allows at most api:read.',
    );
    expect(status).toBe(1);
  });

  it('takes the JWT of the environment, or claims alone, and says that nobody signed these', async () => {
    const asked = ['--policy', 'p.json', ...CREATE, '--scopes', 'api:full'];
    expect((await policy(['explain', ...asked], { env: { COUNTERSIGN_JWT: jwt } })).status).toBe(1);
    const { status, output } = await policy(['explain', '--claims', 'claims.json', ...asked]);
    expect(output).toContain('Nobody signed this');
    expect(output).toMatch(/^ALLOWED +by the role root\./m);
    expect(status).toBe(0);
  });

  it('prints JSON', async () => {
    const { status, output } = await policy([
      'explain',
      '--json',
      '--policy',
      'p.json',
      '--jwt-file',
      'jwt',
      ...CREATE,
      '--scopes',
      'api:full',
    ]);
    expect(JSON.parse(output)).toMatchObject({
      policy: { name: 'p.json', version: expect.stringMatching(/^[0-9a-f]{16}$/) },
      allowed: false,
      denied: 'scopes',
      caller: { issuer: ISSUER, subject: 'alice', label: null },
      signature: 'good',
      bindings: [
        { index: 0, role: 'ci', gives: true, unmatched: [] },
        { index: 1, role: 'root', gives: false, unmatched: [{ claim: 'team', wanted: 'ops', has: 'shop' }] },
      ],
      roles: [{ role: 'ci', allowed: false, refusal: 'scopes' }],
      grant: null,
      answer: { status: 403, code: 'forbidden' },
    });
    expect(status).toBe(1);
  });

  it('of an issuer that the policy does not know says which it knows', async () => {
    const { status, output } = await policy([
      'explain',
      '--policy',
      'p.json',
      '--claims',
      'other.json',
      'list',
      '--workspace',
      W,
    ]);
    expect(output).toMatch(/^DENIED +issuer_unknown/m);
    expect(output).toContain('The policy accepts JWTs of https://issuer.example.');
    expect(status).toBe(1);
  });

  it.each<[string, readonly string[], RegExp]>([
    [
      'nobody',
      ['audit'],
      /Nobody asks: name a JWT with --jwt-file FILE \(or COUNTERSIGN_JWT\), or its claims with --claims FILE/,
    ],
    [
      'a file that is not there',
      ['--jwt-file', 'none', 'audit'],
      /none cannot be read \(ENOENT\): --jwt-file names a file/,
    ],
    ['a folder', ['--jwt-file', '.', 'audit'], /cannot be read \(EISDIR\)/],
    ['a file that holds no JWT', ['--jwt-file', 'p.json', 'audit'], /p\.json does not hold a JWT and nothing else/],
    ['claims that are none', ['--claims', 'jwt', 'audit'], /holds no JSON object/],
    [
      'a request that the service would not understand',
      ['--claims', 'claims.json', '--policy', 'p.json', 'create', '--workspace', W],
      /would answer 422 .*scope/,
    ],
    [
      'a policy that is not there',
      ['--claims', 'claims.json', '--policy', 'none.ts', 'audit'],
      /none\.ts is not there\. --policy names a \.ts file/,
    ],
    ['a local run that never was', ['--claims', 'claims.json', '--local', 'audit'], /`npm start` makes them/],
  ])('cannot ask of %s, and ends with 2', async (_what, args, message) => {
    const { status, output, errors } = await policy(['explain', ...args], {
      env: { STATE_DIR: path.join(directory, 'no-state') },
    });
    expect(errors).toMatch(message);
    expect(errors).not.toMatch(/^\s+at /m);
    expect([status, output]).toEqual([2, '']);
  });

  it('ends with 2 where nobody can read what it says', () => {
    const full = openSync('/dev/full', 'w');
    expect(spawned(['version'], { stdout: full }).status).toBe(2);
  });
});

describe('npm run policy -- who', () => {
  it('names roles, and the bindings and issuers that give them', async () => {
    const { status, output } = await policy([
      'who',
      '--policy',
      'p.ts',
      '--can',
      'tokens:create',
      '--scope',
      'api:full',
    ]);
    expect(output).toMatch(/^role root +any scope; for any time; .*in any workspace; anybody's tokens$/m);
    expect(output).toMatch(/^ +bindings\[1\] +https:\/\/issuer\.example +team ops$/m);
    expect(output).toMatch(/^not +role ci, scopes: it allows at most api:read$/m);
    expect(status).toBe(0);
  });

  it('says that nobody may, with 1', async () => {
    const { status, output } = await policy(['who', '--policy', 'p.ts', '--can', 'audit:read']);
    expect(output).toMatch(/^NOBODY +may: no role has audit:read\.$/m);
    expect(status).toBe(1);
  });

  it('tells a lifetime without end from one that a role ends', async () => {
    const asked = ['who', '--policy', 'p.ts', '--can', 'tokens:create', '--expires-in', 'never', '--json'];
    const { output } = await policy(asked);
    expect(JSON.parse(output)).toMatchObject({ roles: [{ role: 'root' }], not: [{ role: 'ci', refusal: 'lifetime' }] });
  });

  it('names webhooks that revoke, which need no role', async () => {
    const file = path.join(CHECKOUT, 'docs/policy/webhooks.ts');
    const { output } = await policy(['who', '--policy', file, '--can', 'tokens:revoke', '--others']);
    expect(output).toMatch(/^webhook +scanner \(standard\), by token\.leaked, in any workspace$/m);
    expect(output).toMatch(/^webhook +incidents \(standard\), by token\.revoke, in 5877a4ae-/m);
    expect(output).toMatch(/^not +role engineer, ownership: it reaches the caller's own tokens alone$/m);
  });
});

describe('npm run policy -- test', () => {
  const asked = {
    name: 'a',
    caller: { issuer: ISSUER, claims: { sub: 'x', team: 'shop' } },
    request: { operation: 'list', workspace: W },
  };
  const cases = (expected: object): string => {
    mkdirSync(path.join(directory, 'cases'), { recursive: true });
    const file = path.join(directory, 'cases', `${JSON.stringify(expected).replaceAll(/\W/g, '-')}.ts`);
    writeFileSync(file, `export default ${JSON.stringify([{ ...asked, expect: expected }])};\n`);
    return file;
  };

  it('holds for the policy and the cases of this checkout', () => {
    const { status, output, errors } = spawned(['test']);
    expect([status, errors]).toEqual([0, '']);
    expect(output).toMatch(/^passed +\d+ cases, 0 failed$/m);
  });

  it('ends with 0 if all hold, with 1 if one fails, and with 2 if it is no table', async () => {
    const endOf = async (expected: object) =>
      (await policy(['test', '--policy', 'p.ts', '--cases', cases(expected)])).status;
    expect(await endOf({ allowed: 'ci' })).toBe(0);
    expect(await endOf({ denied: 'scopes' })).toBe(1);
    expect(await endOf({ allowed: 'nobody' })).toBe(2);
    expect((await policy(['test', '--policy', 'p.ts', '--cases', 'none.ts'])).errors).toMatch(
      /--cases names a \.ts file/,
    );
  });

  it('is part of npm run check, and so of what CI runs', () => {
    const scripts: unknown = JSON.parse(readFileSync(path.join(CHECKOUT, 'package.json'), 'utf8'));
    expect(scripts).toMatchObject({
      scripts: { check: expect.stringMatching(/&& node commands\/policy\/main\.ts test$/) },
    });
    expect(readFileSync(path.join(CHECKOUT, '.ci/run'), 'utf8')).toContain('npm run check');
  });
});

describe('npm run policy -- version', () => {
  it('prints the version that events name, and nothing else', async () => {
    const parsed = parsePolicy(rootPolicy);
    const { status, output } = await policy(['version']);
    expect([status, output]).toEqual([0, `${parsed.ok ? policyVersion(parsed.value) : ''}\n`]);
    const [module, json] = [
      await policy(['version', '--policy', 'p.ts']),
      await policy(['version', '--policy', 'p.json']),
    ];
    expect(module.output).toBe(json.output);
  });

  it('of a policy that is none names every problem, and ends with 2', async () => {
    writeFileSync(path.join(directory, 'bad.json'), JSON.stringify({ issuers: [], roles: { ci: {} }, bindings: 5 }));
    const { status, errors } = await policy(['version', '--policy', 'bad.json']);
    expect(errors).toMatch(/bad\.json is no policy/);
    expect(errors).toMatch(/roles\.ci\.permissions is missing/);
    expect(errors).toMatch(/bindings is not of type array/);
    expect(status).toBe(2);
  });

  it('of a file that does not load says where it fails, without a stack', () => {
    writeFileSync(path.join(directory, 'broken.ts'), 'export default {\n  issuers: [,;\n};\n');
    const { status, errors } = spawned(['version', '--policy', 'broken.ts']);
    expect(errors).toMatch(/broken\.ts cannot be loaded: /);
    expect(errors).toMatch(/at line 2, column \d+/);
    expect(errors).not.toMatch(/^\s+at /m);
    expect(status).toBe(2);
  });
});

it('help is on standard output, with 0', async () => {
  const { status, output } = await policy(['--help']);
  expect(output).toMatch(/^usage: npm run -s policy -- explain/);
  expect(status).toBe(0);
});
