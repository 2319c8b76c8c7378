import path from 'node:path';
import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';
import base from '../../../vitest.config.ts';
import RunReporter from './reporter.ts';
import { RUNS_FOLDER } from './agreed.ts';

/** A machine that runs two of these may be busy: what is out of time here would wait for ever. */
const TEST_TIMEOUT_MS = 20_000;
/** A test that waits for what a mutant does not do ends by this, and not by the time of the whole test. */
const POLL_TIMEOUT_MS = 5_000;

/** Files in the order of their names: the tests of a mutant one after another, and those first that cost least. */
class InOrder extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    return await Promise.resolve(files.toSorted((a, b) => (a.moduleId < b.moduleId ? -1 : 1)));
  }
}

/** The workerd project as it is, but for the files that it runs and for what runs before each of them. */
export default defineConfig(async (environment) => {
  const { test } = await base(environment);
  const projects = (test?.projects ?? []) as readonly TestProjectInlineConfiguration[];
  const workerd = projects.find((project) => project.test?.name === 'workerd');
  return {
    root: path.resolve(import.meta.dirname, '../../..'),
    test: {
      reporters: [new RunReporter()],
      sequence: { sequencer: InOrder },
      projects: [
        {
          ...workerd,
          test: {
            ...workerd?.test,
            include: [`${RUNS_FOLDER}/*.test.ts`],
            exclude: [],
            // One workerd, in which the files of a mutant run one after another.
            maxWorkers: 1,
            setupFiles: ['test/prove/worker/setup.ts', ...[workerd?.test?.setupFiles ?? []].flat()],
            sequence: { setupFiles: 'list' as const },
            testTimeout: TEST_TIMEOUT_MS,
            hookTimeout: TEST_TIMEOUT_MS,
            expect: { poll: { timeout: POLL_TIMEOUT_MS } },
          },
        },
      ],
    },
  };
});
