import type { InventoryToken, SubjectRef } from '../../../package/client/types.ts';
import type { TokenState } from '../../../package/client/vocabulary.ts';
import { useViewer } from '../../caller.tsx';
import { usePages } from '../../parts/following.ts';
import { MoreButton, Stale } from '../../parts/lists.tsx';
import { TokenName } from '../../parts/names.tsx';
import { Badge, Loading } from '../../parts/states.tsx';
import { Time } from '../../parts/time.tsx';

const POLL_MS = 10_000;

const TONES: Readonly<Record<TokenState, 'good' | 'warning' | 'quiet'>> = {
  active: 'good',
  retiring: 'warning',
  suspended: 'warning',
  expired: 'quiet',
  revoked: 'quiet',
};

/** The tokens of somebody, as the inventory knows them, the newest first. */
export function TheirTokens({ who, ordered }: { readonly who: SubjectRef; readonly ordered: string | null }) {
  return useViewer().may('tokens:read') ? <Tokens who={who} ordered={ordered} /> : null;
}

function Tokens({ who, ordered }: { readonly who: SubjectRef; readonly ordered: string | null }) {
  const filter = 'label' in who ? { label: who.label } : { owner: `${who.issuer}|${who.subject}` };
  const pages = usePages<InventoryToken>(
    // What was ordered changes them.
    `tokens of ${JSON.stringify(who)} ${ordered ?? ''}`,
    async (client, cursor, signal) =>
      await client.inventory.list({ ...filter, limit: 20, cursor }, signal === undefined ? {} : { signal }),
    POLL_MS,
  );
  const { items } = pages;
  return (
    <section aria-labelledby="tokens">
      <h2 id="tokens">Tokens</h2>
      <Stale following={pages} />
      {items === null && pages.isLoading && <Loading />}
      {items?.length === 0 && <p class="quiet">There is none.</p>}
      {items !== null && items.length > 0 && (
        <div class="table folds">
          <table>
            <thead>
              <tr>
                <th scope="col">Token</th>
                <th scope="col">State</th>
                <th scope="col">Scopes</th>
                <th scope="col">Created</th>
                <th scope="col">Expires</th>
                <th scope="col">Last used</th>
              </tr>
            </thead>
            <tbody>
              {items.map((token) => (
                <Row key={`${token.workspace_uuid} ${token.id}`} token={token} />
              ))}
            </tbody>
          </table>
        </div>
      )}
      <MoreButton pages={pages} />
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
