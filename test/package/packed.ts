import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pack } from '../../package/pack.ts';

/** The package, packed from this checkout and installed in an empty folder, as a stranger has it. */
export interface Installed {
  /** The folder that it is installed in. */
  readonly folder: string;
  readonly tarball: string;
  /** Runs the command on an old Node. */
  run(args: readonly string[], options?: RunOptions): Promise<Ended>;
  remove(): void;
}

export interface RunOptions {
  readonly environment?: Readonly<Record<string, string>>;
  readonly input?: string;
}

export interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Packs and installs it. One packing serves all tests of a file. */
export async function installPackage(): Promise<Installed> {
  const folder = mkdtempSync(path.join(tmpdir(), 'countersign-package-'));
  const tarball = await pack(path.join(folder, 'assembled'), folder);
  const home = path.join(folder, 'empty');
  mkdirSync(home);
  writeFileSync(path.join(home, 'package.json'), '{"private":true}\n');
  const args = ['install', tarball, '--offline', '--no-audit', '--no-fund', '--no-update-notifier'];
  const { status, stderr } = spawnSync('npm', args, { cwd: home, encoding: 'utf8' });
  if (status !== 0) throw new Error(`npm install failed: ${stderr}`);
  return {
    folder: home,
    tarball,
    run: async (given, { environment = {}, input = '' } = {}) => {
      const child = spawn(OLD_NODE.path, [path.join(home, 'node_modules', '.bin', 'countersign'), ...given], {
        cwd: home,
        env: { PATH: process.env['PATH'], ...environment },
        stdio: ['pipe', 'pipe', 'pipe'],
      });
      child.stdin.on('error', () => {});
      child.stdin.end(input);
      const output = { stdout: '', stderr: '' };
      child.stdout.setEncoding('utf8').on('data', (text: string) => (output.stdout += text));
      child.stderr.setEncoding('utf8').on('data', (text: string) => (output.stderr += text));
      const [status_]: unknown[] = await once(child, 'close');
      return { status: typeof status_ === 'number' ? status_ : null, ...output };
    },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** The oldest Node that the package promises. */
const OLDEST_MAJOR = 20;

/** A Node of the oldest major version that is on this machine, else the one that runs the tests. */
export const OLD_NODE: { readonly path: string; readonly version: string } = findOldNode();

function findOldNode() {
  const folders = (process.env['PATH'] ?? '')
    .split(path.delimiter)
    .filter((folder) => !folder.includes('node_modules'));
  for (const folder of folders) {
    if (!namesIn(folder).includes('node')) continue;
    const file = path.join(folder, 'node');
    const version = spawnSync(file, ['--version'], { encoding: 'utf8' }).stdout?.trim() ?? '';
    if (version.startsWith(`v${OLDEST_MAJOR}.`)) return { path: file, version };
  }
  return { path: process.execPath, version: process.version };
}

function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
