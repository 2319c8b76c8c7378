import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/** Line numbers, both inclusive. */
export interface Lines {
  readonly first: number;
  readonly last: number;
}

const git = async (cwd: string, ...options: readonly string[]): Promise<string> =>
  (await promisify(execFile)('git', options, { cwd, maxBuffer: 64 * 1024 * 1024 })).stdout;

/**
 * The lines of `src` that are not as they were where this branch left a git ref, uncommitted changes included. Where
 * lines were only removed, those are named that now stand beside the gap. Rejects if there is no such ref.
 */
export async function changedSince(checkout: string, ref: string): Promise<ReadonlyMap<string, readonly Lines[]>> {
  const [diff, untracked] = await Promise.all([
    git(checkout, 'diff', '-U0', '--no-color', '--no-ext-diff', '--merge-base', ref, '--', 'src'),
    git(checkout, 'ls-files', '--others', '--exclude-standard', '--', 'src'),
  ]);
  const wholeFiles = untracked.split('\n').filter((file) => file !== '');
  return new Map([
    ...changedLines(diff),
    ...wholeFiles.map((file) => [file, [{ first: 1, last: Number.MAX_SAFE_INTEGER }]] as const),
  ]);
}

/** Of what `git diff -U0` prints. */
export function changedLines(diff: string): ReadonlyMap<string, readonly Lines[]> {
  const changed = new Map<string, Lines[]>();
  let lines: Lines[] = [];
  for (const line of diff.split('\n')) {
    const file = /^\+\+\+ (?:b\/)?(.+)$/.exec(line)?.[1];
    if (file !== undefined) {
      lines = [];
      if (file !== '/dev/null') changed.set(file, lines);
    }
    const hunk = /^@@ -\S+ \+(\d+)(?:,(\d+))? @@/.exec(line);
    if (hunk === null) continue;
    const first = Number(hunk[1]);
    const count = Number(hunk[2] ?? 1);
    lines.push(count === 0 ? { first, last: first + 1 } : { first, last: first + count - 1 });
  }
  return changed;
}
