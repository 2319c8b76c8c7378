import { useState } from 'preact/hooks';
import { CountersignError, failureOf } from '../../../package/client/failure.ts';
import type { AuditEvent, InventoryPage, InventoryToken, WholeDelivery } from '../../../package/client/types.ts';
import { type api as Api, sendLocal, useAction } from '../../api.ts';
import { useViewer, type Viewer } from '../../caller.tsx';
import { Link } from '../../location.tsx';
import { FailureNotice } from '../../parts/failure.tsx';
import { useFollowing } from '../../parts/following.ts';
import { NoPermission, Read, Stale } from '../../parts/lists.tsx';
import { Empty, Page } from '../../parts/states.tsx';
import { paths } from '../../routes.ts';
import { TokenFacts } from './facts.tsx';
import { Timeline } from './life.tsx';
import { RevokeDialog, SuspendDialog } from './revoke.tsx';
import { offersOf } from './rights.ts';
import { RotateDialog } from './rotate.tsx';
import { StateBadge } from './shown.tsx';
import { deliveriesOf, type Life } from './timeline.ts';
import { UpdateDialog } from './update.tsx';
import { isLive, nameOf } from './words.ts';

/** As much of a life as one request tells. */
const LIFE_ROWS = 200;
/** How long, and how often, a token is looked at after something was done to it. */
const WATCH_MS = 60_000;
const WATCH_EVERY_MS = 1_000;

interface Known {
  /** Null: the inventory has no such token that the viewer may see. */
  readonly life: Life | null;
  readonly hasOlder: boolean;
  readonly knowledge: InventoryPage['knowledge'];
}

interface TokenRef {
  readonly workspaceUuid: string;
  readonly tokenId: string;
}

/** One token: what it is, what was done to it, and what can be done. */
export const TokenView = (ref: TokenRef) =>
  useViewer().may('tokens:read') ? <OneToken {...ref} /> : <NoPermission title="Token" permission="tokens:read" />;

function OneToken({ workspaceUuid, tokenId }: TokenRef) {
  const viewer = useViewer();
  const ref = { workspaceUuid, tokenId };
  const [watchedUntilMs, setWatchedUntilMs] = useState(0);
  const isWatched = Date.now() < watchedUntilMs;
  const reading = useFollowing(
    `${workspaceUuid}/${tokenId}`,
    async (client, signal) => await readToken(client, viewer, ref, signal),
    () => (isWatched ? WATCH_EVERY_MS : null),
  );
  const changed = (): void => {
    reading.reload();
    setWatchedUntilMs(Date.now() + WATCH_MS);
  };
  const { data } = reading;
  if (data !== null && data.life !== null) {
    return (
      <>
        <Stale following={reading} />
        <TokenPage known={{ ...data, life: data.life }} isWatched={isWatched} onChanged={changed} />
      </>
    );
  }
  return (
    <Page title="Token">
      <Read reading={reading} what="Reading the token">
        {() => (
          <Empty title="There is no such token that you may see.">
            <p>
              It was not minted here and no list of PipeOps has shown it, or it is out of your reach.{' '}
              <Link to={paths.tokens}>See the tokens that you may see</Link>.
            </p>
          </Empty>
        )}
      </Read>
    </Page>
  );
}

type DialogName = 'revoke' | 'suspend' | 'resume' | 'update' | 'rotate';

interface PageProps {
  readonly known: Known & { readonly life: Life };
  readonly isWatched: boolean;
  readonly onChanged: () => void;
}

