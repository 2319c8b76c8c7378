import { afterAll, beforeAll, expect, it } from 'vitest';
import { verifierOfTrailKey } from '../../commands/cloudflare/trail-key.ts';
import { failed } from './cloudflare-simulator/account.ts';
import type { SeenRequest } from './cloudflare-simulator/server.ts';
import { ADMIN_TOKEN, createOperator, type Operator, stepsOf } from './deployment.ts';

// One setup, killed again and again. Each run starts where the one before was killed. The last one comes to an end, and the account
// is then as if nothing had happened.

let operator: Operator;
let secretsFile: string;
beforeAll(async () => {
  operator = await createOperator();
  secretsFile = operator.write('admin.env', `PIPEOPS_ADMIN_TOKEN=${ADMIN_TOKEN}\n`);
});
afterAll(async () => await operator[Symbol.asyncDispose]());

/** Runs setup, and kills it with its wrangler at the n-th request that matches: before Cloudflare carries it out, or after. */
async function expectKilledAt(
  moment: 'before' | 'after',
  isIt: (request: SeenRequest) => boolean,
  nth = 1,
): Promise<void> {
  const run = operator.start('setup', ['--env', 'production', '--secrets', secretsFile]);
  let seen = 0;
  let killed = false;
  operator.cloudflare.intercept = (now, request) => {
    if (killed || now !== moment || !isIt(request)) return undefined;
    seen += 1;
    if (seen < nth) return undefined;
    killed = true;
    run.kill();
    // What reached nobody before the kill is not carried out after it.
    return moment === 'before' ? failed(500, 10_013, 'Its sender was killed.') : undefined;
  };
  const { exitCode, stdout, stderr } = await run.ended;
  operator.cloudflare.intercept = () => {};
  expect({ killed, exitCode, output: killed ? '' : stdout + stderr }).toEqual({
    killed: true,
    exitCode: null,
    output: '',
  });
}

const is =
  (method: string, end: RegExp) =>
  (request: SeenRequest): boolean =>
    request.method === method && end.test(request.path);

it.each([
  ['after the database was created', 'after', is('POST', /\/d1\/database$/), 1],
  ['after the bucket was created', 'after', is('POST', /\/r2\/buckets$/), 1],
  ['between two migrations', 'after', is('POST', /\/query$/), 6],
  ['after the secrets were generated, and before they were set', 'before', is('PATCH', /\/secrets-bulk$/), 1],
  ['after the Worker was made without code', 'after', is('PUT', /\/scripts\/countersign$/), 1],
  ['after the secrets were set', 'after', is('PATCH', /\/secrets-bulk$/), 1],
  ['after a version was uploaded', 'after', is('POST', /\/versions$/), 1],
  ['after it was deployed, and before it had a cron', 'after', is('POST', /\/deployments$/), 1],
  ['before it was ready', 'before', is('GET', /\/readyz$/), 1],
] as const)('setup is killed %s', async (_when, moment, isIt, nth) => {
  await expectKilledAt(moment, isIt, nth);
});

it('the next run comes to an end, and nothing was made twice or lost', async () => {
  const run = await operator.run('setup', ['--env', 'production']);
  expect(run.stderr).toBe('');
  expect(run.exitCode).toBe(0);
  expect(stepsOf(run)).toEqual([
    'done policy',
    'done account',
    'skipped database',
    'skipped bucket',
    'skipped migrations',
    'skipped secrets',
    'skipped deploy',
    'done ready',
  ]);
  const { account } = operator.cloudflare;
  expect(account.databases.list.map(({ name }) => name)).toEqual(['countersign']);
  const worker = account.worker('countersign');
  expect(worker.schedules).toEqual(['* * * * *']);
  expect(worker.published).toBe(true);
  const kept = operator.keptSecrets('production') ?? '';
  for (const name of ['FINGERPRINT_KEYS', 'IDEMPOTENCY_SECRET', 'STATE_SECRET']) {
    expect(kept.match(new RegExp(`^${name}=(.*)$`, 'm'))?.[1]).toBe(worker.secrets.get(name));
  }
  // Its verifier key is not lost, though the run that made it was killed before it showed one.
  expect(run.stdout).toContain((await verifierOfTrailKey(worker.secrets.get('TRAIL_KEY')!))!);
  const [migrations] = (await account.databases.query(
    account.databases.find('countersign')!,
    'SELECT count(*) AS n, count(DISTINCT name) AS names FROM d1_migrations',
  )) as { results: { n: number; names: number }[] }[];
  expect(migrations?.results[0]?.n).toBe(migrations?.results[0]?.names);
});
