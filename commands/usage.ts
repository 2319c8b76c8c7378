import { parseArgs, type ParseArgsConfig } from 'node:util';
import { UserError } from '../local/errors.ts';

/** What was typed is no command, or lacks something: nothing was sent. A command that ends so has the exit code 2. */
export class UsageError extends UserError {}

/** The exit code for whoever typed something else than a command. */
export const USAGE_EXIT_CODE = 2;

/** The service answered, and the answer is that there is no such thing. A script can tell it from a failure by its exit code, 3. */
export class NothingFound extends UserError {}

/** The exit code for whoever asked for something that there is not. */
const NOTHING_FOUND_EXIT_CODE = 3;

type Options = NonNullable<ParseArgsConfig['options']>;

/** The forms of options: a value, a value as often as it is given, and one that is there or not. */
export const text = { type: 'string' } as const;
export const texts = { type: 'string', multiple: true } as const;
export const flag = { type: 'boolean', default: false } as const;

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

/** @throws UsageError if more than one of these options was given. A flag that is false was not. */
export function chooseOne(values: Readonly<Record<string, unknown>>, ...names: readonly string[]): void {
  const given = names.filter((name) => values[name] !== undefined && values[name] !== false);
  if (given.length > 1) throw new UsageError(`${given.map((name) => `--${name}`).join(' and ')}: choose one.`);
}

/** Runs a command to its end. What the person at the terminal can solve is one line, without a stack. */
export async function endWith(main: () => Promise<void>): Promise<void> {
  try {
    await main();
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    console.error(error.message);
    process.exitCode =
      error instanceof UsageError ? USAGE_EXIT_CODE : error instanceof NothingFound ? NOTHING_FOUND_EXIT_CODE : 1;
  }
}
