import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { examine } from '../../../commands/doctor/examine.ts';
import { reportLines } from '../../../commands/doctor/report.ts';
import { readOptions, UsageError } from '../../../commands/doctor/options.ts';
import { privateKeyText } from '../../../src/tlog/note.ts';

const CHECKOUT = path.resolve(import.meta.dirname, '../../..');
const NODE = path.join(CHECKOUT, 'node_modules/.bin/node');
const GITHUB = 'https://token.actions.githubusercontent.com';
const DAY_SECONDS = 24 * 60 * 60;
const NOW_SECONDS = Math.floor(Date.now() / 1000);

/** As `openssl rand -base64 32` prints it: with the characters that base64url has not. */
const KEY = 'q+/3Zb0TJx9cLwYd1R7uVh2MfKs8oGpE5NaXiC4QyWk=';
const KEYS = { FINGERPRINT_KEYS: `k1:${KEY}`, IDEMPOTENCY_SECRET: KEY };

const GOOD = {
  issuers: [{ issuer: GITHUB, audience: 'countersign', subject: 'repository_id' }],
  roles: { ci: { permissions: ['tokens:read'], workspaces: ['*'] } },
  bindings: [{ issuer: GITHUB, claims: { repository: 'northwind/shop' }, role: 'ci' }],
};

/** The configuration of this project, with the id of a database in place of zeros. */
const DEPLOYABLE = readFileSync(path.join(CHECKOUT, 'wrangler.toml'), 'utf8').replaceAll(
  '00000000-0000-0000-0000-000000000000',
  '9b2d7c1e-4f3a-4c58-a1d6-73e0b5f48c29',
);

let directory: string;
beforeEach(() => {
  // A directory of its own, so that nobody's `.dev.vars` takes part.
  directory = mkdtempSync(path.join(tmpdir(), 'doctor-'));
  writeFileSync(path.join(directory, 'wrangler.toml'), DEPLOYABLE);
});
afterEach(() => rmSync(directory, { recursive: true }));

interface Patient {
  readonly policy?: unknown;
  readonly env?: Readonly<Record<string, string>>;
  readonly devVars?: string;
  readonly wrangler?: string;
  readonly args?: readonly string[];
  /** Without it the policy is found as the Worker finds it. */
  readonly namesPolicy?: boolean;
}

/** What the doctor prints, in this process: each of its own takes a second and more to load wrangler. */
async function doctor(patient: Patient) {
  const {
    policy = GOOD,
    env = { PIPEOPS_ADMIN_TOKEN: jwtFor(30), ...KEYS },
    devVars,
    wrangler,
    args = [],
    namesPolicy = true,
  } = patient;
  if (wrangler !== undefined) writeFileSync(path.join(directory, 'wrangler.toml'), wrangler);
  const file = path.join(directory, 'policy.ts');
  writeFileSync(file, `export default ${JSON.stringify(policy)};\n`);
  if (devVars !== undefined) writeFileSync(path.join(directory, '.dev.vars'), devVars);
  const named = namesPolicy ? ['--policy', file] : [];
  const options = readOptions(['--config', path.join(directory, 'wrangler.toml'), ...named, ...args]);
  if (options === null) throw new Error('These options ask for help.');
  const examination = await examine(options, env, Date.now());
  return {
    isHealthy: examination.findings.every(({ severity }) => severity === 'warning'),
    output: reportLines(examination).join('\n'),
  };
}

function run(...args: readonly string[]) {
  const child = spawnSync(NODE, ['commands/doctor/main.ts', ...args], {
    cwd: CHECKOUT,
    encoding: 'utf8',
    env: { PATH: process.env['PATH'] },
  });
  return { status: child.status, output: child.stdout, errors: child.stderr };
}

/** A session JWT that ends in so many days. Nobody checks its signature here. */
function jwtFor(days: number): string {
  return `${encoded({ alg: 'HS256' })}.${encoded({ sub: 'admin', exp: NOW_SECONDS + days * DAY_SECONDS })}.c2ln`;
}

