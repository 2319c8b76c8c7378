import { existsSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { UserError } from '../../local/errors.ts';
import { CHECKOUT } from '../../local/settings.ts';
import type { Database } from './database.ts';

export const USAGE = `usage: npm run doctor [-- OPTION…]
  reads policy.ts, wrangler.toml and the settings as the Worker would, and says of each problem what would be right.
  --env NAME            the section [env.NAME] of wrangler.toml, as it is deployed; without it the settings of this machine
  --remote              with --env: also compares what is deployed there with what policy and code need: the names of secrets, the
                        migrations that are applied, the cron, and /readyz. It changes nothing
  --url URL             with --remote: where the deployment answers, if wrangler.toml has no route that says it
  --policy FILE         another policy than policy.ts: a module, or JSON
  --config FILE         another configuration than wrangler.toml
  --d1 local|remote     also asks the database which of FINGERPRINT_KEYS live tokens still need
  --persist-to DIR      with --d1 local: where that database is kept, such as .state of npm start
exit: 0 if there is no problem (warnings are none), 1 if there is one, 2 if it was called wrongly`;

/** The doctor was called in a way that it does not have. */
export class UsageError extends UserError {}

export interface Options {
  readonly configPath: string;
  readonly policyPath: string;
  /** Whether the user named the policy. That file is checked then, even where the binding `POLICY` would replace it. */
  readonly isPolicyNamed: boolean;
  /** The section of wrangler.toml; null means the settings of this machine. */
  readonly section: string | null;
  /** Null: what is deployed is not looked at. */
  readonly remote: { readonly url: string | null } | null;
  readonly database: Database | null;
}

const text = { type: 'string' } as const;

/**
 * Reads the arguments of `npm run doctor`; null if they ask for help.
 *
 * @throws UsageError if an argument is wrong.
 */
export function readOptions(args: readonly string[]): Options | null {
  const values = parse(args);
  if (values.help) return null;
  const section = values.env ?? null;
  if (section === '') throw new UsageError('--env needs the name of a section, such as --env production.');
  if (values.remote && section === null)
    throw new UsageError('--remote goes with --env NAME: it looks at what is deployed.');
  if (values.url !== undefined && !values.remote) throw new UsageError('--url goes with --remote.');
  if (values.url !== undefined && !/^https?:$/.test(URL.parse(values.url)?.protocol ?? '')) {
    throw new UsageError('--url takes an http or https URL.');
  }
  const configPath = fileOf(values.config ?? 'wrangler.toml', values.config !== undefined);
  return {
    configPath,
    policyPath: fileOf(values.policy ?? 'policy.ts', values.policy !== undefined),
    isPolicyNamed: values.policy !== undefined,
    section,
    remote: values.remote ? { url: values.url ?? null } : null,
    database: databaseOf(values.d1, values['persist-to'], configPath, section),
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        env: text,
        remote: { type: 'boolean' },
        url: text,
        policy: text,
        config: text,
        d1: text,
        'persist-to': text,
        help: { type: 'boolean', short: 'h' },
      },
    }).values;
  } catch (error) {
    // The rest of the message says how to pass an argument that starts with a dash, which no argument here does.
    const problem = error instanceof Error ? (error.message.split(/\. |\n/, 1)[0] ?? '') : String(error);
    // npm takes options for itself that have no two dashes before them, and leaves their values as arguments.
    const hint = problem.startsWith('Unexpected argument')
      ? ' Write two dashes before options: npm run doctor -- --env production'
      : '';
    throw new UsageError(`${problem.replace(/[\s.]*$/, '')}.${hint}`, { cause: error });
  }
}

function databaseOf(
  place: string | undefined,
  persistTo: string | undefined,
  configPath: string,
  section: string | null,
): Database | null {
  if (persistTo !== undefined && place !== 'local') throw new UsageError('--persist-to goes with --d1 local.');
  if (place === undefined) return null;
  if (place !== 'local' && place !== 'remote') throw new UsageError('--d1 takes local or remote.');
  return { configPath, section, place, persistTo: persistTo === undefined ? null : fileOf(persistTo, true) };
}

/** A file as the user names it. npm runs scripts in the checkout, and says in `INIT_CWD` where its user stands. */
function fileOf(name: string, isNamed: boolean): string {
  const stands = isNamed ? process.env['INIT_CWD'] : undefined;
  const there = stands === undefined ? null : path.resolve(stands, name);
  if (there !== null && existsSync(there)) return there;
  return isNamed ? path.resolve(name) : path.join(CHECKOUT, name);
}
