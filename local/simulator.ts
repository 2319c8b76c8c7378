import path from 'node:path';
import * as z from 'zod';
import { startChild } from './child.ts';
import { UserError } from './errors.ts';
import { CHECKOUT } from './settings.ts';

export interface Simulator {
  readonly url: string;
  /** Resolves when it has ended, whatever the reason. */
  readonly ended: Promise<void>;
  readonly stop: () => Promise<void>;
}

/**
 * Starts the PipeOps simulator as a process of its own. It loses nothing when it is killed, because its state is on disk after each
 * change.
 *
 * @throws UserError if it ends before it listens.
 */
export async function startSimulator(port: number, stateDir: string): Promise<Simulator> {
  const { said, ended, stop } = await startChild({
    script: path.join(CHECKOUT, 'test', 'pipeops-simulator', 'main.ts'),
    variables: {
      PORT: String(port),
      STATE_FILE: path.join(stateDir, 'pipeops-simulator.json'),
      EXIT_WITH_STDIN: '1',
    },
    ready: z.object({ listening: z.url() }),
  });
  if (said === null) throw new UserError('The PipeOps simulator did not start, for the reason above.');
  return { url: said.listening.replace(/\/$/, ''), ended, stop };
}
