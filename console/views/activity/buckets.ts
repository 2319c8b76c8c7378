import type { AuditCount } from '../../../package/client/types.ts';
import type { AuditStatus } from '../../../package/client/vocabulary.ts';
import { AUDIT_STATUSES } from '../../../src/vocabulary.ts';

// Bars over time: how many events there were of each status in each hour or day. Hours and days are of UTC, as the counts are.

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** Up to three days are shown by the hour, so that no bar is too thin to be pointed at. */
const MAX_HOURS = 72;
/** A count gives at most 200 keys. */
const MAX_DAYS = 180;
/** Less than this is shown with what was around it: a single bar tells nothing. */
const LEAST_HOURS = 24;
/** What is shown where no range is asked for. */
const DEFAULT_DAYS = 30;

/** Milliseconds since the epoch. `toMs` is not included. */
export interface Range {
  readonly fromMs: number;
  readonly toMs: number;
}

export type Step = 'hour' | 'day';
export const stepOf = ({ fromMs, toMs }: Range): Step => (toMs - fromMs > (MAX_HOURS + 1) * HOUR_MS ? 'day' : 'hour');
const msOf = (step: Step): number => (step === 'hour' ? HOUR_MS : DAY_MS);

/** A range that begins and ends with whole hours or days. */
function whole({ fromMs, toMs }: Range, stepMs: number): Range {
  return { fromMs: Math.floor(fromMs / stepMs) * stepMs, toMs: Math.ceil(toMs / stepMs) * stepMs };
}

/**
 * The range that is asked for. An open end is now, and an open beginning thirty days before the end.
 *
 * @param fromMs null: it is open, as `toMs` may be.
 */
export function askedRange(fromMs: number | null, toMs: number | null, nowMs: number): Range {
  const end = Math.min(toMs ?? nowMs, nowMs);
  return { fromMs: Math.min(fromMs ?? end - (DEFAULT_DAYS - 1) * DAY_MS, end - 1), toMs: end };
}

/** The range that bars are drawn of: whole bars of what is asked for, and not more than there may be. Of a longer range it is the newest part. */
export function drawnRange({ fromMs, toMs }: Range, nowMs: number): Range {
  const missingMs = Math.max(0, LEAST_HOURS * HOUR_MS - (toMs - fromMs));
  const end = Math.min(nowMs, toMs + missingMs / 2);
  const wide = { fromMs: Math.min(fromMs, end - LEAST_HOURS * HOUR_MS), toMs: end };
  if (stepOf(wide) === 'hour') return whole(wide, HOUR_MS);
  return whole({ fromMs: Math.max(wide.fromMs, end - (MAX_DAYS - 1) * DAY_MS), toMs: end }, DAY_MS);
}

export interface Bar extends Range {
  readonly counts: Readonly<Record<AuditStatus, number>>;
  readonly total: number;
}

/** The bars of a range that `drawnRange` gave, the oldest first, those without events among them. */
export function barsOf(
  range: Range,
  counts: Readonly<Partial<Record<AuditStatus, readonly AuditCount[]>>>,
): readonly Bar[] {
  const stepMs = msOf(stepOf(range));
  const begins = AUDIT_STATUSES.map(
    (status) => [status, new Map(counts[status]?.map(({ key, count }) => [Date.parse(key), count]))] as const,
  );
  return Array.from({ length: Math.max(1, Math.round((range.toMs - range.fromMs) / stepMs)) }, (_, index) => {
    const fromMs = range.fromMs + index * stepMs;
    const own = { success: 0, failure: 0, attempted: 0 };
    for (const [status, byBegin] of begins) own[status] = byBegin.get(fromMs) ?? 0;
    return { fromMs, toMs: fromMs + stepMs, counts: own, total: own.success + own.failure + own.attempted };
  });
}

/** The bars that a range touches. */
export const barsWithin = (bars: readonly Bar[], { fromMs, toMs }: Range): readonly Bar[] =>
  bars.filter((bar) => bar.toMs > fromMs && bar.fromMs < toMs);

/** The range of the bars from one to another, whichever comes first. */
export function spanOf(bars: readonly Bar[], one: number, other: number): Range | null {
  const [first, last] = [bars[Math.min(one, other)], bars[Math.max(one, other)]];
  return first === undefined || last === undefined ? null : { fromMs: first.fromMs, toMs: last.toMs };
}

/** A round number at least as large as every bar, for the axis. */
export function ceilingOf(bars: readonly Bar[]): number {
  const most = Math.max(1, ...bars.map(({ total }) => total));
  const power = 10 ** Math.floor(Math.log10(most));
  const step = [1, 2, 5, 10].find((times) => times * power >= most) ?? 10;
  return step * power;
}
