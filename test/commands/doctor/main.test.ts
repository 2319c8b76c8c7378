import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

const CHECKOUT = path.resolve(import.meta.dirname, '../../..');
const NODE = path.join(CHECKOUT, 'node_modules/.bin/node');
const GITHUB = 'https://token.actions.githubusercontent.com';
const DAY_SECONDS = 24 * 60 * 60;
const NOW_SECONDS = Math.floor(Date.now() / 1000);

/** As `openssl rand -base64 32` prints it: with the characters that base64url has not. */
const KEY = `${'+/'.repeat(21)}8=`;
const KEYS = { FINGERPRINT_KEYS: `k1:${KEY}`, IDEMPOTENCY_SECRET: KEY };

const GOOD = {
  issuers: [{ issuer: GITHUB, audience: 'countersign' }],
  roles: { ci: { permissions: ['tokens:read'], workspaces: ['*'] } },
  bindings: [{ issuer: GITHUB, claims: { repository: 'acme/shop' }, role: 'ci' }],
};

let directory: string;
beforeEach(() => {
  // A directory of its own, so that nobody's `.dev.vars` takes part.
  directory = mkdtempSync(path.join(tmpdir(), 'doctor-'));
  copyFileSync(path.join(CHECKOUT, 'wrangler.toml'), path.join(directory, 'wrangler.toml'));
});
afterEach(() => rmSync(directory, { recursive: true }));

interface Patient {
  readonly policy?: unknown;
  readonly env?: Readonly<Record<string, string>>;
  readonly devVars?: string;
}

function doctor({ policy = GOOD, env = { PIPEOPS_ADMIN_TOKEN: jwtFor(30), ...KEYS }, devVars }: Patient) {
  const file = path.join(directory, 'policy.ts');
  writeFileSync(file, `export default ${JSON.stringify(policy)};\n`);
  if (devVars !== undefined) writeFileSync(path.join(directory, '.dev.vars'), devVars);
  const args = ['commands/doctor/main.ts', '--config', path.join(directory, 'wrangler.toml'), '--policy', file];
  const run = spawnSync(NODE, args, { cwd: CHECKOUT, encoding: 'utf8', env: { PATH: process.env['PATH'], ...env } });
  return { status: run.status, output: run.stdout, errors: run.stderr };
}

/** A session JWT that ends in so many days. Nobody checks its signature here. */
function jwtFor(days: number): string {
  return `${encoded({ alg: 'HS256' })}.${encoded({ sub: 'admin', exp: NOW_SECONDS + days * DAY_SECONDS })}.c2ln`;
}

function encoded(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

test('says what is fine, and exits with 0', () => {
  const { status, output, errors } = doctor({});
  expect(errors).toBe('');
  expect(output).toMatch(/^ok {7}PIPEOPS_API_URL$/m);
  expect(output).toMatch(/^ok {7}PIPEOPS_ADMIN_TOKEN expires at \d{4}-/m);
  expect(output).toMatch(/^ok {7}FINGERPRINT_KEYS 1 key, current k1$/m);
  expect(output).toMatch(/^ok {7}IDEMPOTENCY_SECRET$/m);
  expect(output).toMatch(/^ok {7}policy\.ts$/m);
  expect(output).not.toContain('problem');
  expect(status).toBe(0);
});

describe('names the key, what is wrong, and what would be right', () => {
  test('in policy.ts', () => {
    const { status, output } = doctor({
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
    expect(status).toBe(1);
  });

  test('in a policy that parses and cannot be meant, whatever else is wrong', () => {
    const { status, output } = doctor({ policy: { ...GOOD, bindings: [] }, env: {} });
    expect(output).toMatch(entry(/policy\.ts: /, /roles\.ci is a role nobody can have/, /bindings: .*role: 'ci'/));
    expect(output).toMatch(entry(/PIPEOPS_ADMIN_TOKEN /, /is missing/, /wrangler secret put PIPEOPS_ADMIN_TOKEN/));
    expect(output).toMatch(entry(/FINGERPRINT_KEYS /, /is missing/, /wrangler secret put FINGERPRINT_KEYS/));
    expect(output).toMatch(entry(/IDEMPOTENCY_SECRET /, /is missing/, /wrangler secret put IDEMPOTENCY_SECRET/));
    expect(status).toBe(1);
  });

  test('in a file that exports nothing of the kind', () => {
    expect(doctor({ policy: null }).output).toMatch(entry(/policy\.ts /, /is not of type object/, /definePolicy/));
  });

  test('in credentials, which it does not show', () => {
    const env = { PIPEOPS_ADMIN_TOKEN: 'sat_0123456789', PIPEOPS_ADMIN_TOKEN_NEXT: jwtFor(-1), ...KEYS };
    const { status, output } = doctor({ env });
    expect(output).toMatch(entry(/PIPEOPS_ADMIN_TOKEN /, /is a service token/, /the session JWT of a PipeOps admin/));
    expect(output).toMatch(entry(/PIPEOPS_ADMIN_TOKEN_NEXT /, /expired at \d{4}-/, /a fresh session JWT/));
    for (const secret of Object.values(env)) expect(output).not.toContain(secret);
    expect(status).toBe(1);
  });

  test('in a credential that ends within a week, here from .dev.vars', () => {
    const { status, output } = doctor({ env: {}, devVars: `PIPEOPS_ADMIN_TOKEN="${jwtFor(6)}"\n` });
    expect(output).toMatch(entry(/PIPEOPS_ADMIN_TOKEN /, /expires within 7 days, at \d{4}-/, /a fresh session JWT/));
    expect(status).toBe(1);
  });
});

test('shows how to call it when it is called wrongly', () => {
  const run = spawnSync(NODE, ['commands/doctor/main.ts', '--polcy', 'x'], { cwd: CHECKOUT, encoding: 'utf8' });
  expect(run.stdout).toMatch(/usage: npm run doctor/);
  expect(run.status).toBe(1);
});

/** A problem as it is printed, over two lines. */
function entry(key: RegExp, problem: RegExp, correct: RegExp): RegExp {
  return new RegExp(`^problem {2}${key.source}${problem.source}.*\\n {9}correct: .*${correct.source}`, 'm');
}
