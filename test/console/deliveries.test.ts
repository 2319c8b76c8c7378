import { describe, expect, it } from 'vitest';
import {
  isSettled,
  leftToRetry,
  progressBadge,
  progressWords,
  retriedWords,
  TONES,
  stepsOf,
  tookWords,
} from '../../console/parts/orders.ts';
import {
  deliveryWords,
  FINDINGS,
  ledTo,
  nothingDone,
  rejectedWords,
  tokenWords,
} from '../../console/views/webhooks/words.ts';
import type { Delivery, Revocation } from '../../package/client/types.ts';
import { IGNORED_DELIVERIES, ITEM_FINDINGS, ORDER_STATES } from '../../src/vocabulary.ts';

const NO_ORDERS = { open: 0, acknowledged: 0, confirmed: 0, failed: 0 };

const delivery = (given: Partial<Delivery>): Delivery => ({
  id: '1e02cc7c-b21e-4f38-9794-a35ab41bdcc7',
  source: 'scanner',
  event: 'token.leaked',
  sender_id: null,
  received_at: '2026-11-28T21:17:44.772Z',
  event_id: '2692281b-33b0-482a-b689-002c54a712da',
  ignored: null,
  refused: null,
  tokens: { matched: 0, unmatched: 0, out_of_scope: 0 },
  orders: NO_ORDERS,
  ...given,
});

const revocation = (given: Partial<Revocation>): Revocation => ({
  event_id: 'ddf4b089-04ce-4e1a-8b8f-aa6698de8fb1',
  workspace_uuid: '5877a4ae-0000-4000-8000-000000000001',
  token_id: '7fc02de4-5179-48c5-9cca-97ceb4aafe27',
  mode: 'revoke',
  state: 'open',
  result: null,
  error_code: null,
  tries: 0,
  next_try_at: null,
  received_at: '2026-11-28T21:17:44.772Z',
  matched_at: '2026-11-28T21:17:44.772Z',
  revoked_at: null,
  confirmed_at: null,
  contradicted_at: null,
  ...given,
});

describe('how far revocations are', () => {
  it.each([
    [{ orders: NO_ORDERS }, true, 'There was nothing to revoke.'],
    [{ orders: NO_ORDERS, mode: 'suspend' }, true, 'There was nothing to suspend.'],
    [{ orders: NO_ORDERS, orders_left: true }, false, 'The revocations are being ordered.'],
    [{ orders: { ...NO_ORDERS, open: 1 } }, false, '0 of 1 revocation confirmed, 1 open.'],
    [
      { orders: { ...NO_ORDERS, acknowledged: 1, confirmed: 2 } },
      false,
      '2 of 3 revocations confirmed, 1 acknowledged.',
    ],
    [{ orders: { ...NO_ORDERS, confirmed: 1 } }, true, 'The revocation is confirmed.'],
    [{ orders: { ...NO_ORDERS, confirmed: 1_000 } }, true, 'All 1,000 revocations are confirmed.'],
    [{ orders: { ...NO_ORDERS, confirmed: 3 }, mode: 'suspend' }, true, 'All 3 suspensions are confirmed.'],
    [
      { orders: { ...NO_ORDERS, confirmed: 1, failed: 1, lifted: 2 } },
      true,
      '1 of 4 revocations confirmed, 1 failed, 2 lifted.',
    ],
    [
      { orders: { ...NO_ORDERS, confirmed: 500 }, orders_left: true },
      false,
      'All 500 revocations are confirmed, more are being ordered.',
    ],
  ] as const)('tells %j', (receipt, isOver, words) => {
    expect(progressWords(receipt)).toBe(words);
    expect(isSettled(receipt)).toBe(isOver);
  });

  it.each([
    [
      { ...NO_ORDERS, confirmed: 2, failed: 1 },
      { tone: 'danger', text: '1 failed' },
    ],
    [
      { ...NO_ORDERS, open: 2, acknowledged: 1 },
      { tone: 'warning', text: '2 open' },
    ],
    [
      { ...NO_ORDERS, acknowledged: 1, confirmed: 4 },
      { tone: 'quiet', text: '1 acknowledged' },
    ],
    [
      { ...NO_ORDERS, confirmed: 4 },
      { tone: 'good', text: '4 confirmed' },
    ],
    [
      { ...NO_ORDERS, lifted: 1 },
      { tone: 'quiet', text: 'Lifted' },
    ],
    [NO_ORDERS, null],
  ])('tells the worst of %j in a list', (orders, badge) => {
    expect(progressBadge({ orders })).toEqual(badge);
  });

  it('has a tone for each state', () => {
    expect(Object.keys(TONES)).toEqual([...ORDER_STATES]);
  });
});

describe('what is left to try again', () => {
  it.each([
    ['open', null, 1],
    ['acknowledged', 'revoked', 1],
    ['failed', null, 1],
    ['confirmed', 'not_found', 1],
    ['confirmed', 'revoked', 0],
    ['retried', null, 0],
    ['lifted', null, 0],
  ] as const)('of a revocation that is %s (%s)', (state, result, left) => {
    expect(leftToRetry([revocation({ state, result })])).toBe(left);
  });

  it('is told with what became of it', () => {
    expect([0, 1, 2].map(retriedWords)).toEqual([
      'Nothing was left to try again.',
      '1 revocation is being tried again now.',
      '2 revocations are being tried again now.',
    ]);
  });
});

