import { useEffect } from 'preact/hooks';
import type { InventoryToken, SubjectRef } from '../../../package/client/types.ts';
import { useViewer } from '../../caller.tsx';
import { Link } from '../../location.tsx';
import { usePages } from '../../parts/following.ts';
import { Stale } from '../../parts/lists.tsx';
import { TokenName } from '../../parts/names.tsx';
import { Table } from '../../parts/rows.tsx';
import { Loading } from '../../parts/states.tsx';
import { Time } from '../../parts/time.tsx';
import { paths } from '../../routes.ts';
import { Expiry, LastUse, Scopes, StateBadge } from '../tokens/shown.tsx';

const POLL_MS = 10_000;

interface TheirTokensProps {
  readonly who: SubjectRef;
  /** Another number: what was ordered has changed them. */
  readonly turn: number;
}

/** The tokens of somebody, as the inventory knows them, the newest first. */
export function TheirTokens(props: TheirTokensProps) {
  return useViewer().may('tokens:read') ? <Tokens {...props} /> : null;
}

function Tokens({ who, turn }: TheirTokensProps) {
  const filter: Readonly<Record<string, string>> =
    'label' in who ? { label: who.label } : { owner: `${who.issuer}|${who.subject}` };
  const pages = usePages<InventoryToken>(
    `tokens of ${JSON.stringify(who)}`,
    async (client, cursor, signal) =>
      await client.inventory.list({ ...filter, limit: 20, cursor }, signal === undefined ? {} : { signal }),
    POLL_MS,
  );
  const { items, reload } = pages;
  useEffect(() => {
    if (turn > 0) reload();
  }, [turn]);
  return (
    <section aria-labelledby="tokens">
      <h2 id="tokens">Tokens</h2>
      <Stale following={pages} />
      {items === null && pages.isLoading && <Loading />}
      {items?.length === 0 && <p class="quiet">There is none.</p>}
      {items !== null && items.length > 0 && (
        <Table heads={['Token', 'State', 'Scopes', 'Created', 'Expires', 'Last used']}>
          {items.map((token) => (
            <Row key={`${token.workspace_uuid} ${token.id}`} token={token} />
          ))}
        </Table>
      )}
      {pages.hasMore && (
        <p>
          <Link to={`${paths.tokens}?${new URLSearchParams({ show: 'all', ...filter }).toString()}`}>
            All of them in Tokens
          </Link>
        </p>
      )}
    </section>
  );
}

const Row = ({ token }: { readonly token: InventoryToken }) => (
  <tr>
    <td class="wide">
      <TokenName workspaceUuid={token.workspace_uuid} tokenId={token.id} name={token.name} />
    </td>
    <td>
      <StateBadge token={token} />
    </td>
    <td>
      <Scopes token={token} />
    </td>
    <td data-name="Created">
      <Time at={token.created_at} />
    </td>
    <td data-name="Expires">
      <Expiry token={token} />
    </td>
    <td data-name="Last used">
      <LastUse token={token} />
    </td>
  </tr>
);
