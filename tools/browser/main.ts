import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { isDeepStrictEqual, parseArgs } from 'node:util';
import { UserError } from '../../local/errors.ts';
import { CHECKOUT } from '../../local/settings.ts';
import { findChromium, installChromium } from './chromium.ts';

// `npm run test:browser`: the tests in test/browser, which drive the console in an installed Chromium. What they need beyond `npm ci` is
// installed here by a lock file of its own, so that `npm test` and a deployment know nothing of it.

const USAGE = `usage: npm run test:browser [-- --screenshots] [FILE…]
Drives the console of a service that it starts in an installed Chromium, headless. Pictures of each page are in dist/browser afterwards.
  FILE…           only the test files whose names contain one of these
  --screenshots   takes the two pictures of README.md anew, and does nothing else
  CHROMIUM_PATH   the Chromium to use; by default chromium or google-chrome on PATH`;

const HERE = import.meta.dirname;

/** @returns the exit code of the tests. */
async function main(): Promise<number> {
  const { values, positionals } = readArguments();
  if (values.help) {
    console.log(USAGE);
    return 0;
  }
  const chromium = findChromium(process.env) ?? installChromium(process.env);
  installPackages();
  const environment = {
    ...process.env,
    CHROMIUM_PATH: chromium,
    ...(values.screenshots && { README_PICTURES: '1' }),
  };
  // `npm run check` has no types of playwright-core, so they are checked here.
  for (const args of [
    ['tsc', '-p', 'tsconfig.browser.json'],
    ['vitest', 'run', '--project', 'browser', ...(values.screenshots ? ['pictures'] : positionals)],
  ] as const) {
    const code = await run(args, environment);
    if (code !== 0) return code;
  }
  return 0;
}

function readArguments() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        screenshots: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
  } catch (error) {
    throw new UserError(`${error instanceof Error ? error.message : String(error)}\n${USAGE}`, { cause: error });
  }
}

/** Installs what the lock file names, unless it is there: npm keeps a copy of the lock file of what it has installed. */
function installPackages(): void {
  const installed = path.join(HERE, 'node_modules', '.package-lock.json');
  if (
    existsSync(installed) &&
    isDeepStrictEqual(packagesOf(installed), packagesOf(path.join(HERE, 'package-lock.json')))
  ) {
    return;
  }
  const npm = spawnSync('npm', ['--prefix', HERE, 'ci', '--silent', '--no-audit', '--no-fund'], { stdio: 'inherit' });
  if (npm.status !== 0)
    throw new UserError('The packages of tools/browser cannot be installed. Is a registry of npm within reach?');
}

/** The packages of a lock file, without the project itself. */
function packagesOf(lockFile: string): Readonly<Record<string, unknown>> {
  const { packages = {} }: { readonly packages?: Readonly<Record<string, unknown>> } = JSON.parse(
    readFileSync(lockFile, 'utf8'),
  );
  return Object.fromEntries(Object.entries(packages).filter(([name]) => name !== ''));
}

async function run([program, ...args]: readonly string[], environment: NodeJS.ProcessEnv): Promise<number> {
  const child = spawn(path.join(CHECKOUT, 'node_modules', '.bin', program ?? ''), args, {
    cwd: CHECKOUT,
    stdio: 'inherit',
    env: environment,
  });
  const [code] = await once(child, 'exit');
  return typeof code === 'number' ? code : 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
