import { once } from 'node:events';
import { fstatSync, writeFileSync } from 'node:fs';
import { errorCode, reasonOf } from '../local/errors.ts';

const stop = (exitCode: 0 | 1): void => process.exit(exitCode);
let whenLost = stop;
let exitCodeWhenClosed: 0 | 1 = 0;
let isLost = false;
let isWatched = false;

/**
 * Ends the command when standard output takes no more, since Node alone would end it with 0 on a full disk.
 *
 * @param whenClosed the exit code for a reader such as `head` that has seen enough.
 * @param lost is called in place of the end, by a command that must not stop half-way.
 */
export function watchOutput(whenClosed: 0 | 1 = 0, lost: (exitCode: 0 | 1) => void = stop): void {
  exitCodeWhenClosed = whenClosed;
  whenLost = lost;
  if (isWatched) return;
  isWatched = true;
  process.stdout.on('error', lose);
  // Nothing is left to tell about this to.
  process.stderr.on('error', () => {});
}

/** For a command that leaves things half done where it stops. It ends with this code, and prints nothing more. */
export function goOn(exitCode: 0 | 1): void {
  process.exitCode ||= exitCode;
}

/** Prints a line on standard output. */
export function print(line: string): void {
  send(`${line}\n`);
}

/** Writes to standard output, no faster than its reader reads. */
export async function writeOutput(text: string): Promise<void> {
  if (!send(text)) await once(process.stdout, 'drain');
}

const WRITE_CHARS = 64 * 1024;

/** Collects text into fewer and larger writes. */
export function buffered(write: (text: string) => Promise<void>) {
  let held = '';
  const flush = async (): Promise<void> => {
    const text = held;
    held = '';
    if (text !== '') await write(text);
  };
  const add = async (text: string): Promise<void> => {
    held += text;
    if (held.length >= WRITE_CHARS) await flush();
  };
  return { add, flush };
}

/** @returns whether there is room for more. */
function send(text: string): boolean {
  if (!isFile) return process.stdout.write(text);
  try {
    // A nearly full disk takes a part of a write, and Node's stream of a file takes that for the whole.
    writeFileSync(process.stdout.fd, text);
  } catch (error) {
    lose(error);
  }
  return true;
}

const isFile = isStandardOutputAFile();

function isStandardOutputAFile(): boolean {
  try {
    return fstatSync(process.stdout.fd).isFile();
  } catch {
    return false;
  }
}

function lose(error: unknown): void {
  if (isLost) return;
  isLost = true;
  const isClosed = errorCode(error) === 'EPIPE';
  if (!isClosed) console.error(`Standard output cannot be written: ${reasonOf(error)}.`);
  whenLost(isClosed ? exitCodeWhenClosed : 1);
}
