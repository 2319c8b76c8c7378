import { closeSync, fsyncSync, openSync, readFileSync, writeSync } from 'node:fs';
import { errorCode, reasonOf, UserError } from '../../local/errors.ts';
import { printable } from '../terminal-text.ts';
import type { JudgedLog } from './judge/chain.ts';
import { type KnownCheckpoint, parseKnown, stateLine } from './judge/known.ts';

/**
 * Reads the checkpoints of a file. One that is to be written may not be there yet.
 *
 * @throws UserError where it cannot be read, or holds something else.
 */
export function readKnown(file: string, option: '--state' | '--against'): readonly KnownCheckpoint[] {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if (errorCode(error) === 'ENOENT' && option === '--state') return [];
    throw new UserError(`${printable(file)} cannot be read: ${reasonOf(error)}. Name another with ${option}.`, {
      cause: error,
    });
  }
  const known = parseKnown(text, printable(file));
  if (known.ok) return known.value;
  throw new UserError(
    `${known.error}. ${option} names a file of checkpoints: lines of JSON with a "note", or signed notes.`,
  );
}

/**
 * Adds the checkpoints that are not in the file yet.
 *
 * @returns how many it added.
 * @throws UserError where the file cannot be written.
 */
export function remember(
  file: string,
  logs: readonly JudgedLog[],
  known: readonly KnownCheckpoint[],
  seenAt: string,
): number {
  const fresh = logs.filter(
    ({ checkpoint: { origin, size } }) =>
      !known.some(({ checkpoint }) => checkpoint.origin === origin && checkpoint.size === size),
  );
  if (fresh.length === 0) return 0;
  try {
    const descriptor = openSync(file, 'a', 0o600);
    writeSync(descriptor, fresh.map(({ noteText, checkpoint }) => stateLine(noteText, checkpoint, seenAt)).join(''));
    fsyncSync(descriptor);
    closeSync(descriptor);
  } catch (error) {
    throw new UserError(`${printable(file)} cannot be written: ${reasonOf(error)}. Name another with --state.`, {
      cause: error,
    });
  }
  return fresh.length;
}
