import { SignJWT } from 'jose';
import { describe, expect, it } from 'vitest';
import { createClientWith } from '../../package/client/client.ts';
import { type ClientOptions, CountersignError, createClient, type Failure } from '../../package/client/index.ts';
import { safeOrigin } from '../../package/client/origin.ts';
import { sha256Hex } from '../../src/kit/digest.ts';
import { ERROR_CODES } from '../../src/vocabulary.ts';
import { createHarness } from '../support/harness.ts';
import { noteSecret } from '../support/secrets.ts';

const URL_OF_SERVICE = 'https://countersign.example';
const START_MS = Date.parse('2026-11-28T12:00:00Z');

type Reply = (request: {
  readonly headers: Headers;
  readonly method: string;
  readonly url: string;
}) => Response | Error;

const success =
  (data: unknown = {}, more: object = {}): Reply =>
  () =>
    Response.json({ success: true, message: 'x', data, ...more });
const failed =
  (status: number, code: string, headers: Record<string, string> = {}, more: object = {}): Reply =>
  () =>
    Response.json(
      { success: false, status: 'error', message: `It is ${code}.`, code, request_id: 'r', ...more },
      { status, headers },
    );
const broken =
  (code: string): Reply =>
  () =>
    Object.assign(new TypeError('fetch failed'), { cause: Object.assign(new Error('x'), { code }) });

/** A client whose service gives these answers, one after another and the last one again. Its clock moves only while it waits. */
function scripted(replies: readonly Reply[], options: Partial<ClientOptions> = {}) {
  const sent: { readonly authorization: string | null; readonly key: string | null; readonly redirect: string }[] = [];
  const waits: number[] = [];
  let nowMs = START_MS;
  const client = createClientWith(
    {
      url: URL_OF_SERVICE,
      jwt: 'aaaa.bbbb.cccc',
      fetch: async (url, { headers, method, redirect }) => {
        const held = new Headers(headers);
        const reply = replies[Math.min(sent.length, replies.length - 1)];
        sent.push({ authorization: held.get('Authorization'), key: held.get('Idempotency-Key'), redirect });
        const answer = reply?.({ headers: held, method, url }) ?? new Error('no reply');
        if (answer instanceof Error) throw answer;
        return await Promise.resolve(answer);
      },
      ...options,
    },
    {
      now: () => nowMs,
      sleep: async (ms) => {
        waits.push(ms);
        nowMs += ms;
        await Promise.resolve();
      },
    },
  );
  return { client, sent, waits, pass: (ms: number) => (nowMs += ms) };
}

const failureOf = async (work: Promise<unknown>): Promise<Failure> => {
  const error: unknown = await work.then(
    () => null,
    (reason: unknown) => reason,
  );
  if (!(error instanceof CountersignError)) throw new Error(`no failure: ${String(error)}`);
  return error.failure;
};

const jwtUntil = async (ms: number): Promise<string> =>
  await new SignJWT({ at: crypto.randomUUID() })
    .setProtectedHeader({ alg: 'HS256' })
    .setExpirationTime(Math.floor(ms / 1_000))
    .sign(new Uint8Array(32));

const BODY = { name: 'deploy', scopes: ['api:read'] };

