import { once } from 'node:events';
import { errorCode, reasonOf } from '../local/errors.ts';

/**
 * Ends the command when standard output takes no more, since Node alone would end it with 0 on a full disk.
 *
 * @param whenClosed the exit code for a reader such as `head` that has seen enough.
 */
export function watchOutput(whenClosed: 0 | 1 = 0): void {
  process.stdout.on('error', (error) => {
    if (errorCode(error) === 'EPIPE') process.exit(whenClosed);
    console.error(`Standard output cannot be written: ${reasonOf(error)}.`);
    process.exit(1);
  });
  // Nothing is left to tell about this to.
  process.stderr.on('error', () => {});
}

/** Writes to standard output, no faster than its reader reads. */
export async function writeOutput(text: string): Promise<void> {
  if (!process.stdout.write(text)) await once(process.stdout, 'drain');
}
