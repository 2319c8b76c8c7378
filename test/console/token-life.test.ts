import { describe, expect, test } from 'vitest';
import type { AuditEvent, Revocation } from '../../package/client/types.ts';
import { outcomeWords, progressOf, receiptTitle } from '../../console/views/tokens/receipts.ts';
import { deliveriesOf, type Life, timelineOf } from '../../console/views/tokens/timeline.ts';
import { knownOf, lastUseWords, stateSentence } from '../../console/views/tokens/words.ts';
import { eventOf, LINUS, receiptOf, tokenOf, WORKSPACE } from './token-samples.ts';

const NOW_MS = Date.parse('2026-11-28T12:00:00.000Z');
const at = (time: string): string => `2026-11-28T${time}Z`;

const told = (life: Partial<Life>, nowMs = NOW_MS): readonly string[] =>
  timelineOf({ token: tokenOf(), events: [], receipts: [], successor: null, predecessor: null, ...life }, nowMs).map(
    ({ actor, text, token, gap, isToCome }) =>
      [actor?.subject ?? actor?.type, text, token?.name ?? token?.id, gap, isToCome ? 'to come' : null]
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
      'linus | minted it',
      'scanner | reported that its secret has leaked',
      'It was matched to this token. | 2 ms',
      'PipeOps acknowledged the revocation. | 31 ms',
      'A later look at PipeOps confirmed it. | 59 ms',
    ]);
    const steps = timelineOf({ ...life, successor: null, predecessor: null }, NOW_MS);
    expect(steps[1]?.notes).toEqual(['Found at https://example.test/x']);
    expect(steps.map(({ eventId }) => eventId)).toEqual(['event-1', 'revoke-1', null, null, null]);
  });

  test('tells whoever may not read the receipt what the event says', () => {
    expect(told({ token: tokenOf({ state: 'revoked' }), events: [LEAK] })).toEqual([
      'scanner | reported that its secret has leaked',
      'PipeOps acknowledged the revocation. | 33 ms',
    ]);
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
      'linus | minted it',
      'linus | suspended it',
      'linus | rotated it. Its place is taken by | deploy',
      'It is revoked, since it was rotated. | to come',
    ]);
    const active = tokenOf({ expires_at: '2026-12-28T10:00:00.000Z' });
    expect(told({ token: active, events: [eventOf()] }).at(-1)).toBe('It expires. | to come');
    const expired = tokenOf({ state: 'expired', expires_at: at('10:00:30.000') });
    expect(told({ token: expired, events: [eventOf()] }).at(-1)).toBe('It expired. | 30.0 s');
  });

  const update = (detail: AuditEvent['detail'], fields: Partial<AuditEvent> = {}): Partial<AuditEvent> => ({
    action: 'service_account_token.update',
    detail,
    ...fields,
  });
  const system = { type: 'system', issuer: null, subject: null, label: null } as const;
  test.each([
    [{ detail: { replaces: 'token-0' } }, ['linus | minted it to take the place of | token-0']],
    [
      update({ name: true, scopes: ['a', 'b'] }, { token_name: 'new' }),
      ['linus | renamed it to new, and set its scopes to a, b'],
    ],
    [update({ description_sha256: 'x' }), ['linus | changed its description']],
    [update({ is_active: true }), ['linus | resumed it']],
    [
      update({ is_active: true, still_suspended_by: ['offboarding'] }),
      ['linus | resumed it; other reasons keep it suspended (offboarding)'],
    ],
    [update({ is_active: false, unused: {} }, { actor: system }), ['system | suspended it, since nobody uses it']],
    [
      { action: 'service_account_token.expiring', actor: system, detail: { days: 7 } },
      ['system | noticed that it expires in 7 days'],
    ],
    [
      { ...REVOKE, actor: system, detail: { replaced_by: 'token-2' } },
      [
        'system | asked for its revocation, since its successor has taken its place',
        'PipeOps acknowledged the revocation. | 33 ms',
      ],
    ],
    [
      { ...REVOKE, detail: { already_gone: true } },
      ['linus | asked for its revocation', 'It was gone already. | 33 ms'],
    ],
    [
      { ...REVOKE, settled_at: null, status: 'attempted' },
      ['linus | asked for its revocation', 'What became of that is not known yet. | 0 ms'],
    ],
    [
      { ...REVOKE, status: 'failure', error_code: 'upstream_timeout' },
      ['linus | asked for its revocation', 'That failed (upstream_timeout). | 33 ms'],
    ],
    [{ error_code: 'appeared_upstream' }, ['A list of PipeOps showed it. Nobody made it through this service.']],
    [{ ...REVOKE, error_code: 'gone_upstream' }, ['It is gone at PipeOps. Nobody revoked it through this service.']],
  ] satisfies readonly (readonly [Partial<AuditEvent>, readonly string[]])[])(
    'says %j in words',
    (fields, sentences) => {
      expect(told({ token: tokenOf({ owner: LINUS }), events: [eventOf(fields)] })).toEqual(sentences);
    },
  );

  test('reads the receipts of its latest orders, each once', () => {
    const events = ['1', '2', '2', '3', '4', '5'].map((id) => eventOf({ detail: { delivery_id: id } }));
    expect(deliveriesOf([...events, eventOf()])).toEqual(['5', '4', '3', '2']);
  });
});

