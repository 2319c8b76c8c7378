import { env } from 'cloudflare:workers';
import { beforeEach, describe, expect, it } from 'vitest';
import { failingBatches } from '../support/failing-batches.ts';
import { askedIn } from '../support/audit-detail.ts';
import { TOKENS } from '../support/harness.ts';
import { measuredD1 } from '../support/measured-d1.ts';
import { type Ailment, createCompany, DAY, forgetCompanies, MIDNIGHT, MINUTE, TURN } from './company.ts';

// The use of tokens is watched night by night, by the clock of the test.

beforeEach(forgetCompanies);

const idsOf = (count: number) =>
  Array.from({ length: count }, (_item, index) => `tok-${String(index).padStart(3, '0')}-${crypto.randomUUID()}`);
const at = (ms: number) => new Date(ms).toISOString();

describe('a token that is used until day 20 and never again', () => {
  it('is suspended once after its 90 days, and not again for 90 days after its owner has lifted that', async () => {
    const company = await createCompany();
    const { pipeops, clock } = company;
    const [busy, idle] = [await company.mint('busy'), await company.mint('idle')];
    const nights = async (days: readonly number[]): Promise<void> => {
      for (const day of days) {
        clock.ms = MIDNIGHT + day * DAY + TURN - 5;
        pipeops.use(busy);
        if (day <= 20) pipeops.use(idle);
        await company.night(day);
      }
    };
    await nights([1, 10, 20, 21, 50, 80, 109]);
    expect(await company.orders()).toEqual([]);
    expect(await company.tokenRow(idle)).toMatchObject({
      last_used_at: MIDNIGHT + 20 * DAY + TURN - 5,
      usage_doubted_at: null,
    });

    await nights([110]);
    const [order] = await company.orders();
    expect(await company.orders()).toMatchObject([{ token_id: idle, mode: 'suspend', cause: 'unused', state: 'open' }]);
    const [row] = await company.eventsOf('service_account_token.update');
    expect(row).toMatchObject({ id: order?.id, token_id: idle, status: 'attempted', actor_type: 'system' });
    expect(askedIn(row)).toEqual({
      is_active: false,
      unused: {
        last_used_at: at(MIDNIGHT + 20 * DAY + TURN - 5),
        unchanged_since: at(MIDNIGHT + 20 * DAY + TURN),
        nightly_looks: 3,
        unused_after_seconds: 90 * 86_400,
        role: 'ci',
      },
    });
    await company.carryOut();
    expect([pipeops.tokens.get(idle)?.is_active, pipeops.tokens.get(busy)?.is_active]).toEqual([false, true]);
    await nights([112]);
    expect(await company.orders()).toHaveLength(1);

    expect((await company.send('PATCH', `${TOKENS}/${idle}`, 'ci', { is_active: true })).status).toBe(200);
    expect(pipeops.tokens.get(idle)?.is_active).toBe(true);
    expect(await company.orders()).toMatchObject([{ state: 'lifted' }]);
    await nights([113, 150, 201]);
    expect(await company.orders()).toHaveLength(1);
    await nights([202]);
    expect(await company.orders()).toMatchObject([{ state: 'lifted' }, { token_id: idle, state: 'open' }]);
  });
});

describe('a list that somebody reads', () => {
  it('keeps when a token was used, by a row an hour at the most; an answer about one token proves nothing', async () => {
    const company = await createCompany();
    const { clock, pipeops } = company;
    const id = await company.mint('deploy');
    const readAt = async (ms: number, path = TOKENS) => {
      clock.ms = MIDNIGHT + ms;
      expect((await company.send('GET', path, 'ci')).status).toBe(200);
      return await company.tokenRow(id);
    };
    // Of a young token that was not used nothing is kept, so that its first list costs no more than any other.
    expect(await readAt(1_000)).toMatchObject({ usage_seen_at: null });
    expect(await readAt(DAY)).toMatchObject({ usage_seen_at: MIDNIGHT + DAY, last_used_at: null });
    pipeops.use(id);
    expect(await readAt(DAY + 1_000)).toMatchObject({ last_used_at: MIDNIGHT + DAY });
    expect(await company.workspaceRow()).toMatchObject({ usage_advanced_at: MIDNIGHT + DAY });
    clock.ms = MIDNIGHT + DAY + 59 * MINUTE;
    pipeops.use(id);
    expect(await readAt(DAY + 59 * MINUTE)).toMatchObject({ last_used_at: MIDNIGHT + DAY });
    clock.ms = MIDNIGHT + DAY + 60 * MINUTE;
    pipeops.use(id);
    expect(await readAt(DAY + 60 * MINUTE)).toMatchObject({ last_used_at: MIDNIGHT + DAY + 60 * MINUTE });
    pipeops.ail({ tells: () => null });
    expect(await readAt(2 * DAY, `${TOKENS}/${id}`)).toMatchObject({ usage_doubted_at: null });
    expect(await readAt(2 * DAY)).toMatchObject({ usage_doubted_at: MIDNIGHT + 2 * DAY });
  });
});

