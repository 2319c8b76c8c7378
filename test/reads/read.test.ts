import { describe, expect, it } from 'vitest';
import { SNAPSHOT_LISTS_MAX_COUNT, SNAPSHOT_POLL_MS, SNAPSHOT_POLLS_MAX_COUNT } from '../../src/config/limits.ts';
import { err, ok } from '../../src/kit/result.ts';
import type { ReadOperation } from '../../src/reads/read.ts';
import type { KnownToken } from '../../src/reads/steps.ts';
import { SHOP } from '../policy/builders.ts';
import { dated, leaseOf, NOW, ofToken, RECORDED, run, wantedOf } from './scripted-read.ts';

// The way of a read from trip to trip, apart from D1 and PipeOps: both say what the test wants them to.

const REFUSED = { kind: 'upstream_rate_limited', status: 429, retryAfterSeconds: 40 } as const;
const DOWN = { kind: 'upstream_error', status: 503 } as const;

describe('a read on a list that this isolate holds', () => {
  it('is one trip, and no call', async () => {
    const { answer, trips, calls, trace, background } = await run({ held: dated(7, 1_000), d1: [RECORDED] });
    expect(answer).toEqual(ok({ data: 7, cache: { from: 'memory', ageMs: 1_000, ttlMs: 14_000 }, asked: null }));
    expect([trips.length, calls.length, trace.eventId, background.length]).toEqual([1, 0, 'row-1', 1]);
    expect(trips[0]?.record?.row.upstream_status).toBeNull();
  });

  it('is not answered where D1 does not take its row', async () => {
    const { answer } = await run({ held: dated(7), d1: [] });
    expect(answer).toEqual(err({ kind: 'audit_unavailable' }));
  });

  it('takes the one of D1 where that is newer, and keeps it', async () => {
    const stored = { list: dated(8), snapshot: { ...dated(8), inventory: new Map() } };
    const { answer, trips, memory } = await run({ held: dated(7, 5), d1: [{ generation: 8, stored }, RECORDED] });
    expect(answer).toMatchObject({ ok: true, value: { data: 8, cache: { from: 'd1' } } });
    expect(trips.map(({ generation }) => generation)).toEqual([7, 8]);
    expect(memory.get(SHOP, 0)).toBe(stored.list);
  });

  it('looks for one where that is not current, and D1 has none', async () => {
    const { lease } = leaseOf();
    const { answer, trips } = await run({ held: dated(6), d1: [{}, { lease }, RECORDED] });
    expect(answer).toMatchObject({ ok: true, value: { data: 7, cache: { from: 'pipeops', isShared: false } } });
    expect(wantedOf(trips)).toEqual([false, true, false]);
  });

  it('looks at none of it where no role of its caller reads there', async () => {
    const { trips } = await run({
      held: dated(7),
      d1: [{ bar: { kind: 'subject_blocked' } }],
      operation: { mayList: false },
    });
    expect(trips).toMatchObject([{ record: null, wanted: null }]);
  });
});

describe('a read for which our quota had no call a moment ago', () => {
  it.each([false, true])('is answered from an older list that is current; lists are off: %s', async (isOff) => {
    const { answer, trips } = await run({ held: dated(7, 60_000), isOff, isRefused: true, d1: [RECORDED] });
    expect(answer).toMatchObject({ ok: true, value: { cache: { from: 'memory', ageMs: 60_000 } } });
    expect(trips).toHaveLength(1);
  });

  it('asks all the same where it holds none, or one that is not current: only D1 knows of a change', async () => {
    const none = await run({ isRefused: true, d1: [{ lease: leaseOf().lease }, RECORDED] });
    expect([none.answer.ok, wantedOf(none.trips)]).toEqual([true, [true, false]]);
    const old = await run({ held: dated(6, 60_000), isRefused: true, d1: [{}, { lease: leaseOf().lease }, RECORDED] });
    expect([old.answer.ok, wantedOf(old.trips)]).toEqual([true, [false, true, false]]);
  });
});

it('a read takes no list from memory where lists are off, however new it is', async () => {
  const { lease } = leaseOf({ holder: null });
  const { calls, trips } = await run({ held: dated(7), isOff: true, d1: [{ lease }, RECORDED] });
  expect([calls.length, wantedOf(trips)]).toEqual([1, [true, false]]);
});

