import { mutated } from './mutate.ts';
import type { Mutant } from './edit.ts';

/** The lines that a mutant changes: what a person reads of it, and what an accepted equivalent quotes. */
export interface Change {
  /** Number of the first line, from 1, in the source. */
  readonly line: number;
  readonly lastLine: number;
  /** In one line, without indentation. */
  readonly before: string;
  readonly after: string;
}

export function changeOf(source: string, mutant: Mutant): Change {
  const before = source.split('\n');
  const after = mutated(source, mutant).split('\n');
  const shortest = Math.min(before.length, after.length);
  let head = 0;
  while (head < shortest && before[head] === after[head]) head += 1;
  let tail = 0;
  while (tail < shortest - head && before.at(-1 - tail) === after.at(-1 - tail)) tail += 1;
  return {
    line: head + 1,
    lastLine: Math.max(head + 1, before.length - tail),
    before: oneLine(before.slice(head, before.length - tail)),
    after: oneLine(after.slice(head, after.length - tail)),
  };
}

const oneLine = (lines: readonly string[]): string =>
  lines
    .map((line) => line.trim())
    .join(' ')
    .trim();
