// What the process that starts a run and the workerd that it runs in have agreed on.

/** The global function, made in workerd, that says whether the mutant of a number is the one that runs now. */
export const SWITCH = '__isMutant';

/** A file of the run: one test file under one mutant; mutant 0 is the source as it is. */
export interface RunName {
  readonly mutant: number;
  readonly order: number;
}

/** The global list of the tests of a file that a mutant concerns, by their places; undefined: all of them. */
export const ONLY = '__onlyTests';

/** A test's place in its file. The id of vitest begins with a digest of the file's name, which differs in each run. */
export const placeOf = (taskId: string): string => taskId.slice(taskId.indexOf('_') + 1);

/** The folder, from the checkout, of the files that each import one test file. */
export const RUNS_FOLDER = 'test/prove-runs';

/** Files run in the order of their names. */
export const runFileName = ({ order, mutant }: RunName): string =>
  `${String(order).padStart(6, '0')}-m${mutant}.test.ts`;

export function parseRunFileName(file: string): RunName {
  const [, order, mutant] = /(\d+)-m(\d+)\.test\.ts$/.exec(file) ?? [];
  if (order === undefined || mutant === undefined) throw new Error(`${file} is not a file of the run`);
  return { order: Number(order), mutant: Number(mutant) };
}

/** Whether a test or a hook was out of time: what a busy machine does to any. */
export const isTimeout = (message: string): boolean => /^[^\n]*(?:Test|Hook) timed out/.test(message);

/** What vitest gives as the cause of an `expect.poll` that failed for as long as it may. */
export const POLLED = 'Matcher did not succeed in time.';
