import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CHECKOUT } from '../../local/settings.ts';
import { wranglerError } from '../../local/wrangler.ts';

describe('a checkout below stray configuration files, while CLOUDFLARE_ENV names production', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'countersign-stray-'));
  const checkout = path.join(folder, 'checkout');
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  beforeAll(() => {
    mkdirSync(checkout);
    for (const name of [
      'console',
      'docs',
      'local',
      'openapi.json',
      'package',
      'site',
      'src',
      'drizzle',
      'policy.ts',
      'package.json',
      'package-lock.json',
      'wrangler.toml',
      'tsconfig.json',
      'tsconfig.base.json',
    ]) {
      cpSync(path.join(CHECKOUT, name), path.join(checkout, name), { recursive: true });
    }
    symlinkSync(path.join(CHECKOUT, 'node_modules'), path.join(checkout, 'node_modules'));
    writeFileSync(path.join(folder, 'stray.js'), 'export default { fetch: () => new Response("stray") };');
    const stray = { name: 'stray', main: 'stray.js', compatibility_date: '2026-10-01' };
    for (const name of ['wrangler.json', 'wrangler.jsonc'])
      writeFileSync(path.join(folder, name), JSON.stringify(stray));
    // A build tool leaves such a file to send wrangler to another configuration.
    mkdirSync(path.join(folder, '.wrangler', 'deploy'), { recursive: true });
    writeFileSync(
      path.join(folder, '.wrangler', 'deploy', 'config.json'),
      JSON.stringify({ configPath: '../../wrangler.json' }),
    );
  });

  it.each([
    ['npm run build', 'npm', ['run', 'build']],
    [
      'npm start',
      process.execPath,
      ['--input-type=module', '-e', "await (await import('./local/build.ts')).buildWorker(`${process.cwd()}/.state`);"],
    ],
  ])('%s builds the Worker of the checkout, for its top level', (_name, command, args) => {
    rmSync(path.join(checkout, 'dist'), { recursive: true, force: true });
    const env = { ...process.env, CLOUDFLARE_ENV: 'production', WRANGLER_SEND_METRICS: 'false' };
    const run = spawnSync(command, args, { cwd: checkout, encoding: 'utf8', env });
    expect(run.stderr).not.toContain('ERROR');
    expect(run.status).toBe(0);
    expect(readFileSync(path.join(checkout, 'dist', 'index.js'), 'utf8')).toContain('service_account_token');
    expect(readFileSync(path.join(checkout, 'dist', 'site', 'docs', 'errors.html'), 'utf8')).toContain('Error codes');
    // The local build shows nothing of wrangler, where it builds.
    expect(run.stdout).not.toContain('env.DB (countersign)');
  });

  // A test that runs as root may write everywhere.
  it.skipIf(process.getuid?.() === 0)(
    'npm start builds in the state directory where the checkout takes nothing',
    () => {
      rmSync(path.join(checkout, 'dist'), { recursive: true, force: true });
      const stateDir = path.join(folder, 'state');
      chmodSync(checkout, 0o500);
      try {
        const build = `console.log(await (await import('./local/build.ts')).buildWorker(${JSON.stringify(stateDir)}));`;
        const args = ['--input-type=module', '-e', build];
        const { stdout, stderr } = spawnSync(process.execPath, args, { cwd: checkout, encoding: 'utf8' });
        expect({ stdout, stderr }).toEqual({ stdout: `${stateDir}/build/dist/index.js\n`, stderr: '' });
        expect(readFileSync(stdout.trim(), 'utf8')).toContain('service_account_token');
      } finally {
        chmodSync(checkout, 0o700);
      }
    },
  );
});

describe('what wrangler says went wrong', () => {
  it.each([
    [
      'in its error output, over several lines',
      {
        stderr:
          '▲ [WARNING] Old\n\n\n✘ [ERROR] A request failed.\n\n  Authentication error [code: 10000]\n\n\n🪵  Logs were written\n',
      },
      'A request failed. Authentication error [code: 10000]',
    ],
    [
      'as JSON',
      { stdout: JSON.stringify({ error: { text: 'A request failed.', notes: [{ text: 'no such table' }] } }) },
      'A request failed. no such table',
    ],
    ['nowhere', {}, 'wrangler ended with exit code 1 and said no reason'],
    ['because it was killed', { exitCode: null }, 'wrangler was stopped'],
  ])('is found %s', (_where, run, error) => {
    expect(wranglerError({ exitCode: 1, stdout: '', stderr: '', ...run })).toBe(error);
  });
});
