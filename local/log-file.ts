import { createWriteStream } from 'node:fs';
import path from 'node:path';

export interface LogFile {
  readonly path: string;
  /** Appends a line. */
  readonly write: (line: string) => void;
}

/** The Worker's log lines, kept out of the terminal so that the lines to paste stay in sight. */
export function openLogFile(stateDir: string): LogFile {
  const file = path.join(stateDir, 'worker.log');
  const stream = createWriteStream(file, { flags: 'a', mode: 0o600 });
  // A full disk must not end the service.
  stream.on('error', () => {});
  return { path: file, write: (line) => void stream.write(`${line}\n`) };
}
