import { accessSync, constants, copyFileSync, existsSync, globSync, mkdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { reasonOf, UserError } from './errors.ts';
import { CHECKOUT } from './settings.ts';
import { runWrangler, WRANGLER_TOML } from './wrangler.ts';

/** Where the build of a checkout is, unless nothing can be written there. */
export const BUNDLE = path.join(CHECKOUT, 'dist', 'index.js');

/** Everything that the bundle is made of. The folders are listed too: their times change when a file is removed. */
const SOURCES = [
  'src',
  'src/**/*',
  'drizzle/meta/_journal.json',
  'policy.ts',
  'wrangler.toml',
  'tsconfig*.json',
  'package.json',
  'package-lock.json',
];

/**
 * Builds the Worker as a deployment would, unless the last build is still good. In a checkout that cannot be written the state
 * directory takes the build.
 *
 * @returns the path of the bundle.
 * @throws UserError if it does not build. Wrangler's own message is on standard error by then.
 */
export async function buildWorker(stateDir: string): Promise<string> {
  if (isFresh(BUNDLE)) return BUNDLE;
  const elsewhere = path.join(stateDir, 'build');
  const bundle = isWritable(CHECKOUT) && isWritable(path.dirname(BUNDLE)) ? BUNDLE : path.join(elsewhere, 'index.js');
  if (bundle !== BUNDLE && isFresh(bundle)) return bundle;
  const run = await runWrangler(
    ['deploy', path.join(CHECKOUT, 'src', 'index.ts'), '--dry-run', '--outdir', path.dirname(bundle)],
    {
      configPath: bundle === BUNDLE ? WRANGLER_TOML : configurationIn(elsewhere),
      variables: variablesWithHome(stateDir),
    },
  );
  if (run.exitCode === 0) return bundle;
  process.stderr.write(`${run.stdout}${run.stderr}`);
  throw new UserError('The Worker does not build: see above. `npm run check` may say more.');
}

function isFresh(bundle: string): boolean {
  const builtAt = statSync(bundle, { throwIfNoEntry: false })?.mtimeMs;
  if (builtAt === undefined) return false;
  return globSync(SOURCES, { cwd: CHECKOUT }).every((file) => statSync(path.join(CHECKOUT, file)).mtimeMs < builtAt);
}

/** Whether a folder can be written, or is not there yet. */
function isWritable(folder: string): boolean {
  if (!existsSync(folder)) return true;
  try {
    accessSync(folder, constants.W_OK | constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** wrangler keeps temporary files beside its configuration. */
function configurationIn(folder: string): string {
  const copy = path.join(folder, 'wrangler.toml');
  try {
    mkdirSync(folder, { recursive: true });
    copyFileSync(WRANGLER_TOML, copy);
  } catch (error) {
    throw new UserError(`${copy} cannot be written: ${reasonOf(error)}. Make that possible, and start again.`, {
      cause: error,
    });
  }
  return copy;
}

/** wrangler writes its own log into HOME, and never ends where that cannot be written (seen with HOME=/proc). A build needs no login. */
function variablesWithHome(stateDir: string): Readonly<Record<string, string | undefined>> {
  const home = path.join(stateDir, 'build', 'home');
  mkdirSync(home, { recursive: true });
  return { ...process.env, HOME: home, XDG_CONFIG_HOME: home };
}
