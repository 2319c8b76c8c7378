import { setTimeout as delay } from 'node:timers/promises';
import type { Control } from '../pipeops-simulator/control.ts';
import type { Fault } from '../pipeops-simulator/faults-wire.ts';

const FAULTS_PER_SECOND = 3;
const METHODS = ['GET', 'POST', 'PATCH', 'DELETE'] as const;

/** What goes wrong between us and PipeOps, each as often as the others. */
const FAULTS: readonly (() => Fault)[] = [
  () => ({ status: 503 }),
  () => ({ status: 503, commit: true }),
  () => ({ drop: 'before_commit' }),
  () => ({ drop: 'after_commit' }),
  () => ({ delay_ms: 1_000 + Math.random() * 2_000 }),
  () => ({ delay_ms: 1_000 + Math.random() * 2_000, commit: true, drop: 'after_commit' }),
  () => ({ truncate_body: true }),
  () => ({ truncate_body: true, drop: 'after_commit' }),
  () => ({ match: { method: 'GET' }, partial: Math.floor(Math.random() * 10) }),
  () => ({ status: 429, headers: { 'Retry-After': '1' } }),
];

/** Lets PipeOps fail at random, a few times a second, until it is told to stop. */
export function startFaults(control: Control): { readonly stop: () => Promise<number> } {
  const stopping = new AbortController();
  const injecting = inject(control, stopping.signal);
  return {
    stop: async () => {
      stopping.abort();
      const count = await injecting;
      await control.clearFaults();
      return count;
    },
  };
}

async function inject(control: Control, stopping: AbortSignal): Promise<number> {
  for (let count = 0; ; count += 1) {
    await delay(Math.random() * (2_000 / FAULTS_PER_SECOND));
    if (stopping.aborted) return count;
    const fault = any(FAULTS)();
    // Reads outnumber changes: half of the faults are for the changes.
    const match = Math.random() < 0.5 ? {} : { match: { method: any(METHODS) } };
    const { delay_ms: delayMs } = fault;
    await control.fault({ ...match, ...fault, ...(delayMs !== undefined && { delay_ms: Math.round(delayMs) }) });
  }
}

/** One of them, by chance. */
export function any<T>(of: readonly T[]): T {
  const one = of[Math.floor(Math.random() * of.length)];
  if (one === undefined) throw new Error('there is none');
  return one;
}
