import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { TestProject } from 'vitest/node';

const CHECKOUT = fileURLToPath(new URL('../..', import.meta.url));

/**
 * Starts a PipeOps simulator, a process of its own, for each worker that runs test files, so that a fault which one file injects
 * meets no call of another. Gives what stops them.
 */
export default async function startSimulators(project: TestProject): Promise<() => Promise<void>> {
  const simulators = await Promise.all(Array.from({ length: project.config.maxWorkers }, startSimulator));
  project.provide(
    'pipeopsUrls',
    simulators.map(({ url }) => url),
  );
  return async () => void (await Promise.all(simulators.map(async ({ stop }) => await stop())));
}

async function startSimulator(): Promise<{ readonly url: string; readonly stop: () => Promise<void> }> {
  // The project's own Node, whatever runs vitest: the simulator is started as it is, without a build.
  const node = path.join(CHECKOUT, 'node_modules', '.bin', 'node');
  const child = spawn(node, [path.join(CHECKOUT, 'test', 'pipeops-simulator', 'main.ts')], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, PORT: '0', EXIT_WITH_STDIN: '1', STATE_FILE: '', LIMITS: '' },
  });
  const ended = once(child, 'exit');
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const first = await Promise.race([lines.next(), ended.then(() => null)]);
  if (first === null || first.done === true) throw new Error('A PipeOps simulator did not start.');
  const { listening }: { listening: string } = JSON.parse(first.value);
  const stop = async (): Promise<void> => {
    child.stdin.end();
    await ended;
  };
  return { url: listening, stop };
}
