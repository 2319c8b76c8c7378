import { readdirSync } from 'node:fs';
import * as z from 'zod';
import { UserError } from '../../local/errors.ts';
import { parseJson } from '../../src/kit/json.ts';
import { wranglerError } from '../../local/wrangler.ts';
import type { Cloudflare } from './account.ts';

/** The names of the migrations that a database has, in their order; or null if there is no such database. */
export type AppliedMigrations = readonly string[] | null;

const Rows = z.array(z.object({ results: z.array(z.object({ name: z.string() })) })).length(1);

/**
 * Asks the deployed database which migrations it has.
 *
 * @throws UserError with wrangler's reason if it cannot be asked.
 */
export async function readMigrations({ wrangler }: Cloudflare): Promise<AppliedMigrations> {
  const question = 'SELECT name FROM d1_migrations ORDER BY id';
  const run = await wrangler(['d1', 'execute', 'DB', '--remote', '--json', '--command', question]);
  const rows = Rows.safeParse(parseJson(run.stdout));
  if (run.exitCode === 0 && rows.success) return rows.data.flatMap(({ results }) => results.map(({ name }) => name));
  const error = wranglerError(run);
  if (error.includes("Couldn't find a D1 DB")) return null;
  if (error.includes('no such table: d1_migrations')) return [];
  throw new UserError(`The database does not say which migrations it has: ${error}`);
}

/**
 * The migrations of the checkout that a database lacks.
 *
 * @throws UserError if the database has some that the checkout lacks: code that is older than its database would be deployed.
 */
export function pendingMigrations({ section }: Cloudflare, applied: readonly string[]): readonly string[] {
  const known = readdirSync(section.migrationsDir).filter((name) => name.endsWith('.sql'));
  const unknown = applied.filter((name) => !known.includes(name));
  if (unknown.length === 0) return known.filter((name) => !applied.includes(name)).toSorted();
  throw new UserError(
    `The database has migrations that this checkout lacks (${unknown.join(', ')}): a newer version was deployed. Update the checkout.
To go back to a version that was deployed before: npx wrangler rollback --config wrangler.toml --env ${section.name}`,
  );
}

/** Where a new database, and a new bucket, are kept. Neither can be taken back later. */
export interface Whereabouts {
  readonly location?: string | undefined;
  readonly jurisdiction?: string | undefined;
}

/**
 * Creates the database of the section.
 *
 * @throws UserError with wrangler's reason.
 */
export async function createDatabase({ wrangler, section }: Cloudflare, whereabouts: Whereabouts): Promise<void> {
  const where = Object.entries(whereabouts).flatMap(([name, value]) =>
    value === undefined ? [] : [`--${name}`, value],
  );
  const run = await wrangler(['d1', 'create', section.databaseName, ...where]);
  // An earlier run that was killed may still have had a wrangler that went on.
  if (run.exitCode === 0 || wranglerError(run).includes('already exists')) return;
  throw new UserError(`The database ${section.databaseName} was not created: ${wranglerError(run)}`);
}

/**
 * Applies what is pending, each migration as a whole.
 *
 * @throws UserError with wrangler's reason. What was applied before stays.
 */
export async function applyMigrations({ wrangler }: Cloudflare): Promise<void> {
  const run = await wrangler(['d1', 'migrations', 'apply', 'DB', '--remote']);
  if (run.exitCode !== 0) throw new UserError(`The migrations were not all applied: ${wranglerError(run)}`);
}

const Bookmark = z.object({ bookmark: z.string() });

/** The bookmark of D1 Time Travel at which the database stands now; null if D1 does not say. */
export async function readBookmark({ wrangler }: Cloudflare): Promise<string | null> {
  const run = await wrangler(['d1', 'time-travel', 'info', 'DB', '--json']);
  const answer = Bookmark.safeParse(parseJson(run.stdout));
  return answer.success ? answer.data.bookmark : null;
}

const HasEvents = z.array(z.object({ results: z.array(z.object({ has_events: z.number() })) })).length(1);

/**
 * Whether the trail in the deployed database has an event.
 *
 * @throws UserError with wrangler's reason if it cannot be asked.
 */
export async function hasEvents({ wrangler }: Cloudflare): Promise<boolean> {
  const question = 'SELECT EXISTS (SELECT 1 FROM audit_events) AS has_events';
  const run = await wrangler(['d1', 'execute', 'DB', '--remote', '--json', '--command', question]);
  const rows = HasEvents.safeParse(parseJson(run.stdout));
  if (run.exitCode === 0 && rows.success) return rows.data[0]?.results[0]?.has_events === 1;
  throw new UserError(`The database does not say whether its trail has events: ${wranglerError(run)}`);
}
