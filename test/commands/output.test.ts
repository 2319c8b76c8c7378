import { spawnSync } from 'node:child_process';
import { mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { CHECKOUT } from '../../local/settings.ts';

const root = mkdtempSync(path.join(tmpdir(), 'countersign-output-'));
afterAll(() => rmSync(root, { recursive: true }));

const COMMANDS = [
  'commands/audit/main.ts',
  'commands/token.ts',
  'commands/webhook/main.ts',
  'commands/demo/main.ts',
  'commands/doctor/main.ts',
  'commands/setup.ts',
] as const;
const ENVIRONMENT = { PATH: process.env['PATH'], STATE_DIR: '/proc/none' };
const run = (command: string, args: readonly string[], stdout: number | 'pipe' = 'pipe', environment = {}) =>
  spawnSync(process.execPath, [path.join(CHECKOUT, command), ...args], {
    encoding: 'utf8',
    stdio: ['ignore', stdout, 'pipe'],
    env: { ...ENVIRONMENT, ...environment },
  });

it.each(COMMANDS)('%s fails where standard output is full', (command) => {
  const { status, stderr } = run(command, ['--help'], openSync('/dev/full', 'w'));
  expect({ status, stderr }).toEqual({
    status: 1,
    stderr: 'Standard output cannot be written: the disk is full (ENOSPC).\n',
  });
});

it.each(['commands/token.ts', 'commands/demo/main.ts', 'commands/webhook/main.ts'])(
  '%s -h says how it is used, without a service or a state directory',
  (command) => {
    const { status, stdout, stderr } = run(command, ['-h']);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toMatch(/^usage: npm run /);
  },
);

it('what a nearly full disk took a part of is no success', () => {
  const file = path.join(root, 'part');
  // The limit stands for the disk: the first write gets half of its text through, and the next one nothing.
  const { status, stderr } = spawnSync(
    '/bin/sh',
    ['-c', 'ulimit -f 1 && exec "$0" "$1" --help > "$2"', process.execPath, path.join(CHECKOUT, COMMANDS[0]), file],
    { encoding: 'utf8', env: ENVIRONMENT },
  );
  expect(readFileSync(file, 'utf8').length).toBeGreaterThan(0);
  expect({ status, stderr }).toEqual({
    status: 1,
    stderr: 'Standard output cannot be written: it would be larger than this user may write (EFBIG).\n',
  });
});

describe('npm start', () => {
  const START = 'local/start.ts';

  it('says how it is used, starts nothing, and has nothing to say of a proxy', () => {
    const { status, stdout, stderr } = run(START, ['--help'], 'pipe', { HTTP_PROXY: 'http://127.0.0.1:9' });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toMatch(/^usage: npm start\n/);
  });
});
