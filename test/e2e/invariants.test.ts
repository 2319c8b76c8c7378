import { describe, expect, it } from 'vitest';
import type { TokenState } from '../pipeops-simulator/faults-wire.ts';
import { revocationViolations, violations, webhookViolations, type Aftermath } from './invariants.ts';
import type { TrailRow } from './trail.ts';

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
