import { readdirSync, readFileSync } from 'node:fs';
import type { Reporter, TestModule } from 'vitest/node';

/** So many of the slowest files are named, so that a file that grows slow is seen before the whole run is. */
const SLOWEST_FILES_COUNT = 10;

/** Linux counts the time of processes in ticks of 10 ms. */
const TICKS_PER_SECOND = 100;

/** Ends a run with its slowest files, what it cost, and one plain line, for whoever reads logs by machine. */
export default class ClosingLine implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const counts = { passed: 0, failed: 0, skipped: 0, pending: 0 };
    for (const module of modules) {
      for (const test of module.children.allTests()) counts[test.result().state] += 1;
    }
    process.stdout.write(`\n${slowestOf(modules).join('\n')}\n`);
    const seconds = cpuSeconds();
    if (seconds !== null) process.stdout.write(`\n${seconds.toFixed(0)} s of CPU\n`);
    process.stdout.write(`\n${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped\n`);
  }
}

/** A file takes the time of its imports, its hooks and its tests. The set-up that all files share is not counted. */
function slowestOf(modules: readonly TestModule[]): readonly string[] {
  const timed = modules.map((module) => {
    const { collectDuration, duration } = module.diagnostic();
    return { name: module.relativeModuleId, ms: collectDuration + duration };
  });
  const slowest = timed.toSorted((a, b) => b.ms - a.ms).slice(0, SLOWEST_FILES_COUNT);
  return ['Slowest files:', ...slowest.map(({ name, ms }) => `${(ms / 1000).toFixed(1).padStart(6)} s  ${name}`)];
}

/**
 * What this process, its children and theirs have cost, those included that have ended: unlike the time that a run took, it does not
 * depend on what else a machine does. Null where there is no /proc.
 */
function cpuSeconds(): number | null {
  const processes = new Map<number, { readonly parent: number; readonly ticks: number }>();
  try {
    for (const name of readdirSync('/proc')) {
      if (/^\d+$/.test(name)) processes.set(Number(name), statOf(name));
    }
  } catch {
    return null;
  }
  const isOurs = (id: number): boolean =>
    id === process.pid || (processes.has(id) && isOurs(processes.get(id)?.parent ?? 0));
  const ours = [...processes].filter(([id]) => isOurs(id));
  return ours.reduce((sum, [, { ticks }]) => sum + ticks, 0) / TICKS_PER_SECOND;
}

/** proc_pid_stat(5): after the name in parentheses come the state, the parent, and as 12th to 15th the times: its own, and of its ended children. */
function statOf(id: string): { readonly parent: number; readonly ticks: number } {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${id}/stat`, 'utf8');
  } catch {
    // It has ended since.
    return { parent: 0, ticks: 0 };
  }
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return { parent: Number(fields[1]), ticks: fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks), 0) };
}