describe('three hundred tokens that nobody uses', () => {
  it('are suspended a twentieth a night, with one list, whatever else runs', async () => {
    const company = await createCompany();
    const ids = idsOf(300);
    await company.seed(ids);
    company.clock.ms = MIDNIGHT + DAY + TURN;
    await company.cron();
    expect(company.lines.findLast(({ event }) => event === 'cron')).toMatchObject({
      swept_workspaces: 1,
      ordered_unused: 15,
      told_expiring: 0,
    });
    expect((await company.orders()).map(({ token_id: id }) => id)).toEqual(ids.slice(0, 15));
    expect(await company.eventsOf('service_account_token.update')).toHaveLength(15);
    // The rest of the night: the turn comes round again, and what is ordered is carried out.
    await company.carryOut();
    expect([...company.pipeops.tokens.values()].filter((token) => !token.is_active)).toHaveLength(15);
    company.clock.ms += TURN - MINUTE;
    expect(await company.watch()).toEqual({ expiring: 0, swept: 0, unused: 0 });
    expect(await company.night(2)).toEqual({ expiring: 0, swept: 1, unused: 15 });
    expect(await company.orders()).toHaveLength(15 + 15);
    expect(await company.status()).toMatchObject({
      usage: {
        workspaces: 1,
        unknown: { workspaces: 0, workspace_uuids: [], what_to_do: null },
        unused: 300,
        never_used: 0,
      },
    });
  });
});

describe('a night in which PipeOps', () => {
  const answers = (status: number) => async () =>
    await Promise.resolve(Response.json({ success: false, status: 'error', message: '' }, { status }));

  it.each<[string, Ailment]>([
    ['is down', { answers: answers(503) }],
    ['says wait', { answers: answers(429) }],
    ['forbids the workspace', { answers: answers(403) }],
    ['answers what nobody can read', { answers: async () => await Promise.resolve(new Response('<html>')) }],
    ['breaks the connection', { answers: async () => await Promise.reject(new TypeError('reset')) }],
  ])('%s touches nothing, and the workspace has another turn', async (_, ailment) => {
    const company = await createCompany();
    await company.seed(['tok-1']);
    const before = await company.inventory();
    company.pipeops.ail(ailment);
    expect(await company.night(1)).toMatchObject({ swept: 0 });
    expect(await company.inventory()).toEqual(before);
    expect(await company.orders()).toEqual([]);
    expect(await company.workspaceRow()).toMatchObject({ usage_swept_at: null });
    company.pipeops.ail({});
    expect(await company.nextTurn()).toMatchObject({ swept: 1, unused: 1 });
    expect(await company.orders()).toMatchObject([{ token_id: 'tok-1' }]);
  });

  it.each<[string, Ailment]>([
    ['shows a part of the list', { isPartial: true }],
    ['shows hardly anything', { hides: ['tok-1', 'tok-2', 'tok-3'] }],
  ])('%s counts for nothing', async (_, ailment) => {
    const company = await createCompany();
    const ids = ['tok-1', 'tok-2', 'tok-3', 'tok-4'];
    await company.seed(ids);
    company.pipeops.ail(ailment);
    const before = await company.inventory();
    await company.night(1);
    expect(await company.inventory()).toEqual(before);
    expect(await company.orders()).toEqual([]);
    // It was looked at, so it is not asked for all night.
    expect(await company.nextTurn()).toMatchObject({ swept: 0 });
  });

  it('lacks a token leaves that token alone', async () => {
    const company = await createCompany();
    await company.seed(['tok-1', 'tok-2']);
    company.pipeops.ail({ hides: ['tok-1'] });
    await company.night(1);
    expect((await company.orders()).map(({ token_id: id }) => id)).toEqual(['tok-2']);
  });

  it.each<[string, Ailment['tells']]>([
    ['fills in nothing more', () => null],
    ['goes back by an hour', (_id, used) => (used === null ? null : at(Date.parse(used) - 3_600_000))],
  ])('%s doubts all of it for good, and says that nothing is known', async (_, tells) => {
    const company = await createCompany();
    await company.seed(['tok-1', 'tok-2']);
    company.pipeops.ail({ ...(tells !== undefined && { tells }) });
    await company.night(1);
    const doubted = { usage_doubted_at: MIDNIGHT + DAY + TURN, usage_sweeps: null, last_used_at: MIDNIGHT - 100 * DAY };
    expect(await company.inventory()).toMatchObject([doubted, doubted]);
    company.pipeops.ail({});
    for (const day of [2, 3, 4, 9]) await company.night(day);
    expect(await company.orders()).toEqual([]);
    expect(await company.status()).toMatchObject({
      usage: {
        workspaces: 1,
        unknown: {
          workspaces: 1,
          workspace_uuids: [company.workspace],
          what_to_do: expect.stringContaining('last_used_at'),
        },
        unused: 0,
      },
    });
  });

  it('keeps telling the same times for a week suspends nobody, until it tells of a use again', async () => {
    const company = await createCompany();
    await company.seed(['tok-1']);
    await company.seed(['tok-2'], { created_at: MIDNIGHT, last_used_at: null });
    await env.DB.prepare('update workspaces set usage_advanced_at = ?')
      .bind(MIDNIGHT + TURN - 6 * DAY - 1)
      .run();
    expect(await company.night(1)).toMatchObject({ swept: 1, unused: 0 });
    company.pipeops.use('tok-2');
    expect(await company.night(2)).toMatchObject({ swept: 1, unused: 1 });
    expect(await company.workspaceRow()).toMatchObject({ usage_advanced_at: MIDNIGHT + DAY + TURN });
    expect((await company.orders()).map(({ token_id: id }) => id)).toEqual(['tok-1']);
  });
});

