import { quoted, splitWord, unquoted, wordsOf } from '../activity/question.ts';
import { type Term, TERMS, type TokenFilter, WORDS } from './filter.ts';

// The search field of the inventory: text that people type, and the filters that it means.

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const SCOPE = /^[a-z0-9_.-]+(?::[a-z0-9_.-]+)+$/;
type Searched = Pick<TokenFilter, 'owner' | 'terms'>;

/** Somebody who is known to own tokens. */
interface Owner {
  readonly issuer: string;
  readonly subject: string | null;
}

/**
 * Reads the search field. A word without a key is a name, unless it has the form of a prefix, an id, a scope or an e-mail address.
 *
 * @param owners those whose subject alone is enough to name them.
 */
export function parseSearch(text: string, owners: readonly Owner[] = []): Searched {
  const terms: Partial<Record<Term, string>> = {};
  let owner: string | null = null;
  const names: string[] = [];
  const setOwner = (value: string): void => {
    const known = owners.find(({ subject }) => subject === value);
    if (known !== undefined) owner = `${known.issuer}|${value}`;
    else if (value.includes('|') || value === 'me' || value === 'none') owner = value;
    else terms.label = value;
  };
  for (const { text: word } of wordsOf(text)) {
    const { name, value } = splitWord(word);
    const named = TERMS.find((term) => WORDS[term] === name);
    const term = named ?? termOf(word);
    const said = named === undefined ? unquoted(word) : value;
    if (said === '') continue;
    if (term === null) names.push(said);
    else if (term === 'label') setOwner(said);
    else terms[term] = said;
  }
  // Names may have spaces: words that stand alone are one name.
  if (names.length > 0) terms.token_name = names.join(' ');
  return { owner, terms };
}

/** What a word without a known name in front is. Null: a name, as is what stands in quotes. */
function termOf(word: string): Term | null {
  if (word.startsWith('"')) return null;
  if (word.startsWith('sat_')) return 'token_prefix';
  if (UUID.test(word)) return 'token_id';
  if (word.includes('@') || word.includes('|')) return 'label';
  return SCOPE.test(word) ? 'scope' : null;
}

/** The search field of a filter. `parseSearch` reads it back. Owners that a chip names are not in it. */
export function formatSearch({ owner, terms }: Searched): string {
  const parts = TERMS.flatMap((term) => {
    const value = terms[term];
    return value === undefined ? [] : [`${WORDS[term]}:${quoted(value)}`];
  });
  if (owner !== null && owner !== 'me' && owner !== 'none') parts.push(`owner:${quoted(owner)}`);
  return parts.join(' ');
}
