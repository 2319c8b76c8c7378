import { describe, expect, it } from 'vitest';
import { json, MOST_SENT, operations, patientCall, REF, scripted } from './scripted-pipeops.ts';

const words = 'PipeOps words sat_Zk3nP0qLmW8xYb71';

/** A 500 is not repeated for a change; a gateway's answers are, except for a create. */
function timesSent(name: string, status: number): number {
  if (status === 500) return ['list', 'get'].includes(name) ? 3 : 1;
  return status === 502 || status === 503 ? (MOST_SENT[name] ?? 0) : 1;
}

describe.each(operations)('%s: an answer that is no success', (name, run) => {
  it.each([
    [403, { kind: 'upstream_forbidden', status: 403 }],
    [408, { kind: 'upstream_error', status: 408 }],
    [500, { kind: 'upstream_error', status: 500 }],
    [502, { kind: 'upstream_error', status: 502 }],
    [503, { kind: 'upstream_error', status: 503 }],
    [599, { kind: 'upstream_error', status: 599 }],
    [400, { kind: 'upstream_rejected', status: 400, fields: [] }],
    [412, { kind: 'upstream_rejected', status: 412, fields: [] }],
    [422, { kind: 'upstream_rejected', status: 422, fields: [] }],
    [429, { kind: 'upstream_rate_limited', status: 429, retryAfterSeconds: null }],
  ])(
    '%d is told as such, without its words, and repeated only where that is safe and may help',
    async (status, error) => {
      const answer = json(status, { success: false, message: words });
      const { pipeops, sent } = scripted([answer, answer, answer, answer]);
      expect(await run(pipeops, patientCall())).toEqual({ ok: false, error });
      expect(sent).toHaveLength(timesSent(name, status));
    },
  );

  it.each([301, 302, 303, 304, 307, 308])('%d is not followed', async (status) => {
    const redirect = (): Response => new Response(null, { status, headers: { Location: 'https://evil.example/' } });
    const { pipeops, sent } = scripted([redirect]);
    const answered = await run(pipeops, patientCall());
    expect(answered).toEqual({ ok: false, error: { kind: 'upstream_invalid_response', status } });
    expect(sent.map((request) => new URL(request.url).origin)).toEqual(['https://api.pipeops.test']);
  });
});

it.each([
  ['create', { kind: 'upstream_error', status: 409 }],
  ['update', { kind: 'upstream_rejected', status: 409, fields: [] }],
])(
  '%s: 409 is a conflict, and with a name that no other create sends only an earlier copy conflicts',
  async (name, error) => {
    const { pipeops } = scripted([json(409, { message: words })]);
    const run = operations.find(([operation]) => operation === name)?.[1];
    expect(await run?.(pipeops, patientCall())).toEqual({ ok: false, error });
  },
);

it.each(operations.filter(([name]) => name === 'create' || name === 'list'))(
  '%s: 404 says that there is no such workspace for us',
  async (_name, run) => {
    const { pipeops } = scripted([json(404, { message: words })]);
    expect(await run(pipeops, patientCall())).toEqual({
      ok: false,
      error: { kind: 'upstream_forbidden', status: 404 },
    });
  },
);

it.each(operations)('%s: a 404 that is a page is no answer of PipeOps', async (_name, run) => {
  const page = (): Response => new Response(words, { status: 404, headers: { 'Content-Type': 'text/html' } });
  const { pipeops } = scripted([page]);
  expect(await run(pipeops, patientCall())).toEqual({
    ok: false,
    error: { kind: 'upstream_invalid_response', status: 404 },
  });
});

it.each(operations.filter(([name]) => name === 'get' || name === 'update'))(
  '%s: 404 says that there is no such token',
  async (_name, run) => {
    const { pipeops } = scripted([json(404, { message: words })]);
    expect(await run(pipeops, patientCall())).toEqual({
      ok: false,
      error: { kind: 'upstream_not_found', status: 404 },
    });
  },
);

describe('a rejected request', () => {
  it.each([
    ['known fields', { errors: { name: [words], expires_at: ['x'] } }, ['name', 'expires_at']],
    [
      'fields under names of PipeOps',
      { errors: { permissions: [], 'metadata.description': [] } },
      ['scopes', 'description'],
    ],
    ['one field under two names', { errors: { permissions: [], scopes: [] } }, ['scopes']],
    ['fields that nobody knows', { errors: { constructor: [], toString: [], [words]: [words] } }, []],
    ['a list of texts', { errors: [words] }, []],
    ['a text', { errors: words }, []],
    ['a list for a body', [{ errors: { name: [] } }], []],
  ])('names %s and says no more', async (_case, body, fields) => {
    const { pipeops } = scripted([json(422, body)]);
    const answered = await pipeops.get(REF, patientCall());
    expect(answered).toEqual({ ok: false, error: { kind: 'upstream_rejected', status: 422, fields } });
  });

  it.each([
    ['is HTML', '<html>no</html>'],
    ['is half a JSON', '{"errors":{"name"'],
    ['is empty', null],
  ])('names no field where the body %s', async (_case, body) => {
    const { pipeops } = scripted([() => new Response(body, { status: 400 })]);
    const answered = await pipeops.get(REF, patientCall());
    expect(answered).toEqual({ ok: false, error: { kind: 'upstream_rejected', status: 400, fields: [] } });
  });
});

it('passes on when to come back after 429', async () => {
  const waits = [
    ['17', 17],
    ['Tue, 24 Nov 2026 12:00:05 GMT', 5],
  ] as const;
  for (const [header, retryAfterSeconds] of waits) {
    const { pipeops } = scripted([json(429, {}, { 'Retry-After': header })]);
    const answered = await pipeops.get(REF, patientCall());
    expect(answered).toEqual({ ok: false, error: { kind: 'upstream_rate_limited', status: 429, retryAfterSeconds } });
  }
});
