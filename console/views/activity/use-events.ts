import { useEffect, useRef } from 'preact/hooks';
import type { AuditFilter } from '../../../package/client/requests.ts';
import type { AuditEvent } from '../../../package/client/types.ts';
import { type Action, api, useAction } from '../../api.ts';
import { type Following, useFollowing } from '../../parts/following.ts';
import { joined, type Known, merged, NOTHING } from './timeline.ts';

// The events of a question: the newest page, older ones on demand, and newer ones as they come.

const PAGE_ROWS = 50;
/** Older ones are read by whoever soon wants more. */
const OLDER_PAGE_ROWS = 100;
const POLL_MS = 3_000;
/** A page by several filters looks at a part of the trail and may be empty. So many are asked for at a time. */
const PAGES_AT_A_TIME = 4;

export interface Events extends Omit<Following<unknown>, 'data'> {
  readonly events: readonly AuditEvent[];
  readonly hasOlder: boolean;
  readonly older: Action<[]>;
}

/** Asks for pages until there is a whole one, as far as a few questions reach. */
async function ask(
  client: typeof api,
  query: AuditFilter & { readonly limit: number },
  from: string | null,
  signal?: AbortSignal,
): Promise<Known> {
  const events: AuditEvent[] = [];
  let cursor = from;
  for (let pages = 0; pages < PAGES_AT_A_TIME; pages += 1) {
    const page = await client.audit.events({ ...query, cursor: cursor ?? undefined }, signal && { signal });
    events.push(...page.items);
    cursor = page.hasMore ? page.nextCursor : null;
    // By itself the page asks for no more than the newest events.
    if (cursor === null || events.length >= query.limit / 2 || client !== api) break;
  }
  return { events, cursor };
}

/**
 * Reads the events of a filter.
 *
 * New ones are asked for by the very question that gave the first page. So the polls of a minute are one counted event of the trail, and
 * attempts that are settled and counts that grow are seen; a cursor that moves on would leave an event with each poll, and the next
 * poll would find it.
 *
 * @param key names the filter. A filter with other times under the same key is the same question.
 * @param filter null: nothing is asked.
 */
export function useEvents(key: string, filter: AuditFilter | null, isLive: boolean): Events {
  const { data: newest, ...following } = useFollowing<Known>(
    key,
    async (client, signal) =>
      filter === null ? NOTHING : await ask(client, { ...filter, limit: PAGE_ROWS }, null, signal),
    () => (isLive && filter !== null ? POLL_MS : null),
  );
  /** What is known of a question, and the newest page that is part of it. */
  const list = useRef<{ readonly key: string; readonly newest: Known | null; readonly known: Known }>(null);
  const before = list.current?.key === key ? list.current : { key, newest: null, known: NOTHING };
  list.current =
    newest === null || newest === before.newest ? before : { key, newest, known: joined(before.known, newest) };
  const { known } = list.current;

  const older = useAction(async () => {
    if (filter === null) return;
    const { events, cursor } = await ask(api, { ...filter, limit: OLDER_PAGE_ROWS }, known.cursor);
    const now = list.current;
    if (now?.key === key) list.current = { ...now, known: { events: merged(now.known.events, events), cursor } };
  });
  useEffect(older.forget, [key]);
  return { ...following, events: known.events, hasOlder: known.cursor !== null, older };
}
