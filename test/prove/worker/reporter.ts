import { writeSync } from 'node:fs';
import path from 'node:path';
import type { Reporter, TestCase, TestModule } from 'vitest/node';
import { parseRunFileName, placeOf, POLLED, type RunName } from './agreed.ts';

/** A pipe from the run to the process that started it. */
export const EVENTS_FD = 3;

export interface FailedTest {
  readonly title: string;
  readonly message: string;
}

/** A test, by its place in its file, and the numbers of the mutants whose place it ran through; of mutant 0 only. */
export interface ReachedByTest {
  readonly place: string;
  readonly ms: number;
  readonly reached: readonly number[];
}

/** What happens to the files of the run, a line of JSON each. */
export type RunEvent =
  | (RunName & { readonly event: 'begin' })
  | (RunName & {
      readonly event: 'end';
      /** Time of the imports, the hooks and the tests, without the set-up that all files share. */
      readonly ms: number;
      readonly ranCount: number;
      readonly failed: readonly FailedTest[];
      /** What failed outside of a test: an import, or a hook of the file. */
      readonly outside: readonly string[];
      /** The tests that were run. */
      readonly tests: readonly ReachedByTest[];
      /** Numbers of the mutants whose place ran outside of a test; of mutant 0 only. */
      readonly reached: readonly number[];
    });

export default class RunReporter implements Reporter {
  onTestModuleQueued(module: TestModule): void {
    send({ event: 'begin', ...parseRunFileName(path.basename(module.moduleId)) });
  }

  onTestModuleEnd(module: TestModule): void {
    const tests = [...module.children.allTests()];
    const { collectDuration, duration } = module.diagnostic();
    const meta = module.meta() as { readonly reached?: readonly number[] };
    send({
      event: 'end',
      ...parseRunFileName(path.basename(module.moduleId)),
      ms: Math.round(collectDuration + duration),
      ranCount: tests.filter((test) => ['passed', 'failed'].includes(test.result().state)).length,
      failed: tests.flatMap((test) =>
        (test.result().errors ?? []).map((error) => ({ title: test.fullName, message: textOf(error) })),
      ),
      outside: [...module.children.allSuites()]
        .flatMap((suite) => suite.errors())
        .concat(module.errors())
        .map(textOf),
      tests: tests.filter((test) => test.result().state === 'passed').map(reachedBy),
      reached: meta.reached ?? [],
    });
  }
}

function reachedBy(test: TestCase): ReachedByTest {
  const { reached = [] } = test.meta() as { readonly reached?: readonly number[] };
  return { place: placeOf(test.id), ms: Math.round(test.diagnostic()?.duration ?? 0), reached };
}

const textOf = ({ name, message, cause }: { name?: string; message: string; cause?: { message?: string } }): string =>
  `${name ?? 'Error'}: ${message}`.slice(0, 500) + (cause?.message === POLLED ? `\n${POLLED}` : '');

function send(event: RunEvent): void {
  writeSync(EVENTS_FD, `${JSON.stringify(event)}\n`);
}
