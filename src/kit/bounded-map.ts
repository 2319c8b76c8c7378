/** What a bounded map holds at the most. */
interface Bounds<V> {
  /** Entries; default: any number. */
  readonly maxCount?: number;
  /** The weights of all entries together; default: any weight. */
  readonly maxWeight?: number;
  /** The weight of an entry; default: 0. */
  readonly weightOf?: (key: string, value: V) => number;
}

/** A map whose oldest entries make room for new ones, so that no caller can fill an isolate's memory. */
export interface BoundedMap<V> {
  readonly size: number;
  get(key: string): V | undefined;
  /** The entry becomes the newest one. Entries beyond the bounds are dropped, the oldest first; so is one that is too heavy by itself. */
  set(key: string, value: V): void;
  delete(key: string): void;
  /** The oldest first. */
  entries(): IterableIterator<[string, V]>;
}

/** Creates an empty map with these bounds. */
export function createBoundedMap<V>({
  maxCount = Infinity,
  maxWeight = Infinity,
  weightOf = () => 0,
}: Bounds<V>): BoundedMap<V> {
  // A Map gives its keys in the order in which they were set.
  const entries = new Map<string, V>();
  let weight = 0;

  const drop = (key: string): void => {
    const value = entries.get(key);
    if (value !== undefined) weight -= weightOf(key, value);
    entries.delete(key);
  };

  return {
    get size() {
      return entries.size;
    },
    get: (key) => entries.get(key),
    set: (key, value) => {
      drop(key);
      entries.set(key, value);
      weight += weightOf(key, value);
      for (const oldest of entries.keys()) {
        if (entries.size <= maxCount && weight <= maxWeight) break;
        drop(oldest);
      }
    },
    delete: drop,
    entries: () => entries.entries(),
  };
}
