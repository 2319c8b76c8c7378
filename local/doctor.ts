import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { unstable_getVarsForDev, unstable_readConfig } from 'wrangler';
import { credentialExpiryMs, expiryProblem } from '../src/config/admin-credential.ts';
import { parseEnv, readPolicy, type ConfigProblem } from '../src/config/env.ts';
import { policyAdvice } from '../src/config/policy-advice.ts';
import { CHECKOUT } from './settings.ts';

const USAGE = 'usage: npm run doctor [-- --config wrangler.toml] [--policy policy.ts]';

type Environment = Readonly<Record<string, unknown>>;

const CREDENTIALS = ['PIPEOPS_ADMIN_TOKEN', 'PIPEOPS_ADMIN_TOKEN_NEXT'] as const;

/** The settings that the Worker reads, D1 apart: what an environment variable may stand in for. */
const SETTINGS = [
  'PIPEOPS_API_URL',
  ...CREDENTIALS,
  'PIPEOPS_WORKSPACE_UUID',
  'RECONCILE_AFTER_SECONDS',
  'POLICY',
] as const;

/** Reads the configuration as the Worker would, and says of each thing that is wrong how it should be. */
async function main(): Promise<void> {
  const { values: options } = parseArgs({ options: { config: { type: 'string' }, policy: { type: 'string' } } });
  const env = readEnvironment(path.resolve(options.config ?? path.join(CHECKOUT, 'wrangler.toml')));
  const policyPath = path.resolve(options.policy ?? path.join(CHECKOUT, 'policy.ts'));
  // A file that is asked for by name is what gets checked, even where the binding would replace it.
  if (options.policy !== undefined) delete env['POLICY'];
  const policyFile = 'POLICY' in env ? null : await readPolicyFile(policyPath);

  const config = parseEnv(env, policyFile);
  const problems = config.ok ? [] : config.error;
  report(env, [...problems, ...policyProblems(env, policyFile), ...credentialProblems(env, problems)]);
}

function report(env: Environment, problems: readonly ConfigProblem[]): void {
  const isFine = (key: string): boolean => !problems.some((problem) => problem.key.split(': ')[0] === key);
  const policySource = 'POLICY' in env ? 'POLICY' : 'policy.ts';
  for (const key of new Set(['DB', ...SETTINGS, policySource])) {
    if ((key in env || key === policySource) && isFine(key)) console.log(`ok       ${key}${lifeOf(key, env[key])}`);
  }
  for (const { key, problem, example } of problems) {
    console.log(`problem  ${key} ${problem}\n         correct: ${example}`);
  }
  if (problems.length > 0) process.exitCode = 1;
}

/** The vars of wrangler.toml, over them `.dev.vars` beside it, over these the process's own environment. */
function readEnvironment(configPath: string): Record<string, unknown> {
  const wrangler = unstable_readConfig({ config: configPath }, { hideWarnings: true });
  const vars = unstable_getVarsForDev(configPath, undefined, wrangler.vars, undefined, true);
  const env: Record<string, unknown> = {};
  for (const name of SETTINGS) {
    const value: unknown = process.env[name] || vars[name]?.value;
    if (value !== undefined) env[name] = value;
  }
  if (wrangler.d1_databases.some(({ binding }: { binding: string }) => binding === 'DB')) {
    env['DB'] = { prepare: notHere, batch: notHere };
  }
  for (const { name } of wrangler.ratelimits) env[name] = { limit: notHere };
  return env;
}

function notHere(): never {
  throw new Error('The doctor reads the configuration; it has no database.');
}

async function readPolicyFile(file: string): Promise<unknown> {
  const module: unknown = await import(pathToFileURL(file).href);
  return typeof module === 'object' && module !== null && 'default' in module ? module.default : null;
}

/** What the Worker would serve and nobody can have meant. */
function policyProblems(env: Environment, policyFile: unknown): readonly ConfigProblem[] {
  const policy = readPolicy(env, policyFile);
  if (!policy.ok) return [];
  const source = 'POLICY' in env ? 'POLICY' : 'policy.ts';
  return policyAdvice(policy.value).map((advice) => ({ ...advice, key: `${source}: ${advice.key}` }));
}

/** A setting that is wrong anyway is not looked into further. */
function credentialProblems(env: Environment, known: readonly ConfigProblem[]): readonly ConfigProblem[] {
  return CREDENTIALS.flatMap((key) => {
    const credential = env[key];
    if (typeof credential !== 'string' || known.some((problem) => problem.key === key)) return [];
    return expiryProblem(key, credential, Date.now()) ?? [];
  });
}

function lifeOf(key: string, credential: unknown): string {
  if (!CREDENTIALS.some((name) => name === key) || typeof credential !== 'string') return '';
  const expiresAtMs = credentialExpiryMs(credential);
  return expiresAtMs === null ? ' does not say when it expires' : ` expires at ${new Date(expiresAtMs).toISOString()}`;
}

try {
  await main();
} catch (error) {
  console.log(`problem  ${error instanceof Error ? error.message : String(error)}\n         ${USAGE}`);
  process.exitCode = 1;
}
