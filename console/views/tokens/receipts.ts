import type { Revocation, WholeDelivery } from '../../../package/client/types.ts';
import type { OrderState } from '../../../package/client/vocabulary.ts';
import { gapWords } from './durations.ts';
import { counted, type Tone } from './words.ts';

// A receipt in words: what was ordered, and how far it is.

/** How far an order is. `done` counts what PipeOps' later look has agreed to, and what was given up or lifted. */
export interface Progress {
  readonly total: number;
  readonly done: number;
  readonly isOver: boolean;
  readonly sentence: string;
}

export function progressOf({ orders, orders_left: isMore }: Pick<WholeDelivery, 'orders' | 'orders_left'>): Progress {
  const { open, acknowledged, confirmed, failed, lifted = 0 } = orders;
  const total = open + acknowledged + confirmed + failed + lifted;
  const parts = [
    [confirmed, 'confirmed'],
    [acknowledged, 'acknowledged by PipeOps, and not looked at yet'],
    [open, 'not acknowledged yet'],
    [failed, 'failed'],
    [lifted, 'lifted by a resume'],
  ] as const;
  const told = parts.filter(([count]) => count > 0).map(([count, what]) => `${count.toLocaleString('en')} ${what}`);
  const more = isMore === true ? ' More orders are still to be made.' : '';
  return {
    total,
    done: confirmed + failed + lifted,
    isOver: open === 0 && acknowledged === 0 && isMore !== true,
    sentence:
      total === 0 ? `No token is ordered to go.${more}` : `Of ${counted(total, 'token')}: ${told.join(', ')}.${more}`,
  };
}

/** What a receipt is about, as its heading. */
export function receiptTitle({ event, subject, mode, tokens, orders }: WholeDelivery): string {
  const whom = subject === undefined ? 'somebody' : 'label' in subject ? subject.label : subject.subject;
  if (event === 'subject.reinstated') return `Reinstatement of ${whom}`;
  if (event === 'subject.offboarded') return `Offboarding of ${whom}${mode === 'suspend' ? ', by suspension' : ''}`;
  const ordered = orders.open + orders.acknowledged + orders.confirmed + orders.failed + (orders.lifted ?? 0);
  return `Revocation of ${counted(Math.max(ordered, tokens.matched), 'token')}`;
}

export const ORDER_STATES: Readonly<
  Record<OrderState, { readonly word: string; readonly tone: Tone; readonly means: string }>
> = {
  scheduled: { word: 'Scheduled', tone: 'quiet', means: 'Its time has not come.' },
  open: { word: 'Open', tone: 'warning', means: 'PipeOps has not acknowledged it. It is tried again.' },
  acknowledged: {
    word: 'Acknowledged',
    tone: 'warning',
    means: 'PipeOps said that it is done. A later look is to agree.',
  },
  confirmed: { word: 'Confirmed', tone: 'good', means: 'A later look at PipeOps agrees.' },
  failed: { word: 'Failed', tone: 'danger', means: 'It was given up.' },
  retried: { word: 'Retried', tone: 'quiet', means: 'Another order replaces it.' },
  lifted: { word: 'Lifted', tone: 'quiet', means: 'A resume has lifted what it ordered.' },
};

const RESULTS: Readonly<Record<NonNullable<Revocation['result']>, string>> = {
  revoked: 'It was revoked',
  suspended: 'It was suspended',
  already_gone: 'It was gone already',
  expired: 'It had expired',
  not_found: 'PipeOps has no such token',
};

/** What became of one token, in a sentence with how long that took. */
export function outcomeWords(order: Revocation): string {
  const { state, result, error_code: code, tries, received_at: receivedAt, confirmed_at: confirmedAt } = order;
  const doneAt = order.revoked_at ?? order.suspended_at ?? null;
  const after = (at: string | null, since: string): string => {
    const gap = at === null ? null : gapWords(Date.parse(at) - Date.parse(since));
    return gap === null ? '' : ` after ${gap}`;
  };
  const why = code === null ? '' : ` (${code})`;
  if (state === 'failed') return `Given up after ${counted(tries, 'try').replace('trys', 'tries')}${why}.`;
  if (result === null) return tries === 0 ? 'Not sent yet.' : `Tried ${tries === 1 ? 'once' : `${tries} times`}${why}.`;
  const confirmed =
    confirmedAt === null
      ? ''
      : doneAt === null
        ? `, confirmed${after(confirmedAt, receivedAt)}`
        : `, confirmed${after(confirmedAt, doneAt)}`;
  return `${RESULTS[result] ?? result}${after(doneAt, receivedAt)}${confirmed}.`;
}
