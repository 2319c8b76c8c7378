import { createReadStream, readFileSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { ISOLATE_HEAP_FLAG } from '../../local/worker.ts';

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

/** Limits an isolate as Cloudflare does, and has V8 log what each collection left. */
export const ISOLATE_LIMITS = { MINIFLARE_WORKERD_V8_FLAGS: `${ISOLATE_HEAP_FLAG} --trace-gc` } as const;

/** A collection of the whole heap, not only of its young part: `[1:0x2a] 99 ms: Mark-Compact (reduce) 70.8 (103.4) -> 7.9 (103.2) MB`. */
const FULL_COLLECTION =
  /:(?<isolate>0x[0-9a-f]+)\] +\d+ ms: Mark-Compact [^\d]*[\d.]+ \([\d.]+\) -> (?<leftMb>[\d.]+) /;

/** After each full collection, in order: the megabytes that outlived the last one, in the heaps of all isolates. */
export async function survivingHeaps(stateDir: string): Promise<readonly number[]> {
  const left = new Map<string, number>();
  const sums: number[] = [];
  for await (const line of createInterface({ input: createReadStream(path.join(stateDir, 'worker.log')) })) {
    const { isolate, leftMb } = FULL_COLLECTION.exec(line)?.groups ?? {};
    if (isolate === undefined || leftMb === undefined) continue;
    left.set(isolate, Number(leftMb));
    sums.push([...left.values()].reduce((sum, megabytes) => sum + megabytes, 0));
  }
  return sums;
}
