import { useEffect, useMemo, useState } from 'preact/hooks';
import type { InventoryPage, InventoryToken } from '../../../package/client/types.ts';
import { useViewer } from '../../caller.tsx';
import { navigate, useLocation } from '../../location.tsx';
import { Empty, Loading, Page } from '../../parts/states.tsx';
import { Time } from '../../parts/time.tsx';
import { count } from '../../parts/figures.ts';
import { usePages } from '../../parts/following.ts';
import { MoreButton, NoPermission, Stale } from '../../parts/lists.tsx';
import { paths } from '../../routes.ts';
import { CreateDialog } from './create.tsx';
import {
  filterOf,
  inventoryQueryOf,
  isByExpiry,
  QUICK_FILTERS,
  QUICK_NAMES,
  searchOf,
  type TokenFilter,
} from './filter.ts';
import { RevokeManyDialog } from './revoke-many.tsx';
import { SearchField } from './search-field.tsx';
import { isChoosable, keyOf } from './selection.ts';
import { TokenTable } from './table.tsx';
import { knownOf } from './words.ts';

/** The largest page of the inventory. */
const PAGE_ROWS = 200;

/** Which tokens there are, whose they are, and how they age. */
export const TokensView = () =>
  useViewer().may('tokens:read') ? <Inventory /> : <NoPermission title="Tokens" permission="tokens:read" />;

function Inventory() {
  const viewer = useViewer();
  const { search } = useLocation();
  const filter = filterOf(search);
  const key = searchOf(filter);
  // All pages of one list are asked for with one time, since a cursor goes with one filter.
  const query = useMemo(() => inventoryQueryOf(filter, Date.now()), [key]);
  const list = usePages<InventoryToken, InventoryPage>(
    key,
    async (client, cursor, signal) =>
      await client.inventory.list({ ...query, limit: PAGE_ROWS, cursor }, signal === undefined ? {} : { signal }),
  );
  const [chosen, setChosen] = useState<{ readonly of: string; readonly keys: ReadonlySet<string> }>({
    of: key,
    keys: new Set(),
  });
  const [dialog, setDialog] = useState<'create' | 'revoke' | null>(null);
  // A choice is of the list that it was made in.
  const keys = chosen.of === key ? chosen.keys : NONE;
  const choose = (next: ReadonlySet<string>): void => setChosen({ of: key, keys: next });
  const mayChoose = viewer.mayOfAny('tokens:revoke');
  const { hasMore, more } = list;
  const items = list.items ?? NO_TOKENS;
  const selected = useMemo(() => items.filter((token) => keys.has(keyOf(token))), [items, keys]);
  const go = (next: TokenFilter): void => navigate(paths.tokens + searchOf(next));
  const [isChoosingAll, setChoosingAll] = useState(false);
  useEffect(() => {
    if (!isChoosingAll || more.isRunning) return;
    setChoosingAll(false);
    if (!hasMore) choose(new Set(items.filter((token) => isChoosable(viewer, token)).map(keyOf)));
  }, [isChoosingAll, more.isRunning]);
  const chooseAll = (): void => {
    setChoosingAll(true);
    void more.run(true);
  };
  return (
    <Page
      title="Tokens"
      actions={
        viewer.may('tokens:create') && (
          <button type="button" class="primary" onClick={() => setDialog('create')}>
            Create a token
          </button>
        )
      }
    >
      <SearchField filter={filter} items={items} onFilter={go} />
      <QuickFilters filter={filter} onFilter={go} />
      <Stale following={list} />
      {list.items === null ? (
        list.isLoading && <Loading what="Reading the inventory" />
      ) : items.length === 0 ? (
        <Nothing filter={filter} hasMore={hasMore} onFilter={go} />
      ) : (
        <TokenTable
          tokens={items}
          chosen={mayChoose ? keys : null}
          onChoose={choose}
          order={isByExpiry(filter) ? 'expiry' : 'newest'}
          onOrder={(order) => go({ ...filter, order })}
        />
      )}
      <Foot list={list} isByExpiry={isByExpiry(filter)} />
      {selected.length > 0 && (
        <div class="chosen" role="region" aria-label="Chosen tokens">
          <strong>{count(selected.length, 'token')} chosen</strong>
          {(hasMore || selected.length < items.length) && (
            <button type="button" class="plain" disabled={more.isRunning} onClick={chooseAll}>
              Choose all that match
            </button>
          )}
          <button type="button" class="plain" onClick={() => choose(NONE)}>
            Choose none
          </button>
          <button type="button" class="danger primary" onClick={() => setDialog('revoke')}>
            Revoke {count(selected.length, 'token')}
          </button>
        </div>
      )}
      {dialog === 'create' && <CreateDialog onClose={() => setDialog(null)} onMinted={list.reload} />}
      {dialog === 'revoke' && (
        <RevokeManyDialog
          tokens={selected}
          onClose={() => setDialog(null)}
          onOrdered={() => {
            choose(NONE);
            list.reload();
          }}
        />
      )}
    </Page>
  );
}

