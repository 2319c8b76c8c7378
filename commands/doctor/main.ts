import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { UserError } from '../../local/errors.ts';
import { CHECKOUT } from '../../local/settings.ts';
import { credentialExpiryMs, expiryProblem, secretsOf } from '../../src/config/secrets.ts';
import { type ConfigProblem, parseEnv, readPolicy } from '../../src/config/env.ts';
import { policyAdvice } from '../../src/config/advice.ts';
import { CREDENTIALS, type Environment, readSurroundings, SETTINGS } from './environment.ts';
import { type Database, describeKeys, fingerprintKeysInUse, keyIdsOf, missingKeys } from './fingerprint-keys.ts';

const USAGE = `usage: npm run doctor [-- --config wrangler.toml] [--policy policy.ts] [--d1 local|remote [--persist-to DIR]]
         --d1 asks the database, too, which of FINGERPRINT_KEYS live tokens still need`;

/** Reads the configuration as the Worker would, and says for each problem how the setting should be. */
async function main(): Promise<void> {
  const text = { type: 'string' } as const;
  const { values: options } = parseArgs({ options: { config: text, policy: text, d1: text, 'persist-to': text } });
  const configPath = path.resolve(options.config ?? path.join(CHECKOUT, 'wrangler.toml'));
  const database = databaseOf(options.d1, options['persist-to'], configPath);
  const surroundings = readSurroundings(configPath);
  const settings = surroundings.settings(SETTINGS);
  const policyPath = path.resolve(options.policy ?? path.join(CHECKOUT, 'policy.ts'));
  // A user who names a policy file wants that file checked, even where the binding would replace it.
  if (options.policy !== undefined) delete settings['POLICY'];
  const policyFile = 'POLICY' in settings ? null : await readPolicyFile(policyPath);

  const policy = readPolicy(settings, policyFile);
  const secretNames = policy.ok ? policy.value.webhooks.flatMap((source) => secretsOf(source)) : [];
  const env = { ...surroundings.bindings, ...surroundings.settings(secretNames), ...settings };
  const config = parseEnv(env, policyFile);
  const problems = config.ok ? [] : config.error;
  report(env, secretNames, [
    ...problems,
    ...policyProblems(env, policyFile),
    ...credentialProblems(env, problems),
    ...(database === null ? [] : databaseProblems(database, env)),
  ]);
}

function report(env: Environment, secretNames: readonly string[], problems: readonly ConfigProblem[]): void {
  const isFine = (key: string): boolean => !problems.some((problem) => problem.key.split(': ')[0] === key);
  const policySource = 'POLICY' in env ? 'POLICY' : 'policy.ts';
  for (const key of new Set(['DB', ...SETTINGS, ...secretNames, policySource])) {
    if ((key in env || key === policySource) && isFine(key)) console.log(`ok       ${key}${remarkOn(key, env[key])}`);
  }
  for (const { key, problem, example } of problems) {
    console.log(`problem  ${key} ${problem}\n         correct: ${example}`);
  }
  if (problems.length > 0) process.exitCode = 1;
}

function databaseOf(place: string | undefined, persistTo: string | undefined, configPath: string): Database | null {
  if (persistTo !== undefined && place !== 'local') throw new UserError('--persist-to goes with --d1 local.');
  if (place === undefined) return null;
  if (place !== 'local' && place !== 'remote') throw new UserError('--d1 takes local or remote.');
  return { configPath, place, persistTo: persistTo === undefined ? null : path.resolve(persistTo) };
}

async function readPolicyFile(file: string): Promise<unknown> {
  const module: unknown = await import(pathToFileURL(file).href);
  return typeof module === 'object' && module !== null && 'default' in module ? module.default : null;
}

/** Parts of the policy that the Worker accepts and that nobody can have meant. */
function policyProblems(env: Environment, policyFile: unknown): readonly ConfigProblem[] {
  const policy = readPolicy(env, policyFile);
  if (!policy.ok) return [];
  const source = 'POLICY' in env ? 'POLICY' : 'policy.ts';
  return policyAdvice(policy.value).map((advice) => ({ ...advice, key: `${source}: ${advice.key}` }));
}

/** Problems with the expiry of credentials. A credential that is a problem already is left out. */
function credentialProblems(env: Environment, known: readonly ConfigProblem[]): readonly ConfigProblem[] {
  return CREDENTIALS.flatMap((key) => {
    const credential = env[key];
    if (typeof credential !== 'string' || known.some((problem) => problem.key === key)) return [];
    return expiryProblem(key, credential, Date.now()) ?? [];
  });
}

/** Fingerprint keys that live tokens need. If the setting cannot be read, that is reported as a problem of its own. */
function databaseProblems(database: Database, env: Environment): readonly ConfigProblem[] {
  const ids = keyIdsOf(env['FINGERPRINT_KEYS']);
  if (ids === null) return [];
  const inUse = fingerprintKeysInUse(database, Date.now());
  return inUse.ok ? missingKeys(ids, inUse.value) : [inUse.error];
}

/** A remark about a setting that is fine. It never shows the value. */
function remarkOn(key: string, value: unknown): string {
  if (key === 'FINGERPRINT_KEYS') return ` ${describeKeys(keyIdsOf(value) ?? [])}`;
  if (!CREDENTIALS.some((name) => name === key) || typeof value !== 'string') return '';
  const expiresAtMs = credentialExpiryMs(value);
  return expiresAtMs === null ? ' does not say when it expires' : ` expires at ${new Date(expiresAtMs).toISOString()}`;
}

try {
  await main();
} catch (error) {
  console.log(`problem  ${error instanceof Error ? error.message : String(error)}\n         ${USAGE}`);
  process.exitCode = 1;
}
