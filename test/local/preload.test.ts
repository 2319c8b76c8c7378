import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, expect, it } from 'vitest';
import { CHECKOUT } from '../../local/settings.ts';

const root = mkdtempSync(path.join(tmpdir(), 'countersign-preload-'));
afterAll(() => rmSync(root, { recursive: true }));
const PRELOAD = path.join(CHECKOUT, 'local', 'preload.mjs');

function runAs(version: string, preload = PRELOAD) {
  const pretend = `Object.defineProperty(process, 'versions', { value: { node: ${JSON.stringify(version)} } });`;
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [
      `--import=data:text/javascript,${encodeURIComponent(pretend)}`,
      `--import=${pathToFileURL(preload).href}`,
      '--eval',
      'console.log("runs")',
    ],
    { encoding: 'utf8' },
  );
  return { status, stdout, stderr };
}

it.each(['20.20.2', '22.22.0', '24.1.0'])(
  'Node %s, which cannot run the commands, is told of in one line how to go on',
  (version) => {
    const { status, stdout, stderr } = runAs(version);
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    expect(stderr).toMatch(
      /^Node \S+ is too old [^\n]+ Run `npm rebuild node --ignore-scripts=false`, then try again\.\n$/,
    );
  },
);

it.each(['24.2.0', '24.21.0', '26.0.0'])('Node %s runs them', (version) => {
  expect(runAs(version)).toEqual({ status: 0, stdout: 'runs\n', stderr: '' });
});

it('packages that are not installed are told of in one line', () => {
  const copy = path.join(root, 'checkout', 'local', 'preload.mjs');
  cpSync(PRELOAD, copy);
  expect(runAs('20.20.2', copy)).toEqual({
    status: 1,
    stdout: '',
    stderr: 'The packages are not installed. Run `npm ci` first.\n',
  });
});

it('keeps compiled code in node_modules, where nobody else can put code, for itself and for what it starts', () => {
  const { stdout } = spawnSync(
    process.execPath,
    [
      `--import=${pathToFileURL(PRELOAD).href}`,
      '--input-type=module',
      '--eval',
      `import { getCompileCacheDir } from 'node:module';
       console.log(JSON.stringify([getCompileCacheDir(), process.env.NODE_COMPILE_CACHE]));`,
    ],
    { encoding: 'utf8', env: { PATH: process.env['PATH'] } },
  );
  const [own = '', inherited]: [string?, string?] = JSON.parse(stdout);
  expect(inherited).toBe(path.join(CHECKOUT, 'node_modules', '.cache', 'compiled'));
  expect(path.dirname(own)).toBe(inherited);
});
