import { env } from 'cloudflare:workers';
import { sql, type SQL } from 'drizzle-orm';
import { beforeEach, describe, expect, it } from 'vitest';
import {
  AUDIT_ANNOUNCE_AFTER_MS,
  AUDIT_SPAN_SIZES,
  CALLER_DENIALS_MAX_ROWS,
  CALLER_IDLE_MAX_ROWS,
  CALLER_READS_MAX_ROWS,
  CALLER_ROWS_AMONG_EVENTS,
  WEBHOOK_IGNORED_MAX_ROWS,
} from '../../src/config/limits.ts';
import { createDatabase } from '../../src/db/database.ts';
import {
  type CallerMinute,
  isDenial,
  isDenialInFull,
  isIgnoredInFull,
  isReadInFull,
  isWithinIdleRows,
} from '../../src/trail/caller-rows.ts';
import { countRead } from '../../src/trail/counted.ts';
import { eventSubject, failureOutcome, finalRow, type NewAuditRow, successOutcome } from '../../src/trail/event.ts';
import { announceLate } from '../../src/trail/late-settlement.ts';
import { workerRuntime } from '../../src/worker-runtime.ts';
import { RANDOM_ID } from './query/trail.ts';
import { requestContext } from '../support/request-context.ts';

// Which rows of a caller and a minute are counted, and up to how many another has room.

const ISSUER = 'https://issuer.example';
const database = createDatabase(env.DB, workerRuntime);
const context = requestContext();

let beginMs = Date.UTC(2029, 0, 1);
let caller: string;
let minute: CallerMinute;
beforeEach(() => {
  // A minute that no other test is in.
  beginMs += 60_000;
  caller = crypto.randomUUID();
  minute = { issuer: ISSUER, subject: caller, beginMs };
});

type Columns = Readonly<Record<string, string | number | null>>;
const OPEN = { status: 'attempted', settled_at: null, outcome: null } as const;
const DENIED = { status: 'failure', error_code: 'forbidden' } as const;
const ALLOWED = { status: 'success', error_code: null, upstream_status: 200 } as const;
const IDLE = { status: 'success', error_code: null, upstream_status: null } as const;
const LIMITED = { status: 'failure', error_code: 'upstream_rate_limited', upstream_status: 429 } as const;
const READ = { ...IDLE, read_key: 'own' } as const;
const FURTHER = { ...DENIED, read_key: '+further' } as const;

/** Appends rows that are alike. */
async function append(count: number, changed: Columns = {}): Promise<void> {
  const row: Columns = {
    occurred_at: beginMs,
    settled_at: beginMs,
    action: 'service_account_token.get',
    status: 'success',
    actor_type: 'user',
    actor_issuer: ISSUER,
    actor_subject: caller,
    detail: '{}',
    outcome: '{}',
    ...changed,
  };
  const { read_key: key = null, ...others } = row;
  const names = Object.keys(others);
  await env.DB.prepare(
    `insert into audit_events (id, read_key, ${names.join(', ')})
     select ${RANDOM_ID}, ?1 || value || ?2, ${names.map((_name, index) => `?${index + 4}`).join(', ')} from json_each(?3)`,
  )
    .bind(
      key,
      crypto.randomUUID(),
      JSON.stringify(Array.from({ length: count }, (_, index) => index)),
      ...Object.values(others),
    )
    .run();
}
const newestSeq = async (): Promise<number> =>
  (await env.DB.prepare('select max(seq) as seq from audit_events').first<number>('seq')) ?? 0;
async function holds(condition: SQL): Promise<boolean> {
  const read = await database.batch(context, [
    database.build.select({ holds: sql<number>`${condition}`.as('holds') }).from(sql`(select 1)`),
  ]);
  if (!read.ok) throw new Error('D1 does not take it');
  return read.value[0][0]?.holds === 1;
}
/** What another row has room as. */
async function room() {
  const conditions = {
    denial: isDenialInFull(minute),
    idle: isWithinIdleRows(minute),
    read: isReadInFull(minute),
    ignored: isIgnoredInFull(minute),
  };
  const names = Object.keys(conditions) as (keyof typeof conditions)[];
  const columns = Object.fromEntries(names.map((name) => [name, sql<number>`${conditions[name]}`.as(name)]));
  const read = await database.batch(context, [database.build.select(columns).from(sql`(select 1)`)]);
  if (!read.ok) throw new Error('D1 does not take it');
  const row = read.value[0][0] as Readonly<Record<keyof typeof conditions, number>>;
  return { denial: row.denial === 1, idle: row.idle === 1, read: row.read === 1, ignored: row.ignored === 1 };
}
const ALL = { denial: true, idle: true, read: true, ignored: true };
const IGNORED = { status: 'failure', error_code: 'event_unknown', upstream_status: 200 } as const;

