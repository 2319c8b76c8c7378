import { describe, expect, it } from 'vitest';
import {
  READ_FLUSH_MAX_MS,
  READ_GROUPS_MAX_COUNT,
  READ_LEAD_MAX_GROUPS,
  READ_LEAD_MAX_MS,
  READ_LISTS_UNDER_WAY_MAX_COUNT,
} from '../../src/config/limits.ts';
import { begun, setUp } from './held-batches.ts';

// Which request sends the trips of reads that came while a batch was under way.

it('a request that sent for others long enough hands that to one that waits: Workers would end it in the middle', async () => {
  const { read, batches, jobs, sleepers, advance } = setUp();
  const first = read('w-1');
  await begun(batches, 1);
  const others = [read('w-2'), read('w-3')];

  advance(READ_LEAD_MAX_MS);
  batches[0]?.letGo();
  expect(await first).toMatchObject({ ok: true });
  await begun(batches, 2);

  expect(jobs).toEqual([{ isOver: true }, { isOver: false }]);
  batches[1]?.letGo();
  expect(await Promise.all(others)).toMatchObject([{ ok: true }, { ok: true }]);
  await begun(sleepers, 1);
  sleepers[0]?.();
  await expect.poll(() => jobs).toEqual([{ isOver: true }, { isOver: true }]);
});

it('a read whose group died with another request gives up at its deadline, and the next one sends again', async () => {
  const { read, batches, deadlines, patience, advance } = setUp();
  void read('w-1');
  await begun(batches, 1);
  const joined = read('w-2');
  await begun(deadlines, 2);

  deadlines[1]?.();
  expect(await joined).toEqual({ ok: false, error: { kind: 'audit_unavailable' } });

  advance(READ_FLUSH_MAX_MS);
  const another = read('w-3');
  await begun(patience, 2);
  advance(1);
  const next = read('w-4');
  await begun(batches, 2);
  batches[1]?.letGo();
  expect(await Promise.all([another, next])).toMatchObject([{ ok: true }, { ok: true }]);
});

it('so does one that sent many groups: D1 takes a thousand queries of a request', async () => {
  const { read, batches, jobs } = setUp();
  let waiting = read('w-0');
  for (let group = 1; group <= READ_LEAD_MAX_GROUPS; group += 1) {
    await begun(batches, group);
    const next = read(`w-${group}`);
    batches[group - 1]?.letGo();
    expect(await waiting).toMatchObject({ ok: true });
    waiting = next;
  }
  await begun(batches, READ_LEAD_MAX_GROUPS + 1);
  expect(jobs).toEqual([{ isOver: true }, { isOver: false }]);
  batches.at(-1)?.letGo();
  expect(await waiting).toMatchObject({ ok: true });
});

it('after a group of several, the next one is sent when as many have come again: one trip for all of them', async () => {
  const { read, batches } = setUp();
  const first = read('w-1');
  await begun(batches, 1);
  const pair = [read('w-2'), read('w-3')];
  batches[0]?.letGo();
  await first;
  await begun(batches, 2);
  batches[1]?.letGo();
  await Promise.all(pair);

  const again = [read('w-4'), read('w-5')];
  await begun(batches, 3);
  batches[2]?.letGo();
  expect(await Promise.all(again)).toMatchObject([{ ok: true }, { ok: true }]);
});

it('one that comes again alone is sent when patience is over', async () => {
  const { read, batches, sleepers } = setUp();
  const first = read('w-1');
  await begun(batches, 1);
  const pair = [read('w-2'), read('w-3')];
  batches[0]?.letGo();
  await first;
  await begun(batches, 2);
  batches[1]?.letGo();
  await Promise.all(pair);
  await begun(sleepers, 1);

  const alone = read('w-4');
  sleepers[0]?.();
  await begun(batches, 3);
  batches[2]?.letGo();
  expect(await alone).toMatchObject({ ok: true });
});