const NONE: ReadonlySet<string> = new Set();
const NO_TOKENS: readonly InventoryToken[] = [];

interface FilterProps {
  readonly filter: TokenFilter;
  readonly onFilter: (filter: TokenFilter) => void;
}

function QuickFilters({ filter, onFilter }: FilterProps) {
  const viewer = useViewer();
  const chip = (title: string, isOn: boolean, next: Partial<TokenFilter>) => (
    <button key={title} type="button" class="chip" aria-pressed={isOn} onClick={() => onFilter({ ...filter, ...next })}>
      {title}
    </button>
  );
  return (
    <div class="filters">
      <div class="chips" role="group" aria-label="Which tokens">
        {QUICK_NAMES.map((show) => chip(QUICK_FILTERS[show].title, filter.show === show, { show, order: 'newest' }))}
      </div>
      {viewer.mayOfAny('tokens:read') && (
        <div class="chips" role="group" aria-label="Whose tokens">
          {OWNERS.map(({ owner, title }) =>
            chip(title, filter.owner === owner, { owner: filter.owner === owner ? null : owner }),
          )}
        </div>
      )}
    </div>
  );
}

const OWNERS = [
  { owner: 'me', title: 'Mine' },
  { owner: 'none', title: 'Made outside' },
] as const;

function Nothing({ filter, hasMore, onFilter }: FilterProps & { readonly hasMore: boolean }) {
  if (hasMore) return <Empty title="Nothing has matched so far. Read on below." />;
  const isSearched = filter.owner !== null || Object.keys(filter.terms).length > 0;
  return (
    <Empty title="No token matches.">
      {isSearched && <p>Names, owners, roles and scopes are compared whole.</p>}
      <div class="chips centred">
        {filter.show !== 'all' && (
          <button type="button" onClick={() => onFilter({ ...filter, show: 'all', order: 'newest' })}>
            Look among all tokens
          </button>
        )}
        {isSearched && (
          <button type="button" onClick={() => onFilter({ ...filter, owner: null, terms: {} })}>
            Clear the search
          </button>
        )}
      </div>
    </Empty>
  );
}

interface FootProps {
  readonly list: ReturnType<typeof usePages<InventoryToken, InventoryPage>>;
  readonly isByExpiry: boolean;
}

/** How much of the list is here, and how old what it says is. */
function Foot({ list, isByExpiry: isSoonest }: FootProps) {
  const { items, pages, hasMore, isPartial, more } = list;
  const known = knownOf(pages.flatMap(({ knowledge }) => knowledge));
  return (
    <div class="foot">
      <MoreButton pages={list}>
        <button type="button" class="plain" disabled={more.isRunning} onClick={() => void more.run(true)}>
          Show all
        </button>
      </MoreButton>
      {isPartial && !hasMore && (
        <p class="quiet">The list changed while it was read, so more may match. Load the page again.</p>
      )}
      {items !== null && items.length > 0 && (
        <p class="quiet">
          {count(items.length, 'token')}
          {hasMore ? ' so far' : ''}
          {isSoonest
            ? ', the soonest to expire first. Those that never expire are not among them'
            : ', the newest first'}
          .{' '}
          {known.listedAt !== null && (
            <>
              PipeOps was last looked at <Time at={known.listedAt} />.
            </>
          )}
        </p>
      )}
      {known.lacks.map((lack) => (
        <p class="quiet" key={lack}>
          {lack}
        </p>
      ))}
    </div>
  );
}