describe('a receipt', () => {
  test.each([
    [{ open: 0, acknowledged: 0, confirmed: 2, failed: 0 }, undefined, true, 2, 'Of 2 tokens: 2 confirmed.'],
    [
      { open: 1, acknowledged: 1, confirmed: 1, failed: 1 },
      undefined,
      false,
      2,
      'Of 4 tokens: 1 confirmed, 1 acknowledged by PipeOps, and not looked at yet, 1 not acknowledged yet, 1 failed.',
    ],
    [
      { open: 0, acknowledged: 0, confirmed: 1, failed: 0 },
      true,
      false,
      1,
      'Of 1 token: 1 confirmed. More orders are still to be made.',
    ],
    [{ open: 0, acknowledged: 0, confirmed: 0, failed: 0 }, undefined, true, 0, 'No token is ordered to go.'],
  ] as const)('tells how far %j is', (orders, isMore, isOver, done, sentence) => {
    expect(progressOf({ orders, orders_left: isMore })).toMatchObject({ isOver, done, sentence });
  });

  test.each([
    [{ event: 'token.revoke' }, 'Revocation of 1 token'],
    [{ event: 'subject.offboarded', subject: { label: 'kim@acme.example' } }, 'Offboarding of kim@acme.example'],
    [
      { event: 'subject.offboarded', subject: { issuer: 'i', subject: 'kim' }, mode: 'suspend' },
      'Offboarding of kim, by suspension',
    ],
    [{ event: 'subject.reinstated', subject: { label: 'kim' } }, 'Reinstatement of kim'],
  ] as const)('is headed by what it is about: %j', (fields, title) => {
    expect(receiptTitle(receiptOf(fields))).toBe(title);
  });

  test.each([
    [{}, 'It was revoked after 33 ms, confirmed after 59 ms.'],
    [{ state: 'acknowledged', confirmed_at: null }, 'It was revoked after 33 ms.'],
    [{ result: 'not_found', revoked_at: null }, 'PipeOps has no such token, confirmed after 92 ms.'],
    [{ state: 'open', result: null, tries: 0 }, 'Not sent yet.'],
    [{ state: 'open', result: null, tries: 2, error_code: 'upstream_timeout' }, 'Tried 2 times (upstream_timeout).'],
    [
      { state: 'failed', tries: 40, error_code: 'workspace_unavailable' },
      'Given up after 40 tries (workspace_unavailable).',
    ],
  ] as const)('says of an order %j what became of it', (fields, words) => {
    expect(outcomeWords(orderOf(fields))).toBe(words);
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
