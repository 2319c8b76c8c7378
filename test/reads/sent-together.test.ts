import { describe, expect, it } from 'vitest';
import { READ_GROUP_LISTS_MAX_COUNT, READ_GROUP_MAX_COUNT, READ_OVERTAKE_MS } from '../../src/config/limits.ts';
import { newTrace } from '../../src/kit/trace.ts';
import type { ReadTrip, WantedList } from '../../src/reads/trip.ts';
import { begun, setUp } from './held-batches.ts';
import { dated, instead, newWorkspace, record, wanted } from './sent-trips.ts';

// Which trips go together in a batch, and what the request of each hears of it.

interface Kind extends Partial<ReadTrip> {
  readonly wanted?: WantedList | null;
}
type Rig = ReturnType<typeof setUp>;

const search = wanted({ mayAsk: false });
/** One read under way, and these behind it, the first of which has lost its patience: so all that may go together are sent. */
async function behindOne(rig: Rig, kinds: readonly (Kind & { readonly workspaceUuid: string })[]) {
  const { read, batches, patience } = rig;
  const first = read('w-0');
  await begun(batches, 1);
  const heard: { readonly workspaceUuid: string; readonly eventId: string | null }[] = [];
  for (const { workspaceUuid, ...kind } of kinds) {
    void read(workspaceUuid, null, kind).then((answer) =>
      heard.push({ workspaceUuid, eventId: answer.ok ? answer.value.eventId : null }),
    );
  }
  await begun(patience, kinds.length);
  patience[0]?.();
  await begun(batches, 2);
  batches[1]?.letGo();
  await expect.poll(() => heard.length).toBeGreaterThan(0);
  await scheduler.wait(0);
  return { heard, first };
}
const inWorkspaces = (count: number, kind: Kind) =>
  Array.from({ length: count }, (_item, index) => ({ ...kind, workspaceUuid: `w-${index + 1}` }));

describe('of those that bring lists or leave them a few go together', () => {
  const one = READ_GROUP_LISTS_MAX_COUNT + 1;
  const list = dated(0);

  it.each<[string, Kind, number]>([
    ['four that look for one', { wanted: search }, READ_GROUP_LISTS_MAX_COUNT],
    ['four that leave one', { store: list }, READ_GROUP_LISTS_MAX_COUNT],
    ['four that want the inventory of one', { inventoryOf: dated(0) }, READ_GROUP_LISTS_MAX_COUNT],
    ['but all whose inventory is known here', { inventoryOf: list }, one],
    ['and all that were decided on one', { wanted: instead() }, one],
    ['and all that want none', {}, one],
  ])('%s', async (_case, kind, count) => {
    const rig = setUp();
    rig.known.keep(list, { ...list, inventory: new Map() });
    const { heard } = await behindOne(rig, inWorkspaces(one, kind));
    expect(heard).toHaveLength(count);
  });

  it('by their workspaces: alike ones are one', async () => {
    const kinds = inWorkspaces(READ_GROUP_LISTS_MAX_COUNT, { wanted: search });
    const { heard } = await behindOne(setUp(), [...kinds, ...kinds]);
    expect(heard).toHaveLength(2 * READ_GROUP_LISTS_MAX_COUNT);
  });

  it('however many go that bring none', async () => {
    const rig = setUp();
    const { read, batches, patience } = rig;
    void read('w-0');
    await begun(batches, 1);
    for (const { workspaceUuid } of inWorkspaces(9, {})) void read(workspaceUuid);
    await begun(patience, 9);
    patience[0]?.();
    await begun(batches, 2);
    void read('w-list', search);
    await begun(patience, 10);
    patience[9]?.();
    await expect.poll(() => batches.length).toBe(3);
  });
});

it('a hundred go together, and the next hundred is not waited for any longer', async () => {
  const { read, batches, sleepers } = setUp();
  void read('w-0');
  await begun(batches, 1);
  const heard: boolean[] = [];
  const come = (count: number): void => {
    for (const { workspaceUuid } of inWorkspaces(count, {})) void read(workspaceUuid).then(({ ok }) => heard.push(ok));
  };
  come(READ_GROUP_MAX_COUNT + 5);
  batches[0]?.letGo();
  await begun(batches, 2);
  batches[1]?.letGo();
  await begun(sleepers, 1);
  expect(heard).toHaveLength(READ_GROUP_MAX_COUNT);
  come(READ_GROUP_MAX_COUNT - 5);
  await begun(batches, 3);
});

