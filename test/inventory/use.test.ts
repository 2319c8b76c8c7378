import { describe, expect, it } from 'vitest';
import { isUnchanged, observeUse, type SweptUse, sweepUse } from '../../src/inventory/use.ts';

// What lists tell of the use of a token, decided apart from any I/O. `T` is when the looks begin.

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const T = 1_000 * DAY;
const kept = (values: Partial<SweptUse> = {}): SweptUse => ({
  last_used_at: null,
  usage_seen_at: T - DAY,
  usage_doubted_at: null,
  usage_sweeps: null,
  usage_since: null,
  ...values,
});
const to = (values: Partial<SweptUse>) => expect.objectContaining(values);

describe('a list', () => {
  it.each<[string, SweptUse, number | null, object | null, number | null]>([
    [
      'keeps the first value that it tells, which is no advance',
      kept({ usage_seen_at: null }),
      T - HOUR,
      { last_used_at: T - HOUR, usage_seen_at: T },
      null,
    ],
    [
      'keeps that a token was not used yet',
      kept({ usage_seen_at: null }),
      null,
      { last_used_at: null, usage_seen_at: T },
      null,
    ],
    ['notes a first use', kept(), T - HOUR, { last_used_at: T - HOUR, usage_seen_at: T }, T - HOUR],
    ['notes a later use', kept({ last_used_at: T - 5 * HOUR }), T - HOUR, { last_used_at: T - HOUR }, T - HOUR],
    ['notes a use an hour later', kept({ last_used_at: T - HOUR }), T, { last_used_at: T }, T],
    ['writes nothing of a use within that hour', kept({ last_used_at: T - HOUR }), T - 1, null, null],
    ['writes nothing where nothing changes', kept({ last_used_at: T - 9 * DAY }), T - 9 * DAY, null, null],
    ['writes nothing where a token stays unused', kept(), null, null, null],
    ['takes a time that is ahead for no later than itself', kept(), T + DAY, { last_used_at: T + DAY }, T],
    [
      'doubts a value that goes back, and keeps the later one',
      kept({ last_used_at: T - HOUR }),
      T - HOUR - 1,
      { last_used_at: T - HOUR, usage_doubted_at: T },
      null,
    ],
    [
      'doubts a value that vanishes',
      kept({ last_used_at: T - HOUR }),
      null,
      { last_used_at: T - HOUR, usage_doubted_at: T },
      null,
    ],
    ['doubts once', kept({ last_used_at: T - HOUR, usage_doubted_at: T - DAY }), null, null, null],
    [
      'does not take the use of a doubted token for an advance',
      kept({ last_used_at: T - 2 * HOUR, usage_doubted_at: T - DAY }),
      T,
      { last_used_at: T, usage_doubted_at: T - DAY },
      null,
    ],
    [
      'that is older than the last refutes nothing',
      kept({ last_used_at: T + 1, usage_seen_at: T + 5_000 }),
      T,
      null,
      null,
    ],
    [
      'refutes what a clock far ahead has noted',
      kept({ last_used_at: T + 1, usage_seen_at: T + DAY }),
      T,
      { usage_doubted_at: T },
      null,
    ],
  ])('%s', (_, was, toldMs, changes, advancedToMs) => {
    const change = observeUse(was, toldMs, T);
    expect(change).toEqual(changes === null ? null : { to: to(changes), advancedToMs });
  });
});

describe('a nightly look', () => {
  const ANEW = { usage_sweeps: 1, usage_since: T };

  it.each<[string, SweptUse, number | null, object | null]>([
    [
      'begins to count with the first value',
      kept({ usage_seen_at: null }),
      T - DAY,
      { last_used_at: T - DAY, ...ANEW },
    ],
    ['begins to count what a list has kept', kept({ last_used_at: T - DAY }), T - DAY, ANEW],
    [
      'begins anew with any use, however small the step',
      kept({ last_used_at: T - 2, usage_sweeps: 5, usage_since: 0 }),
      T - 1,
      {
        last_used_at: T - 1,
        ...ANEW,
      },
    ],
    [
      'counts one value',
      kept({ usage_sweeps: 2, usage_since: T - 2 * DAY }),
      null,
      { usage_sweeps: 3, usage_since: T - 2 * DAY, usage_seen_at: T },
    ],
    [
      'goes on counting until it is proven',
      kept({ usage_sweeps: 3, usage_since: T - 72 * HOUR + 1 }),
      null,
      { usage_sweeps: 4 },
    ],
    ['writes nothing more then', kept({ usage_sweeps: 4, usage_since: T - 72 * HOUR }), null, null],
    [
      'but that it was told of, once a week',
      kept({ usage_sweeps: 4, usage_since: T - 9 * DAY, usage_seen_at: T - 6 * DAY }),
      null,
      { usage_sweeps: 4, usage_since: T - 9 * DAY, usage_seen_at: T },
    ],
    ['begins anew after a clock that ran ahead', kept({ usage_sweeps: 3, usage_since: T + 1 }), null, ANEW],
    [
      'counts nothing of a doubted token',
      kept({ last_used_at: T - DAY, usage_sweeps: 3, usage_since: 0 }),
      null,
      { usage_doubted_at: T, usage_sweeps: null, usage_since: null },
    ],
    ['and nothing later either', kept({ last_used_at: T - DAY, usage_doubted_at: T - DAY }), T - DAY, null],
    [
      'that is older than a list counts nothing of what it contradicts',
      kept({ last_used_at: T, usage_seen_at: T + 1 }),
      null,
      null,
    ],
  ])('%s', (_, was, toldMs, changes) => {
    expect(sweepUse(was, toldMs, T)?.to ?? null).toEqual(changes === null ? null : to(changes));
  });

  it.each<[number | null, number | null, boolean]>([
    [3, 72, true],
    [2, 200, false],
    [9, 71, false],
    [null, null, false],
  ])('%s of them over %s hours prove that a value has not changed: %s', (usage_sweeps, hours, proven) => {
    const usage_since = hours === null ? null : T - hours * HOUR;
    expect(isUnchanged({ usage_sweeps, usage_since }, T)).toBe(proven);
  });
});
