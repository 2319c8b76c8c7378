import { env } from 'cloudflare:workers';
import { sql, type SQL } from 'drizzle-orm';
import { beforeEach, describe, expect, it } from 'vitest';
import {
  CALLER_DENIALS_MAX_ROWS,
  CALLER_IDLE_MAX_ROWS,
  CALLER_READS_MAX_ROWS,
  SETTLE_ATTEMPT_TIMEOUT_MS,
  SETTLE_BACKOFF_MS,
  SETTLE_MAX_ATTEMPTS,
  SETTLE_TIMEOUT_MS,
} from '../../src/config/limits.ts';
import { createDatabase, type Database, type Query } from '../../src/db/database.ts';
import { type AuditEventRow, subjectLabels } from '../../src/db/schema.ts';
import { err, ok } from '../../src/kit/result.ts';
import { newTrace } from '../../src/kit/trace.ts';
import { createLabelMemory } from '../../src/subjects/labels.ts';
import {
  type Actor,
  type EventOutcome,
  eventSubject,
  failureOutcome,
  finalRow,
  rowDetail,
  successOutcome,
  SYSTEM_ACTOR,
} from '../../src/trail/event.ts';
import { createRecorder, repeatBatch } from '../../src/trail/recorder.ts';
import {
  insertEventWhere,
  insertListedEvents,
  isOpen,
  isOver,
  isRecorded,
  listedRow,
} from '../../src/trail/statements.ts';
import { each } from '../../src/db/sql.ts';
import { workerRuntime } from '../../src/worker-runtime.ts';
import { failingBatches } from '../support/failing-batches.ts';

// What the recorder writes, statement by statement, on a D1 of its own.

const NOW = Date.UTC(2026, 10, 24, 12, 0, 10);
const runtime = { ...workerRuntime, now: () => NOW, sleep: async () => await Promise.resolve() };
const database = createDatabase(env.DB, workerRuntime);
const DOWN: Database = { ...database, batch: async () => await Promise.resolve(err('rejected')) };

let labels = createLabelMemory();
let recorder = createRecorder({ database, runtime, labels });
let actor: Actor;
let context = contextWith();
beforeEach(() => {
  labels = createLabelMemory();
  recorder = createRecorder({ database, runtime, labels });
  const name = crypto.randomUUID();
  actor = { type: 'user', issuer: 'https://issuer.example', subject: name, label: `${name}@example.com` };
  context = contextWith();
});

function contextWith() {
  const trace = newTrace();
  return { requestId: 'r', ip: '192.0.2.1', userAgent: 'curl', policyVersion: 'v', traceparent: null, trace };
}

const rows = async (subject = actor.subject): Promise<AuditEventRow[]> =>
  (
    await env.DB.prepare('select * from audit_events where actor_subject = ? order by seq')
      .bind(subject)
      .all<AuditEventRow>()
  ).results;
const rowOf = async (id: string): Promise<AuditEventRow | null> =>
  await env.DB.prepare('select * from audit_events where id = ?').bind(id).first<AuditEventRow>();
const block = async ({ issuer, subject, label }: Partial<Actor>): Promise<void> => {
  await env.DB.prepare(
    'insert into subject_blocks (issuer, subject, label, delivery_id, created_at) values (?, ?, ?, ?, 1)',
  )
    .bind(issuer ?? null, subject ?? null, label ?? null, 'd')
    .run();
};
const labelsOf = async (): Promise<unknown[]> =>
  (await env.DB.prepare('select last_seen_at from subject_labels where subject = ?').bind(actor.subject).all()).results;
const holds = async (condition: SQL): Promise<boolean> => {
  const read = await database.batch(context, [
    database.build.select({ holds: sql<number>`${condition}`.as('holds') }).from(sql`(select 1)`),
  ]);
  if (!read.ok) throw new Error('D1 does not take it');
  return read.value[0][0]?.holds === 1;
};

const create = () =>
  eventSubject('service_account_token.create', actor, { workspaceUuid: 'workspace-1', detail: { name: 'deploy' } });
