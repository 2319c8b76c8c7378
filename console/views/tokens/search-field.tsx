import { useEffect, useId, useMemo, useState } from 'preact/hooks';
import type { InventoryToken } from '../../../package/client/types.ts';
import { Link } from '../../location.tsx';
import { paths } from '../../routes.ts';
import { quoted } from '../activity/question.ts';
import type { TokenFilter } from './filter.ts';
import { holdsSecret } from '../../parts/secrets.ts';
import { formatSearch, parseSearch } from './search-text.ts';

interface SearchProps {
  readonly filter: TokenFilter;
  /** The rows that are loaded: their owners, roles and scopes are suggested. */
  readonly items: readonly InventoryToken[];
  readonly onFilter: (filter: TokenFilter) => void;
}

const SUGGESTIONS_MAX_COUNT = 60;

/** The search field. A secret that gets into it is taken out at once, and reaches neither the address nor the service. */
export function SearchField({ filter, items, onFilter }: SearchProps) {
  const shown = formatSearch(filter);
  const [text, setText] = useState(shown);
  const [wasSecret, setWasSecret] = useState(false);
  const listId = useId();
  useEffect(() => setText(shown), [shown]);
  const owners = useMemo(() => items.flatMap(({ owner }) => (owner === null ? [] : [owner])), [items]);
  const suggestions = useMemo(() => suggestionsOf(items), [items]);
  const type = (field: HTMLInputElement): void => {
    const isSecret = holdsSecret(field.value);
    if (isSecret) field.value = '';
    setWasSecret(isSecret);
    setText(field.value);
  };
  const submit = (event: Event): void => {
    event.preventDefault();
    const { owner, terms } = parseSearch(text, owners);
    const isChip = filter.owner === 'me' || filter.owner === 'none';
    onFilter({ ...filter, terms, owner: owner ?? (isChip ? filter.owner : null) });
  };
  return (
    <form class="search" role="search" onSubmit={submit}>
      <input
        type="search"
        aria-label="Search tokens"
        placeholder="Search: a name, sat_…, owner:kim@acme.example, role:ci, scope:api:read"
        list={listId}
        autocomplete="off"
        spellcheck={false}
        value={text}
        onInput={({ currentTarget }) => type(currentTarget)}
      />
      <datalist id={listId}>
        {suggestions.map((suggestion) => (
          <option key={suggestion} value={suggestion} />
        ))}
      </datalist>
      <button type="submit">Search</button>
      {wasSecret && (
        <p class="problem" role="alert">
          That was a secret, so it was taken out. It was not sent anywhere.{' '}
          <Link to={paths.whose}>Ask whose it is without sending it</Link>.
        </p>
      )}
    </form>
  );
}

function suggestionsOf(items: readonly InventoryToken[]): readonly string[] {
  const texts = items.flatMap(({ owner, role, scopes }) => [
    ...(typeof owner?.label === 'string' ? [`owner:${quoted(owner.label)}`] : []),
    ...(role === null ? [] : [`role:${quoted(role)}`]),
    ...(scopes ?? []).map((scope) => `scope:${scope}`),
  ]);
  return [...new Set(texts)].slice(0, SUGGESTIONS_MAX_COUNT);
}
