import { env } from 'cloudflare:workers';
import { beforeEach, describe, expect, it } from 'vitest';
import { createDatabase } from '../../src/db/database.ts';
import type { TokenRow } from '../../src/db/schema.ts';
import { recordAbsence, recordFindings, recordPresence } from '../../src/inventory/drift.ts';
import { judgeList, selectLookRows } from '../../src/inventory/looks.ts';
import { newTrace } from '../../src/kit/trace.ts';
import { workerRuntime } from '../../src/worker-runtime.ts';
import { tokenList as list, upstreamToken as token } from '../support/upstream-token.ts';

// What is written down takes effect only on the rows that were judged: another isolate may have been faster, or knows more.

const NOW = 1_900_000_000_000;
const MINUTE = 60_000;
let nowMs: number;
let workspace: string;
let lines: Readonly<Record<string, unknown>>[];
beforeEach(() => {
  nowMs = NOW;
  workspace = crypto.randomUUID();
  lines = [];
});

const runtime = {
  ...workerRuntime,
  now: () => nowMs,
  log: (line: Readonly<Record<string, unknown>>) => void lines.push(line),
};
const database = createDatabase(env.DB, runtime);
const context = { requestId: 'r', traceparent: null, ip: null, userAgent: null, policyVersion: 'v', trace: newTrace() };
const recording = { database, runtime };

const enter = async (values: Partial<TokenRow> = {}): Promise<TokenRow> => {
  const row = { workspace_uuid: workspace, token_id: 'tok-1', created_at: 1, ...values };
  const names = Object.keys(row);
  await env.DB.prepare(`insert into tokens (${names.join(', ')}) values (${names.map(() => '?').join(', ')})`)
    .bind(...Object.values(row))
    .run();
  return await read(row.token_id);
};
const read = async (id = 'tok-1'): Promise<TokenRow> => {
  const query = env.DB.prepare('select * from tokens where workspace_uuid = ? and token_id = ?').bind(workspace, id);
  const row = await query.first<TokenRow>();
  if (row === null) throw new Error(`no row of ${id}`);
  return row;
};
/** What happens between the judgement and the record. */
const meanwhile = async (values: string) => {
  await env.DB.prepare(`update tokens set ${values} where workspace_uuid = ?`).bind(workspace).run();
};
const codes = async () =>
  (
    await env.DB.prepare('select error_code from audit_events where workspace_uuid = ? order by seq')
      .bind(workspace)
      .all<{ error_code: string | null }>()
  ).results.map(({ error_code }) => error_code);
/** Judges rows by a list and writes down what it found, after something else has happened. */
const look = async (
  rows: readonly TokenRow[],
  listed: Parameters<typeof list>[0],
  happens: () => Promise<unknown> = async () => await Promise.resolve(),
  begunAtMs = nowMs,
) => {
  const seen = { list: list(listed), begunAtMs };
  const findings = judgeList(rows, seen);
  await happens();
  await recordFindings(recording, context, workspace, seen, findings);
  expect(lines, 'D1 takes it').toEqual([]);
};

describe('a judgement that is overtaken changes nothing', () => {
  it('of a token that was seen meanwhile', async () => {
    const row = await enter({ unseen_at: NOW - MINUTE });
    await look([row], [], async () => await meanwhile('unseen_at = null'));
    expect(await read()).toMatchObject({ revoked_at: null, ended_by: null });
    expect(await codes()).toEqual([]);
  });

  it('of a token that was seen and missed anew meanwhile', async () => {
    const row = await enter({ unseen_at: NOW - MINUTE });
    await look([row], [], async () => await meanwhile(`unseen_at = ${NOW - 1}`));
    expect(await read()).toMatchObject({ revoked_at: null, unseen_at: NOW - 1 });
  });

  it('of a token that another list missed before', async () => {
    const row = await enter();
    await look([row], [], async () => await meanwhile(`unseen_at = ${NOW - 5}`));
    expect(await read()).toMatchObject({ unseen_at: NOW - 5 });
  });

  it('of a token that a newer list misses', async () => {
    const row = await enter({ unseen_at: NOW - 10 });
    await look([row], [token()], async () => await meanwhile(`unseen_at = ${NOW + 5}`));
    expect(await read()).toMatchObject({ unseen_at: NOW + 5 });
  });

  it('of a token that reappeared, and was revoked again meanwhile', async () => {
    const row = await enter({ revoked_at: NOW - MINUTE, ended_by: 'absent' });
    await look([row], [token()], async () => await meanwhile(`revoked_at = ${NOW}, ended_by = 'acknowledged'`));
    expect(await read()).toMatchObject({ revoked_at: NOW, ended_by: 'acknowledged' });
    expect(await codes()).toEqual([]);
  });

  it('of a token that appeared, and was entered meanwhile', async () => {
    await look([], [token()], async () => await enter({ owner_issuer: 'i', owner_subject: 's' }));
    expect(await read()).toMatchObject({ owner_issuer: 'i', create_event_id: null });
    expect(await codes()).toEqual([]);
  });
});

