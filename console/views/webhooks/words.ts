import type { Delivery, SubjectRef } from '../../../package/client/types.ts';
import { count, plain } from '../../parts/figures.ts';
import { progressBadge } from '../../parts/orders.ts';

// What came in by webhook and what it led to, in sentences.

/** Somebody as a receipt names them, in words. */
export const subjectWords = (subject: SubjectRef): string => ('label' in subject ? subject.label : subject.subject);

/** What a delivery says, behind the name of who sent it: `reported 2 leaked secrets`. */
export function deliveryWords(delivery: Delivery): string {
  const { event, tokens, mode, subject } = delivery;
  const named = tokens.matched + tokens.unmatched + tokens.out_of_scope;
  const whom = subject === undefined ? 'somebody' : subjectWords(subject);
  switch (event) {
    case 'token.leaked':
      return named === 0 ? 'reported a leak' : `reported ${count(named, 'leaked secret')}`;
    case 'token.revoke':
      return named === 0 ? 'ordered a revocation' : `ordered the revocation of ${count(named, 'token')}`;
    case 'subject.offboarded':
      return `offboarded ${whom}${mode === 'suspend' ? ', suspending their tokens' : ''}`;
    case 'subject.reinstated':
      return `reinstated ${whom}`;
    case null:
      return 'sent an event without a name';
    default:
      return `sent ${event}`;
  }
}

/** Why a delivery did nothing, as a sentence; null: it was acted on. */
export function nothingDone({ refused, refused_field: field, ignored, source, event }: Delivery): string | null {
  if (refused !== null) {
    const why = refused === 'id_reused' ? 'another delivery had this id and ordered something else' : spelled(refused);
    return `Refused: ${why}${field === undefined ? '' : ` (${field})`}.`;
  }
  switch (ignored) {
    case 'event_not_allowed':
      return `Ignored: the policy does not let ${source ?? 'it'} send ${event ?? 'this'}.`;
    case 'event_unknown':
      return 'Ignored: nobody here knows this event.';
    case null:
      return null;
  }
}

/** What a delivery led to, in a few words for a list. */
export function ledTo(delivery: Delivery): {
  readonly tone: 'good' | 'warning' | 'danger' | 'quiet';
  readonly text: string;
} {
  const { refused, ignored, event, tokens, owners, blocks_lifted: lifted } = delivery;
  if (refused !== null) return { tone: 'danger', text: 'Refused' };
  if (ignored !== null) return { tone: 'quiet', text: 'Ignored' };
  const badge = progressBadge(delivery);
  if (badge !== null) return badge;
  if (event === 'subject.reinstated') return { tone: 'good', text: lifted === 0 ? 'No block' : 'Reinstated' };
  if (event === 'subject.offboarded')
    return { tone: 'quiet', text: owners?.length === 0 ? 'Blocked, nobody yet' : 'Blocked' };
  return { tone: 'quiet', text: tokens.out_of_scope > 0 ? 'Out of scope' : 'Nothing of ours' };
}

/** The tokens that a delivery named, in words: `1 of ours, 2 not ours`; null: it named none. */
export function tokenWords({ matched, unmatched, out_of_scope: outOfScope }: Delivery['tokens']): string | null {
  const named = matched + unmatched + outOfScope;
  if (named === 0) return null;
  return [
    matched > 0 && `${plain(matched)} of ours`,
    unmatched > 0 && `${plain(unmatched)} not ours`,
    outOfScope > 0 && `${plain(outOfScope)} out of scope`,
  ]
    .filter((part) => part !== false)
    .join(', ');
}

/** What an item of a delivery is. */
export const FINDINGS = {
  matched: { word: 'Ours', tone: 'good' },
  unmatched: { word: 'Not ours', tone: 'quiet' },
  out_of_scope: { word: 'Ours, in a workspace that this source may not touch', tone: 'warning' },
} as const;

/** Why items could not be acted on, a sentence for each reason. */
export const rejectedWords = (rejected: NonNullable<Delivery['rejected_items']>): readonly string[] =>
  Object.entries(rejected).map(([reason, number]) => `${count(number, 'item')}: ${spelled(reason)}.`);

/** The names of codes and reasons are words already. */
const spelled = (name: string): string => name.replaceAll('_', ' ');
