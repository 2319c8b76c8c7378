import { useRef, useState } from 'preact/hooks';
import type { InventoryPage, InventoryToken } from '../../../package/client/types.ts';
import { api, useAction } from '../../api.ts';
import { useViewer } from '../../caller.tsx';
import { FailureNotice } from '../../parts/failure.tsx';
import { NoPermission } from '../../parts/lists.tsx';
import { TokenName } from '../../parts/names.tsx';
import { Facts } from '../../parts/rows.tsx';
import { Page } from '../../parts/states.tsx';
import { Time } from '../../parts/time.tsx';
import { inventoryQueryOf, type Lookup, lookupOf, nothingFound, sha256Hex } from './lookup.ts';
import { RevokeDialog } from './revoke.tsx';
import { offersOf } from './rights.ts';
import { Expiry, mainFacts, StateBadge } from './shown.tsx';
import { nameOf } from './words.ts';

interface Answer {
  readonly lookup: Lookup;
  readonly page: InventoryPage;
}

/** Whose a secret is that somebody found. The secret is hashed in this page, and leaves it no other way. */
export const WhoseView = () =>
  useViewer().may('tokens:read') ? <Whose /> : <NoPermission title="Whose token is this?" permission="tokens:read" />;

function Whose() {
  const viewer = useViewer();
  const field = useRef<HTMLInputElement>(null);
  const [answer, setAnswer] = useState<Answer | null>(null);
  const [revoking, setRevoking] = useState<InventoryToken | null>(null);
  const look = async (lookup: Lookup | null): Promise<void> => {
    if (lookup === null) return;
    setAnswer({ lookup, page: await api.inventory.list(inventoryQueryOf(lookup)) });
  };
  const asking = useAction(async (text: string) => await look(await lookupOf(text, sha256Hex)));
  const again = useAction(async () => await look(answer?.lookup ?? null));
  const ask = (text: string): void => {
    // The field is empty before anything else happens with the text.
    if (field.current !== null) field.current.value = '';
    setAnswer(null);
    void asking.run(text);
  };
  const failure = asking.failure ?? again.failure;
  const seesAll = viewer.whoami.roles.some(
    ({ permissions, tokens, workspaces }) =>
      permissions.includes('tokens:read') && tokens === 'any' && workspaces.includes('*'),
  );
  return (
    <Page title="Whose token is this?">
      <form
        class="card find"
        onSubmit={(event) => {
          event.preventDefault();
          ask(field.current?.value ?? '');
        }}
      >
        <label>
          <span class="label">A secret that was found, its first eleven characters, or a token’s id</span>
          <input
            ref={field}
            type="password"
            autocomplete="off"
            spellcheck={false}
            aria-describedby="whose-about"
            onPaste={(event) => {
              const text = event.clipboardData?.getData('text') ?? '';
              event.preventDefault();
              ask(text);
            }}
          />
        </label>
        <p class="hint" id="whose-about">
          What you paste is hashed in this page at once, and the field is cleared. The service is asked for the SHA-256:
          the secret itself goes nowhere, and the trail does not say which hash it was.
        </p>
        <button type="submit" class="primary" disabled={asking.isRunning}>
          {asking.isRunning ? 'Looking…' : 'Find its owner'}
        </button>
      </form>
      {failure !== null && <FailureNotice failure={failure} />}
      <div aria-live="polite">
        {answer !== null && answer.page.items.length === 0 && (
          <section class="card find">
            <h2>Nobody’s, as far as you can see</h2>
            <ul>
              {nothingFound(answer.lookup, seesAll).map((reason) => (
                <li key={reason}>{reason}</li>
              ))}
            </ul>
          </section>
        )}
        {answer?.page.items.map((token) => (
          <Found key={`${token.workspace_uuid}/${token.id}`} token={token} onRevoke={() => setRevoking(token)} />
        ))}
        {answer?.page.hasMore === true && <p class="quiet">More tokens match than these. Search for them in Tokens.</p>}
      </div>
      {revoking !== null && (
        <RevokeDialog token={revoking} onClose={() => setRevoking(null)} onChanged={() => void again.run()} />
      )}
    </Page>
  );
}

function Found({ token, onRevoke }: { readonly token: InventoryToken; readonly onRevoke: () => void }) {
  const viewer = useViewer();
  return (
    <section class="card find">
      <h2>
        <TokenName workspaceUuid={token.workspace_uuid} tokenId={token.id} name={token.name} />{' '}
        <StateBadge token={token} />
      </h2>
      <Facts
        facts={[...mainFacts(token), ['Minted', <Time at={token.created_at} />], ['Expires', <Expiry token={token} />]]}
      />
      {offersOf(viewer, token).revoke && (
        <p class="actions">
          <button type="button" class="danger primary" onClick={onRevoke}>
            Revoke {nameOf(token)}
          </button>
        </p>
      )}
    </section>
  );
}