describe('a read that asks PipeOps', () => {
  it('is the one that PipeOps knows of alike ones of its minute, and one that does not ask is not', async () => {
    const asking = await run({ d1: [{ lease: leaseOf().lease }, RECORDED] });
    const told = await run({ held: dated(7), d1: [RECORDED] });
    for (const [{ calledRows, trips }, id] of [
      [asking, 'row-1'],
      [told, null],
    ] as const) {
      const row = trips.at(-1)?.record?.row;
      expect(row === undefined ? undefined : calledRows.of(row)).toBe(id);
    }
  });

  it.each([
    [false, 'read'],
    [true, 'change'],
  ])('does so under its lease, and leaves the list; for a change: %s', async (isChanged, purpose) => {
    const { lease, given } = leaseOf({ isChanged });
    const { answer, trips, calls } = await run({ d1: [{ lease }, RECORDED] });
    expect(answer).toMatchObject({ ok: true, value: { data: 7 } });
    expect(calls).toEqual([{ eventId: 'event-1', purpose }]);
    expect(given.back).toBe(1);
    expect(trips[1]).toMatchObject({
      store: { generation: 7 },
      endLease: { holder: 'holder-1', isListed: true },
      listState: { state: 'complete', atMs: NOW },
      record: { isAsker: true, row: { upstream_status: 200 } },
    });
  });

  it('leaves each thing once, though its row is not recorded at once', async () => {
    const [first, second] = [leaseOf(), leaseOf()];
    const { trips, calls, deadlines } = await run({
      d1: [{ lease: first.lease }, { generation: 8 }, { generation: 8, lease: second.lease }, RECORDED],
    });
    // Its calls share one deadline.
    expect([calls.length, deadlines.length]).toEqual([2, 1]);
    expect(trips.map(({ store }) => store?.generation ?? null)).toEqual([null, 7, null, 8]);
    expect(trips.map(({ endLease }) => endLease !== undefined)).toEqual([false, true, false, true]);
  });

  it('leaves nothing of a list that another read asked for, and gives its own call back', async () => {
    const { lease, given } = leaseOf();
    const joined = ok({ dated: dated(7), isShared: true });
    const { answer, trips, calls } = await run({ joined, d1: [{ lease }, RECORDED] });
    expect(answer).toMatchObject({ ok: true, value: { cache: { from: 'pipeops', isShared: true } } });
    expect([calls.length, given.back]).toEqual([0, 1]);
    expect(trips[1]).toMatchObject({ endLease: { holder: 'holder-1', isListed: true } });
    expect(trips[1]).not.toHaveProperty('store');
    expect(trips[1]).not.toHaveProperty('listState');
  });

  it('leaves no list where lists are not shared', async () => {
    const { lease } = leaseOf({ holder: null });
    const { trips } = await run({ isOff: true, d1: [{ lease }, RECORDED] });
    expect(trips[1]).toMatchObject({ listState: { state: 'complete' } });
    expect(trips[1]).not.toHaveProperty('store');
    expect(trips[1]).not.toHaveProperty('endLease');
  });

  it('waits for the list of another isolate for so many looks, and then asks by itself', async () => {
    const looks = Array.from({ length: SNAPSHOT_POLLS_MAX_COUNT + 1 }, () => ({}));
    const { answer, pauses, calls } = await run({ d1: [...looks, RECORDED] });
    expect(answer.ok).toBe(true);
    expect(pauses).toEqual(Array(SNAPSHOT_POLLS_MAX_COUNT).fill(SNAPSHOT_POLL_MS));
    expect(calls).toHaveLength(1);
  });

  it('or answers with one that it holds, if nothing has changed since', async () => {
    const looks = Array.from({ length: SNAPSHOT_POLLS_MAX_COUNT + 1 }, () => ({}));
    const { answer, calls } = await run({ held: dated(7, 60_000), d1: [...looks, RECORDED] });
    expect(answer).toMatchObject({ ok: true, value: { cache: { from: 'memory', ageMs: 60_000 } } });
    expect(calls).toEqual([]);
  });

  it('holds whatever the generation is after the last list that it asks for', async () => {
    const asked = Array.from({ length: SNAPSHOT_LISTS_MAX_COUNT }, (_item, index) => [
      { generation: index, lease: leaseOf().lease },
      { generation: index + 1, ...(index === SNAPSHOT_LISTS_MAX_COUNT - 1 && RECORDED) },
    ]).flat();
    const { answer, trips } = await run({ d1: asked });
    expect(answer.ok).toBe(true);
    expect(trips.filter(({ record }) => record !== null).map(({ generation }) => generation)).toEqual([0, 1, null]);
  });

  it('but not if that was begun before it', async () => {
    const joined = ok({ dated: dated(0, 1), isShared: true });
    const asked = Array.from({ length: SNAPSHOT_LISTS_MAX_COUNT + 1 }, () => [
      { generation: 0 },
      { generation: 1 },
    ]).flat();
    const { trips } = await run({ joined, d1: asked });
    const generations = trips.filter(({ record }) => record !== null).map(({ generation }) => generation);
    expect(generations).toEqual(Array(SNAPSHOT_LISTS_MAX_COUNT + 1).fill(0));
  });
});

