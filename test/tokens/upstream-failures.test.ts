import { describe, expect, it } from 'vitest';
import { READ_RETRIES_MAX_COUNT, UPSTREAM_TIMEOUT_MS } from '../../src/config/limits.ts';
import type { Fault } from '../pipeops-simulator/faults-wire.ts';
import { adminCredential, createHarness, TOKENS, type Harness } from '../support/harness.ts';
import { noteSecret } from '../support/secrets.ts';

// PipeOps failing: our failures are not the caller's, nothing hangs, and the row says what is known.

const CREATE = { body: { name: 'deploy', scopes: ['api:read'] } };
/** Only what waits for PipeOps hurries: a slow machine's D1 is not what is tested. */
const hurry = { timeout: (ms: number) => AbortSignal.timeout(ms === UPSTREAM_TIMEOUT_MS ? 400 : ms) };

async function failing(fault: Fault, options: Parameters<typeof createHarness>[0] = {}): Promise<Harness> {
  const harness = await createHarness(options);
  // Enough for every try of a read.
  await harness.control.fault({
    times: READ_RETRIES_MAX_COUNT + 1,
    ...fault,
    match: { credential: harness.credential },
  });
  return harness;
}

interface Case {
  readonly name: string;
  readonly fault: Fault;
  readonly create: readonly [status: number, code: string, row: 'attempted' | 'failure'];
  readonly list: readonly [status: number, code: string];
}

const UNKNOWN = [504, 'outcome_unknown', 'attempted'] as const;
const INVALID = [502, 'upstream_invalid_response'] as const;

const cases: readonly Case[] = [
  { name: '500', fault: { status: 500 }, create: UNKNOWN, list: [502, 'upstream_error'] },
  {
    name: '503 after committing',
    fault: { status: 503, commit: true },
    create: UNKNOWN,
    list: [502, 'upstream_error'],
  },
  {
    name: 'connection dropped before',
    fault: { drop: 'before_commit' },
    create: UNKNOWN,
    list: [502, 'upstream_unreachable'],
  },
  {
    name: 'connection dropped after',
    fault: { drop: 'after_commit' },
    create: UNKNOWN,
    list: [502, 'upstream_unreachable'],
  },
  { name: 'half a JSON', fault: { truncate_body: true }, create: UNKNOWN, list: INVALID },
  { name: 'an HTML page', fault: { html: true }, create: UNKNOWN, list: INVALID },
  { name: 'a redirect', fault: { redirect: 'https://elsewhere.example/' }, create: UNKNOWN, list: INVALID },
  {
    name: '403',
    fault: { status: 403 },
    create: [502, 'upstream_forbidden', 'failure'],
    list: [502, 'upstream_forbidden'],
  },
  {
    name: '401',
    fault: { status: 401 },
    create: [502, 'upstream_credential_rejected', 'failure'],
    list: [502, 'upstream_credential_rejected'],
  },
  {
    name: '419',
    fault: { status: 419 },
    create: [502, 'upstream_credential_rejected', 'failure'],
    list: [502, 'upstream_credential_rejected'],
  },
  {
    name: '429',
    fault: { status: 429, headers: { 'Retry-After': '17' } },
    create: [429, 'upstream_rate_limited', 'failure'],
    list: [429, 'upstream_rate_limited'],
  },
  {
    name: '422',
    fault: { status: 422, body: { success: false, message: 'x', errors: { scopes: ['sat_no_such'] } } },
    create: [422, 'upstream_rejected', 'failure'],
    list: [422, 'upstream_rejected'],
  },
];

describe.each(cases)('PipeOps answers: $name', ({ fault, create, list }) => {
  it('to a create', async () => {
    const harness = await failing(fault);
    const answer = await harness.send('POST', TOKENS, CREATE);
    expect([answer.status, answer.body.code]).toEqual(create.slice(0, 2));
    const [row] = await harness.rows();
    expect(answer.body.event_id).toBe(row?.id);
    expect(answer.headers.get('X-Audit-Event-Id')).toBe(row?.id);
    expect(row).toMatchObject({ status: create[2], error_code: create[2] === 'attempted' ? null : create[1] });
    expect((await harness.upstream()).filter(({ method }) => method === 'POST')).toHaveLength(1);
  });

  it('to a list', async () => {
    const harness = await failing(fault);
    const answer = await harness.send('GET', TOKENS);
    expect([answer.status, answer.body.code]).toEqual(list);
    expect(await harness.rows()).toMatchObject([{ status: 'failure', error_code: list[1], id: answer.body.event_id }]);
  });
});

