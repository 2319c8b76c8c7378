import { ChildProcess } from 'node:child_process';
import diagnosticsChannel from 'node:diagnostics_channel';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import * as z from 'zod';

const ChildProcessMessage = z.object({ process: z.instanceof(ChildProcess) });
/** Linux counts processor time in these, for whoever asks. */
const TICKS_PER_SECOND = 100;

/** Runs `start`, and gives the workerd process that it started: miniflare keeps its child to itself. */
export async function withWorkerd<T>(
  start: () => Promise<T>,
): Promise<{ readonly started: T; readonly workerd: ChildProcess }> {
  let workerd: ChildProcess | undefined;
  const notice = (message: unknown): void => {
    const { process: child } = ChildProcessMessage.parse(message);
    child.once('spawn', () => {
      if (path.basename(child.spawnfile).startsWith('workerd')) workerd = child;
    });
  };
  diagnosticsChannel.subscribe('child_process', notice);
  try {
    const started = await start();
    if (workerd === undefined) throw new Error('no workerd was started');
    return { started, workerd };
  } finally {
    diagnosticsChannel.unsubscribe('child_process', notice);
  }
}

/** Milliseconds of processor time that a process has taken so far, all its threads together. Linux only. */
export function cpuMs(pid: number): number {
  // The command's name, in brackets, may hold spaces.
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? [];
  const [user, system] = [fields[11], fields[12]].map(Number);
  return (((user ?? Number.NaN) + (system ?? Number.NaN)) / TICKS_PER_SECOND) * 1000;
}
