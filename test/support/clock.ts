const HOUR_MS = 60 * 60 * 1000;
const DAY_MS = 24 * HOUR_MS;

/** Milliseconds by which a test moves its clock on, so that the next `hours` are of one UTC day: what is told "once a day" is told once. */
export function untilRoomInDay(nowMs: number, hours: number): number {
  const leftMs = DAY_MS - (nowMs % DAY_MS);
  return leftMs > hours * HOUR_MS ? 0 : leftMs + HOUR_MS;
}