describe('the rows of a minute', () => {
  it.each<[string, number, Columns, Partial<typeof ALL>]>([
    ['denials', CALLER_DENIALS_MAX_ROWS, DENIED, { denial: false }],
    [
      'denials of tokens that are not there',
      CALLER_DENIALS_MAX_ROWS,
      { ...DENIED, error_code: 'not_found' },
      { denial: false },
    ],
    ['attempts under way', CALLER_DENIALS_MAX_ROWS, OPEN, { denial: false }],
    ['attempts under way', CALLER_IDLE_MAX_ROWS, OPEN, { denial: false, idle: false }],
    ['successes that PipeOps answered', CALLER_IDLE_MAX_ROWS, ALLOWED, {}],
    ['requests that cost PipeOps nothing', CALLER_IDLE_MAX_ROWS, IDLE, { denial: false, idle: false }],
    ['requests that our own limits kept from PipeOps', CALLER_IDLE_MAX_ROWS, LIMITED, { denial: false, idle: false }],
    ['failures of PipeOps', CALLER_IDLE_MAX_ROWS, { ...LIMITED, error_code: 'upstream_error' }, {}],
    ['reads', CALLER_READS_MAX_ROWS, READ, { read: false }],
    ['further rows', CALLER_IDLE_MAX_ROWS, FURTHER, {}],
    ['counted denials', CALLER_DENIALS_MAX_ROWS, { ...FURTHER, read_key: 'own' }, {}],
    ['deliveries of unknown events', WEBHOOK_IGNORED_MAX_ROWS, IGNORED, { ignored: false }],
    [
      'deliveries of events that are not allowed',
      WEBHOOK_IGNORED_MAX_ROWS,
      { ...IGNORED, error_code: 'event_not_allowed' },
      { ignored: false },
    ],
    ['counted deliveries', WEBHOOK_IGNORED_MAX_ROWS, { ...IGNORED, read_key: 'own' }, {}],
  ])('%s leave no room from %i on', async (_name, count, columns, left) => {
    await append(count - 1, columns);
    const before = await room();
    expect({ ...before, denial: before.denial || count > CALLER_DENIALS_MAX_ROWS }).toEqual(ALL);
    await append(1, columns);
    expect(await room()).toEqual({ ...ALL, ...left });
  });

  it('with those that the statement adds before are counted together', async () => {
    await append(CALLER_DENIALS_MAX_ROWS - 1, DENIED);
    await append(CALLER_READS_MAX_ROWS - 1, READ);
    const one = sql.raw('1');
    expect([await holds(isDenialInFull(minute)), await holds(isDenialInFull(minute, one))]).toEqual([true, false]);
    expect([await holds(isReadInFull(minute)), await holds(isReadInFull(minute, one))]).toEqual([true, false]);
  });

  it.each<[string, () => Columns, boolean]>([
    ['from its very beginning', () => ({}), true],
    ['from its last millisecond', () => ({ occurred_at: beginMs + 59_999 }), true],
    ['of the minute before', () => ({ occurred_at: beginMs - 1 }), false],
    ['of the next minute', () => ({ occurred_at: beginMs + 60_000 }), false],
    ['of another subject', () => ({ actor_subject: 'bob' }), false],
    ['of another issuer', () => ({ actor_issuer: 'https://other.example' }), false],
    ['of no issuer', () => ({ actor_issuer: null }), false],
    [
      'of a revocation that the caller ordered',
      () => ({ action: 'service_account_token.revoke', detail: '{"delivery_id":"d"}' }),
      false,
    ],
    [
      'of a suspension that the caller ordered',
      () => ({ action: 'service_account_token.update', detail: '{"delivery_id":"d"}' }),
      false,
    ],
    ['of another action of a delivery', () => ({ detail: '{"delivery_id":"d"}' }), true],
    ['of a revoke', () => ({ action: 'service_account_token.revoke' }), true],
  ])('are those %s', async (_name, columns, isCounted) => {
    await append(CALLER_DENIALS_MAX_ROWS, { ...DENIED, ...columns() });
    expect((await room()).denial).toBe(!isCounted);
  });

  it('of a sender without an issuer are those without one', async () => {
    minute = { ...minute, issuer: null };
    await append(WEBHOOK_IGNORED_MAX_ROWS, { ...IGNORED, actor_issuer: null });
    expect((await room()).ignored).toBe(false);
  });

  it('are found behind all that is older, however many events that is', async () => {
    await append(CALLER_DENIALS_MAX_ROWS, DENIED);
    await append(2 * AUDIT_SPAN_SIZES[1], { actor_subject: 'others', occurred_at: beginMs });
    expect((await room()).denial).toBe(false);
    beginMs += 60_000;
    minute = { ...minute, beginMs };
    await append(2 * AUDIT_SPAN_SIZES[1], { actor_subject: 'others', occurred_at: beginMs - 1 });
    await append(CALLER_DENIALS_MAX_ROWS, DENIED);
    expect((await room()).denial).toBe(false);
  });

  it('are found before a few events of a clock that runs behind', async () => {
    const [few, many] = AUDIT_SPAN_SIZES;
    // No span of many events ends behind the caller's rows, and two of few do.
    await append(many - ((await newestSeq()) % many), { actor_subject: 'others' });
    await append(CALLER_DENIALS_MAX_ROWS, DENIED);
    await append(3 * few, { actor_subject: 'others', occurred_at: beginMs - 1 });
    expect((await room()).denial).toBe(false);
  });

  it('are looked for among the numbers of so many events, and no further back', async () => {
    await append(2 * AUDIT_SPAN_SIZES[1], { actor_subject: 'others', occurred_at: beginMs - 1 });
    await append(CALLER_DENIALS_MAX_ROWS, DENIED);
    const end = (await newestSeq()) + CALLER_ROWS_AMONG_EVENTS;
    await env.DB.batch([
      env.DB.prepare('insert into trail_gaps values (?, ?, 2)').bind((await newestSeq()) + 1, end - 1),
      env.DB.prepare(
        `insert into audit_events (seq, id, occurred_at, settled_at, action, status, actor_type, detail, outcome)
         values (?, ?, ?, 1, 'log.resume', 'success', 'system', '{}', '{}')`,
      ).bind(end, crypto.randomUUID(), beginMs),
    ]);
    expect((await room()).denial).toBe(true);
  });
});