describe('a read for which our quota has no call', () => {
  it('tells the other reads of its isolate until when, and leaves the lease', async () => {
    const { lease } = leaseOf({ refusal: REFUSED });
    const { answer, trips, calls, pace } = await run({ d1: [{ lease }, {}, RECORDED] });
    expect(answer).toEqual(err(REFUSED));
    expect(pace.refusedSeconds(NOW)).toBe(40);
    expect(calls).toEqual([]);
    expect(wantedOf(trips)).toEqual([true, false, null]);
    expect(trips[1]?.endLease).toEqual({ holder: 'holder-1', isListed: false });
  });

  it('asks for no single token either', async () => {
    const { lease } = leaseOf({ refusal: REFUSED, holder: null });
    const { answer } = await run({ isOff: true, operation: { isKnown: () => true }, d1: [{ lease }, RECORDED] });
    expect(answer).toEqual(err(REFUSED));
  });
});

describe('where PipeOps does not give a list', () => {
  it('an older one of this isolate stands in, if nothing has changed since', async () => {
    const { lease } = leaseOf();
    const { answer } = await run({ held: dated(7, 60_000), pipeops: [DOWN], d1: [{ lease }, RECORDED] });
    expect(answer).toMatchObject({ ok: true, value: { data: 7, cache: { from: 'memory', ttlMs: -45_000 } } });
  });

  it('none of another generation does: D1 is asked for one, and then it is the answer', async () => {
    const { lease } = leaseOf();
    const { answer, trips } = await run({ held: dated(6, 60_000), pipeops: [DOWN], d1: [{ lease }, {}, RECORDED] });
    expect(answer).toEqual(err(DOWN));
    expect(wantedOf(trips)).toEqual([true, false, null]);
    expect(trips[2]?.record?.row).toMatchObject({ status: 'failure', upstream_status: 503 });
  });

  it('D1 is not asked for one where lists are not shared', async () => {
    const { lease } = leaseOf({ holder: null });
    const { answer, trips } = await run({ isOff: true, pipeops: [DOWN], d1: [{ lease }, RECORDED] });
    expect([answer, trips.length]).toEqual([err(DOWN), 2]);
  });

  it.each([
    [{ kind: 'upstream_forbidden', status: 403 }, undefined],
    [
      { kind: 'upstream_forbidden', status: 404 },
      { state: 'unavailable', atMs: NOW },
    ],
  ] as const)('what it says of the workspace is the answer, whatever is held: $status', async (failure, listState) => {
    const { lease } = leaseOf();
    const { answer, trips } = await run({ held: dated(7, 60_000), pipeops: [failure], d1: [{ lease }, RECORDED] });
    expect(answer).toEqual(err(failure));
    expect(trips[1]?.listState).toEqual(listState);
    expect(trips[1]?.endLease).toEqual({ holder: 'holder-1', isListed: false });
  });
});

describe('a read that is refused', () => {
  const DENIED = { kind: 'token_not_found', reason: 'not_readable' } as const;

  it('at once is one trip', async () => {
    const { answer, trips } = await run({ operation: { refuse: () => DENIED }, d1: [RECORDED] });
    expect(answer).toEqual(err(DENIED));
    expect(trips).toMatchObject([{ generation: null, wanted: null, record: { counted: false } }]);
  });

  it('by the inventory’s row asks nothing, and gives its call back', async () => {
    const { lease, given } = leaseOf();
    const { answer, trips, calls } = await run({
      operation: { subject: ofToken, refuseKnowing: () => DENIED },
      d1: [{ lease }, RECORDED],
    });
    expect(answer).toEqual(err(DENIED));
    expect([calls.length, given.back]).toEqual([0, 1]);
    // Under the generation that its row was read in.
    expect(trips[1]).toMatchObject({ generation: 7, record: { row: { error_code: 'not_found' } } });
  });

  it('since its caller was offboarded has the id that PipeOps may have been told', async () => {
    const { answer, refused } = await run({
      d1: [{ lease: leaseOf().lease }, { bar: { kind: 'subject_blocked' } }, { bar: { kind: 'subject_blocked' } }],
    });
    expect(answer).toEqual(err({ kind: 'subject_blocked' }));
    expect(refused).toEqual([['subject_blocked', { eventId: 'event-1' }]]);
  });

  it('is counted with others of its kind where its caller has no row left in this minute', async () => {
    const { answer, trips } = await run({
      held: dated(7),
      operation: { judge: () => ({ kind: 'refuse', failure: DENIED }) },
      d1: [{ bar: { kind: 'subject_blocked' } }, RECORDED],
    });
    expect(answer).toEqual(err(DENIED));
    expect(trips[1]).toEqual({ ...trips[0], record: trips[1]?.record });
    expect(trips[1]?.record).toMatchObject({
      counted: true,
      row: { workspace_uuid: null, detail: JSON.stringify({ further: true, policy: '0000000000000000' }) },
    });
  });
});

