/** RFC 3339 to milliseconds since the epoch; the text was checked where it came in. */
export const msOrNull = (rfc3339: string | null): number | null => (rfc3339 === null ? null : Date.parse(rfc3339));

export const rfc3339OrNull = (ms: number | null): string | null => (ms === null ? null : new Date(ms).toISOString());
