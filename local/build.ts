import { globSync, statSync } from 'node:fs';
import path from 'node:path';
import { UserError } from './errors.ts';
import { CHECKOUT } from './settings.ts';
import { runWrangler } from './wrangler.ts';

export const BUNDLE = path.join(CHECKOUT, 'dist', 'index.js');

/** Everything that the bundle is made of. The folders are listed too: their times change when a file is removed. */
const SOURCES = [
  'src',
  'src/**/*',
  'policy.ts',
  'wrangler.toml',
  'tsconfig*.json',
  'package.json',
  'package-lock.json',
];

/**
 * Builds the Worker as a deployment would, unless the last build is still good.
 *
 * @throws UserError if it does not build. Wrangler's own message is on standard error by then.
 */
export async function buildWorker(): Promise<void> {
  if (isFresh()) return;
  const run = await runWrangler(['deploy', '--dry-run', '--outdir', 'dist']);
  if (run.exitCode === 0) return;
  process.stderr.write(`${run.stdout}${run.stderr}`);
  throw new UserError('The Worker does not build: see above. `npm run check` may say more.');
}

function isFresh(): boolean {
  const builtAt = statSync(BUNDLE, { throwIfNoEntry: false })?.mtimeMs;
  if (builtAt === undefined) return false;
  return globSync(SOURCES, { cwd: CHECKOUT }).every((file) => statSync(path.join(CHECKOUT, file)).mtimeMs < builtAt);
}
