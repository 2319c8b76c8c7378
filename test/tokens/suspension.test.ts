import { env } from 'cloudflare:workers';
import { sql } from 'drizzle-orm';
import { describe, expect, it } from 'vitest';
import { createDatabase, type Query } from '../../src/db/database.ts';
import { newTrace } from '../../src/kit/trace.ts';
import {
  addSuspension,
  isToken,
  knownToken,
  liftSuspensions,
  suspensionReasons,
} from '../../src/inventory/inventory.ts';
import { SUSPENSION_REASONS, type SuspensionReason } from '../../src/vocabulary.ts';
import { workerRuntime } from '../../src/worker-runtime.ts';

// Why a token is suspended is a set of reasons, kept as a JSON list.

const database = createDatabase(env.DB, workerRuntime);
const ALWAYS = sql`true`;
/** What a version before this one wrote: the id of a webhook delivery. */
const BEFORE = '0b9d2f0a-6f3e-4d0a-9a39-0f8c7a3f3f11';

async function after(suspendedBy: string | null, queries: (ref: Ref) => readonly Query[]) {
  const ref = { workspaceUuid: crypto.randomUUID(), tokenId: 't' };
  const others = { workspaceUuid: ref.workspaceUuid, tokenId: 'other' };
  await env.DB.batch(
    [ref, others].map(({ workspaceUuid, tokenId }) =>
      env.DB.prepare(
        'insert into tokens (workspace_uuid, token_id, created_at, suspended_by) values (?, ?, 1, ?)',
      ).bind(workspaceUuid, tokenId, suspendedBy),
    ),
  );
  const changed = await database.batch({ trace: newTrace() }, queries(ref));
  expect(changed.ok).toBe(true);
  const rows = await database.build.query.tokens.findMany({ where: sql`workspace_uuid = ${ref.workspaceUuid}` });
  expect(rows.find(({ token_id }) => token_id === 'other')?.suspended_by).toBe(suspendedBy);
  const row = rows.find(({ token_id }) => token_id === 't');
  if (row === undefined) throw new Error('no such token');
  return { kept: row.suspended_by, reasons: suspensionReasons(row), known: knownToken(row).suspendedBy };
}
interface Ref {
  readonly workspaceUuid: string;
  readonly tokenId: string;
}

describe('a reason is added', () => {
  it.each<[string, string | null, SuspensionReason, readonly SuspensionReason[]]>([
    ['to none', null, 'leak', ['leak']],
    ['to others', '["owner"]', 'offboarding', ['owner', 'offboarding']],
    ['once', '["owner","leak"]', 'owner', ['owner', 'leak']],
    ['to what an earlier version wrote', BEFORE, 'owner', ['offboarding', 'owner']],
    ['once to that too', BEFORE, 'offboarding', ['offboarding']],
  ])('%s', async (_case, before, reason, expected) => {
    const { reasons, known } = await after(before, (ref) => [
      addSuspension(database, sql`${isToken(ref)}`, reason, ALWAYS),
    ]);
    expect(reasons).toEqual(expected);
    expect(known).toEqual(expected);
  });

  it('only where its guard holds', async () => {
    const { reasons } = await after('["owner"]', (ref) => [
      addSuspension(database, sql`${isToken(ref)}`, 'leak', sql`false`),
    ]);
    expect(reasons).toEqual(['owner']);
  });
});

describe('reasons are lifted', () => {
  it.each<[string, string | null, readonly SuspensionReason[], string | null]>([
    ['of what has none', null, ['owner'], null],
    ['the only one', '["owner"]', ['owner'], null],
    ['all', '["owner","leak","administrator"]', SUSPENSION_REASONS, null],
    ['one of them', '["owner","leak"]', ['owner'], '["leak"]'],
    ['one that is not there', '["leak"]', ['owner'], '["leak"]'],
    ['none', '["leak"]', [], '["leak"]'],
    ['of what an earlier version wrote', BEFORE, ['owner'], '["offboarding"]'],
    ['all of that', BEFORE, ['offboarding'], null],
  ])('%s', async (_case, before, reasons, expected) => {
    const { kept } = await after(before, (ref) => [liftSuspensions(database, ref, reasons, ALWAYS)]);
    expect(kept).toBe(expected);
  });

  it('only where their guard holds', async () => {
    const { kept } = await after('["leak"]', (ref) => [liftSuspensions(database, ref, ['leak'], sql`false`)]);
    expect(kept).toBe('["leak"]');
  });
});

it.each<[string | null, readonly SuspensionReason[]]>([
  [null, []],
  ['["owner","leak"]', ['owner', 'leak']],
  ['["a later version’s","owner"]', ['offboarding', 'owner']],
  [BEFORE, ['offboarding']],
  ['{}', ['offboarding']],
])('%s is read as reasons that nobody lifts who may not', (suspended_by, expected) => {
  expect(suspensionReasons({ suspended_by })).toEqual(expected);
});
