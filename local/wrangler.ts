import { spawn } from 'node:child_process';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { stripVTControlCharacters } from 'node:util';
import * as z from 'zod';
import { CHECKOUT } from './settings.ts';

/** The configuration that every call of wrangler names, unless its caller was given another. */
export const WRANGLER_TOML = path.join(CHECKOUT, 'wrangler.toml');

/**
 * wrangler itself, not its launcher `bin/wrangler.js`: the launcher exits with 0 where the process that it started was killed, and
 * when it is killed itself, that process lives on.
 */
export const WRANGLER_CLI = path.join(CHECKOUT, 'node_modules', 'wrangler', 'wrangler-dist', 'cli.js');

/** The top level of the configuration. wrangler takes an empty `--env` for it, even where `CLOUDFLARE_ENV` names a section. */
export const TOP_LEVEL = '';

export interface WranglerOptions {
  /** `staging` for `[env.staging]`, or `TOP_LEVEL`, which is the default. */
  readonly section?: string;
  readonly configPath?: string;
  /** The folder that wrangler runs in, and keeps temporary files in. By default the checkout. */
  readonly folder?: string;
  /** What wrangler reads on its standard input. Secrets go this way: the arguments of a process can be read by everybody. */
  readonly input?: string;
  /** HOME, CLOUDFLARE_API_TOKEN, CLOUDFLARE_ACCOUNT_ID and the like. By default the variables of this process. */
  readonly variables?: Readonly<Record<string, string | undefined>>;
  /** `shown` leaves the terminal to wrangler, which may ask there. By default it sees no terminal, asks nothing, and is captured. */
  readonly output?: 'captured' | 'shown';
}

export interface WranglerRun {
  /** Null if a signal ended it. */
  readonly exitCode: number | null;
  /** Without colours. Empty where the output was shown. */
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs the checkout's wrangler. Every call names its configuration file, since wrangler otherwise takes a `wrangler.json` or
 * `wrangler.jsonc` of any folder above before the checkout's own; and its section, since wrangler otherwise takes that of
 * `CLOUDFLARE_ENV`.
 *
 * @param args the command, such as `['d1', 'list', '--json']`, without `--config` and `--env`.
 */
export async function runWrangler(args: readonly string[], options: WranglerOptions = {}): Promise<WranglerRun> {
  const { section = TOP_LEVEL, configPath = WRANGLER_TOML, folder = CHECKOUT, input } = options;
  const { variables = process.env } = options;
  const shown = options.output === 'shown';
  const child = spawn(
    process.execPath,
    ['--no-warnings', WRANGLER_CLI, ...args, '--config', configPath, `--env=${section}`],
    {
      cwd: folder,
      stdio: shown ? 'inherit' : ['pipe', 'pipe', 'pipe'],
      env: {
        ...variables,
        // With WRANGLER_LOG=debug it would otherwise print the bodies of requests, secrets among them.
        WRANGLER_LOG_SANITIZE: 'true',
        WRANGLER_SEND_METRICS: 'false',
        WRANGLER_NO_SKILLS_UPDATE_PROMPTS: 'true',
        WRANGLER_HIDE_BANNER: 'true',
      },
    },
  );
  const exitCode = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  // A wrangler that ends before it has read its input is told about by its exit code.
  child.stdin?.on('error', () => {});
  child.stdin?.end(input ?? '');
  const [stdout, stderr] = await Promise.all([
    child.stdout === null ? '' : text(child.stdout),
    child.stderr === null ? '' : text(child.stderr),
  ]);
  return {
    exitCode: await exitCode,
    // wrangler colours its errors even under NO_COLOR.
    stdout: stripVTControlCharacters(stdout),
    stderr: stripVTControlCharacters(stderr),
  };
}

/** What wrangler says went wrong, in one line. */
export function wranglerError({ exitCode, stderr, stdout }: WranglerRun): string {
  const said = /\[ERROR\] (?<said>[\s\S]*?)(?:\n\n\n|$)/.exec(stderr)?.groups?.['said'] ?? jsonError(stdout);
  if (said !== null) return said.trim().replaceAll(/\s+/g, ' ');
  return exitCode === null ? 'wrangler was stopped' : `wrangler ended with exit code ${exitCode} and said no reason`;
}

/** With `--json` wrangler writes its error to standard output. */
function jsonError(stdout: string): string | null {
  try {
    const { error } = JsonError.parse(JSON.parse(stdout));
    return [error.text, ...error.notes.map((note) => note.text)].join(' ');
  } catch {
    return null;
  }
}

const JsonError = z.object({
  error: z.object({ text: z.string(), notes: z.array(z.object({ text: z.string() })).default([]) }),
});
