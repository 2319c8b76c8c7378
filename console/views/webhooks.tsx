import type { Delivery } from '../../package/client/types.ts';
import { useViewer } from '../caller.tsx';
import { Link } from '../location.tsx';
import { usePages } from '../parts/following.ts';
import { AsOf, MoreButton, NoPermission, Stale } from '../parts/lists.tsx';
import { PersonName } from '../parts/names.tsx';
import { isByCaller } from '../parts/orders.ts';
import { Table } from '../parts/rows.tsx';
import { Badge, Empty, Loading, Page } from '../parts/states.tsx';
import { Time } from '../parts/time.tsx';
import { paths } from '../routes.ts';
import { deliveryWords, ledTo, nothingDone, tokenWords } from './webhooks/words.ts';

const POLL_MS = 15_000;

/** What came in by webhook, and what people ordered in its place: the newest first. */
export function WebhooksView() {
  return useViewer().may('audit:read') ? <Deliveries /> : <NoPermission title="Webhooks" permission="audit:read" />;
}

function Deliveries() {
  const pages = usePages<Delivery>(
    'deliveries',
    async (client, cursor, signal) =>
      await client.deliveries.list({ limit: 50, cursor }, signal === undefined ? {} : { signal }),
    POLL_MS,
  );
  const { items } = pages;
  return (
    <Page title="Webhooks" actions={<AsOf following={pages} />}>
      <Stale following={pages} />
      {items === null && pages.isLoading && <Loading />}
      {items?.length === 0 && <NoDelivery />}
      {items !== null && items.length > 0 && (
        <Table heads={['What came in', 'Tokens it named', 'What it led to', 'When']}>
          {items.map((delivery) => (
            <Row key={delivery.id} delivery={delivery} />
          ))}
        </Table>
      )}
      <MoreButton pages={pages} />
    </Page>
  );
}

const NoDelivery = () => (
  <Empty title="Nothing has come in yet">
    <p>
      Scanners report leaked secrets here, and HR systems report leavers.{' '}
      <a href="/docs/webhooks">How to let them in</a>
    </p>
  </Empty>
);

function Row({ delivery }: { readonly delivery: Delivery }) {
  const { tone, text } = ledTo(delivery);
  const why = nothingDone(delivery);
  const tokens = tokenWords(delivery.tokens);
  return (
    <tr>
      <td class="wide">
        <Sender delivery={delivery} />{' '}
        <Link to={isByCaller(delivery) ? paths.revocation(delivery.id) : paths.delivery(delivery.id)}>
          {deliveryWords(delivery)}
        </Link>
        {delivery.reason !== undefined && <p class="under">{delivery.reason}</p>}
        {why !== null && <p class="under">{why}</p>}
        {delivery.sender_id !== null && (
          <p class="under">
            <code title="The id that its sender gave it">{delivery.sender_id}</code>
          </p>
        )}
      </td>
      <td>{tokens ?? <span class="quiet">none</span>}</td>
      <td>
        <Badge tone={tone}>{text}</Badge>
      </td>
      <td>
        <Time at={delivery.received_at} />
      </td>
    </tr>
  );
}

/** Who sent it: a source of the policy, or somebody here. */
export const Sender = ({ delivery: { source, actor } }: { readonly delivery: Delivery }) =>
  actor === undefined ? <span class="person">{source ?? 'Somebody'}</span> : <PersonName person={actor} />;
