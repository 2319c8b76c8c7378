import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';
import { UserError } from '../local/errors.ts';

/** How often a person may mistype before the command gives up. */
const TRIES = 3;

/** Where a person sits. */
export interface Terminal {
  readonly input: NodeJS.ReadableStream;
  readonly output: Pick<NodeJS.WritableStream, 'write'>;
}

/**
 * Asks on the terminal for a secret, without showing it. The terminal is in raw mode meanwhile: in its usual mode it would cut a line
 * after 4,096 characters, and a JWT may be longer.
 *
 * @param problemOf what is wrong with a value, without quoting it; null if nothing is.
 * @param whenGivenUp what a person who gives up is told.
 * @throws UserError if the person gives up, or after three values with a problem.
 */
export async function askSecret(
  prompt: string,
  problemOf: (value: string) => string | null,
  terminal: Terminal = { input: process.stdin, output: process.stdout },
  whenGivenUp = 'What is done so far stays done: run this again.',
): Promise<string> {
  for (let attempt = 1; attempt <= TRIES; attempt += 1) {
    const value = (await readHidden(prompt, terminal, whenGivenUp)).trim();
    const problem = problemOf(value);
    if (problem === null) return value;
    terminal.output.write(`         This value ${problem}.\n`);
  }
  throw new UserError(`No usable value was given ${TRIES} times. ${whenGivenUp}`);
}

async function readHidden(prompt: string, { input, output }: Terminal, whenGivenUp: string): Promise<string> {
  output.write(prompt);
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const reader = createInterface({ input, output: nowhere, terminal: true, historySize: 0 });
  try {
    return await new Promise<string>((resolve, reject) => {
      reader.once('line', resolve);
      reader.once('SIGINT', () => reject(new UserError(`Stopped. ${whenGivenUp}`)));
      reader.once('close', () => reject(new UserError(`Nothing was entered. ${whenGivenUp}`)));
    });
  } finally {
    reader.close();
    output.write('\n');
  }
}
