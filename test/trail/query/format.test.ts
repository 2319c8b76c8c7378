import { expect, it } from 'vitest';
import type { AuditEventRow } from '../../../src/db/schema.ts';
import { attemptedRow, eventSubject, finalRow } from '../../../src/trail/event.ts';
import { csvCell, presentEvent, presentLifeEvent, presentOwnEvent } from '../../../src/trail/query/format.ts';

// What an event shows to whom, apart from D1.

const ALICE = { issuer: 'https://issuer.example', subject: 'alice' };
const ORIGIN = { requestId: 'r-1', ip: '203.0.113.9', userAgent: 'curl', policyVersion: '0123456789abcdef' };
const SUBJECT = eventSubject(
  'service_account_token.get',
  { type: 'user', ...ALICE, label: null },
  { tokenId: 'tok-1' },
);
const open: AuditEventRow = { ...attemptedRow('event-1', 0, ORIGIN, SUBJECT), seq: 1 };
const settled = (errorCode: 'not_found' | 'upstream_error'): AuditEventRow => ({
  ...finalRow('event-1', 0, ORIGIN, SUBJECT, { status: 'failure', upstreamStatus: 404, errorCode, detail: {} }),
  seq: 1,
});

it('an event is settled at a time, or not yet', () => {
  expect(presentEvent(open).settled_at).toBeNull();
  expect(presentEvent(settled('not_found'))).toMatchObject({
    settled_at: '1970-01-01T00:00:00.000Z',
    upstream_status: 404,
  });
});

it('whoever was told that there is no such token does not learn whether PipeOps was asked', () => {
  expect(presentOwnEvent(settled('not_found')).upstream_status).toBeNull();
  expect(presentOwnEvent(settled('upstream_error')).upstream_status).toBe(404);
});

it.each([
  ['its own', ALICE, { request_id: 'r-1', ip: '203.0.113.9', user_agent: 'curl' }],
  ['that of another', { ...ALICE, subject: 'bob' }, { request_id: null, ip: null, user_agent: null }],
  [
    'that of another issuer’s',
    { ...ALICE, issuer: 'https://other.example' },
    { request_id: null, ip: null, user_agent: null },
  ],
])('a token’s life shows to a caller from where an event came, if it is %s', (_case, reader, shown) => {
  expect(presentLifeEvent(settled('upstream_error'), reader)).toMatchObject({ ...shown, actor: ALICE });
});

it('text in a cell that looks like an escaped character is told from one that is', () => {
  expect(csvCell(String.raw`a\u0009b`)).toBe(String.raw`"a\u005cu0009b"`);
  expect(csvCell('a\tb')).toBe(String.raw`"a\u0009b"`);
});

it.each([
  ['=1+1', `"'=1+1"`],
  ["'=1+1", `"''=1+1"`],
  ['deploy;@sum', `"deploy;'@sum"`],
  ['deploy', 'deploy'],
])('text in a cell that might begin a formula is kept from being one: %s', (text, cell) => {
  expect(csvCell(text)).toBe(cell);
});
