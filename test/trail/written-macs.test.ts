import { env } from 'cloudflare:workers';
import { sql } from 'drizzle-orm';
import { describe, expect, it } from 'vitest';
import { createDatabase, type Query } from '../../src/db/database.ts';
import type { AuditEventRow } from '../../src/db/schema.ts';
import { newTrace } from '../../src/kit/trace.ts';
import {
  attemptedRow,
  eventSubject,
  failureOutcome,
  finalRow,
  settledColumns,
  successOutcome,
} from '../../src/trail/event.ts';
import { insertAttempt, insertEvent, settleEventWhere } from '../../src/trail/statements.ts';
import { workerRuntime } from '../../src/worker-runtime.ts';
import { mac, rowMacs } from '../support/state-secret.ts';

// The rows that the Worker writes are as their MACs say, with whatever D1 fills in; and a MAC leaves out nothing else.

const NOW = Date.UTC(2026, 10, 24, 12, 0, 10);
const database = createDatabase(env.DB, workerRuntime, mac);
const ORIGIN = { requestId: 'r', ip: '192.0.2.1', userAgent: 'curl', policyVersion: 'v' };
const actor = { type: 'user', issuer: 'https://issuer.example', subject: 'alice', label: null } as const;
const REF = { workspaceUuid: 'workspace-1', tokenId: 'token-1' };
const SUBJECT = eventSubject('service_account_token.revoke', actor, REF);
const ALWAYS = sql`1 = 1`;
const MADE_BY_D1 = sql`json_object('lifted', 2)`;

const attempted = (id: string) => attemptedRow(id, NOW, ORIGIN, SUBJECT);
const final = (id: string) => finalRow(id, NOW, ORIGIN, SUBJECT, successOutcome(200, { lifted: 1 }));
const settlement = (outcome?: typeof MADE_BY_D1) => {
  const columns = settledColumns(NOW, 'token-1', failureOutcome({ kind: 'upstream_error', status: 500 }));
  return outcome === undefined ? columns : { ...columns, outcome };
};

type Writing = (id: string) => readonly Query[];
const ATTEMPT: Writing = (id) => [insertAttempt(database, attempted(id), 'allowed')];

describe('a row has a MAC of what is written, which is not that of another', () => {
  it.each<[string, Writing, Partial<AuditEventRow>, readonly (keyof AuditEventRow)[]]>([
    ['an attempt', ATTEMPT, { status: 'attempted', token_name: null }, ['token_id', 'token_name']],
    [
      'an attempt that D1 names',
      (id) => [insertAttempt(database, attempted(id), 'allowed', REF)],
      { status: 'attempted', token_name: 'deploy' },
      ['token_id'],
    ],
    [
      'a final row',
      (id) => [insertEvent(database, final(id), ALWAYS)],
      { outcome: '{"lifted":1}' },
      ['detail', 'outcome'],
    ],
    [
      'a final row whose outcome D1 makes',
      (id) => [insertEvent(database, final(id), ALWAYS, { outcome: MADE_BY_D1 })],
      { outcome: '{"lifted":2}' },
      ['detail'],
    ],
    [
      'an attempt that is settled',
      (id) => [...ATTEMPT(id), settleEventWhere(database, id, settlement(), ALWAYS)],
      { status: 'failure', outcome: '{}' },
      ['error_code', 'outcome'],
    ],
    [
      'an attempt that is settled with what D1 makes',
      (id) => [...ATTEMPT(id), settleEventWhere(database, id, settlement(MADE_BY_D1), ALWAYS)],
      { status: 'failure', outcome: '{"lifted":2}' },
      ['error_code'],
    ],
  ])('%s', async (_name, write, written, covered) => {
    await env.DB.prepare(
      `insert or ignore into tokens (workspace_uuid, token_id, created_at, name, owner_issuer, owner_subject)
       values ('workspace-1', 'token-1', 1, 'deploy', 'https://issuer.example', 'alice')`,
    ).run();
    const id = crypto.randomUUID();
    await database.batch({ trace: newTrace() }, write(id));
    const row = await env.DB.prepare('select * from audit_events where id = ?').bind(id).first<AuditEventRow>();
    expect(row).toMatchObject(written);
    expect(row !== null && rowMacs.isUntouched(row, undefined)).toBe(true);
    for (const column of covered)
      expect(row !== null && rowMacs.isUntouched({ ...row, [column]: 'another' }, undefined), column).toBe(false);
  });
});
