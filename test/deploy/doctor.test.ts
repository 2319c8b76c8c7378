import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { examine } from '../../commands/doctor/examine.ts';
import { readOptions } from '../../commands/doctor/options.ts';
import { reportLines } from '../../commands/doctor/report.ts';
import { CHECKOUT } from '../../local/settings.ts';
import { failed } from './cloudflare-simulator/account.ts';
import { DeployedWorker, Metadata } from './cloudflare-simulator/workers.ts';
import { createOperator, type Operator } from './deployment.ts';

// What is deployed, compared with what policy and code need. The Worker that is deployed here only says what /readyz says.

const WORKER = 'countersign';
const CRON = '* * * * *';
const DRIZZLE = path.join(CHECKOUT, 'drizzle');
const MIGRATIONS = readdirSync(DRIZZLE).filter((name) => name.endsWith('.sql'));
const LAST_MIGRATION = MIGRATIONS.at(-1) ?? '';
const POLICY = {
  issuers: [{ issuer: 'https://login.northwind.io', audience: 'countersign' }],
  roles: { ops: { permissions: ['tokens:read'], workspaces: ['*'] } },
  bindings: [{ issuer: 'https://login.northwind.io', claims: { team: 'ops' }, role: 'ops' }],
  webhooks: {
    scanner: { kind: 'standard', events: ['token.leaked'], workspaces: ['*'], secrets: ['WEBHOOK_SCANNER'] },
  },
};
const SECRETS = [
  'PIPEOPS_ADMIN_TOKEN',
  'FINGERPRINT_KEYS',
  'IDEMPOTENCY_SECRET',
  'WEBHOOK_SCANNER',
  'TRAIL_KEY',
  'STATE_SECRET',
];
const READY = { status: 200, body: { success: true, message: 'Ready.', data: { degraded: [] } } };

let operator: Operator;
const ANCHORED = '[env.production.vars]\nTRAIL_ANCHORS = "https://anchors.northwind.io/trail"';
beforeEach(async () => {
  operator = await createOperator((config) => config.replace('[env.production.vars]', ANCHORED));
});
afterEach(async () => await operator[Symbol.asyncDispose]());

interface Deployment {
  readonly secrets?: readonly string[];
  readonly migrations?: readonly string[];
  readonly crons?: readonly string[];
  readonly ready?: { readonly status: number; readonly body: object };
}

async function deploy({ secrets = SECRETS, migrations = MIGRATIONS, crons = [CRON], ready = READY }: Deployment) {
  const { account } = operator.cloudflare;
  const database = account.databases.create(WORKER);
  if (database === null) throw new Error('The account has that database already.');
  await account.databases.query(database, 'CREATE TABLE d1_migrations (id INTEGER PRIMARY KEY, name TEXT)');
  for (const name of migrations) {
    await account.databases.query(database, `INSERT INTO d1_migrations (name) VALUES ('${name}')`);
  }
  const script = `export default { fetch: (request) => new URL(request.url).pathname === '/readyz'
    ? Response.json(${JSON.stringify(ready.body)}, { status: ${ready.status} }) : new Response(null, { status: 404 }) }`;
  const worker = new DeployedWorker(WORKER);
  const version = worker.upload(
    Metadata.parse({ main_module: 'index.js', compatibility_date: '2026-10-01' }),
    new Map([['index.js', script]]),
  );
  worker.deploy(version.id);
  worker.patchSecrets(new Map(secrets.map((name) => [name, `hush-${name}`])));
  worker.schedules = [...crons];
  worker.published = true;
  account.workers.set(WORKER, worker);
  await account.databases.run({
    compatibilityDate: '2026-10-01',
    modules: [{ type: 'ESModule', path: '/index.js', contents: script }],
    modulesRoot: '/',
  });
}

async function doctor(policy: unknown = POLICY, variables: object = {}) {
  const file = operator.write('policy.json', JSON.stringify(policy));
  const url = operator.cloudflare.urlOf(WORKER);
  const args = ['--env', 'production', '--remote', '--url', url, '--policy', file, '--config', operator.configPath];
  const options = readOptions(args);
  if (options === null) throw new Error('These options ask for help.');
  const examination = await examine(options, { ...operator.variables, ...variables }, Date.now());
  const output = reportLines(examination);
  expect(output.join('\n')).not.toMatch(new RegExp(`hush|${operator.cloudflare.account.token}`));
  return {
    fine: examination.fine.filter((line) => line.includes(': ')),
    findings: output.filter((line) => /^(?:problem|warning) /.test(line)),
    correct: output.filter((line) => line.includes('correct: ')),
  };
}