const attempt = async (subject = create()) => {
  const begun = await recorder.attempt(context, subject, () => []);
  if (!begun.ok || begun.value.attempt === null) throw new Error('not recorded');
  return begun.value.attempt;
};
/** A query that writes where a condition holds: a label of somebody of this name. */
const noteWhere = (name: string, condition: SQL): Query =>
  database.build.insert(subjectLabels).select(sql`select 'i', ${name}, 'x', 1, 1 where ${condition}`);
const isNoted = async (name: string): Promise<boolean> =>
  (await env.DB.prepare('select 1 from subject_labels where subject = ?').bind(name).first()) !== null;

describe('an attempt', () => {
  it('is recorded with what it asks for, and its caller’s label with it', async () => {
    const { eventId } = await attempt();
    expect(context.trace.eventId).toBe(eventId);
    expect(await rows()).toMatchObject([
      {
        id: eventId,
        status: 'attempted',
        occurred_at: NOW,
        settled_at: null,
        workspace_uuid: 'workspace-1',
        token_name: null,
        detail: '{"name":"deploy","policy":"v"}',
        ip: '192.0.2.1',
      },
    ]);
    expect(await labelsOf()).toEqual([{ last_seen_at: NOW }]);
    expect(labels.due([actor], NOW)).toEqual([]);
  });

  it('that D1 does not take leaves the label to be noted later', async () => {
    await attempt();
    recorder = createRecorder({ database: DOWN, runtime, labels });
    const begun = await recorder.attempt(context, create(), () => []);
    expect(begun).toEqual(err({ kind: 'audit_unavailable' }));
    expect(labels.due([actor], NOW)).toHaveLength(1);
  });

  it('has a label only if its caller has', async () => {
    actor = { ...actor, label: null };
    await attempt();
    expect(await labelsOf()).toEqual([]);
  });

  it.each([
    ['nobody', () => ({}), false],
    ['its actor', () => ({ issuer: actor.issuer, subject: actor.subject }), true],
    ['its label', () => ({ label: actor.label }), true],
  ])('says whether its actor is blocked: %s', async (_name, blocked, isBlocked) => {
    await block({ subject: 'somebody', ...blocked() });
    const begun = await recorder.attempt(context, create(), () => []);
    expect(begun.ok && begun.value.bar?.kind).toBe(isBlocked ? 'subject_blocked' : undefined);
  });

  it('reads beside its row, and writes only with it', async () => {
    const begun = await recorder.attempt(context, create(), (guard) => [
      database.build.select({ answer: sql<number>`7`.as('answer') }).from(sql`(select 1)`),
      noteWhere(`guarded ${actor.subject}`, guard),
    ]);
    expect(begun.ok && begun.value.rows[0]).toEqual([{ answer: 7 }]);
    expect(await isNoted(`guarded ${actor.subject}`)).toBe(true);
  });

  it('that has no room is no attempt, and what goes with it is not written', async () => {
    for (let count = 0; count < CALLER_DENIALS_MAX_ROWS; count += 1) await attempt();
    context = contextWith();
    const begun = await recorder.attempt(context, create(), (guard) => [noteWhere(`crowded ${actor.subject}`, guard)]);
    expect(begun.ok && begun.value.attempt).toBeNull();
    expect(context.trace.eventId).toBeNull();
    expect(await isNoted(`crowded ${actor.subject}`)).toBe(false);
    const allowed = await recorder.attempt(context, create(), () => [], { room: 'allowed' });
    expect(allowed.ok && allowed.value.attempt).not.toBeNull();
  });

  it.each([
    ['its actor’s own in its workspace', {}, 'mine'],
    ['of another workspace', { workspace: 'workspace-2' }, null],
    ['of another issuer', { issuer: 'https://other.example' }, null],
    ['of another subject', { subject: 'bob' }, null],
    ['another one', { tokenId: 'token-2' }, null],
  ])('names a token that is %s: %o', async (_name, token, name) => {
    const workspaceUuid = `workspace-${actor.subject}`;
    const row = {
      workspace: workspaceUuid,
      issuer: actor.issuer,
      subject: actor.subject,
      tokenId: 'token-1',
      ...token,
    };
    await env.DB.prepare(
      `insert into tokens (workspace_uuid, token_id, created_at, name, owner_issuer, owner_subject) values (?, ?, 1, 'mine', ?, ?)`,
    )
      .bind(row.workspace, row.tokenId, row.issuer, row.subject)
      .run();
    const nameOf = { workspaceUuid, tokenId: 'token-1' };
    const subject = eventSubject('service_account_token.revoke', actor, { workspaceUuid, tokenId: 'token-1', nameOf });
    const { eventId } = await attempt(subject);
    expect(await rowOf(eventId)).toMatchObject({ status: 'attempted', token_id: 'token-1', token_name: name });
    await env.DB.prepare('delete from tokens where token_id = ?').bind(row.tokenId).run();
  });
});

