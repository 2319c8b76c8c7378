import { describe, expect, it } from 'vitest';
import { isTold } from '../../console/views/activity/deeds.ts';
import { inSecondPerson, plainText, sentenceOf } from '../../console/views/activity/sentence.ts';
import { whyOf } from '../../console/views/activity/why.ts';
import type { Actor, AuditEvent } from '../../package/client/types.ts';
import { AUDIT_ACTIONS, AUDIT_STATUSES, type AuditAction, ERROR_CODES } from '../../src/vocabulary.ts';

const ISSUER = 'https://issuer.example';
const CI: Actor = { type: 'service_account', issuer: ISSUER, subject: 'local-ci', label: null };
const SCANNER: Actor = { type: 'webhook', issuer: null, subject: 'scanner', label: null };
const SYSTEM: Actor = { type: 'system', issuer: null, subject: null, label: null };
const TOKEN = {
  token_id: '37b2ac43-0000-4000-8000-000000000001',
  workspace_uuid: '5877a4ae-0000-4000-8000-000000000001',
};
const NAMED = { ...TOKEN, token_name: 'deploy' };
const KIM = { issuer: ISSUER, subject: 'kim' };
const DELIVERY = 'd363b1af-9831-43ea-8565-0260abff767c';
const EVENT = '1c1df53b-bead-4ee6-a8c7-5b9e06c58b7a';
const POLICY = '39f58f41d4ed78ee';

const event = (action: string, about: Partial<AuditEvent> = {}): AuditEvent => ({
  id: EVENT,
  seq: 1,
  occurred_at: '2026-11-28T21:13:44.229Z',
  settled_at: null,
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a newer service may have others
  action: action as AuditAction,
  status: 'success',
  count: 1,
  last_at: '2026-11-28T21:13:44.229Z',
  actor: CI,
  workspace_uuid: null,
  token_id: null,
  token_name: null,
  request_id: null,
  ip: null,
  user_agent: null,
  upstream_status: null,
  error_code: null,
  ...about,
  detail: { ...about.detail, policy: POLICY },
});

/** What is said of an event, why included. */
const told = (action: string, about: Partial<AuditEvent> = {}): string => {
  const of = event(action, about);
  const sentence = sentenceOf(of);
  return [plainText(of, sentence), ...(sentence.why === null ? [] : [sentence.why])].join('. ');
};
const failed = (code: AuditEvent['error_code'], about: Partial<AuditEvent> = {}) =>
  ({ status: 'failure', error_code: code, ...about }) as const;

const CREATE = 'service_account_token.create';
const UPDATE = 'service_account_token.update';
const REVOKE = 'service_account_token.revoke';

