import { beforeAll, describe, expect, it } from 'vitest';
import { USER_AGENT_MAX_BYTES } from '../../src/config/limits.ts';
import { createHarness, TOKENS, type Answer, type Harness } from '../support/harness.ts';
import { receivedBy, rowsOf } from './expectations.ts';

// Headers that are stored, passed on or repeated, on a request that succeeds: the row must be there and be clean.

let harness: Harness;
let jwt: string;
beforeAll(async () => {
  harness = await createHarness();
  jwt = await harness.jwtFor('admin', { sub: 'in-a-header' });
});

const SECRET = `sat_${'Zq7'.repeat(10)}`;
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

async function create(headers: Readonly<Record<string, string>>): Promise<Answer> {
  await harness.control.clearRequests({ credential: harness.credential });
  const answer = await harness.send('POST', TOKENS, { headers, body: { name: 'deploy', scopes: ['api:read'] } });
  expect(answer.status).toBe(201);
  return answer;
}
const rowOf = async (answer: Answer) => {
  const rows = await rowsOf(answer);
  expect(rows).toHaveLength(1);
  return rows[0]!;
};

describe('X-Request-Id', () => {
  it('of an id is kept', async () => {
    const requestId = crypto.randomUUID();
    const answer = await create({ 'X-Request-Id': requestId });
    expect([answer.headers.get('X-Request-Id'), (await rowOf(answer)).request_id]).toEqual([requestId, requestId]);
  });

  it.each<[string, () => string]>([
    ['a token secret', () => SECRET],
    ['a JWT', () => jwt],
    ['SQL', () => "1'; DROP TABLE audit_events; --"],
    ['markup', () => '<script>alert(1)</script>'],
    ['JSON', () => '{"level":"error"}'],
    ['a traversal', () => '../../etc/passwd'],
    ['too short', () => 'a'],
    ['too long', () => 'a'.repeat(65)],
    ['two ids', () => `${crypto.randomUUID()}, ${crypto.randomUUID()}`],
    ['empty', () => ''],
  ])('%s is replaced, everywhere', async (_name, value) => {
    const answer = await create({ 'X-Request-Id': value() });
    expect(answer.headers.get('X-Request-Id')).toMatch(UUID);
    expect(await rowOf(answer)).toMatchObject({ request_id: answer.headers.get('X-Request-Id') });
    expect(harness.lines.at(-1)).toMatchObject({ request_id: answer.headers.get('X-Request-Id') });
  });

  it('of the caller is not the one that PipeOps hears: that is the event id', async () => {
    const answer = await create({ 'X-Request-Id': crypto.randomUUID() });
    expect((await receivedBy(harness)).map((request) => request.event_id)).toEqual([(await rowOf(answer)).id]);
  });

  it('that repeats one of another request does not join or hide its row', async () => {
    const requestId = crypto.randomUUID();
    const first = await create({ 'X-Request-Id': requestId });
    const second = await create({ 'X-Request-Id': requestId });
    expect((await rowsOf(second)).map(({ id }) => id)).toEqual(
      [first, second].map((answer) => answer.headers.get('X-Audit-Event-Id')),
    );
  });
});

describe('an id of an event from outside', () => {
  it.each(['X-Audit-Event-Id', 'X-Event-Id', 'Idempotency-Key'])('%s names no row', async (name) => {
    const chosen = crypto.randomUUID();
    const answer = await create({ [name]: chosen });
    expect(answer.headers.get('X-Audit-Event-Id')).not.toBe(chosen);
    expect((await rowOf(answer)).id).not.toBe(chosen);
  });
});

describe('traceparent', () => {
  const good = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';

  it('that is well-formed is passed on', async () => {
    await create({ traceparent: good });
    expect((await receivedBy(harness))[0]?.headers['traceparent']).toContain('0af7651916cd43dd8448eb211c80319c');
  });

  it.each<[string, () => string]>([
    ['a token secret', () => SECRET],
    ['a JWT', () => jwt],
    ['of only zeros', () => `00-${'0'.repeat(32)}-b7ad6b7169203331-01`],
    ['of another version', () => good.replace(/^00/, 'ff')],
    ['with more behind it', () => `${good}-${SECRET}`],
    ['twice', () => `${good}, ${good}`],
    ['in upper case', () => good.toUpperCase()],
  ])('%s goes nowhere', async (_name, value) => {
    const answer = await create({ traceparent: value() });
    const received = await receivedBy(harness);
    expect(received).toHaveLength(1);
    expect(received[0]?.headers).not.toHaveProperty('traceparent', value());
    expect(harness.lines.at(-1)).toMatchObject({ trace_id: null });
    expect(JSON.stringify(await rowOf(answer))).not.toContain(value());
  });
});