it('PipeOps that never answers is given up on: 504 with the event id, the row stays open', async () => {
  const harness = await failing({ delay_ms: -1, commit: true }, { runtime: hurry });
  const answer = await harness.send('POST', TOKENS, CREATE);
  expect([answer.status, answer.body.code]).toEqual([504, 'outcome_unknown']);
  expect(await harness.rows()).toMatchObject([{ id: answer.body.event_id, status: 'attempted' }]);
});

it('passes PipeOps’ wait on to the caller', async () => {
  const harness = await failing({ status: 429, headers: { 'Retry-After': '17' } });
  expect((await harness.send('POST', TOKENS, CREATE)).headers.get('Retry-After')).toBe('17');
});

describe('the admin credential', () => {
  it.each([401, 419])('is followed by the next one on %i, once', async (status) => {
    const next = adminCredential();
    noteSecret(next);
    const harness = await failing({ status }, { env: { PIPEOPS_ADMIN_TOKEN_NEXT: next } });
    const answer = await harness.send('POST', TOKENS, CREATE);
    expect(answer.status).toBe(201);
    expect(await harness.rows()).toMatchObject([{ status: 'success' }]);
  });

  it('that is refused twice is our failure, not the caller’s', async () => {
    const next = adminCredential();
    noteSecret(next);
    const harness = await createHarness({ env: { PIPEOPS_ADMIN_TOKEN_NEXT: next } });
    for (const credential of [harness.credential, next]) await harness.control.endSession(credential);
    const answer = await harness.send('POST', TOKENS, CREATE);
    expect([answer.status, answer.body.code]).toEqual([502, 'upstream_credential_rejected']);
    expect(answer.headers.has('WWW-Authenticate')).toBe(false);
  });
});

describe('an older answer form is read', () => {
  it.each(['token_object', 'uuid_only', 'id_only', 'token_uuid', 'permissions', 'space_times'] as const)(
    'create: %s',
    async (form) => {
      const harness = await failing({ form });
      const answer = await harness.send('POST', TOKENS, CREATE);
      expect(answer.status).toBe(201);
      expect(answer.body.data).toMatchObject({
        id: expect.any(String),
        token: expect.stringMatching(/^sat_/),
        scopes: ['api:read'],
      });
    },
  );

  it.each(['uuid_only', 'id_only', 'permissions', 'pagination_total', 'space_times'] as const)(
    'list: %s',
    async (form) => {
      const harness = await createHarness();
      const { id } = await harness.mint();
      await harness.control.fault({ form, match: { credential: harness.credential } });
      const answer = await harness.send('GET', TOKENS);
      expect(answer.body.data).toMatchObject({
        total: 1,
        tokens: [{ id, uuid: id, name: 'deploy', scopes: ['api:read'] }],
      });
    },
  );

  it.each(['flat_get', 'uuid_only', 'space_times'] as const)('get: %s', async (form) => {
    const harness = await createHarness();
    const { id } = await harness.mint();
    await harness.control.fault({ form, match: { credential: harness.credential } });
    expect((await harness.send('GET', `${TOKENS}/${id}`)).body.data.token).toMatchObject({ id, uuid: id });
  });

  it('revoke: 204 without a body', async () => {
    const harness = await createHarness();
    const { id } = await harness.mint();
    await harness.control.fault({ form: 'no_content', match: { credential: harness.credential } });
    expect(await harness.send('DELETE', `${TOKENS}/${id}`)).toMatchObject({
      status: 200,
      body: { success: true, data: { id } },
    });
  });
});

describe('a 404 that PipeOps did not say about a token', () => {
  it('an HTML 404 (a proxy, a wrong base path) is not a revoke that succeeded', async () => {
    const harness = await createHarness();
    const { id } = await harness.mint();
    await harness.control.fault({
      match: { workspace_uuid: harness.workspace, method: 'DELETE' },
      status: 404,
      html: true,
    });
    const answer = await harness.send('DELETE', `${TOKENS}/${id}`);
    const live = (await harness.upstreamTokens()).filter((token) => !token.is_revoked);
    expect([answer.status, live.length]).not.toEqual([200, 1]);
  });

  it('a list that cannot be asked for is never a 404 of the token', async () => {
    const harness = await createHarness();
    const byHand = await harness.control.insertToken({ workspace_uuid: harness.workspace, name: 'by hand' });
    await harness.control.fault({ match: { workspace_uuid: harness.workspace, method: 'GET' }, status: 404 });
    const answer = await harness.send('DELETE', `${TOKENS}/${byHand.id}`);
    expect([502, 503, 504]).toContain(answer.status);
  });

  it('a create is not answered with "no such token"', async () => {
    const harness = await createHarness();
    await harness.control.fault({ match: { workspace_uuid: harness.workspace, method: 'POST' }, status: 404 });
    const answer = await harness.send('POST', TOKENS, CREATE);
    expect(answer.body.message).not.toMatch(/no such token/);
  });
});
