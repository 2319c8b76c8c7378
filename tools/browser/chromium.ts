import { spawnSync } from 'node:child_process';
import { accessSync, constants, statSync } from 'node:fs';
import path from 'node:path';
import { UserError } from '../../local/errors.ts';

/** What Chromium and Chrome are called on Linux. On a Mac `CHROMIUM_PATH` names the program inside the app. */
const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];

const INSTALL = 'apt-get install -y chromium';

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Finds the installed Chromium: the one that `CHROMIUM_PATH` names, or the first of its names on `PATH`. Null: there is none.
 *
 * @throws UserError if `CHROMIUM_PATH` names nothing that can be run.
 */
export function findChromium(environment: Environment): string | null {
  const named = environment['CHROMIUM_PATH'];
  if (named) {
    if (isProgram(named)) return named;
    throw new UserError(`CHROMIUM_PATH is ${JSON.stringify(named)}, and no program is there.`);
  }
  const folders = (environment['PATH'] ?? '').split(path.delimiter).filter((folder) => folder !== '');
  return NAMES.flatMap((name) => folders.map((folder) => path.join(folder, name))).find(isProgram) ?? null;
}

/**
 * Installs Debian's Chromium where that is expected: as root of a machine of CI. Elsewhere it changes nothing.
 *
 * @throws UserError that says what to install.
 */
export function installChromium(environment: Environment): string {
  const isRoot = process.getuid?.() === 0;
  if (!environment['CI'] || !isRoot) {
    throw new UserError(
      'No Chromium is installed. Install one (Debian and Ubuntu: `apt-get install chromium`), or name yours in CHROMIUM_PATH. ' +
        'A run as root with CI=1 installs it by itself.',
    );
  }
  // A fresh image has no lists of packages, and one that has them need not wait for new ones.
  const installed = spawnSync('sh', ['-c', `${INSTALL} || { apt-get update && ${INSTALL}; }`], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...environment, DEBIAN_FRONTEND: 'noninteractive' },
  });
  const found = findChromium(environment);
  if (installed.status === 0 && found !== null) return found;
  throw new UserError(
    `No Chromium is installed, and \`${INSTALL}\` failed. Install one, or name yours in CHROMIUM_PATH.`,
  );
}

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}
