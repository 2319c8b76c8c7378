import { readFileSync } from 'node:fs';

/**
 * The last quarter of a run may hold this much more than its second, and an allowance. In the first, V8's heaps grow to what
 * they collect at: a minute and a half of load. More than a tenth is growth.
 */
const GROWTH_MAX_RATIO = 1.1;

export interface MemoryWatch {
  /** Resident megabytes, in order. */
  readonly stop: () => readonly number[];
}

/** Looks at a process every so often. Linux alone tells it. */
export function watchMemory(pid: number, intervalMs: number): MemoryWatch {
  const samples: number[] = [];
  const timer = setInterval(() => {
    const megabytes = residentMb(pid);
    if (megabytes !== null) samples.push(megabytes);
  }, intervalMs);
  return {
    stop: () => {
      clearInterval(timer);
      return samples;
    },
  };
}

export interface Growth {
  /** Medians of megabytes. */
  readonly quarters: readonly number[];
  readonly isLevel: boolean;
}

/** Nothing was measured: nothing is wrong. */
export function growthOf(samples: readonly number[], allowanceMb: number): Growth {
  const quarters = [0, 1, 2, 3].map((index) =>
    median(samples.slice(Math.floor((samples.length * index) / 4), Math.ceil((samples.length * (index + 1)) / 4))),
  );
  const [, second = Number.NaN, , last = Number.NaN] = quarters;
  return { quarters, isLevel: !(last > second * GROWTH_MAX_RATIO + allowanceMb) };
}

function residentMb(pid: number): number | null {
  try {
    const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return kilobytes === undefined ? null : Math.round(Number(kilobytes) / 1024);
  } catch {
    return null;
  }
}

/** NaN for none. */
const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
