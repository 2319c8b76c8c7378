import type { Status, Trouble } from '../../../package/client/types.ts';
import { count, plain, share } from '../../parts/figures.ts';

// What `/status` says, as the cards of the page show it.

/** One more fact of a trouble. */
export interface TroubleFact {
  readonly name: string;
  readonly kind: 'time' | 'event' | 'text';
  readonly value: string;
}

const FACTS: Readonly<Record<string, Omit<TroubleFact, 'value'>>> = {
  since: { name: 'Since', kind: 'time' },
  last_at: { name: 'Met last', kind: 'time' },
  error_code: { name: 'Code', kind: 'text' },
  upstream_status: { name: 'PipeOps answers', kind: 'text' },
  credential: { name: 'Credential', kind: 'text' },
  credentials: { name: 'Credentials', kind: 'text' },
  expires_at: { name: 'Ends', kind: 'time' },
  because: { name: 'Because', kind: 'text' },
  event_id: { name: 'Event', kind: 'event' },
  workspace_uuids: { name: 'Workspaces', kind: 'text' },
  said_by: { name: 'Said by', kind: 'text' },
  window: { name: 'Window', kind: 'text' },
  free_again_at: { name: 'Free again', kind: 'time' },
  missing: { name: 'Missing keys', kind: 'text' },
  lacking: { name: 'Missing tables and migrations', kind: 'text' },
  orders: { name: 'Revocations', kind: 'text' },
};

/** Values that are names of the wire, in words. */
const VALUES: Readonly<Record<string, string>> = {
  pipeops: 'PipeOps',
  countersign: 'this service, which keeps the last calls for revocation',
  outcome_unknown: 'an exchange may have spent the refresh token',
  refused: 'PipeOps does not accept the refresh token',
  rolled_back: 'the database was restored to before a renewal',
  replaced: 'another configured credential has taken over',
  unreadable: 'no key opens what the database holds',
};

/** What else is known of a trouble, in the order in which it is read best. A fact that is null or not known here is left out. */
export const factsOf = (trouble: Trouble<string>): readonly TroubleFact[] =>
  Object.entries(FACTS).flatMap(([key, { name, kind }]) => {
    const value = textOf(trouble[key]);
    return value === null ? [] : [{ name, kind, value: VALUES[value] ?? value }];
  });

function textOf(value: unknown): string | null {
  if (Array.isArray(value)) return value.length === 0 ? null : value.map(String).join(', ');
  if (typeof value === 'number') return plain(value);
  return typeof value === 'string' && value !== '' ? value : null;
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

/** What is not over yet and what was given up, in words; empty: nothing is. */
export function openWork({ open_attempts: attempts, orders }: Pick<Status, 'open_attempts' | 'orders'>): readonly {
  readonly name: string;
  readonly number: number;
  readonly tone: 'quiet' | 'warning' | 'danger';
  readonly meaning: string;
}[] {
  return [
    {
      name: 'Attempts without an outcome',
      number: attempts.count,
      tone: attempts.count > 0 ? 'warning' : 'quiet',
      meaning: 'What became of them at PipeOps is looked into within minutes.',
    },
    {
      name: 'Revocations not acknowledged',
      number: orders.open,
      tone: orders.open > 0 ? 'warning' : 'quiet',
      meaning: 'They are tried again by themselves, for 72 hours.',
    },
    {
      name: 'Acknowledged, to be confirmed',
      number: orders.acknowledged,
      tone: 'quiet',
      meaning: 'A look has still to agree.',
    },
    {
      name: 'Given up',
      number: orders.failed,
      tone: orders.failed > 0 ? 'danger' : 'quiet',
      meaning: 'Their tokens may still work. Open the delivery and try them again.',
    },
    {
      name: 'Contradicted',
      number: orders.contradicted,
      tone: orders.contradicted > 0 ? 'danger' : 'quiet',
      meaning: 'PipeOps acknowledged them, and still shows the tokens alive.',
    },
  ];
}

/** The states of workspaces' lists, in words. */
export const LIST_WORDS = {
  complete: 'Whole',
  partial: 'Shown in part',
  unproven: 'Perhaps not whole',
  unavailable: 'Not there any more',
} as const;
