import { describe, expect, it } from 'vitest';
import { createProblems, type Problems } from '../../src/kit/problems.ts';
import { toWireError } from '../../src/http/wire-errors.ts';
import { createWebhookHarness } from '../revocation/harness.ts';
import { TOKENS } from '../support/harness.ts';

// PipeOps' own clients show only the `message` of a failure.

const EVENTS = '/api/v1/audit/events';
const EXPORT = '/api/v1/audit/export';
const DELIVERIES = '/api/v1/webhooks/deliveries';
const GOOD = { name: 'deploy', scopes: ['api:read'] };

const harness = await createWebhookHarness();

const UNACCEPTABLE: readonly (readonly [name: string, method: string, path: string, body: unknown, message: string])[] =
  [
    ['a create without a scope', 'POST', TOKENS, { name: 'x' }, 'scopes: name at least one scope or a preset.'],
    [
      'a create with null scopes, as the CLI sends it',
      'POST',
      TOKENS,
      { name: 'x', scopes: null },
      'scopes: name at least one scope or a preset.',
    ],
    ['a create without a name', 'POST', TOKENS, { scopes: ['api:read'] }, 'name: give the token a name.'],
    [
      'a time that nobody can read',
      'POST',
      TOKENS,
      { ...GOOD, expires_at: 'soon' },
      'expires_at: use a time in RFC 3339, such as "2030-01-31T12:00:00Z".',
    ],
    [
      'an update that changes nothing',
      'PATCH',
      `${TOKENS}/tok-1`,
      {},
      'body: name at least one change: name, description, scopes or is_active.',
    ],
    [
      'an update with a word for a flag',
      'PATCH',
      `${TOKENS}/tok-1`,
      { is_active: 'no' },
      'is_active: use true or false.',
    ],
    [
      'a query for a secret',
      'GET',
      `${EVENTS}?actor=sat_abcdefghijklmnop`,
      undefined,
      'actor: leave out what looks like a token or a JWT: what is asked for is stored.',
    ],
  ];

const MISUNDERSTOOD: typeof UNACCEPTABLE = [
  ['an unknown parameter of a list', 'GET', `${TOKENS}?page=2`, undefined, 'page: unknown parameter. Known: '],
  ['an unknown field of a create', 'POST', TOKENS, { ...GOOD, owner: 'me' }, 'owner: unknown field. Known: name, '],
  ['a workspace that is none', 'GET', `${TOKENS}?workspace_uuid=%20`, undefined, 'workspace_uuid: use the id of a'],
  ['a bad id of a token', 'DELETE', `${TOKENS}/a%20b`, undefined, 'id: use the id of a token, as a create or'],
  ['a limit that is too high', 'GET', `${EVENTS}?limit=9999`, undefined, 'limit: use a whole number from 1 to 200.'],
  ['a bad id of an event', 'GET', `${EVENTS}/x`, undefined, 'id: use the id of an event'],
  ['a format that is none', 'GET', `${EXPORT}?format=xml`, undefined, 'format: use one of: ndjson, csv.'],
  ['an unknown parameter of an export', 'GET', `${EXPORT}?limit=1`, undefined, 'limit: unknown parameter. Known: '],
  ['a bad cursor of deliveries', 'GET', `${DELIVERIES}?cursor=x`, undefined, 'cursor: use "next_cursor" of an'],
  ['a bad id of a delivery', 'GET', `${DELIVERIES}/x`, undefined, 'id: use the id of a delivery'],
  ['a parameter of whoami', 'GET', '/api/v1/whoami?x=1', undefined, 'x: unknown parameter. Known: none.'],
  ['a parameter of a probe', 'GET', '/healthz?x=1', undefined, 'x: unknown parameter. Known: none.'],
];

describe('the message of a 422 is its first problem', () => {
  it.each(UNACCEPTABLE)('%s', async (_name, method, path, body, message) => {
    const answer = await harness.send(method, path, { body });
    expect([answer.status, answer.body.message]).toEqual([422, message]);
    const field = message.slice(0, message.indexOf(':'));
    expect(Object.keys(answer.body.errors)[0]).toBe(field);
  });
});