describe('a denial', () => {
  const actor = { type: 'user', issuer: ISSUER, subject: 'alice', label: null } as const;
  const row = (action: NewAuditRow['action'], changed: Partial<NewAuditRow> = {}): NewAuditRow => ({
    ...finalRow('id', 1, context, eventSubject(action, actor), failureOutcome({ kind: 'subject_blocked' })),
    ...changed,
  });
  it.each([
    ['a refusal', row('audit.query'), true],
    ['a rejected login', row('auth.reject'), false],
    ['a failure of PipeOps', row('audit.query', { error_code: 'upstream_error' }), false],
    ['a success', row('audit.query', { status: 'success' }), false],
  ])('is %s: %#', (_name, event, is) => {
    expect(isDenial(event)).toBe(is);
  });
});

it('an event is counted, or its row inserted, only where its conditions hold', async () => {
  const actor = { type: 'user', issuer: ISSUER, subject: caller, label: null } as const;
  const row = {
    ...finalRow(crypto.randomUUID(), beginMs, context, eventSubject('audit.query', actor), successOutcome(null)),
    read_key: crypto.randomUUID(),
  };
  const [yes, no] = [sql`1 = 1`, sql`1 = 2`];
  const count = async (condition: SQL, further?: SQL) => {
    const sent = await database.batch(context, countRead(database, row, condition, further));
    if (!sent.ok) throw new Error('D1 does not take it');
    const { results } = await env.DB.prepare('select count from audit_events where read_key = ?')
      .bind(row.read_key)
      .all();
    return { given: sent.value.map((rows) => rows.length), results };
  };
  expect(await count(no)).toEqual({ given: [0, 0], results: [] });
  expect(await count(yes, no)).toEqual({ given: [0, 0], results: [] });
  expect(await count(yes, yes)).toEqual({ given: [0, 1], results: [{ count: 1 }] });
  expect(await count(no)).toEqual({ given: [0, 0], results: [{ count: 1 }] });
  // A row that is there needs no room.
  expect(await count(yes, no)).toEqual({ given: [1, 0], results: [{ count: 2 }] });
});

describe('a row that is settled late', () => {
  const announce = async (agoMs: number, tokenId: string | null, guard = sql`1 = 1`) => {
    const eventId = crypto.randomUUID();
    const row = {
      id: 'late',
      occurred_at: beginMs - agoMs,
      action: 'service_account_token.create',
      workspace_uuid: 'workspace-1',
      token_id: tokenId,
      token_name: 'deploy',
    } as const;
    const outcome = { ...failureOutcome({ kind: 'upstream_timeout' }), tokenId: 'token-of-outcome' };
    const queries = announceLate(database, context, { eventId, nowMs: beginMs }, row, outcome, guard);
    if (queries.length > 0) await database.batch(context, queries);
    const { results } = await env.DB.prepare('select * from audit_events where id = ?').bind(eventId).all();
    return { queries: queries.length, results };
  };
  it('is announced with what followers need to find it', async () => {
    const { results } = await announce(AUDIT_ANNOUNCE_AFTER_MS, 'token-1');
    expect(results).toMatchObject([
      {
        action: 'audit.settled',
        occurred_at: beginMs,
        actor_type: 'system',
        workspace_uuid: 'workspace-1',
        token_id: 'token-1',
        token_name: 'deploy',
        detail:
          '{"event_id":"late","action":"service_account_token.create","status":"failure","error_code":"upstream_timeout","policy":"v"}',
      },
    ]);
    expect((await announce(AUDIT_ANNOUNCE_AFTER_MS, null)).results).toMatchObject([{ token_id: 'token-of-outcome' }]);
  });

  it('is not announced where it is settled in time, or not at all', async () => {
    expect(await announce(AUDIT_ANNOUNCE_AFTER_MS - 1, null)).toEqual({ queries: 0, results: [] });
    expect(await announce(AUDIT_ANNOUNCE_AFTER_MS, null, sql`1 = 2`)).toEqual({ queries: 1, results: [] });
  });
});