it('a deployment that has all that policy and code need is fine, and is only read', async () => {
  await deploy({});
  const { fine, findings } = await doctor();
  expect(findings).toEqual([]);
  expect(fine).toEqual([
    'secrets: all 4 are set',
    `migrations: all ${MIGRATIONS.length} are applied`,
    `cron: ${CRON}`,
    `/readyz: ${operator.cloudflare.urlOf(WORKER)} is ready`,
  ]);
  const changes = operator.cloudflare.requests.filter(
    ({ method, path: asked }) => method !== 'GET' && !asked.endsWith('/query'),
  );
  expect(changes).toEqual([]);
});

it('all that a deployment lacks is told at once, with what to run', async () => {
  await deploy({
    secrets: ['PIPEOPS_ADMIN_TOKEN', 'PIPEOPS_ADMIN_TOKEN_NEXT', 'FINGERPRINT_KEYS', 'WEBHOOK_OLD'],
    migrations: MIGRATIONS.slice(0, -1),
    crons: [],
    ready: { status: 503, body: { success: false, message: 'Not ready: database.', code: 'not_ready' } },
  });
  const { findings, correct } = await doctor();
  expect(findings).toEqual([
    expect.stringMatching(/^problem {2}IDEMPOTENCY_SECRET is not set in the deployment/),
    expect.stringMatching(/^problem {2}WEBHOOK_SCANNER is not set in the deployment/),
    expect.stringMatching(/^warning {2}WEBHOOK_OLD is a secret of the deployment that neither/),
    expect.stringMatching(/^warning {2}TRAIL_KEY is not set, so the trail is not sealed: /),
    expect.stringMatching(/^warning {2}STATE_SECRET is not set, so nothing in D1 is authenticated: /),
    `problem  migrations lack ${LAST_MIGRATION}`,
    expect.stringMatching(/^problem {2}cron of each minute is not deployed, which has none: /),
    expect.stringMatching(/^problem {2}\/readyz of \S+ is not ready: it answers 503: Not ready: database\.$/),
  ]);
  expect(correct.join('\n')).toMatch(/npm run setup -- --env production[\s\S]*npm run deploy -- --env production/);
});

it('a database of a newer version, another cron and a degraded service are told', async () => {
  await deploy({
    migrations: [...MIGRATIONS, '9999_future.sql'],
    crons: ['*/5 * * * *'],
    ready: { ...READY, body: { ...READY.body, data: { degraded: ['admin_credential_expired', 'd1_size'] } } },
  });
  const { findings } = await doctor();
  expect(findings).toEqual([
    expect.stringMatching(/^problem {2}migrations differ from those here\. .*9999_future\.sql/),
    expect.stringMatching(/^problem {2}cron of each minute is not deployed, which has \*\/5 \* \* \* \*: /),
    expect.stringMatching(/^problem {2}\/readyz .* says to look into admin_credential_expired, d1_size$/),
  ]);
});

it('an empty account is told with the command that fills it', async () => {
  const { fine, findings, correct } = await doctor();
  expect(fine).toEqual([]);
  expect(findings).toEqual(['problem  Worker countersign is not deployed in this account']);
  expect(correct).toEqual(['         correct: `npm run setup -- --env production`']);
});

it('what Cloudflare does not tell keeps nothing else from being looked at', async () => {
  await deploy({});
  operator.cloudflare.intercept = (moment, { path: asked }) => {
    if (moment === 'before' && /\/(?:secrets|schedules)$/.test(asked)) return failed(403, 10_000, 'Forbidden');
    return undefined;
  };
  const { fine, findings } = await doctor({ ...POLICY, bindings: 7 });
  expect(findings).toEqual([
    expect.stringMatching(/^problem {2}policy\.ts: bindings is not of type array/),
    expect.stringMatching(/^problem {2}secrets could not be looked at: Cloudflare does not say which secrets/),
    expect.stringMatching(/^problem {2}cron could not be looked at: Cloudflare does not say which crons .*403/),
  ]);
  expect(fine).toEqual([expect.stringMatching(/^migrations: all/), expect.stringMatching(/^\/readyz: /)]);
});

it('without a login the service is still asked whether it is ready', async () => {
  await deploy({});
  const { fine, findings } = await doctor(POLICY, { CLOUDFLARE_API_TOKEN: 'another' });
  expect(findings).toEqual([expect.stringMatching(/^problem {2}Cloudflare could not be looked at: /)]);
  expect(fine).toEqual([expect.stringMatching(/^\/readyz: /)]);
});

it('the sections of wrangler.toml as it comes are fine', async () => {
  const file = operator.write('policy.json', JSON.stringify(POLICY));
  const shipped = path.join(CHECKOUT, 'wrangler.toml');
  expect(readFileSync(shipped, 'utf8')).toContain('[env.production]');
  for (const section of ['staging', 'production']) {
    const options = readOptions(['--env', section, '--policy', file, '--config', shipped]);
    if (options === null) throw new Error('These options ask for help.');
    expect((await examine(options, {}, Date.now())).findings).toEqual([]);
  }
});
