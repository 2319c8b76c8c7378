import { holdsSecret } from '../../parts/secrets.ts';
import { paths } from '../../routes.ts';
import type { Range } from './buckets.ts';
import { parseQuestion, printTerms, type Question, type Term, withTerm } from './question.ts';

// The address of Activity: the question, its times, and whether reads are shown.

/** What the address asks for. */
export interface Place {
  readonly question: Question;
  /** The question as it is typed, its times included. */
  readonly typed: string;
  readonly showsReads: boolean;
}

/** Reads the query of an address. */
export function placeOf(search: URLSearchParams): Place {
  const typed = [
    search.get('q') ?? '',
    ...(['from', 'to'] as const).flatMap((name) => {
      const value = search.get(name);
      return value === null || value === '' ? [] : [printTerms([{ name, value }])];
    }),
  ]
    .filter((text) => text !== '')
    .join(' ');
  return {
    question: parseQuestion(typed),
    typed: holdsSecret(typed) ? '' : typed,
    showsReads: search.get('reads') === 'shown',
  };
}

/** The address that asks for these terms. */
export function placePath(terms: readonly Term[], showsReads: boolean): string {
  const search = new URLSearchParams();
  const isTime = ({ name }: Term): boolean => name === 'from' || name === 'to';
  const query = printTerms(terms.filter((term) => !isTime(term)));
  if (query !== '') search.set('q', query);
  for (const { name, value } of terms.filter(isTime)) search.set(name, value);
  if (showsReads) search.set('reads', 'shown');
  const text = search.toString();
  return text === '' ? paths.activity : `${paths.activity}?${text}`;
}

/** The address that asks a question as somebody typed it. */
export const questionPath = (query: string, showsReads = false): string =>
  placePath(parseQuestion(query).terms, showsReads);

const DAY_MS = 86_400_000;
const isMidnight = (ms: number): boolean => ms % DAY_MS === 0;
const isoOf = (ms: number): string => new Date(ms).toISOString().replace('.000Z', 'Z');

/**
 * Terms narrowed to a range. A range that reaches beyond now stays open, so that new events are in it. Whole days are written as days,
 * the last of which is included.
 */
export function withRange(terms: readonly Term[], { fromMs, toMs }: Range, nowMs: number): readonly Term[] {
  const isOpen = toMs >= nowMs;
  const areDays = isMidnight(fromMs) && (isOpen || isMidnight(toMs));
  const from = areDays ? isoOf(fromMs).slice(0, 10) : isoOf(fromMs);
  const to = areDays ? isoOf(toMs - DAY_MS).slice(0, 10) : isoOf(toMs);
  return withTerm(withTerm(terms, 'from', from), 'to', isOpen ? null : to);
}

/** Terms without a range. */
export const withoutRange = (terms: readonly Term[]): readonly Term[] =>
  terms.filter(({ name }) => name !== 'from' && name !== 'to');
