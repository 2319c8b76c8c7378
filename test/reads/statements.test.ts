import { env } from 'cloudflare:workers';
import { sql } from 'drizzle-orm';
import { beforeEach, describe, expect, it } from 'vitest';
import { CALLER_READS_MAX_ROWS, WORKSPACE_IN_USE_MS } from '../../src/config/limits.ts';
import { createDatabase, type Query } from '../../src/db/database.ts';
import type { SessionProof } from '../../src/identity/identity.ts';
import { newTrace } from '../../src/kit/trace.ts';
import {
  type AskedWorkspace,
  endLease,
  leasesTaken,
  READ_QUERIES,
  type ReadEntry,
  selectInventory,
  storeList,
  unsharedAsks,
} from '../../src/reads/statements.ts';
import { barOf } from '../../src/subjects/bars.ts';
import { FURTHER_PREFIX } from '../../src/trail/caller-rows.ts';
import { eventSubject, finalRow, successOutcome } from '../../src/trail/event.ts';
import { workerRuntime } from '../../src/worker-runtime.ts';

// The statements of a group of reads, one by one: what each says, writes and leaves alone.

const NOW = Date.UTC(2026, 10, 24, 12, 0, 10);
const LEASE_END = NOW + 30_000;
const database = createDatabase(env.DB, workerRuntime);
const ISSUER = 'https://issuer.example';

let workspace: string;
let reader: string;
beforeEach(() => {
  workspace = crypto.randomUUID();
  reader = crypto.randomUUID();
});

async function send<Row>(query: Query<Row[]>): Promise<readonly Row[]> {
  const sent = await database.batch({ trace: newTrace() }, [query] as const);
  if (!sent.ok) throw new Error('D1 does not take it');
  return sent.value[0];
}
const run = async (text: string, ...values: unknown[]): Promise<Record<string, unknown>[]> =>
  (
    await env.DB.prepare(text)
      .bind(...values)
      .all()
  ).results;
const ofReader = async (): Promise<unknown[]> =>
  await run('select id, count, read_key, last_at from audit_events where actor_subject = ? order by seq', reader);

const values = (given: { readonly entries?: readonly ReadEntry[]; readonly asked?: readonly AskedWorkspace[] }) => ({
  entries: JSON.stringify(given.entries ?? []),
  asked: JSON.stringify(given.asked ?? []),
  nowMs: NOW,
  leaseEndMs: LEASE_END,
  leaseHolder: 'holder',
});

const question = (changed: Partial<AskedWorkspace> = {}): AskedWorkspace => ({
  workspace,
  generation: null,
  min_begun: NOW - 1_000,
  each: 0,
  shared: true,
  ask: true,
  issuer: ISSUER,
  subject: reader,
  label: `${reader}@example.com`,
  session: null,
  own: null,
  ...changed,
});
const ownToken = (changed: Partial<NonNullable<AskedWorkspace['own']>> = {}) =>
  question({ own: { token: 'token-1', issuer: ISSUER, subject: reader, ...changed } });
const insertToken = async (of = workspace, id = 'token-1'): Promise<void> =>
  void (await run(
    'insert into tokens (workspace_uuid, token_id, created_at, owner_issuer, owner_subject) values (?, ?, 1, ?, ?)',
    of,
    id,
    ISSUER,
    reader,
  ));
const block = async (issuer: string | null, subject: string | null, label: string | null): Promise<void> =>
  void (await run(
    `insert into subject_blocks (issuer, subject, label, delivery_id, created_at) values (?, ?, ?, 'd', 1)`,
    issuer,
    subject,
    label,
  ));
