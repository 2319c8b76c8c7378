import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import * as z from 'zod';
import { CHECKOUT } from '../../local/settings.ts';
import { WRANGLER_CLI } from '../../local/wrangler.ts';
import { fingerprintKeys } from '../../src/config/secrets.ts';
import type { ConfigProblem } from '../../src/config/problems.ts';
import { err, ok, type Result } from '../../src/kit/result.ts';
import { printable } from '../terminal-text.ts';

/** The ids of the keys, the current one first, or null if the setting cannot be read. */
export function keyIdsOf(setting: unknown): readonly string[] | null {
  const keys = fingerprintKeys.safeParse(setting);
  return keys.success ? keys.data.map(({ id }) => id) : null;
}

/** Describes the keys, as in `2 keys, current k2`. */
export function describeKeys(ids: readonly string[]): string {
  return `${ids.length} ${ids.length === 1 ? 'key' : 'keys'}, current ${ids[0] ?? ''}`;
}

/** The keys that live tokens still need and the setting lacks: the leaked secret of such a token would match none. */
export function missingKeys(ids: readonly string[], inUse: readonly string[]): readonly ConfigProblem[] {
  return inUse
    .filter((id) => !ids.includes(id))
    .map((id) => ({
      key: 'FINGERPRINT_KEYS',
      problem: `lacks key ${JSON.stringify(printable(id))}, which live tokens were fingerprinted with`,
      example: `${[...ids, printable(id)].map((known) => `${known}:…`).join(',')}, with the value that it had: \`npx wrangler secret put FINGERPRINT_KEYS --config wrangler.toml --env production\``,
    }));
}

/** Where wrangler finds the database to ask. */
export interface Database {
  readonly configPath: string;
  readonly place: 'local' | 'remote';
  /** The directory of a local database, or null for wrangler's own, `.wrangler/state` beside the configuration. */
  readonly persistTo: string | null;
}

const Answer = z.array(z.object({ results: z.array(z.object({ id: z.string() })) })).length(1);
const Refusal = z.object({ error: z.object({ text: z.string() }) });

/** Asks the database which keys the fingerprints of live tokens were made with. It changes nothing. */
export function fingerprintKeysInUse(database: Database, nowMs: number): Result<readonly string[], ConfigProblem> {
  const { configPath, place, persistTo } = database;
  if (persistTo !== null && !existsSync(persistTo)) {
    return err(cannotAsk(database, `there is no directory ${persistTo}`, '--persist-to .state, as of `npm start`'));
  }
  // DB is the binding. The name of the database is the operator's.
  const target = ['d1', 'execute', 'DB', `--${place}`, '--config', configPath];
  const where = persistTo === null ? [] : ['--persist-to', persistTo];
  const run = spawnSync(process.execPath, [WRANGLER_CLI, ...target, ...where, '--json', '--command', question(nowMs)], {
    cwd: CHECKOUT,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, WRANGLER_SEND_METRICS: 'false' },
  });
  const json = jsonOf(run.stdout);
  const answer = Answer.safeParse(json);
  if (run.status === 0 && answer.success) return ok(answer.data.flatMap(({ results }) => results.map(({ id }) => id)));
  const refusal = Refusal.safeParse(json);
  const reason = refusal.success ? refusal.data.error.text : firstLine(run.stderr) || 'wrangler gave no answer';
  return err(cannotAsk(database, reason, adviceFor(database, reason)));
}

const question = (nowMs: number): string =>
  `select distinct fingerprint_key_id as id from tokens where fingerprint_key_id is not null and revoked_at is null and (expires_at is null or expires_at > ${nowMs}) order by id`;

function cannotAsk({ place }: Database, reason: string, example: string): ConfigProblem {
  return { key: 'DB', problem: `(${place}) does not say which keys live tokens need: ${printable(reason)}`, example };
}

function adviceFor({ place, persistTo }: Database, reason: string): string {
  if (/no such (table|column)/.test(reason)) {
    const where = persistTo === null ? '' : ` --persist-to ${persistTo}`;
    return `\`npx wrangler d1 migrations apply DB --${place} --config wrangler.toml${where} --config wrangler.toml\`, and then again`;
  }
  return place === 'remote'
    ? '`npx wrangler login --config wrangler.toml`, or CLOUDFLARE_API_TOKEN=…, and the database_id that `npx wrangler d1 list --config wrangler.toml` shows'
    : '--d1 local --persist-to .state, as of `npm start`; or --d1 remote';
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
}

const firstLine = (text: string): string => text.trim().split('\n', 1)[0] ?? '';
