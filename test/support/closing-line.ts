import type { Reporter, TestModule } from 'vitest/node';

/** So many of the slowest files are named, so that a file that grows slow is seen before the whole run is. */
const SLOWEST_FILES_COUNT = 10;

/** Ends a run with its slowest files and one plain line, for whoever reads logs by machine. */
export default class ClosingLine implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const counts = { passed: 0, failed: 0, skipped: 0, pending: 0 };
    for (const module of modules) {
      for (const test of module.children.allTests()) counts[test.result().state] += 1;
    }
    process.stdout.write(`\n${slowestOf(modules).join('\n')}\n`);
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