describe('an event of a token is told as what it records', () => {
  it.each<[string, string, Partial<AuditEvent>]>([
    [
      'local-ci created deploy with api:read, until 2026-12-28',
      CREATE,
      { ...NAMED, detail: { scopes: ['api:read'], expires_at: '2026-12-28T21:13:44Z', role: 'ci' } },
    ],
    [
      'local-ci created deploy with the preset ops and api:read',
      CREATE,
      { ...NAMED, detail: { preset: 'ops', scopes: ['api:read'] } },
    ],
    ['local-ci created deploy with a, b and c', CREATE, { ...NAMED, detail: { scopes: ['a', 'b', 'c'] } }],
    [
      'local-ci tried to create demo-admin with api:full. Denied: no role of theirs allows these scopes.',
      CREATE,
      failed('forbidden', { token_name: 'demo-admin', detail: { scopes: ['api:full'], reason: 'scopes' } }),
    ],
    [
      // Whoever reads only what it did itself is not told the reason.
      'local-ci tried to create deploy. Denied: no role of theirs allows all of it.',
      CREATE,
      failed('forbidden', { token_name: 'deploy' }),
    ],
    [
      'local-ci asked to create deploy. It is not known yet what became of it.',
      CREATE,
      { status: 'attempted', token_name: 'deploy' },
    ],
    [
      'local-ci tried to create deploy. Its secret reached nobody, so its token is revoked.',
      CREATE,
      failed('undelivered', { ...NAMED, detail: { settled_by: 'reconciliation' } }),
    ],
    [
      'local-ci got deploy again, by repeating the request that created it',
      CREATE,
      { ...NAMED, detail: { idempotent_of: EVENT } },
    ],
    [
      'local-ci created deploy. PipeOps made something else than was asked for.',
      CREATE,
      { ...NAMED, detail: { came: { scopes: [] } } },
    ],
    [
      'local-ci rotated deploy; another token takes its place',
      CREATE,
      { ...NAMED, detail: { replaces: 'old', overlap_seconds: 60 } },
    ],
    [
      'local-ci tried to rotate deploy. It cannot be rotated: suspended.',
      CREATE,
      failed('not_rotatable', { token_name: 'deploy', detail: { replaces: 'old', reason: 'suspended' } }),
    ],
    [
      'deploy appeared at PipeOps. Nobody made it through Countersign.',
      CREATE,
      { ...NAMED, actor: SYSTEM, error_code: 'appeared_upstream' },
    ],
    [
      'token 37b2ac43 is at PipeOps after all. It was taken for gone, since two looks had not shown it.',
      CREATE,
      { ...TOKEN, actor: SYSTEM, error_code: 'reappeared_upstream' },
    ],
    ['local-ci listed tokens 12 times', 'service_account_token.list', { count: 12 }],
    ['local-ci looked at token 37b2ac43', 'service_account_token.get', TOKEN],
    ['local-ci read the life of token 37b2ac43', 'service_account_token.get', { ...TOKEN, detail: { life: true } }],
    [
      'local-ci tried to look at token 37b2ac43. Denied: no role of theirs may read this token. They were told that there is none.',
      'service_account_token.get',
      failed('not_found', { ...TOKEN, detail: { reason: 'not_readable' } }),
    ],
    ['local-ci renamed a token to deploy', UPDATE, { ...NAMED, detail: { name: true } }],
    ['local-ci suspended token 37b2ac43', UPDATE, { ...TOKEN, detail: { is_active: false } }],
    ['local-ci resumed token 37b2ac43', UPDATE, { ...TOKEN, detail: { is_active: true, lifted: ['owner'] } }],
    [
      'local-ci lifted a reason of the suspension of token 37b2ac43; it stays suspended by leak',
      UPDATE,
      { ...TOKEN, detail: { is_active: true, lifted: ['owner'], still_suspended_by: ['leak'] } },
    ],
    ['local-ci gave token 37b2ac43 other scopes: api:read', UPDATE, { ...TOKEN, detail: { scopes: ['api:read'] } }],
    ['local-ci described token 37b2ac43 anew', UPDATE, { ...TOKEN, detail: { description_sha256: 'ab' } }],
    ['local-ci changed deploy with api:read', UPDATE, { ...NAMED, detail: { name: true, scopes: ['api:read'] } }],
    [
      'Countersign suspended token 37b2ac43, which nobody uses',
      UPDATE,
      { ...TOKEN, actor: SYSTEM, detail: { is_active: false, unused: { role: 'ci' } } },
    ],
    [
      'Countersign began to suspend token 37b2ac43, to undo a change that came too late. It is not known yet what became of it.',
      UPDATE,
      { ...TOKEN, actor: SYSTEM, status: 'attempted', detail: { is_active: false, overtaken: EVENT } },
    ],
    [
      'token 37b2ac43 is still active at PipeOps, which had acknowledged its suspension. It is ordered again.',
      UPDATE,
      failed('revocation_contradicted', { ...TOKEN, actor: SYSTEM, detail: { order_id: EVENT } }),
    ],
    ['local-ci revoked token 37b2ac43', REVOKE, TOKEN],
    [
      'local-ci revoked token 37b2ac43. The answer was lost; PipeOps’ own data shows it.',
      REVOKE,
      { ...TOKEN, detail: { settled_by: 'reconciliation' } },
    ],
    ['local-ci found token 37b2ac43 gone already', REVOKE, { ...TOKEN, detail: { already_gone: true } }],
    [
      'scanner revoked token 37b2ac43, since its secret leaked',
      REVOKE,
      { ...TOKEN, actor: SCANNER, detail: { delivery_id: DELIVERY, event: 'token.leaked', tries: 1 } },
    ],
    [
      'scanner tried to revoke token 37b2ac43, since its owner was offboarded. PipeOps answered 404 for the whole workspace for three days.',
      REVOKE,
      failed('workspace_unavailable', {
        ...TOKEN,
        actor: SCANNER,
        detail: { delivery_id: DELIVERY, event: 'subject.offboarded' },
      }),
    ],
    [
      'Countersign revoked token 37b2ac43, which its successor has replaced',
      REVOKE,
      { ...TOKEN, actor: SYSTEM, detail: { replaced_by: '6804ed08-8f4b' } },
    ],
    [
      'Countersign revoked token 37b2ac43, since its secret reached nobody',
      REVOKE,
      { ...TOKEN, actor: SYSTEM, detail: { undelivered_create: EVENT } },
    ],
    [
      'Countersign revoked token 37b2ac43, which came back',
      REVOKE,
      { ...TOKEN, actor: SYSTEM, detail: { reappeared: true } },
    ],
    ['Countersign revoked token 37b2ac43 after all', REVOKE, { ...TOKEN, actor: SYSTEM, detail: { order_id: EVENT } }],
    [
      'token 37b2ac43 is gone from PipeOps. Nobody revoked it through Countersign.',
      REVOKE,
      { ...TOKEN, actor: SYSTEM, error_code: 'gone_upstream' },
    ],
    [
      'token 37b2ac43 is still alive at PipeOps, which had acknowledged its revocation. It is ordered again.',
      REVOKE,
      failed('revocation_contradicted', { ...TOKEN, actor: SYSTEM }),
    ],
    [
      'short of kim expires within 7 days',
      'service_account_token.expiring',
      { ...NAMED, token_name: 'short', actor: SYSTEM, detail: { days: 7, owner: KIM } },
    ],
  ])('%s', (sentence, action, about) => {
    expect(told(action, about)).toBe(sentence);
  });
});