const FAILED: EventOutcome = failureOutcome({ kind: 'upstream_error', status: 503 });
const DONE: EventOutcome = { ...successOutcome(201, { role: 'admin' }), tokenId: 'token-1' };
const SETTLED = {
  status: 'success',
  settled_at: NOW,
  token_id: 'token-1',
  upstream_status: 201,
  error_code: null,
  outcome: '{"role":"admin"}',
};

describe('a settlement', () => {
  it.each<[string, () => Parameters<typeof recorder.settle>[4]]>([
    ['whatever else holds', () => undefined],
    ['unless its actor is blocked', () => ({ blocked: actor })],
    ['unless something holds', () => ({ holds: sql`1 = 2` })],
  ])('writes the outcome of its own attempt alone, %s', async (_name, unless) => {
    await block({ label: 'somebody', issuer: 'https://issuer.example', subject: 'somebody' });
    const [own, other] = [await attempt(), await attempt()];
    const following = (guard: SQL) => [noteWhere(`own ${actor.subject}`, guard)];
    expect(await recorder.settle(context, own, DONE, following, unless())).toEqual({ kind: 'own' });
    expect(await rowOf(own.eventId)).toMatchObject(SETTLED);
    expect(await rowOf(other.eventId)).toMatchObject({ status: 'attempted', settled_at: null });
    expect(await isNoted(`own ${actor.subject}`)).toBe(true);
    // A repeat changes nothing.
    expect(await recorder.settle(context, own, DONE, () => [], unless())).toEqual({ kind: 'own' });
  });

  it.each<[string, () => Parameters<typeof recorder.settle>[4]]>([
    ['is blocked', () => ({ blocked: actor })],
    ['stands against it', () => ({ holds: sql`1 = 1` })],
  ])('leaves a row open whose actor or whatever else %s', async (_name, unless) => {
    const [own, settled] = [await attempt(), await attempt()];
    // What is settled so elsewhere is no reason for what follows.
    await recorder.settle(context, settled, DONE);
    await block(actor);
    const following = (guard: SQL) => [noteWhere(`barred ${actor.subject}`, guard)];
    expect(await recorder.settle(context, own, DONE, following, unless())).toEqual({ kind: 'blocked' });
    expect(await rowOf(own.eventId)).toMatchObject({ status: 'attempted' });
    expect(await isNoted(`barred ${actor.subject}`)).toBe(false);
  });

  it.each<[string, EventOutcome, number]>([
    ['another time', FAILED, NOW - 1],
    ['another code', { ...FAILED, errorCode: 'upstream_timeout' }, NOW],
    ['another outcome', { ...FAILED, detail: { reason: 'other' } }, NOW],
    ['another status', { ...FAILED, status: 'success' }, NOW],
  ])('that came second finds the first, with %s, and nothing follows', async (_name, first, atMs) => {
    const own = await attempt();
    await createRecorder({ database, runtime: { ...runtime, now: () => atMs }, labels }).settle(context, own, first);
    const following = (guard: SQL) => [noteWhere(`second ${actor.subject}`, guard)];
    const row = await rowOf(own.eventId);
    expect(await recorder.settle(context, own, FAILED, following)).toEqual({ kind: 'other', row });
    expect(row).toMatchObject({ status: first.status, settled_at: atMs });
    expect(await isNoted(`second ${actor.subject}`)).toBe(false);
  });

  it('whose fate D1 does not tell is unknown', async () => {
    const own = await attempt();
    recorder = createRecorder({ database: DOWN, runtime, labels });
    expect(await recorder.settle(context, own, DONE)).toEqual({ kind: 'unknown' });
    expect(await recorder.readBack(context, own)).toEqual({ kind: 'unknown' });
  });

  it('is read back as it is, and what is not there is unknown', async () => {
    const own = await attempt();
    expect(await recorder.readBack(context, own)).toEqual({ kind: 'other', row: await rowOf(own.eventId) });
    expect(await recorder.readBack(context, { eventId: 'nobody', tokenId: null })).toEqual({ kind: 'unknown' });
  });
});

