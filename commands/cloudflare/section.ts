import path from 'node:path';
import { unstable_readConfig } from 'wrangler';
import * as z from 'zod';
import { UserError } from '../../local/errors.ts';
import { TOP_LEVEL } from '../../local/wrangler.ts';

/** A section `[env.NAME]` of wrangler.toml: what is deployed under that name. */
export interface Section {
  /** Such as `production`. */
  readonly name: string;
  readonly configPath: string;
  readonly workerName: string;
  readonly databaseName: string;
  /** The folder of the migrations; an absolute path. */
  readonly migrationsDir: string;
  /** Where the files of the transparency log are kept; null: in D1. */
  readonly bucket: { readonly name: string; readonly jurisdiction: string | null } | null;
  /** Null where the section leaves it to the login. */
  readonly accountId: string | null;
  /** The first host that belongs to the Worker as a whole; null if none does. A route with a pattern may lead only a part of a host to it. */
  readonly customDomain: string | null;
  /** `[env.NAME.vars]`. */
  readonly vars: Readonly<Record<string, unknown>>;
  /** The names of the rate limits that it declares. */
  readonly rateLimits: readonly string[];
}

/** The parts of wrangler's own reading that are used here. */
const WranglerConfig = z.object({
  name: z.string().optional(),
  account_id: z.string().optional(),
  definedEnvironments: z.array(z.string()).default([]),
  d1_databases: z.array(
    z.object({
      binding: z.string(),
      database_name: z.string().optional(),
      database_id: z.string().optional(),
      migrations_dir: z.string().optional(),
    }),
  ),
  r2_buckets: z.array(
    z.object({ binding: z.string(), bucket_name: z.string().optional(), jurisdiction: z.string().optional() }),
  ),
  routes: z
    .array(z.union([z.string(), z.looseObject({ pattern: z.string(), custom_domain: z.boolean().optional() })]))
    .optional(),
  route: z
    .union([z.string(), z.looseObject({ pattern: z.string(), custom_domain: z.boolean().optional() })])
    .optional(),
  ratelimits: z.array(z.object({ name: z.string(), namespace_id: z.string() })),
  vars: z.record(z.string(), z.unknown()),
});
type WranglerConfig = z.infer<typeof WranglerConfig>;

/**
 * Reads a section of wrangler.toml.
 *
 * @throws UserError if there is no such section, if it lacks a database, or if it shares its Worker, its database, its bucket or a rate
 * limit's namespace with another: a deployment of the one would then change the other.
 */
export function readSection(configPath: string, name: string): Section {
  const sections = sectionsOf(configPath);
  if (!sections.includes(name)) {
    const known = sections.length === 0 ? 'it has none' : `it has ${sections.join(', ')}`;
    throw new UserError(
      `${configPath} has no section [env.${name}]: ${known}. Take one of these, or write that section first.`,
    );
  }
  const config = readConfig(configPath, name);
  const database = databaseOf(config);
  if (database?.database_name === undefined) {
    throw new UserError(
      `[env.${name}] of ${configPath} has no [[env.${name}.d1_databases]] with binding = "DB" and a database_name. Bindings are not inherited.`,
    );
  }
  for (const other of [TOP_LEVEL, ...sections].filter((section) => section !== name)) {
    const shared = sharedBy(config, readConfig(configPath, other));
    if (shared !== null) {
      const where = other === TOP_LEVEL ? 'the top level' : `[env.${other}]`;
      throw new UserError(`[env.${name}] of ${configPath} shares ${shared} with ${where}. Give it one of its own.`);
    }
  }
  const bucket = bucketOf(config);
  return {
    name,
    configPath,
    workerName: config.name ?? name,
    databaseName: database.database_name,
    migrationsDir: path.resolve(path.dirname(configPath), database.migrations_dir ?? 'migrations'),
    bucket:
      bucket?.bucket_name === undefined
        ? null
        : { name: bucket.bucket_name, jurisdiction: bucket.jurisdiction ?? null },
    customDomain: customDomainOf(config),
    accountId: config.account_id ?? null,
    vars: config.vars,
    rateLimits: config.ratelimits.map((limit) => limit.name),
  };
}

/** The names of the sections that wrangler.toml has. */
export function sectionsOf(configPath: string): readonly string[] {
  return readConfig(configPath, TOP_LEVEL).definedEnvironments;
}

function readConfig(config: string, env: string): WranglerConfig {
  try {
    return WranglerConfig.parse(unstable_readConfig({ config, env }, { hideWarnings: true }));
  } catch (error) {
    throw new UserError(error instanceof Error ? error.message : String(error));
  }
}

/** What belongs to one section alone. */
type Shareable = Pick<WranglerConfig, 'name' | 'd1_databases' | 'r2_buckets' | 'ratelimits'>;

const databaseOf = ({ d1_databases: databases }: Shareable) => databases.find(({ binding }) => binding === 'DB');

const bucketOf = ({ r2_buckets: buckets }: Shareable) => buckets.find(({ binding }) => binding === 'TRAIL');

/** The first host that belongs to the Worker as a whole; null if none does. */
export function customDomainOf({ route, routes = [] }: Pick<WranglerConfig, 'route' | 'routes'>): string | null {
  for (const candidate of [route, ...routes]) {
    if (typeof candidate === 'object' && candidate.custom_domain === true) return candidate.pattern;
  }
  return null;
}

/** What two sections have in common and must not; null if nothing. */
export function sharedBy(one: Shareable, other: Shareable): string | null {
  if (one.name === other.name) return `the Worker "${one.name}"`;
  const [database, otherDatabase] = [databaseOf(one), databaseOf(other)];
  if (database !== undefined && otherDatabase !== undefined) {
    if (database.database_name === otherDatabase.database_name) return `the database "${database.database_name}"`;
    if (database.database_id !== undefined && database.database_id === otherDatabase.database_id) {
      return `the database with the id ${database.database_id}`;
    }
  }
  const bucket = bucketOf(one)?.bucket_name;
  if (bucket !== undefined && bucket === bucketOf(other)?.bucket_name) return `the bucket "${bucket}"`;
  const taken = new Set(other.ratelimits.map(({ namespace_id: id }) => id));
  const limit = one.ratelimits.find(({ namespace_id: id }) => taken.has(id));
  return limit === undefined ? null : `the namespace ${limit.namespace_id} of rate limit ${limit.name}`;
}
