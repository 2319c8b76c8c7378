import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import * as z from 'zod';
import { UserError } from './errors.ts';

/** Locks of this process. A handle that is garbage-collected is closed, and its lock goes with it. */
const locks: DatabaseSync[] = [];

/**
 * Makes this process the only one that runs on a state directory, until it ends. The lock is SQLite's, so the
 * operating system lifts it however the process dies, and no stale pid can stand in the way.
 *
 * @throws UserError if another process holds it.
 */
export function lockStateDir(stateDir: string): void {
  const database = new DatabaseSync(path.join(stateDir, 'lock.sqlite'));
  try {
    database.exec('BEGIN EXCLUSIVE');
  } catch {
    database.close();
    throw new UserError(`Countersign already runs on ${stateDir}. Stop it, or choose another, e.g. STATE_DIR=.state2.`);
  }
  locks.push(database);
}

/** A run as it describes itself in its state directory, for commands and tests. */
const RunFile = z.object({
  pid: z.int(),
  workerdPid: z.int(),
  url: z.url(),
  simulatorUrl: z.url().nullable(),
});
export type RunFile = Readonly<z.infer<typeof RunFile>>;

const runFileIn = (stateDir: string): string => path.join(stateDir, 'run.json');

/** Replaces the file in one step: a reader sees the old one or the new one, never half of either. */
export function writeRunFile(stateDir: string, run: RunFile): void {
  const draft = `${runFileIn(stateDir)}.draft`;
  writeFileSync(draft, `${JSON.stringify(run)}\n`);
  renameSync(draft, runFileIn(stateDir));
}

/** Null if nothing runs there, or nothing has started up yet. */
export function readRunFile(stateDir: string): RunFile | null {
  try {
    return RunFile.parse(JSON.parse(readFileSync(runFileIn(stateDir), 'utf8')));
  } catch {
    return null;
  }
}

export function removeRunFile(stateDir: string): void {
  rmSync(runFileIn(stateDir), { force: true });
}
