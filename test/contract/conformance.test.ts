import { describe, expect, it } from 'vitest';
import { answerTo, FAILURE_KINDS } from '../../contract/failures.ts';
import { OPERATIONS } from '../../contract/operations.ts';
import { offContract, type Received } from '../support/conformance.ts';

// What holds every answer of every test against the contract would itself go unnoticed if it let everything pass.

const REQUEST_ID = '3992fdd8-93d5-4772-9246-84b176832ec5';
const EVENT_ID = '186564da-034d-4f28-8ae4-8230632a6738';
const GENERAL = { 'Content-Type': 'application/json', 'X-Request-Id': REQUEST_ID, 'Cache-Control': 'no-store' };

interface Told {
  readonly method?: string;
  readonly path?: string;
  readonly status?: number;
  readonly headers?: Record<string, string>;
  readonly body?: unknown;
}

function problemsOf({
  method = 'GET',
  path = '/healthz',
  status = 200,
  headers = GENERAL,
  body,
}: Told): readonly string[] {
  const received: Received = { status, headers: new Headers(headers), text: JSON.stringify(body) };
  return offContract({ method, url: `https://countersign.example${path}` }, received);
}

const HEALTHY = { success: true, message: 'The process runs.', data: { healthy: true } };
const FORBIDDEN = {
  success: false,
  status: 'error',
  message: 'None of your roles has the permission.',
  code: 'forbidden',
  request_id: REQUEST_ID,
  event_id: EVENT_ID,
  help: '/docs/errors#forbidden',
};
const DENIED = { path: '/api/v1/status', status: 403, headers: { ...GENERAL, 'X-Audit-Event-Id': EVENT_ID } };

describe('an answer that is on the contract', () => {
  it.each<[string, Told]>([
    ['a success', { body: HEALTHY }],
    ['a failure', { ...DENIED, body: FORBIDDEN }],
    [
      'a path that is not there',
      {
        path: '/nothing',
        status: 404,
        body: { ...FORBIDDEN, code: 'not_found', help: '/docs/errors#not_found', event_id: undefined },
      },
    ],
  ])('%s', (_name, told) => {
    expect(problemsOf(told)).toEqual([]);
  });
});

describe('an answer that is off the contract', () => {
  it.each<[string, Told, RegExp]>([
    ['a status', { status: 202, body: HEALTHY }, /status is not documented/],
    ['a status of a failure', { status: 404, body: HEALTHY }, /status is not documented/],
    ['a success of a method that is none', { method: 'POST', body: HEALTHY }, /status is not documented/],
    ['a field that is not known', { body: { ...HEALTHY, more: 1 } }, /more/],
    ['a field within data that is not known', { body: { ...HEALTHY, data: { healthy: true, more: 1 } } }, /more/],
    ['a field that is missing', { body: { ...HEALTHY, data: {} } }, /healthy/],
    ['a header that is not known', { body: HEALTHY, headers: { ...GENERAL, 'X-Powered-By': 'x' } }, /x-powered-by/],
    ['a header that this route has not', { body: HEALTHY, headers: { ...GENERAL, Age: '1' } }, /age is not documented/],
    ['a header that is missing', { body: HEALTHY, headers: { ...GENERAL, 'Cache-Control': '' } }, /Cache-Control/],
    [
      'a header of another form',
      { body: HEALTHY, headers: { ...GENERAL, 'Cache-Control': 'public' } },
      /Cache-Control/,
    ],
    ['another type', { body: HEALTHY, headers: { ...GENERAL, 'Content-Type': 'text/plain' } }, /Content-Type/],
    [
      'a code of another route',
      { ...DENIED, body: { ...FORBIDDEN, code: 'token_limit_reached' } },
      /token_limit_reached/,
    ],
    ['a code of another status', { ...DENIED, body: { ...FORBIDDEN, code: 'audit_unavailable' } }, /audit_unavailable/],
    ['a failure without a message', { ...DENIED, body: { ...FORBIDDEN, message: '' } }, /message/],
    [
      'a failure with the help of another code',
      { ...DENIED, body: { ...FORBIDDEN, help: '/docs/errors#no_role' } },
      /help/,
    ],
    ['a failure without help', { ...DENIED, body: { ...FORBIDDEN, help: undefined } }, /help/],
    ['an event id that is not the header’s', { ...DENIED, body: { ...FORBIDDEN, event_id: REQUEST_ID } }, /event_id/],
    [
      'a 401 without a challenge',
      { path: '/api/v1/whoami', status: 401, body: { ...FORBIDDEN, code: 'unauthenticated', event_id: undefined } },
      /WWW-Authenticate is missing/,
    ],
  ])('%s is seen', (_name, told, problem) => {
    expect(problemsOf(told).join('; ')).toMatch(problem);
  });
});

describe('the examples', () => {
  const examples = OPERATIONS.flatMap(({ id, successes }) =>
    successes.flatMap(({ content }) =>
      content !== null && 'schema' in content
        ? Object.entries(content.examples).map(([name, example]) => [id, name, content.schema, example] as const)
        : [],
    ),
  );
  it.each(examples)('of the answer to %s, %s, is valid', (_id, _name, schema, example) => {
    expect(schema.safeParse(example)).toMatchObject({ success: true });
  });
});

it('each code has one status', () => {
  const statuses = new Map<string, Set<number>>();
  for (const kind of FAILURE_KINDS) {
    const { code, status } = answerTo(kind);
    statuses.set(code, (statuses.get(code) ?? new Set()).add(status));
  }
  expect([...statuses].filter(([, all]) => all.size > 1)).toEqual([]);
});