describe('a batch that is repeated until D1 answers', () => {
  async function repeated(answers: readonly boolean[], abortedBy: (batch: number) => number | null = () => null) {
    const deadlines = new Map<number, AbortController>();
    const sleeps: number[] = [];
    const aborted: boolean[] = [];
    let batches = 0;
    const batch = async (_context: unknown, _queries: unknown, signal?: AbortSignal) => {
      const abort = abortedBy(batches);
      if (abort !== null) deadlines.get(abort)?.abort();
      aborted.push(signal?.aborted === true);
      batches += 1;
      return await Promise.resolve(answers[batches - 1] === true ? ok([['row']]) : err('rejected'));
    };
    const result = await repeatBatch(
      {
        // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- only `batch` is called
        database: { ...database, batch } as unknown as Database,
        runtime: {
          timeout: (ms) => {
            const controller = new AbortController();
            deadlines.set(ms, controller);
            return controller.signal;
          },
          cancel: () => {},
          sleep: async (ms) => await Promise.resolve(void sleeps.push(ms)),
        },
      },
      context,
      [],
    );
    return { result, batches, sleeps, aborted };
  }

  it.each([
    [[true], 1],
    [[false, true], 2],
    [[], SETTLE_MAX_ATTEMPTS],
  ])('pauses before each repeat: %j', async (answers, count) => {
    const { result, batches, sleeps } = await repeated(answers);
    expect(result).toEqual(answers.length === 0 ? err('unknown') : ok([['row']]));
    expect(batches).toBe(count);
    expect(sleeps).toEqual(Array.from({ length: count - 1 }, () => SETTLE_BACKOFF_MS));
  });

  it('is not repeated once the time for all is over', async () => {
    const { result, batches, aborted } = await repeated([], (batch) => (batch === 0 ? SETTLE_TIMEOUT_MS : null));
    expect([result, batches, aborted]).toEqual([err('unknown'), 1, [true]]);
  });

  it('has a deadline for each try', async () => {
    const abortedBy = (batch: number) => (batch === 0 ? SETTLE_ATTEMPT_TIMEOUT_MS : null);
    const { result, aborted } = await repeated([false, true], abortedBy);
    expect([result.ok, aborted]).toEqual([true, [true, false]]);
  });
});

const READ = () => eventSubject('service_account_token.list', actor, { workspaceUuid: 'workspace-1' });
const ANSWER = [database.build.select({ answer: sql<number>`7`.as('answer') }).from(sql`(select 1)`)] as const;