describe('a read of one token', () => {
  const LOOK_UP = { kind: 'look_up' } as const;
  const row = { token_id: 'tok-1', owner_issuer: null, owner_subject: null, marker: null, suspended_by: null };
  /** Looks its row up where it was not, and notes what it is judged with. */
  const judging = () => {
    const seen: KnownToken[] = [];
    const inventories: unknown[] = [];
    const judge: ReadOperation<number>['judge'] = (_list, inventory, token) => {
      seen.push(token);
      inventories.push(inventory);
      return token === null ? LOOK_UP : { kind: 'show', show: ({ generation }) => generation };
    };
    return { seen, inventories, operation: { subject: ofToken, judge } };
  };

  it('is judged again with the row that was looked up', async () => {
    const { seen, inventories, operation } = judging();
    const { answer } = await run({ operation, held: dated(7), d1: [{ token: row }, RECORDED] });
    expect(answer).toMatchObject({ ok: true, value: { data: 7 } });
    expect(seen).toEqual([null, { row }]);
    expect(inventories).toEqual([null, null]);
  });

  it('is not judged with one that was looked up under another generation', async () => {
    const { seen, operation } = judging();
    const stored = { list: dated(8), snapshot: { ...dated(8), inventory: new Map() } };
    await run({ operation, held: dated(7), d1: [{ generation: 8, token: row, stored }, { generation: 8 }, RECORDED] });
    expect(seen).toEqual([null, null, { row: undefined }]);
  });

  it('is judged with the row that came with the list', async () => {
    const { seen, operation } = judging();
    await run({ operation, d1: [{ token: row, lease: leaseOf().lease }, RECORDED] });
    expect(seen).toEqual([{ row }]);
  });

  it('asks PipeOps for it alone where lists are off and the inventory has it', async () => {
    const { lease, given } = leaseOf({ holder: null });
    const asked: unknown[] = [];
    const { answer, trips, calls } = await run({
      isOff: true,
      operation: {
        subject: ofToken,
        isKnown: (known) => known !== undefined,
        askAlone: async (known, call) => {
          asked.push([known, call.eventId, call.reserved === lease.reserved]);
          return await Promise.resolve(ok({ status: 200, data: 99 }));
        },
      },
      d1: [{ token: row, lease }, RECORDED],
    });
    expect(answer).toStrictEqual(ok({ data: 99, cache: null, asked: null }));
    expect(asked).toEqual([[row, 'event-1', true]]);
    expect([calls.length, given.back]).toEqual([0, 1]);
    expect(trips[1]).toMatchObject({ generation: null, wanted: null, record: { row: { upstream_status: 200 } } });
  });

  it('asks for the whole list there, where the inventory lacks it', async () => {
    const { lease } = leaseOf({ holder: null });
    const { answer, calls } = await run({ isOff: true, operation: { subject: ofToken }, d1: [{ lease }, RECORDED] });
    expect([answer.ok && answer.value.data, calls.length]).toEqual([7, 1]);
  });

  it('asks for it alone beside a list, by a call that is reserved by itself', async () => {
    const asked: unknown[] = [];
    const { answer } = await run({
      held: dated(7),
      operation: {
        subject: ofToken,
        judge: () => ({ kind: 'ask_alone' }),
        askAlone: async (_row, call) => {
          asked.push(call.reserved);
          return await Promise.resolve(err(DOWN));
        },
      },
      d1: [RECORDED],
    });
    expect([answer, asked]).toEqual([err(DOWN), [undefined]]);
  });
});
