import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { deployedSections, sectionFindings } from '../../../commands/doctor/deployment.ts';
import { readSections } from '../../../commands/doctor/environment.ts';

const directory = mkdtempSync(path.join(tmpdir(), 'doctor-deployment-'));
const file = path.join(directory, 'wrangler.toml');
afterAll(() => rmSync(directory, { recursive: true }));

/** A section that is fine. Its name stands in everything that it must not share. */
const section = (prefix: string, name: string): string => `
${prefix}name = "shop-${name}"
${prefix}compatibility_flags = ["nodejs_compat"]
${prefix}triggers = { crons = ["* * * * *"] }
${prefix}d1_databases = [{ binding = "DB", database_name = "db-${name}" }]
${prefix}ratelimits = [{ name = "CALLER_LIMIT", namespace_id = "${name.length}", simple = { limit = 1, period = 60 } }]
${prefix}vars = { PIPEOPS_API_URL = "https://api.pipeops.io" }
`;
const TWO = `${section('', 'own')}${section('env.staging.', 'staging')}${section('env.production.', 'production')}`;

function sectionsOf(toml: string) {
  writeFileSync(file, toml);
  const sections = readSections(file);
  if (!sections.ok) throw new Error(sections.error.problem);
  return sections.value;
}

const findingsIn = (toml: string, name = 'production'): readonly string[] =>
  sectionFindings(sectionsOf(toml), name, ['PIPEOPS_ADMIN_TOKEN']).map(
    ({ severity, key, problem }) => `${severity} ${key} ${problem}`,
  );

test('sections that share nothing are fine', () => {
  expect(deployedSections(sectionsOf(TWO))).toEqual(['staging', 'production']);
  expect(findingsIn(TWO)).toEqual([]);
  expect(findingsIn(TWO, 'staging')).toEqual([]);
});

test('a configuration without sections is itself deployed', () => {
  const toml = section('', 'own');
  expect(deployedSections(sectionsOf(toml))).toEqual(['']);
  expect(findingsIn(toml, '')).toEqual([]);
  expect(findingsIn(toml.replace('"* * * * *"', ''), '')).toEqual([
    expect.stringMatching(/^problem wrangler\.toml: triggers/),
  ]);
});

describe('told of a section', () => {
  const PRODUCTION = 'env.production.';
  const changed = (key: string, value: string): string =>
    TWO.replace(
      new RegExp(`^${PRODUCTION.replaceAll('.', '\\.')}${key} = .*$`, 'm'),
      value && `${PRODUCTION}${key} = ${value}`,
    );

  test.each<[string, string, string, RegExp]>([
    [
      'zeros as the id of the database',
      'd1_databases',
      '[{ binding = "DB", database_name = "db-production", database_id = "00000000-0000-0000-0000-000000000000" }]',
      /^problem wrangler\.toml: env\.production\.d1_databases\.database_id is still a placeholder$/,
    ],
    [
      'an id that was never filled in',
      'd1_databases',
      '[{ binding = "DB", database_name = "db-production", database_id = "REPLACE_ME" }]',
      /d1_databases\.database_id is still a placeholder$/,
    ],
    ['no database', 'd1_databases', '[]', /^problem .*d1_databases has no DB/],
    ['a database without name', 'd1_databases', '[{ binding = "DB" }]', /^problem .*d1_databases does not say which/],
    [
      'the database of another',
      'd1_databases',
      '[{ binding = "DB", database_name = "db-staging" }]',
      /^problem .*env\.production shares the database "db-staging" with \[env\.staging\]$/,
    ],
    [
      'the database of the local run',
      'd1_databases',
      '[{ binding = "DB", database_name = "db-own" }]',
      /^problem .*env\.production shares the database "db-own" with the top level$/,
    ],
    [
      'the limits of another',
      'ratelimits',
      '[{ name = "CALLER_LIMIT", namespace_id = "7", simple = { limit = 1, period = 60 } }]',
      /^problem .*env\.production shares the namespace 7 of rate limit CALLER_LIMIT with \[env\.staging\]$/,
    ],
    [
      'the name of another',
      'name',
      '"shop-staging"',
      /^problem .*env\.production shares the Worker "shop-staging" with \[env\.staging\]$/,
    ],
    ['no cron', 'triggers', '{ crons = [] }', /^problem .*triggers\.crons lacks the cron/],
    ['another cron', 'triggers', '{ crons = ["*/5 * * * *"] }', /^problem .*triggers\.crons lacks the cron/],
    ['a missing flag', 'compatibility_flags', '[]', /^problem .*compatibility_flags lacks nodejs_compat/],
    [
      'a secret in the file',
      'vars',
      '{ PIPEOPS_ADMIN_TOKEN = "hush" }',
      /^problem .*vars\.PIPEOPS_ADMIN_TOKEN is a secret/,
    ],
    [
      'an address of this machine',
      'vars',
      '{ PIPEOPS_API_URL = "http://127.0.0.1:8788" }',
      /^problem .*vars\.PIPEOPS_API_URL is an address of this machine/,
    ],
    [
      'an address that nobody has',
      'vars',
      '{ PIPEOPS_API_URL = "https://api.example.com" }',
      /^problem .*vars\.PIPEOPS_API_URL is still a placeholder/,
    ],
    [
      'a setting that is none',
      'vars',
      '{ RECONCILE_AFTR_SECONDS = "60" }',
      /^warning .*vars\.RECONCILE_AFTR_SECONDS is no setting/,
    ],
    [
      'a route of nobody',
      'triggers',
      '{ crons = ["* * * * *"] }\nenv.production.routes = ["countersign.example.com/*"]',
      /^problem .*routes is still a placeholder/,
    ],
    [
      'an account that was never filled in',
      'triggers',
      '{ crons = ["* * * * *"] }\nenv.production.account_id = "<your account>"',
      /^problem .*account_id is still a placeholder/,
    ],
  ])('%s', (_, key, value, finding) => {
    const findings = findingsIn(changed(key, value));
    expect(findings).toEqual([expect.stringMatching(finding)]);
    expect(findings.join()).not.toContain('hush');
  });
});