describe('where a JWT goes', () => {
  it.each([
    ['https://countersign.example', 'https://countersign.example'],
    ['https://countersign.example/', 'https://countersign.example'],
    ['http://127.0.0.1:8787', 'http://127.0.0.1:8787'],
    ['http://localhost:1', 'http://localhost:1'],
    ['http://[::1]:1', 'http://[::1]:1'],
  ])('%s', (url, origin) => {
    expect(safeOrigin(url)).toBe(origin);
  });

  it.each([
    ['countersign.example', 'is no URL'],
    ['ftp://countersign.example', 'is no URL'],
    ['http://countersign.example', 'is not encrypted'],
    ['http://127.0.0.1.example.com', 'is not encrypted'],
    ['http://localhost.example.com', 'is not encrypted'],
    ['http://10.0.0.1', 'is not encrypted'],
    ['https://user:pass@countersign.example', 'a name or a password'],
    ['https://countersign.example/base', 'is the origin of a service alone'],
    ['https://countersign.example/?x=1', 'is the origin of a service alone'],
  ])('never to %s', (url, problem) => {
    expect(() => createClient({ url, jwt: 'a.b.c' })).toThrow(problem);
  });

  it.each([
    ['', false],
    ['example.com', false],
    ['127.0.0.2', false],
    ['127.0.0.1', true],
    ['localhost,127.0.0.1:8787', true],
    ['*', true],
  ])('to this machine through no proxy: NO_PROXY=%j', (exceptions, isSafe) => {
    const check = (): string => {
      try {
        return safeOrigin('http://127.0.0.1:8787', { areUsed: true, exceptions });
      } catch (error) {
        return String(error);
      }
    };
    expect(check()).toMatch(isSafe ? /^http:\/\/127\.0\.0\.1:8787$/ : /add 127\.0\.0\.1 to NO_PROXY/);
    expect(safeOrigin('https://countersign.example', { areUsed: true, exceptions })).toBe(URL_OF_SERVICE);
  });

  it.each([301, 302, 303, 307, 308])('not where a redirect leads: %i', async (status) => {
    const { client, sent } = scripted([
      () => new Response(null, { status, headers: { Location: 'https://elsewhere.example' } }),
    ]);
    expect(await failureOf(client.whoami())).toMatchObject({ code: 'client_unexpected_answer', status });
    expect(sent.map(({ redirect }) => redirect)).toEqual(['manual']);
  });

  it('into the header that is named, as the header wants it', async () => {
    const seen: (string | null)[] = [];
    const reply: Reply = ({ headers }) => {
      seen.push(headers.get('cf-access-token'), headers.get('Authorization'));
      return Response.json({ success: true, data: {} });
    };
    await scripted([reply], { jwtHeader: 'cf-access-token' }).client.whoami();
    await scripted([reply]).client.whoami();
    expect(seen).toEqual(['aaaa.bbbb.cccc', null, null, 'Bearer aaaa.bbbb.cccc']);
  });
});

describe('a JWT', () => {
  it('is asked for once, until shortly before it expires', async () => {
    const jwts = await Promise.all([1, 2].map(async (hours) => await jwtUntil(START_MS + hours * 3_600_000)));
    const needs: string[] = [];
    const jwt = (need: string) => jwts[needs.push(need) - 1] ?? '';
    const { client, sent, pass } = scripted([success()], { jwt });
    await Promise.all([client.whoami(), client.whoami()]);
    await client.whoami();
    pass(3_600_000 - 29_000);
    await client.whoami();
    expect(needs).toEqual(['needed', 'needed']);
    expect(sent.map(({ authorization }) => jwts.indexOf(authorization?.slice('Bearer '.length) ?? ''))).toEqual([
      0, 0, 0, 1,
    ]);
  });

  it('is asked for once more where the service refuses it', async () => {
    const needs: string[] = [];
    const jwts = [await jwtUntil(START_MS + 3_600_000), await jwtUntil(START_MS + 7_200_000)];
    const jwt = (need: string) => jwts[Math.min(needs.push(need), 2) - 1] ?? '';
    const { client, sent } = scripted([failed(401, 'invalid_token'), success({ subject: 'ci' })], { jwt });
    expect(await client.whoami()).toEqual({ subject: 'ci' });
    expect(needs).toEqual(['needed', 'refused']);
    expect(sent).toHaveLength(2);
  });

  it.each([
    ['that is refused again', async () => await jwtUntil(START_MS + 3_600_000), 'invalid_token', 2],
    ['that is a text', 'aaaa.bbbb.cccc', 'invalid_token', 1],
    ['where none is seen', async () => await jwtUntil(START_MS + 3_600_000), 'unauthenticated', 1],
  ] as const)('%s fails', async (_name, jwt, code, requests) => {
    const { client, sent } = scripted([failed(401, code)], { jwt });
    expect(await failureOf(client.whoami())).toMatchObject({ code, status: 401 });
    expect(sent).toHaveLength(requests);
  });

  it.each([
    ['throws', () => Promise.reject(new Error('not logged in')), 'No JWT: not logged in'],
    ['gives a secret of another kind', () => 'sat_0123456789abcdefghij', 'No JWT: jwt gave something else than a JWT.'],
  ])('whose source %s is no request', async (_name, jwt, message) => {
    const { client, sent } = scripted([success()], { jwt });
    expect(await failureOf(client.whoami())).toEqual({ code: 'client_no_jwt', message });
    expect(sent).toEqual([]);
  });
});

