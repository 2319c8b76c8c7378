import { spawnSync } from 'node:child_process';
import { openSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { CHECKOUT } from '../../local/settings.ts';

const COMMANDS = ['audit/main.ts', 'token.ts', 'webhook/main.ts', 'demo/main.ts'] as const;
const run = (command: string, stdout: number | 'pipe') =>
  spawnSync(process.execPath, [path.join(CHECKOUT, 'commands', command), '--help'], {
    encoding: 'utf8',
    stdio: ['ignore', stdout, 'pipe'],
    env: { PATH: process.env['PATH'], STATE_DIR: '/proc/none' },
  });

describe.each(COMMANDS)('%s --help', (command) => {
  it('says how it is used, without a service or a state directory', () => {
    const { status, stdout, stderr } = run(command, 'pipe');
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toMatch(/^usage: npm run /);
  });

  it('fails where standard output is full', () => {
    const { status, stderr } = run(command, openSync('/dev/full', 'w'));
    expect({ status, stderr }).toEqual({
      status: 1,
      stderr: 'Standard output cannot be written: the disk is full (ENOSPC).\n',
    });
  });
});
