import { afterEach, describe, expect, it, vi } from 'vitest';
import { READ_KEYS_MAX_COUNT } from '../../src/config/limits.ts';
import { createReadKeys, furtherRow, isFurther, readIdentity, readKey } from '../../src/trail/counted.ts';
import { eventSubject, failureOutcome, finalRow, type NewAuditRow, rowDetail } from '../../src/trail/event.ts';

// What makes two events of a minute one row.

const MINUTE = Date.UTC(2026, 10, 24, 12);
const origin = { requestId: 'request-1', ip: '192.0.2.1', userAgent: 'curl', policyVersion: 'version-1' };
const actor = { type: 'user', issuer: 'https://issuer.example', subject: 'alice', label: 'Alice' } as const;
const subject = eventSubject('service_account_token.get', actor, {
  workspaceUuid: 'workspace-1',
  tokenId: 'token-1',
  detail: { query: 'one' },
});
const outcome = failureOutcome({ kind: 'upstream_error', status: 500 });
const ROW = finalRow('event-1', MINUTE, origin, subject, outcome);

type Change = readonly [name: string, changed: Partial<NewAuditRow>];
const CALLER: readonly Change[] = [
  ['another kind of caller', { actor_type: 'service_account' }],
  ['a caller of another issuer', { actor_issuer: 'https://other.example' }],
  ['another caller', { actor_subject: 'bob' }],
  ['another action', { action: 'service_account_token.list' }],
  ['another status', { status: 'success' }],
  ['another code', { error_code: 'upstream_timeout' }],
  ['the next minute', { occurred_at: MINUTE + 60_000 }],
  ['another version of the policy', { detail: rowDetail({ query: 'one' }, 'version-2') }],
];
const REQUEST: readonly Change[] = [
  ['another label', { actor_label: 'Alice B.' }],
  ['another workspace', { workspace_uuid: 'workspace-2' }],
  ['another token', { token_id: 'token-2' }],
  ['other parameters', { detail: rowDetail({ query: 'two' }, 'version-1') }],
  ['another address', { ip: '192.0.2.2' }],
  ['another answer of PipeOps', { upstream_status: 503 }],
  ['another outcome', { outcome: '{"reason":"other"}' }],
];
const NOTHING: readonly Change[] = [
  ['another time of the minute', { occurred_at: MINUTE + 59_999 }],
  ['another request', { id: 'event-2', request_id: 'request-2', settled_at: MINUTE + 1 }],
  ['another program', { user_agent: 'wget' }],
];

describe('a read is counted in another row', () => {
  it.each([...CALLER, ...REQUEST])('with %s', async (_name, changed) => {
    expect(readIdentity({ ...ROW, ...changed })).not.toBe(readIdentity(ROW));
    expect(await readKey({ ...ROW, ...changed })).not.toBe(await readKey(ROW));
  });

  it.each(NOTHING)('not with %s', async (_name, changed) => {
    expect(await readKey({ ...ROW, ...changed })).toBe(await readKey(ROW));
  });
});

describe('what a minute no longer records in full is counted in another row', () => {
  const keyOf = async (row: NewAuditRow): Promise<string> => (await furtherRow(row)).read_key;

  it.each(CALLER)('with %s', async (_name, changed) => {
    expect(await keyOf({ ...ROW, ...changed })).not.toBe(await keyOf(ROW));
  });

  it.each([...REQUEST, ...NOTHING])('not with %s', async (_name, changed) => {
    expect(await keyOf({ ...ROW, ...changed })).toBe(await keyOf(ROW));
  });

  it('that says so, and nothing of the request', async () => {
    const further = await furtherRow(ROW);
    expect(further).toMatchObject({
      actor_subject: 'alice',
      action: ROW.action,
      status: 'failure',
      error_code: 'upstream_error',
      workspace_uuid: null,
      token_id: null,
      ip: null,
      user_agent: null,
      upstream_status: null,
      detail: '{"further":true,"policy":"version-1"}',
      outcome: '{}',
    });
    expect([isFurther(further), isFurther({ read_key: await readKey(ROW) }), isFurther(ROW)]).toEqual([
      true,
      false,
      false,
    ]);
  });
});

it('keys of reads and of further rows have 32 characters, so that their index stays small', async () => {
  expect(await readKey(ROW)).toMatch(/^[0-9a-f]{32}$/);
  expect((await furtherRow(ROW)).read_key).toMatch(/^\+[0-9a-f]{31}$/);
});

describe('an isolate that remembers keys', () => {
  afterEach(() => vi.restoreAllMocks());
  const ofToken = (index: number): NewAuditRow => ({ ...ROW, token_id: `token-${index}` });

  it('gives the key of each read, and a row that has one keeps it', async () => {
    const keyOf = createReadKeys();
    expect(await keyOf(ROW)).toBe(await readKey(ROW));
    expect(await keyOf(ROW)).toBe(await readKey(ROW));
    const further = await furtherRow(ROW);
    expect(await keyOf(further)).toBe(further.read_key);
  });

  it('makes the key of a read once a minute', async () => {
    const digest = vi.spyOn(crypto.subtle, 'digest');
    const keyOf = createReadKeys();
    const later = { ...ROW, occurred_at: MINUTE + 60_000 };
    for (const row of [ROW, ROW, later, later]) await keyOf(row);
    expect(digest).toHaveBeenCalledTimes(2);
  });

  it('forgets those of a minute that is over', async () => {
    const digest = vi.spyOn(crypto.subtle, 'digest');
    const keyOf = createReadKeys();
    for (const occurred_at of [MINUTE, MINUTE + 60_000, MINUTE]) await keyOf({ ...ROW, occurred_at });
    expect(digest).toHaveBeenCalledTimes(3);
  });

  it.each([
    [READ_KEYS_MAX_COUNT - 1, 0],
    [READ_KEYS_MAX_COUNT, 1],
  ])('begins anew when it knows so many: of %i, %i are made again', async (count, again) => {
    const keyOf = createReadKeys();
    for (let index = 0; index < count; index += 1) await keyOf(ofToken(index));
    const digest = vi.spyOn(crypto.subtle, 'digest');
    for (const index of [0, 0]) await keyOf(ofToken(index));
    expect(digest).toHaveBeenCalledTimes(again);
  });
});
