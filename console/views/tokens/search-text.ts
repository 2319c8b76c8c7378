import { type Term, TERMS, type TokenFilter } from './filter.ts';

// The search field of the inventory: text that people type, and the filters that it means.

/** The words before a colon, and the filter of each. `owner` is a label, or an issuer and a subject with `|` between them. */
const KEYS: Readonly<Record<string, Term | 'owner'>> = {
  name: 'token_name',
  prefix: 'token_prefix',
  id: 'token_id',
  owner: 'owner',
  role: 'role',
  scope: 'scope',
  policy: 'policy_version',
  workspace: 'workspace_uuid',
};
const KEY_OF: Readonly<Record<Term, string>> = {
  token_name: 'name',
  token_prefix: 'prefix',
  token_id: 'id',
  label: 'owner',
  role: 'role',
  scope: 'scope',
  policy_version: 'policy',
  workspace_uuid: 'workspace',
};

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const SCOPE = /^[a-z0-9_.-]+(?::[a-z0-9_.-]+)+$/;
/** A word, a text in quotes, or either behind a key. A backslash keeps the quote or the backslash after it. */
const PART = /(?:(?<key>[a-z]+):)?"(?<quoted>(?:[^"\\]|\\.)*)"|(?<bare>\S+)/g;

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
  for (const { groups = {} } of text.matchAll(PART)) {
    const [key, value] = keyAndValue(groups);
    if (value === '') continue;
    const term = key === null ? termOf(value) : KEYS[key];
    if (term === undefined) names.push(value);
    else if (term === 'owner') setOwner(value);
    else terms[term] = value;
  }
  // Names may have spaces: words that stand alone are one name.
  if (names.length > 0) terms.token_name = names.join(' ');
  return { owner, terms };
}

function keyAndValue({
  key,
  quoted,
  bare = '',
}: Readonly<Record<string, string | undefined>>): [string | null, string] {
  if (quoted !== undefined) {
    const value = quoted.replaceAll(/\\(.)/g, '$1');
    if (key === undefined) return ['name', value];
    return isKey(key) ? [key, value] : [null, `${key}:${value}`];
  }
  const colon = bare.indexOf(':');
  const word = bare.slice(0, colon);
  return colon > 0 && isKey(word) ? [word, bare.slice(colon + 1)] : [null, bare];
}

const isKey = (word: string): boolean => Object.hasOwn(KEYS, word);

function termOf(word: string): Term | 'owner' | undefined {
  if (word.startsWith('sat_')) return 'token_prefix';
  if (UUID.test(word)) return 'token_id';
  if (word.includes('@') || word.includes('|')) return 'owner';
  return SCOPE.test(word) ? 'scope' : undefined;
}

/** The search field of a filter. `parseSearch` reads it back. Owners that a chip names are not in it. */
export function formatSearch({ owner, terms }: Searched): string {
  const parts = TERMS.flatMap((term) => {
    const value = terms[term];
    return value === undefined ? [] : [`${KEY_OF[term]}:${quotedText(value)}`];
  });
  if (owner !== null && owner !== 'me' && owner !== 'none') parts.push(`owner:${quotedText(owner)}`);
  return parts.join(' ');
}

const quotedText = (value: string): string =>
  /[\s"\\]/.test(value) ? `"${value.replaceAll(/["\\]/g, String.raw`\$&`)}"` : value;
