import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { importJWK, SignJWT } from 'jose';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { LOCAL_AUDIENCE, LOCAL_ISSUER, openIssuer } from '../../local/issuer.ts';
import { createClient, jsonOf, TOKENS } from './client.ts';
import { freePorts, startService, type Service } from './service.ts';
import { until } from './until.ts';

// Request lines that no URL parser would let out of a test in process, over a bare socket. The server in front of the
// Worker may normalise or refuse them: what counts is what PipeOps hears in the end.

const stateDir = mkdtempSync(path.join(tmpdir(), 'countersign-raw-'));
const ports = await freePorts();
let service: Service;
let id: string;

beforeAll(async () => {
  service = await startService(stateDir, ports);
  id = (await createClient(service, service.adminJwt).create('raw-paths')).id;
}, 120_000);
afterAll(async () => {
  await service.stop();
  service.cleanUp();
  rmSync(stateDir, { recursive: true, force: true });
}, 30_000);
beforeEach(async () => {
  await service.control.clearRequests();
});

/** Sends bytes as they are, and no more; gives the statuses of all that is answered. */
async function exchange(text: string): Promise<number[]> {
  const socket = connect({ port: ports.service, host: '127.0.0.1', allowHalfOpen: true });
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  // A server that refuses a request may close before it has read all of it.
  socket.on('error', () => {});
  // workerd keeps a connection open until its client ends it.
  socket.end(Buffer.from(text, 'latin1'));
  await once(socket, 'close');
  const answers = Buffer.concat(chunks).toString('latin1');
  return [...answers.matchAll(/^HTTP\/1\.1 (\d{3})/gm)].map((match) => Number(match[1]));
}

const request = (
  method: string,
  target: string,
  headers: readonly string[] = [`Authorization: Bearer ${service.adminJwt}`],
) =>
  [`${method} ${target} HTTP/1.1`, `Host: 127.0.0.1:${ports.service}`, ...headers, 'Connection: close', '', ''].join(
    '\r\n',
  );

const heard = async (): Promise<string[]> =>
  (await service.control.requests()).map((received) => `${received.method} ${received.path}`);
const isAlive = async (): Promise<boolean> =>
  (await service.control.tokens()).some((token) => token.id === id && !token.is_revoked);

describe('a target that is no token', () => {
  it.each([
    ['a way out', '/api/v1/service-account-tokens/../users'],
    ['a way out of the id', '/api/v1/service-account-tokens/ID/../../users/ID'],
    ['an encoded way out', '/api/v1/service-account-tokens/%2e%2e/users'],
    ['a half encoded way out', '/api/v1/service-account-tokens/.%2e/users'],
    ['a way out with a matrix parameter', '/api/v1/service-account-tokens/..;/ID'],
    ['a way out with backslashes', '/api/v1/service-account-tokens/ID\\..\\..\\users'],
    ['a way out of everything', '/../../../../etc/passwd'],
    ['an encoded slash', '/api/v1/service-account-tokens/ID%2f..%2f..%2fusers'],
    ['an encoded NUL', '/api/v1/service-account-tokens/ID%00'],
    ['raw bytes', '/api/v1/service-account-tokens/ID\xff\xfe'],
    ['an empty segment', '/api/v1/service-account-tokens//ID'],
    ['empty segments in front', '//api/v1/service-account-tokens/ID'],
    ['a trailing slash', '/api/v1/service-account-tokens/ID/'],
    ['upper case', '/API/V1/service-account-tokens/ID'],
  ])('%s', async (_name, target) => {
    for (const method of ['GET', 'DELETE']) {
      const [status = 400] = await exchange(request(method, target.replaceAll('ID', id)));
      expect([400, 404]).toContain(status);
    }
    expect(await heard()).toEqual([]);
    expect(await isAlive()).toBe(true);
  });
});

