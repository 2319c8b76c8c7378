import type { Edit } from './edit.ts';

const words = (text: string): ReadonlySet<string> => new Set(text.split(' '));

/** Words that end a condition, or stand between two of them. */
const CONDITION_ENDS = words(
  'and or where when then else end on having select from set values returning order group limit union join cross left inner do as',
);
/** Where a condition begins that can lose its first part: what is left still follows one of these. */
const CONDITION_STARTS = new Set(['where', 'when', 'on', 'having', '(', '']);
const STATEMENT = /^\s*(?:select|insert|update|delete|with)\b/i;
/** Of each comparison that has a boundary, the one that draws it on the other side of the value. */
export const OTHER_BOUNDARY: Readonly<Record<string, string>> = { '<': '<=', '<=': '<', '>': '>=', '>=': '>' };

interface Token {
  readonly text: string;
  readonly at: number;
  readonly depth: number;
}

export const isStatement = (text: string): boolean => STATEMENT.test(text);

/**
 * What can be taken out of a piece of SQL: one side of an `and` or `or`, and the boundary of a comparison.
 * `masked` is its text, in which each `${…}` is blanked to a name of the same length; positions are those of this text.
 */
export function sqlEdits(masked: string): readonly Edit[] {
  const text = masked.replace(/'[^']*'/g, (literal) => 'q'.repeat(literal.length));
  const tokens = tokensOf(text).filter((token, index, all) => !isOfBetween(token, all.slice(0, index)));
  const sides = tokens.flatMap(({ text: word, at, depth }, index) => {
    if (word !== 'and' && word !== 'or') return [];
    const before = lastIndex(tokens, index, depth);
    const opening = tokens[before] ?? { text: '', at: 0, depth };
    const closing = tokens.slice(index + 1).find((token) => endsCondition(token, depth));
    const right = {
      start: trimmedEnd(text, at),
      end: trimmedEnd(text, closing?.at ?? text.length),
      kind: 'sql',
      text: '',
    };
    const isFirst =
      CONDITION_STARTS.has(opening.text) && !isStatement(text.slice(opening.at + opening.text.length, at));
    const leftStart = skipSpace(text, opening.at + opening.text.length);
    const left = { start: leftStart, end: skipSpace(text, at + word.length), kind: 'sql', text: '' };
    return isFirst ? [left, right] : [right];
  });
  const boundaries = [...text.matchAll(/(?<=\s)(?:<=?|>=?)(?=\s)/g)].map(({ 0: operator, index }) => ({
    start: index,
    end: index + operator.length,
    kind: 'boundary',
    text: OTHER_BOUNDARY[operator] ?? operator,
  }));
  return [...sides, ...boundaries];
}

function tokensOf(text: string): readonly Token[] {
  let depth = 0;
  return [...text.matchAll(/\w+|[(),]/g)].map(({ 0: found, index }) => {
    if (found === ')') depth -= 1;
    const token = { text: found.toLowerCase(), at: index, depth };
    if (found === '(') depth += 1;
    return token;
  });
}

/** The `and` of `between … and …` joins no conditions. */
function isOfBetween({ text, depth }: Token, before: readonly Token[]): boolean {
  const word = before.findLast((token) => token.depth === depth && /^(?:between|and|or)$/.test(token.text));
  return text === 'and' && word?.text === 'between';
}

/** The closing parenthesis of a condition, and the comma after it, are one level up, or on its own. */
function endsCondition(token: Token, depth: number): boolean {
  if (token.text === ')') return token.depth < depth;
  return token.depth === depth && (token.text === ',' || CONDITION_ENDS.has(token.text));
}

function lastIndex(tokens: readonly Token[], from: number, depth: number): number {
  return tokens
    .slice(0, from)
    .findLastIndex(
      (token) =>
        (token.text === '(' && token.depth === depth - 1) ||
        (token.depth === depth && (token.text === ',' || CONDITION_ENDS.has(token.text))),
    );
}

const trimmedEnd = (text: string, end: number): number => text.slice(0, end).trimEnd().length;
const skipSpace = (text: string, from: number): number => text.length - text.slice(from).trimStart().length;
