import { useCallback, useEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { Failure } from '../../../package/client/failure.ts';
import type { Page } from '../../../package/client/types.ts';
import { failureFrom, tellSignedOut } from '../../api.ts';

/** A list that is read page by page. */
export interface Pages<Item, OnePage extends Page<Item>> {
  readonly items: readonly Item[];
  readonly pages: readonly OnePage[];
  readonly failure: Failure | null;
  readonly isLoading: boolean;
  readonly hasMore: boolean;
  /** The last page ends although more may match, and nothing says where to go on. */
  readonly isCut: boolean;
  readonly loadMore: () => void;
  /** Reads all that is left. @returns all items, or null if that failed or was overtaken. */
  readonly loadAll: () => Promise<readonly Item[] | null>;
  readonly reload: () => void;
}

interface State<OnePage> {
  readonly key: string;
  readonly pages: readonly OnePage[];
  readonly failure: Failure | null;
  readonly isLoading: boolean;
}

/**
 * Reads the first page, and others when they are asked for.
 *
 * @param key names the list, such as its filter.
 * @param start is called for each new reading of the list, and gives what reads its pages, so that all of them share what it took from
 *   the clock.
 */
export function usePages<Item, OnePage extends Page<Item>>(
  key: string,
  start: () => (cursor: string | null, signal: AbortSignal) => Promise<OnePage>,
): Pages<Item, OnePage> {
  const [state, setState] = useState<State<OnePage>>({ key, pages: [], failure: null, isLoading: true });
  const [turn, setTurn] = useState(0);
  const latest = useRef(start);
  latest.current = start;
  const reading = useRef<{
    read: ReturnType<typeof start>;
    signal: AbortSignal;
    pages: readonly OnePage[];
    isBusy: boolean;
  } | null>(null);

  const next = useCallback(async (): Promise<boolean> => {
    const current = reading.current;
    if (current === null || current.isBusy) return false;
    current.isBusy = true;
    setState((before) => ({ ...before, failure: null, isLoading: true }));
    try {
      const page = await current.read(current.pages.at(-1)?.nextCursor ?? null, current.signal);
      if (current.signal.aborted) return false;
      current.pages = [...current.pages, page];
      setState((before) => ({ ...before, pages: current.pages, isLoading: false }));
      return true;
    } catch (error) {
      if (current.signal.aborted) return false;
      const failure = failureFrom(error);
      tellSignedOut(failure);
      setState((before) => ({ ...before, failure, isLoading: false }));
      return false;
    } finally {
      current.isBusy = false;
    }
  }, []);

  useEffect(() => {
    const controller = new AbortController();
    reading.current = { read: latest.current(), signal: controller.signal, pages: [], isBusy: false };
    // A list that is read again is shown as it was until the answer is there.
    setState((before) => ({ key, pages: before.key === key ? before.pages : [], failure: null, isLoading: true }));
    void next();
    return () => controller.abort();
  }, [key, turn]);

  const pages = state.key === key ? state.pages : NONE;
  const items = useMemo(() => pages.flatMap((page) => page.items), [pages]);
  const loadAll = useCallback(async (): Promise<readonly Item[] | null> => {
    const mine = reading.current;
    for (;;) {
      const last = mine?.pages.at(-1);
      if (mine === null || mine.signal.aborted || last === undefined) return null;
      if (!last.hasMore) return mine.pages.flatMap((page) => page.items);
      if (!(await next())) return null;
    }
  }, []);
  const last = pages.at(-1);
  return {
    items,
    pages,
    failure: state.key === key ? state.failure : null,
    isLoading: state.key !== key || state.isLoading,
    hasMore: last?.hasMore ?? false,
    isCut: last?.partial === true && !last.hasMore,
    loadMore: () => void next(),
    loadAll,
    reload: useCallback(() => setTurn((before) => before + 1), []),
  };
}

const NONE: readonly never[] = [];