const MAC = 'mac-of-the-session';
/** A session of the reader; `mac` null: it is over. */
const insertSession = async (mac: string | null): Promise<SessionProof> => {
  const id = crypto.randomUUID();
  await run(
    `insert into sessions (id, actor_type, issuer, subject, label, started_at, ends_at, mac, seen_at)
     values (?, 'user', ?, ?, null, 1, ?, ?, 1)`,
    id,
    ISSUER,
    reader,
    NOW + 1,
    mac,
  );
  return {
    id,
    actor_type: 'user',
    issuer: ISSUER,
    subject: reader,
    label: null,
    started_at: 1,
    ends_at: NOW + 1,
    macs: [MAC],
  };
};
const insertWorkspace = async (columns: Readonly<Record<string, unknown>> = {}, of = workspace): Promise<void> => {
  const row = { workspace_uuid: of, generation: 3, lease_until: 0, ...columns };
  const names = Object.keys(row);
  await run(
    `insert into workspaces (${names.join(', ')}) values (${names.map(() => '?').join(', ')})`,
    ...Object.values(row),
  );
};
const insertList = async (changed: { readonly generation?: number; readonly begunAtMs?: number } = {}) =>
  await send(
    storeList(database, {
      workspace,
      generation: 3,
      begunAtMs: NOW - 500,
      body: '{"tokens":[{"id":"token-1"}]}',
      ...changed,
    }) as unknown as Query<unknown[]>,
  );

describe('who asks', () => {
  const told = async (asked: AskedWorkspace) =>
    (await send(READ_QUERIES.selectGenerations(database, values({ asked: [asked] }))))[0];

  it('is told the generation of its workspace, or 0 where none is known', async () => {
    expect(await told(question())).toEqual({ question: 0, generation: 0, blocked: 0, authorised: 1 });
    await insertWorkspace();
    expect(await told(question())).toEqual({ question: 0, generation: 3, blocked: 0, authorised: 1 });
  });

  it.each<[string, () => AskedWorkspace, 0 | 1]>([
    ['its own', () => ownToken(), 1],
    ['another', () => ownToken({ token: 'token-2' }), 0],
    ['none', () => ownToken({ token: null }), 0],
    ['one of another issuer', () => ownToken({ issuer: 'https://other.example' }), 0],
    ['one of another subject', () => ownToken({ subject: 'bob' }), 0],
    ['one of another workspace', () => ({ ...ownToken(), workspace: 'other' }), 0],
  ])('and sees its own tokens alone gets a list if it names %s', async (_name, asked, authorised) => {
    await insertToken();
    expect(await told(asked())).toMatchObject({ blocked: 0, authorised });
  });

  it.each<[string, () => Parameters<typeof block>, 0 | 1]>([
    ['by issuer and subject', () => [ISSUER, reader, null], 1],
    ['by its label', () => [null, null, `${reader}@example.com`], 1],
    ['in another issuer', () => ['https://other.example', reader, null], 0],
    ['with another subject', () => [ISSUER, 'bob', null], 0],
  ])('gets no list once it is blocked: %s', async (_name, blocks, blocked) => {
    await block(...blocks());
    expect(await told(question())).toMatchObject({ blocked, authorised: 1 - blocked });
  });

  it.each([
    ['lives', MAC, null, 1],
    ['is over', null, { kind: 'session_ended' }, 0],
  ] as const)('through a session that %s', async (_name, mac, bar, authorised) => {
    const answer = await told(question({ session: await insertSession(mac) }));
    expect([barOf(answer), answer?.authorised]).toEqual([bar, authorised]);
  });

  it('is counted among those that ask for themselves if it is authorised and shares no list', async () => {
    await insertToken();
    const asked = [
      question({ shared: false }),
      question(),
      question({ shared: false, ask: false }),
      { ...ownToken({ token: 'token-2' }), shared: false },
    ];
    const count = sql<number>`${unsharedAsks(JSON.stringify(asked))}`.as('count');
    expect(await send(database.build.select({ count }).from(sql`(select 1)`))).toEqual([{ count: 1 }]);
  });
});

