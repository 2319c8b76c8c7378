import { statSync } from 'node:fs';
import { appendFile, open } from 'node:fs/promises';
import path from 'node:path';
import { reasonOf, UserError } from './errors.ts';

/** What waits for the disk. More is left out and counted, so that a disk that hangs takes no memory. */
const WAITING_MAX_CHARACTERS = 4 * 1024 * 1024;

/** A line of what runs the Worker, in the form of the Worker's own. */
export const logLine = (level: string, message: string): string =>
  JSON.stringify({ time: new Date().toISOString(), level, message });

export interface LogFile {
  readonly path: string;
  /** Appends a line. It neither waits nor throws: a full disk must not end the service. */
  readonly write: (line: string) => void;
  /** Settles when all lines so far are written, or lost. */
  readonly flush: () => Promise<void>;
}

/**
 * Opens the file that takes the Worker's log lines. The terminal stays free for the lines to paste. The file is opened anew for each
 * write, so that the log goes on once a full disk has room again, and in a new file once somebody has moved the old one away. A line
 * then says how many were lost.
 *
 * @throws UserError if something other than a file is in its place.
 */
export function openWorkerLog(
  stateDir: string,
  append: (file: string, text: string) => Promise<void> = async (file, text) =>
    await appendFile(file, text, { mode: 0o600 }),
): LogFile {
  const file = path.join(stateDir, 'worker.log');
  const stats = statSync(file, { throwIfNoEntry: false });
  // To open a pipe that nobody reads is to wait for ever.
  if (stats?.isDirectory() === true || stats?.isFIFO() === true) {
    throw new UserError(`${file} is no file, and takes no log. Move it away, and start again.`);
  }
  let waiting = '';
  let lost = 0;
  let reason = '';
  let isWriting = false;
  let written = Promise.resolve();

  const writeWaiting = async (): Promise<void> => {
    isWriting = true;
    while (waiting !== '') {
      const told = lost;
      const notice =
        told === 0 ? '' : `${await lineEndFor(file)}${logLine('warn', `${told} log lines were lost: ${reason}`)}\n`;
      const lines = waiting;
      waiting = '';
      try {
        await append(file, notice + lines);
        lost -= told;
      } catch (error) {
        lost += lines.split('\n').length - 1;
        reason = reasonOf(error);
      }
    }
    isWriting = false;
  };

  return {
    path: file,
    write: (line) => {
      if (waiting.length > WAITING_MAX_CHARACTERS) {
        lost += 1;
        reason = 'the disk is too slow';
        return;
      }
      waiting += `${line}\n`;
      if (!isWriting) written = writeWaiting();
    },
    flush: async () => await written,
  };
}

/** What ends a line of which a full disk has taken a part only. Empty if the last line has its end. */
async function lineEndFor(file: string): Promise<string> {
  try {
    await using handle = await open(file, 'r');
    const { size } = await handle.stat();
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(1), 0, 1, Math.max(0, size - 1));
    return bytesRead === 0 || buffer.toString() === '\n' ? '' : '\n';
  } catch {
    return '';
  }
}
