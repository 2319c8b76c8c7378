import type { Status } from '../../../package/client/types.ts';
import { count, plain, share } from '../../parts/figures.ts';

// What `/status` says, as the cards of the page show it. A fact is shown under its own name, so one that a newer service adds is shown too.

/** A fact in words. */
export interface ToldFact {
  readonly name: string;
  readonly kind: 'time' | 'event' | 'number' | 'text';
  /** A number is grouped by thousands, and of a list each has a line. */
  readonly value: string;
  /** Whether somebody should look into it at once. */
  readonly isAlarming: boolean;
}

const TIME = /^\d{4}-\d\d-\d\dT[\d:.]+Z$/;

/** The names of the wire that would not be understood by themselves. */
const NAMES: Readonly<Record<string, string>> = {
  last_at: 'Met last',
  workspace_uuids: 'Which',
  count: 'Attempts without an outcome',
  next_scheduled_at: 'Next one that a rotation planned',
  acknowledged: 'Acknowledged, to be confirmed',
  failed: 'Given up',
};

/**
 * The facts of an object of the wire, in its order. What is null or empty is left out, and so is what is an object itself.
 *
 * @param without names that are shown elsewhere.
 */
export const factsOf = (known: object, without: readonly string[] = []): readonly ToldFact[] =>
  Object.entries(known).flatMap(([key, value]): readonly ToldFact[] => {
    const told = without.includes(key) ? null : valueOf(key, value);
    return told === null
      ? []
      : [{ name: NAMES[key] ?? nameOf(key), ...told, isAlarming: ALARMING.includes(key) && value !== 0 }];
  });

/** Numbers that are to be nothing. */
const ALARMING: readonly string[] = ['failed', 'contradicted'];

/** `last_accepted_at` is `Last accepted`. */
function nameOf(key: string): string {
  const words = key.replace(/_at$/, '').replaceAll('_', ' ');
  return words.charAt(0).toUpperCase() + words.slice(1);
}

function valueOf(key: string, value: unknown): Pick<ToldFact, 'kind' | 'value'> | null {
  if (typeof value === 'number') return { kind: 'number', value: plain(value) };
  if (typeof value === 'boolean') return { kind: 'text', value: value ? 'yes' : 'no' };
  const text = Array.isArray(value) ? value.join('\n') : value;
  if (typeof text !== 'string' || text === '') return null;
  if (key === 'because') return { kind: 'text', value: text.replaceAll('_', ' ') };
  return { kind: TIME.test(text) ? 'time' : key === 'event_id' ? 'event' : 'text', value: text };
}

/** How much of a window of PipeOps' quota is used: as PipeOps tells it, and as far as it tells nothing, what is reserved here. */
export function quotaUse({ limit, reserved, remaining }: Status['quota']['minute']): {
  readonly used: number;
  readonly limit: number;
  readonly words: string;
} {
  const used = Math.min(limit, Math.max(reserved, remaining === null ? 0 : limit - remaining));
  const told = remaining === null ? '' : ` PipeOps says that ${count(remaining, 'call is', 'calls are')} left.`;
  return { used, limit, words: `${plain(reserved)} of ${count(limit, 'call')} are reserved here.${told}` };
}

/** How full the database is, in words. */
export const databaseWords = (size: number | null, most: number): string =>
  size === null ? 'The database has not said how large it is.' : `${share(size, most)} of what it may hold.`;

/** The verdict on the whole, as a sentence, with its tone. */
export function verdict(
  notReady: number,
  degraded: number,
): { readonly tone: 'good' | 'warning' | 'danger'; readonly text: string } {
  if (notReady > 0) return { tone: 'danger', text: 'The service does nothing at the moment.' };
  if (degraded > 0) {
    return { tone: 'warning', text: `The service works. ${count(degraded, 'thing needs', 'things need')} attention.` };
  }
  return { tone: 'good', text: 'Everything works.' };
}

/** Whether a time that the cron should have kept has passed, by more than one of its minutes. */
export const isOverdue = (at: string | null, nowMs: number): boolean => at !== null && nowMs - Date.parse(at) > 120_000;
