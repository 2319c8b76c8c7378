import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { CHECKOUT } from '../../local/settings.ts';

const REQUIREMENTS = path.join(import.meta.dirname, 'requirements.txt');
/** schemathesis 4 runs on no older one. */
const OLDEST = '3.10';
/** A slow line to PyPI. What takes longer is taken for unreachable. */
const INSTALL_PATIENCE_MS = 240_000;

/** A program that is here, or the reason why what needs it is skipped. */
export type Found = { readonly program: string } | { readonly missing: string };

/** A Python that is new enough. */
export function findPython(): Found {
  for (const program of ['python3', 'python']) {
    const asked = spawnSync(program, ['-c', `import sys; sys.exit(sys.version_info < (${OLDEST.replace('.', ', ')}))`]);
    if (asked.status === 0) return { program };
  }
  return { missing: `there is no Python ${OLDEST} or newer` };
}

/** The `st` of schemathesis, in a virtual environment of its own under `dist/`. The first call installs it from PyPI. */
export function findSchemathesis(python: string): Found {
  const version = createHash('sha256').update(readFileSync(REQUIREMENTS)).digest('hex').slice(0, 12);
  const home = path.join(CHECKOUT, 'dist', `fuzz-${version}`);
  const program = path.join(home, 'bin', 'st');
  if (existsSync(program)) return { program };
  mkdirSync(path.dirname(home), { recursive: true });
  console.log('fuzz: installs schemathesis from PyPI');
  for (const [command, ...args] of [
    [python, '-m', 'venv', '--clear', home],
    [path.join(home, 'bin', 'pip'), 'install', '--quiet', '--disable-pip-version-check', '--requirement', REQUIREMENTS],
  ] as const) {
    const { status, stderr, error } = spawnSync(command, args, { encoding: 'utf8', timeout: INSTALL_PATIENCE_MS });
    if (status === 0) continue;
    // Half of an installation must not pass for a whole one.
    rmSync(home, { recursive: true, force: true });
    const reason = error?.message ?? stderr.trim().split('\n').at(-1) ?? 'no reason was given';
    return { missing: `schemathesis could not be installed from PyPI: ${reason}` };
  }
  return { program };
}