describe('alike reads', () => {
  let made = 0;
  const entry = (changed: Partial<ReadEntry> = {}): ReadEntry => {
    made += 1;
    const key = 'key' in changed ? changed.key : `key-${made}`;
    const actor = { type: 'user', issuer: ISSUER, subject: reader, label: null } as const;
    const origin = { requestId: 'r', ip: null, userAgent: null, policyVersion: 'v' };
    const subject = eventSubject('service_account_token.list', actor, { workspaceUuid: workspace });
    const row = finalRow(`read-${made}`, NOW, origin, subject, successOutcome(null));
    return {
      row: { ...row, read_key: key ?? null },
      count: 1,
      workspace,
      generation: null,
      issuer: ISSUER,
      subject: reader,
      label: null,
      session: null,
      ...changed,
      key: key ?? null,
    };
  };
  /** As a group sends them. */
  const record = async (...entries: ReadEntry[]) => {
    const known = await send(READ_QUERIES.countKnown(database, values({ entries })));
    const inserted = await send(READ_QUERIES.insertNew(database, values({ entries })));
    await send(READ_QUERIES.countBeside(database, values({ entries })) as unknown as Query<unknown[]>);
    return { known, inserted: inserted.map(({ id }) => id) };
  };

  it('are one row, which counts them all', async () => {
    const [first, other] = [entry({ count: 3 }), entry()];
    expect(await record(first, other)).toEqual({ known: [], inserted: [first.row.id, other.row.id] });
    const later = { ...first, row: { ...first.row, id: 'later', occurred_at: NOW + 5 }, count: 2 };
    expect(await record(later)).toEqual({ known: [{ read_key: first.key, id: first.row.id }], inserted: [] });
    expect(await ofReader()).toEqual([
      { id: first.row.id, count: 5, read_key: first.key, last_at: NOW + 5 },
      { id: other.row.id, count: 1, read_key: other.key, last_at: null },
    ]);
  });

  it('are rows of their own where they have no key', async () => {
    const [first, second] = [entry({ key: null, count: 2 }), entry({ key: null })];
    expect(await record(first, second)).toEqual({ known: [], inserted: [first.row.id, second.row.id] });
    expect(await ofReader()).toMatchObject([{ count: 1 }, { count: 1 }]);
  });

  it('are counted in a new row once the log has closed the first', async () => {
    const first = entry();
    await record(first);
    await run('update audit_events set closed_at = ? where id = ?', NOW, first.row.id);
    const later = { ...first, row: { ...first.row, id: `${first.row.id}-later` } };
    expect(await record(later)).toEqual({ known: [], inserted: [later.row.id] });
  });

  it('have rows of their own up to the number of a minute, and one further row beyond', async () => {
    const all = Array.from({ length: CALLER_READS_MAX_ROWS + 1 }, () => entry());
    const ids = all.map(({ row }) => row.id);
    expect(await record(...all)).toEqual({ known: [], inserted: ids.slice(0, CALLER_READS_MAX_ROWS) });
    const further = entry({ key: `${FURTHER_PREFIX}${reader}` });
    expect(await record(entry(), further)).toEqual({ known: [], inserted: [further.row.id] });
  });

  it.each<[string, string | null, boolean]>([
    ['lives', MAC, true],
    ['is over', null, false],
  ])('through a session that %s are recorded: %o', async (_name, mac, isRecorded) => {
    const fresh = entry({ session: await insertSession(mac) });
    expect((await record(fresh)).inserted).toEqual(isRecorded ? [fresh.row.id] : []);
  });

  it.each<[string, Partial<ReadEntry>, () => Promise<void>, boolean]>([
    ['of the current generation', { generation: 3 }, async () => {}, true],
    ['of an older generation', { generation: 2 }, async () => {}, false],
    ['of somebody who is blocked', {}, async () => await block(ISSUER, reader, null), false],
  ])('%s are recorded: %o', async (_name, changed, prepare, isRecorded) => {
    await insertWorkspace();
    const before = entry();
    await record(before);
    await prepare();
    const [known, fresh] = [{ ...before, ...changed }, entry(changed)];
    expect(await record(known, fresh)).toEqual({
      known: isRecorded ? [{ read_key: before.key, id: before.row.id }] : [],
      inserted: isRecorded ? [fresh.row.id] : [],
    });
  });
});

