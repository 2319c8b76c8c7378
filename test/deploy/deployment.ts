import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { CHECKOUT } from '../../local/settings.ts';
import { type SimulatedCloudflare, startCloudflare } from './cloudflare-simulator/server.ts';

export interface CommandRun {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** An operator with an empty home and an account at a simulated Cloudflare. */
export interface Operator extends AsyncDisposable {
  readonly cloudflare: SimulatedCloudflare;
  readonly home: string;
  /** The folder of the wrangler.toml that is deployed: that of the checkout, with its paths made absolute. */
  readonly folder: string;
  readonly configPath: string;
  /** Writes a file into the folder, and returns its path. */
  readonly write: (name: string, content: string) => string;
  /** The secrets that setup generated and kept for the section; null if there is no such file. */
  readonly keptSecrets: (section: string) => string | null;
  /** Runs `npm run setup` or `npm run deploy` without npm. It asks for `/readyz` at the simulated Cloudflare. */
  readonly run: (command: 'setup' | 'deploy', args: readonly string[], variables?: object) => Promise<CommandRun>;
  /** Starts the same. The process leads a group, so that it is killed together with its wrangler. */
  readonly start: (command: 'setup' | 'deploy', args: readonly string[], variables?: object) => Running;
  /** The environment that commands are run in. */
  readonly variables: Readonly<Record<string, string>>;
}

export interface Running {
  readonly kill: () => void;
  readonly ended: Promise<CommandRun>;
}

/** The addresses of the Workers that wrangler.toml declares, where the tests ask them. */
const WORKERS: Readonly<Record<string, string>> = { staging: 'countersign-staging', production: 'countersign' };

/** @param change what the operator changes in wrangler.toml. */
export async function createOperator(change: (config: string) => string = (config) => config): Promise<Operator> {
  const cloudflare = await startCloudflare();
  const folder = mkdtempSync(path.join(tmpdir(), 'countersign-deploy-'));
  const home = path.join(folder, 'home');
  mkdirSync(home);
  const write = (name: string, content: string): string => {
    const file = path.join(folder, name);
    writeFileSync(file, content, { mode: 0o600 });
    return file;
  };
  const configPath = write(
    'wrangler.toml',
    change(withAbsolutePaths(readFileSync(path.join(CHECKOUT, 'wrangler.toml'), 'utf8'))),
  );
  const variables = {
    PATH: `${path.join(CHECKOUT, 'node_modules', '.bin')}${path.delimiter}${process.env['PATH'] ?? ''}`,
    HOME: home,
    TMPDIR: folder,
    // Saves each wrangler a fifth of its start.
    NODE_COMPILE_CACHE: path.join(folder, 'compile-cache'),
    CLOUDFLARE_API_BASE_URL: cloudflare.apiUrl,
    CLOUDFLARE_API_TOKEN: cloudflare.account.token,
  };
  const start: Operator['start'] = (command, args, more = {}) => {
    const section = args[args.indexOf('--env') + 1] ?? '';
    const url = args.includes('--url') ? [] : ['--url', cloudflare.urlOf(WORKERS[section] ?? section)];
    const all = [path.join(CHECKOUT, 'commands', `${command}.ts`), '--config', configPath, ...url, ...args];
    return running(spawn(process.execPath, all, { cwd: folder, detached: true, env: { ...variables, ...more } }));
  };
  return {
    cloudflare,
    home,
    folder,
    configPath,
    write,
    keptSecrets: (section) => {
      const file = path.join(folder, '.secrets', `${section}.env`);
      return existsSync(file) ? readFileSync(file, 'utf8') : null;
    },
    start,
    run: async (command, args, more) => await start(command, args, more).ended,
    variables,
    [Symbol.asyncDispose]: async () => {
      await cloudflare[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function running(child: ChildProcess): Running {
  child.stdin?.end();
  return {
    kill: () => {
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
    },
    ended: (async () => {
      const code = new Promise<number | null>((resolve) => child.once('exit', resolve));
      const [stdout, stderr] = await Promise.all([
        child.stdout === null ? '' : text(child.stdout),
        child.stderr === null ? '' : text(child.stderr),
      ]);
      return { exitCode: await code, stdout, stderr };
    })(),
  };
}

const withAbsolutePaths = (config: string): string =>
  config
    .replace('main = "src/index.ts"', `main = "${path.join(CHECKOUT, 'src/index.ts')}"`)
    .replaceAll('migrations_dir = "drizzle"', `migrations_dir = "${path.join(CHECKOUT, 'drizzle')}"`);

/** The session JWT of a PipeOps administrator, as setup is given it. */
export const ADMIN_TOKEN = [{ alg: 'HS256' }, { sub: 'admin', exp: 4_102_444_800 }, 'signature']
  .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
  .join('.');

/** The steps that a command showed, as in `done database`. */
export const stepsOf = ({ stdout }: CommandRun): string[] =>
  [...stdout.matchAll(/^(done|skipped) +(\w+):/gm)].map(([, state, step]) => `${state} ${step}`);
