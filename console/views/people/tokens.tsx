import { useEffect } from 'preact/hooks';
import type { InventoryToken, SubjectRef } from '../../../package/client/types.ts';
import type { TokenState } from '../../../package/client/vocabulary.ts';
import { useViewer } from '../../caller.tsx';
import { Link } from '../../location.tsx';
import { usePages } from '../../parts/following.ts';
import { Stale } from '../../parts/lists.tsx';
import { TokenName } from '../../parts/names.tsx';
import { Table } from '../../parts/rows.tsx';
import { Badge, Loading } from '../../parts/states.tsx';
import { Time } from '../../parts/time.tsx';
import { paths } from '../../routes.ts';

const POLL_MS = 10_000;

const TONES: Readonly<Record<TokenState, 'good' | 'warning' | 'quiet'>> = {
  active: 'good',
  retiring: 'warning',
  suspended: 'warning',
  expired: 'quiet',
  revoked: 'quiet',
};

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
      <Badge tone={TONES[token.state]}>{token.state}</Badge>
    </td>
    <td>{token.scopes === null ? <span class="quiet">not known</span> : token.scopes.join(', ')}</td>
    <td data-name="Created">
      <Time at={token.created_at} />
    </td>
    <td data-name="Expires">
      {token.expires_at === null ? <span class="quiet">never</span> : <Time at={token.expires_at} />}
    </td>
    <td data-name="Last used">
      {token.last_used_at === null ? <span class="quiet">not known</span> : <Time at={token.last_used_at} />}
    </td>
  </tr>
);
