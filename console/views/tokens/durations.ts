import { duration } from '../../parts/figures.ts';

// The lifetimes and overlaps that dialogs offer, as the API takes them.

export interface Choice {
  /** What the API takes, such as `30d`. Empty: the parameter is left out. */
  readonly value: string;
  readonly title: string;
}

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

/** How long something is, such as `30 days`. */
export const durationWords = (seconds: number): string => inUnit(seconds).title;

/**
 * The lifetimes that a role lets a token have, the shortest first.
 *
 * @param maxSeconds the longest. Null: a token may live for ever.
 */
export function lifetimeChoices(maxSeconds: number | null): readonly Choice[] {
  const within = LIFETIMES.filter((seconds) => maxSeconds === null || seconds <= maxSeconds).map(inUnit);
  if (maxSeconds === null) return [...within, { value: '', title: 'It does not expire' }];
  const longest = inUnit(maxSeconds);
  return within.some(({ value }) => value === longest.value)
    ? within
    : [...within, { value: longest.value, title: `${longest.title}, the longest that your role allows` }];
}

/** What is chosen at first: a month, or the longest below it. */
export const usualLifetime = (maxSeconds: number | null): string =>
  inUnit(Math.min(maxSeconds ?? USUAL_LIFETIME, USUAL_LIFETIME)).value;

/** The overlaps of a rotation that a role allows, none first. */
export function overlapChoices(maxSeconds: number): readonly Choice[] {
  const within = OVERLAPS.filter((seconds) => seconds <= maxSeconds);
  const longest = within.at(-1) === maxSeconds || maxSeconds === 0 ? [] : [maxSeconds];
  return [
    { value: '0s', title: 'None: its secret has leaked, so revoke it at once' },
    ...[...within, ...longest].map((seconds) => ({ value: inUnit(seconds).value, title: inUnit(seconds).title })),
  ];
}

/** The overlap that is chosen at first: a day, or the longest below it. */
export const usualOverlap = (maxSeconds: number): string =>
  maxSeconds === 0 ? '0s' : inUnit(Math.min(maxSeconds, USUAL_OVERLAP)).value;

/** How far two moments that belong together are apart, such as `31 ms`. Null: too far for that to tell anything. */
export const gapWords = (ms: number): string | null => (ms >= 0 && ms < 60_000 ? duration(ms) : null);
