import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';
import * as z from 'zod';
import { UserError } from './errors.ts';
import { CHECKOUT } from './settings.ts';

/** After this the simulator is killed. It loses nothing, because its state is on disk after each change. */
const STOP_PATIENCE_MS = 3_000;

/** The one line that the simulator prints. */
const Listening = z.object({ listening: z.url() });

export interface Simulator {
  readonly url: string;
  /** Resolves when it has ended, whatever the reason. */
  readonly ended: Promise<void>;
  stop(): Promise<void>;
}

/**
 * Starts the PipeOps simulator as a process of its own. It ends when its standard input does, so it outlives neither a clean
 * stop nor a SIGKILL of this process. It has its own session, so that Ctrl-C reaches only this process, which decides the
 * order of stopping.
 *
 * @throws UserError if it ends before it listens.
 */
export async function startSimulator(port: number, stateDir: string): Promise<Simulator> {
  const child = spawn(process.execPath, [path.join(CHECKOUT, 'test', 'pipeops-simulator', 'main.ts')], {
    detached: true,
    stdio: ['pipe', 'pipe', 'inherit'],
    env: {
      ...process.env,
      PORT: String(port),
      STATE_FILE: path.join(stateDir, 'pipeops-simulator.json'),
      EXIT_WITH_STDIN: '1',
    },
  });
  child.stdin.on('error', () => {});
  const ended = endOf(child);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const first = await Promise.race([lines.next(), ended.then(() => ({ done: true, value: undefined }) as const)]);
  if (first.done === true) throw new UserError('The PipeOps simulator did not start, for the reason above.');
  const { listening } = Listening.parse(JSON.parse(first.value));
  // Nothing reads further lines, and a full pipe would stop the simulator.
  child.stdout.resume();
  return {
    url: listening.replace(/\/$/, ''),
    ended,
    stop: async () => {
      child.stdin.end();
      const impatience = setTimeout(() => child.kill('SIGKILL'), STOP_PATIENCE_MS);
      await ended;
      clearTimeout(impatience);
    },
  };
}

async function endOf(child: ChildProcess): Promise<void> {
  await once(child, 'exit');
}
