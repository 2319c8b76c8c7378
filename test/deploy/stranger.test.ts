import { spawnSync } from 'node:child_process';
import { copyFileSync, globSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { verifierOfTrailKey } from '../../commands/cloudflare/trail-key.ts';
import { CHECKOUT } from '../../local/settings.ts';
import { siteFiles } from '../../site/build.ts';
import { ADMIN_TOKEN, type CommandRun, createOperator, type Operator, stepsOf } from './deployment.ts';

// From an empty account to a ready service, and to its next version. The tests follow each other, as an operator does.

const MIGRATIONS = readdirSync(path.join(CHECKOUT, 'drizzle')).filter((name) => name.endsWith('.sql'));
/** What a newer version brings. The Worker is ready only with all that its own version needs. */
const NEWER_MIGRATION = '9999_newer.sql';
const WEBHOOK_POLICY = {
  issuers: [{ issuer: 'https://issuer.example', audience: 'countersign' }],
  roles: { ci: { permissions: ['tokens:read'], tokens: 'own', workspaces: ['*'] } },
  bindings: [{ issuer: 'https://issuer.example', claims: { sub: 'ci' }, role: 'ci' }],
  webhooks: {
    scanner: { kind: 'standard', events: ['token.leaked'], workspaces: ['*'], secrets: ['WEBHOOK_SCANNER'] },
  },
};

let operator: Operator;
let first: CommandRun;
/** Command lines of all processes that ran while wrangler asked Cloudflare for something. */
const commandLines = new Set<string>();

beforeAll(async () => {
  operator = await createOperator((config) =>
    config
      .replaceAll(/migrations_dir = .*/g, 'migrations_dir = "migrations"')
      .replace('[env.staging.vars]', `[env.staging.vars]\nPOLICY = '${JSON.stringify(WEBHOOK_POLICY)}'`),
  );
  mkdirSync(path.join(operator.folder, 'migrations'));
  for (const name of MIGRATIONS) copyFileSync(path.join(CHECKOUT, 'drizzle', name), migration(name));
  operator.cloudflare.intercept = () => {
    for (const file of globSync('/proc/[0-9]*/cmdline')) {
      try {
        commandLines.add(readFileSync(file, 'utf8').replaceAll('\0', ' '));
      } catch {
        // The process has ended.
      }
    }
  };
  const secrets = operator.write('admin.env', `PIPEOPS_ADMIN_TOKEN=${ADMIN_TOKEN}\n`);
  first = await operator.run('setup', ['--env', 'staging', '--secrets', secrets]);
});
afterAll(async () => await operator[Symbol.asyncDispose]());

const migration = (name: string): string => path.join(operator.folder, 'migrations', name);

const worker = () => operator.cloudflare.account.worker('countersign-staging');

it('setup takes an empty account to a ready service, and shows each step', () => {
  expect(first.stderr).toBe('');
  expect(stepsOf(first)).toEqual([
    'done policy',
    'done account',
    'done database',
    'done bucket',
    'done migrations',
    'done secrets',
    'done deploy',
    'done ready',
  ]);
  expect(first.exitCode).toBe(0);
  expect(first.stdout).toContain('https://countersign-staging.acme.workers.dev');
  expect(operator.cloudflare.account.databases.list.map(({ name }) => name)).toEqual(['countersign-staging']);
  expect([...operator.cloudflare.account.buckets]).toEqual(['countersign-trail-staging']);
  expect(worker().schedules).toEqual(['* * * * *']);
});

it('the pages of /docs are uploaded with the version, and the rules of what answers where', async () => {
  const { assets } = worker().current!.metadata;
  const uploaded = operator.cloudflare.account.assets.filesOf(assets!.jwt);
  const files = await siteFiles();
  const pages = [...files].filter(([name]) => name !== '_headers');
  expect([...uploaded!.keys()].toSorted()).toEqual(pages.map(([name]) => `/${name}`).toSorted());
  expect(pages.filter(([name, content]) => !uploaded!.get(`/${name}`)!.equals(content))).toEqual([]);
  expect(assets!.config).toMatchObject({
    html_handling: 'drop-trailing-slash',
    not_found_handling: 'none',
    _headers: String(files.get('_headers')),
    run_worker_first: expect.arrayContaining(['/api/*', '/webhooks/*', '/healthz']),
  });
});

it('the secrets that code and policy need are set: the given one and those that setup generated and kept', () => {
  const kept = Object.fromEntries(
    (operator.keptSecrets('staging') ?? '')
      .split('\n')
      .filter((line) => /^[A-Z]/.test(line))
      .map((line) => line.split(/=(.*)/s)),
  );
  expect(Object.keys(kept).toSorted()).toEqual([
    'FINGERPRINT_KEYS',
    'IDEMPOTENCY_SECRET',
    'STATE_SECRET',
    'WEBHOOK_SCANNER',
  ]);
  expect(Object.fromEntries(worker().secrets)).toEqual({
    ...kept,
    PIPEOPS_ADMIN_TOKEN: ADMIN_TOKEN,
    TRAIL_KEY: expect.any(String),
  });
});

it('the key of the log is named after the host, is in no file, and its verifier key is shown and kept', async () => {
  const key = worker().secrets.get('TRAIL_KEY')!;
  const verifier = readFileSync(path.join(operator.folder, '.secrets', 'staging.trail.verifier'), 'utf8').trim();
  expect(verifier).toMatch(/^countersign-staging\.acme\.workers\.dev\/trail\+/);
  expect(verifier).toBe(await verifierOfTrailKey(key));
  expect(first.stdout).toContain(verifier);
  expect(operator.keptSecrets('staging')).not.toContain('TRAIL_KEY');
});

it('the file of generated secrets is named at the end, only its owner reads it, and git ignores it', () => {
  const file = path.join(operator.folder, '.secrets', 'staging.env');
  expect(first.stdout).toContain(file);
  expect(first.stdout).toMatch(/put this into your vault/i);
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(statSync(path.dirname(file)).mode & 0o777).toBe(0o700);
  expect(readFileSync(path.join(CHECKOUT, '.gitignore'), 'utf8').split('\n')).toContain('.secrets/');
});

it('setup leaves what is done as it is, and skips it', async () => {
  const [versions, secrets] = [worker().versions.length, Object.fromEntries(worker().secrets)];
  const again = await operator.run('setup', ['--env', 'staging']);
  expect(again.stderr).toBe('');
  expect(stepsOf(again)).toEqual([
    'done policy',
    'done account',
    'skipped database',
    'skipped bucket',
    'skipped migrations',
    'skipped secrets',
    'skipped deploy',
    'done ready',
  ]);
  expect(worker().versions).toHaveLength(versions);
  expect(Object.fromEntries(worker().secrets)).toEqual(secrets);
});

it('deploy migrates, deploys, verifies, and says how to go back', async () => {
  const before = worker().current!.id;
  writeFileSync(migration(NEWER_MIGRATION), 'CREATE TABLE newer (id INTEGER PRIMARY KEY);\n');
  // npm puts the node of the checkout first into PATH, whatever the machine has.
  const run = await operator.run('deploy', ['--env', 'staging']);
  expect(run.stderr).toBe('');
  expect(stepsOf(run)).toEqual([
    'done policy',
    'done account',
    'skipped secrets',
    'done migrations',
    'done deploy',
    'done ready',
  ]);
  expect(run.stdout).toContain(NEWER_MIGRATION);
  expect(worker().current!.id).not.toBe(before);
  expect(run.stdout).toContain(`npx wrangler rollback ${before} --config wrangler.toml --env staging`);
  expect(run.stdout).toContain(operator.cloudflare.account.bookmark);
});

it('no secret was shown, put into a command line, or left in a log or in the home', () => {
  const values = [...worker().secrets.values()].flatMap((value) => [value, value.split(/:|\+(?=[^+]*$)/).at(-1)!]);
  expect(values.length).toBeGreaterThan(4);
  const files = readdirSync(operator.home, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name));
  expect(files.length).toBeGreaterThan(0);
  const seen = [first.stdout, first.stderr, ...commandLines, ...files.map((file) => readFileSync(file, 'utf8'))];
  for (const value of values) expect(seen.some((text) => text.includes(value))).toBe(false);
});

it('npm runs both commands with the node of the checkout', () => {
  for (const command of ['setup', 'deploy']) {
    const run = spawnSync('npm', ['run', command, '--', '--help'], { cwd: CHECKOUT, encoding: 'utf8' });
    expect(run.stdout).toContain(`usage: npm run ${command} -- --env staging|production`);
    expect(run.status).toBe(0);
  }
});
