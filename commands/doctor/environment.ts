import { unstable_getVarsForDev, unstable_readConfig } from 'wrangler';

export type Environment = Readonly<Record<string, unknown>>;

export const CREDENTIALS = ['PIPEOPS_ADMIN_TOKEN', 'PIPEOPS_ADMIN_TOKEN_NEXT'] as const;

/** The settings of the Worker for which an environment variable may stand in: all but D1 and the secrets of webhooks. */
export const SETTINGS = [
  'PIPEOPS_API_URL',
  ...CREDENTIALS,
  'PIPEOPS_WORKSPACE_UUID',
  'PIPEOPS_CALLS_PER_MINUTE',
  'PIPEOPS_CALLS_PER_HOUR',
  'RECONCILE_AFTER_SECONDS',
  'SNAPSHOT_MAX_AGE_SECONDS',
  'FINGERPRINT_KEYS',
  'IDEMPOTENCY_SECRET',
  'POLICY',
] as const;

export interface Surroundings {
  /** The bindings that wrangler.toml declares. They exist, and using one throws. */
  readonly bindings: Environment;
  /** The named settings that are set. The environment overrides `.dev.vars`, which overrides wrangler.toml. */
  readonly settings: (names: readonly string[]) => Record<string, unknown>;
}

/** Reads what the Worker would find around it. */
export function readSurroundings(configPath: string): Surroundings {
  const wrangler = unstable_readConfig({ config: configPath }, { hideWarnings: true });
  const vars = unstable_getVarsForDev(configPath, undefined, wrangler.vars, undefined, true);
  const bindings: Record<string, unknown> = {};
  if (wrangler.d1_databases.some(({ binding }: { binding: string }) => binding === 'DB')) {
    bindings['DB'] = { prepare: notHere, batch: notHere };
  }
  for (const { name } of wrangler.ratelimits) bindings[name] = { limit: notHere };
  return {
    bindings,
    settings: (names) => {
      const values = names.map((name): [string, unknown] => [name, process.env[name] || vars[name]?.value]);
      return Object.fromEntries(values.filter(([, value]) => value !== undefined));
    },
  };
}

function notHere(): never {
  throw new Error('The doctor reads the configuration; it has no database.');
}
