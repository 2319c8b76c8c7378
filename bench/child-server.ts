import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import * as z from 'zod';

/** The one line that such a server prints. */
const Listening = z.object({ listening: z.url() });

export interface ChildServer extends AsyncDisposable {
  /** Without a slash at the end. */
  readonly url: string;
}

/**
 * Runs a server of ours as a process of its own, so that it does not compute at the cost of the load generator. It ends
 * when its standard input does: with us, whatever becomes of us.
 */
export async function startChildServer(script: URL, env: Readonly<Record<string, string>>): Promise<ChildServer> {
  const child = spawn(process.execPath, [script.pathname], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, ...env },
  });
  child.stdin.on('error', () => {});
  const ended = once(child, 'exit');
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const first = await Promise.race([lines.next(), ended.then(() => null)]);
  if (first === null || first.done === true) throw new Error(`${script.pathname} did not start`);
  return {
    url: Listening.parse(JSON.parse(first.value)).listening.replace(/\/$/, ''),
    [Symbol.asyncDispose]: async () => {
      child.stdin.end();
      await ended;
    },
  };
}
