import { useEffect, useState } from 'preact/hooks';
import type { DeliveryItem, InventoryToken, Revocation, WholeDelivery } from '../../../package/client/types.ts';
import { api } from '../../api.ts';
import { useViewer } from '../../caller.tsx';
import { Link } from '../../location.tsx';
import { plain } from '../../parts/figures.ts';
import { PersonName, TokenName } from '../../parts/names.tsx';
import { StateBadge, Steps } from '../../parts/receipt.tsx';
import { Table } from '../../parts/rows.tsx';
import { Badge } from '../../parts/states.tsx';
import { paths } from '../../routes.ts';
import { FINDINGS } from './words.ts';

// The tokens that a delivery is about: where each was seen, and what became of it.

/** A receipt tells ids alone. Of so many tokens the inventory is asked for the names; more would be too many requests. */
const NAMED_TOKENS = 10;
/** A delivery names up to 1,000 tokens. So many are drawn at once. */
const DRAWN_ROWS = 100;

type Named = ReadonlyMap<string, InventoryToken>;

/** What the inventory knows of the tokens of a delivery, by their ids. Empty: they are many, or the viewer may not read tokens. */
export function useTokenNames(delivery: WholeDelivery | null): Named {
  const viewer = useViewer();
  const [named, setNamed] = useState<Named>(new Map());
  const ids = new Set(
    [...(delivery?.revocations ?? []), ...(delivery?.items ?? [])].flatMap(({ token_id: id }) => id ?? []),
  );
  const key = ids.size > NAMED_TOKENS || !viewer.may('tokens:read') ? '' : [...ids].join(' ');
  useEffect(() => {
    if (key === '') return;
    const controller = new AbortController();
    const ask = async (id: string): Promise<readonly InventoryToken[]> => {
      try {
        return (await api.inventory.list({ token_id: id }, { signal: controller.signal })).items;
      } catch {
        // The id stands in the place of a name that cannot be had.
        return [];
      }
    };
    const askAll = async (): Promise<void> => {
      const found = await Promise.all(key.split(' ').map(ask));
      if (!controller.signal.aborted) setNamed(new Map(found.flat().map((token) => [token.id, token])));
    };
    void askAll();
    return () => controller.abort();
  }, [key]);
  return named;
}

/** What became of each token that was ordered to go. */
export function Revocations(props: { readonly revocations: readonly Revocation[]; readonly names: Named }) {
  const { revocations, names } = props;
  const [drawn, setDrawn] = useState(DRAWN_ROWS);
  if (revocations.length === 0) return null;
  return (
    <section aria-labelledby="revocations">
      <h2 id="revocations">What became of each token</h2>
      <Table heads={['Token', 'State', 'How it went', 'Event']}>
        {revocations.slice(0, drawn).map((revocation) => (
          <RevocationRow key={revocation.event_id} revocation={revocation} names={names} />
        ))}
      </Table>
      <DrawMore all={revocations.length} drawn={drawn} onMore={setDrawn} />
    </section>
  );
}

function RevocationRow({ revocation, names }: { readonly revocation: Revocation; readonly names: Named }) {
  const { token_id: id, workspace_uuid: workspaceUuid, result, error_code: code, event_id: eventId } = revocation;
  return (
    <tr>
      <td class="wide">
        <KnownToken id={id} workspaceUuid={workspaceUuid} names={names} />
      </td>
      <td>
        <StateBadge revocation={revocation} />
        {result !== null && <p class="under">{result.replaceAll('_', ' ')}</p>}
        {code !== null && (
          <p class="under">
            <a href={`/docs/errors#${code}`}>
              <code>{code}</code>
            </a>
          </p>
        )}
      </td>
      <td>
        <Steps revocation={revocation} />
      </td>
      <td>
        <Link to={paths.event(eventId)}>Event</Link>
      </td>
    </tr>
  );
}

/** The tokens that a delivery named, with the places where their secrets were seen. */
export function Items({ delivery, names }: { readonly delivery: WholeDelivery; readonly names: Named }) {
  const [drawn, setDrawn] = useState(DRAWN_ROWS);
  const { items } = delivery;
  if (items.length === 0) return null;
  return (
    <section aria-labelledby="items">
      <h2 id="items">What it named</h2>
      <Table heads={['Token', 'What it is', 'Where it was seen']}>
        {items.slice(0, drawn).map((item) => (
          <ItemRow key={item.position} item={item} names={names} />
        ))}
      </Table>
      <DrawMore all={items.length} drawn={drawn} onMore={setDrawn} />
    </section>
  );
}

function ItemRow({ item, names }: { readonly item: DeliveryItem; readonly names: Named }) {
  const { found, location, token_id: id, workspace_uuid: workspaceUuid, candidates = [] } = item;
  const { word, tone } = FINDINGS[found];
  return (
    <tr>
      <td class="wide">
        {id === null ? (
          <span class="quiet">an unknown secret</span>
        ) : (
          <KnownToken id={id} workspaceUuid={workspaceUuid} names={names} />
        )}
      </td>
      <td>
        <Badge tone={tone}>{word}</Badge>
        {candidates.length > 0 && (
          <p class="under">
            Its beginning fits{' '}
            {candidates.map((candidate, index) => (
              <span key={candidate}>
                {index > 0 && ', '}
                <TokenName workspaceUuid={workspaceUuid} tokenId={candidate} name={null} />
              </span>
            ))}
            . Nothing is revoked by guess.
          </p>
        )}
      </td>
      {/* Whoever sends a webhook writes this. It is shown, and nobody is led there. */}
      <td class="seen">{location ?? <span class="quiet">not said</span>}</td>
    </tr>
  );
}

function KnownToken(props: { readonly id: string; readonly workspaceUuid: string | null; readonly names: Named }) {
  const known = props.names.get(props.id);
  return (
    <>
      <TokenName workspaceUuid={props.workspaceUuid} tokenId={props.id} name={known?.name ?? null} />
      {known !== undefined && known.owner !== null && (
        <p class="under">
          of <PersonName person={known.owner} />
        </p>
      )}
    </>
  );
}

function DrawMore(props: { readonly all: number; readonly drawn: number; readonly onMore: (drawn: number) => void }) {
  const { all, drawn, onMore } = props;
  if (all <= drawn) return null;
  return (
    <div class="more-below">
      <button type="button" onClick={() => onMore(drawn + DRAWN_ROWS)}>
        Show more
      </button>
      <p class="hint">
        {plain(drawn)} of {plain(all)} are shown.
      </p>
    </div>
  );
}
