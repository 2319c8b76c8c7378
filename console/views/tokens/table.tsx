import { useRef } from 'preact/hooks';
import type { InventoryToken } from '../../../package/client/types.ts';
import { useViewer } from '../../caller.tsx';
import { TokenName } from '../../parts/names.tsx';
import { Time } from '../../parts/time.tsx';
import { WindowedRows } from '../../parts/windowed.tsx';
import { afterClick, isChoosable, keyOf } from './selection.ts';
import { Expiry, LastUse, Owner, Scopes, StateBadge } from './shown.tsx';
import { nameOf, ownerName } from './words.ts';

/** The height of a row; `tokens.css` gives it the same. */
const ROW_PX = 52;

interface TableProps {
  readonly tokens: readonly InventoryToken[];
  /** The keys of the rows that are chosen. Null: the viewer can do nothing with a choice. */
  readonly chosen: ReadonlySet<string> | null;
  readonly onChoose: (keys: ReadonlySet<string>) => void;
  readonly order: 'newest' | 'expiry';
  readonly onOrder: (order: 'newest' | 'expiry') => void;
}

export function TokenTable({ tokens, chosen, onChoose, order, onOrder }: TableProps) {
  const viewer = useViewer();
  const anchor = useRef<string | null>(null);
  const choosable = chosen === null ? [] : tokens.filter((token) => isChoosable(viewer, token)).map(keyOf);
  const isAll = chosen !== null && choosable.length > 0 && choosable.every((key) => chosen.has(key));
  const click = (event: MouseEvent, key: string): void => {
    if (chosen === null) return;
    onChoose(afterClick(chosen, choosable, key, { isShift: event.shiftKey, anchor: anchor.current }));
    anchor.current = key;
  };
  return (
    <div class="table">
      <table class={chosen === null ? 'inventory' : 'inventory choosing'}>
        <caption class="visually-hidden">Tokens</caption>
        <thead>
          <tr>
            {chosen !== null && (
              <th scope="col" class="tick">
                <input
                  type="checkbox"
                  aria-label="Choose all loaded tokens"
                  checked={isAll}
                  disabled={choosable.length === 0}
                  onChange={() => onChoose(isAll ? new Set() : new Set(choosable))}
                />
              </th>
            )}
            <Head title="Token" of="name" />
            <Head title="Owner" of="owner" />
            <Head title="Scopes" of="scopes" />
            <SortedBy
              title="Minted"
              isOn={order === 'newest'}
              direction="descending"
              onClick={() => onOrder('newest')}
            />
            <SortedBy
              title="Expires"
              isOn={order === 'expiry'}
              direction="ascending"
              onClick={() => onOrder('expiry')}
            />
            <Head title="Last use" of="used" />
            <Head title="State" of="state" />
          </tr>
        </thead>
        <WindowedRows
          items={tokens}
          rowHeightPx={ROW_PX}
          columns={chosen === null ? 7 : 8}
          row={(token) => {
            const key = keyOf(token);
            const isChosen = chosen?.has(key) === true;
            return (
              <tr key={key} aria-selected={chosen === null ? undefined : isChosen}>
                {chosen !== null && (
                  <td class="tick">
                    <input
                      type="checkbox"
                      aria-label={`Choose ${nameOf(token)}`}
                      checked={isChosen}
                      disabled={!isChoosable(viewer, token)}
                      onClick={(event) => click(event, key)}
                    />
                  </td>
                )}
                <td class="name">
                  <TokenName workspaceUuid={token.workspace_uuid} tokenId={token.id} name={token.name} />
                  <span class="below">
                    <code>{token.token_prefix ?? ''}</code>
                    <span class="narrow"> {ownerName(token)}</span>
                  </span>
                </td>
                <td class="owner">
                  <Owner token={token} />
                  <span class="below" title="The role under which it was minted">
                    {token.role}
                  </span>
                </td>
                <td class="scopes" title={token.scopes?.join(' ')}>
                  <Scopes token={token} />
                </td>
                <td class="age">
                  <Time at={token.created_at} />
                </td>
                <td class="expires">
                  <Expiry token={token} />
                </td>
                <td class="used">
                  <LastUse token={token} />
                </td>
                <td class="state">
                  <StateBadge token={token} />
                </td>
              </tr>
            );
          }}
        />
      </table>
    </div>
  );
}

const Head = (props: { readonly title: string; readonly of: string }) => (
  <th scope="col" class={props.of}>
    {props.title}
  </th>
);

interface SortedProps {
  readonly title: string;
  readonly isOn: boolean;
  readonly direction: 'ascending' | 'descending';
  readonly onClick: () => void;
}

/** The head of a column that the API can order by. */
const SortedBy = ({ title, isOn, direction, onClick }: SortedProps) => (
  <th scope="col" class={title === 'Minted' ? 'age' : 'expires'} aria-sort={isOn ? direction : 'none'}>
    <button type="button" class="plain" onClick={onClick}>
      {title}
      <span aria-hidden="true">{isOn ? (direction === 'ascending' ? ' ↑' : ' ↓') : ''}</span>
    </button>
  </th>
);
