import type { Revocation, WholeDelivery } from '../../../package/client/types.ts';
import { api, useAction } from '../../api.ts';
import { useViewer } from '../../caller.tsx';
import { Link } from '../../location.tsx';
import { FailureNotice } from '../../parts/failure.tsx';
import { ActorName, TokenName } from '../../parts/names.tsx';
import { notice } from '../../parts/notices.tsx';
import { Badge, Loading, Page } from '../../parts/states.tsx';
import { Time } from '../../parts/time.tsx';
import { WindowedRows } from '../../parts/windowed.tsx';
import { paths } from '../../routes.ts';
import { notedName } from './names.ts';
import { useWatched } from './readings.ts';
import { ORDER_STATES, outcomeWords, progressOf, receiptTitle } from './receipts.ts';

/** The height of a row; `tokens.css` gives it the same. */
const ROW_PX = 52;

/** A receipt, followed until nothing of it is open. */
export function RevocationView({ revocationId }: { readonly revocationId: string }) {
  const reading = useWatched(
    revocationId,
    async (client, signal) => await client.revocations.get(revocationId, { signal }),
    { isOver: (receipt) => progressOf(receipt).isOver, isWatchedFirst: true },
  );
  const { data, failure } = reading;
  const title = data === null ? 'Revocation' : receiptTitle(data);
  return (
    <Page title={title} actions={data !== null && <Retry receipt={data} onSent={reading.watch} />}>
      {failure !== null && <FailureNotice failure={failure} onRetry={reading.reload} />}
      {data !== null ? (
        <Receipt receipt={data} isWatched={reading.isWatched} onWatch={reading.watch} />
      ) : (
        failure === null && <Loading what="Reading the receipt" />
      )}
    </Page>
  );
}

/** Sends again what has failed, or looks at what is open. */
function Retry({ receipt, onSent }: { readonly receipt: WholeDelivery; readonly onSent: () => void }) {
  const viewer = useViewer();
  const retrying = useAction(async () => {
    const { retried } = await api.deliveries.retry(receipt.id);
    notice(retried === 0 ? 'Nothing is left to be sent again.' : `${retried} are sent again.`);
    onSent();
  });
  const { failed, open } = receipt.orders;
  if (failed + open === 0 || !viewer.mayOfAny('tokens:revoke')) return null;
  return (
    <>
      {retrying.failure !== null && <FailureNotice failure={retrying.failure} />}
      <button type="button" disabled={retrying.isRunning} onClick={() => void retrying.run()}>
        {retrying.isRunning ? 'Sending…' : 'Send what is left again'}
      </button>
    </>
  );
}

interface ReceiptProps {
  readonly receipt: WholeDelivery;
  readonly isWatched: boolean;
  readonly onWatch: () => void;
}

function Receipt({ receipt, isWatched, onWatch }: ReceiptProps) {
  const progress = progressOf(receipt);
  const { actor, reason, received_at: at, revocations, owners = [] } = receipt;
  return (
    <>
      <section class="card" aria-label="Progress">
        <p class="means">
          {actor !== undefined && (
            <>
              <ActorName actor={actor} /> ordered it <Time at={at} />.{' '}
            </>
          )}
          {reason !== undefined && <>Reason: {reason}</>}
        </p>
        {progress.total > 0 && (
          <progress aria-label="Tokens whose end is known" value={progress.done} max={progress.total} />
        )}
        <p role="status">
          {progress.sentence} {progress.isOver ? 'Nothing is left to do.' : isWatched && <span class="live">live</span>}
        </p>
        {!progress.isOver && !isWatched && (
          <p class="quiet">
            The service goes on by itself.{' '}
            <button type="button" class="plain" onClick={onWatch}>
              Follow it
            </button>
          </p>
        )}
        {receipt.blocks_lifted !== undefined && (
          <p>{receipt.blocks_lifted === 0 ? 'Nobody was blocked so.' : `Blocks lifted: ${receipt.blocks_lifted}.`}</p>
        )}
        {receipt.still_blocked === true && <p class="problem">Somebody of them is blocked in another way as well.</p>}
        {owners.length > 0 && <p class="quiet">Owners: {owners.map(({ subject }) => subject).join(', ')}</p>}
        <p class="hint">
          <Link to={paths.event(receipt.event_id)}>Its event</Link>
        </p>
      </section>
      {revocations.length > 0 && <Orders revocations={revocations} />}
    </>
  );
}

const Orders = ({ revocations }: { readonly revocations: readonly Revocation[] }) => (
  <div class="table">
    <table class="inventory orders">
      <caption class="visually-hidden">What became of each token</caption>
      <thead>
        <tr>
          <th scope="col" class="name">
            Token
          </th>
          <th scope="col" class="state">
            State
          </th>
          <th scope="col">What became of it</th>
          <th scope="col" class="age">
            Event
          </th>
        </tr>
      </thead>
      <WindowedRows
        items={revocations}
        rowHeightPx={ROW_PX}
        columns={4}
        row={(order) => {
          const { word, tone, means } = ORDER_STATES[order.state] ?? { word: order.state, tone: 'quiet', means: '' };
          const isContradicted = order.contradicted_at !== null && order.state !== 'confirmed';
          const words = outcomeWords(order);
          return (
            <tr key={order.event_id}>
              <td class="name">
                <TokenName
                  workspaceUuid={order.workspace_uuid}
                  tokenId={order.token_id}
                  name={notedName(order.workspace_uuid, order.token_id)}
                />
              </td>
              <td class="state">
                <Badge tone={isContradicted ? 'danger' : tone} title={means}>
                  {isContradicted ? 'Contradicted' : word}
                </Badge>
              </td>
              <td title={words}>{words}</td>
              <td class="age">
                <Link to={paths.event(order.event_id)}>Event</Link>
              </td>
            </tr>
          );
        }}
      />
    </table>
  </div>
);
