import { describe, expect, it } from 'vitest';
import {
  answerLines,
  callerLines,
  requestLine,
  revocationLines,
  shown,
  tableLines,
} from '../../../commands/demo/text.ts';
import { event } from '../audit/trail-server.ts';

describe('what the demo shows', () => {
  it.each([
    ['a secret', 'is sat_abcDEF-_123.', 'is sat_abc….'],
    ['two secrets', 'sat_abcd sat_wxyz', 'sat_abc… sat_wxy…'],
    ['a prefix that is none', 'sat_abc', 'sat_abc'],
    ['a command to the terminal', 'a\u001b[2J\nb', 'a\ufffd[2J\ufffdb'],
  ])('of %s', (_name, text, line) => {
    expect(shown(text)).toBe(line);
  });

  it('of a request is one line, with its body and without its secret', () => {
    expect(requestLine('POST', '/webhooks/scanner', { token: 'sat_0123456789' })).toBe(
      '   > POST /webhooks/scanner  {"token":"sat_012…"}',
    );
    expect(requestLine('GET', '/api/v1/whoami')).toBe('   > GET /api/v1/whoami');
  });

  it('of an answer begins with its status, and goes on below it', () => {
    expect(answerLines(200, ['one', 'two'])).toEqual(['   < 200  one', '          two']);
  });

  const role = { name: 'ci', permissions: ['tokens:create'], tokens: 'own', scopes: ['api:read'] };
  it.each([
    [{ ...role, max_ttl_seconds: 2_592_000 }, 'its own tokens, with at most api:read, for at most 30 days.'],
    [{ ...role, max_ttl_seconds: 43_200 }, 'its own tokens, with at most api:read, for at most 0.5 days.'],
    [{ ...role, tokens: 'any', scopes: [], max_ttl_seconds: null }, 'any token, with no scope, without an end.'],
  ])('of a role is what it allows', (whole, reach) => {
    expect(callerLines('local-ci', whole)).toEqual([
      'You are local-ci, in the role "ci": tokens:create.',
      `It reaches ${reach}`,
    ]);
  });

  it.each([
    [
      '2026-11-24T03:34:09.313Z',
      [
        'Confirmed: PipeOps revoked token tok-0123… 12 ms after the report arrived,',
        'and a list that was read after that agrees.',
      ],
    ],
    [null, ['Confirmed: token tok-0123… is revoked at PipeOps.']],
  ])('of a revocation is how long it took, where that is known', (revoked_at, lines) => {
    const received_at = '2026-11-24T03:34:09.301Z';
    expect(revocationLines({ token_id: 'tok-0123456789', received_at, revoked_at })).toEqual(lines);
  });

  it('of the trail is a table of the time of day, with short ids', () => {
    const events = [event(1, { token_id: 'a6277f55-42a9-4276-8873-83aaee0f4a8a' }), event(2, { token_id: null })];
    expect(tableLines(events, 100)).toEqual([
      '     TIME      ACTION                        STATUS   ACTOR  TOKEN      CODE',
      '     03:34:09  service_account_token.revoke  success  alice  a6277f55…',
      '     03:34:09  service_account_token.revoke  success  alice',
    ]);
    expect(tableLines(events, 60).map((line) => line.length <= 60)).toEqual([true, true, true]);
  });
});
