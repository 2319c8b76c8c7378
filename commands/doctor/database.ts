import { existsSync } from 'node:fs';
import * as z from 'zod';
import { runWrangler, TOP_LEVEL } from '../../local/wrangler.ts';
import { parseJson } from '../../src/kit/json.ts';
import { redact } from '../../src/kit/redaction.ts';
import { err, ok, type Result } from '../../src/kit/result.ts';
import { printable } from '../terminal-text.ts';

/** Where wrangler finds the database to ask. */
export interface Database {
  readonly configPath: string;
  /** A section of the configuration; null means its top level. */
  readonly section: string | null;
  readonly place: 'local' | 'remote';
  /** The directory of a local database, or null for wrangler's own, `.wrangler/state` beside the configuration. */
  readonly persistTo: string | null;
}

/** Why a database did not answer, and what would be right. */
export interface NoAnswer {
  readonly reason: string;
  readonly example: string;
}

const Answer = z.array(z.object({ results: z.array(z.record(z.string(), z.unknown())) })).length(1);
const Refusal = z.object({ error: z.object({ text: z.string() }) });

/** Asks the database one question. The SQL is shown in the list of processes, so that it may hold no secret. */
export async function askDatabase(
  database: Database,
  sql: string,
): Promise<Result<readonly Readonly<Record<string, unknown>>[], NoAnswer>> {
  const { configPath, section, place, persistTo } = database;
  if (persistTo !== null && !existsSync(persistTo)) {
    return err({ reason: `there is no directory ${persistTo}`, example: '--persist-to .state, as of `npm start`' });
  }
  // DB is the binding. The name of the database is the operator's.
  const target = ['d1', 'execute', 'DB', `--${place}`, ...(persistTo === null ? [] : ['--persist-to', persistTo])];
  const run = await runWrangler([...target, '--json', '--command', sql], { configPath, section: section ?? TOP_LEVEL });
  const json = parseJson(run.stdout);
  const answer = Answer.safeParse(json);
  if (run.exitCode === 0 && answer.success) return ok(answer.data.flatMap(({ results }) => results));
  const refusal = Refusal.safeParse(json);
  const reason = refusal.success ? refusal.data.error.text : firstLine(run.stderr) || 'wrangler gave no answer';
  return err({ reason: printable(redact(reason)), example: adviceFor(database, reason) });
}

function adviceFor({ section, place, persistTo }: Database, reason: string): string {
  const where = `${persistTo === null ? '' : ` --persist-to ${persistTo}`}${section === null ? '' : ` --env ${section}`}`;
  if (/no such (table|column)/.test(reason)) {
    return `\`npx wrangler d1 migrations apply DB --${place}${where} --config wrangler.toml\`, and then again`;
  }
  if (place === 'local') return '--d1 local --persist-to .state, as of `npm start`; or --d1 remote';
  const which = section === null ? ', and --env NAME for the section that is deployed' : '';
  return `\`npx wrangler login --config wrangler.toml\`, or CLOUDFLARE_API_TOKEN=…${which}; \`npx wrangler d1 list --config wrangler.toml\` shows the databases that there are`;
}

export const firstLine = (text: string): string => text.trim().split('\n', 1)[0] ?? '';
