import { expect, it } from 'vitest';
import { workerRuntime } from '../../src/worker-runtime.ts';
import { createHarness, ISSUER } from '../support/harness.ts';
import { createTestIssuer } from '../support/issuer.ts';

// The keys of an issuer through the whole Worker: what a caller is told whose key is newer than the keys that the isolate has.

const JWKS_URI = `${ISSUER}/jwks`;
const WHOAMI = '/api/v1/whoami';

it('a JWT whose key must not be looked for yet is a 503 with the time to wait, and a 401 once the key is known to be missing', async () => {
  const first = await createTestIssuer({ issuer: ISSUER, kid: 'first' });
  const rotated = await createTestIssuer({ issuer: ISSUER, kid: 'rotated' });
  const stranger = await createTestIssuer({ issuer: ISSUER, kid: 'stranger' });
  const published = [first.publicJwk];
  let reads = 0;
  let skewMs = 0;
  const roles = { admin: { permissions: ['tokens:read'], tokens: 'any', workspaces: ['*'], scopes: ['*'] } };
  const harness = await createHarness({
    issuer: first,
    env: {
      POLICY: JSON.stringify({
        issuers: [{ issuer: ISSUER, audience: 'countersign', jwksUri: JWKS_URI, actorType: 'user' }],
        roles,
        bindings: [{ issuer: ISSUER, claims: { role: 'admin' }, role: 'admin' }],
      }),
    },
    runtime: {
      now: () => Date.now() + skewMs,
      fetch: async (url, init) => {
        if (url !== JWKS_URI) return await workerRuntime.fetch(url, init);
        reads += 1;
        return Response.json({ keys: published });
      },
    },
  });
  const logIn = async (signer: typeof first) => {
    const jwt = await signer.sign({ sub: 'a', aud: 'countersign', role: 'admin' }, { nowMs: Date.now() + skewMs });
    const answer = await harness.send('GET', WHOAMI, { jwt });
    return { told: [answer.status, answer.body.code ?? null, reads], retryAfter: answer.headers.get('Retry-After') };
  };
  expect(await logIn(first)).toEqual({ told: [200, null, 1], retryAfter: null });
  published.push(rotated.publicJwk);

  const early = await logIn(rotated);
  expect(early.told).toEqual([503, 'issuer_unavailable', 1]);
  expect(Number(early.retryAfter)).toBeGreaterThan(0);
  expect(Number(early.retryAfter)).toBeLessThanOrEqual(60);
  expect((await logIn(stranger)).told).toEqual([503, 'issuer_unavailable', 1]);

  skewMs = Number(early.retryAfter) * 1000;
  expect((await logIn(rotated)).told).toEqual([200, null, 2]);
  expect((await logIn(stranger)).told).toEqual([503, 'issuer_unavailable', 2]);
  skewMs += 60_000;
  expect((await logIn(stranger)).told).toEqual([401, 'invalid_token', 3]);
});
