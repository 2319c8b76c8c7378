import { describe, expect, it } from 'vitest';
import type { TokenState } from '../pipeops-simulator/faults-wire.ts';
import {
  revocationViolations,
  rotationViolations,
  violations,
  webhookViolations,
  type Aftermath,
} from './invariants.ts';
import type { InventoryRow, TrailRow } from './trail.ts';

const NOW = Date.parse('2026-10-01T12:00:00Z');

const row = (changes: Partial<TrailRow> = {}): TrailRow => ({
  seq: 1,
  id: 'event-1',
  occurred_at: NOW,
  action: 'service_account_token.create',
  status: 'success',
  actor_type: 'user',
  token_id: 'tok-1',
  error_code: null,
  detail: null,
  outcome: null,
  ...changes,
});

const token = (changes: Partial<TokenState> = {}): TokenState => ({
  id: 'tok-1',
  workspace_uuid: 'w',
  name: 'n',
  description: null,
  scopes: [],
  secret: 'sat_x',
  token_prefix: 'sat_x',
  is_revoked: false,
  is_expired: false,
  is_active: true,
  expires_at: null,
  created_at: '',
  updated_at: '',
  last_used_at: null,
  commits: [{ at: new Date(NOW + 5).toISOString(), operation: 'create', event_id: 'event-1' }],
  ...changes,
});

const revoke = (eventId: string | null, atMs = NOW + 9) =>
  ({ at: new Date(atMs).toISOString(), operation: 'revoke', event_id: eventId }) as const;

describe('the invariants hold', () => {
  it.each([
    ['for a token that was handed out', [row()], [token()]],
    [
      'for one that its failed create took back',
      [row({ status: 'failure', error_code: 'undelivered' })],
      [token({ is_revoked: true, commits: [...token().commits, revoke('event-1')] })],
    ],
    ['for a row as old as its commit', [row({ occurred_at: NOW + 5 })], [token()]],
    ['where nothing happened', [], []],
  ])('%s', (_case, rows, tokens) => {
    expect(violations(rows, tokens)).toEqual([]);
  });
});

describe('the invariants are violated', () => {
  it.each([
    [
      'by a commit without a row',
      [row()],
      [token({ commits: [...token().commits, revoke('event-2')] })],
      'revoke of tok-1 was committed without a row (event event-2)',
    ],
    [
      'by a commit that names no event',
      [row()],
      [token({ commits: [...token().commits, revoke(null)] })],
      'revoke of tok-1 was committed without a row (event null)',
    ],
    [
      'by a row later than its commit',
      [row({ occurred_at: NOW + 6 })],
      [token()],
      'create of tok-1 was committed before its row event-1',
    ],
    [
      'by an open attempt',
      [row(), row({ id: 'event-2', status: 'attempted' })],
      [token()],
      'service_account_token.create event-2 is still attempted',
    ],
    [
      'by a live token that two creates claim',
      [row(), row({ id: 'event-2' })],
      [token()],
      'live token tok-1 has 2 successful creates',
    ],
    [
      'by a live token of a failed create',
      [row({ status: 'failure' })],
      [token()],
      'live token tok-1 was minted by a failed create',
    ],
    [
      'by a live token that no create claims',
      [row({ token_id: null, action: 'service_account_token.update' })],
      [token()],
      'live token tok-1 has 0 successful creates',
    ],
  ])('%s', (_case, rows, tokens, violation) => {
    expect(violations(rows, tokens)).toContain(violation);
  });
});

describe('a leak that was accepted', () => {
  const leak = { webhookId: 'msg_1', tokenId: 'tok-1' };
  const left = (changes: Partial<Aftermath> = {}): Aftermath => ({
    rows: [row(), row({ id: 'event-2', action: 'service_account_token.revoke', actor_type: 'webhook' })],
    tokens: [token({ is_revoked: true })],
    deliveries: [{ id: 'delivery-1', sender_id: 'msg_1' }],
    orders: [{ id: 'event-2', delivery_id: 'delivery-1', token_id: 'tok-1', mode: 'revoke', state: 'confirmed' }],
    ...changes,
  });

  it('took effect once', () => {
    expect(webhookViolations([leak], left())).toEqual([]);
  });

  it.each([
    ['its token lives', { tokens: [token()] }, 'leaked token tok-1 is not revoked'],
    ['PipeOps lacks its token', { tokens: [] }, 'leaked token tok-1 is not revoked'],
    [
      'it was taken for two',
      { deliveries: [...left().deliveries, ...left().deliveries] },
      'webhook msg_1 is 2 deliveries',
    ],
    ['it is forgotten', { deliveries: [] }, 'webhook msg_1 is 0 deliveries'],
    [
      'nothing says that it was carried out',
      { rows: [row(), row({ action: 'service_account_token.revoke' })] },
      'leaked token tok-1 has 0 successful revocations by webhook',
    ],
    [
      'it was carried out twice',
      { rows: [...left().rows, ...left().rows] },
      'leaked token tok-1 has 2 successful revocations by webhook',
    ],
    [
      'it is not carried through',
      { orders: left().orders.map((order) => ({ ...order, state: 'acknowledged' })) },
      'order event-2 for tok-1 is still acknowledged',
    ],
  ])('is missed where %s', (_case, changes, violation) => {
    expect(webhookViolations([leak], left(changes))).toEqual([violation]);
  });
});

