import {
  accessSync,
  constants,
  copyFileSync,
  existsSync,
  globSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import path from 'node:path';
import { reasonOf, UserError } from './errors.ts';
import { CHECKOUT } from './settings.ts';
import { makeSite, siteOf } from './site.ts';
import { openStateDir } from './state-dir.ts';
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
 * Builds the Worker and the pages of `/docs` as a deployment would, unless the last build is still good. In a checkout that cannot be
 * written the state directory takes the build. Two starts at once build apart from each other, and neither sees a part of a file.
 *
 * @returns the path of the bundle.
 * @throws UserError if it does not build. Wrangler's own message is on standard error by then.
 */
export async function buildWorker(stateDir: string): Promise<string> {
  const elsewhere = path.join(stateDir, 'build');
  const isHere = isWritable(CHECKOUT) && isWritable(path.dirname(BUNDLE));
  if (!isHere && isFresh(BUNDLE) && existsSync(siteOf(BUNDLE))) return BUNDLE;
  const bundle = isHere ? BUNDLE : path.join(elsewhere, 'dist', 'index.js');
  // The pages come first, since wrangler builds no Worker without the folder that it names.
  await makeSite(siteOf(bundle));
  if (isFresh(bundle)) return bundle;
  const draft = path.join(path.dirname(bundle), `draft-${process.pid}`);
  try {
    const run = await runWrangler(['deploy', path.join(CHECKOUT, 'src', 'index.ts'), '--dry-run', '--outdir', draft], {
      ...(bundle !== BUNDLE && { configPath: configurationIn(elsewhere), folder: elsewhere }),
      variables: variablesWithHome(stateDir),
    });
    if (run.exitCode !== 0) {
      process.stderr.write(`${run.stdout}${run.stderr}`);
      throw new UserError('The Worker does not build: see above. `npm run check` may say more.');
    }
    // The bundle comes last, since a bundle that is there counts as a whole build.
    for (const name of ['index.js.map', 'index.js']) {
      renameSync(path.join(draft, name), path.join(path.dirname(bundle), name));
    }
    return bundle;
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
}

function isFresh(bundle: string): boolean {
  const builtAt = statSync(bundle, { throwIfNoEntry: false })?.mtimeMs;
  if (builtAt === undefined || !isWhole(bundle)) return false;
  return globSync(SOURCES, { cwd: CHECKOUT }).every((file) => statSync(path.join(CHECKOUT, file)).mtimeMs < builtAt);
}

/** Whether a bundle has its last line. `npm run build` on a full disk, or one that is killed, leaves a bundle without it. */
export function isWhole(bundle: string): boolean {
  return readFileSync(bundle).subarray(-WHOLE_END.length).toString() === WHOLE_END;
}

const WHOLE_END = '//# sourceMappingURL=index.js.map\n';

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

/** A copy of the configuration, since wrangler looks for other files beside it. */
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
  openStateDir(home);
  return { ...process.env, HOME: home, XDG_CONFIG_HOME: home };
}