describe('the address', () => {
  it.each(['203.0.113.7', '2001:db8::7'])('%s is what Cloudflare says', async (ip) => {
    const headers = { 'CF-Connecting-IP': ip, 'X-Forwarded-For': '198.51.100.1', 'X-Real-IP': '198.51.100.2' };
    expect(await rowOf(await create(headers))).toMatchObject({ ip });
  });

  it.each([
    'X-Forwarded-For',
    'X-Real-IP',
    'X-Client-IP',
    'True-Client-IP',
    'Forwarded',
    'CF-Connecting-IPv6',
    'CF-Pseudo-IPv4',
    'X-Cluster-Client-IP',
  ])('%s is ignored', async (name) => {
    const value = name === 'Forwarded' ? 'for=198.51.100.1' : '198.51.100.1';
    const answer = await create({ [name]: value });
    expect(await rowOf(answer)).toMatchObject({ ip: null });
    expect(JSON.stringify(await receivedBy(harness))).not.toContain('198.51.100.1');
  });

  it.each<[string, () => string]>([
    ['a token secret', () => SECRET],
    ['a JWT', () => jwt],
    ['two addresses', () => '198.51.100.1, 198.51.100.2'],
    ['SQL', () => "1.1.1.1'; DROP TABLE tokens; --"],
    ['too long', () => '1'.repeat(46)],
    ['a name', () => 'evil.example'],
    ['an address and a zone', () => 'fe80::1%eth0'],
    ['empty', () => ''],
  ])('that is %s is not stored', async (_name, value) => {
    expect(await rowOf(await create({ 'CF-Connecting-IP': value() }))).toMatchObject({ ip: null });
  });
});

describe('the user agent', () => {
  it.each<[string, () => string, string]>([
    ['a token secret', () => SECRET, '[redacted]'],
    ['a token secret within text', () => `curl/8 (${SECRET})`, 'curl/8 ([redacted])'],
    ['a JWT', () => jwt, '[redacted]'],
    ['a JWT within text', () => `app/1 Bearer ${jwt} end`, 'app/1 Bearer [redacted] end'],
    ['two of them', () => `${SECRET} ${jwt}`, '[redacted] [redacted]'],
    ['a JWT glued to a word', () => `token=${jwt}`, 'token=[redacted]'],
  ])('that holds %s is stored without it', async (_name, value, stored) => {
    expect(await rowOf(await create({ 'User-Agent': value() }))).toMatchObject({ user_agent: stored });
  });

  it('that is long is cut, and a secret across the cut is not half kept', async () => {
    const pad = 'x'.repeat(USER_AGENT_MAX_BYTES - 20);
    const row = await rowOf(await create({ 'User-Agent': `${pad} ${SECRET}` }));
    expect(row.user_agent).toBe(`${pad} [redacted]`.slice(0, USER_AGENT_MAX_BYTES));
    const long = await rowOf(await create({ 'User-Agent': 'y'.repeat(8192) }));
    expect(long.user_agent).toBe('y'.repeat(USER_AGENT_MAX_BYTES));
  });

  it('is stored of those who are turned away, too', async () => {
    const answer = await harness.send('GET', TOKENS, { jwt: null, headers: { 'User-Agent': `evil ${SECRET}` } });
    expect(await rowsOf(answer)).toEqual([
      expect.objectContaining({ action: 'auth.reject', user_agent: 'evil [redacted]' }),
    ]);
  });
});

it('nothing else that a caller sends in headers reaches PipeOps', async () => {
  const names = [
    'Cookie',
    'X-Custom',
    'Accept-Language',
    'X-Workspace-Uuid',
    'tracestate',
    'baggage',
    'Origin',
    'Referer',
  ];
  await create(Object.fromEntries(names.map((name) => [name, 'from-the-caller'])));
  const received = await receivedBy(harness);
  expect(received).toHaveLength(1);
  expect(JSON.stringify(received)).not.toContain('from-the-caller');
  expect(received[0]?.headers['authorization']).toBe(`Bearer ${harness.credential}`);
});