describe('the steps of a revocation', () => {
  it('have the time that each took', () => {
    const done = revocation({
      result: 'revoked',
      matched_at: '2026-11-28T21:17:44.780Z',
      revoked_at: '2026-11-28T21:17:44.841Z',
      confirmed_at: '2026-11-28T21:19:07.841Z',
    });
    expect(stepsOf(done).map(({ name, afterMs }) => [name, afterMs])).toEqual([
      ['received', null],
      ['matched', 8],
      ['revoked', 61],
      ['last confirmed', 83_000],
    ]);
    expect(tookWords(done)).toBe('Revoked within 69 ms');
  });

  it('end where PipeOps has not answered', () => {
    expect(stepsOf(revocation({})).map(({ name }) => name)).toEqual(['received', 'matched']);
    expect(tookWords(revocation({}))).toBeNull();
  });

  it.each(['not_found', 'expired', 'already_gone'] as const)('of a token that is %s claim no revocation', (result) => {
    const concluded = revocation({ result, revoked_at: '2026-11-28T21:19:55.000Z' });
    expect(stepsOf(concluded).at(-1)?.name).toBe('concluded');
    expect(tookWords(concluded)).toBeNull();
  });

  it('of a suspension have its name, and clocks that disagree make no negative time', () => {
    const suspended = revocation({ mode: 'suspend', result: 'suspended', suspended_at: '2026-11-28T21:17:44.000Z' });
    expect(stepsOf(suspended).at(-1)).toMatchObject({ name: 'suspended', afterMs: 0 });
    expect(tookWords(suspended)).toBe('Suspended within 0 ms');
  });
});

describe('what a delivery says', () => {
  it.each([
    [{ event: 'token.leaked', tokens: { matched: 1, unmatched: 2, out_of_scope: 0 } }, 'reported 3 leaked secrets'],
    [{ event: 'token.leaked' }, 'reported a leak'],
    [
      { event: 'token.revoke', tokens: { matched: 1, unmatched: 0, out_of_scope: 0 } },
      'ordered the revocation of 1 token',
    ],
    [{ event: 'subject.offboarded', subject: { label: 'kim@acme.example' } }, 'offboarded kim@acme.example'],
    [
      { event: 'subject.offboarded', mode: 'suspend', subject: { issuer: 'https://i.example', subject: 'kim' } },
      'offboarded kim, suspending their tokens',
    ],
    [{ event: 'subject.reinstated' }, 'reinstated somebody'],
    [{ event: '<b>own</b>' }, 'sent <b>own</b>'],
    [{ event: null }, 'sent an event without a name'],
  ] as const)('%j', (given, words) => {
    expect(deliveryWords(delivery(given))).toBe(words);
  });

  it.each(IGNORED_DELIVERIES)('and why it is ignored: %s', (ignored) => {
    expect(nothingDone(delivery({ ignored }))).toMatch(/^Ignored: .*\.$/);
  });

  it.each([
    [{ refused: 'validation_failed', refused_field: 'data.tokens' }, 'Refused: validation failed (data.tokens).'],
    [{ refused: 'id_reused' }, 'Refused: another delivery had this id and ordered something else.'],
    [{ refused: 'audit_unavailable' }, 'Refused: audit unavailable.'],
    [{}, null],
  ] as const)('and why it is refused: %j', (given, words) => {
    expect(nothingDone(delivery(given))).toBe(words);
  });

  it.each([
    [{ refused: 'id_reused' }, 'Refused'],
    [{ ignored: 'event_unknown' }, 'Ignored'],
    [{ orders: { ...NO_ORDERS, open: 1 } }, '1 open'],
    [{ event: 'subject.offboarded', owners: [] }, 'Blocked, nobody yet'],
    [{ event: 'subject.reinstated', blocks_lifted: 0 }, 'No block'],
    [{ tokens: { matched: 0, unmatched: 1, out_of_scope: 1 } }, 'Out of scope'],
    [{ tokens: { matched: 0, unmatched: 1, out_of_scope: 0 } }, 'Nothing of ours'],
  ] as const)('and what it led to: %j', (given, text) => {
    expect(ledTo(delivery(given)).text).toBe(text);
  });

  it('and which of its tokens are ours', () => {
    expect(tokenWords({ matched: 1, unmatched: 2, out_of_scope: 1 })).toBe('1 of ours, 2 not ours, 1 out of scope');
    expect(tokenWords(NO_TOKENS)).toBeNull();
    expect(Object.keys(FINDINGS)).toEqual([...ITEM_FINDINGS]);
  });

  it('and why items are not acted on', () => {
    expect(rejectedWords({ not_an_object: 1, beyond_limit: 2 })).toEqual([
      '1 item: not an object.',
      '2 items: beyond limit.',
    ]);
  });
});

const NO_TOKENS = { matched: 0, unmatched: 0, out_of_scope: 0 };