describe('what stands when a night ends', () => {
  it.each<[string, string]>([
    ['used by another list', `update tokens set last_used_at = last_used_at + 3600000, usage_sweeps = null`],
    ['revoked', `update tokens set revoked_at = 1, ended_by = 'listed'`],
    ['suspended', `update tokens set suspended_by = '["owner"]'`],
    ['rotated', `update tokens set replaced_by = 'tok-2', retires_at = 1`],
    ['doubted', `update tokens set usage_doubted_at = 1`],
    [
      'ordered',
      `insert into revocation_orders (id, cause, workspace_uuid, token_id, mode, rank, state, created_at, confirm_round)
       select 'o-' || workspace_uuid, 'caller', workspace_uuid, token_id, 'revoke', 1, 'confirmed', 1, 0 from tokens`,
    ],
    [
      'being changed',
      `insert into audit_events (id, occurred_at, action, status, actor_type, workspace_uuid, token_id, detail)
       select 'e-' || workspace_uuid, 1, 'service_account_token.update', 'attempted', 'user', workspace_uuid, token_id, '{}' from tokens`,
    ],
    [
      'being rotated',
      `insert into audit_events (id, occurred_at, action, status, actor_type, workspace_uuid, detail)
       select 'r-' || workspace_uuid, 1, 'service_account_token.create', 'attempted', 'user', workspace_uuid, '{}' from tokens`,
    ],
  ])('is asked once more: a token that was %s meanwhile is left alone', async (_, statement) => {
    // The last batch of the night is the fifth that the job sends.
    let isLast = (_number: number): boolean => false;
    const db = beforeBatch((number) => isLast(number), statement);
    const company = await createCompany({ db: db.db });
    await company.seed(['tok-1'], { rotation_event_id: `r-${company.workspace}` });
    const first = db.sent() + 1;
    isLast = (number) => number === first + 4;
    expect(await company.night(1)).toMatchObject({ swept: 1 });
    expect(db.interfered()).toBe(true);
    expect((await company.orders()).filter(({ cause }) => cause === 'unused')).toEqual([]);
    expect(await company.eventsOf('service_account_token.update')).toEqual([]);
    await env.DB.prepare(
      `update audit_events set status = 'failure', settled_at = 1, outcome = '{}' where status = 'attempted'`,
    ).run();
  });

  /** A D1 in which somebody else's statement comes before a batch. */
  function beforeBatch(isIt: (number: number) => boolean, statement: string) {
    let sent = 0;
    let interfered = false;
    const db: D1Database = new Proxy(env.DB, {
      get: (target, key) => {
        const value: unknown = Reflect.get(target, key);
        if (key !== 'batch') return typeof value === 'function' ? value.bind(target) : value;
        return async (statements: D1PreparedStatement[]) => {
          sent += 1;
          if (isIt(sent)) {
            await target.prepare(statement).run();
            interfered = true;
          }
          return await target.batch(statements);
        };
      },
    });
    return { db, sent: () => sent, interfered: () => interfered };
  }
});

