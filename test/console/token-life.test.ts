import { describe, expect, test } from 'vitest';
import type { Revocation } from '../../package/client/types.ts';
import { plainText, sentenceOf } from '../../console/views/activity/sentence.ts';
import { deliveriesOf, type Life, timelineOf } from '../../console/views/tokens/timeline.ts';
import { knownOf, lastUseWords, stateSentence } from '../../console/views/tokens/words.ts';
import { eventOf, receiptOf, tokenOf, WORKSPACE } from './token-samples.ts';

const at = (time: string): string => `2026-11-28T${time}Z`;

const told = (life: Partial<Life>): readonly string[] =>
  timelineOf({ token: tokenOf(), events: [], receipts: [], successor: null, predecessor: null, ...life }).map(
    ({ event, text, token, afterMs, isToCome }) =>
      [event === null ? text : plainText(event, sentenceOf(event)), token?.name, afterMs, isToCome ? 'to come' : null]
        .filter((part) => part !== null && part !== undefined)
        .join(' | '),
  );

const orderOf = (fields: Partial<Revocation> = {}): Revocation => ({
  event_id: 'revoke-1',
  workspace_uuid: WORKSPACE,
  token_id: 'token-1',
  mode: 'revoke',
  state: 'confirmed',
  result: 'revoked',
  error_code: null,
  tries: 1,
  next_try_at: null,
  received_at: at('11:00:00.000'),
  matched_at: at('11:00:00.002'),
  revoked_at: at('11:00:00.033'),
  confirmed_at: at('11:00:00.092'),
  contradicted_at: null,
  ...fields,
});

const REVOKE = {
  id: 'revoke-1',
  seq: 9,
  action: 'service_account_token.revoke',
  occurred_at: at('11:00:00.000'),
  settled_at: at('11:00:00.033'),
} as const;
const LEAK = eventOf({
  ...REVOKE,
  actor: { type: 'webhook', issuer: null, subject: 'scanner', label: null },
  detail: { delivery_id: 'delivery-1', event: 'token.leaked' },
});

describe('the life of a token', () => {
  test('tells of a leak: reported, matched, revoked, confirmed, with the milliseconds between', () => {
    const receipt = receiptOf({
      revocations: [orderOf()],
      items: [
        {
          position: 0,
          found: 'matched',
          location: 'https://example.test/x',
          workspace_uuid: WORKSPACE,
          token_id: 'token-1',
        },
      ],
    });
    const life = { token: tokenOf({ state: 'revoked' }), events: [eventOf(), LEAK], receipts: [receipt] };
    expect(told(life)).toEqual([
      'linus@example.test created deploy',
      'It was reported that its secret has leaked.',
      'It was matched to this token. | 2',
      'scanner revoked deploy, since its secret leaked | 31',
      'A later look at PipeOps confirmed it. | 59',
    ]);
    const entries = timelineOf({ ...life, successor: null, predecessor: null });
    expect(entries.map(({ notes }) => notes)).toEqual([
      [],
      ['Found at https://example.test/x'],
      [],
      ['PipeOps acknowledged the revocation.'],
      [],
    ]);
  });

  test('tells whoever may not read the receipt what the event says', () => {
    expect(told({ token: tokenOf({ state: 'revoked' }), events: [LEAK] })).toEqual([
      'scanner revoked deploy, since its secret leaked',
    ]);
  });

  test('claims nothing of an order that is not done, and tells when it is tried next', () => {
    const open = { state: 'open', result: null, revoked_at: null, confirmed_at: null } as const;
    const life = (order: Partial<Revocation>): Partial<Life> => ({
      events: [{ ...LEAK, status: 'attempted', settled_at: null }],
      receipts: [receiptOf({ event: 'token.revoke', reason: 'INC-7', revocations: [orderOf({ ...open, ...order })] })],
    });
    expect(told(life({ tries: 2, next_try_at: '2026-11-28T12:30:00.000Z' }))).toEqual([
      'Its revocation was ordered.',
      'scanner asked to revoke deploy, since its secret leaked | 0',
      'It was matched to this token. | 2',
      'It is tried again, after 2 that failed. | to come',
    ]);
    expect(told(life({ state: 'failed', contradicted_at: at('11:10:00.000') })).at(-1)).toBe(
      'A look at PipeOps contradicted it, so it is sent again.',
    );
  });

  test('orders what happened by its time, and ends with what is to come', () => {
    const successor = tokenOf({
      id: 'token-2',
      name: 'deploy',
      created_at: at('10:30:00.000'),
      replaces: 'token-1',
      create_event_id: 'create-2',
    });
    const token = tokenOf({
      state: 'retiring',
      replaced_by: 'token-2',
      retires_at: '2026-11-29T10:30:00.000Z',
      expires_at: '2026-12-28T10:00:00.000Z',
    });
    const suspended = eventOf({
      id: 'b',
      action: 'service_account_token.update',
      occurred_at: at('10:10:00.000'),
      detail: { is_active: false },
    });
    expect(told({ token, successor, events: [eventOf(), suspended] })).toEqual([
      'linus@example.test created deploy',
      'linus@example.test suspended deploy',
      'It was rotated. Its place is taken by | deploy',
      'It is revoked, since it was rotated. | to come',
    ]);
    const active = tokenOf({ expires_at: '2026-12-28T10:00:00.000Z' });
    expect(told({ token: active, events: [eventOf()] }).at(-1)).toBe('It expires. | to come');
    const expired = tokenOf({ state: 'expired', expires_at: at('10:00:30.000') });
    expect(told({ token: expired, events: [eventOf()] }).at(-1)).toBe('It expired. | 30000');
  });

  test('reads the receipts of its latest orders, each once', () => {
    const events = ['1', '2', '2', '3', '4', '5'].map((id) => eventOf({ detail: { delivery_id: id } }));
    expect(deliveriesOf([...events, eventOf()])).toEqual(['5', '4', '3', '2']);
  });
});

describe('what the inventory says', () => {
  test('has honest words for a use that nobody knows', () => {
    expect(lastUseWords({ usage: 'unknown' }).text).toBe('Not known');
    expect(lastUseWords({ usage: 'never_used' }).text).toBe('Never');
  });

  test('says why a token is suspended', () => {
    expect(stateSentence({ state: 'suspended', suspended_by: ['owner', 'leak'] })).toBe(
      'It cannot be used until it is resumed. Why it is suspended: owner, leak.',
    );
  });

  test('says how old it is by the oldest list, and what it lacks', () => {
    const one = { workspace_uuid: 'a', listed_at: at('11:00:00.000'), list_state: 'complete' } as const;
    const partial = { workspace_uuid: 'b', listed_at: at('10:00:00.000'), list_state: 'partial' } as const;
    const never = { workspace_uuid: 'c', listed_at: null, list_state: null };
    expect(knownOf([one, partial, never, one])).toEqual({
      listedAt: at('10:00:00.000'),
      lacks: [expect.stringContaining('workspace b:'), expect.stringContaining('workspace c:')],
    });
    expect(knownOf([])).toEqual({ listedAt: null, lacks: [] });
  });
});
