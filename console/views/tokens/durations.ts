import type { Choice } from '../../parts/fields.tsx';

// The lifetimes and overlaps that dialogs offer, as the API takes them.

const HOUR = 60 * 60;
const DAY = 24 * HOUR;
const LIFETIMES = [HOUR, DAY, 7 * DAY, 30 * DAY, 90 * DAY, 365 * DAY] as const;
const OVERLAPS = [HOUR, DAY, 3 * DAY, 7 * DAY, 30 * DAY] as const;
/** What a rotation's overlap is where nobody names one. */
const USUAL_OVERLAP = DAY;
/** What is chosen at first where a role allows it: long enough for a pipeline, and short enough to be rotated. */
const USUAL_LIFETIME = 30 * DAY;

const UNITS = [
  { name: 'day', sign: 'd', seconds: DAY },
  { name: 'hour', sign: 'h', seconds: HOUR },
  { name: 'minute', sign: 'm', seconds: 60 },
  { name: 'second', sign: 's', seconds: 1 },
] as const;

/** Seconds in the largest unit that gives a whole number. */
function inUnit(seconds: number): { readonly value: string; readonly title: string } {
  const unit = UNITS.find((one) => seconds % one.seconds === 0) ?? UNITS[3];
  const count = seconds / unit.seconds;
  return { value: `${count}${unit.sign}`, title: `${count} ${unit.name}${count === 1 ? '' : 's'}` };
}

/** Those of some lengths that are within a limit, and the limit itself. Null: there is none. */
const upTo = (lengths: readonly number[], maxSeconds: number | null): readonly Choice[] => {
  const within = maxSeconds === null ? lengths : lengths.filter((seconds) => seconds < maxSeconds);
  return [...within, ...(maxSeconds === null || maxSeconds === 0 ? [] : [maxSeconds])].map(inUnit);
};

/**
 * The lifetimes that a role lets a token have, the shortest first.
 *
 * @param maxSeconds the longest. Null: a token may live for ever.
 */
export const lifetimeChoices = (maxSeconds: number | null): readonly Choice[] => [
  ...upTo(LIFETIMES, maxSeconds),
  ...(maxSeconds === null ? [{ value: '', title: 'It does not expire' }] : []),
];

/** What is chosen at first: a month, or the longest below it. */
export const usualLifetime = (maxSeconds: number | null): string =>
  inUnit(Math.min(maxSeconds ?? USUAL_LIFETIME, USUAL_LIFETIME)).value;

/** A lifetime that was chosen, as the API takes it. */
export const lifetimeOf = (value: string): { readonly expires_in?: string } =>
  value === '' ? {} : { expires_in: value };

/** The overlaps of a rotation that a role allows, none first. */
export const overlapChoices = (maxSeconds: number): readonly Choice[] => [
  { value: '0s', title: 'None: its secret has leaked, so revoke it at once' },
  ...upTo(OVERLAPS, maxSeconds),
];

/** The overlap that is chosen at first: a day, or the longest below it. */
export const usualOverlap = (maxSeconds: number): string =>
  maxSeconds === 0 ? '0s' : inUnit(Math.min(maxSeconds, USUAL_OVERLAP)).value;
