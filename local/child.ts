import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type * as z from 'zod';

/** After this a child is killed. None of them loses anything by it. */
const STOP_PATIENCE_MS = 3_000;

export interface ChildOptions<Said> {
  /** Path of its program. */
  readonly script: string;
  readonly variables: Readonly<Record<string, string>>;
  /** The line of JSON that it prints once it is ready. */
  readonly ready: z.ZodType<Said>;
  /** Takes the lines of its standard error. By default they go to that of this process. */
  readonly complaint?: (line: string) => void;
}

export interface Child<Said> {
  /** What it said when it was ready, or null if it has ended before. */
  readonly said: Said | null;
  /** Resolves when it has ended, whatever the reason. */
  readonly ended: Promise<void>;
  readonly stop: () => Promise<void>;
}

/**
 * Starts a program of this checkout as a process of its own, and waits until it is ready. The program must end when its standard input
 * does: then it outlives neither a clean stop nor a SIGKILL of this process. It has its own session, so that Ctrl-C reaches only this
 * process, which decides the order of stopping.
 */
export async function startChild<Said>(options: ChildOptions<Said>): Promise<Child<Said>> {
  const { script, variables, ready, complaint } = options;
  const child = spawn(process.execPath, [script], {
    detached: true,
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, ...variables },
  });
  child.stdin.on('error', () => {});
  const ended = endOf(child);
  if (complaint === undefined) child.stderr.pipe(process.stderr, { end: false });
  else createInterface({ input: child.stderr }).on('line', complaint);
  const said = await Promise.race([readyLine(createInterface({ input: child.stdout }), ready), ended.then(() => null)]);
  // Nothing reads further lines, and a full pipe would stop the child.
  child.stdout.resume();
  return {
    said,
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
  try {
    await once(child, 'exit');
  } catch {
    // It could not even be started.
  }
}

/** The first line that is what a ready child says. What a library prints before it is passed over. */
async function readyLine<Said>(lines: AsyncIterable<string>, ready: z.ZodType<Said>): Promise<Said | null> {
  for await (const line of lines) {
    const parsed = ready.safeParse(jsonOf(line));
    if (parsed.success) return parsed.data;
  }
  return null;
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
