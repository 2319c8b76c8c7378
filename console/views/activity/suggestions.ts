import { CLOSED_LISTS, FILTERS, type FilterName, filterNamed, quoted, splitWord, wordsOf } from './question.ts';

// What can stand where somebody types: the names of filters first, then the values of the one that was named.

/** More than these nobody reads. */
const SUGGESTIONS_MAX_COUNT = 12;

export interface Suggestion {
  /** What is typed if it is taken. */
  readonly text: string;
  readonly hint: string;
}

export interface Suggested {
  readonly suggestions: readonly Suggestion[];
  /** What a suggestion takes the place of. */
  readonly begin: number;
  readonly end: number;
}

const TIMES: Readonly<Record<string, string>> = {
  '1h': 'the last hour',
  '24h': 'the last day',
  '7d': 'the last week',
  '30d': 'the last month',
};

/**
 * What may be meant at the caret.
 *
 * @param known values that the viewer has seen, or that its roles name, for filters that take any text.
 */
export function suggestionsAt(
  typed: string,
  caret: number,
  known: Readonly<Partial<Record<FilterName, readonly string[]>>>,
): Suggested {
  const word = wordsOf(typed).find(({ begin, end }) => begin <= caret && caret <= end) ?? {
    text: '',
    begin: caret,
    end: caret,
  };
  const { name, value, isNegated } = splitWord(word.text.slice(0, caret - word.begin));
  const suggestions = name === null ? namesFor(value) : valuesFor(name, value, isNegated, known);
  return {
    suggestions: suggestions.slice(0, SUGGESTIONS_MAX_COUNT),
    begin: word.begin,
    end: Math.max(word.end, caret),
  };
}

function namesFor(typed: string): readonly Suggestion[] {
  const start = typed.toLowerCase();
  if (start.startsWith('-')) {
    return 'action'.startsWith(start.slice(1)) ? [{ text: '-action:', hint: 'leaves an action out' }] : [];
  }
  const fitting = FILTERS.filter(({ name, parameter }) => name.startsWith(start) || parameter.startsWith(start));
  if (fitting.length > 0) return fitting.map(({ name, meaning }) => ({ text: `${name}:`, hint: meaning }));
  // Whoever types a name means somebody, or a token.
  return FILTERS.filter(({ name }) => ['actor', 'scope', 'name'].includes(name)).map(({ name, meaning }) => ({
    text: `${name}:${quoted(typed)}`,
    hint: meaning,
  }));
}

function valuesFor(
  typedName: string,
  typed: string,
  isNegated: boolean,
  known: Readonly<Partial<Record<FilterName, readonly string[]>>>,
): readonly Suggestion[] {
  const name = filterNamed(typedName);
  if (name === null) return [];
  const isTime = name === 'from' || name === 'to';
  const values = isTime ? Object.keys(TIMES) : [...new Set([...(CLOSED_LISTS[name] ?? []), ...(known[name] ?? [])])];
  // Of a list of actions the last is being typed.
  const comma = name === 'action' ? typed.lastIndexOf(',') + 1 : 0;
  const [head, last] = [typed.slice(0, comma), typed.slice(comma)];
  const mark = last.startsWith('!') ? '!' : '';
  const start = last.slice(mark.length).toLowerCase();
  const prefix = `${isNegated ? '-' : ''}${typedName}:${head}${mark}`;
  const rank = (value: string): number => (value.toLowerCase().startsWith(start) ? 0 : 1);
  return values
    .filter((value) => value.toLowerCase().includes(start) && value !== last.slice(mark.length))
    .toSorted((one, other) => rank(one) - rank(other))
    .map((value) => ({ text: `${prefix}${quoted(value)}`, hint: TIMES[value] ?? '' }));
}

/** The text, and where the caret goes, once a suggestion is taken. Behind a value a space follows, so that the next name can be typed. */
export function take(
  typed: string,
  { begin, end }: Suggested,
  text: string,
): { readonly typed: string; readonly caret: number } {
  const isWhole = !text.endsWith(':');
  const rest = typed.slice(end).trimStart();
  const before = `${typed.slice(0, begin)}${text}${isWhole ? ' ' : ''}`;
  return {
    typed: `${before}${rest === '' || isWhole || rest.startsWith(' ') ? rest : ` ${rest}`}`,
    caret: before.length,
  };
}
