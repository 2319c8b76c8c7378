import type { InventoryToken } from '../../../package/client/types.ts';
import { PersonName } from '../../parts/names.tsx';
import type { Fact } from '../../parts/rows.tsx';
import { Badge } from '../../parts/states.tsx';
import { Time } from '../../parts/time.tsx';
import { lastUseWords, stateSentence, STATES } from './words.ts';

// Parts of a token that several views show.

interface TokenProps {
  readonly token: InventoryToken;
}

/** When a token was used last, or why nobody knows. */
export function LastUse({ token }: TokenProps) {
  if (token.last_used_at !== null) return <Time at={token.last_used_at} />;
  const { text, why } = lastUseWords(token);
  return (
    <span class="quiet" title={why}>
      {text}
    </span>
  );
}

export function StateBadge({ token }: TokenProps) {
  // A newer service may have a state that is not listed.
  const { word, tone } = STATES[token.state] ?? { word: token.state, tone: 'quiet' };
  return (
    <Badge tone={tone} title={stateSentence(token)}>
      {word}
    </Badge>
  );
}

export const Expiry = ({ token }: TokenProps) =>
  // One that has ended before expires no more.
  token.state === 'revoked' || token.expires_at === null ? (
    <span class="quiet">{token.state === 'revoked' ? '–' : 'Never'}</span>
  ) : (
    <Time at={token.expires_at} />
  );

export const Owner = ({ token }: TokenProps) =>
  token.owner === null ? (
    <span class="quiet" title="It was made past this service, so nobody here owns it.">
      Made outside
    </span>
  ) : (
    <PersonName person={token.owner} />
  );

export const Scopes = ({ token }: TokenProps) =>
  token.scopes === null ? (
    <span class="quiet" title="It was not minted here, or before grants were kept.">
      Not known
    </span>
  ) : (
    <>{token.scopes.join(', ')}</>
  );

/** What counts before a token is revoked: whose it is, and whether anything uses it. */
export const mainFacts = (token: InventoryToken): readonly Fact[] => [
  ['Owner', <Owner token={token} />],
  ['Last use', <LastUse token={token} />],
  ['Scopes', <Scopes token={token} />],
];
