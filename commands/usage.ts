import { parseArgs, type ParseArgsConfig } from 'node:util';
import { UserError } from '../local/errors.ts';

/** What was typed is no command, or lacks something: nothing was sent. A command that ends so has the exit code 2. */
export class UsageError extends UserError {}

/** The exit code for whoever typed something else than a command. */
export const USAGE_EXIT_CODE = 2;

type Options = NonNullable<ParseArgsConfig['options']>;

/**
 * Reads options.
 *
 * @param help the command that shows how it is used.
 * @throws UsageError in one line. It does not quote an argument that stands alone, which may be a secret that lost its flag.
 */
export function parseOptions<const O extends Options>(
  args: readonly string[],
  options: O,
  help: string,
): ReturnType<typeof parseArgs<{ options: O; allowPositionals: true; strict: true }>> {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true, strict: true });
  } catch (error) {
    const problem = error instanceof Error ? (error.message.split('\n', 1)[0] ?? '') : String(error);
    throw new UsageError(`${problem.replace(/[\s.]*$/, '')}. Help: ${help}`, { cause: error });
  }
}

/** Runs a command to its end. What the person at the terminal can solve is one line, without a stack. */
export async function endWith(main: () => Promise<void>): Promise<void> {
  try {
    await main();
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    console.error(error.message);
    process.exitCode = error instanceof UsageError ? USAGE_EXIT_CODE : 1;
  }
}
