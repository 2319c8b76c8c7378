import { createReadStream } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { ISOLATE_HEAP_FLAG } from '../../local/worker.ts';

/** As on Cloudflare; and V8 says in the log what each collection left. */
export const ISOLATE_LIMITS = { MINIFLARE_WORKERD_V8_FLAGS: `${ISOLATE_HEAP_FLAG} --trace-gc` } as const;

/** A collection of everything, not of what is young: `[1:0x2a] 99 ms: Mark-Compact (reduce) 70.8 (103.4) -> 7.9 (103.2) MB`. */
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
