import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import * as z from 'zod';

/** Far above what the slowest of the test files takes, and below what a person would wait. */
const RUN_TIMEOUT_MS = 180_000;
/** A run of all files together is given this much more for each: several times what they take one after another. */
const FILE_TIMEOUT_MS = 30_000;

export interface FailedTest {
  readonly file: string;
  readonly title: string;
  readonly message: string;
}

/** `outside`: what failed, though no test did: a file that could not be loaded, a hook, the run itself. */
export interface TestRun {
  readonly passed: number;
  readonly failed: readonly FailedTest[];
  readonly outside: string | null;
}

const report = z.object({
  success: z.boolean(),
  numPassedTests: z.number(),
  testResults: z.array(
    z.object({
      name: z.string(),
      status: z.string(),
      message: z.string(),
      assertionResults: z.array(
        z.object({ fullName: z.string(), status: z.string(), failureMessages: z.array(z.string()).nullish() }),
      ),
    }),
  ),
});

const running = new Set<number>();
let stopped = false;

/** Ends every run under way with all that it started. No run ends by itself, or begins, after this. */
export function killRuns(): void {
  stopped = true;
  for (const pid of running) killGroup(pid);
}

const never = async (): Promise<never> => await new Promise(() => {});

/** Runs test files of the workerd project in a tree, and stops at the first that fails if `bail` says so. */
export async function runTests(tree: string, files: readonly string[], { bail }: { bail: boolean }): Promise<TestRun> {
  if (stopped) return await never();
  const temporary = path.join(tree, '.tmp');
  const outputFile = path.join(temporary, `report-${crypto.randomUUID()}.json`);
  await mkdir(temporary, { recursive: true });
  const vitest = path.join(tree, 'node_modules', 'vitest', 'vitest.mjs');
  const options = ['--project', 'workerd', '--reporter', 'json', '--outputFile', outputFile];
  const child = spawn(process.execPath, [vitest, 'run', ...options, ...(bail ? ['--bail', '1'] : []), ...files], {
    cwd: tree,
    // A group of its own, so that workerd and the simulator end with it whatever happens.
    detached: true,
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, TMPDIR: temporary, WRANGLER_SEND_METRICS: 'false' },
  });
  const { pid } = child;
  if (pid === undefined) throw new Error('vitest could not be started');
  running.add(pid);
  let lastWords = '';
  child.stderr.on('data', (chunk: Buffer) => {
    lastWords = (lastWords + chunk.toString()).slice(-2_000);
  });
  const timer = setTimeout(() => killGroup(pid), RUN_TIMEOUT_MS + files.length * FILE_TIMEOUT_MS);
  try {
    const [code] = await once(child, 'close');
    if (stopped) return await never();
    if (code === null) return { passed: 0, failed: [], outside: 'the run was ended: it took too long' };
    const text = await readFile(outputFile, 'utf8').catch(() => null);
    if (text === null) return { passed: 0, failed: [], outside: `vitest wrote no report: ${lastWords}` };
    return summary(tree, JSON.parse(text));
  } finally {
    clearTimeout(timer);
    killGroup(pid);
    running.delete(pid);
  }
}

function summary(tree: string, json: unknown): TestRun {
  const { success, numPassedTests: passed, testResults } = report.parse(json);
  const failed = testResults.flatMap(({ name, assertionResults }) =>
    assertionResults
      .filter(({ status }) => status === 'failed')
      .map((test) => ({
        file: path.relative(tree, name),
        title: test.fullName,
        message: test.failureMessages?.join('\n') ?? '',
      })),
  );
  const broken = testResults.find(
    ({ status, assertionResults }) => status === 'failed' && !assertionResults.some((test) => test.status === 'failed'),
  );
  const outside = broken === undefined ? 'the run failed' : `${path.relative(tree, broken.name)}: ${broken.message}`;
  return { passed, failed, outside: success || failed.length > 0 ? null : outside };
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // The group has ended.
  }
}
