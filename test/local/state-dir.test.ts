import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { afterAll, describe, expect, it } from 'vitest';
import { lockStateDir, openStateDir, problemOfState } from '../../local/state-dir.ts';

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

describe('a state directory', () => {
  it.each([
    ['/proc/countersign', 'the folder is not there (ENOENT)'],
    ['/proc/1/countersign/deeper', 'the folder is not there (ENOENT)'],
    ['/dev/null', 'it or a part of its path is no folder (ENOTDIR)'],
    ['/dev/null/deeper', 'it or a part of its path is no folder (ENOTDIR)'],
  ])('that cannot be made is refused in one line, at once: %s', (folder, reason) => {
    expect(() => openStateDir(folder)).toThrow(`${folder} cannot hold the data of this run: ${reason}.`);
    expect(() => openStateDir(folder)).toThrow(/^[^\n]+ e\.g\. STATE_DIR=\S+\.$/);
  });

  it('is made with the folders above it', () => {
    const folder = path.join(stateDir, 'a', 'b');
    openStateDir(folder);
    expect(() => writeFileSync(path.join(folder, 'file'), '')).not.toThrow();
  });

  it('whose lock is damaged is not taken for one in use', () => {
    const folder = mkdtempSync(path.join(stateDir, 'damaged-'));
    writeFileSync(path.join(folder, 'lock.sqlite'), 'no database, and long enough to be looked at'.repeat(50));
    expect(() => lockStateDir(folder)).toThrow('lock.sqlite is damaged. It holds no data: delete it, and start again.');
  });

  it('whose lock cannot be opened is not taken for one in use', () => {
    const folder = mkdtempSync(path.join(stateDir, 'closed-'));
    mkdirSync(path.join(folder, 'lock.sqlite'));
    expect(() => lockStateDir(folder)).toThrow('lock.sqlite cannot be locked: unable to open database file.');
  });
});

describe('where the runtime does not start', () => {
  it('the database that is damaged is named, and what is lost with it', () => {
    const folder = mkdtempSync(path.join(stateDir, 'state-'));
    mkdirSync(path.join(folder, 'v3', 'd1', 'object'), { recursive: true });
    expect(problemOfState(folder)).toBeNull();
    const file = path.join(folder, 'v3', 'd1', 'object', 'trail.sqlite');
    writeFileSync(file, 'no database, and long enough to be looked at'.repeat(50));
    expect(problemOfState(folder)).toBe(
      `${file} is damaged: file is not a database. Move it away with its -wal and -shm files: the next start makes an empty one, and the local trail in it is lost.`,
    );
  });
});