describe('the message of a 400 is its first problem', () => {
  it.each(MISUNDERSTOOD)('%s', async (_name, method, path, body, beginning) => {
    const answer = await harness.send(method, path, { body });
    expect(answer.status).toBe(400);
    expect(answer.body.message.slice(0, beginning.length)).toBe(beginning);
  });

  it('of a key that is none', async () => {
    const headers = { 'Idempotency-Key': 'two words' };
    const answer = await harness.send('POST', TOKENS, { body: GOOD, headers });
    expect([answer.status, answer.body.message]).toEqual([
      400,
      expect.stringMatching(/^Idempotency-Key: send it once: 1 to 255 visible ASCII characters/),
    ]);
  });

  it('of a webhook whose signature is good', async () => {
    const answer = await harness.sendEvent('scanner', 'token.revoke', { token_id: 7 });
    expect([answer.status, answer.body.message]).toEqual([400, 'data.token_id: use text.']);
  });
});

it('everything that is wrong stands in "errors", the first too', async () => {
  const answer = await harness.send('POST', TOKENS, { body: { name: '', scopes: [], expires_in: 'x' } });
  expect(answer.body.message).toBe('name: give the token a name.');
  expect(Object.keys(answer.body.errors).toSorted()).toEqual(['expires_in', 'name', 'scopes']);
});

describe('of several problems', () => {
  const wire = (report: (problems: Problems) => void) => {
    const problems = createProblems();
    report(problems);
    return toWireError(problems.failure());
  };

  it('what makes the request a 400 is told first, whatever was found before it', () => {
    const { status, message, errors } = wire((problems) => {
      problems.unacceptable('name', 'Give the token a name.');
      problems.misunderstood('owner', 'Unknown field. Known: name.');
    });
    expect([status, message]).toEqual([400, 'owner: unknown field. Known: name.']);
    expect(errors).toEqual({ owner: ['Unknown field. Known: name.'], name: ['Give the token a name.'] });
  });

  it('one field may have both kinds', () => {
    const { status, message, errors } = wire((problems) => {
      problems.unacceptable('actor', 'Leave it out.');
      problems.misunderstood('actor', 'Give this parameter once.');
      problems.unacceptable('actor', 'Leave it out.');
    });
    expect([status, message]).toEqual([400, 'actor: give this parameter once.']);
    expect(errors).toEqual({ actor: ['Give this parameter once.', 'Leave it out.'] });
  });

  it.each([
    ['a word that begins a sentence', 'Use text.', 'x: use text.'],
    ['a name', 'PipeOps does not accept this value.', 'x: PipeOps does not accept this value.'],
    ['an abbreviation', 'RFC 3339 has it.', 'x: RFC 3339 has it.'],
    ['a field in quotes', '"x" is none.', 'x: "x" is none.'],
    ['one letter', 'A JWT is none.', 'x: a JWT is none.'],
  ])('the first letter of %s', (_name, text, message) => {
    expect(wire((problems) => problems.unacceptable('x', text)).message).toBe(message);
  });

  it('a field may be called anything', () => {
    const { message, errors } = wire((problems) => problems.unacceptable('__proto__', 'Leave it out.'));
    expect(message).toBe('__proto__: leave it out.');
    expect(Object.keys(errors ?? {})).toEqual(['__proto__']);
  });
});

it.each([
  [['scopes', 'name'], 'scopes: PipeOps does not accept this value.'],
  [[], 'PipeOps does not accept this request. Check it against its documentation.'],
])('what PipeOps does not accept is told by our own name for it: %j', (fields, message) => {
  const answer = toWireError({ kind: 'upstream_rejected', status: 422, fields });
  expect([answer.status, answer.message]).toEqual([422, message]);
  expect(Object.keys(answer.errors ?? {})).toEqual(fields);
});
