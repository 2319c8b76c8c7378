import { setTimeout as delay } from 'node:timers/promises';
import type { Operations, SoakCaller } from './mixed-operations.ts';
import { any } from './random-faults.ts';

/** Those who call: each may ask 100 times in 10 s, and the load is 2,000. */
export interface SoakCallers {
  /** Of a role that may do everything. */
  readonly admins: readonly SoakCaller[];
  /** Of the least that a pipeline needs. */
  readonly pipelines: readonly SoakCaller[];
  readonly auditors: readonly SoakCaller[];
}

const TICK_MS = 10;
const LEAK_EVERY_REQUESTS = 1_000;
/** Of a thousand requests. */
const SHARES = {
  list: 505,
  get: 330,
  audit: 60,
  whoami: 20,
  listAnew: 15,
  create: 25,
  update: 20,
  revoke: 15,
  rotate: 10,
} as const;
type Kind = keyof typeof SHARES;
const KINDS = Object.keys(SHARES).flatMap((name) => {
  const kind = name as Kind;
  return Array.from({ length: SHARES[kind] }, () => kind);
});
/** Of what pipelines may do. They meet tokens that are not theirs, and are told that there are none. */
const PIPELINE_SHARE = 0.15;

export interface LoadFigures {
  readonly sent: number;
  /** The most that were on their way at once. */
  readonly mostInFlight: number;
}

/**
 * An open loop: so many requests a second are sent, however long the answers take. Ends when all are answered.
 *
 * @param callersAt who calls, so many milliseconds after the begin.
 */
export async function runMixedLoad(
  operations: Operations,
  callersAt: (elapsedMs: number) => SoakCallers,
  { perSecond, forMs }: { readonly perSecond: number; readonly forMs: number },
): Promise<LoadFigures> {
  const inFlight = new Set<Promise<void>>();
  let sent = 0;
  let mostInFlight = 0;
  const start = (work: Promise<void>): void => {
    const tracked = work.finally(() => inFlight.delete(tracked));
    inFlight.add(tracked);
    mostInFlight = Math.max(mostInFlight, inFlight.size);
  };
  const startedAt = performance.now();
  for (;;) {
    const elapsedMs = performance.now() - startedAt;
    if (elapsedMs >= forMs) break;
    const callers = callersAt(elapsedMs);
    for (const due = (elapsedMs * perSecond) / 1000; sent < due; sent += 1) {
      start(sendOne(operations, callers));
      if (sent % LEAK_EVERY_REQUESTS === LEAK_EVERY_REQUESTS - 1) start(operations.leak());
    }
    await delay(TICK_MS);
  }
  await Promise.all(inFlight);
  return { sent, mostInFlight };
}

async function sendOne(operations: Operations, { admins, pipelines, auditors }: SoakCallers): Promise<void> {
  const kind = any(KINDS);
  if (kind === 'audit') return await operations.audit(any(auditors));
  const isPipeline = kind !== 'update' && kind !== 'revoke' && Math.random() < PIPELINE_SHARE;
  return await operations[kind](any(isPipeline ? pipelines : admins));
}