describe('a read that has waited behind a group for long enough', () => {
  /** One read alone under way, and others behind it. */
  async function behindOne(count: number) {
    const rig = setUp();
    const first = rig.read('w-1');
    await begun(rig.batches, 1);
    const others = Array.from({ length: count }, async (_item, index) => await rig.read(`behind-${index}`));
    await begun(rig.patience, count);
    return { ...rig, first, others };
  }
  const OK = { ok: true };
  const UNAVAILABLE = { ok: false, error: { kind: 'audit_unavailable' } };

  it('is sent beside it, with all that wait by then', async () => {
    const { batches, patience, sleepers, first, others } = await behindOne(3);
    expect(batches).toHaveLength(1);
    patience[0]?.();
    await begun(batches, 2);
    batches[1]?.letGo();
    expect(await Promise.all(others)).toMatchObject([OK, OK, OK]);
    // While another group is under way, nobody waits for those that come again.
    expect(sleepers).toEqual([]);
    // Those that are sent send nothing more when their time comes.
    patience[1]?.();
    patience[2]?.();
    expect(batches).toHaveLength(2);
    batches[0]?.letGo();
    expect(await first).toMatchObject(OK);
  });

  it('is nobody who finds nothing under way', async () => {
    const { read, batches, patience } = setUp();
    const alone = read('w-1');
    await begun(batches, 1);
    batches[0]?.letGo();
    await alone;
    expect(patience).toEqual([]);
  });

  it('waits where twelve groups are under way, and goes when one of them ends', async () => {
    const { read, batches, patience } = setUp();
    const reads = [];
    for (let group = 1; group <= READ_GROUPS_MAX_COUNT; group += 1) {
      reads.push(read(`w-${group}`));
      if (group > 1) {
        await begun(patience, group - 1);
        patience.at(-1)?.();
      }
      await begun(batches, group);
    }
    reads.push(read('w-last'));
    await begun(patience, READ_GROUPS_MAX_COUNT);
    patience.at(-1)?.();
    await scheduler.wait(0);
    expect(batches).toHaveLength(READ_GROUPS_MAX_COUNT);

    batches[5]?.letGo();
    await begun(batches, READ_GROUPS_MAX_COUNT + 1);
    for (const batch of batches) batch.letGo();
    expect(new Set((await Promise.all(reads)).map(({ ok }) => ok))).toEqual(new Set([true]));
  });

  it('takes none with it whose list has no room beside those under way', async () => {
    const { read, batches, patience } = setUp();
    const wanted = { minBegunMs: 0, eachMs: 0, isShared: true, mayAsk: false } as const;
    const reader = { issuer: null, subject: null, label: null, owner: null };
    const reads = [read('w-0', { ...wanted, reader })];
    await begun(batches, 1);
    const others = 2 * READ_LISTS_UNDER_WAY_MAX_COUNT;
    for (let index = 1; index <= others; index += 1) reads.push(read(`w-${index}`, { ...wanted, reader }));
    await begun(patience, others);
    for (const isOver of patience) isOver();
    // One, four and three workspaces.
    await begun(batches, 3);
    await scheduler.wait(0);
    expect(batches).toHaveLength(3);
    // One that brings no list and leaves none finds room.
    reads.push(read('w-none'));
    await begun(patience, others + 1);
    patience.at(-1)?.();
    await begun(batches, 4);

    const answered: boolean[] = [];
    for (const one of reads) void one.then(({ ok }) => answered.push(ok));
    await expect
      .poll(() => {
        for (const batch of batches) batch.letGo();
        return answered.length;
      })
      .toBe(reads.length);
    expect(new Set(answered)).toEqual(new Set([true]));
  });

  it('goes on with its own group when the one before it ends, and that one sends nobody who has just come', async () => {
    const { read, batches, patience, first, others } = await behindOne(1);
    patience[0]?.();
    await begun(batches, 2);
    const later = read('w-later');
    await begun(patience, 2);
    batches[0]?.letGo();
    await first;
    await scheduler.wait(0);
    expect(batches).toHaveLength(2);
    batches[1]?.letGo();
    expect(await Promise.all(others)).toMatchObject([OK]);
    // Nobody else sends now: the one that overtook goes on.
    await begun(batches, 3);
    batches[2]?.letGo();
    expect(await later).toMatchObject(OK);
  });

  it('is sent by another one that waits, where its own request died before it could', async () => {
    const { batches, patience, others } = await behindOne(2);
    patience[1]?.();
    await begun(batches, 2);
    batches[1]?.letGo();
    expect(await Promise.all(others)).toMatchObject([OK, OK]);
  });

  it.each([
    ['before D1 had it', async () => await Promise.resolve()],
    ['after D1 had it', async (batch: ReturnType<typeof setUp>['batches'][number]) => await batch.hangAfter()],
  ])('and dies with its group %s: those in it are not answered, and those that come are', async (_case, die) => {
    const { read, batches, patience, deadlines, first, others } = await behindOne(2);
    patience[0]?.();
    await begun(batches, 2);
    const [, overtaking] = batches;
    if (overtaking !== undefined) await die(overtaking);
    const later = read('w-later');
    await begun(patience, 3);
    patience[2]?.();
    await begun(batches, 3);
    batches[2]?.letGo();
    expect(await later).toMatchObject(OK);
    batches[0]?.letGo();
    expect(await first).toMatchObject(OK);

    deadlines[1]?.();
    deadlines[2]?.();
    expect(await Promise.all(others)).toEqual([UNAVAILABLE, UNAVAILABLE]);
  });

  it('does not take a dead group for one that is under way for ever', async () => {
    const { read, batches, patience, advance } = await behindOne(1);
    patience[0]?.();
    await begun(batches, 2);
    advance(READ_FLUSH_MAX_MS + 1);
    const next = read('w-next');
    await begun(batches, 3);
    expect(patience).toHaveLength(1);
    batches[2]?.letGo();
    expect(await next).toMatchObject(OK);
  });

  it('is sent once more, and alone, where D1 refuses its group; the group before it hears nothing of that', async () => {
    const { batches, patience, first, others } = await behindOne(2);
    patience[0]?.();
    await begun(batches, 2);
    batches[1]?.fail();
    await begun(batches, 3);
    batches[2]?.letGo();
    await begun(batches, 4);
    batches[3]?.letGo();
    expect(await Promise.all(others)).toMatchObject([OK, OK]);
    batches[0]?.letGo();
    expect(await first).toMatchObject(OK);
  });
});
