import { env } from 'cloudflare:workers';
import { beforeEach, describe, expect, it } from 'vitest';
import { newTrace } from '../../src/kit/trace.ts';
import { sendTogether } from '../../src/reads/batch.ts';
import { raiseGeneration } from '../../src/reads/generation.ts';
import type { WantedList } from '../../src/reads/trip.ts';
import {
  ALICE,
  alike,
  alone,
  dated,
  instead,
  isolate,
  newWorkspace,
  NOW,
  record,
  wanted,
  workspace,
} from './sent-trips.ts';

// What each read of a group hears from D1.

beforeEach(newWorkspace);

describe('a read hears', () => {
  const raise = async ({ database }: ReturnType<typeof isolate>) =>
    await database.batch({ trace: newTrace() }, [raiseGeneration(database, workspace)]);

  it('the id of its row: its own, or that of an alike one', async () => {
    const own = record();
    const [first, second] = [record(), record()];
    const answers = await isolate().send(
      alone({ record: own }),
      alike(workspace, { record: first }),
      alike(workspace, { record: second }),
    );
    expect(answers.map(({ eventId }) => eventId)).toEqual([own.row.id, first.row.id, first.row.id]);
    const [again] = await isolate().send(alike(workspace, { record: record() }));
    expect(again?.eventId).toBe(first.row.id);
    const { results } = await env.DB.prepare(
      'select id, count from audit_events where workspace_uuid = ? order by count',
    )
      .bind(workspace)
      .all();
    expect(results).toEqual([
      { id: own.row.id, count: 1 },
      { id: first.row.id, count: 3 },
    ]);
  });

  it('that of the one which PipeOps was told, of those that are alike', async () => {
    const asker = record({ isAsker: true });
    const answers = await isolate().send(alike(workspace, { record: record() }), alike(workspace, { record: asker }));
    expect(answers.map(({ eventId }) => eventId)).toEqual([asker.row.id, asker.row.id]);
  });

  it('that nothing is recorded under a generation that is not current, which is no block', async () => {
    const one = isolate();
    await raise(one);
    const answers = await one.send(
      alone({ record: record(), generation: 0 }),
      alone({ record: record(), generation: 1 }),
      alike(workspace, { record: record(), generation: 0 }),
      alike(workspace, { record: record(), generation: 1 }),
    );
    expect(answers.map(({ eventId, bar, generation }) => [eventId !== null, bar !== null, generation])).toEqual([
      [false, false, 1],
      [true, false, 1],
      [false, false, 1],
      [true, false, 1],
    ]);
  });

  it('that its caller was offboarded, whether it is decided or not, and gets no list and no lease', async () => {
    const leaver = crypto.randomUUID();
    await env.DB.prepare(`insert into subject_blocks (issuer, subject, delivery_id, created_at) values (?, ?, 'd', 1)`)
      .bind(ALICE.issuer, leaver)
      .run();
    const reader = { issuer: ALICE.issuer, subject: leaver, label: null, owner: null };
    const one = isolate();
    await one.send(alone({ store: dated(0) }));
    const answers = await one.send(
      alone({ record: record({}, { ...ALICE, subject: leaver }) }),
      alone({ record: record({}, { ...ALICE, subject: leaver }), generation: 0 }),
      alone({ wanted: wanted({ reader }) }),
      alone({ wanted: wanted({ isShared: false, reader }) }),
      alone({ record: record() }),
    );
    expect(answers.map(({ bar, stored, lease, eventId }) => [bar !== null, stored, lease, eventId !== null])).toEqual([
      [true, null, null, false],
      [true, null, null, false],
      [true, null, null, false],
      [true, null, null, false],
      [false, null, null, true],
    ]);
  });

  it('that its caller was offboarded by its label, however that is spelled', async () => {
    const label = `Leaver-${crypto.randomUUID()}@Example.com`;
    await env.DB.prepare(`insert into subject_blocks (label, delivery_id, created_at) values (?, 'd', 1)`)
      .bind(label.toLowerCase())
      .run();
    const answers = await isolate().send(
      alone({ record: record({}, { ...ALICE, label }) }),
      alone({ record: record({}, { ...ALICE, label: 'alice@example.com' }) }),
    );
    expect(answers.map(({ bar, eventId }) => [bar !== null, eventId !== null])).toEqual([
      [true, false],
      [false, true],
    ]);
  });

  it('the list that another isolate left, of its own workspace, with its inventory', async () => {
    const list = dated(0, ['tok-1']);
    await isolate().send(alone({ store: list }));
    const reader = isolate();
    const [search, decided, none, elsewhere] = await reader.send(
      alone({ wanted: wanted({ mayAsk: false }) }),
      alone({ wanted: instead(), record: record(), generation: 7 }),
      alone({ record: record() }),
      alone({ wanted: wanted({ mayAsk: false }), workspaceUuid: crypto.randomUUID() }),
    );
    expect(search?.stored?.list).toEqual(list);
    expect(decided?.stored?.list).toEqual(list);
    expect([none?.stored, elsewhere?.stored]).toEqual([null, null]);
    const stored = search?.stored?.list ?? list;
    expect(reader.known.of(stored)).toEqual(search?.stored?.snapshot);
  });

  it('of a list that was begun at the very time since when one will do', async () => {
    await isolate().send(alone({ store: dated(0, [], NOW - 5_000) }));
    const [answer] = await isolate().send(alone({ wanted: wanted({ mayAsk: false, minBegunMs: NOW - 5_000 }) }));
    expect(answer?.stored).not.toBeNull();
  });

  it.each<[string, Partial<WantedList>, number, number]>([
    ['one that is too old', { minBegunMs: NOW - 5_000 }, NOW - 5_001, 0],
    ['one of another generation', {}, NOW, 1],
    ['one where lists are not shared', { isShared: false, mayAsk: false }, NOW, 0],
  ])('of no list but a good one: not of %s', async (_case, changes, begunAtMs, raised) => {
    const one = isolate();
    await one.send(alone({ store: dated(0, [], begunAtMs) }));
    if (raised > 0) await raise(one);
    // Beside one that takes any.
    const [answer] = await isolate().send(
      alone({ wanted: wanted({ mayAsk: false, ...changes }) }),
      alone({ wanted: wanted({ mayAsk: false, minBegunMs: 0 }) }),
    );
    expect(answer?.stored).toBeNull();
  });

  it('that it is the one to ask PipeOps, and no other isolate is', async () => {
    const group = [alone({ wanted: wanted() }), alone({ wanted: wanted({ mayAsk: false }) })];
    const [asker, other] = await isolate().send(...group);
    expect(asker?.lease).toMatchObject({ holder: expect.any(String), isChanged: false, refusal: null });
    expect(asker?.lease?.reserved.take()).toBe(true);
    expect(asker?.lease?.reserved.take()).toBe(false);
    expect(other?.lease).toBeNull();
    const [late] = await isolate().send(...group);
    expect(late?.lease).toBeNull();
  });

  it('that it is for a change, where the tokens have changed since', async () => {
    const one = isolate();
    const [first] = await one.send(alone({ wanted: wanted() }));
    await one.send(alone({ endLease: { holder: first?.lease?.holder ?? '', isListed: true } }));
    await raise(one);
    const [second] = await one.send(alone({ wanted: wanted() }));
    expect(second?.lease).toMatchObject({ isChanged: true });
  });

  it('what PipeOps has told another isolate of its quota, before it asks', async () => {
    const one = isolate();
    one.dependencies.quota.note({ status: 429, headers: new Headers({ 'Retry-After': '30' }) }, workspace, NOW);
    await one.send(alone());
    const other = isolate();
    expect(other.dependencies.quota.permit('change', workspace, NOW)).toBeNull();
    await other.send(alone({ wanted: wanted() }));
    expect(other.dependencies.quota.permit('change', workspace, NOW)).toMatchObject({ retryAfterSeconds: 30 });
    await env.DB.prepare('delete from upstream_limits').run();
  });

  it('that it may ask for itself, where lists are not shared', async () => {
    const readers = ['alice', 'bob'].map((subject) => ({ issuer: ALICE.issuer, subject, label: null, owner: null }));
    const answers = await isolate().send(
      ...readers.map((reader) => alone({ wanted: wanted({ isShared: false, reader }) })),
    );
    expect(answers.map(({ lease }) => [lease?.holder, lease?.reserved.take()])).toEqual([
      [null, true],
      [null, true],
    ]);
  });

  it('that no call is left for it, where one before it got the last', async () => {
    const { dependencies } = isolate();
    const refusal = { kind: 'upstream_rate_limited', status: 429, retryAfterSeconds: 9 } as const;
    const quota = {
      ...dependencies.quota,
      reserve: (...asked: Parameters<typeof dependencies.quota.reserve>) => {
        const reservation = dependencies.quota.reserve(...asked);
        const grant: typeof reservation.grant = (...granted) => ({
          ...reservation.grant(...granted),
          calls: 1,
          refusal,
        });
        return { ...reservation, grant };
      },
    };
    const readers = ['alice', 'bob'].map((subject) => ({ issuer: ALICE.issuer, subject, label: null, owner: null }));
    const group = readers.map((reader) => alone({ wanted: wanted({ isShared: false, reader }) }));
    const answers = await sendTogether({ ...dependencies, quota }, group);
    const leases = (answers ?? []).map((answer) => (answer.ok ? answer.value.lease : null));
    expect(leases.map((lease) => [lease?.refusal, lease?.reserved.take()])).toEqual([
      [null, true],
      [refusal, false],
    ]);
  });

  it('the row of its token, in its own workspace', async () => {
    await env.DB.prepare('insert into tokens (workspace_uuid, token_id, marker, created_at) values (?, ?, ?, 1)')
      .bind(workspace, 'tok-1', 'm')
      .run();
    const answers = await isolate().send(
      alone({ tokenId: 'tok-1' }),
      alone({ tokenId: 'tok-2' }),
      alone({ tokenId: 'tok-1', workspaceUuid: crypto.randomUUID() }),
      alone(),
    );
    expect(answers.map(({ token }) => token?.token_id)).toEqual(['tok-1', undefined, undefined, undefined]);
    const list = dated(0, ['tok-1']);
    const [shown, looked] = await isolate().send(
      alone({ inventoryOf: list }),
      alone({ inventoryOf: list, isLook: true }),
    );
    expect(shown?.lookRows).toBeNull();
    expect(looked?.lookRows).toMatchObject([{ token_id: 'tok-1', created_at: 1 }]);
    expect(shown?.snapshot).toEqual(looked?.snapshot);
    expect([...(shown?.snapshot?.inventory ?? [])]).toEqual([
      ['tok-1', { token_id: 'tok-1', owner_issuer: null, owner_subject: null, marker: 'm', suspended_by: null }],
    ]);
  });

  it('the inventory of a list, of its own tokens alone, which is read once', async () => {
    await env.DB.prepare(
      `insert into tokens (workspace_uuid, token_id, created_at) select ?, value, 1 from json_each('["tok-1","tok-2"]')`,
    )
      .bind(workspace)
      .run();
    const one = isolate();
    const [list, look] = [dated(0, ['tok-1']), dated(0, ['tok-1'])];
    const [shown] = await one.send(alone({ inventoryOf: list }));
    const [looked] = await one.send(alone({ inventoryOf: look, isLook: true }));
    for (const answer of [shown, looked]) expect([...(answer?.snapshot?.inventory.keys() ?? [])]).toEqual(['tok-1']);
    expect(looked?.lookRows?.map(({ token_id }) => token_id).toSorted()).toEqual(['tok-1', 'tok-2']);
    const [again] = await one.send(alone({ inventoryOf: list }));
    expect(again?.snapshot).toBe(shown?.snapshot);
  });

  it('nothing of a list that an earlier version stored in a form that is not understood', async () => {
    await isolate().send(alone({ store: dated(0) }));
    await env.DB.prepare(`update snapshots set body = '{}' where workspace_uuid = ?`).bind(workspace).run();
    const answers = await isolate().send(alone({ wanted: wanted({ mayAsk: false }) }));
    expect(answers).toMatchObject([{ stored: null }]);
  });

  it('how many workspaces are in use, where it may have to ask', async () => {
    const one = isolate();
    await one.send(alone({ wanted: wanted() }), alone({ listState: { state: 'complete', atMs: NOW } }));
    const other = isolate();
    await other.send(alone());
    expect(other.dependencies.pace.workspacesInUse()).toBe(0);
    await other.send(alone({ wanted: wanted() }));
    expect(other.dependencies.pace.workspacesInUse()).toBeGreaterThan(0);
  });

  it('an inventory that is remembered only if it is of the generation of its list', async () => {
    const one = isolate();
    await raise(one);
    const [old, current] = [dated(0, ['tok-1']), dated(1, ['tok-1'])];
    const answers = await one.send(alone({ inventoryOf: old }), alone({ inventoryOf: current }));
    expect(answers.map(({ snapshot }) => snapshot?.generation)).toEqual([0, 1]);
    expect([one.known.of(old), one.known.of(current)]).toEqual([null, answers[1]?.snapshot]);
  });
});
