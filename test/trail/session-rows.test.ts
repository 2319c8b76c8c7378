import { env } from 'cloudflare:workers';
import { beforeEach, describe, expect, it } from 'vitest';
import { CALLER_DENIALS_MAX_ROWS } from '../../src/config/limits.ts';
import { createDatabase } from '../../src/db/database.ts';
import type { AuditEventRow } from '../../src/db/schema.ts';
import type { Failure } from '../../src/failures.ts';
import { err } from '../../src/kit/result.ts';
import { createLabelMemory } from '../../src/subjects/labels.ts';
import { type Actor, actorOf, eventSubject, successOutcome } from '../../src/trail/event.ts';
import { createRecorder } from '../../src/trail/recorder.ts';
import { workerRuntime } from '../../src/worker-runtime.ts';
import { requestContext } from '../support/request-context.ts';

// Whoever sends the cookie of a session that is over may have stolen it, so nothing but that is recorded in the name of the person.

const NOW = Date.UTC(2026, 10, 25, 12, 0, 10);
const ISSUER = 'https://issuer.example';
const database = createDatabase(env.DB, workerRuntime);
const recorder = createRecorder({
  database,
  runtime: { ...workerRuntime, now: () => NOW },
  labels: createLabelMemory(),
});
const context = requestContext();

let actor: Actor;
beforeEach(async () => {
  const subject = crypto.randomUUID();
  const session = {
    id: subject,
    actor_type: 'user',
    issuer: ISSUER,
    subject,
    label: null,
    started_at: 1,
    ends_at: NOW + 1,
    macs: ['mac'],
  } as const;
  actor = actorOf({ actorType: 'user', issuer: ISSUER, subject, label: null, claims: {}, session });
  await env.DB.prepare(
    `insert into sessions (id, actor_type, issuer, subject, label, started_at, ends_at, mac, seen_at)
     values (?1, 'user', ?2, ?1, null, 1, ?3, 'mac', 1)`,
  )
    .bind(subject, ISSUER, NOW + 1)
    .run();
});
const end = async (): Promise<void> => {
  await env.DB.prepare('update sessions set mac = null where id = ?').bind(actor.subject).run();
};
const rows = async () =>
  (
    await env.DB.prepare('select error_code, count from audit_events where actor_subject = ? order by seq')
      .bind(actor.subject)
      .all<Pick<AuditEventRow, 'error_code' | 'count'>>()
  ).results.map(({ error_code: code, count }) => [code, count]);

const LIST = () => eventSubject('service_account_token.list', actor, { workspaceUuid: 'workspace-1' });
const DENIAL = { kind: 'audit_event_not_found' } as const;
const TIMEOUT = { kind: 'upstream_timeout' } as const;
const ENDED = { kind: 'session_ended' } as const;
const BLOCKED = { kind: 'subject_blocked' } as const;
const refuse = async (failure: Failure) => await recorder.refuse(context, LIST(), failure);
/** As many denials as a minute records in full. */
const crowd = async (): Promise<void> => {
  for (let count = 0; count < CALLER_DENIALS_MAX_ROWS; count += 1) await refuse(DENIAL);
};

describe('a session that lives', () => {
  it('has a row of its own for each denial of a minute, and one that counts those beyond', async () => {
    await crowd();
    expect(await rows()).toEqual(Array.from({ length: CALLER_DENIALS_MAX_ROWS }, () => ['not_found', 1]));
    for (let count = 0; count < 2; count += 1) expect(await refuse(DENIAL)).toEqual(err(DENIAL));
    expect((await rows()).slice(CALLER_DENIALS_MAX_ROWS)).toEqual([['not_found', 2]]);
  });

  it('has each denial counted once, where attempts that left no room for it are over', async () => {
    const begun = [];
    for (let count = 0; count < CALLER_DENIALS_MAX_ROWS; count += 1)
      begun.push(await recorder.attempt(context, LIST(), () => []));
    await refuse(DENIAL);
    for (const each of begun)
      if (each.ok && each.value.attempt !== null)
        await recorder.settle(context, each.value.attempt, successOutcome(200));
    await refuse(DENIAL);
    expect((await rows()).slice(CALLER_DENIALS_MAX_ROWS)).toEqual([
      ['not_found', 1],
      ['not_found', 1],
    ]);
  });

  it('is told of any other failure as it is', async () => {
    expect(await refuse(TIMEOUT)).toEqual(err(TIMEOUT));
    expect(await rows()).toEqual([['upstream_timeout', 1]]);
  });
});

describe('a session that is over has nothing recorded but that', () => {
  it.each([ENDED, BLOCKED])('and is told so: $kind', async (failure) => {
    await end();
    expect(await refuse(failure)).toEqual(err(failure));
    expect(await rows()).toEqual([[failure.kind, 1]]);
  });

  it.each<[string, () => Promise<unknown>]>([
    ['a denial', async () => await refuse(DENIAL)],
    ['another failure', async () => await refuse(TIMEOUT)],
    ['a success', async () => await recorder.record(context, LIST(), successOutcome(null), [])],
    ['a read', async () => await recorder.recordRead(context, LIST(), [])],
  ])('instead of %s', async (_name, ask) => {
    await end();
    expect(await ask()).toEqual(err(ENDED));
    expect(await rows()).toEqual([['session_ended', 1]]);
  });

  it('instead of a denial beyond those that a minute records in full', async () => {
    await crowd();
    await end();
    expect(await refuse(DENIAL)).toEqual(err(ENDED));
    expect((await rows()).slice(CALLER_DENIALS_MAX_ROWS)).toEqual([['session_ended', 1]]);
  });
});
