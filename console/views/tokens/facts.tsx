import type { InventoryPage, InventoryToken, Token } from '../../../package/client/types.ts';
import { api, useReading } from '../../api.ts';
import { Id } from '../../parts/copy.tsx';
import { TokenName } from '../../parts/names.tsx';
import { type Fact, Facts } from '../../parts/rows.tsx';
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
  const other = (title: string, tokenId: string | null, found: InventoryToken | null): Fact =>
    tokenId !== null && [
      title,
      <TokenName workspaceUuid={token.workspace_uuid} tokenId={tokenId} name={found?.name ?? null} />,
    ];
  return (
    <section class="card" aria-label="Facts">
      <p class="means">{stateSentence(token)}</p>
      <Facts
        facts={[
          isTold(atPipeOps?.description) && ['Description', atPipeOps?.description],
          ...mainFacts(token),
          atPipeOps !== null && isOther(atPipeOps, token) && ['Scopes at PipeOps', atPipeOps.scopes.join(', ')],
          ['Minted', <Time at={token.created_at} />],
          token.state !== 'revoked' && [token.state === 'expired' ? 'Expired' : 'Expires', <Expiry token={token} />],
          token.state === 'retiring' &&
            token.retires_at !== null && ['Will be revoked', <Time at={token.retires_at} />],
          other('Replaces', token.replaces, predecessor),
          other('Replaced by', token.replaced_by, successor),
          token.role !== null && ['Role', token.role],
          id('Policy version', token.policy_version),
          id('Prefix', token.token_prefix),
          id('Id', token.id),
          id('Workspace', token.workspace_uuid),
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

const id = (title: string, value: string | null): Fact =>
  value !== null && [title, <Id value={value} isShort={false} />];

const isTold = (text: string | null | undefined): boolean => text !== null && text !== undefined && text !== '';

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
