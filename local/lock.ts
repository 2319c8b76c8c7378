import { DatabaseSync } from 'node:sqlite';
import path from 'node:path';
import { UserError } from './errors.ts';

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
  held.push(database);
}

/** A handle that is collected would be closed, and the lock with it. */
const held: DatabaseSync[] = [];