describe('what is tried again', () => {
  const create = async (client: ReturnType<typeof createClient>) => await client.tokens.create(BODY);
  const bare = async (client: ReturnType<typeof createClient>) =>
    await client.tokens.create(BODY, { idempotencyKey: null });
  const read = async (client: ReturnType<typeof createClient>) => await client.whoami();
  const update = async (client: ReturnType<typeof createClient>) => await client.tokens.update('t', { name: 'x' });

  it.each<[string, (client: ReturnType<typeof createClient>) => Promise<unknown>, Reply, number[]]>([
    ['a read after 429', read, failed(429, 'rate_limited', { 'Retry-After': '7' }), [7_000]],
    ['an update after 429', update, failed(429, 'upstream_rate_limited', { 'Retry-After': '7' }), [7_000]],
    ['a create without a key after 429', bare, failed(429, 'rate_limited', { 'Retry-After': '1' }), [1_000]],
    ['a read after 503', read, failed(503, 'audit_unavailable'), [2_000]],
    ['an update after 503', update, failed(503, 'not_ready'), [2_000]],
    ['a create after 503', create, failed(503, 'audit_unavailable', { 'Retry-After': '0' }), [0]],
    ['a create whose connection broke', create, broken('ECONNRESET'), [2_000]],
    ['anything after a 429 of something in front', read, () => new Response('<html>', { status: 429 }), [2_000]],
  ])('%s', async (_name, call, reply, waited) => {
    const { client, sent, waits } = scripted([reply, success()]);
    await call(client);
    expect(waits).toEqual(waited);
    expect(new Set(sent.map(({ key }) => key)).size).toBe(1);
  });

  it.each<[string, (client: ReturnType<typeof createClient>) => Promise<unknown>, Reply]>([
    ['a create without a key after 503', bare, failed(503, 'audit_unavailable')],
    ['a create without a key whose connection broke', bare, broken('ECONNRESET')],
    ['a create that reached nobody', create, broken('ECONNREFUSED')],
    ['a read that reached nobody', read, broken('ECONNREFUSED')],
    ['an update whose connection broke', update, broken('ECONNRESET')],
    ['a create whose outcome is unknown', create, failed(504, 'outcome_unknown')],
    ['a create that another one is in front of', create, failed(409, 'idempotency_in_flight')],
    ['a refusal', read, failed(403, 'forbidden')],
    ['an error of the service', read, failed(500, 'internal_error')],
  ])('not %s', async (_name, call, reply) => {
    const { client, sent, waits } = scripted([reply, success()]);
    await failureOf(call(client));
    expect([waits, sent.length]).toEqual([[], 1]);
  });

  it('a create that its own lost try is in front of, until that has its answer', async () => {
    const { client, sent } = scripted([
      broken('ECONNRESET'),
      failed(409, 'idempotency_in_flight'),
      success({ id: 't' }),
    ]);
    expect(await client.tokens.create(BODY)).toEqual({ id: 't' });
    expect(sent[0]?.key).toMatch(/^[0-9a-f-]{36}$/);
    expect(new Set(sent.map(({ key }) => key)).size).toBe(1);
  });

  it('three times, each after twice as long, and no more', async () => {
    const { client, waits } = scripted([failed(503, 'not_ready')]);
    expect(await failureOf(client.whoami())).toMatchObject({ code: 'not_ready', status: 503 });
    expect(waits).toEqual([2_000, 4_000, 8_000]);
  });

  it('nothing beyond the deadline of the call', async () => {
    const { client, waits } = scripted([failed(429, 'rate_limited', { 'Retry-After': '61' })]);
    expect(await failureOf(client.whoami())).toMatchObject({ code: 'rate_limited', retryAfterSeconds: 61 });
    expect(waits).toEqual([]);
    await failureOf(client.whoami({ deadlineMs: 62_000, retries: 1 }));
    expect(waits).toEqual([61_000]);
  });

  it('with the key that the caller gave, which an error names', async () => {
    const { client, sent } = scripted([broken('ECONNRESET')], { retries: 0 });
    const error: unknown = await client.tokens
      .create(BODY, { idempotencyKey: 'mine' })
      .catch((reason: unknown) => reason);
    expect(error).toMatchObject({
      idempotencyKey: 'mine',
      failure: { code: 'client_unreachable', cause: 'ECONNRESET' },
    });
    expect(sent[0]?.key).toBe('mine');
  });
});