describe('somebody who was offboarded', () => {
  const leaver = { webhookId: 'msg_1', subject: 'alice', tokenIds: ['tok-1'] };
  const order = (state: string, mode = 'revoke') => ({
    id: 'event-2',
    delivery_id: 'delivery-1',
    token_id: 'tok-1',
    mode,
    state,
  });
  const left = (tokens: readonly TokenState[], orders: Aftermath['orders']) => ({
    tokens,
    orders,
    deliveries: [{ id: 'delivery-1', sender_id: 'msg_1' }],
  });
  const dead = token({ is_revoked: true });

  it.each([
    ['whose token is dead', [dead], [order('confirmed')]],
    ['whose token waits for its end', [token()], [order('open')]],
    ['whose token is suspended', [token({ is_active: false })], [order('confirmed', 'suspend')]],
  ])('%s is no violation', (_case, tokens, orders) => {
    const leavers = tokens.some(({ is_active }) => !is_active) ? [] : [leaver];
    expect(revocationViolations(leavers, left(tokens, orders))).toEqual([]);
  });

  it.each([
    ['whose token lives, and nobody revokes it', [token()], [order('failed')], 'token tok-1 of alice'],
    ['whose token lives without an order', [token()], [], 'token tok-1 of alice'],
    [
      'whose token lives, though its order is confirmed',
      [token()],
      [order('confirmed')],
      'is confirmed, and is not so at PipeOps',
    ],
    [
      'whose token is active, though it is said to be suspended',
      [token()],
      [order('confirmed', 'suspend')],
      'is not so at PipeOps',
    ],
    ['whose token PipeOps never heard of', [], [order('confirmed')], 'is confirmed, and is not so at PipeOps'],
  ])('%s is one', (_case, tokens, orders, violation) => {
    expect(revocationViolations([leaver], left(tokens, orders)).join('\n')).toContain(violation);
  });

  it('whose webhook was forgotten is one', () => {
    expect(revocationViolations([leaver], { ...left([dead], []), deliveries: [] })).toEqual([
      'the offboarding of alice is 0 deliveries',
    ]);
  });
});

describe('a token that was rotated', () => {
  const rotation = { oldId: 'tok-1', handedOut: new Set(['tok-2']) };
  const known = (token_id: string, changes: Partial<InventoryRow> = {}): InventoryRow => ({
    token_id,
    owner_subject: 'kim',
    replaces: null,
    replaced_by: null,
    ...changes,
  });
  const minted = row({ id: 'event-2', token_id: 'tok-2', detail: '{"replaces":"tok-1"}' });
  const ended = { id: 'event-3', delivery_id: null, token_id: 'tok-1', mode: 'revoke', state: 'confirmed' };
  const done = {
    rows: [row(), minted, row({ id: 'event-3', action: 'service_account_token.revoke' })],
    tokens: [token({ is_revoked: true }), token({ id: 'tok-2' })],
    orders: [ended],
    inventory: [known('tok-1', { replaced_by: 'tok-2' }), known('tok-2', { replaces: 'tok-1' })],
  };
  const failed = {
    rows: [row(), { ...minted, status: 'failure' as const, error_code: 'undelivered' }],
    tokens: [token(), token({ id: 'tok-2', is_revoked: true })],
    orders: [],
    inventory: [known('tok-1')],
  };

  it.each([
    ['has a successor', rotation, done],
    [
      'was asked for again',
      rotation,
      { ...done, rows: [...done.rows, { ...minted, id: 'event-4', outcome: '{"idempotent_of":"event-2"}' }] },
    ],
    ['is as it was where that failed', { ...rotation, handedOut: new Set<string>() }, failed],
    [
      'has one that was revoked since',
      rotation,
      {
        ...done,
        rows: [...done.rows, row({ id: 'event-4', action: 'service_account_token.revoke', token_id: 'tok-2' })],
        tokens: done.tokens.map((one) => ({ ...one, is_revoked: true })),
      },
    ],
  ])('%s', (_case, asked, left) => {
    expect(rotationViolations([asked], left)).toEqual([]);
  });

  it.each([
    [
      'lives on',
      { ...done, tokens: [token(), token({ id: 'tok-2' })] },
      'token tok-1 lives, though tok-2 has its place',
    ],
    [
      'has two successors',
      { ...done, rows: [...done.rows, { ...minted, id: 'event-4' }] },
      'token tok-1 has 2 successors',
    ],
    [
      'has one that is dead',
      { ...done, tokens: done.tokens.map((one) => ({ ...one, is_revoked: true })) },
      'token tok-2 has the place of tok-1, and is dead',
    ],
    [
      'is not said to be replaced',
      { ...done, inventory: [known('tok-1'), known('tok-2')] },
      'the inventory does not say that tok-2 has the place of tok-1',
    ],
    [
      'has one that nobody owns',
      {
        ...done,
        inventory: [done.inventory[0] ?? known('tok-1'), known('tok-2', { owner_subject: null, replaces: 'tok-1' })],
      },
      'live token tok-2 has no owner',
    ],
    [
      'gave a secret away without a record',
      failed,
      'the secret of tok-2 was handed out for tok-1 without a successful row',
    ],
    [
      'died although that failed',
      { ...failed, tokens: [token({ is_revoked: true })] },
      'token tok-1 is dead, though no rotation of it succeeded',
    ],
    [
      'is ordered to go although that failed',
      { ...failed, orders: [{ ...ended, state: 'scheduled' }] },
      'token tok-1 was ordered to go, though no rotation of it succeeded',
    ],
  ])('is a violation where it %s', (_case, left, violation) => {
    expect(rotationViolations([rotation], left)).toContain(violation);
  });
});
