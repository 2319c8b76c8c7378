import { env } from 'cloudflare:workers';
import { beforeEach, describe, expect, it } from 'vitest';
import {
  SESSION_IDLE_MS,
  SESSION_KEPT_MS,
  SESSION_SLOT_MS,
  SESSIONS_SWEPT_MAX_ROWS,
} from '../../src/config/session-limits.ts';
import { createDatabase, type Database } from '../../src/db/database.ts';
import type { AuditEventRow } from '../../src/db/schema.ts';
import type { SessionRow } from '../../src/db/session-schema.ts';
import { err } from '../../src/kit/result.ts';
import { newTrace } from '../../src/kit/trace.ts';
import { sweepSessions } from '../../src/sessions/sweep.ts';
import { workerRuntime } from '../../src/worker-runtime.ts';
import { mac, rowMacs } from '../support/state-secret.ts';

// What the job of the cron makes of sessions that nobody has ended by a request.

const NOW = 1_900_000_000_000;
const IDLE_SINCE = NOW - SESSION_IDLE_MS - SESSION_SLOT_MS;
const database = createDatabase(env.DB, workerRuntime, mac);
const runtime = { ...workerRuntime, now: () => NOW };
const context = { requestId: 'r', ip: null, userAgent: null, policyVersion: 'v', traceparent: null, trace: newTrace() };

beforeEach(async () => {
  await env.DB.exec('delete from sessions');
});

async function store(id: string, values: Partial<SessionRow> = {}): Promise<void> {
  const row = {
    id,
    actor_type: 'user',
    issuer: 'https://issuer.example',
    subject: `${id}-1`,
    label: `${id}@example.test`,
    started_at: NOW - 1000,
    ends_at: NOW + 1,
    mac: 'm',
    seen_at: IDLE_SINCE + 1,
    ended_at: null,
    end_reason: null,
    recorded_at: null,
    ...values,
  };
  const names = Object.keys(row);
  await env.DB.prepare(`insert into sessions (${names.join(', ')}) values (${names.map(() => '?').join(', ')})`)
    .bind(...Object.values(row))
    .run();
}
const sessionOf = async (id: string): Promise<SessionRow | null> =>
  await env.DB.prepare('select * from sessions where id = ?').bind(id).first();
const eventsOf = async (): Promise<AuditEventRow[]> =>
  (await env.DB.prepare('select * from audit_events order by seq').all<AuditEventRow>()).results;

/** Sweeps, and gives what was recorded. `before` is done before a batch, by its number from 1; `refused` is one that D1 does not take. */
async function sweep({
  before = async () => {},
  refused = 0,
}: { before?: (batch: number) => Promise<void>; refused?: number } = {}) {
  let batches = 0;
  const batch: Database['batch'] = async (...sent) => {
    await before((batches += 1));
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- D1 does not take it
    return batches === refused ? (err('rejected') as never) : await database.batch(...sent);
  };
  const known = (await eventsOf()).length;
  const count = await sweepSessions({ database: { ...database, batch }, runtime }, context);
  return { count, events: (await eventsOf()).slice(known) };
}

describe('a session', () => {
  it.each<[string, Partial<SessionRow>, string]>([
    ['whose time is over', { ends_at: NOW }, 'expired'],
    ['that nobody has used for half an hour', { seen_at: IDLE_SINCE }, 'idle'],
    ['that was ended, and nobody has recorded it', { ended_at: NOW - 5, end_reason: 'offboarded' }, 'offboarded'],
  ])('%s has its end recorded once, in the name of its user', async (_case, values, reason) => {
    await store('over', values);
    const { count, events } = await sweep();
    expect(count).toBe(1);
    expect(events).toMatchObject([
      {
        action: 'session.end',
        status: 'success',
        actor_type: 'user',
        actor_issuer: 'https://issuer.example',
        actor_subject: 'over-1',
        actor_label: 'over@example.test',
        detail: JSON.stringify({ reason, policy: 'v' }),
        ip: null,
      },
    ]);
    expect(events.filter((row) => !rowMacs.isUntouched(row, undefined))).toEqual([]);
    const ended = { mac: null, end_reason: reason, ended_at: values.ended_at ?? NOW, recorded_at: NOW };
    expect(await sessionOf('over')).toMatchObject(ended);
    expect(await sweep()).toEqual({ count: 0, events: [] });
  });

  it('that is alive, and one whose end is recorded, stay as they are', async () => {
    await store('alive');
    await store('recorded', { ends_at: 1, ended_at: 1, end_reason: 'expired', recorded_at: NOW - 1, mac: null });
    const before = [await sessionOf('alive'), await sessionOf('recorded')];
    expect(await sweep()).toEqual({ count: 0, events: [] });
    expect([await sessionOf('alive'), await sessionOf('recorded')]).toEqual(before);
  });

  it('that somebody uses after it was read goes on, and one that falls due meanwhile waits for the next run', async () => {
    await store('used', { seen_at: IDLE_SINCE });
    await store('idle', { seen_at: IDLE_SINCE });
    const { count, events } = await sweep({
      before: async (batch) => {
        if (batch !== 2) return;
        await env.DB.prepare(`update sessions set seen_at = ? where id = 'used'`).bind(NOW).run();
        await store('later', { seen_at: IDLE_SINCE });
      },
    });
    expect([count, events.map(({ actor_subject }) => actor_subject)]).toEqual([1, ['idle-1']]);
    expect(await sessionOf('used')).toMatchObject({ mac: 'm', ended_at: null, recorded_at: null });
    expect(await sessionOf('later')).toMatchObject({ mac: 'm', ended_at: null, recorded_at: null });
  });

  it('is recorded by one of two runs at once', async () => {
    await store('over', { ends_at: NOW });
    const { count, events } = await sweep({
      before: async (batch) => {
        if (batch === 2) await sweepSessions({ database, runtime }, context);
      },
    });
    expect([count, events.length]).toEqual([0, 1]);
  });

  it.each([1, 2])('waits for the next run where D1 does not take batch %i', async (refused) => {
    await store('over', { ends_at: NOW });
    expect(await sweep({ refused })).toEqual({ count: 0, events: [] });
    expect((await sweep()).count).toBe(1);
  });

  it('is forgotten an hour after its end was recorded, and not before', async () => {
    const over = { ended_at: 1, end_reason: 'idle', mac: null } as const;
    await store('old', { ...over, recorded_at: NOW - SESSION_KEPT_MS });
    await store('young', { ...over, recorded_at: NOW - SESSION_KEPT_MS + 1 });
    await sweep();
    expect([await sessionOf('old'), (await sessionOf('young'))?.id]).toEqual([null, 'young']);
  });

  it('waits for its turn where there are more of them than one run records', async () => {
    const ids = Array.from({ length: SESSIONS_SWEPT_MAX_ROWS + 1 }, (_item, index) => `s${index}`);
    await env.DB.prepare(
      `insert into sessions (id, actor_type, issuer, subject, started_at, ends_at, seen_at)
       select value, 'user', 'i', value, 1, 2, 1 from json_each(?)`,
    )
      .bind(JSON.stringify(ids))
      .run();
    expect((await sweep()).count).toBe(SESSIONS_SWEPT_MAX_ROWS);
    expect((await sweep()).count).toBe(1);
  });
});
