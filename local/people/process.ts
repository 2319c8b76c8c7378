import path from 'node:path';
import * as z from 'zod';
import { startChild } from '../child.ts';
import { CHECKOUT } from '../settings.ts';
import type { RunningProvider } from './door.ts';

export interface ProcessFacts {
  readonly stateDir: string;
  readonly issuer: string;
  readonly consoleOrigins: readonly string[];
  readonly code: string | null;
  /** Takes the lines that it prints about trouble. */
  readonly log: (line: string) => void;
  /** Its program. Another stands for one that does not start. */
  readonly script?: string;
}

/**
 * Starts the OpenID provider as a process of its own.
 *
 * @throws with the last line that it said, if it ends before it listens.
 */
export async function startProvider(facts: ProcessFacts): Promise<RunningProvider> {
  let reason = 'it said no reason.';
  const { said, ended, stop } = await startChild({
    script: facts.script ?? path.join(CHECKOUT, 'local', 'people', 'main.ts'),
    variables: {
      STATE_DIR: facts.stateDir,
      OIDC_ISSUER: facts.issuer,
      CONSOLE_ORIGINS: facts.consoleOrigins.join(' '),
      SIGN_IN_CODE: facts.code ?? '',
    },
    ready: z.object({ port: z.int() }),
    complaint: (line) => {
      reason = line;
      facts.log(line);
    },
  });
  if (said === null) throw new Error(reason);
  return { port: said.port, ended, stop };
}