describe('a list that another isolate left', () => {
  const stored = async (asked: AskedWorkspace) => {
    const lists = await send(READ_QUERIES.selectStored(database, values({ asked: [asked] })));
    const inventory = await send(READ_QUERIES.selectStoredInventory(database, values({ asked: [asked] })));
    return { lists, inventory: inventory.map(({ workspace_uuid: of, token_id: id }) => [of, id]) };
  };
  beforeEach(async () => {
    await insertWorkspace();
    await insertToken();
    // Tokens and lists that nobody asked about.
    const other = crypto.randomUUID();
    await insertToken(workspace, 'token-2');
    await insertToken(other, 'token-1');
    await insertWorkspace({}, other);
    await run(
      'insert into snapshots (workspace_uuid, generation, begun_at, body) values (?, 3, ?, ?)',
      other,
      NOW - 1,
      '{"tokens":[{"id":"token-1"}]}',
    );
  });

  it('is given with what the inventory has of its tokens', async () => {
    await insertList();
    const body = '{"tokens":[{"id":"token-1"}]}';
    expect(await stored(question())).toEqual({
      lists: [{ workspace_uuid: workspace, generation: 3, begun_at: NOW - 500, body }],
      inventory: [[workspace, 'token-1']],
    });
  });

  it.each<[string, Partial<AskedWorkspace>, Parameters<typeof insertList>[0], boolean]>([
    ['from that very time', { min_begun: NOW - 500 }, {}, true],
    ['too old', { min_begun: NOW - 499 }, {}, false],
    ['of an older generation', {}, { generation: 2 }, false],
    ['of an older generation than that of the reader’s list', { generation: 2 }, {}, true],
    ['of the generation that the reader has', { generation: 3 }, {}, false],
    ['and no list is wanted', { min_begun: null }, {}, false],
    ['and none is shared', { shared: false }, {}, false],
    ['and the reader may not have it', { own: { token: null, issuer: ISSUER, subject: 'bob' } }, {}, false],
  ])('is given if it is fit: %s', async (_name, changed, list, isGiven) => {
    await insertList(list);
    const found = await stored(question(changed));
    expect([found.lists.length, found.inventory.length]).toEqual(isGiven ? [1, 1] : [0, 0]);
  });

  it('is replaced by a list that was begun later alone', async () => {
    const row = async () =>
      (await run('select generation, begun_at from snapshots where workspace_uuid = ?', workspace))[0];
    await insertList();
    await insertList({ generation: 4 });
    await insertList({ generation: 5, begunAtMs: NOW - 501 });
    expect(await row()).toEqual({ generation: 3, begun_at: NOW - 500 });
    await insertList({ generation: 6, begunAtMs: NOW - 499 });
    expect(await row()).toEqual({ generation: 6, begun_at: NOW - 499 });
  });
});

describe('the lease to ask PipeOps for a list', () => {
  const take = async (asked: AskedWorkspace) =>
    await send(READ_QUERIES.takeLeases(database, values({ asked: [asked] })));
  const taken = (changed: 0 | 1) => [{ workspace_uuid: workspace, changed }];
  const rowOf = async (of = workspace) =>
    (
      await run(
        'select lease_generation, lease_until, lease_holder, lease_changed, listed_at from workspaces where workspace_uuid = ?',
        of,
      )
    )[0];
  const HELD = { lease_until: LEASE_END, lease_holder: 'other', lease_generation: 3, lease_changed: 0 };

  it.each<[string, Readonly<Record<string, unknown>> | null, 0 | 1 | null]>([
    ['of a workspace that is new', null, 0],
    ['that nobody has had', {}, 0],
    ['that has ended', { ...HELD, lease_until: NOW }, 0],
    ['that another has', { ...HELD, lease_until: NOW + 1 }, null],
    ['that another has for an older generation', { ...HELD, lease_generation: 2 }, 1],
    ['that has ended, after which tokens have changed', { ...HELD, lease_until: NOW, lease_generation: 2 }, 1],
  ])('is taken unless another has it for this generation: one %s', async (_name, columns, changed) => {
    if (columns !== null) await insertWorkspace(columns);
    expect(await take(question())).toEqual(changed === null ? [] : taken(changed));
    expect(await rowOf()).toEqual(
      changed === null
        ? { ...HELD, lease_until: NOW + 1, listed_at: null }
        : {
            lease_generation: columns === null ? 0 : 3,
            lease_until: LEASE_END,
            lease_holder: 'holder',
            lease_changed: changed,
            listed_at: NOW,
          },
    );
  });

  it.each<[string, Partial<AskedWorkspace>]>([
    ['who does not ask', { ask: false }],
    ['who wants no list', { min_begun: null }],
    ['who shares none', { shared: false }],
    ['who has the current one', { generation: 3 }],
    ['who may not have it', { own: { token: null, issuer: ISSUER, subject: 'bob' } }],
  ])('is not taken for a reader %s', async (_name, changed) => {
    await insertWorkspace();
    expect(await take(question(changed))).toEqual([]);
  });

  it('is not taken where a list is there', async () => {
    await insertWorkspace();
    await insertList();
    expect(await take(question())).toEqual([]);
  });

  it('is counted by its holder and its reason, in the workspaces that were asked about', async () => {
    const [other, third] = [crypto.randomUUID(), crypto.randomUUID()];
    const held = { ...HELD, lease_holder: workspace };
    await insertWorkspace(held);
    await insertWorkspace({ ...held, lease_changed: 1 }, other);
    await insertWorkspace(held, third);
    const count = async (workspaces: readonly string[], holder: string, changed: 0 | 1) => {
      const counted = sql<number>`${leasesTaken(workspaces, holder, changed)}`.as('count');
      return (await send(database.build.select({ count: counted }).from(sql`(select 1)`)))[0]?.count;
    };
    expect(await count([workspace, other], workspace, 0)).toBe(1);
    expect(await count([workspace, other], workspace, 1)).toBe(1);
    expect(await count([workspace, other], 'other', 0)).toBe(0);
  });

  it.each([
    [true, 0, 3],
    [true, 1, 3],
    [false, 0, 3],
    [false, 1, -1],
  ])(
    'ends; taken for a change and without a list, it is due again: listed %s, changed %i',
    async (isListed, lease_changed, lease_generation) => {
      const other = crypto.randomUUID();
      await insertWorkspace({ ...HELD, lease_changed });
      await insertWorkspace(HELD, other);
      const end = async (holder: string) =>
        await send(endLease(database, workspace, holder, isListed) as unknown as Query<unknown[]>);
      await end('nobody');
      expect(await rowOf()).toMatchObject({ lease_until: LEASE_END });
      await end('other');
      expect(await rowOf()).toMatchObject({ lease_until: 0, lease_generation });
      expect(await rowOf(other)).toMatchObject({ lease_until: LEASE_END });
    },
  );
});

