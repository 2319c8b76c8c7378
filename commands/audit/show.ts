import type { Client } from '../../package/client/client.ts';
import { CountersignError, type Failure } from '../../package/client/failure.ts';
import { waitOf } from '../../package/client/transport.ts';
import type { AuditFilter } from '../../package/client/requests.ts';
import type { AuditEvent, Page } from '../../package/client/types.ts';
import { lineOf, titleLine, usualLayout } from '../columns.ts';
import { waitLine } from '../countersign/connection.ts';
import type { Output } from '../countersign/result.ts';
import type { Place } from './place.ts';
import { cellsOf, EVENT_COLUMNS } from './table.ts';

/** The largest page of the API, in events. */
const PAGE_MAX = 200;

/** Shows the events that match, as many as asked for. */
export async function show(
  client: Client,
  filter: AuditFilter,
  { limit, order }: { readonly limit: number; readonly order: 'asc' | 'desc' },
  output: Output,
): Promise<void> {
  const events: AuditEvent[] = [];
  let cursor: string | null = null;
  let hasMore = true;
  while (hasMore && events.length < limit) {
    const rest = Math.min(PAGE_MAX, limit - events.length);
    const query = { ...filter, order, limit: rest, ...(cursor !== null && { cursor }) };
    // A page begins where the one before it ends, so they cannot be read at once.
    const page: Page<AuditEvent> = await client.audit.events(query);
    events.push(...page.items);
    cursor = page.nextCursor;
    hasMore = page.hasMore && cursor !== null;
  }
  await output.table(EVENT_COLUMNS, events, cellsOf);
  if (events.length === 0) output.notice('No events match.');
  if (hasMore) output.notice('There may be more: see them with a larger --limit, or --export ndjson.');
}

export interface Following {
  /** The number of earlier events to begin with. It does not count where the filter has a `from`. */
  readonly limit: number;
  /** Where it left off the last time, and takes note of how far it is; null: nowhere. */
  readonly place: Place | null;
  readonly sleep: (ms: number) => Promise<void>;
  /** Ends the follower once the page that it is writing is written, and its place saved. */
  readonly signal: AbortSignal;
}

const POLL_MS = 2_000;
/** However long a service asks to wait, it is asked again in a minute. */
const WAIT_MAX_MS = 60_000;

/**
 * Shows events as they become final, oldest first, until it is stopped. Its place is saved once the events before it are written, so a
 * follower that is killed leaves out none; the next one may repeat those of the page that was being written. It waits for a service that asks for patience or is
 * gone for a while.
 */
export async function follow(
  client: Client,
  filter: AuditFilter,
  { limit, place, sleep, signal }: Following,
  output: Output,
): Promise<void> {
  let cursor = place?.cursor ?? null;
  let hasAnswered = false;
  if (cursor === null && !('from' in filter)) {
    cursor = await placeBefore(client, filter, limit);
    hasAnswered = true;
  }
  const layout = usualLayout(EVENT_COLUMNS, output.cells);
  if (!output.isJson) await output.line(titleLine(EVENT_COLUMNS, layout, output.cells));
  for (let refusals = 0; !signal.aborted;) {
    const query = { ...filter, order: 'asc' as const, limit: PAGE_MAX, ...(cursor !== null && { cursor }) };
    const page: Page<AuditEvent> | Failure = await client.audit
      .events(query, { retries: 0, signal })
      .catch(asPatience(hasAnswered));
    if ('code' in page) {
      if (page.code === 'client_aborted') return;
      const waitMs = Math.min(waitOf(page, refusals), WAIT_MAX_MS);
      refusals += 1;
      output.notice(waitLine(page, waitMs));
      await sleep(waitMs);
      continue;
    }
    hasAnswered = true;
    refusals = 0;
    for (const event of page.items) {
      if (output.isJson) await output.json(event);
      else await output.line(lineOf(EVENT_COLUMNS, cellsOf(event), layout, output.cells));
    }
    if (page.nextCursor !== null && page.nextCursor !== cursor) {
      cursor = page.nextCursor;
      await place?.save(cursor);
    }
    if (!page.hasMore && !signal.aborted) await sleep(POLL_MS);
  }
}

/** A follower waits for a service that is busy or broken, and for one that is gone for a while; not for one that was never there. */
const asPatience =
  (hasAnswered: boolean) =>
  (error: unknown): Failure => {
    if (!(error instanceof CountersignError)) throw error;
    const { failure } = error;
    const isGone = failure.code === 'client_unreachable' || failure.code === 'client_deadline';
    const isBusy = 'status' in failure && (failure.status === 429 || failure.status >= 500);
    if (isBusy || failure.code === 'client_aborted' || (isGone && hasAnswered)) return failure;
    throw error;
  };

/** The cursor in front of the last `limit` events, or null if the trail has no more than those. */
async function placeBefore(client: Client, filter: AuditFilter, limit: number): Promise<string | null> {
  const page = await client.audit.events({ ...filter, order: 'desc', limit: Math.min(PAGE_MAX, limit + 1) });
  return page.nextCursor;
}