describe('a row that is final from the start', () => {
  it('comes with what was read, with what follows it and with its caller’s label', async () => {
    const following = (guard: SQL) => [noteWhere(`final ${actor.subject}`, guard)];
    const recorded = await recorder.record(context, READ(), DONE, ANSWER, { eventId: `e-${actor.subject}`, following });
    expect(recorded).toEqual(ok({ eventId: `e-${actor.subject}`, rows: [[{ answer: 7 }]] }));
    expect(context.trace.eventId).toBe(`e-${actor.subject}`);
    expect(await rows()).toMatchObject([{ id: `e-${actor.subject}`, ...SETTLED }]);
    expect(await isNoted(`final ${actor.subject}`)).toBe(true);
    expect([await labelsOf(), labels.due([actor], NOW)]).toEqual([[{ last_seen_at: NOW }], []]);
  });

  it('is no success of somebody who is blocked, whose refusal is recorded instead', async () => {
    await block({ label: actor.label });
    const following = (guard: SQL) => [noteWhere(`blocked ${actor.subject}`, guard)];
    const recorded = await recorder.record(context, READ(), successOutcome(null), [], { following });
    expect(recorded).toEqual({ ok: false, error: { kind: 'subject_blocked' } });
    expect(await rows()).toMatchObject([{ status: 'failure', error_code: 'subject_blocked', count: 1 }]);
    expect(await isNoted(`blocked ${actor.subject}`)).toBe(false);
  });

  it('is a failure as it is, whoever is blocked', async () => {
    await block(actor);
    expect(await recorder.refuse(context, READ(), { kind: 'upstream_timeout' })).toEqual(
      err({ kind: 'upstream_timeout' }),
    );
    expect(await rows()).toMatchObject([{ error_code: 'upstream_timeout' }]);
  });

  it('is not had where D1 is down, and its label is to be noted later', async () => {
    await recorder.record(context, READ(), DONE, []);
    recorder = createRecorder({ database: DOWN, runtime, labels: createLabelMemory() });
    const down = err({ kind: 'audit_unavailable' });
    expect(await recorder.record(context, READ(), DONE, [])).toEqual(down);
    expect(await recorder.refuse(context, READ(), { kind: 'upstream_timeout' })).toEqual(down);
    expect(await recorder.recordRead(context, READ(), [])).toEqual(down);
  });

  it('of a rejected login says nothing of a label', async () => {
    await recorder.refuse(context, eventSubject('auth.reject', actor), { kind: 'no_role' });
    expect([(await rows()).length, await labelsOf()]).toEqual([1, []]);
  });

  it('of a denial is counted beyond those of a minute, and named by the row that counts', async () => {
    const denial = { kind: 'forbidden', reason: 'scopes' } as never;
    for (let count = 0; count < CALLER_DENIALS_MAX_ROWS; count += 1) await recorder.refuse(context, READ(), denial);
    const ids = [];
    for (let count = 0; count < 2; count += 1) {
      const recorded = await recorder.record(context, READ(), failureOutcome(denial), ANSWER);
      ids.push(recorded.ok ? recorded.value.eventId : null);
      expect(recorded.ok && recorded.value.rows).toEqual([[{ answer: 7 }]]);
    }
    const last = (await rows()).at(-1);
    expect(last).toMatchObject({ count: 2, workspace_uuid: null });
    expect([ids, context.trace.eventId]).toEqual([[last?.id, last?.id], last?.id]);
    expect(await rows()).toHaveLength(CALLER_DENIALS_MAX_ROWS + 1);
    // What is allowed still has a row of its own.
    const allowed = await recorder.record(context, READ(), successOutcome(null), []);
    expect(allowed.ok).toBe(true);
    expect(await rows()).toHaveLength(CALLER_DENIALS_MAX_ROWS + 2);
  });

  it('has no label where its actor has none', async () => {
    const id = crypto.randomUUID();
    const subject = eventSubject('audit.export', SYSTEM_ACTOR);
    const recorded = await recorder.record(context, subject, DONE, [], { eventId: id });
    expect(recorded).toMatchObject({ ok: true, value: { eventId: id } });
  });
});

describe('a refusal of somebody who is blocked', () => {
  const offboard = async (): Promise<string> => {
    const id = crypto.randomUUID();
    await env.DB.batch([
      env.DB.prepare(
        `insert into webhook_deliveries (id, source, event, dedupe_key, event_id, received_at, mode, orders_left)
         values (?1, 'hr', 'subject.offboarded', ?1, ?1, ?2, 'revoke', 0)`,
      ).bind(id, NOW - 5),
      env.DB.prepare('insert into subject_blocks (label, delivery_id, created_at) values (?, ?, 1)').bind(
        actor.label,
        id,
      ),
    ]);
    actor = { ...actor, issuedAtMs: NOW - 10 };
    return id;
  };
  const ownersOf = async (delivery: string): Promise<unknown[]> =>
    (await env.DB.prepare('select subject from webhook_owners where delivery_id = ?').bind(delivery).all()).results;

  it('says whose label it is that was offboarded', async () => {
    const delivery = await offboard();
    await recorder.refuse(context, READ(), { kind: 'subject_blocked' });
    expect(await ownersOf(delivery)).toEqual([{ subject: actor.subject }]);
  });

  it('says so only where it is refused for that', async () => {
    const delivery = await offboard();
    await recorder.refuse(context, READ(), { kind: 'upstream_timeout' });
    expect(await ownersOf(delivery)).toEqual([]);
  });
});