describe('a target that a server may read as a token', () => {
  it.each([
    ['a dot', '/api/v1/service-account-tokens/./ID'],
    ['a way out and back', '/api/v1/service-account-tokens/x/../ID'],
    ['an encoded way out and back', '/api/v1/service-account-tokens/x/%2e%2e/ID'],
    ['an encoded prefix', '/%61pi/v1/service-account-tokens/ID'],
    ['a tab and more', '/api/v1/service-account-tokens/ID\tx'],
    ['a fragment', '/api/v1/service-account-tokens/ID#/../../users'],
  ])('%s: nobody gets in, and PipeOps is asked for the workspace’s list or nothing', async (_name, text) => {
    const target = text.replaceAll('ID', id);
    for (const method of ['GET', 'DELETE']) {
      const [status = 400] = await exchange(request(method, target, []));
      expect([400, 401, 404]).toContain(status);
    }
    expect(await heard()).toEqual([]);
    await exchange(request('GET', target));
    expect([[], [`GET ${TOKENS}`]]).toContainEqual(await heard());
  });
});

it.each([
  ['an asterisk', '*'],
  ['no slash', 'api/v1/service-account-tokens/ID'],
  ['backslashes', '\\api\\v1\\service-account-tokens\\ID'],
  ['another host as authority', '@evil.example/api/v1/service-account-tokens/ID'],
  ['an absolute URL', 'http://evil.example/api/v1/service-account-tokens/ID'],
])('a target that is no path, %s, serves nothing', async (_name, target) => {
  for (const method of ['GET', 'DELETE']) {
    const [status = 400] = await exchange(request(method, target.replaceAll('ID', id)));
    expect(status).toBeGreaterThanOrEqual(400);
  }
  expect(await heard()).toEqual([]);
  expect(await isAlive()).toBe(true);
});

describe('/docs', () => {
  const ask = async (method: string, target: string) =>
    await fetch(`${service.url}${target}`, { method, redirect: 'manual' });

  it.each([
    ['/docs', 'text/html; charset=utf-8', '<h1>Countersign</h1>'],
    ['/docs/reference', 'text/html; charset=utf-8', 'swagger-ui-bundle.js'],
    ['/docs/errors', 'text/html; charset=utf-8', '<h3 id="upstream_forbidden">'],
    ['/docs/page.css', 'text/css; charset=utf-8', 'main'],
    ['/docs/reference.js', 'text/javascript; charset=utf-8', "'/openapi.json'"],
    ['/docs/swagger-ui/swagger-ui-bundle.js', 'text/javascript; charset=utf-8', 'SwaggerUIBundle'],
    ['/openapi.json', 'application/json', '"openapi": "3.1.1"'],
  ])('%s is served to anybody, under a policy that lets nothing in from elsewhere', async (target, type, content) => {
    for (const method of ['GET', 'HEAD']) {
      const answer = await ask(method, target);
      expect([answer.status, answer.headers.get('Content-Type')]).toEqual([200, type]);
      const policy = answer.headers.get('Content-Security-Policy') ?? '';
      expect(policy).toContain("default-src 'none'");
      expect(policy).not.toContain(', ');
      expect(answer.headers.get('X-Content-Type-Options')).toBe('nosniff');
      expect(answer.headers.get('Referrer-Policy')).toBe('no-referrer');
      expect((await answer.text()).includes(content)).toBe(method === 'GET');
      const again = await fetch(answer.url, { method, headers: { 'If-None-Match': answer.headers.get('ETag') ?? '' } });
      expect(again.status).toBe(304);
    }
  });

  it.each([
    ['/docs/', '/docs'],
    ['/docs/errors/?x=1', '/docs/errors?x=1'],
    ['/docs/errors.html', '/docs/errors'],
    ['/docs/index', '/docs'],
  ])('%s leads to %s', async (target, location) => {
    const answer = await ask('GET', target);
    expect([answer.status, answer.headers.get('Location')]).toEqual([307, location]);
  });

  it.each([
    '/docs/nothing',
    '/_headers',
    '/docs/_headers',
    '/index.html',
    '/docs/swagger-ui',
    '/docs/..%2f..%2f..%2fpackage.json',
  ])('%s is no page, so the Worker answers', async (target) => {
    const answer = await ask('GET', target);
    expect([answer.status, await answer.json()]).toEqual([
      404,
      expect.objectContaining({ code: 'not_found', help: '/docs/errors#not_found' }),
    ]);
  });

  it.each([
    ['a way out', '/docs/../../package.json'],
    ['an encoded way out', '/docs/%2e%2e/%2e%2e/package.json'],
    ['a way out with backslashes', '/docs/..\\..\\..\\package.json'],
    ['another host', '//evil.example/docs/errors'],
    ['a NUL', '/docs/errors%00.html'],
    ['half an escape', '/docs/%e0%a4%a'],
  ])('%s leads to no file', async (_name, target) => {
    const [status = 400] = await exchange(request('GET', target, []));
    expect([400, 404]).toContain(status);
  });

  it.each(['POST', 'PUT', 'DELETE'])('%s changes nothing there', async (method) => {
    expect((await ask(method, '/docs/errors')).status).toBe(405);
  });
});

