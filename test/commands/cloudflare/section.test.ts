import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { unstable_readConfig } from 'wrangler';
import { readOptions } from '../../../commands/cloudflare/options.ts';
import { readSection } from '../../../commands/cloudflare/section.ts';
import { OPERATIONS } from '../../../contract/operations.ts';
import { BUNDLE } from '../../../local/build.ts';
import { CHECKOUT } from '../../../local/settings.ts';
import { siteBeside, siteOf } from '../../../local/site.ts';
import { WRANGLER_TOML } from '../../../local/wrangler.ts';
import { siteFiles } from '../../../site/build.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'countersign-section-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const CONFIG = readFileSync(WRANGLER_TOML, 'utf8');

function configWith(change: (config: string) => string): string {
  const file = path.join(folder, 'wrangler.toml');
  const config = change(CONFIG);
  writeFileSync(file, config);
  return file;
}

it.each([
  ['staging', 'countersign-staging', 'countersign-staging'],
  ['production', 'countersign', 'countersign'],
])('%s has a Worker, a database and rate limits of its own', (name, workerName, databaseName) => {
  const section = readSection(WRANGLER_TOML, name);
  expect(section).toMatchObject({ name, workerName, databaseName, migrationsDir: path.join(CHECKOUT, 'drizzle') });
  expect(section.rateLimits).toEqual(['CALLER_LIMIT', 'REJECTIONS_PER_ADDRESS', 'REJECTIONS_IN_ALL']);
});

it.each(['', 'staging', 'production'])(
  'section "%s" serves the pages of /docs, and no file in place of a route',
  async (env) => {
    const { assets } = unstable_readConfig({ config: WRANGLER_TOML, env }, { hideWarnings: true });
    expect(assets).toMatchObject({ html_handling: 'drop-trailing-slash', not_found_handling: 'none' });
    expect(path.resolve(CHECKOUT, assets?.directory ?? '')).toBe(siteBeside(WRANGLER_TOML));
    expect(siteOf(BUNDLE)).toBe(siteBeside(WRANGLER_TOML));
    const first = assets?.run_worker_first;
    const rules = Array.isArray(first) ? first.map((rule) => new RegExp(`^${rule.replace('*', '.*')}$`)) : [];
    const goesToWorker = (pathname: string): boolean => rules.some((rule) => rule.test(pathname));
    expect(OPERATIONS.map(({ pattern }) => pattern).filter((pattern) => !goesToWorker(pattern))).toEqual([]);
    expect([...(await siteFiles()).keys()].filter((name) => goesToWorker(`/${name}`))).toEqual([]);
  },
);

it('no section pins the id of a database, since the file serves every account', () => {
  expect([...CONFIG.matchAll(/^database_id = "(.*)"$/gm)].map(([, id]) => id)).toEqual([
    '00000000-0000-0000-0000-000000000000',
  ]);
});

it.each([
  [
    'a section that is not there',
    (config: string) => config.replaceAll('env.staging', 'env.stage'),
    /has no section \[env\.staging\]: it has stage, production/,
  ],
  ['no section at all', (config: string) => config.slice(0, config.indexOf('[env.')), /\[env\.staging\]: it has none/],
  [
    'a section without a database',
    (config: string) =>
      config
        .replace('[[env.staging.d1_databases]]', '[[env.staging.r2_buckets]]')
        .replace('database_name = "countersign-staging"', 'bucket_name = "a-bucket"'),
    /has no \[\[env\.staging\.d1_databases\]\]/,
  ],
  [
    "production's database",
    (config: string) => config.replace('database_name = "countersign-staging"', 'database_name = "countersign"'),
    /\[env\.staging\] of .* shares the database "countersign" with \[env\.production\]/,
  ],
  [
    "production's Worker",
    (config: string) => config.replace('name = "countersign-staging"', 'name = "countersign"'),
    /shares the Worker "countersign" with \[env\.production\]/,
  ],
  [
    "a namespace of production's rate limits",
    (config: string) => config.replace('namespace_id = "2002"', 'namespace_id = "3001"'),
    /shares the namespace 3001 of rate limit REJECTIONS_PER_ADDRESS with \[env\.production\]/,
  ],
  [
    'a namespace of the local run',
    (config: string) => config.replace('namespace_id = "2001"', 'namespace_id = "1001"'),
    /shares the namespace 1001 of rate limit CALLER_LIMIT with the top level/,
  ],
])('staging with %s is refused', (_case, change, message) => {
  const configPath = configWith(change);
  expect(() => readSection(configPath, 'staging')).toThrow(message);
});

it('the last --env counts', () => {
  const options = readOptions('setup', ['--env', 'staging', '--env', 'production'], ['secrets']);
  expect(options).toMatchObject({ section: 'production', url: null, patienceMs: 180_000, more: {} });
});

it.each([
  [[], /Name the environment\. Write: npm run setup -- --env staging/],
  [['production'], /npm took --env for itself.*npm run setup -- --env production/],
  [['--env', ''], /Name the environment/],
  [['--env', 'staging', 'now'], /does not know what now is for/],
  [['--env', 'staging', '--unknown'], /--unknown/],
  [['--env', 'staging', '--url', 'http://countersign.example'], /--url .* https/],
  [['--env', 'staging', '--wait', '1m'], /--wait "1m" is no number of seconds/],
] as const)('the arguments %j are refused with what to write', (args, message) => {
  expect(() => readOptions('setup', args, ['secrets'])).toThrow(message);
});
