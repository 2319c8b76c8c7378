import type { AuditEvent } from '../../../package/client/types.ts';
import { Link } from '../../location.tsx';
import { usePages } from '../../parts/following.ts';
import { Stale } from '../../parts/lists.tsx';
import { TokenName } from '../../parts/names.tsx';
import { Table } from '../../parts/rows.tsx';
import { Badge, Loading } from '../../parts/states.tsx';
import { Time } from '../../parts/time.tsx';
import { paths } from '../../routes.ts';

const POLL_MS = 15_000;

const TONES = { attempted: 'warning', success: 'good', failure: 'danger' } as const;

/** What somebody did last. */
export function Lately({ name }: { readonly name: string }) {
  const pages = usePages<AuditEvent>(
    `events of ${name}`,
    async (client, cursor, signal) =>
      await client.audit.events(
        { actor: name, latest: true, limit: 15, cursor },
        signal === undefined ? {} : { signal },
      ),
    POLL_MS,
  );
  const { items } = pages;
  return (
    <section aria-labelledby="lately">
      <h2 id="lately">What they did lately</h2>
      <Stale following={pages} />
      {items === null && pages.isLoading && <Loading />}
      {items?.length === 0 && <p class="quiet">Nothing that is in the trail.</p>}
      {items !== null && items.length > 0 && (
        <Table heads={['What', 'Outcome', 'When']}>
          {items.map((event) => (
            <Row key={event.id} event={event} />
          ))}
        </Table>
      )}
      {pages.hasMore && (
        <p>
          <Link to={activityOf(name)}>All of it in Activity</Link>
        </p>
      )}
    </section>
  );
}

/** The question to Activity that finds all events of somebody. */
const activityOf = (name: string): string =>
  `${paths.activity}?${new URLSearchParams({ q: `actor:${JSON.stringify(name)}`, reads: 'shown' }).toString()}`;

const Row = ({ event }: { readonly event: AuditEvent }) => (
  <tr>
    <td class="wide">
      <code>{event.action}</code>{' '}
      {(event.token_id !== null || event.token_name !== null) && (
        <TokenName workspaceUuid={event.workspace_uuid} tokenId={event.token_id} name={event.token_name} />
      )}
      {event.count > 1 && <span class="quiet"> {event.count} times</span>}
    </td>
    <td>
      <Badge tone={TONES[event.status]}>{event.status}</Badge>
      {event.error_code !== null && (
        <span class="under">
          {' '}
          <code>{event.error_code}</code>
        </span>
      )}
    </td>
    <td>
      <Link to={paths.event(event.id)}>
        <Time at={event.occurred_at} />
      </Link>
    </td>
  </tr>
);
