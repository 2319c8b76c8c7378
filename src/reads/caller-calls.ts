import {
  READ_CALLERS_MAX_COUNT,
  READ_CALLS_PER_MINUTE,
  READ_KEYS_MAX_COUNT,
  UPSTREAM_TIMEOUT_MS,
} from '../config/limits.ts';
import { MINUTE_MS, minuteBeginMs } from '../kit/time.ts';
import { type Call, callWithin } from '../pipeops/types.ts';
import { readIdentity } from '../trail/counted.ts';
import { type NewAuditRow, successOutcome } from '../trail/event.ts';
import type { Decided, Reading } from './steps.ts';
import { isCounted, rowOf } from './trip.ts';

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

/** In which rows the reads of this minute are that asked PipeOps: of those that are alike, whatever came of them, the last one. */
export interface CalledRows {
  /** The id of the row; null: this isolate knows none. */
  of(read: NewAuditRow): string | null;
  note(read: NewAuditRow, eventId: string): void;
}

/**
 * A read that asks PipeOps is often counted in the row of an alike one: then PipeOps is told the id of that row, since its own will be
 * in no trail.
 */
export function createCalledRows(): CalledRows {
  let ids = new Map<string, string>();
  let minute = 0;
  /** Without the outcome: nobody knows it before PipeOps has answered. */
  const nameOf = (read: NewAuditRow): string =>
    readIdentity({ ...read, status: 'success', error_code: null, upstream_status: null, outcome: null });
  return {
    of: (read) => ids.get(nameOf(read)) ?? null,
    note: (read, eventId) => {
      const readMinute = minuteBeginMs(read.occurred_at);
      if (readMinute !== minute || ids.size >= READ_KEYS_MAX_COUNT) ids = new Map();
      minute = readMinute;
      ids.set(nameOf(read), eventId);
    },
  };
}

/** What accompanies the calls of a read. PipeOps is told the id of the row that the read will be in, as far as that is known. */
export function callOf<T>(reading: Reading<T>): Call {
  if (reading.call !== null) return reading.call;
  const { dependencies, context, calls } = reading;
  const { runtime, snapshots } = dependencies;
  const eventId = snapshots.calledRows.of(rowOf(reading, successOutcome(null))) ?? reading.eventId;
  reading.call = callWithin(UPSTREAM_TIMEOUT_MS, runtime, context, eventId, { calls });
  return reading.call;
}

/** Notes the row of a read that asked PipeOps, for alike ones that will be counted in it. */
export function noteCalledRow<T>(reading: Reading<T>, decided: Decided<T>, eventId: string): void {
  if (reading.call === null || !isCounted(decided)) return;
  reading.dependencies.snapshots.calledRows.note(rowOf(reading, successOutcome(null)), eventId);
}