describe('any other event is told as what it records', () => {
  it.each<[string, string, Partial<AuditEvent>]>([
    ['local-ci read the trail', 'audit.query', { detail: { limit: 50 } }],
    [
      'local-ci read the trail for action:audit.* code:forbidden',
      'audit.query',
      { detail: { action: ['audit.*'], code: 'forbidden' } },
    ],
    ['local-ci read an event of the trail 2 times', 'audit.query', { count: 2, detail: { event_id: EVENT } }],
    [
      'local-ci exported the trail as csv for status:failure',
      'audit.export',
      { detail: { format: 'csv', status: 'failure' } },
    ],
    ['local-ci counted events by day', 'audit.count', { detail: { by: 'day' } }],
    [
      'Countersign learned that an attempt (service_account_token.create) on deploy failed (undelivered)',
      'audit.settled',
      {
        ...NAMED,
        actor: SYSTEM,
        detail: { event_id: EVENT, action: CREATE, status: 'failure', error_code: 'undelivered' },
      },
    ],
    [
      'A stranger tried to call the service. The JWT was not accepted: signature invalid.',
      'auth.reject',
      failed('invalid_token', { actor: SYSTEM, detail: { reason: 'signature_invalid' } }),
    ],
    ['local-ci tried to call the service. The policy gives them no role.', 'auth.reject', failed('no_role')],
    [
      'scanner tried to deliver a webhook. The delivery was not accepted: timestamp stale.',
      'auth.reject',
      failed('invalid_signature', { actor: SCANNER, detail: { reason: 'timestamp_stale' } }),
    ],
    [
      'local-ci tried to look at the health of the service 3 more times that minute. Denied: no role of theirs allows all of it.',
      'status.read',
      failed('forbidden', { count: 3, detail: { further: true } }),
    ],
    ['local-ci tried to list their workspaces. They were offboarded.', 'workspace.list', failed('subject_blocked')],
    ['local-ci looked through the inventory of tokens', 'inventory.query', {}],
    [
      'scanner reported leaked tokens',
      'webhook.receive',
      { actor: SCANNER, detail: { delivery_id: DELIVERY, event: 'token.leaked' } },
    ],
    [
      'scanner tried to report that somebody left. The policy does not let its source send this.',
      'webhook.receive',
      failed('event_not_allowed', { actor: SCANNER, detail: { event: 'subject.offboarded' } }),
    ],
    ['local-ci looked at a delivery', 'webhook.query', { detail: { delivery_id: DELIVERY } }],
    ['local-ci listed deliveries of webhooks', 'webhook.query', { detail: { limit: 50 } }],
    ['local-ci retried a delivery: 1 revocation', 'webhook.retry', { detail: { delivery_id: DELIVERY, retried: 1 } }],
    [
      'local-ci retried a delivery, of which nothing was left',
      'webhook.retry',
      { detail: { delivery_id: DELIVERY, retried: 0 } },
    ],
    [
      'scanner offboarded kim, whose tokens are to be revoked',
      'subject.block',
      { actor: SCANNER, detail: { ...KIM, mode: 'revoke' } },
    ],
    [
      'local-ci offboarded kim@acme.example, whose tokens are to be suspended',
      'subject.block',
      { detail: { label: 'kim@acme.example', mode: 'suspend' } },
    ],
    [
      'local-ci reinstated kim; another block still stands',
      'subject.reinstate',
      { detail: { ...KIM, blocks_lifted: 1, still_blocked: true } },
    ],
    ['local-ci reinstated kim, whom nothing blocked', 'subject.reinstate', { detail: { ...KIM, blocks_lifted: 0 } }],
    ['local-ci looked through the owners of tokens', 'subject.query', {}],
    [
      'local-ci ordered the revocation of 3 tokens. “the laptop was stolen”',
      'revocation.order',
      { detail: { tokens: 3, reason: 'the laptop was stolen' } },
    ],
    ['local-ci ordered the offboarding of kim. “left”', 'revocation.order', { detail: { ...KIM, reason: 'left' } }],
    [
      // The reason of a refusal is the name of why it is refused.
      'local-ci tried to order the revocation of 1 token. Denied: no role of theirs allows it in this workspace.',
      'revocation.order',
      failed('forbidden', { detail: { tokens: 1, reason: 'workspace' } }),
    ],
    [
      'Countersign renewed the admin credential, since PipeOps refused it',
      'credential.renew',
      { actor: SYSTEM, detail: { because: 'refused', counter: 2 } },
    ],
    [
      'Countersign tried to renew the admin credential. Nobody could find out what became of it. A person decides.',
      'credential.renew',
      failed('outcome_unknown', { actor: SYSTEM, detail: { because: 'due' } }),
    ],
    ['local-ci signed in', 'session.start', {}],
    [
      'local-ci started a new log of the trail. “D1 was restored”',
      'trail.resume',
      { detail: { log: 2, because: 'rolled_back', reason: 'D1 was restored' } },
    ],
    ['Countersign ended a session of the console', 'session.end', { actor: SYSTEM }],
    ['local-ci did approval.grant', 'approval.grant', {}],
    ['local-ci tried to do approval.grant. Quota used.', 'approval.grant', failed('quota_used' as 'forbidden')],
  ])('%s', (sentence, action, about) => {
    expect(told(action, about)).toBe(sentence);
  });
});