it('a workspace is in use for an hour after its list was asked for, if it was there', async () => {
  const inUse = async () => (await send(READ_QUERIES.selectInUse(database, values({}))))[0]?.workspaces ?? 0;
  const before = await inUse();
  const listed_at = NOW - WORKSPACE_IN_USE_MS;
  await insertWorkspace({ listed_at, list_state: 'complete' });
  await insertWorkspace({ listed_at: listed_at + 1, list_state: 'unavailable' }, crypto.randomUUID());
  await insertWorkspace({ list_state: 'complete' }, crypto.randomUUID());
  expect(await inUse()).toBe(before);
  for (const list_state of ['complete', 'partial', 'unproven']) {
    await insertWorkspace({ listed_at: listed_at + 1, list_state }, crypto.randomUUID());
  }
  expect(await inUse()).toBe(before + 3);
});

it('single tokens are those of their workspaces', async () => {
  const other = crypto.randomUUID();
  await insertToken();
  await insertToken(workspace, 'token-2');
  await insertToken(other);
  await insertToken(other, 'token-2');
  const asked = { ...values({}), tokens: JSON.stringify([{ workspace, token: 'token-1' }]) };
  expect(await send(READ_QUERIES.selectTokens(database, asked))).toMatchObject([
    { workspace_uuid: workspace, token_id: 'token-1', owner_subject: reader },
  ]);
  expect(await send(selectInventory(database, workspace, ['token-2', 'token-3']))).toMatchObject([
    { token_id: 'token-2', owner_subject: reader },
  ]);
});

it('what PipeOps said of its limits is read while it holds', async () => {
  await run('delete from upstream_limits');
  await run('insert into upstream_limits values (?1, ?2, 7), (?3, ?4, null)', 'over', NOW, 'all', NOW + 1);
  expect(await send(READ_QUERIES.selectQuotaNews(database, values({})))).toEqual([
    { scope: 'all', until: NOW + 1, remaining: null },
  ]);
});

it('no statement goes through the trail or all workspaces: each finds its rows by an index', async () => {
  const { countKnown, insertNew, countBeside, selectInUse } = READ_QUERIES;
  for (const query of [countKnown, insertNew, countBeside, selectInUse]) {
    const { sql: text, params } = query(database, values({})).toSQL();
    const plan = await run(`explain query plan ${text}`, ...params);
    const steps = plan.map(({ detail }) => String(detail));
    expect(steps.filter((step) => /^SCAN (?:audit_events|a|u)\b/.test(step))).toEqual([]);
  }
});