describe('the lists of a night', () => {
  it('are asked for with calls that nobody else needs', async () => {
    const company = await createCompany();
    await company.seed(['tok-1']);
    const bucket = Math.floor((MIDNIGHT + DAY + TURN) / (5 * 60_000));
    const calls = async (count: number) =>
      await env.DB.prepare(`insert or replace into upstream_calls (span, bucket, calls) values ('hour', ?, ?)`)
        .bind(bucket, count)
        .run();
    await calls(500);
    expect(await company.night(1)).toMatchObject({ swept: 0 });
    await calls(499);
    expect(await company.nextTurn()).toMatchObject({ swept: 1 });
    expect(await env.DB.prepare(`select sum(calls) as calls from upstream_calls where span = 'hour'`).first()).toEqual({
      calls: 500,
    });
  });

  it('are asked for of workspaces with a live token that is a day old, once a night', async () => {
    const company = await createCompany();
    await company.mint('young');
    expect(await company.night(0)).toMatchObject({ swept: 0 });
    expect(await company.night(3)).toMatchObject({ swept: 1 });
    expect(await company.nextTurn()).toMatchObject({ swept: 0 });
    // A clock that is put back meets a night that is still to come.
    expect(await company.night(2)).toMatchObject({ swept: 1 });
    // One that came late in the evening is not followed by another at midnight.
    company.clock.ms = MIDNIGHT + 5 * DAY - TURN;
    expect(await company.watch()).toMatchObject({ swept: 1 });
    expect(await company.night(5)).toMatchObject({ swept: 0 });
    await env.DB.prepare(`update tokens set revoked_at = 1, ended_by = 'absent'`).run();
    expect(await company.night(7)).toMatchObject({ swept: 0 });
  });

  it('suspend nobody where the clock jumps by half a year, there and back', async () => {
    const company = await createCompany();
    await company.seed(['tok-1', 'tok-2'], { last_used_at: MIDNIGHT - 10 * DAY });
    // Somebody uses a token, as PipeOps' clock tells.
    company.pipeops.use('tok-2');
    expect(await company.night(180)).toMatchObject({ swept: 1, unused: 0 });
    for (const day of [1, 2]) expect(await company.night(day)).toMatchObject({ swept: 1, unused: 0 });
  });

  it('read a few rows of D1 where nothing is due, however many tokens there are', async () => {
    const { db, of } = measuredD1();
    const company = await createCompany({ db });
    await company.seed(idsOf(3_000));
    await company.night(1);
    const cost = await of(async () => await company.nextTurn());
    expect(cost).toMatchObject({ batches: 1, rowsWritten: 0 });
    expect(cost.rowsRead).toBeLessThan(20);
  });
});

describe('a night whose run dies', () => {
  it.each([
    ['before', async () => await Promise.reject(new Error('injected'))],
    [
      'after',
      async (commit: () => Promise<unknown>) => {
        await commit();
        throw new Error('injected');
      },
    ],
  ] as const)(
    '%s any of its batches is made up for by a later turn, and orders each token once',
    async (_when, fail) => {
      for (let batch = 1; batch <= 5; batch += 1) {
        let from = Infinity;
        const { db, sent } = failingBatches((number) => number - from === batch, fail);
        const company = await createCompany({ db });
        const ids = idsOf(2);
        await company.seed(ids);
        from = sent();
        await company.night(1);
        expect(sent() - from, 'the batch was reached').toBeGreaterThanOrEqual(batch);
        from = Infinity;
        await company.nextTurn();
        const ordered = (await company.orders()).map(({ token_id: id }) => id);
        expect(ordered, `batch ${batch}`).toEqual(ids);
        const told = (await company.eventsOf('service_account_token.update')).map(({ token_id: id }) => id);
        expect(told.toSorted((a, b) => String(a).localeCompare(String(b)))).toEqual(ids);
        await forgetCompanies();
      }
    },
  );

  it('beside another is one night', async () => {
    const company = await createCompany();
    const ids = idsOf(60);
    await company.seed(ids);
    const other = await createCompany({ like: company, clock: company.clock, pipeops: company.pipeops });
    company.clock.ms = MIDNIGHT + DAY + TURN;
    await Promise.all([company.watch(), other.watch()]);
    expect((await company.orders()).map(({ token_id: id }) => id)).toEqual(ids.slice(0, 5));
  });
});