it.each([
  [
    'Denied: no role of theirs may read this token. They were told that there is none.',
    'Denied: no role of yours may read this token. You were told that there is none.',
  ],
  [
    'Denied: they hold 3 live tokens, as many as their roles allow.',
    'Denied: you hold 3 live tokens, as many as your roles allow.',
  ],
  ['The policy gives them no role.', 'The policy gives you no role.'],
  ['PipeOps failed.', 'PipeOps failed.'],
])('whoever did it is told of it in the second person: %s', (words, said) => {
  expect(inSecondPerson(words)).toBe(said);
});

describe('every action', () => {
  it('has words of its own', () => {
    expect(AUDIT_ACTIONS.filter((action) => !isTold(action))).toEqual([]);
  });

  it.each(AUDIT_ACTIONS.flatMap((action) => AUDIT_STATUSES.map((status) => [action, status] as const)))(
    'is told whatever its row lacks: %s, %s',
    (action, status) => {
      const words = told(action, { status, ...(status === 'failure' && { error_code: 'forbidden' }) });
      expect(words).toMatch(/^\S.*\S$/);
      expect(words).not.toMatch(/undefined|null|\s\s|\s[.,]/);
    },
  );

  it('has every reason in words', () => {
    for (const code of ERROR_CODES) {
      const why = whyOf(event(CREATE, failed(code)));
      expect([code, why]).toEqual([code, expect.stringMatching(/^[A-Z].*\.$/)]);
      expect(why).not.toContain(code.includes('_') ? code : '\n');
    }
  });
});