describe('a caller that has used up its rows of a minute', () => {
  /** As if it had made so many requests that cost PipeOps nothing. */
  const crowd = async (count: number, key: string | null = null): Promise<void> => {
    await env.DB.prepare(
      `insert into audit_events (id, read_key, occurred_at, settled_at, action, status, actor_type, actor_issuer, actor_subject, detail, outcome)
       select ?1 || value, ?2 || value, ?3, ?3, 'audit.export', 'success', 'user', ?4, ?5, '{}', '{}' from json_each(?6)`,
    )
      .bind(
        crypto.randomUUID(),
        key,
        NOW,
        actor.issuer,
        actor.subject,
        JSON.stringify(Array.from({ length: count }, (_, index) => index)),
      )
      .run();
  };

  it('hears so, and nothing is recorded', async () => {
    await crowd(CALLER_IDLE_MAX_ROWS - 1);
    expect((await recorder.record(context, READ(), successOutcome(null), [])).ok).toBe(true);
    const refused = await recorder.record(context, READ(), successOutcome(null), []);
    expect(refused).toMatchObject(err({ kind: 'rate_limited', retryAfterSeconds: 50 }));
    expect(await rows()).toHaveLength(CALLER_IDLE_MAX_ROWS);
  });

  it('hears nothing where D1 does not say why nothing was recorded', async () => {
    await crowd(CALLER_IDLE_MAX_ROWS);
    const { db } = failingBatches((batch) => batch > 1);
    recorder = createRecorder({
      database: createDatabase(db, { ...workerRuntime, log: () => {} }),
      runtime,
      labels,
    });
    expect(await recorder.record(context, READ(), DONE, [])).toEqual(err({ kind: 'audit_unavailable' }));
  });

  it('is still told why its login is rejected', async () => {
    await crowd(CALLER_IDLE_MAX_ROWS);
    const rejected = await recorder.record(context, eventSubject('auth.reject', actor), FAILED, []);
    expect(rejected.ok).toBe(true);
  });

  it('has its reads counted in one row, with what was read beside each', async () => {
    await crowd(CALLER_READS_MAX_ROWS, `read of ${actor.subject}`);
    const read = await recorder.recordRead(context, READ(), ANSWER);
    expect(read).toMatchObject(ok({ rows: [[{ answer: 7 }]] }));
    expect((await recorder.recordRead(context, READ(), ANSWER)).ok).toBe(true);
    expect((await rows()).at(-1)).toMatchObject({ count: 2, detail: '{"further":true,"policy":"v"}' });
  });

  it('reads nothing where D1 fails before the read is counted', async () => {
    await crowd(CALLER_READS_MAX_ROWS, `read of ${actor.subject}`);
    const { db } = failingBatches((batch) => batch > 1);
    recorder = createRecorder({
      database: createDatabase(db, { ...workerRuntime, log: () => {} }),
      runtime,
      labels,
    });
    expect(await recorder.recordRead(context, READ(), ANSWER)).toEqual(err({ kind: 'audit_unavailable' }));
  });
});

it('a label that is known costs no statement', async () => {
  await recorder.record(context, READ(), DONE, []);
  const first = context.trace.d1Queries;
  await recorder.record(context, READ(), DONE, []);
  expect(context.trace.d1Queries).toBe(2 * first - 1);
});