function TokenPage({ known, isWatched, onChanged }: PageProps) {
  const viewer = useViewer();
  const [dialog, setDialog] = useState<DialogName | null>(null);
  const { token } = known.life;
  const offers = offersOf(viewer, token);
  const name = nameOf(token);
  const given = { token, onClose: () => setDialog(null), onChanged };
  const button = (of: DialogName, title: string, kind = '') =>
    offers[of] && (
      <button type="button" class={kind} title={`${title} ${name}`} onClick={() => setDialog(of)}>
        {title}
      </button>
    );
  return (
    <Page
      title={name}
      heading={
        <>
          {name} <StateBadge token={token} />
        </>
      }
      actions={
        <>
          {viewer.isLocal && isLive(token) && <Leak token={token} onLeaked={onChanged} />}
          {button('update', 'Change')}
          {button('suspend', 'Suspend')}
          {button('resume', 'Resume')}
          {button('rotate', 'Rotate')}
          {button('revoke', 'Revoke', 'danger')}
        </>
      }
    >
      <div class="token-page">
        <TokenFacts life={known.life} knowledge={known.knowledge} />
        <Timeline life={known.life} hasOlder={known.hasOlder} isWatched={isWatched} />
      </div>
      {dialog === 'revoke' && <RevokeDialog {...given} />}
      {(dialog === 'suspend' || dialog === 'resume') && <SuspendDialog {...given} isResume={dialog === 'resume'} />}
      {dialog === 'update' && <UpdateDialog {...given} />}
      {dialog === 'rotate' && <RotateDialog {...given} />}
    </Page>
  );
}

/** On a local run: a scanner reports the secret, as one would that found it in a repository. */
function Leak({ token, onLeaked }: { readonly token: InventoryToken; readonly onLeaked: () => void }) {
  const leaking = useAction(async () => {
    const body = JSON.stringify({ workspace_uuid: token.workspace_uuid, token_id: token.id });
    const response = await sendLocal('/local/leak', { method: 'POST', body });
    if (!response.ok) {
      const answer: unknown = await response.json().catch(() => undefined);
      throw new CountersignError(failureOf(location.origin, response, answer));
    }
    onLeaked();
  });
  return (
    <>
      {leaking.failure !== null && <FailureNotice failure={leaking.failure} />}
      <button
        type="button"
        title="On this local run: plays a scanner that found its secret in public, and reports it by a signed webhook."
        disabled={leaking.isRunning}
        onClick={() => void leaking.run()}
      >
        {leaking.isRunning ? 'Leaking…' : 'Leak this token'}
      </button>
    </>
  );
}

async function readToken(client: typeof Api, viewer: Viewer, ref: TokenRef, signal: AbortSignal): Promise<Known> {
  const { workspaceUuid, tokenId } = ref;
  const find = async (id: string | null): Promise<InventoryPage | null> =>
    id === null ? null : await client.inventory.list({ token_id: id, workspace_uuid: workspaceUuid }, { signal });
  const found = await find(tokenId);
  const token = found?.items[0];
  if (token === undefined) return { life: null, hasOlder: false, knowledge: found?.knowledge ?? [] };
  const [page, successor, predecessor] = await Promise.all([
    client.tokens.events(tokenId, { workspace_uuid: workspaceUuid, limit: LIFE_ROWS }, { signal }),
    find(token.replaced_by),
    find(token.replaces),
  ]);
  const events = page.items.toReversed();
  const receipts = await readReceipts(client, viewer, events, signal);
  const life = {
    token,
    events,
    receipts,
    successor: successor?.items[0] ?? null,
    predecessor: predecessor?.items[0] ?? null,
  };
  return { life, hasOlder: page.hasMore, knowledge: found?.knowledge ?? [] };
}

/** The receipts of the orders of a token, as far as the viewer may read them. Without one the timeline says less. */
async function readReceipts(
  client: typeof Api,
  viewer: Viewer,
  events: readonly AuditEvent[],
  signal: AbortSignal,
): Promise<readonly WholeDelivery[]> {
  const reader = viewer.may('audit:read')
    ? client.deliveries
    : viewer.mayOfAny('tokens:revoke')
      ? client.revocations
      : null;
  if (reader === null) return [];
  const readings = deliveriesOf(events).map(async (id) => await reader.get(id, { signal }).catch(() => null));
  return (await Promise.all(readings)).filter((receipt) => receipt !== null);
}
