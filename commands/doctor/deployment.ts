import { TOP_LEVEL } from '../../local/wrangler.ts';
import { isHttpLoopback } from '../../src/config/fields.ts';
import { SETTING_NAMES } from '../../src/config/env.ts';
import { placeholderFinding, placeholderIn } from '../../src/config/placeholders.ts';
import type { Finding } from '../../src/config/problems.ts';
import { sharedBy } from '../cloudflare/section.ts';
import type { Sections, WranglerConfig } from './environment.ts';

/** The cron that `src/cron.ts` is written for. */
export const CRON = '* * * * *';

/**
 * What would be wrong with the sections of a configuration where they are deployed. The top level is the local run if there are other
 * sections, and what is deployed if there are none.
 *
 * @param secrets the names of all secrets that the Worker may read.
 */
export function sectionFindings(sections: Sections, name: string, secrets: readonly string[]): readonly Finding[] {
  const config = sections.get(name);
  if (config === undefined) return [];
  const at = (key: string): string => `wrangler.toml: ${name === TOP_LEVEL ? key : `env.${name}.${key}`}`;
  return [
    ...placeholders(config, at),
    ...databaseFindings(config, at),
    ...cronFindings(config, at),
    ...flagFindings(config, at),
    ...variableFindings(config, at, secrets),
    ...sharedFindings(sections, name),
  ];
}

/** The sections that are deployed. */
export const deployedSections = (sections: Sections): readonly string[] =>
  sections.size === 1 ? [TOP_LEVEL] : [...sections.keys()].filter((name) => name !== TOP_LEVEL);

type At = (key: string) => string;

const problem = (key: string, words: string, example: string): Finding => ({
  severity: 'problem',
  key,
  problem: words,
  example,
});

function placeholders(config: WranglerConfig, at: At): readonly Finding[] {
  const routes = [config.route, ...(config.routes ?? [])].map((route) =>
    typeof route === 'object' && route !== null ? route.pattern : route,
  );
  const values: readonly (readonly [string, unknown, string])[] = [
    ['name', config.name, 'name = "countersign"'],
    [
      'account_id',
      config.account_id,
      'the account that `npx wrangler whoami --config wrangler.toml` shows; or leave it out',
    ],
    ...routes.map((route) => ['routes', route, 'a route of a zone of yours; or leave it out'] as const),
    ...config.d1_databases.map(
      (db) => ['d1_databases.database_name', db.database_name, 'database_name = "countersign"'] as const,
    ),
    ...Object.entries(config.vars)
      // A policy is looked at as one, and says which of its parts is a placeholder.
      .filter(([name]) => name !== 'POLICY')
      .map(([name, value]) => [`vars.${name}`, value, 'a value of your own'] as const),
  ];
  return values.flatMap(([key, value, example]): Finding[] => {
    const placeholder = typeof value === 'string' ? placeholderIn(value) : null;
    return placeholder === null ? [] : [{ key: at(key), example, ...placeholderFinding(placeholder) }];
  });
}

function databaseFindings({ d1_databases: databases }: WranglerConfig, at: At): readonly Finding[] {
  const database = databases.find(({ binding }) => binding === 'DB');
  if (database === undefined) {
    return [
      problem(
        at('d1_databases'),
        'has no DB: there is no trail without a database',
        'binding = "DB", database_name = "countersign"',
      ),
    ];
  }
  const { database_id: id, database_name: databaseName } = database;
  if (id === undefined && databaseName === undefined) {
    return [problem(at('d1_databases'), 'does not say which database DB is', 'database_name = "countersign"')];
  }
  if (id === undefined || placeholderIn(id) === null) return [];
  const example = 'leave database_id out: wrangler finds the database by its database_name';
  return [problem(at('d1_databases.database_id'), 'is still a placeholder', example)];
}

function cronFindings({ triggers }: WranglerConfig, at: At): readonly Finding[] {
  if (triggers.crons?.includes(CRON)) return [];
  const words =
    'lacks the cron of each minute: nothing would drive revocations, or settle attempts whose outcome is unknown';
  return [problem(at('triggers.crons'), words, `crons = ["${CRON}"]`)];
}

function flagFindings({ compatibility_flags: flags }: WranglerConfig, at: At): readonly Finding[] {
  if (flags.includes('nodejs_compat')) return [];
  const words = 'lacks nodejs_compat: the Worker would not start';
  return [problem(at('compatibility_flags'), words, 'compatibility_flags = ["nodejs_compat"]')];
}

function variableFindings({ vars }: WranglerConfig, at: At, secrets: readonly string[]): readonly Finding[] {
  return Object.entries(vars).flatMap(([name, value]): Finding[] => {
    const key = at(`vars.${name}`);
    if (secrets.includes(name)) {
      const example = `take it out, and make another, since whoever reads this file has it: \`npx wrangler secret put ${name} --config wrangler.toml --env production\``;
      return [problem(key, 'is a secret, and stands in a file that is not', example)];
    }
    const url = typeof value === 'string' ? URL.parse(value) : null;
    if (url !== null && isHttpLoopback(url)) {
      return [
        problem(
          key,
          'is an address of this machine, which Cloudflare cannot reach',
          'PIPEOPS_API_URL = "https://api.pipeops.io"',
        ),
      ];
    }
    if (SETTING_NAMES.includes(name)) return [];
    const known = SETTING_NAMES.filter((setting) => !secrets.includes(setting)).join(', ');
    const words = 'is no setting of the Worker, and does nothing';
    return [{ severity: 'warning', key, problem: words, example: `one of ${known}` }];
  });
}

/** What two environments must not share: deploying or using the one would change the other. */
function sharedFindings(sections: Sections, name: string): readonly Finding[] {
  const own = sections.get(name);
  return [...sections].flatMap(([otherName, other]): readonly Finding[] => {
    const shared = own === undefined || otherName === name ? null : sharedBy(own, other);
    if (shared === null) return [];
    const shown = otherName === TOP_LEVEL ? 'the top level' : `[env.${otherName}]`;
    return [problem(`wrangler.toml: env.${name}`, `shares ${shared} with ${shown}`, 'one of its own')];
  });
}
