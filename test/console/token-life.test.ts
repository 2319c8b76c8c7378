import { describe, expect, test } from 'vitest';
import type { Revocation } from '../../package/client/types.ts';
import { plainText } from '../../console/views/activity/sentence.ts';
import { deliveriesOf, type Life, timelineOf } from '../../console/views/tokens/timeline.ts';
import { knownOf, lastUseWords, stateSentence } from '../../console/views/tokens/words.ts';
import { eventOf, receiptOf, tokenOf, WORKSPACE } from './token-samples.ts';

const at = (time: string): string => `2026-11-28T${time}Z`;

const told = (life: Partial<Life>): readonly string[] =>
  timelineOf({ token: tokenOf(), events: [], receipts: [], successor: null, predecessor: null, ...life }).map(
    ({ actor, what, notes, gap, isToCome }) =>
      [
        plainText(eventOf({ actor: { ...actor, label: null } }), { what, why: null }),
        ...notes,
        gap,
        isToCome ? 'to come' : null,
      ]
        .filter((part) => part !== null)
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
const CREATED = eventOf({ token_name: 'deploy', detail: { scopes: ['api:read'] } });
const LEAK = eventOf({
  ...REVOKE,
  actor: { type: 'webhook', issuer: null, subject: 'scanner', label: null },
  detail: { delivery_id: 'delivery-1', event: 'token.leaked' },
});

describe('the life of a token', () => {
  test('tells of a leak: reported, matched, revoked, confirmed, with the milliseconds between', () => {
    const seen = { position: 0, found: 'matched', location: 'https://example.test/x' } as const;
    const receipt = receiptOf({
      revocations: [orderOf()],
      items: [{ ...seen, workspace_uuid: WORKSPACE, token_id: 'token-1' }],
    });
    const life = { token: tokenOf({ state: 'revoked' }), events: [CREATED, LEAK], receipts: [receipt] };
    expect(told(life)).toEqual([
      'linus created deploy with api:read',
      'scanner reported that its secret has leaked | Found at https://example.test/x',
      'It was matched to this token. | 2 ms',
      'PipeOps acknowledged the revocation. | 31 ms',
      'A later look at PipeOps confirmed it. | 59 ms',
    ]);
    const steps = timelineOf({ ...life, successor: null, predecessor: null });
    expect(steps.map(({ eventId }) => eventId)).toEqual(['event-1', 'revoke-1', null, null, null]);
  });

  test('tells whoever may not read the receipt what the event says', () => {
    expect(told({ token: tokenOf({ state: 'revoked' }), events: [LEAK] })).toEqual([
      'scanner reported that its secret has leaked',
      'PipeOps acknowledged the revocation. | 33 ms',
    ]);
  });

  test('tells of an order that goes on, and of one that was given up', () => {
    const waiting = orderOf({
      state: 'open',
      revoked_at: null,
      confirmed_at: null,
      tries: 2,
      error_code: 'upstream_timeout',
    });
    const open = receiptOf({ revocations: [{ ...waiting, next_try_at: at('13:00:00.000') }] });
    const events = [{ ...LEAK, status: 'attempted', settled_at: null } as const];
    expect(told({ events, receipts: [open] }).at(-1)).toBe('It is tried again (upstream_timeout). | to come');
    const failed = receiptOf({ revocations: [{ ...waiting, state: 'failed', tries: 40 }] });
    expect(told({ events, receipts: [failed] }).at(-1)).toBe(
      'It was given up after 40 tries (upstream_timeout). | 0 ms',
    );
  });

  test('orders what happened by its time, and ends with what is to come', () => {
    const successor = tokenOf({ id: 'token-2', created_at: at('10:30:00.000'), replaces: 'token-1' });
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
    expect(told({ token, successor, events: [CREATED, suspended] })).toEqual([
      'linus created deploy with api:read',
      'linus suspended token token-1',
      'linus@example.test rotated it. Its place is taken by deploy | Its secret begins with sat_mh4J3Fj',
      'It is revoked, since it was rotated. | to come',
    ]);
    const active = tokenOf({ expires_at: '2026-12-28T10:00:00.000Z' });
    expect(told({ token: active, events: [CREATED] }).at(-1)).toBe('It expires. | to come');
    const expired = tokenOf({ state: 'expired', expires_at: at('10:00:30.000') });
    expect(told({ token: expired, events: [CREATED] }).at(-1)).toBe('It expired. | 30 s');
  });

  test('begins the life of a successor with the token whose place it took', () => {
    const predecessor = tokenOf({ id: 'token-0', name: 'old' });
    const events = [eventOf({ detail: { replaces: 'token-0' } })];
    expect(told({ events, predecessor })).toEqual(['linus minted it to take the place of old']);
  });

  test('says of a failure why, as Activity does', () => {
    const failed = eventOf({ ...REVOKE, token_name: 'deploy', status: 'failure', error_code: 'upstream_timeout' });
    expect(told({ events: [failed] })).toEqual([expect.stringMatching(/^linus tried to revoke deploy \| .*PipeOps/)]);
  });

  test('says that a token without events is known from a time on', () => {
    expect(told({})).toEqual(['It is known from here on.']);
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
      'It cannot be used until it is resumed: its owner suspended it, and its secret was reported as leaked.',
    );
  });

  test('says how old it is by the oldest list, and what it lacks', () => {
    const one = { workspace_uuid: 'a', listed_at: at('11:00:00.000'), list_state: 'complete' } as const;
    const partial = { workspace_uuid: 'b', listed_at: at('10:00:00.000'), list_state: 'partial' } as const;
    const never = { workspace_uuid: 'c', listed_at: null, list_state: null };
    expect(knownOf([one, partial, never, one])).toEqual({
      listedAt: at('10:00:00.000'),
      lacks: [expect.stringContaining('a part of workspace b'), expect.stringContaining('never asked')],
    });
    expect(knownOf([])).toEqual({ listedAt: null, lacks: [] });
  });
});