describe('in front of the Worker', () => {
  const ask = async (method: string, target: string, headers: Readonly<Record<string, string>>, body?: object) =>
    await fetch(`${service.url}${target}`, {
      method,
      headers: { Connection: 'close', ...headers },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
  const fromConsole = { 'X-Countersign-Console': '1' };
  const workspace = async (): Promise<string> => (await service.control.tokens())[0]?.workspace_uuid ?? '';

  it('/local says to the console alone that this is a local run', async () => {
    const answer = await ask('GET', '/local', fromConsole);
    expect([answer.status, await answer.json()]).toEqual([200, expect.objectContaining({ data: { local: true } })]);
    expect(answer.headers.get('Cache-Control')).toBe('no-store');
    for (const headers of [{}, { ...fromConsole, Origin: 'http://evil.example' }])
      expect((await ask('GET', '/local', headers)).status).toBe(403);
    const rebound =
      'GET /local HTTP/1.1\r\nHost: evil.example\r\nX-Countersign-Console: 1\r\nConnection: close\r\n\r\n';
    expect(await exchange(rebound)).toEqual([403]);
  });

  it('/local/leak reports a token as the scanner would, and it is revoked', async () => {
    const { id: leaked, secret } = await createClient(service, service.adminJwt).create('leaked-by-the-console');
    const answer = await ask('POST', '/local/leak', fromConsole, {
      workspace_uuid: await workspace(),
      token_id: leaked,
    });
    const text = await answer.text();
    expect(answer.status).toBe(202);
    expect(text).not.toContain(secret);
    const { data }: { readonly data: { readonly delivery_id: string } } = JSON.parse(text);
    await until('the revocation', async () =>
      (await service.control.tokens()).some((token) => token.id === leaked && token.is_revoked),
    );
    const receipt = `/api/v1/webhooks/deliveries/${data.delivery_id}`;
    const delivery = await createClient(service, service.adminJwt).send('GET', receipt);
    expect(jsonOf(delivery)).toMatchObject({ data: { source: 'scanner', revocations: [{ token_id: leaked }] } });
  });

  it('/local/leak says that it knows no such token, and does nothing', async () => {
    const elsewhere = '5877a4ae-0000-4000-8000-000000000009';
    for (const asked of [
      { workspace_uuid: await workspace(), token_id: 'nothing' },
      { workspace_uuid: elsewhere, token_id: id },
    ]) {
      const answer = await ask('POST', '/local/leak', fromConsole, asked);
      expect([answer.status, await answer.json()]).toEqual([404, expect.objectContaining({ code: 'not_found' })]);
    }
    expect(await isAlive()).toBe(true);
  });

  it.each(['/localhost', '/local.txt'])('%s is the Worker’s', async (target) => {
    const answer = await ask('GET', target, fromConsole);
    expect([answer.status, await answer.json()]).toEqual([
      404,
      expect.objectContaining({ help: '/docs/errors#not_found' }),
    ]);
  });
});

describe('white space at the end of a header value is not part of it', () => {
  const body = '{"name":"padded","scopes":["api:read"]}';
  const ends = ['\t', ' ', ' \t \t', ' '.repeat(2_000)].map((end) => [JSON.stringify(end.slice(0, 8)), end] as const);

  it.each(ends)('Authorization, %s', async (_name, end) => {
    const authorization = `Authorization: Bearer ${service.adminJwt}${end}`;
    expect(await exchange(request('GET', '/api/v1/whoami', [authorization]))).toEqual([200]);
  });

  it.each(ends)('every other header of a create, %s', async (_name, end) => {
    const headers = [
      `Authorization: Bearer ${service.adminJwt}`,
      `Content-Type: application/json${end}`,
      `Content-Encoding: identity${end}`,
      `Idempotency-Key: "ended-by-${Buffer.from(end.slice(0, 8)).toString('hex')}"${end}`,
      `Content-Length: ${body.length}`,
    ];
    expect(await exchange(request('POST', TOKENS, headers) + body)).toEqual([201]);
    expect(
      await exchange(
        request(
          'POST',
          TOKENS,
          headers.map((header) => header.trimEnd()),
        ) + body,
      ),
    ).toEqual([201]);
    expect(await heard()).toEqual([`POST ${TOKENS}`]);
  });

  it.each([
    ['a tab behind the scheme', 'Bearer\tJWT'],
    ['a tab and a space behind the scheme', 'Bearer \tJWT'],
    ['a vertical tab', 'Bearer JWT\v'],
    ['a form feed', 'Bearer JWT\f'],
    ['a no-break space', 'Bearer JWT\xa0'],
    ['a second word', 'Bearer JWT x'],
  ])('but %s is refused', async (_name, value) => {
    const authorization = `Authorization: ${value.replace('JWT', service.adminJwt)}`;
    expect(await exchange(request('GET', '/api/v1/whoami', [authorization]))).toEqual([401]);
  });
});

it.each([
  [24 * 1024, 200],
  [24 * 1024 + 1, 401],
  [100 * 1024, 401],
])('a JWT of %i bytes is answered %i', async (bytes, status) => {
  const { privateJwk } = await openIssuer(stateDir);
  const key = await importJWK(privateJwk, 'ES256');
  const sign = async (pad: string, kidPad: string): Promise<string> =>
    await new SignJWT({ role: 'admin', pad })
      .setProtectedHeader({ alg: 'ES256', kid: privateJwk.kid, typ: 'JWT', pad: kidPad })
      .setIssuer(LOCAL_ISSUER)
      .setAudience(LOCAL_AUDIENCE)
      .setSubject('with-many-groups')
      .setIssuedAt()
      .setExpirationTime('5m')
      .sign(key);
  const bare = (await sign('', '')).length;
  const near = Math.floor(((bytes - bare) * 3) / 4);
  const pads = [-3, -2, -1, 0, 1, 2].flatMap((more) => ['', 'x', 'xx'].map((kidPad) => [near + more, kidPad] as const));
  const jwts = await Promise.all(pads.map(async ([length, kidPad]) => await sign('x'.repeat(length), kidPad)));
  const jwt = jwts.find(({ length }) => length === bytes)!;
  expect(await exchange(request('GET', '/api/v1/whoami', [`Authorization: Bearer ${jwt}`]))).toEqual([status]);
});

describe('two headers of one name', () => {
  it('Authorization: refused, whichever of them is good', async () => {
    const good = `Authorization: Bearer ${service.adminJwt}`;
    const pairs = [
      [good, good],
      [good, 'Authorization: Basic YWRtaW46YWRtaW4='],
      ['Authorization: Basic YWRtaW46YWRtaW4=', good],
      ['authorization: Bearer x', good],
      [good, 'Authorization:'],
    ];
    for (const headers of pairs) {
      expect(await exchange(request('GET', TOKENS, headers))).toEqual([401]);
    }
    expect(await heard()).toEqual([]);
  });

  it.each([
    ['a length and chunks', ['Content-Length: 4', 'Transfer-Encoding: chunked']],
    ['two lengths', ['Content-Length: 0', 'Content-Length: 400']],
    ['a coding that is none', ['Content-Length: 4', 'Transfer-Encoding: xchunked']],
  ])('%s: what could be a second request is not served', async (_name, framing) => {
    const outer = request('POST', TOKENS, [...framing, 'Content-Type: application/json']);
    const statuses = await exchange(`${outer}0\r\n\r\n${request('DELETE', `${TOKENS}/${id}`)}`);
    expect(statuses).not.toContain(200);
    expect(await heard()).toEqual([]);
    expect(await isAlive()).toBe(true);
  });
});
