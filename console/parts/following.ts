import { useEffect, useMemo, useState } from 'preact/hooks';
import type { Failure } from '../../package/client/failure.ts';
import type { Page } from '../../package/client/types.ts';
import { type Action, api, failureFrom, polling, type Reading, useAction, usePolling, useReading } from '../api.ts';

type Client = typeof api;

/** What is known of something that changes by itself. */
export interface Following<T> extends Reading<T> {
  /** When the service said so, in milliseconds since the epoch. Null: it has said nothing. */
  readonly asOfMs: number | null;
}

interface Said<T> {
  readonly value: T;
  readonly atMs: number;
}

/** How long to wait where nothing is known yet, or the last look failed. */
const RETRY_MS = 15_000;

/**
 * Reads something, and looks at it again and again. A look that fails keeps what was seen before.
 *
 * @param key names what is read.
 * @param pauseAfter the milliseconds from one look to the next one; null: nothing more happens to it.
 */
export function useFollowing<T>(
  key: string,
  read: (client: Client, signal: AbortSignal) => Promise<T>,
  pauseAfter: (seen: T) => number | null,
): Following<T> {
  const first = useReading<Said<T>>(key, async (signal) => said(await read(api, signal)));
  const [later, setLater] = useState<{
    readonly key: string;
    readonly after: Said<T> | null;
    readonly said: Said<T> | null;
    readonly failure: Failure | null;
  } | null>(null);
  const isLater = later !== null && later.key === key && later.after === first.data;
  // While it is read by hand, what was seen last is shown, and why a look failed no longer.
  const seen = isLater ? later.said : first.data;
  const failure = isLater && !first.isLoading ? later.failure : first.failure;
  // Whoever lost the right to read would be denied by each look, and each denial is in the trail.
  const pauseMs =
    failure?.code === 'forbidden' ? null : seen === null || failure !== null ? RETRY_MS : pauseAfter(seen.value);
  const { reload } = first;
  usePolling(
    async (signal) => {
      try {
        setLater({ key, after: first.data, said: said(await read(polling, signal)), failure: null });
      } catch (error) {
        if (signal.aborted) return;
        setLater({ key, after: first.data, said: seen, failure: failureFrom(error) });
        throw error;
      }
    },
    pauseMs ?? RETRY_MS,
    pauseMs !== null && !first.isLoading,
  );
  useEffect(() => {
    addEventListener('online', reload);
    return () => removeEventListener('online', reload);
  }, [reload]);
  return { data: seen?.value ?? null, asOfMs: seen?.atMs ?? null, failure, isLoading: first.isLoading, reload };
}

const said = <T>(value: T): Said<T> => ({ value, atMs: Date.now() });

/** A list that is read page by page. */
export interface Pages<Item, OnePage extends Page<Item> = Page<Item>> extends Omit<Following<unknown>, 'data'> {
  /** Null: nothing is known yet. */
  readonly items: readonly Item[] | null;
  readonly hasMore: boolean;
  /** Whether the last page ends before it is full: there may be more to find. */
  readonly isPartial: boolean;
  /** Each page as it came. */
  readonly pages: readonly OnePage[];
  /** Reads the next page, or all that is left. */
  readonly more: Action<[isAll?: boolean]>;
}

/**
 * Reads a list, and more of it as it is asked for.
 *
 * @param pauseMs how often the first page is looked at again, in milliseconds, as long as it is the only one; null: it is not.
 */
export function usePages<Item, OnePage extends Page<Item> = Page<Item>>(
  key: string,
  read: (client: Client, cursor: string | undefined, signal?: AbortSignal) => Promise<OnePage>,
  pauseMs: number | null = null,
): Pages<Item, OnePage> {
  const [later, setLater] = useState<{ readonly after: OnePage; readonly pages: readonly OnePage[] } | null>(null);
  const { data: first, ...following } = useFollowing(
    key,
    async (client, signal) => await read(client, undefined, signal),
    (seen) => (later?.after === seen ? null : pauseMs),
  );
  const pages = first === null ? [] : [first, ...(later?.after === first ? later.pages : [])];
  const last = pages.at(-1);
  const more = useAction(async (isAll: boolean = false) => {
    if (first === null) return;
    let [known, cursor] = [pages, last?.nextCursor ?? null];
    while (cursor !== null) {
      const next: OnePage = await read(api, cursor);
      known = [...known, next];
      setLater({ after: first, pages: known.slice(1) });
      cursor = isAll ? next.nextCursor : null;
    }
  });
  return {
    ...following,
    items: useMemo(() => (first === null ? null : pages.flatMap(({ items }) => items)), [first, later]),
    pages,
    hasMore: last?.hasMore === true,
    isPartial: last?.partial === true,
    more,
  };
}
