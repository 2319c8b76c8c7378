import { useEffect, useState } from 'preact/hooks';

const TICK_MS = 10_000;
const listeners = new Set<() => void>();
setInterval(() => {
  for (const listener of listeners) listener();
}, TICK_MS);

/** The time now, in milliseconds since the epoch. The view is drawn again as it goes on. */
export function useNow(): number {
  const [nowMs, setNowMs] = useState(() => Date.now());
  useEffect(() => {
    const listener = (): void => setNowMs(Date.now());
    listeners.add(listener);
    return () => void listeners.delete(listener);
  }, []);
  return nowMs;
}

const STEPS = [
  { unit: 'year', ms: 365 * 86_400_000 },
  { unit: 'month', ms: 30 * 86_400_000 },
  { unit: 'day', ms: 86_400_000 },
  { unit: 'hour', ms: 3_600_000 },
  { unit: 'minute', ms: 60_000 },
  { unit: 'second', ms: 1_000 },
] as const;

const relative = new Intl.RelativeTimeFormat('en', { numeric: 'auto' });
const absolute = new Intl.DateTimeFormat('en', { dateStyle: 'medium', timeStyle: 'medium' });

/** How long ago, or how soon, something is: `2 minutes ago`, `in 3 days`. */
export function relativeTime(atMs: number, nowMs: number): string {
  const distance = atMs - nowMs;
  const step = STEPS.find(({ ms }) => Math.abs(distance) >= ms);
  if (step === undefined || Math.abs(distance) < 5_000) return 'just now';
  return relative.format(Math.trunc(distance / step.ms), step.unit);
}

/** A time in full: local first, and UTC. */
export const fullTime = (at: string): string =>
  `${absolute.format(new Date(at))} (${at.replace('T', ' ').replace('Z', ' UTC')})`;

/** A time as people say it, with the exact one on hover. */
export function Time({ at }: { readonly at: string }) {
  const nowMs = useNow();
  const atMs = Date.parse(at);
  if (Number.isNaN(atMs)) return <span>{at}</span>;
  return (
    <time dateTime={at} title={fullTime(at)}>
      {relativeTime(atMs, nowMs)}
    </time>
  );
}
