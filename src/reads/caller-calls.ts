import { READ_CALLERS_MAX_COUNT, READ_CALLS_PER_MINUTE } from '../config/limits.ts';

const MINUTE_MS = 60_000;

/** The calls to PipeOps that one caller's reads may cause. */
export interface CallerCalls {
  /** For how many seconds there is none left; 0: there is one. */
  waitSeconds(nowMs: number): number;
  /** Uses one up, which may be given back where it is not sent; null: there is none left. */
  take(nowMs: number): (() => void) | null;
}

/**
 * Counts them in this isolate: whoever reads single ids, or always wants the newest list, must not use up what all have together.
 * Callers who were not seen for longest are forgotten first.
 */
export function createCallerCalls(): (caller: { readonly issuer: string; readonly subject: string }) => CallerCalls {
  /** When each was sent; milliseconds since the epoch. */
  const sent = new Map<string, readonly number[]>();

  /** A time that is ahead is of a clock that was put back. */
  const within = (name: string, nowMs: number): readonly number[] =>
    (sent.get(name) ?? []).filter((atMs) => atMs > nowMs - MINUTE_MS && atMs <= nowMs);

  const keep = (name: string, times: readonly number[]): void => {
    sent.delete(name);
    if (times.length > 0) sent.set(name, times);
    const [oldest] = sent.keys();
    if (sent.size > READ_CALLERS_MAX_COUNT && oldest !== undefined) sent.delete(oldest);
  };

  return ({ issuer, subject }) => {
    const name = JSON.stringify([issuer, subject]);
    return {
      waitSeconds: (nowMs) => {
        const times = within(name, nowMs);
        const first = times[times.length - READ_CALLS_PER_MINUTE];
        return first === undefined ? 0 : Math.ceil((first + MINUTE_MS - nowMs) / 1000);
      },
      take: (nowMs) => {
        const times = within(name, nowMs);
        if (times.length >= READ_CALLS_PER_MINUTE) return null;
        keep(name, [...times, nowMs]);
        return () => {
          const now = sent.get(name) ?? [];
          const index = now.lastIndexOf(nowMs);
          if (index >= 0) keep(name, now.toSpliced(index, 1));
        };
      },
    };
  };
}
