import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { TestProject } from 'vitest/node';

const CHECKOUT = fileURLToPath(new URL('../..', import.meta.url));

/** Starts one PipeOps simulator, a process of its own, for all test files of a run; gives what stops it. */
export default async function startSimulator(project: TestProject): Promise<() => Promise<void>> {
  // The project's own Node, whatever runs vitest: the simulator is started as it is, without a build.
  const node = path.join(CHECKOUT, 'node_modules', '.bin', 'node');
  const child = spawn(node, [path.join(CHECKOUT, 'test', 'pipeops-simulator', 'main.ts')], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, PORT: '0', EXIT_WITH_STDIN: '1', STATE_FILE: '', LIMITS: '' },
  });
  const ended = once(child, 'exit');
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const first = await Promise.race([lines.next(), ended.then(() => null)]);
  if (first === null || first.done === true) throw new Error('The PipeOps simulator did not start.');
  const { listening }: { listening: string } = JSON.parse(first.value);
  project.provide('pipeopsUrl', listening);
  return async () => {
    child.stdin.end();
    await ended;
  };
}
