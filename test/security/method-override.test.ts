import { beforeAll, describe, expect, it } from 'vitest';
import { createHarness, TOKENS, type Harness } from '../support/harness.ts';
import { badRequest, expectRefused, receivedBy, UNAUTHENTICATED } from './expectations.ts';
import { nameOf, NO_EVENT, PROTECTED_ROUTES } from './routes.ts';

// A request is what its request line says, whatever its headers and parameters ask for.

let harness: Harness;
let id: string;
beforeAll(async () => {
  harness = await createHarness();
  id = (await harness.mint()).id;
});

const OVERRIDES = ['X-HTTP-Method-Override', 'X-HTTP-Method', 'X-Method-Override'];

describe.each(OVERRIDES)('%s', (name) => {
  const headers = { [name]: 'DELETE' };

  it('does not turn a read into a revocation', async () => {
    await harness.control.clearRequests({ credential: harness.credential });
    expect((await harness.send('GET', `${TOKENS}/${id}`, { headers })).status).toBe(200);
    expect((await receivedBy(harness)).map(({ method }) => method)).toEqual(['GET']);
  });

  it('does not turn a POST into a revocation', async () => {
    await expectRefused(
      harness,
      async () => await harness.send('POST', `${TOKENS}/${id}`, { headers, body: { name: 'x' } }),
      badRequest('method_not_allowed'),
    );
  });

  it('gives nobody a method that needs no permission', async () => {
    const role = { 'X-HTTP-Method-Override': 'OPTIONS', [name]: 'OPTIONS' };
    await expectRefused(
      harness,
      async () => await harness.send('DELETE', `${TOKENS}/${id}`, { jwt: null, headers: role }),
      UNAUTHENTICATED,
    );
  });
});

it.each(['_method', 'method', '_METHOD', 'X-HTTP-Method-Override'])('?%s= is an unknown parameter', async (name) => {
  await expectRefused(
    harness,
    async () => await harness.send('GET', `${TOKENS}/${id}?${name}=DELETE`),
    badRequest('invalid_request', [name]),
  );
});

it('_method in a body is an unknown field', async () => {
  await expectRefused(
    harness,
    async () => await harness.send('PATCH', `${TOKENS}/${id}`, { body: { name: 'x', _method: 'DELETE' } }),
    badRequest('invalid_request', ['_method']),
  );
});

it.each(['X-Original-URL', 'X-Rewrite-URL', 'X-Forwarded-Path', 'X-Forwarded-Prefix', 'X-Original-URI'])(
  '%s does not lead to another route',
  async (name) => {
    const headers = { [name]: '/healthz' };
    await expectRefused(
      harness,
      async () => await harness.send('GET', TOKENS, { jwt: null, headers }),
      UNAUTHENTICATED,
    );
    const elsewhere = { [name]: `${TOKENS}/${id}` };
    await expectRefused(
      harness,
      async () => await harness.send('DELETE', '/healthz', { headers: elsewhere }),
      badRequest('method_not_allowed'),
    );
  },
);

it.each(['Host', 'X-Forwarded-Host', 'X-Forwarded-Server', 'Forwarded'])(
  '%s does not lead to another upstream',
  async (name) => {
    await harness.control.clearRequests({ credential: harness.credential });
    const value = name === 'Forwarded' ? 'host=evil.example' : 'evil.example';
    expect((await harness.send('GET', TOKENS, { headers: { [name]: value } })).status).toBe(200);
    const received = await receivedBy(harness);
    expect(received).toHaveLength(1);
    expect(JSON.stringify(received)).not.toContain('evil.example');
  },
);

describe('a method that a path does not take', () => {
  const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND'];
  const paths = [...new Set(PROTECTED_ROUTES.map((route) => route.pattern))];

  it.each(paths)('on %s', async (pattern) => {
    const taken: string[] = PROTECTED_ROUTES.filter((route) => route.pattern === pattern).map(({ method }) => method);
    const path = pattern.replace(':id', id).replace(/:(?:event|delivery)_id/, NO_EVENT);
    // HEAD is GET without its body: RFC 9110 §9.3.2.
    for (const method of METHODS.filter((each) => !taken.includes(each))) {
      await expectRefused(harness, async () => await harness.send(method, path, { jwt: null }), UNAUTHENTICATED);
      const answer = await expectRefused(
        harness,
        async () => await harness.send(method, path),
        badRequest('method_not_allowed'),
      );
      expect(answer.headers.get('Allow')?.split(', ').toSorted()).toEqual(taken.toSorted());
    }
  });

  it('a preflight is told nothing: there is no CORS', async () => {
    const headers = { Origin: 'https://evil.example', 'Access-Control-Request-Method': 'DELETE' };
    const answer = await harness.send('OPTIONS', `${TOKENS}/${id}`, { jwt: null, headers });
    expect(answer.status).toBe(401);
    expect([...answer.headers.keys()].filter((name) => name.startsWith('access-control'))).toEqual([]);
  });
});

it.each(PROTECTED_ROUTES.filter(({ method }) => method === 'GET').map((route) => [nameOf(route), route] as const))(
  'HEAD instead of %s needs the same JWT',
  async (_name, route) => {
    const answer = await harness.send('HEAD', route.path(id), { jwt: null });
    expect([answer.status, answer.text]).toEqual([401, '']);
  },
);
