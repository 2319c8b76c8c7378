import { useEffect, useRef, useState } from 'preact/hooks';
import type { AuditFilter } from '../../../package/client/requests.ts';
import type { AuditEvent, Page } from '../../../package/client/types.ts';
import type { Failure } from '../../../package/client/failure.ts';
import { api, failureFrom, polling, tellSignedOut, usePolling } from '../../api.ts';
import { isJoined, merged } from './timeline.ts';

// The events of a question: the newest page, older ones on demand, and newer ones as they come.

const PAGE_ROWS = 50;
/** Older ones are read by whoever scrolls, who soon wants more. */
const OLDER_PAGE_ROWS = 100;
const POLL_MS = 3_000;
/** A page by several filters looks at a part of the trail and may be empty. So many are asked for at a time. */
const PAGES_AT_A_TIME = 4;

export interface Events {
  readonly events: readonly AuditEvent[];
  /** The newest event of the first page. Those before and behind it are numbered from it. */
  readonly anchorId: string | null;
  readonly isLoading: boolean;
  readonly isLoadingOlder: boolean;
  readonly hasOlder: boolean;
  readonly failure: Failure | null;
  /** Why no new events come in, although they are asked for. */
  readonly liveFailure: Failure | null;
  readonly loadOlder: () => void;
  readonly reload: () => void;
}

interface State {
  readonly key: string;
  readonly events: readonly AuditEvent[];
  readonly anchorId: string | null;
  readonly cursor: string | null;
  readonly isLoading: boolean;
  readonly isLoadingOlder: boolean;
  readonly failure: Failure | null;
}

const empty = (key: string): State => ({
  key,
  events: [],
  anchorId: null,
  cursor: null,
  isLoading: true,
  isLoadingOlder: false,
  failure: null,
});

type Ask = (query: AuditFilter & { readonly limit: number; readonly cursor?: string }) => Promise<Page<AuditEvent>>;

/** Asks for pages until there is a whole one, as far as a few questions reach. */
async function ask(
  read: Ask,
  filter: AuditFilter,
  from: string | null,
  limit: number,
): Promise<{ readonly events: readonly AuditEvent[]; readonly cursor: string | null }> {
  const events: AuditEvent[] = [];
  let cursor = from;
  for (let pages = 0; pages < PAGES_AT_A_TIME; pages += 1) {
    const page = await read({ ...filter, limit, ...(cursor !== null && { cursor }) });
    events.push(...page.items);
    cursor = page.hasMore ? page.nextCursor : null;
    if (cursor === null || events.length >= limit / 2) break;
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
  const [state, setState] = useState<State>(() => empty(key));
  const [liveFailure, setLiveFailure] = useState<Failure | null>(null);
  const [turn, setTurn] = useState(0);
  const asked = useRef(filter);
  asked.current = filter;
  const current = useRef(key);
  current.current = key;

  useEffect(() => {
    const controller = new AbortController();
    setState({ ...empty(key), isLoading: filter !== null });
    setLiveFailure(null);
    const { signal } = controller;
    const begin = async (): Promise<void> => {
      if (filter === null) return;
      try {
        const { events, cursor } = await ask(
          async (query) => await api.audit.events(query, { signal }),
          filter,
          null,
          PAGE_ROWS,
        );
        if (signal.aborted) return;
        setState({ ...empty(key), events, cursor, anchorId: events[0]?.id ?? null, isLoading: false });
      } catch (error) {
        if (!signal.aborted) fail(error);
      }
    };
    void begin();
    return () => controller.abort();
  }, [key, turn]);

  const fail = (error: unknown): void => {
    const failure = failureFrom(error);
    tellSignedOut(failure);
    setState((before) => ({ ...before, isLoading: false, isLoadingOlder: false, failure }));
  };

  const loadOlder = (): void => {
    const { cursor, isLoadingOlder } = state;
    if (filter === null || cursor === null || isLoadingOlder) return;
    setState((before) => ({ ...before, isLoadingOlder: true, failure: null }));
    const go = async (): Promise<void> => {
      try {
        const older = await ask(async (query) => await api.audit.events(query), filter, cursor, OLDER_PAGE_ROWS);
        setState((before) =>
          before.key === key
            ? { ...before, events: merged(before.events, older.events), cursor: older.cursor, isLoadingOlder: false }
            : before,
        );
      } catch (error) {
        if (current.current === key) fail(error);
      }
    };
    void go();
  };

  const poll = async (signal: AbortSignal): Promise<void> => {
    const { current: question } = asked;
    if (question === null) return;
    try {
      const page = await polling.audit.events({ ...question, limit: PAGE_ROWS }, { signal });
      if (signal.aborted || current.current !== key) return;
      setLiveFailure(null);
      setState((before) => joined(before, key, page));
    } catch (error) {
      if (!signal.aborted) setLiveFailure(failureFrom(error));
      throw error;
    }
  };
  // Whoever lost the right to read would be denied by each poll, and each denial is in the trail.
  const isDenied = [liveFailure, state.failure].some((failure) => failure?.code === 'forbidden');
  usePolling(poll, POLL_MS, isLive && filter !== null && state.key === key && !state.isLoading && !isDenied);

  const shown = state.key === key ? state : empty(key);
  return {
    events: shown.events,
    anchorId: shown.anchorId,
    isLoading: shown.isLoading && filter !== null,
    isLoadingOlder: shown.isLoadingOlder,
    hasOlder: shown.cursor !== null,
    failure: shown.failure,
    liveFailure,
    loadOlder,
    reload: () => setTurn((before) => before + 1),
  };
}

/**
 * What is known once the newest page came in again. A page that does not reach down to what is known begins the list anew, so that none is
 * left out; so does one that comes where nothing is known, as after a failure.
 */
function joined(before: State, key: string, { items, hasMore, nextCursor }: Page<AuditEvent>): State {
  if (before.key !== key) return before;
  if (before.events.length === 0 && items.length === 0 && before.failure === null) return before;
  if (before.events.length === 0 || !isJoined(before.events, items, hasMore)) {
    const cursor = hasMore ? nextCursor : null;
    return { ...before, events: items, anchorId: items[0]?.id ?? null, cursor, failure: null };
  }
  const events = merged(before.events, items);
  return events === before.events ? before : { ...before, events };
}
