import { spawnSync } from 'node:child_process';
import { globSync, statSync } from 'node:fs';
import path from 'node:path';
import { UserError } from './errors.ts';
import { CHECKOUT } from './settings.ts';

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
export function buildWorker(): void {
  if (isFresh()) return;
  const wrangler = path.join(CHECKOUT, 'node_modules', 'wrangler', 'bin', 'wrangler.js');
  const run = spawnSync(process.execPath, [wrangler, 'deploy', '--dry-run', '--outdir', 'dist'], {
    cwd: CHECKOUT,
    encoding: 'utf8',
    env: { ...process.env, WRANGLER_SEND_METRICS: 'false' },
  });
  if (run.status === 0) return;
  process.stderr.write(`${run.stdout ?? ''}${run.stderr ?? ''}`);
  throw new UserError('The Worker does not build: see above. `npm run check` may say more.');
}

function isFresh(): boolean {
  const builtAt = statSync(BUNDLE, { throwIfNoEntry: false })?.mtimeMs;
  if (builtAt === undefined) return false;
  return globSync(SOURCES, { cwd: CHECKOUT }).every((file) => statSync(path.join(CHECKOUT, file)).mtimeMs < builtAt);
}
