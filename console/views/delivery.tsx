import { useEffect, useState } from 'preact/hooks';
import type { FoundOwner, WholeDelivery } from '../../package/client/types.ts';
import { api, useAction } from '../api.ts';
import { useViewer } from '../caller.tsx';
import { Link } from '../location.tsx';
import { Id } from '../parts/copy.tsx';
import { FailureNotice } from '../parts/failure.tsx';
import { count, plain } from '../parts/figures.ts';
import { AsOf, NoPermission, Stale } from '../parts/lists.tsx';
import { PersonName } from '../parts/names.tsx';
import { isByCaller, leftToRetry, retriedWords } from '../parts/orders.ts';
import { Progress, useReceipt } from '../parts/receipt.tsx';
import { Facts } from '../parts/rows.tsx';
import { Loading, Page } from '../parts/states.tsx';
import { Time } from '../parts/time.tsx';
import { paths } from '../routes.ts';
import { Sender } from './webhooks.tsx';
import { Items, Revocations, useTokenNames } from './webhooks/tokens.tsx';
import { deliveryWords, nothingDone, rejectedWords, subjectWords } from './webhooks/words.ts';

/** One delivery: what it said, what became of each token, and what is left to do. */
export function DeliveryView({ deliveryId }: { readonly deliveryId: string }) {
  return useViewer().may('audit:read') ? (
    <Receipt kind="delivery" id={deliveryId} />
  ) : (
    <NoPermission title="Delivery" permission="audit:read" />
  );
}

/** What somebody ordered here. The service shows it to whoever may order the like, and to whoever reads the trail. */
export const RevocationView = ({ revocationId }: { readonly revocationId: string }) => (
  <Receipt kind="revocation" id={revocationId} />
);

function Receipt({ kind, id }: { readonly kind: 'delivery' | 'revocation'; readonly id: string }) {
  const following = useReceipt(kind, id);
  const { data: delivery } = following;
  const names = useTokenNames(delivery);
  if (delivery === null) {
    return (
      <Page title={kind === 'delivery' ? 'Delivery' : 'Revocation'}>
        <Stale following={following} />
        {following.isLoading && <Loading />}
      </Page>
    );
  }
  const what = deliveryWords(delivery);
  const who = delivery.source ?? delivery.actor?.label ?? delivery.actor?.subject ?? 'Somebody';
  return (
    <Page
      title={`${who} ${what}`}
      heading={
        <>
          <Sender delivery={delivery} /> {what}
        </>
      }
      actions={<AsOf following={following} />}
    >
      <Stale following={following} />
      <Outcome delivery={delivery} onRetried={following.reload} />
      <About delivery={delivery} isReceipt={kind === 'revocation'} />
      <Owners delivery={delivery} />
      <Revocations revocations={delivery.revocations} names={names} />
      {kind === 'delivery' && <Items delivery={delivery} names={names} />}
    </Page>
  );
}

/** What it led to, and the button that tries again what is left. */
function Outcome({ delivery, onRetried }: { readonly delivery: WholeDelivery; readonly onRetried: () => void }) {
  const viewer = useViewer();
  const [did, setDid] = useState<string | null>(null);
  const retry = useAction(async () => setDid(retriedWords((await api.deliveries.retry(delivery.id)).retried)));
  const left = leftToRetry(delivery.revocations);
  const why = nothingDone(delivery);
  const rejected = delivery.rejected_items ?? {};
  useEffect(() => setDid(null), [delivery.id]);
  return (
    <section class="card" aria-label="What it led to">
      {why === null ? <Progress receipt={delivery} /> : <p class="verdict">{why}</p>}
      {rejectedWords(rejected).map((text) => (
        <p key={text} class="under">
          Not acted on: {text}
        </p>
      ))}
      {did !== null && <p role="status">{did}</p>}
      {retry.failure !== null && <FailureNotice failure={retry.failure} />}
      {left > 0 && viewer.mayOfAny('tokens:revoke') && (
        <button
          type="button"
          disabled={retry.isRunning}
          onClick={() => void retry.run().then((isDone) => (isDone ? onRetried() : undefined))}
        >
          {retry.isRunning ? 'Trying…' : `Try ${count(left, 'revocation')} again now`}
        </button>
      )}
    </section>
  );
}

function About({ delivery, isReceipt }: { readonly delivery: WholeDelivery; readonly isReceipt: boolean }) {
  const { actor, subject, reason, event, mode, sender_id: senderId, blocks_lifted: lifted } = delivery;
  return (
    <section class="card" aria-label="Facts">
      <Facts
        facts={[
          [actor === undefined ? 'Source' : 'Ordered by', <Sender delivery={delivery} />],
          ['Received', <Time at={delivery.received_at} />],
          reason !== undefined && ['Reason', reason],
          subject !== undefined && [
            'About',
            <>
              {subjectWords(subject)}{' '}
              <span class="quiet">{'label' in subject ? '(label)' : `of ${subject.issuer}`}</span>
              {delivery.former === true && ' and whoever carried it before'}
              {delivery.issuer_configured === false && <p class="problem">Nobody here has that issuer.</p>}
            </>,
          ],
          event !== null && [
            'Event',
            <>
              <code>{event}</code>
              {mode !== undefined && <span class="quiet"> · tokens are to be {MODES[mode]}</span>}
            </>,
          ],
          lifted !== undefined && [
            'Blocks lifted',
            `${plain(lifted)}${delivery.still_blocked === true ? '. Somebody is still blocked in another way.' : ''}`,
          ],
          senderId !== null && [
            'Sender’s id',
            <>
              <Id value={senderId} />
              {delivery.id_reused === true && <p class="problem">Another delivery had this id before.</p>}
            </>,
          ],
          ['Id', <Id value={delivery.id} />],
          [
            'In the trail',
            <>
              <Link to={paths.event(delivery.event_id)}>Its event</Link>
              {isByCaller(delivery) && !isReceipt && (
                <>
                  {' · '}
                  <Link to={paths.revocation(delivery.id)}>Its receipt</Link>
                </>
              )}
            </>,
          ],
        ]}
      />
    </section>
  );
}

const MODES = { revoke: 'revoked', suspend: 'suspended' } as const;

function Owners({ delivery }: { readonly delivery: WholeDelivery }) {
  const { owners, also_carried: others = [], owners_not_shown: notShown } = delivery;
  if (owners === undefined) return null;
  return (
    <section class="card" aria-labelledby="owners">
      <h2 id="owners">Whom it means</h2>
      {owners.length === 0 ? (
        <p class="quiet">Nobody here is known by this name. Whoever comes with it is refused.</p>
      ) : (
        <OwnerList owners={owners} />
      )}
      {notShown !== undefined && <p class="quiet">{count(notShown, 'more person', 'more people')} are not shown.</p>}
      {others.length > 0 && (
        <>
          <h3>Carried the label before, and left alone</h3>
          <OwnerList owners={others} />
        </>
      )}
    </section>
  );
}

const OwnerList = ({ owners }: { readonly owners: readonly FoundOwner[] }) => (
  <ul class="plain-list">
    {owners.map(({ issuer, subject, tokens }) => (
      <li key={`${issuer}|${subject}`}>
        <PersonName person={{ issuer, subject, label: null }} />{' '}
        <span class="quiet">
          {count(tokens, 'token')} · {issuer}
        </span>
      </li>
    ))}
  </ul>
);
