import { useMemo, useState } from 'preact/hooks';
import type { InventoryPage, InventoryToken } from '../../../package/client/types.ts';
import { api } from '../../api.ts';
import { useViewer } from '../../caller.tsx';
import { navigate, useLocation } from '../../location.tsx';
import { FailureNotice } from '../../parts/failure.tsx';
import { NoPermission } from '../../parts/lists.tsx';
import { count } from '../../parts/figures.ts';
import { Empty, Loading, Page } from '../../parts/states.tsx';
import { Time } from '../../parts/time.tsx';
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
import { usePages } from './readings.ts';
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
  const list = usePages<InventoryToken, InventoryPage>(key, () => {
    const query = inventoryQueryOf(filter, Date.now());
    return async (cursor, signal) =>
      await api.inventory.list({ ...query, limit: PAGE_ROWS, ...(cursor !== null && { cursor }) }, { signal });
  });
  const [chosen, setChosen] = useState<{ readonly of: string; readonly keys: ReadonlySet<string> }>({
    of: key,
    keys: new Set(),
  });
  const [dialog, setDialog] = useState<'create' | 'revoke' | null>(null);
  // A choice is of the list that it was made in.
  const keys = chosen.of === key ? chosen.keys : NONE;
  const choose = (next: ReadonlySet<string>): void => setChosen({ of: key, keys: next });
  const mayChoose = viewer.mayOfAny('tokens:revoke');
  const selected = useMemo(() => list.items.filter((token) => keys.has(keyOf(token))), [list.items, keys]);
  const go = (next: TokenFilter): void => navigate(paths.tokens + searchOf(next));
  const selectAll = async (): Promise<void> => {
    const all = await list.loadAll();
    if (all !== null) choose(new Set(all.filter((token) => isChoosable(viewer, token)).map(keyOf)));
  };
  const { items, failure, isLoading, hasMore } = list;
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
      {failure !== null && <FailureNotice failure={failure} onRetry={items.length > 0 ? list.loadMore : list.reload} />}
      {items.length === 0 ? (
        isLoading ? (
          <Loading what="Reading the inventory" />
        ) : (
          failure === null && <Nothing filter={filter} hasMore={hasMore} onFilter={go} />
        )
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
            <button type="button" class="plain" disabled={isLoading} onClick={() => void selectAll()}>
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

interface FilterProps {
  readonly filter: TokenFilter;
  readonly onFilter: (filter: TokenFilter) => void;
}

function QuickFilters({ filter, onFilter }: FilterProps) {
  const viewer = useViewer();
  return (
    <div class="filters">
      <div class="chips" role="group" aria-label="Which tokens">
        {QUICK_NAMES.map((show) => (
          <button
            key={show}
            type="button"
            class="chip"
            aria-pressed={filter.show === show}
            onClick={() => onFilter({ ...filter, show, order: 'newest' })}
          >
            {QUICK_FILTERS[show].title}
          </button>
        ))}
      </div>
      {viewer.mayOfAny('tokens:read') && (
        <div class="chips" role="group" aria-label="Whose tokens">
          {OWNERS.map(({ owner, title }) => (
            <button
              key={owner}
              type="button"
              class="chip"
              aria-pressed={filter.owner === owner}
              onClick={() => onFilter({ ...filter, owner: filter.owner === owner ? null : owner })}
            >
              {title}
            </button>
          ))}
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
  const isFiltered = filter.owner !== null || Object.keys(filter.terms).length > 0 || filter.show !== 'active';
  if (hasMore) return <Empty title="Nothing has matched so far. Read on below." />;
  if (!isFiltered) {
    return (
      <Empty title="There is no active token that you may see.">
        <button type="button" onClick={() => onFilter({ ...filter, show: 'all' })}>
          Show ended ones too
        </button>
      </Empty>
    );
  }
  const isSearched = filter.owner !== null || Object.keys(filter.terms).length > 0;
  return (
    <Empty title="No token matches.">
      <p>{isSearched ? 'Names, owners, roles and scopes are compared whole.' : 'That is all for this filter.'}</p>
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
  const { items, pages, isLoading, hasMore, isCut } = list;
  const known = useMemo(() => knownOf(pages.flatMap(({ knowledge }) => knowledge)), [pages]);
  const isPartial = pages.at(-1)?.partial === true && hasMore;
  return (
    <div class="foot">
      {hasMore && (
        <p class="more">
          <button type="button" disabled={isLoading} onClick={list.loadMore}>
            {isLoading ? 'Reading…' : 'Load more'}
          </button>
          <button type="button" class="plain" disabled={isLoading} onClick={() => void list.loadAll()}>
            Load all
          </button>
        </p>
      )}
      {isPartial && (
        <p class="quiet">This page ends early: the service looked through 5,000 tokens. Load more to go on.</p>
      )}
      {isCut && (
        <p class="quiet">
          The list changed while it was read, so more may match.{' '}
          <button type="button" class="plain" onClick={list.reload}>
            Read it again
          </button>
        </p>
      )}
      {items.length > 0 && (
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
