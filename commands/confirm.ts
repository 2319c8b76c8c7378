import { createInterface } from 'node:readline';
import { UserError } from '../local/errors.ts';
import type { Terminal } from './ask-secret.ts';

/**
 * Asks on the terminal for a word, for what cannot be undone.
 *
 * @throws UserError if the person types something else, or leaves.
 */
export async function confirm(
  warning: string,
  word: string,
  { input, output }: Terminal = { input: process.stdin, output: process.stderr },
): Promise<void> {
  output.write(`${warning}\nType "${word}" to go on: `);
  const reader = createInterface({ input });
  try {
    const typed = await new Promise<string>((resolve) => {
      reader.once('line', resolve);
      reader.once('close', () => resolve(''));
    });
    if (typed.trim() !== word) throw new UserError('Stopped. Nothing was sent.');
  } finally {
    reader.close();
  }
}