describe('of one minute and one caller', () => {
  const alike = (counted: boolean) => {
    newWorkspace();
    const { row, ...others } = record({ counted });
    const twin = { ...row, id: crypto.randomUUID() };
    return [row, twin].map((one) => ({
      workspaceUuid: row.workspace_uuid ?? '',
      record: { ...others, row: one },
    }));
  };

  it('those that are counted share a row', async () => {
    const { heard } = await behindOne(setUp(), alike(true));
    expect(heard.map(({ eventId }) => typeof eventId)).toEqual(['string', 'string']);
    expect(heard[0]?.eventId).toBe(heard[1]?.eventId);
  });

  it.each<[string, readonly (readonly [generation: number, label: string | null])[]]>([
    [
      'on another list',
      [
        [0, null],
        [1, null],
        [0, null],
      ],
    ],
    [
      'under another label, which the row does not show',
      [
        [0, 'a'],
        [0, 'b'],
        [0, 'a'],
      ],
    ],
  ])('those that were decided %s do not go together', async (_case, decided) => {
    const [one] = alike(true);
    const kinds = decided.flatMap(([generation, label]) =>
      one === undefined ? [] : [{ ...one, generation, record: { ...one.record, label } }],
    );
    const { heard } = await behindOne(setUp(), kinds);
    expect(heard).toHaveLength(2);
  });

  it('those that are not have their own, and go together whatever they were decided on', async () => {
    const [one, other] = alike(false);
    const kinds = [one, other].flatMap((read, index) =>
      read === undefined ? [] : [{ ...read, generation: index === 0 ? 0 : null }],
    );
    const { heard } = await behindOne(setUp(), kinds);
    expect(heard.map(({ eventId }) => eventId)).toEqual([one?.record.row.id, other?.record.row.id]);
  });
});

it('a request hears of its trip how long it took, and loses its patience no more', async () => {
  const { read, batches, cancelled, advance } = setUp();
  const first = read('w-0');
  await begun(batches, 1);
  const trace = newTrace();
  const behind = read('w-1', null, {}, trace);
  advance(5);
  batches[0]?.letGo();
  await first;
  await begun(batches, 2);
  advance(2);
  batches[1]?.letGo();
  expect(await behind).toMatchObject({ ok: true });
  expect(trace).toMatchObject({ d1Trips: 1, d1Ms: 7 });
  expect(cancelled).toContain(READ_OVERTAKE_MS);
});

it('a request hears that D1 lacks a migration, whoever sent its trip', async () => {
  const { read, batches } = setUp();
  const first = read('w-0');
  await begun(batches, 1);
  const traces = [newTrace(), newTrace()];
  const heard: boolean[] = [];
  for (const [index, trace] of traces.entries()) {
    void read(`w-${index + 1}`, null, {}, trace).then(({ ok }) => heard.push(ok));
  }
  batches[0]?.letGo();
  await first;
  await begun(batches, 2);
  batches[1]?.fail('D1_ERROR: no such table: tokens');
  await begun(batches, 3);
  expect(traces.map(({ isSchemaOutdated }) => isSchemaOutdated)).toEqual([true, true]);
  // Each is sent once more, by itself.
  batches[2]?.letGo();
  await begun(batches, 4);
  batches[3]?.letGo();
  await expect.poll(() => heard).toEqual([true, true]);
});

it('a request that D1 refused sends for nobody else: it may refuse that request alone', async () => {
  const { read, batches, jobs } = setUp();
  const first = read('w-0');
  await begun(batches, 1);
  void read('w-1');
  batches[0]?.fail();
  expect(await first).toMatchObject({ ok: false });
  await begun(batches, 2);
  expect(jobs).toEqual([{ isOver: true }, { isOver: false }]);
});

it('a request that waits for those that come again and dies meanwhile keeps nobody waiting', async () => {
  const { read, batches, patience, sleepers, advance } = setUp();
  const first = read('w-0');
  await begun(batches, 1);
  const three = [read('w-1'), read('w-2'), read('w-3')];
  batches[0]?.letGo();
  await first;
  await begun(batches, 2);
  batches[1]?.letGo();
  await Promise.all(three);
  await begun(sleepers, 1);
  advance(READ_OVERTAKE_MS);
  void read('w-4');
  await begun(patience, 4);
  expect(batches).toHaveLength(2);
  advance(1);
  void read('w-5');
  await expect.poll(() => batches.length).toBe(3);
});
