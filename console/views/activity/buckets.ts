import type { AuditCount } from '../../../package/client/types.ts';
import type { AuditStatus } from '../../../package/client/vocabulary.ts';

// Bars over time: how many events there were of each status in each hour or day.

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** A count gives at most 200 keys. The ends of a range may cut two more. */
const MAX_HOURS = 72;
const MAX_DAYS = 180;
/** What is shown where no range is asked for. */
export const DEFAULT_DAYS = 30;

export interface Range {
  /** Milliseconds since the epoch. `toMs` is not included. */
  readonly fromMs: number;
  readonly toMs: number;
}

/** Whether bars are of hours or of days: of hours up to three days, so that no bar is too thin to be pointed at. */
export type Step = 'hour' | 'day';
export const stepOf = ({ fromMs, toMs }: Range): Step => (toMs - fromMs <= MAX_HOURS * HOUR_MS ? 'hour' : 'day');
const msOf = (step: Step): number => (step === 'hour' ? HOUR_MS : DAY_MS);

/**
 * The range that bars are drawn of. An open end is now, and an open beginning thirty days before the end. No more is drawn than has bars: of a
 * longer range the newest part.
 */
export function shownRange(fromMs: number | null, toMs: number | null, nowMs: number): Range {
  const end = Math.min(toMs ?? nowMs, nowMs);
  const begin = fromMs ?? end - (DEFAULT_DAYS - 1) * DAY_MS;
  const range = { fromMs: Math.min(begin, end - 1), toMs: end };
  return stepOf(range) === 'hour'
    ? range
    : { fromMs: Math.max(range.fromMs, end - (MAX_DAYS - 1) * DAY_MS), toMs: end };
}

export interface Bar extends Range {
  readonly counts: Readonly<Record<AuditStatus, number>>;
  readonly total: number;
}

/** The bars of a range, the oldest first, those without events among them. Hours and days are of UTC, as the counts are. */
export function barsOf(
  range: Range,
  counts: Readonly<Partial<Record<AuditStatus, readonly AuditCount[]>>>,
): readonly Bar[] {
  const stepMs = msOf(stepOf(range));
  const firstMs = Math.floor(range.fromMs / stepMs) * stepMs;
  const length = Math.max(1, Math.ceil((range.toMs - firstMs) / stepMs));
  const byKey = (status: AuditStatus): ReadonlyMap<number, number> =>
    new Map((counts[status] ?? []).map(({ key, count }) => [Date.parse(key), count]));
  const [success, failure, attempted] = [byKey('success'), byKey('failure'), byKey('attempted')];
  return Array.from({ length }, (_, index) => {
    const fromMs = firstMs + index * stepMs;
    const of = (map: ReadonlyMap<number, number>): number => map.get(fromMs) ?? 0;
    const bar = { success: of(success), failure: of(failure), attempted: of(attempted) };
    return { fromMs, toMs: fromMs + stepMs, counts: bar, total: bar.success + bar.failure + bar.attempted };
  });
}

/** The range of the bars from one to another, whichever comes first. */
export function spanOf(bars: readonly Bar[], one: number, other: number): Range | null {
  const [first, last] = [bars[Math.min(one, other)], bars[Math.max(one, other)]];
  return first === undefined || last === undefined ? null : { fromMs: first.fromMs, toMs: last.toMs };
}

/** A range three times as long around the same middle, and never beyond now. Null: from thirty days on there is none, and the range is open. */
export function zoomedOut({ fromMs, toMs }: Range, nowMs: number): Range | null {
  const lengthMs = (toMs - fromMs) * 3;
  if (lengthMs > DEFAULT_DAYS * DAY_MS) return null;
  const end = Math.min(nowMs, toMs + (toMs - fromMs));
  return { fromMs: end - lengthMs, toMs: end };
}

/** A round number at least as large as every bar, for the axis. */
export function ceilingOf(bars: readonly Bar[]): number {
  const most = Math.max(1, ...bars.map(({ total }) => total));
  const power = 10 ** Math.floor(Math.log10(most));
  const step = [1, 2, 5, 10].find((times) => times * power >= most) ?? 10;
  return step * power;
}
