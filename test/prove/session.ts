import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { EVENTS_FD, type RunEvent } from './worker/reporter.ts';
import { ONLY, RUNS_FOLDER, runFileName } from './worker/agreed.ts';

/** From the start of vitest to the first test: workerd, the simulator, and every module once. */
const START_TIMEOUT_MS = 120_000;
/** Above what a test file takes that is run under a mutant. What takes longer does not end: an endless loop stops all of workerd. */
const FILE_TIMEOUT_MS = 60_000;
/** Above what the slowest of all test files takes on a busy machine. */
const UNCHANGED_FILE_TIMEOUT_MS = 180_000;

/** One test file to be run under one mutant; mutant 0 is the source as it is. */
export interface Run {
  readonly mutant: number;
  /** From the checkout. */
  readonly test: string;
  /** Places in the file of the tests to run; null: all of them. */
  readonly only: readonly string[] | null;
}

export type RunEnd = Extract<RunEvent, { event: 'end' }>;
/** What became of a run; null: it did not end, and was ended. */
export type OnRunEnd = (run: Run, end: RunEnd | null) => void;

const running = new Set<number>();
let stopped = false;

/** Ends every session under way with all that it started. No session ends by itself after this. */
export function killSessions(): void {
  stopped = true;
  for (const pid of running) killGroup(pid);
}

const never = async (): Promise<never> => await new Promise(() => {});

/**
 * Runs test files of the workerd project in a tree, one after another in one workerd, each under its mutant. When one
 * does not end, the session goes on behind it in another workerd.
 */
export async function runSession(tree: string, runs: readonly Run[], onEnd: OnRunEnd): Promise<void> {
  let left = [...runs];
  while (left.length > 0) {
    const { doneCount, words } = await runOnce(tree, left, onEnd);
    if (stopped) return await never();
    const hung = left[doneCount];
    if (words !== null) throw new Error(`vitest did not start: ${words}`);
    if (hung !== undefined) onEnd(hung, null);
    // Its other tests would not end either.
    left = left.slice(doneCount + 1).filter(({ mutant }) => mutant !== hung?.mutant);
  }
}

/** `words`: what was said last, where nothing was begun. */
async function runOnce(
  tree: string,
  runs: readonly Run[],
  onEnd: OnRunEnd,
): Promise<{ readonly doneCount: number; readonly words: string | null }> {
  const folder = path.join(tree, RUNS_FOLDER);
  const temporary = path.join(tree, '.tmp');
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  await mkdir(temporary, { recursive: true });
  for (const [order, { mutant, test, only }] of runs.entries()) {
    const name = path.join(folder, runFileName({ order, mutant }));
    const choice = only === null ? '' : `globalThis.${ONLY} = ${JSON.stringify(only)};\n`;
    await writeFile(name, `import '${path.relative(RUNS_FOLDER, test)}';\n${choice}`);
  }
  const vitest = path.join(tree, 'node_modules', 'vitest', 'vitest.mjs');
  const child = spawn(process.execPath, [vitest, 'run', '--config', 'test/prove/worker/vitest.config.ts'], {
    cwd: tree,
    // A group of its own, so that workerd and the simulator end with it whatever happens.
    detached: true,
    stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
    env: { ...process.env, TMPDIR: temporary, WRANGLER_SEND_METRICS: 'false' },
  });
  const { pid } = child;
  if (pid === undefined) throw new Error('vitest could not be started');
  running.add(pid);
  let lastWords = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    lastWords = (lastWords + chunk.toString()).slice(-2_000);
  });
  let timer = setTimeout(() => killGroup(pid), START_TIMEOUT_MS);
  let doneCount = 0;
  let isBegun = false;
  try {
    const lines = createInterface({ input: child.stdio[EVENTS_FD] as Readable });
    lines.on('line', (line) => {
      const event = JSON.parse(line) as RunEvent;
      clearTimeout(timer);
      const run = runs[event.order];
      timer = setTimeout(() => killGroup(pid), run?.mutant === 0 ? UNCHANGED_FILE_TIMEOUT_MS : FILE_TIMEOUT_MS);
      isBegun = true;
      if (event.event === 'begin' || run === undefined) return;
      doneCount = event.order + 1;
      onEnd(run, event);
    });
    await Promise.all([once(child, 'close'), once(lines, 'close')]);
    return { doneCount, words: isBegun ? null : lastWords };
  } finally {
    clearTimeout(timer);
    killGroup(pid);
    running.delete(pid);
  }
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // The group has ended.
  }
}
