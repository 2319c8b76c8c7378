import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import * as z from 'zod';

/** A run as it describes itself in its state directory, for scripts and tests. */
const RunFile = z.object({
  pid: z.int(),
  workerdPid: z.int(),
  url: z.url(),
  simulatorUrl: z.url().nullable(),
});
export type RunFile = Readonly<z.infer<typeof RunFile>>;

const fileIn = (stateDir: string): string => path.join(stateDir, 'run.json');

/** Replaces the file in one step: a reader sees the old one or the new one, never half of either. */
export function writeRunFile(stateDir: string, run: RunFile): void {
  const draft = `${fileIn(stateDir)}.draft`;
  writeFileSync(draft, `${JSON.stringify(run)}\n`);
  renameSync(draft, fileIn(stateDir));
}

/** Null if nothing runs there, or nothing has started up yet. */
export function readRunFile(stateDir: string): RunFile | null {
  try {
    return RunFile.parse(JSON.parse(readFileSync(fileIn(stateDir), 'utf8')));
  } catch {
    return null;
  }
}

export function removeRunFile(stateDir: string): void {
  rmSync(fileIn(stateDir), { force: true });
}
