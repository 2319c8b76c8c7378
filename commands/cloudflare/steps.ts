import { UserError } from '../../local/errors.ts';
import { goOn, watchOutput } from '../output.ts';
import { printable } from '../terminal-text.ts';

/** Shows the steps of a command, one line each: what was done, and what was done already. */
export interface Steps {
  /** On a terminal, says what takes time now. The line goes away when the next one comes. */
  readonly begin: (step: string) => void;
  readonly done: (step: string, what: string) => void;
  readonly skipped: (step: string, why: string) => void;
  /** Something to look at, which does not stop the command. */
  readonly note: (step: string, what: string) => void;
}

const WIDTH = 9;

export function createSteps(output: NodeJS.WriteStream): Steps {
  const clear = (): string => (output.isTTY ? '\r\u001B[2K' : '');
  const line = (state: string) => (step: string, text: string) =>
    void output.write(`${clear()}${state.padEnd(WIDTH)}${step}: ${printable(text)}\n`);
  return {
    begin: (step) => {
      if (output.isTTY) output.write(`${clear()}${'…'.padEnd(WIDTH)}${step}`);
    },
    done: line('done'),
    skipped: line('skipped'),
    note: line('note'),
  };
}

/** Runs a command that works in steps. It goes on where its output is lost, since a half-done step helps nobody, and says why it failed. */
export async function runInSteps(main: () => Promise<void>): Promise<void> {
  watchOutput(0, goOn);
  try {
    await main();
  } catch (error) {
    process.exitCode = 1;
    if (!(error instanceof UserError)) throw error;
    console.error(`\n${error.message}`);
  }
}