describe('a call that takes too long', () => {
  const silent = (options: Partial<ClientOptions> = {}) =>
    createClient({
      url: URL_OF_SERVICE,
      jwt: 'a.b.c',
      fetch: async (_url, { signal }) =>
        await new Promise<Response>((_resolve, reject) =>
          signal.addEventListener('abort', () => reject(new Error('aborted'))),
        ),
      ...options,
    });

  it('ends with its deadline', async () => {
    expect(await failureOf(silent().whoami({ deadlineMs: 5 }))).toMatchObject({ code: 'client_deadline' });
  });

  it('ends with the signal of its caller, also while it waits for a JWT', async () => {
    const stop = new AbortController();
    const calls = [silent(), silent({ jwt: async () => await new Promise<string>(() => {}) })].map(
      async (client) => await failureOf(client.whoami({ signal: stop.signal })),
    );
    stop.abort();
    for (const failure of await Promise.all(calls)) expect(failure).toMatchObject({ code: 'client_aborted' });
  });
});

describe('a failure', () => {
  it.each(ERROR_CODES)('%s is told apart by its code', async (code) => {
    const headers = { 'Retry-After': '9', 'X-Audit-Event-Id': 'e' };
    const more = { errors: { name: ['Too long.'] }, help: `/docs/errors#${code}` };
    const { client } = scripted([failed(422, code, headers, more)]);
    expect(await failureOf(client.whoami())).toEqual({
      code,
      message: `It is ${code}.`,
      status: 422,
      requestId: 'r',
      eventId: 'e',
      retryAfterSeconds: 9,
      errors: { name: ['Too long.'] },
      help: `/docs/errors#${code}`,
    });
  });

  it('narrows by its code', async () => {
    const failure = await failureOf(scripted([failed(403, 'forbidden')]).client.whoami());
    // Each member has fields of its own, which the compiler knows by the code alone.
    const told =
      failure.code === 'forbidden'
        ? (failure.status satisfies number)
        : failure.code === 'client_unreachable'
          ? (failure.cause satisfies string | null)
          : failure.message;
    expect(told).toBe(403);
  });

  it('of a newer service keeps its code', async () => {
    const { client } = scripted([failed(418, 'teapot')]);
    expect(await failureOf(client.whoami())).toMatchObject({
      code: 'client_unknown_code',
      serviceCode: 'teapot',
      status: 418,
    });
  });

  it.each<[string, Reply]>([
    [
      'a page of something in front',
      () => new Response('<html>', { status: 502, headers: { 'Content-Type': 'text/html' } }),
    ],
    ['a success that is none', () => Response.json({ ok: true })],
    ['an empty answer', () => new Response(null, { status: 200 })],
  ])('is %s', async (_name, reply) => {
    expect(await failureOf(scripted([reply]).client.whoami())).toMatchObject({ code: 'client_unexpected_answer' });
  });
});