const signingKeyOf = async (name: string, seed = 1): Promise<string> =>
  await privateKeyText('log', name, new Uint8Array(32).fill(seed));

function encoded(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

test('says what is fine', async () => {
  const { isHealthy, output } = await doctor({});
  expect(output).toMatch(/^ok {7}PIPEOPS_API_URL$/m);
  expect(output).toMatch(/^ok {7}PIPEOPS_ADMIN_TOKEN expires at \d{4}-/m);
  expect(output).toMatch(/^ok {7}FINGERPRINT_KEYS 1 key, current k1$/m);
  expect(output).toMatch(/^ok {7}IDEMPOTENCY_SECRET$/m);
  expect(output).toMatch(/^ok {7}policy\.ts$/m);
  expect(output).not.toMatch(/^(?:problem|warning)/m);
  expect(isHealthy).toBe(true);
});

describe('names the key, what is wrong, and what would be right', () => {
  test('in policy.ts', async () => {
    const { isHealthy, output } = await doctor({
      policy: {
        issuers: [{ issuer: GITHUB, algorithms: ['HS256'] }],
        roles: GOOD.roles,
        bindings: [
          { issuer: GITHUB, claims: { repository: '*' }, role: 'ci' },
          { issuer: GITHUB, claims: { ref: 'refs/heads/main' }, role: 'admin' },
        ],
      },
    });
    const problems = [
      [/issuers\[0\]\.audience is missing/, /audience: 'countersign'/],
      [/issuers\[0\]\.algorithms\[0\] is an HMAC algorithm/, /algorithms: \['RS256'\]/],
      [/bindings\[0\]\.claims needs at least one exact claim/, /claims: \{ repository: 'acme\/shop', ref: /],
      [/bindings\[1\]\.claims needs one of repository, .*repository_owner/, /claims: \{ repository: 'acme\/shop'/],
      [/bindings\[1\]\.role is an unknown role, "admin"/, /role: 'ci'/],
    ] as const;
    for (const [problem, correct] of problems) expect(output).toMatch(entry(/policy\.ts: /, problem, correct));
    expect(output.match(/^problem/gm)).toHaveLength(problems.length);
    expect(output).not.toMatch(/^ok {7}policy\.ts/m);
    expect(isHealthy).toBe(false);
  });

  test('in a policy that parses and cannot be meant, whatever else is wrong', async () => {
    const { isHealthy, output } = await doctor({ policy: { ...GOOD, bindings: [] }, env: {} });
    expect(output).toMatch(entry(/policy\.ts: /, /roles\.ci is a role nobody can have/, /bindings: .*role: 'ci'/));
    expect(output).toMatch(entry(/PIPEOPS_ADMIN_TOKEN /, /is missing/, /wrangler secret put PIPEOPS_ADMIN_TOKEN/));
    expect(output).toMatch(entry(/FINGERPRINT_KEYS /, /is missing/, /wrangler secret put FINGERPRINT_KEYS/));
    expect(output).toMatch(entry(/IDEMPOTENCY_SECRET /, /is missing/, /wrangler secret put IDEMPOTENCY_SECRET/));
    expect(isHealthy).toBe(false);
  });

  test('in a file that exports nothing of the kind', async () => {
    expect((await doctor({ policy: null })).output).toMatch(
      entry(/policy\.ts /, /is not of type object/, /definePolicy/),
    );
  });

  test('in credentials, which it does not show', async () => {
    const env = { PIPEOPS_ADMIN_TOKEN: 'sat_0123456789', PIPEOPS_ADMIN_TOKEN_NEXT: jwtFor(-1), ...KEYS };
    const { isHealthy, output } = await doctor({ env });
    expect(output).toMatch(entry(/PIPEOPS_ADMIN_TOKEN /, /is a service token/, /the session JWT of a PipeOps admin/));
    expect(output).toMatch(entry(/PIPEOPS_ADMIN_TOKEN_NEXT /, /expired at \d{4}-/, /a fresh session JWT/));
    for (const secret of Object.values(env)) expect(output).not.toContain(secret);
    expect(isHealthy).toBe(false);
  });

  test('in the keys of the log, which it does not show', async () => {
    const env = { PIPEOPS_ADMIN_TOKEN: jwtFor(30), ...KEYS };
    const broken = await doctor({
      env: { ...env, TRAIL_KEY: 'hush-hush', TRAIL_WITNESSES: 'https://witness.northwind.io' },
    });
    expect(broken.output).toMatch(entry(/TRAIL_KEY /, /is no signing key/, /npm run setup -- --env production/));
    expect(broken.output).toMatch(entry(/TRAIL_WITNESSES /, /is not a list of an https URL and/, /witness\.example/));
    expect(broken.output).not.toContain('hush');
    expect(broken.isHealthy).toBe(false);

    const [key, another] = [await signingKeyOf('log.northwind.io/trail'), await signingKeyOf('northwind.io/trail')];
    const renamed = await doctor({ env: { ...env, TRAIL_KEY: key, TRAIL_KEY_NEXT: another } });
    expect(renamed.output).toMatch(
      entry(/TRAIL_KEY_NEXT /, /has another name than TRAIL_KEY/, /the key that takes over/),
    );
    expect(renamed.output).toMatch(/^ok {7}TRAIL_KEY$/m);
    for (const secret of [key, another]) expect(renamed.output).not.toContain(secret);
    const next = await signingKeyOf('log.northwind.io/trail', 2);
    expect((await doctor({ env: { ...env, TRAIL_KEY: key, TRAIL_KEY_NEXT: next } })).isHealthy).toBe(true);
  });

  test('in a credential that ends within a week, here from .dev.vars', async () => {
    const { isHealthy, output } = await doctor({ env: {}, devVars: `PIPEOPS_ADMIN_TOKEN="${jwtFor(6)}"\n` });
    expect(output).toMatch(entry(/PIPEOPS_ADMIN_TOKEN /, /expires within 7 days, at \d{4}-/, /a fresh session JWT/));
    expect(isHealthy).toBe(false);
  });

  test('in placeholders that were left in, wherever they are', async () => {
    const zeros = Buffer.alloc(32).toString('base64');
    const { isHealthy, output } = await doctor({
      policy: { ...GOOD, bindings: [{ ...GOOD.bindings[0], claims: { repository: 'your-org/your-repo' } }] },
      env: {
        PIPEOPS_ADMIN_TOKEN: 'your-admin-token',
        PIPEOPS_API_URL: 'https://api.example.com',
        PIPEOPS_WORKSPACE_UUID: '00000000-0000-0000-0000-000000000000',
        FINGERPRINT_KEYS: `k1:${zeros}`,
        IDEMPOTENCY_SECRET: zeros,
      },
      wrangler: SECTIONS.replace(
        'database_name = "shop-staging"',
        '$&\ndatabase_id = "00000000-0000-0000-0000-000000000000"',
      ),
    });
    expect(
      output.match(/^problem .*placeholder.*$/gm)?.map((line) => line.replace(/ is still a placeholder.*/, '')),
    ).toEqual([
      'problem  policy.ts: bindings[0].claims.repository',
      'problem  PIPEOPS_API_URL',
      'problem  PIPEOPS_ADMIN_TOKEN',
      'problem  PIPEOPS_WORKSPACE_UUID',
      'problem  FINGERPRINT_KEYS',
      'problem  IDEMPOTENCY_SECRET',
      'problem  wrangler.toml: env.staging.d1_databases.database_id',
    ]);
    expect(output).not.toContain('your-admin-token');
    expect(output).not.toContain(zeros);
    expect(isHealthy).toBe(false);
  });
});

/** A configuration with sections, which are what is deployed. */
const SECTIONS = `
name = "shop-local"
compatibility_date = "2026-10-01"
compatibility_flags = ["nodejs_compat"]
triggers = { crons = ["* * * * *"] }
d1_databases = [{ binding = "DB", database_name = "shop-local", database_id = "00000000-0000-0000-0000-000000000000" }]
vars = { PIPEOPS_API_URL = "http://127.0.0.1:8788" }
${['CALLER_LIMIT', 'REJECTIONS_PER_ADDRESS', 'REJECTIONS_IN_ALL'].map((name, index) => ratelimit('ratelimits', name, 10 + index)).join('')}
[env.staging]
[[env.staging.d1_databases]]
binding = "DB"
database_name = "shop-staging"
[env.staging.vars]
PIPEOPS_API_URL = "https://api.pipeops.io"
${['CALLER_LIMIT', 'REJECTIONS_PER_ADDRESS', 'REJECTIONS_IN_ALL'].map((name, index) => ratelimit('env.staging.ratelimits', name, 20 + index)).join('')}
`;

const BUCKET = '[[env.staging.r2_buckets]]\nbinding = "TRAIL"\nbucket_name = "shop-trail"\n';
const ANCHORS = '[env.staging.vars]\nTRAIL_ANCHORS = "https://anchors.northwind.io/trail"';

function ratelimit(table: string, name: string, namespace: number): string {
  return `[[${table}]]\nname = "${name}"\nnamespace_id = "${namespace}"\nsimple = { limit = 1, period = 60 }\n`;
}

describe('--env', () => {
  test('reads the section as it is deployed, and says which secrets it does not know', async () => {
    const { isHealthy, output } = await doctor({
      args: ['--env', 'staging'],
      wrangler: SECTIONS,
      // Neither is part of a deployment.
      devVars: `PIPEOPS_WORKSPACE_UUID="shop"\nPIPEOPS_ADMIN_TOKEN="${jwtFor(-1)}"\n`,
      env: { PIPEOPS_API_URL: 'ftp://elsewhere', IDEMPOTENCY_SECRET: KEY },
    });
    expect(output).not.toMatch(/^(?:problem|warning)/m);
    expect(output).toMatch(/^ok {7}DB$/m);
    expect(output).toMatch(/^ok {7}IDEMPOTENCY_SECRET$/m);
    expect(output).toMatch(/^note {5}PIPEOPS_ADMIN_TOKEN, FINGERPRINT_KEYS: not known .*--env staging --remote/m);
    expect(output).toMatch(/^note {5}A deployment needs Workers Paid: .* \d+ D1 queries\. Workers Free allows 50/m);
    expect(isHealthy).toBe(true);
  });

  test.each([
    ['neither a bucket nor anybody outside', SECTIONS, ['TRAIL is no bucket', 'TRAIL_WITNESSES and TRAIL_ANCHORS']],
    ['a bucket', `${SECTIONS}${BUCKET}`, ['TRAIL_WITNESSES and TRAIL_ANCHORS']],
    ['an anchor', SECTIONS.replace('[env.staging.vars]', ANCHORS), ['TRAIL is no bucket']],
  ])('says without --remote what a section with %s means for the log', async (_what, wrangler, notes) => {
    const { isHealthy, output } = await doctor({ args: ['--env', 'staging'], wrangler });
    const found = [...output.matchAll(/^note {5}(TRAIL is no bucket(?=,)|TRAIL_WITNESSES and TRAIL_ANCHORS)/gm)];
    expect(found.map(([, note]) => note)).toEqual(notes);
    expect(isHealthy).toBe(true);
  });

  test('is refused without a section of that name', async () => {
    const refusal = await doctor({ args: ['--env', 'prod'], wrangler: SECTIONS }).catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(UsageError);
    expect(String(refusal)).toMatch(/--env prod: the configuration has no section \[env\.prod\]; it has: staging\.$/);
  });
});

describe('a fault of syntax is told with file, line and column', () => {
  test('of wrangler.toml, and the policy is looked at all the same', async () => {
    const { isHealthy, output } = await doctor({
      wrangler: 'name = "shop"\nvars = 1 2\n',
      policy: { ...GOOD, bindings: [] },
    });
    expect(output).toMatch(/^problem {2}\S*wrangler\.toml is no TOML: .* at line 2, column 10$/m);
    expect(output).toMatch(/^problem {2}policy\.ts: roles\.ci is a role nobody can have/m);
    expect(isHealthy).toBe(false);
  });

  test('of a POLICY in .dev.vars, and nothing of it is repeated', async () => {
    const { output } = await doctor({ namesPolicy: false, devVars: `POLICY='{"issuers": [], "roles": hush}'\n` });
    expect(output).toMatch(
      /^problem {2}POLICY \(in \.dev\.vars\) is not JSON: Unexpected token 'h' at line 1, column 26$/m,
    );
    expect(output).not.toMatch(/hush|^ok {7}POLICY/m);
  });
});

describe('called wrongly, it says how to call it', () => {
  test.each<[readonly string[], RegExp]>([
    [['--polcy', 'x'], /^Unknown option '--polcy'\.$/m],
    [
      ['production'],
      /^Unexpected argument 'production'\. Write two dashes before options: npm run doctor -- --env production$/m,
    ],
    [['--remote'], /^--remote goes with --env NAME/m],
    [['--env', ''], /^--env needs the name of a section/m],
    [['--env', 'staging', '--url', 'https://x.io'], /^--url goes with --remote\.$/m],
    [['--env', 'staging', '--remote', '--url', 'x.io'], /^--url takes an http or https URL\.$/m],
    [['--d1', 'here'], /^--d1 takes local or remote\.$/m],
    [['--persist-to', 'x'], /^--persist-to goes with --d1 local\.$/m],
  ])('%j', (args, line) => {
    const problem = thrownBy(() => readOptions(args));
    expect(problem).toBeInstanceOf(UsageError);
    expect(String(problem)).toMatch(new RegExp(line.source.replace('^', '(?:^|: )'), 'm'));
  });

  test('and exits with 2', () => {
    const { status, output, errors } = run('--polcy', 'x');
    expect(errors).toMatch(/^Unknown option '--polcy'\.\nusage: npm run doctor/);
    expect(output).toBe('');
    expect(status).toBe(2);
  });

  test('--help is not wrong', () => {
    const { status, output, errors } = run('--help');
    expect(output).toMatch(/^usage: npm run doctor/);
    expect(errors).toBe('');
    expect(status).toBe(0);
  });
});

test('exits with 1 if there is a problem, as in the project as it comes, and repeats all of them in one line', () => {
  const { status, output, errors } = run();
  expect(output).toMatch(entry(/policy\.ts: bindings\[0\]\.claims\.repository /, /is still a placeholder/, /JWTs/));
  expect(output).toMatch(/^\d+ problems, no warnings\.\n$/m);
  expect(errors).toBe('');
  expect(status).toBe(1);
});

test('exits with 0 if there are warnings alone', () => {
  const policy = path.join(directory, 'policy.ts');
  writeFileSync(policy, `export default ${JSON.stringify({ ...GOOD, presets: { sandpit: ['api:read'] } })};\n`);
  writeFileSync(path.join(directory, 'wrangler.toml'), SECTIONS);
  const { status, output } = run(
    '--env',
    'staging',
    '--config',
    path.join(directory, 'wrangler.toml'),
    '--policy',
    policy,
  );
  expect(output).toMatch(/^warning {2}policy\.ts: presets\.sandpit/m);
  expect(output).toMatch(/^no problems, 1 warning\.$/m);
  expect(status).toBe(0);
});

function thrownBy(call: () => unknown): unknown {
  try {
    return call();
  } catch (error) {
    return error;
  }
}

/** A problem as it is printed, over two lines. */
function entry(key: RegExp, problem: RegExp, correct: RegExp): RegExp {
  return new RegExp(`^problem {2}${key.source}${problem.source}.*\\n {9}correct: .*${correct.source}`, 'm');
}
