/** RFC 3339 with any offset, or PipeOps' second form, `2006-01-02 15:04:05`, which is UTC. */
const TIME =
  /^(?<day>\d{4}-\d{2}-\d{2})(?:[Tt](?<clock>\d{2}:\d{2}:\d{2})(?:\.(?<fraction>\d{1,9}))?(?<offset>[Zz]|[+-]\d{2}:\d{2})| (?<utcClock>\d{2}:\d{2}:\d{2}))$/;

/**
 * A time of PipeOps as RFC 3339 with milliseconds, UTC; finer digits are cut. Null: not a time, a day that no calendar
 * has included.
 */
export const parseTime = (text: string): string | null => {
  const parts = TIME.exec(text)?.groups;
  if (parts === undefined) return null;
  const wallClock = `${parts['day']}T${parts['clock'] ?? parts['utcClock']}`;
  const milliseconds = (parts['fraction'] ?? '').slice(0, 3).padEnd(3, '0');
  const wall = new Date(`${wallClock}.${milliseconds}Z`);
  // Date turns 30 February into 2 March.
  if (Number.isNaN(wall.getTime()) || !wall.toISOString().startsWith(wallClock)) return null;
  const instant = new Date(`${wallClock}.${milliseconds}${(parts['offset'] ?? 'Z').toUpperCase()}`);
  if (Number.isNaN(instant.getTime())) return null;
  const iso = instant.toISOString();
  // Beyond the year 9999, where an offset can lead, ISO 8601 leaves RFC 3339.
  return /^\d{4}-/.test(iso) ? iso : null;
};
