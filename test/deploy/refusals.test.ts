import { readFileSync, writeFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { connect } from '../../commands/cloudflare/account.ts';
import { createBucket } from '../../commands/cloudflare/bucket.ts';
import { hasEvents } from '../../commands/cloudflare/database.ts';
import { readSection } from '../../commands/cloudflare/section.ts';
import { deployWorker } from '../../commands/cloudflare/worker.ts';
import { runWrangler } from '../../local/wrangler.ts';
import { failed } from './cloudflare-simulator/account.ts';
import { ADMIN_TOKEN, createOperator, type Operator } from './deployment.ts';

// What stops a command: it says what to do next, and has changed nothing that it did not show.

let operator: Operator;
beforeAll(async () => {
  operator = await createOperator();
});
afterAll(async () => await operator[Symbol.asyncDispose]());
beforeEach(() => {
  operator.cloudflare.intercept = () => {};
});

/** What Cloudflare was asked to change. */
const changes = (): string[] =>
  operator.cloudflare.requests
    .filter(({ method, path }) => method !== 'GET' && !path.endsWith('/query'))
    .map(({ method, path }) => `${method} ${path}`);

const connectTo = async (variables: object) =>
  await connect(readSection(operator.configPath, 'staging'), { ...operator.variables, ...variables }, false);

it.each(['setup', 'deploy'] as const)('%s refuses an --env without a section, and asks nothing', async (command) => {
  const run = await operator.run(command, ['--env', 'prod']);
  expect(run.stderr).toMatch(/has no section \[env\.prod\]: it has staging, production/);
  expect([run.exitCode, run.stdout, operator.cloudflare.requests]).toEqual([1, '', []]);
});

it('without a login it says how to get one', async () => {
  await expect(connectTo({ CLOUDFLARE_API_TOKEN: undefined })).rejects.toThrow(
    /not logged in to Cloudflare\. Run `npx wrangler login/,
  );
});

it('an API token that Cloudflare refuses is said to be one', async () => {
  await expect(connectTo({ CLOUDFLARE_API_TOKEN: 'revoked' })).rejects.toThrow(
    /Authentication error.*CLOUDFLARE_API_TOKEN/,
  );
});

it('a login that reaches two accounts needs a choice', async () => {
  const { account } = operator.cloudflare;
  account.accounts.push({ id: 'b000', name: 'Other' });
  await expect(connectTo({})).rejects
    .toThrow(`reaches 2 accounts. Set the variable of the one that is meant, or account_id in wrangler.toml:
  Acme: CLOUDFLARE_ACCOUNT_ID=${account.id}
  Other: CLOUDFLARE_ACCOUNT_ID=b000`);
  account.accounts.pop();
});

it('deploy without a database sends to setup, and makes none', async () => {
  const run = await operator.run('deploy', ['--env', 'production']);
  expect(run.stderr).toMatch(/no database countersign\. Run: npm run setup -- --env production/);
  expect([run.exitCode, changes()]).toEqual([1, []]);
});

it('the top level, deployed by mistake, makes no Worker and no database: no database has its id', async () => {
  const { accounts, databases, workers } = operator.cloudflare.account;
  const variables = { ...operator.variables, CLOUDFLARE_ACCOUNT_ID: accounts[0]?.id };
  const run = await runWrangler(['deploy'], { configPath: operator.configPath, variables });
  expect(run.stderr).toMatch(/You must use a real database in the database_id configuration/);
  expect([run.exitCode, databases.list, [...workers.keys()]]).toEqual([1, [], []]);
  // wrangler makes a bucket before it looks for the database. This one is empty, and no deployment's.
  expect([...operator.cloudflare.account.buckets]).toEqual(['countersign-trail-local']);
});

it('an account without a workers.dev subdomain is told where to register one', async () => {
  const { account } = operator.cloudflare;
  account.databases.create('countersign-staging');
  account.subdomain = null;
  await expect(deployWorker(await connectTo({}), 'a-tag', false)).rejects.toThrow(
    `needs a workers.dev subdomain, which this account does not have yet. You can either deploy your worker to one or more routes by specifying them in your wrangler.toml file, or register a workers.dev subdomain here: https://dash.cloudflare.com/${account.id}/workers/onboarding`,
  );
  account.subdomain = 'acme';
});

describe('an account without R2', () => {
  beforeEach(() => void (operator.cloudflare.account.hasR2 = false));
  afterEach(() => void (operator.cloudflare.account.hasR2 = true));
  const WAYS =
    /10042[\s\S]*switch R2 on in Cloudflare's dashboard[\s\S]*take the block \[\[env\.staging\.r2_buckets\]\] out of/;

  it('is told both ways out by setup, and sent to it by deploy', async () => {
    const cloudflare = await connectTo({});
    await expect(createBucket(cloudflare, cloudflare.section.bucket!, {})).rejects.toThrow(WAYS);
    await expect(deployWorker(cloudflare, 'a-tag', false)).rejects.toThrow(/npm run setup -- --env staging/);
  });

  it('deploys without the block', async () => {
    const config = readFileSync(operator.configPath, 'utf8');
    const block = /\[\[env\.staging\.r2_buckets\]\]\n.*\n.*\n/;
    expect(config).toMatch(block);
    writeFileSync(operator.configPath, config.replace(block, ''));
    const deployed = await deployWorker(await connectTo({}), 'a-tag', false);
    writeFileSync(operator.configPath, config);
    expect(deployed.url).toBe('https://countersign-staging.acme.workers.dev');
  });
});

it('a trail that has events is told what STATE_SECRET needs, and gets none', async () => {
  const { account } = operator.cloudflare;
  const database = account.databases.find('countersign-staging')!;
  await account.databases.query(database, 'CREATE TABLE audit_events (id); INSERT INTO audit_events VALUES (1)');
  expect(await hasEvents(await connectTo({}))).toBe(true);
  await account.databases.query(database, 'DELETE FROM audit_events');
  expect(await hasEvents(await connectTo({}))).toBe(false);
});

it('what Cloudflare refuses is passed on in its own words, and what was done before stays done', async () => {
  operator.cloudflare.intercept = (_moment, { path }) =>
    path.endsWith('/secrets-bulk') ? failed(403, 10_000, 'You may not edit secrets') : undefined;
  const secrets = operator.write('admin.env', `PIPEOPS_ADMIN_TOKEN=${ADMIN_TOKEN}\n`);
  const run = await operator.run('setup', ['--env', 'production', '--secrets', secrets]);
  expect(run.stderr).toMatch(/The secrets were not set: .*You may not edit secrets/);
  expect(run.stdout).toMatch(/^done +migrations:/m);
  expect(run.exitCode).toBe(1);
  // They are kept for the next run.
  expect(operator.keptSecrets('production')).toMatch(/^FINGERPRINT_KEYS=/m);
});
