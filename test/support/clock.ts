const HOUR_MS = 60 * 60 * 1000;
const DAY_MS = 24 * HOUR_MS;

/** Milliseconds by which a test moves its clock on, so that the next `hours` are of one UTC day: what is told "once a day" is told once. */
export function untilRoomInDay(nowMs: number, hours: number): number {
  const leftMs = DAY_MS - (nowMs % DAY_MS);
  return leftMs > hours * HOUR_MS ? 0 : leftMs + HOUR_MS;
}

/** What is due after one minute and after two proofs shows in these. */
const EACH_MINUTE_COUNT = 5;

/**
 * The minutes from each run of the cron to the next, so many in all: each of the first ones, then twice as far apart each time, as the
 * tries of an order are. A run costs as much as six requests, and what falls due between two of these is only done later.
 */
export function growingMinutes(count: number): readonly number[] {
  const steps: number[] = [];
  for (let passed = 0, step = 1; passed < count; passed += step) {
    if (passed >= EACH_MINUTE_COUNT) step = Math.min(2 * step, count - passed);
    steps.push(step);
  }
  return steps;
}
