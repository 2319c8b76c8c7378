import type { InventoryPage, InventoryToken, Token } from '../../../package/client/types.ts';
import { api, useReading } from '../../api.ts';
import { Id } from '../../parts/copy.tsx';
import { TokenName } from '../../parts/names.tsx';
import { Facts } from '../../parts/rows.tsx';
import { Time } from '../../parts/time.tsx';
import { Expiry, mainFacts } from './shown.tsx';
import type { Life } from './timeline.ts';
import { isLive, knownOf, stateSentence } from './words.ts';

/** What a token is. */
export function TokenFacts({
  life,
  knowledge,
}: {
  readonly life: Life;
  readonly knowledge: InventoryPage['knowledge'];
}) {
  const { token, successor, predecessor } = life;
  const known = knownOf(knowledge);
  const atPipeOps = useAtPipeOps(token);
  const other = (id: string | null, found: InventoryToken | null) =>
    id !== null && <TokenName workspaceUuid={token.workspace_uuid} tokenId={id} name={found?.name ?? null} />;
  return (
    <section class="card" aria-label="Facts">
      <p>{stateSentence(token)}</p>
      <Facts
        facts={[
          ['Description', atPipeOps?.description ?? null],
          ...mainFacts(token),
          ['Scopes at PipeOps', atPipeOps !== null && isOther(atPipeOps, token) && atPipeOps.scopes.join(', ')],
          ['Minted', <Time at={token.created_at} />],
          [token.state === 'expired' ? 'Expired' : 'Expires', token.state !== 'revoked' && <Expiry token={token} />],
          [
            'Will be revoked',
            token.state === 'retiring' && token.retires_at !== null && <Time at={token.retires_at} />,
          ],
          ['Replaces', other(token.replaces, predecessor)],
          ['Replaced by', other(token.replaced_by, successor)],
          ['Role', token.role],
          ['Policy version', id(token.policy_version)],
          ['Prefix', id(token.token_prefix)],
          ['Id', id(token.id)],
          ['Workspace', id(token.workspace_uuid)],
        ]}
      />
      {known.listedAt !== null && (
        <p class="hint">
          PipeOps was last looked at <Time at={known.listedAt} />.
        </p>
      )}
      {known.lacks.map((lack) => (
        <p class="hint" key={lack}>
          {lack}
        </p>
      ))}
    </section>
  );
}

const id = (value: string | null) => value !== null && <Id value={value} isShort={false} />;

const isOther = ({ scopes }: Token, { scopes: granted }: InventoryToken): boolean =>
  granted !== null && (scopes.length !== granted.length || scopes.some((scope) => !granted.includes(scope)));

/** What PipeOps alone knows of a token that lives: its description, and scopes that its console has changed. */
function useAtPipeOps(token: InventoryToken): Token | null {
  const { id: tokenId, workspace_uuid: workspaceUuid, name, scopes, state } = token;
  const isAsked = isLive(token);
  // A change of what the inventory keeps is a reason to ask again.
  const key = JSON.stringify([workspaceUuid, tokenId, name, scopes, state]);
  const { data } = useReading(key, async (signal) =>
    isAsked ? await api.tokens.get(tokenId, { workspace_uuid: workspaceUuid }, { signal }) : null,
  );
  return data;
}
