// Times as they are typed in a question: how long ago, a day of UTC, or a time of RFC 3339.

const UNITS_MS: Readonly<Record<string, number>> = {
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 7 * 86_400_000,
};
const AGO = /^(\d{1,6})([smhdw])$/;
const DAY = /^\d{4}-\d{2}-\d{2}$/;
const TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,3})?)?(Z|[+-]\d{2}:\d{2})$/i;

/**
 * The moment that a text means, in milliseconds since the epoch. A day begins at midnight UTC; as the end of a range it is included, as
 * the command `countersign audit` has it.
 *
 * @returns null if the text is no time.
 */
export function momentOf(text: string, end: 'from' | 'to', nowMs: number): number | null {
  const ago = AGO.exec(text);
  if (ago !== null) return nowMs - Number(ago[1]) * (UNITS_MS[ago[2] ?? ''] ?? 0);
  if ((!DAY.test(text) && !TIME.test(text)) || !isDay(text.slice(0, 10))) return null;
  const atMs = Date.parse(text);
  if (Number.isNaN(atMs)) return null;
  return DAY.test(text) && end === 'to' ? atMs + 86_400_000 : atMs;
}

/** Whether there is such a day. Browsers take 30 February for 2 March. */
function isDay(day: string): boolean {
  const atMs = Date.parse(day);
  return !Number.isNaN(atMs) && new Date(atMs).toISOString().startsWith(day);
}

export const isMoment = (text: string): boolean => momentOf(text, 'from', 0) !== null;
