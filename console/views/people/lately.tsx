import type { AuditEvent } from '../../../package/client/types.ts';
import { useViewer } from '../../caller.tsx';
import { Link } from '../../location.tsx';
import { usePages } from '../../parts/following.ts';
import { Stale } from '../../parts/lists.tsx';
import { Loading } from '../../parts/states.tsx';
import { paths } from '../../routes.ts';
import { EventList } from '../activity/event-list.tsx';
import { useTokenNames } from '../activity/token-names.ts';

const POLL_MS = 15_000;

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
  const names = useTokenNames(items ?? [], useViewer().may('tokens:read'));
  return (
    <section aria-labelledby="lately">
      <h2 id="lately">What they did lately</h2>
      <Stale following={pages} />
      {items === null && pages.isLoading && <Loading />}
      {items?.length === 0 && <p class="quiet">Nothing that is in the trail.</p>}
      {items !== null && items.length > 0 && <EventList events={items} names={names} />}
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
