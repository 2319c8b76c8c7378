import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import {
  assertDatabasesAreFiles,
  ensureTemporaryFolder,
  lockStateDir,
  openStateDir,
  problemOfState,
  readRunFile,
  readStateFile,
  removeRunFile,
  writeRunFile,
} from '../../local/state-dir.ts';

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

it.each([
  ['a pipe', (file: string) => spawnSync('mkfifo', [file])],
  ['a folder', (file: string) => mkdirSync(file)],
])('a database that is %s is told before workerd opens it', (_case, make) => {
  const folder = mkdtempSync(path.join(stateDir, 'databases-'));
  expect(() => assertDatabasesAreFiles(folder)).not.toThrow();
  const file = path.join(folder, 'v3', 'd1', 'object', 'trail.sqlite');
  mkdirSync(path.dirname(file), { recursive: true });
  make(file);
  expect(() => assertDatabasesAreFiles(folder)).toThrow(`${file} is no file. Move it away`);
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

it('a disk that takes too little is told before anything else is tried', () => {
  // A limit on the size of files stands for the disk.
  const script = `const { assertRoom } = await import(${JSON.stringify(path.resolve(import.meta.dirname, '../../local/state-dir.ts'))});
    try { assertRoom(${JSON.stringify(stateDir)}); } catch (error) { console.log(error.message); }`;
  const command = 'ulimit -f 8 && exec "$0" --input-type=module -e "$1"';
  const { stdout } = spawnSync('/bin/sh', ['-c', command, process.execPath, script], { encoding: 'utf8' });
  expect(stdout).toBe(
    `${stateDir} takes no more data: it would be larger than this user may write (EFBIG). Make room, or choose another, e.g. STATE_DIR=/tmp/countersign.\n`,
  );
  expect(readdirSync(stateDir).filter((name) => name.endsWith('.probe'))).toEqual([]);
});

describe('a file of a state directory', () => {
  const file = path.join(stateDir, 'odd');
  afterEach(() => rmSync(file, { recursive: true, force: true }));

  it.each([
    ['a pipe, which would be read for ever', () => spawnSync('mkfifo', [file]), 'is a pipe or a device'],
    ['a folder', () => mkdirSync(file), 'cannot be read: it is a folder (EISDIR)'],
    ['a link in a circle', () => symlinkSync(file, file), 'cannot be read: its links lead in a circle (ELOOP)'],
  ])('is refused by its name where it is %s', (_case, make, problem) => {
    make();
    expect(() => readStateFile(file)).toThrow(`${file} ${problem}`);
    expect(() => readStateFile(file)).toThrow(/[Mm]ove it away\.$/);
  });
});

describe('the description of a run', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'countersign-run-'));
  const file = path.join(folder, 'run.json');
  afterAll(() => rmSync(folder, { recursive: true }));

  it('is read as it was written, until it is removed', () => {
    const run = {
      pid: 1,
      workerdPid: 2,
      url: 'http://127.0.0.1:8787',
      simulatorUrl: null,
      peopleIssuer: 'http://localhost:8789',
    };
    writeRunFile(folder, run);
    expect(readRunFile(folder)).toEqual(run);
    removeRunFile(folder);
    expect(readRunFile(folder)).toBeNull();
  });

  it.each(['', '{"pid":1', '[]'])('that is damaged is no run that has ended: %j', (text) => {
    writeFileSync(file, text);
    expect(() => readRunFile(folder)).toThrow(
      `${file} is damaged. Stop the service and start it again: it writes this file anew.`,
    );
    rmSync(file);
  });

  it('that is a folder is named by the next start', () => {
    mkdirSync(file);
    expect(() => removeRunFile(folder)).toThrow(`${file} cannot be removed: it is a folder`);
  });
});

describe('the temporary folder', () => {
  afterEach(() => vi.unstubAllEnvs());

  it('is that of the machine where it can be written', () => {
    vi.stubEnv('TMPDIR', stateDir);
    ensureTemporaryFolder(path.join(stateDir, 'state'));
    expect(tmpdir()).toBe(stateDir);
  });

  it.each(['/proc', '/nowhere'])('is one of the state directory where it cannot: %s', (folder) => {
    vi.stubEnv('TMPDIR', folder);
    ensureTemporaryFolder(path.join(stateDir, 'state'));
    expect(tmpdir()).toBe(path.join(stateDir, 'state', 'tmp'));
  });
});