describe('pages', () => {
  const page = (items: readonly number[], next: string | null, more?: object): Reply =>
    success(
      items.map((seq) => ({ seq })),
      { pagination: { next_cursor: next, ...more } },
    );
  const all = async (items: AsyncIterable<{ readonly seq: number }>): Promise<number[]> => {
    const seqs: number[] = [];
    for await (const { seq } of items) seqs.push(seq);
    return seqs;
  };

  it('are gone over to the last one', async () => {
    const { client, sent } = scripted([page([3], 'a'), page([], 'b'), page([1], null)]);
    expect(await all(client.audit.eachEvent({ status: 'failure' }))).toEqual([3, 1]);
    expect(sent).toHaveLength(3);
  });

  it('end in ascending order although there is always a cursor', async () => {
    const { client } = scripted([page([1], 'a', { has_more: true }), page([2], 'b', { has_more: false })]);
    expect(await all(client.audit.eachEvent({ order: 'asc' }))).toEqual([1, 2]);
  });

  it('end where a cursor stands still', async () => {
    const { client, sent } = scripted([page([1], 'a')]);
    expect(await all(client.audit.eachEvent())).toEqual([1, 1]);
    expect(sent).toHaveLength(2);
  });
});

describe('against the service itself', () => {
  it('mints, repeats, reads, revokes and exports', async () => {
    const harness = await createHarness();
    const jwt = await harness.jwtFor('admin', { sub: 'typed' });
    const client = createClient({
      url: URL_OF_SERVICE,
      jwt,
      fetch: async (url, init) => await harness.worker.fetch(new Request(url, init)),
    });
    const answers: unknown[] = [];
    const given = { idempotencyKey: crypto.randomUUID(), onAnswer: (answer: unknown) => void answers.push(answer) };
    const created = await client.tokens.create(BODY, given);
    noteSecret(created.token);
    expect((await client.tokens.create(BODY, given)).token).toBe(created.token);
    expect(answers).toMatchObject([
      { status: 201, isReplay: false },
      { status: 201, isReplay: true },
    ]);
    expect(await client.tokens.list()).toMatchObject({ tokens: [{ id: created.id }], total: 1, partial: false });
    const whose = { token_sha256: await sha256Hex(created.token) };
    expect(await client.inventory.list(whose)).toMatchObject({
      items: [{ id: created.id, state: 'active', owner: { subject: 'typed' } }],
      nextCursor: null,
      knowledge: [{ list_state: expect.any(String) }],
    });
    expect(await client.tokens.get(created.id)).toMatchObject({ name: 'deploy' });
    expect(await client.tokens.update(created.id, { name: 'deploy-2' })).toMatchObject({ name: 'deploy-2' });
    expect(await client.tokens.revoke(created.id)).toMatchObject({ id: created.id });
    expect(await failureOf(client.tokens.get('unknown'))).toMatchObject({
      code: 'not_found',
      eventId: expect.any(String),
    });
    const exported: string[] = [];
    for await (const { action } of client.audit.export({ token_id: created.id, latest: true })) exported.push(action);
    expect(exported.filter((action) => action.endsWith('.revoke'))).toHaveLength(1);
    const { items } = await client.audit.events({ actor: 'me', action: 'service_account_token.revoke' });
    expect(items).toMatchObject([{ status: 'success', token_id: created.id }]);
    expect((await client.whoami()).roles.map(({ name }) => name)).toEqual(['admin']);
    expect(await client.readiness()).toMatchObject({ ready: true });
    expect((await client.status()).ready).toBe(true);
  });
});
