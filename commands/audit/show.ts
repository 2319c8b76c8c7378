import { printableJson } from '../terminal-text.ts';
import type { AuditClient } from './client.ts';
import { cellsOf, layoutOf, lineOf, titleLine, usualLayout } from './table.ts';

/** The largest page of the API, in events. */
const PAGE_MAX = 200;

/** Where lines go. */
export interface Screen {
  /** Writes a line of the result. It settles when there is room for another. */
  readonly write: (line: string) => Promise<void>;
  /** Writes a line about the result. */
  readonly notice: (line: string) => void;
  readonly cells: number;
}

type Parameters = Readonly<Record<string, string>>;

/** Shows the events that match, as many as asked for. */
export async function show(
  client: AuditClient,
  parameters: Parameters,
  { limit, order, json }: { readonly limit: number; readonly order: 'asc' | 'desc'; readonly json: boolean },
  screen: Screen,
): Promise<void> {
  const events: unknown[] = [];
  let cursor: string | null = null;
  let hasMore = true;
  while (hasMore && events.length < limit) {
    const rest = String(Math.min(PAGE_MAX, limit - events.length));
    const query: Parameters = { ...parameters, order, limit: rest, ...(cursor !== null && { cursor }) };
    // A page begins where the one before it ends, so they cannot be read at once.
    const page = await client.page(query);
    events.push(...page.events);
    cursor = page.nextCursor;
    hasMore = page.hasMore && cursor !== null;
  }
  await (json ? writeJson(events, screen) : writeTable(events, screen));
  if (events.length === 0) screen.notice('No events match.');
  if (hasMore) screen.notice('There may be more: see them with a larger --limit, or --export ndjson.');
}

async function writeTable(events: readonly unknown[], screen: Screen): Promise<void> {
  if (events.length === 0) return;
  const lines = events.map(cellsOf);
  const layout = layoutOf(lines, screen.cells);
  await screen.write(titleLine(layout, screen.cells));
  for (const line of lines) await screen.write(lineOf(line, layout, screen.cells));
}

async function writeJson(events: readonly unknown[], screen: Screen): Promise<void> {
  for (const event of events) await screen.write(printableJson(event));
}

export interface Following {
  /** The number of earlier events to begin with. It does not count where `parameters` have a `from`. */
  readonly limit: number;
  readonly json: boolean;
  /** Where it left off the last time, and takes note of how far it is; null: nowhere. */
  readonly place: Place | null;
  readonly sleep: (ms: number) => Promise<void>;
  readonly isStopped: () => boolean;
}

/** The place of a follower in the trail, which outlives it. */
export interface Place {
  /** The cursor behind the last events that were shown, or null if none were. */
  readonly cursor: string | null;
  save(cursor: string): Promise<void>;
}

const POLL_MS = 2_000;

/**
 * Shows events as they become final, oldest first, until it is stopped. Its place is saved once the events before it are written, so a
 * follower that is killed leaves out none; the next one may repeat those of the page that was being written. It waits for a service that asks for patience or is
 * gone for a while.
 */
export async function follow(
  client: AuditClient,
  parameters: Parameters,
  { limit, json, place, sleep, isStopped }: Following,
  screen: Screen,
): Promise<void> {
  let cursor = place?.cursor ?? ('from' in parameters ? null : await placeBefore(client, parameters, limit));
  const layout = usualLayout(screen.cells);
  if (!json) await screen.write(titleLine(layout, screen.cells));
  while (!isStopped()) {
    const query: Parameters = {
      ...parameters,
      order: 'asc',
      limit: String(PAGE_MAX),
      ...(cursor !== null && { cursor }),
    };
    const page = await client.page(query, Infinity);
    if (json) await writeJson(page.events, screen);
    else for (const event of page.events) await screen.write(lineOf(cellsOf(event), layout, screen.cells));
    if (page.nextCursor !== null && page.nextCursor !== cursor) {
      cursor = page.nextCursor;
      await place?.save(cursor);
    }
    if (!page.hasMore && !isStopped()) await sleep(POLL_MS);
  }
}

/** The cursor in front of the last `limit` events, or null if the trail has no more than those. */
async function placeBefore(client: AuditClient, parameters: Parameters, limit: number): Promise<string | null> {
  const page = await client.page({ ...parameters, order: 'desc', limit: String(Math.min(PAGE_MAX, limit + 1)) });
  return page.nextCursor;
}
