import {
  accessSync,
  constants,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import * as z from 'zod';
import { errorCode, reasonOf, UserError } from './errors.ts';

/**
 * Makes the state directory if it is not there.
 *
 * @throws UserError if there can be none, or nothing can be written in it.
 */
export function openStateDir(stateDir: string): void {
  try {
    makeFolder(stateDir);
    if (!statSync(stateDir).isDirectory()) throw Object.assign(new Error('no folder'), { code: 'ENOTDIR' });
    accessSync(stateDir, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    throw new UserError(
      `${stateDir} cannot hold the data of this run: ${reasonOf(error)}. Name a folder that can be written, e.g. STATE_DIR=/tmp/countersign.`,
      { cause: error },
    );
  }
}

/** Makes a folder and those above it. Node's own `recursive` never ends under /proc, where a folder can be made in none that is there. */
function makeFolder(folder: string): void {
  if (existsSync(folder)) return;
  const parent = path.dirname(folder);
  if (parent !== folder) makeFolder(parent);
  mkdirSync(folder, { mode: 0o700 });
}

/** Locks of this process. A handle that is garbage-collected is closed, and its lock goes with it. */
const locks: DatabaseSync[] = [];

/** SQLite's result codes for a lock that another process holds. */
const SQLITE_BUSY = 5;
/** And for a file that is no database. */
const SQLITE_NOTADB = 26;

/**
 * Makes this process the only one that runs on a state directory, until it ends. The lock is SQLite's, so the
 * operating system lifts it however the process dies, and no stale pid can stand in the way.
 *
 * @throws UserError if another process holds it, or if the lock's file cannot be used.
 */
export function lockStateDir(stateDir: string): void {
  const file = path.join(stateDir, 'lock.sqlite');
  let database: DatabaseSync | null = null;
  try {
    database = new DatabaseSync(file);
    database.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    database?.close();
    throw new UserError(lockProblem(stateDir, file, error), { cause: error });
  }
  locks.push(database);
}

function lockProblem(stateDir: string, file: string, error: unknown): string {
  const code =
    errorCode(error) === 'ERR_SQLITE_ERROR' && error instanceof Error && 'errcode' in error ? error.errcode : null;
  // The lower byte is the result; the others say more of it.
  const result = typeof code === 'number' ? code & 0xff : null;
  if (result === SQLITE_BUSY) {
    return `Countersign already runs on ${stateDir}. Stop it, or choose another, e.g. STATE_DIR=.state2.`;
  }
  if (result === SQLITE_NOTADB) return `${file} is damaged. It holds no data: delete it, and start again.`;
  return `${file} cannot be locked: ${result === null ? reasonOf(error) : error instanceof Error ? error.message : ''}. Look whether the disk is full and this user may write there, or choose another, e.g. STATE_DIR=/tmp/countersign.`;
}

/** The runtime needs more room than this for its databases. */
const PROBE_BYTES = 256 * 1024;

/**
 * Makes sure that the disk takes what a start writes.
 *
 * @throws UserError if it does not.
 */
export function assertRoom(stateDir: string): void {
  const probe = path.join(stateDir, `room-${process.pid}.probe`);
  try {
    writeFileSync(probe, new Uint8Array(PROBE_BYTES));
  } catch (error) {
    throw new UserError(
      `${stateDir} takes no more data: ${reasonOf(error)}. Make room, or choose another, e.g. STATE_DIR=/tmp/countersign.`,
      { cause: error },
    );
  } finally {
    rmSync(probe, { force: true });
  }
}

/**
 * Looks whether the databases are files. workerd opens a pipe for ever, and nothing can stop it then.
 *
 * @throws UserError with the first that is none.
 */
export function assertDatabasesAreFiles(stateDir: string): void {
  const odd = globSync('v3/**/*.sqlite', { cwd: stateDir })
    .map((name) => path.join(stateDir, name))
    .find((file) => !statSync(file).isFile());
  if (odd !== undefined)
    throw new UserError(`${odd} is no file. Move it away: the next start makes an empty database.`);
}

/**
 * Why workerd may have failed on a state directory: it says nothing of the file that it stumbled over. Null if nothing is wrong
 * that can be seen.
 */
export function problemOfState(stateDir: string): string | null {
  try {
    assertRoom(stateDir);
  } catch (error) {
    if (error instanceof UserError) return error.message;
    throw error;
  }
  for (const name of globSync('v3/**/*.sqlite', { cwd: stateDir }).toSorted()) {
    const file = path.join(stateDir, name);
    const problem = problemOfDatabase(file);
    if (problem === null) continue;
    const loss = name.includes(`${path.sep}d1${path.sep}`) ? ', and the local trail in it is lost' : '';
    return `${file} is damaged: ${problem}. Move it away with its -wal and -shm files: the next start makes an empty one${loss}.`;
  }
  return null;
}

function problemOfDatabase(file: string): string | null {
  let database: DatabaseSync | null = null;
  try {
    database = new DatabaseSync(file, { readOnly: true });
    const [{ quick_check: said } = { quick_check: 'ok' }] = database.prepare('PRAGMA quick_check(1)').all() as {
      quick_check?: unknown;
    }[];
    return said === 'ok' ? null : (String(said).split('\n', 1)[0] ?? null);
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  } finally {
    database?.close();
  }
}

/**
 * Gives miniflare a temporary folder in the state directory where that of the machine cannot be written.
 *
 * @throws UserError if there can be none either.
 */
export function ensureTemporaryFolder(stateDir: string): void {
  try {
    // The permission to write says nothing of /proc, or of a full disk.
    rmdirSync(mkdtempSync(path.join(tmpdir(), 'countersign-')));
  } catch {
    const own = path.join(stateDir, 'tmp');
    openStateDir(own);
    process.env['TMPDIR'] = own;
  }
}

/**
 * Reads a file of a state directory.
 *
 * @returns its text, or null if there is no such file.
 * @throws UserError if it is there and cannot be read.
 */
export function readStateFile(file: string): string | null {
  try {
    // To read a pipe is to wait for ever.
    const stats = statSync(file);
    if (stats.isFile() || stats.isDirectory()) return readFileSync(file, 'utf8');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return null;
    throw new UserError(`${file} cannot be read: ${reasonOf(error)}. Make it readable, or move it away.`, {
      cause: error,
    });
  }
  throw new UserError(`${file} is a pipe or a device, and should be a file. Move it away.`);
}

/** A run as it describes itself in its state directory, for commands and tests. */
const RunFile = z.object({
  pid: z.int(),
  workerdPid: z.int(),
  url: z.url(),
  simulatorUrl: z.url().nullable(),
  /** The issuer of the people who sign in, or null if nobody can. */
  peopleIssuer: z.url().nullable().default(null),
});
export type RunFile = Readonly<z.infer<typeof RunFile>>;

const runFileIn = (stateDir: string): string => path.join(stateDir, 'run.json');

/** Replaces the file in one step: a reader sees the old one or the new one, never half of either. */
export function writeRunFile(stateDir: string, run: z.input<typeof RunFile>): void {
  const draft = `${runFileIn(stateDir)}.draft`;
  try {
    writeFileSync(draft, `${JSON.stringify(run)}\n`);
    renameSync(draft, runFileIn(stateDir));
  } catch (error) {
    rmSync(draft, { force: true });
    throw new UserError(`${runFileIn(stateDir)} cannot be written: ${reasonOf(error)}. Make room, and start again.`, {
      cause: error,
    });
  }
}

/**
 * Null if nothing runs there, or nothing has started up yet.
 *
 * @throws UserError if the file cannot be read, or holds something else.
 */
export function readRunFile(stateDir: string): RunFile | null {
  const file = runFileIn(stateDir);
  const text = readStateFile(file);
  if (text === null) return null;
  try {
    return RunFile.parse(JSON.parse(text));
  } catch (error) {
    throw new UserError(`${file} is damaged. Stop the service and start it again: it writes this file anew.`, {
      cause: error,
    });
  }
}

/** @throws UserError if it is there and cannot be removed. */
export function removeRunFile(stateDir: string): void {
  const file = runFileIn(stateDir);
  try {
    rmSync(file, { force: true });
  } catch (error) {
    throw new UserError(`${file} cannot be removed: ${reasonOf(error)}. Move it away, and start again.`, {
      cause: error,
    });
  }
}
