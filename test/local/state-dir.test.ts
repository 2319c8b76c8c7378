import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { afterAll, expect, it } from 'vitest';
import { lockStateDir } from '../../local/state-dir.ts';

const stateDir = mkdtempSync(path.join(tmpdir(), 'countersign-lock-'));
let holder: ChildProcess | null = null;
afterAll(() => {
  holder?.kill('SIGKILL');
  rmSync(stateDir, { recursive: true });
});

const HOLD = `
  const { lockStateDir } = await import(${JSON.stringify(path.resolve(import.meta.dirname, '../../local/state-dir.ts'))});
  lockStateDir(process.argv[1]);
  process.stdout.write('locked');
  setInterval(() => {}, 1e6);
`;

it('one process at a time runs on a state directory, and a killed one does not stand in the way', async () => {
  holder = spawn(process.execPath, ['--input-type=module', '-e', HOLD, stateDir], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(holder.stdout ?? holder, 'data');
  expect(() => lockStateDir(stateDir)).toThrow(`Countersign already runs on ${stateDir}. Stop it, or choose another`);
  holder.kill('SIGKILL');
  await once(holder, 'exit');
  expect(() => lockStateDir(stateDir)).not.toThrow();
});
