import type { Runtime } from '../kit/runtime.ts';

/** What waits to be sent together. */
export interface Gathering<T> {
  readonly waiting: () => readonly T[];
  add(item: T): void;
  remove(items: readonly T[]): void;
  /** Until so many wait, or `maxMs` are over. */
  untilCount(count: number, maxMs: number): Promise<void>;
}

export function createGathering<T>(runtime: Pick<Runtime, 'sleep'>): Gathering<T> {
  let waiting: readonly T[] = [];
  let wanted: { readonly count: number; readonly reached: () => void } | null = null;
  return {
    waiting: () => waiting,
    add: (item) => {
      waiting = [...waiting, item];
      if (wanted !== null && waiting.length >= wanted.count) wanted.reached();
    },
    remove: (items) => {
      waiting = waiting.filter((item) => !items.includes(item));
    },
    untilCount: async (count, maxMs) => {
      if (waiting.length >= count) return;
      const { promise, resolve: reached } = Promise.withResolvers<void>();
      wanted = { count, reached };
      await Promise.race([promise, runtime.sleep(maxMs)]);
      wanted = null;
    },
  };
}