describe('a read', () => {
  it('is counted in the row of those before it, with what was read beside each', async () => {
    const read = async () => {
      const recorded = await recorder.recordRead(context, READ(), ANSWER);
      if (!recorded.ok) throw new Error('not recorded');
      return recorded.value;
    };
    const first = await read();
    expect(context.trace.eventId).toBe(first.eventId);
    context = contextWith();
    expect(await read()).toEqual({ eventId: first.eventId, rows: [[{ answer: 7 }]] });
    expect(first.rows).toEqual([[{ answer: 7 }]]);
    expect(context.trace.eventId).toBe(first.eventId);
    expect(await rows()).toMatchObject([{ id: first.eventId, count: 2, status: 'success' }]);
    expect([await labelsOf(), labels.due([actor], NOW)]).toEqual([[{ last_seen_at: NOW }], []]);
  });

  it('of somebody who is blocked is refused, and the refusal recorded', async () => {
    await block({ issuer: actor.issuer, subject: actor.subject });
    expect(await recorder.recordRead(context, READ(), ANSWER)).toEqual({
      ok: false,
      error: { kind: 'subject_blocked' },
    });
    expect(await rows()).toMatchObject([{ status: 'failure', error_code: 'subject_blocked' }]);
    // It is counted nowhere and then refused: D1 is not asked why.
    expect(context.trace.d1Trips).toBe(3);
  });

  it('that D1 does not take leaves the label to be noted later', async () => {
    await recorder.recordRead(context, READ(), []);
    const down = createRecorder({ database: DOWN, runtime, labels });
    const other = { ...actor, label: 'other' };
    await down.recordRead(context, eventSubject('service_account_token.list', other), []);
    expect(labels.due([actor], NOW)).toHaveLength(1);
  });
});

describe('a row that is inserted where a condition holds', () => {
  const rowWith = (id: string) =>
    finalRow(id, NOW, context, eventSubject('audit.settled', actor, { detail: { of: 'one' } }), successOutcome(null));
  const send = async (...queries: Query[]) => {
    const sent = await database.batch(context, queries);
    if (!sent.ok) throw new Error('D1 does not take it');
  };

  it('is inserted once, however often its batch is sent', async () => {
    const [id, other] = [crypto.randomUUID(), crypto.randomUUID()];
    await send(insertEventWhere(database, rowWith(id), sql`1 = 1`));
    await send(insertEventWhere(database, rowWith(id), sql`1 = 1`));
    await send(insertEventWhere(database, rowWith(other), sql`1 = 2`));
    expect(await rows()).toMatchObject([{ id, detail: '{"of":"one","policy":"v"}', action: 'audit.settled' }]);
  });

  it('is one of a list, of which each item that is selected gives its own columns, and what they leave out is in common', async () => {
    const row = rowWith('');
    const items = [1, 2, 3].map((is) => {
      const id = crypto.randomUUID();
      const own = { id, token_id: `t-${id}`, detail: rowDetail({ is }, 'v') };
      return { is, event: listedRow(database, row, own) };
    });
    await send(insertListedEvents(database, row, items, 'event', sql`from ${each(items)} where e.value ->> 'is' <> 2`));
    expect(await rows()).toMatchObject(
      [1, 3].map((is) => {
        const { id } = items[is - 1]?.event ?? {};
        return { id, token_id: `t-${id}`, detail: `{"is":${is},"policy":"v"}`, action: 'audit.settled' };
      }),
    );
  });
});

it('a list of no items inserts no row', async () => {
  const row = finalRow('', NOW, context, READ(), successOutcome(null));
  const nothing: readonly { readonly event: ReturnType<typeof listedRow> }[] = [];
  const sent = await database.batch(context, [
    insertListedEvents(database, row, nothing, 'event', sql`from ${each(nothing)}`),
  ]);
  expect([sent.ok, await rows()]).toEqual([true, []]);
});

it('a batch may ask whether an event is recorded, is open or is over', async () => {
  const [open, over] = [await attempt(), await attempt()];
  await recorder.settle(context, over, DONE);
  const asked = async (id: string) => [await holds(isRecorded(id)), await holds(isOpen(id)), await holds(isOver(id))];
  expect(await asked(open.eventId)).toEqual([true, true, false]);
  expect(await asked(over.eventId)).toEqual([true, false, true]);
  expect(await asked(crypto.randomUUID())).toEqual([false, false, false]);
});