describe('one proof of absence that is no list', () => {
  const ref = () => ({ workspaceUuid: workspace, tokenId: 'tok-1' });
  it.each([
    ['nothing of a token within a minute of its create', { created_at: NOW - 1 }, 'too_early', null],
    ['it is missed, the first time', {}, 'unseen', null],
    ['it is missed, before a minute is over', { unseen_at: NOW - MINUTE + 1 }, 'unseen', null],
    ['it is gone by the second, a minute later', { unseen_at: NOW - MINUTE }, 'gone', 'absent'],
    ['it is gone already', { revoked_at: 1, ended_by: 'absent' }, 'gone', 'absent'],
    ['it was revoked by us', { revoked_at: 1, ended_by: 'acknowledged' }, 'gone', 'acknowledged'],
    ['what a list said becomes proven', { revoked_at: 1, ended_by: 'listed', unseen_at: 1 }, 'gone', 'absent'],
  ] as const)('%s', async (_case, values, finding, endedBy) => {
    await enter(values);
    expect(await recordAbsence(recording, context, ref(), NOW)).toBe(finding);
    expect(await read()).toMatchObject({ ended_by: endedBy });
    expect(lines).toEqual([]);
  });

  it('says nothing of a token that the inventory lacks', async () => {
    expect(await recordAbsence(recording, context, ref(), NOW)).toBe('unknown');
  });

  it('makes the token gone the second time, and is undone by an answer that shows the token', async () => {
    await enter();
    expect(await recordAbsence(recording, context, ref(), nowMs)).toBe('unseen');
    nowMs += MINUTE;
    expect(await recordAbsence(recording, context, ref(), nowMs)).toBe('gone');
    expect(await codes()).toEqual(['gone_upstream']);
    nowMs += MINUTE;
    await recordPresence(recording, context, ref(), token(), nowMs);
    expect(await read()).toMatchObject({ revoked_at: null, ended_by: null, unseen_at: null });
    expect(await codes()).toEqual(['gone_upstream', 'reappeared_upstream']);
  });

  it('is not believed where D1 does not answer', async () => {
    await enter({ unseen_at: 1 });
    const down = createDatabase(
      { prepare: () => ({ bind: () => ({}) }), batch: async () => await Promise.reject(new Error('down')) } as never,
      runtime,
    );
    expect(await recordAbsence({ database: down, runtime }, context, ref(), NOW)).toBe('unseen');
  });
});

it('the rows that a list is judged with are those whose end is not proven, and those that it shows', async () => {
  const ends = {
    live: null,
    listed: 'listed',
    absent: 'absent',
    acknowledged: 'acknowledged',
    shown: 'absent',
  } as const;
  for (const [id, ended_by] of Object.entries(ends)) await enter({ token_id: id, ended_by, revoked_at: 1 });
  const selected = await database.batch(context, [selectLookRows(database, workspace, ['shown', 'stranger'])]);
  const ids = selected.ok ? selected.value[0].map(({ token_id }) => token_id) : [];
  expect(new Set(ids)).toEqual(new Set(['live', 'listed', 'shown']));
});

it('a workspace that loses thousands of expired tokens at once gets no rows for them', async () => {
  const ids = Array.from({ length: 300 }, (_item, index) => `tok-${index}`);
  const row = await enter({ expires_at: 1, unseen_at: 1 });
  const insert = env.DB.prepare(
    'insert or ignore into tokens (workspace_uuid, token_id, created_at, expires_at, unseen_at) values (?, ?, 1, 1, 1)',
  );
  await env.DB.batch(ids.map((id) => insert.bind(workspace, id)));
  const rows = ids.map((token_id) => ({ ...row, token_id }));
  await look(rows, []);
  const { results } = await env.DB.prepare('select distinct ended_by from tokens where workspace_uuid = ?')
    .bind(workspace)
    .all();
  expect(results).toEqual([{ ended_by: 'absent' }]);
  expect(await codes()).toEqual([]);
});
