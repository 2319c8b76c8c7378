import { describe, expect, it } from 'vitest';
import { REVOCATION_REASON_MAX_BYTES, WEBHOOK_PROBLEMS_MAX_COUNT } from '../../../src/config/limits.ts';
import type { RequestFailure } from '../../../src/failures.ts';
import { parseReinstatement, parseRevocation } from '../../../src/revocation/callers/requests.ts';

// How the bodies of revocations and reinstatements are read.

const W = '5877a4ae-0000-4000-8000-000000000001';
const reason = 'INC-7';
const subject = { issuer: 'https://issuer.example', subject: 'lee' };
const tokens = { workspace_uuid: W, token_ids: ['a'], reason };
const leaver = { subject, reason };

describe('what is ordered', () => {
  it.each<[string, object, object]>([
    [
      'tokens, each once',
      { ...tokens, token_ids: ['a', 'b', 'a'] },
      { tokenIds: ['a', 'b'], workspaceUuid: W, reason },
    ],
    ['a workspace in its one spelling', { ...tokens, workspace_uuid: W.toUpperCase() }, { workspaceUuid: W }],
    [
      'a subject, to be revoked unless it says otherwise',
      leaver,
      { event: 'subject.offboarded', subject, mode: 'revoke' },
    ],
    ['a subject, to be suspended', { ...leaver, mode: 'suspend' }, { mode: 'suspend' }],
    ['a label', { subject: { label: 'lee@acme.example' }, reason }, { subject: { label: 'lee@acme.example' } }],
    [
      'null as absent',
      { ...leaver, token_ids: null, workspace_uuid: null, mode: null },
      { event: 'subject.offboarded', mode: 'revoke' },
    ],
    ['the longest reason', { ...tokens, reason: 'é'.repeat(250) }, { reason: 'é'.repeat(250) }],
  ])('is read: %s', (_case, body, expected) => {
    expect(parseRevocation({ ...body })).toMatchObject({ ok: true, value: expected });
  });

  it('is read of a reinstatement', () => {
    expect(parseReinstatement(leaver)).toEqual({ ok: true, value: { event: 'subject.reinstated', subject, reason } });
  });
});

type Kind = 'invalid_request' | 'validation_failed';
const secret = `sat_${'x'.repeat(40)}`;

describe('what is not', () => {
  it.each<[string, object, Kind, readonly string[]]>([
    ['nothing', {}, 'invalid_request', ['workspace_uuid', 'reason', 'token_ids']],
    ['no reason', { workspace_uuid: W, token_ids: ['a'] }, 'validation_failed', ['reason']],
    ['an empty reason', { ...tokens, reason: '' }, 'validation_failed', ['reason']],
    ['a reason of spaces', { ...tokens, reason: ' \n ' }, 'validation_failed', ['reason']],
    ['a reason with a secret', { ...tokens, reason: `leaked: ${secret}` }, 'validation_failed', ['reason']],
    ['a reason with what nobody sees', { ...tokens, reason: 'a\u200bb' }, 'validation_failed', ['reason']],
    [
      'a reason that is too long',
      { ...tokens, reason: 'x'.repeat(REVOCATION_REASON_MAX_BYTES + 1) },
      'validation_failed',
      ['reason'],
    ],
    ['a reason that is too long as JSON', { ...tokens, reason: '"'.repeat(251) }, 'validation_failed', ['reason']],
    ['no token', { ...tokens, token_ids: [] }, 'validation_failed', ['token_ids']],
    ['one token in the place of a list', { ...tokens, token_ids: 'a' }, 'validation_failed', ['token_ids']],
    ['an id that is none', { ...tokens, token_ids: ['a', '../b'] }, 'validation_failed', ['token_ids']],
    ['a secret in the place of an id', { ...tokens, token_ids: [secret] }, 'validation_failed', ['token_ids']],
    ['no workspace', { token_ids: ['a'], reason }, 'invalid_request', ['workspace_uuid']],
    ['a workspace that is none', { ...tokens, workspace_uuid: '*' }, 'invalid_request', ['workspace_uuid']],
    ['a mode for tokens', { ...tokens, mode: 'suspend' }, 'invalid_request', ['mode']],
    ['tokens and a subject', { ...tokens, subject }, 'invalid_request', ['token_ids', 'workspace_uuid']],
    ['an unknown field', { ...tokens, event: 'token.leaked' }, 'invalid_request', ['event']],
    ['an unknown mode', { ...leaver, mode: 'delete' }, 'validation_failed', ['mode']],
    ['text in the place of a subject', { subject: 'lee', reason }, 'validation_failed', ['subject']],
    ['a subject without its issuer', { subject: { subject: 'lee' }, reason }, 'validation_failed', ['subject.issuer']],
    ['an empty subject', { subject: {}, reason }, 'validation_failed', ['subject.issuer', 'subject.subject']],
    [
      'a subject and a label',
      { subject: { ...subject, label: 'x' }, reason },
      'invalid_request',
      ['subject.issuer', 'subject.subject'],
    ],
    [
      'a field of a subject that is not known',
      { subject: { ...subject, former: true }, reason },
      'invalid_request',
      ['subject.former'],
    ],
    ['a label with a secret', { subject: { label: secret }, reason }, 'validation_failed', ['subject.label']],
    [
      'a subject of two lines',
      { subject: { ...subject, subject: 'a\nb' }, reason },
      'validation_failed',
      ['subject.subject'],
    ],
  ])('is refused, and told: %s', (_case, body, kind, fields) => {
    const parsed = parseRevocation({ ...body });
    expect(parsed).toMatchObject({ ok: false, error: { kind } });
    const { errors } = (parsed as { error: Extract<RequestFailure, { errors: unknown }> }).error;
    expect(Object.keys(errors)).toEqual(fields);
    expect(JSON.stringify(errors)).not.toContain('sat_');
  });

  it.each<[string, object, Kind, readonly string[]]>([
    ['nobody', { reason }, 'validation_failed', ['subject']],
    ['a mode', { ...leaver, mode: 'revoke' }, 'invalid_request', ['mode']],
    ['no reason', { subject }, 'validation_failed', ['reason']],
  ])('is refused of a reinstatement: %s', (_case, body, kind, fields) => {
    const parsed = parseReinstatement({ ...body });
    expect(parsed).toMatchObject({ ok: false, error: { kind } });
    expect(Object.keys((parsed as { error: { errors: object } }).error.errors)).toEqual(fields);
  });

  it('is refused as a whole where it names more than a thousand tokens', () => {
    const ids = Array.from({ length: 1_001 }, () => 'a');
    expect(parseRevocation({ ...tokens, token_ids: ids })).toEqual({
      ok: false,
      error: { kind: 'too_many_tokens', maxCount: 1_000 },
    });
  });

  it('does not come back as a thousand complaints', () => {
    const parsed = parseRevocation({ workspace_uuid: W, token_ids: Array(1_000).fill('*') });
    const { errors } = (parsed as unknown as { error: { errors: Record<string, string[]> } }).error;
    expect(errors['token_ids']).toHaveLength(WEBHOOK_PROBLEMS_MAX_COUNT);
    expect(errors).toHaveProperty('reason');
  });
});
