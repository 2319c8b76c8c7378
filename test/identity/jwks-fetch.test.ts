import { describe, expect, it } from 'vitest';
import { JWKS_MAX_BYTES, JWKS_TIMEOUT_MS } from '../../src/config/limits.ts';
import { fetchKeySet } from '../../src/identity/jwks.ts';
import type { IssuerPolicy } from '../../src/config/issuers.ts';
import { createTestIssuer } from '../support/issuer.ts';
import { type Answer, createHarness } from './harness.ts';

const issuer = await createTestIssuer();
const JWKS_URI = 'https://keys.test/jwks';
const DISCOVERY = `${issuer.issuer}/.well-known/openid-configuration`;
const byUri = issuer.policy({ keys: { kind: 'uri', jwksUri: JWKS_URI } });
const byDiscovery = issuer.policy({ keys: { kind: 'discovery' } });

const jwks: Answer = () => Response.json(issuer.jwks);
const discovery = (document: unknown) => (): Response => Response.json(document);

/** The error of a read, or the kids that it gave. */
async function readWith(policy: IssuerPolicy, answers: Record<string, Answer>) {
  const harness = createHarness();
  for (const [url, answer] of Object.entries(answers)) harness.answers.set(url, answer);
  const result = await fetchKeySet(policy, harness.runtime);
  const outcome = result.ok ? result.value.keys.jwks().keys.map((key) => key.kid) : result.error;
  return { outcome, harness, urls: harness.requests.map(({ url }) => url) };
}

/** A body in chunks, which tells whether its reader cancelled it. */
function chunkedBody(chunkBytes: number, chunks: number) {
  const state = { sent: 0, cancelled: false };
  const stream = new ReadableStream<Uint8Array>({
    pull: (controller) => {
      if (state.sent === chunks) return controller.close();
      state.sent += 1;
      return controller.enqueue(new Uint8Array(chunkBytes).fill(0x20));
    },
    cancel: () => {
      state.cancelled = true;
    },
  });
  return { state, answer: () => new Response(stream) };
}

describe('reading a JWK set', () => {
  it('asks for JSON, follows no redirect and can be aborted', async () => {
    const { outcome, harness } = await readWith(byUri, { [JWKS_URI]: jwks });
    expect(outcome).toEqual([issuer.kid]);
    expect(harness.requests).toEqual([
      {
        url: JWKS_URI,
        init: { headers: { Accept: 'application/json' }, redirect: 'manual', signal: expect.any(AbortSignal) },
      },
    ]);
  });

  it.each<[string, Answer, string]>([
    [
      'a redirect',
      () => new Response(null, { status: 302, headers: { Location: 'https://evil.test/jwks' } }),
      'redirected',
    ],
    ['a redirect with a body', () => new Response(JSON.stringify(issuer.jwks), { status: 307 }), 'redirected'],
    ['404', () => Response.json(issuer.jwks, { status: 404 }), 'status'],
    ['500 without a body', () => new Response(null, { status: 500 }), 'status'],
    ['204', () => new Response(null, { status: 204 }), 'status'],
    ['an HTML page', () => new Response('<html>'), 'not_json'],
    ['half a JSON', () => new Response(JSON.stringify(issuer.jwks).slice(0, 40)), 'not_json'],
    ['an empty body', () => new Response(''), 'not_json'],
    ['no body', () => new Response(null), 'not_json'],
    ['no key that serves', () => Response.json({ keys: [{ kty: 'oct', k: 'c2VjcmV0' }] }), 'no_usable_key'],
    ['null', () => new Response('null'), 'no_usable_key'],
    ['a broken connection', () => Promise.reject(new TypeError('connection lost')), 'unreachable'],
  ])('answered with %s', async (_name, answer, reason) => {
    expect((await readWith(byUri, { [JWKS_URI]: answer })).outcome).toBe(reason);
  });

  it('accepts a set of exactly the largest size', async () => {
    const text = JSON.stringify(issuer.jwks);
    const padded = text + ' '.repeat(JWKS_MAX_BYTES - text.length);
    expect((await readWith(byUri, { [JWKS_URI]: () => new Response(padded) })).outcome).toEqual([issuer.kid]);
    expect((await readWith(byUri, { [JWKS_URI]: () => new Response(`${padded} `) })).outcome).toBe('too_large');
  });

  it('stops reading an endless body at the cap', async () => {
    const { state, answer } = chunkedBody(16 * 1024, Infinity);
    expect((await readWith(byUri, { [JWKS_URI]: answer })).outcome).toBe('too_large');
    expect(state.cancelled).toBe(true);
    expect(state.sent).toBeLessThan(8);
  });

  it('joins characters that two chunks share', async () => {
    const bytes = new TextEncoder().encode(JSON.stringify({ keys: [{ ...issuer.publicJwk, kid: 'schlüssel-🔑' }] }));
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        for (const byte of bytes) controller.enqueue(new Uint8Array([byte]));
        controller.close();
      },
    });
    expect((await readWith(byUri, { [JWKS_URI]: () => new Response(body) })).outcome).toEqual(['schlüssel-🔑']);
  });

  it.each<[string, Answer]>([
    ['an answer', () => new Promise<Response>(() => {})],
    ['the end of a body', () => new Response(new ReadableStream({ pull: () => new Promise(() => {}) }))],
  ])('waits for %s only until its deadline', async (_name, answer) => {
    const harness = createHarness();
    harness.answers.set(JWKS_URI, answer);
    const reading = fetchKeySet(byUri, harness.runtime);
    harness.expire(JWKS_TIMEOUT_MS);
    expect(await reading).toEqual({ ok: false, error: 'timeout' });
    expect(harness.requests[0]?.init.signal?.aborted).toBe(true);
  });
});

describe('OIDC discovery', () => {
  const good = { issuer: issuer.issuer, jwks_uri: JWKS_URI };

  it('leads to the keys', async () => {
    const { outcome, urls } = await readWith(byDiscovery, { [DISCOVERY]: discovery(good), [JWKS_URI]: jwks });
    expect([outcome, urls]).toEqual([[issuer.kid], [DISCOVERY, JWKS_URI]]);
  });

  it.each([
    ['https://tenant.test/', 'https://tenant.test/.well-known/openid-configuration'],
    ['https://tenant.test/a', 'https://tenant.test/a/.well-known/openid-configuration'],
    ['https://tenant.test/a/', 'https://tenant.test/a/.well-known/openid-configuration'],
  ])('of %s is at %s', async (named, url) => {
    const policy = issuer.policy({ issuer: named, keys: { kind: 'discovery' } });
    const { outcome } = await readWith(policy, { [url]: discovery({ ...good, issuer: named }), [JWKS_URI]: jwks });
    expect(outcome).toEqual([issuer.kid]);
  });

  it.each<[string, unknown, string]>([
    ['another issuer', { ...good, issuer: 'https://evil.test' }, 'discovery_mismatch'],
    ['our issuer with a slash', { ...good, issuer: `${issuer.issuer}/` }, 'discovery_mismatch'],
    ['no issuer', { jwks_uri: JWKS_URI }, 'discovery_mismatch'],
    ['no object', [good], 'discovery_mismatch'],
    ['no jwks_uri', { issuer: issuer.issuer }, 'jwks_uri_insecure'],
    ['a jwks_uri over http', { ...good, jwks_uri: 'http://keys.test/jwks' }, 'jwks_uri_insecure'],
    ['a jwks_uri on this machine', { ...good, jwks_uri: 'http://127.0.0.1:8080/jwks' }, 'jwks_uri_insecure'],
    ['a jwks_uri of another scheme', { ...good, jwks_uri: 'data:application/json,{}' }, 'jwks_uri_insecure'],
    ['a jwks_uri that is no URL', { ...good, jwks_uri: '/jwks' }, 'jwks_uri_insecure'],
    ['a jwks_uri that is no text', { ...good, jwks_uri: [JWKS_URI] }, 'jwks_uri_insecure'],
  ])('that names %s is not followed', async (_name, document, reason) => {
    const { outcome, urls } = await readWith(byDiscovery, { [DISCOVERY]: discovery(document), [JWKS_URI]: jwks });
    expect([outcome, urls]).toEqual([reason, [DISCOVERY]]);
  });

  it.each(['http://localhost:9000', 'http://127.0.0.1:9000', 'http://[::1]:9000'])(
    'may use http where the issuer is %s itself',
    async (local) => {
      const policy = issuer.policy({ issuer: local, keys: { kind: 'discovery' } });
      const document = discovery({ issuer: local, jwks_uri: `${local}/jwks` });
      const answers = { [`${local}/.well-known/openid-configuration`]: document, [`${local}/jwks`]: jwks };
      expect((await readWith(policy, answers)).outcome).toEqual([issuer.kid]);
      const elsewhere = discovery({ issuer: local, jwks_uri: 'http://keys.test/jwks' });
      const outcome = await readWith(policy, { [`${local}/.well-known/openid-configuration`]: elsewhere });
      expect(outcome.outcome).toBe('jwks_uri_insecure');
    },
  );

  it('fails as its document fails', async () => {
    const answers = { [DISCOVERY]: () => new Response(null, { status: 301, headers: { Location: DISCOVERY } }) };
    expect((await readWith(byDiscovery, answers)).outcome).toBe('redirected');
  });

  it('and the keys share one deadline', async () => {
    const harness = createHarness();
    harness.answers.set(DISCOVERY, discovery(good));
    harness.answers.set(JWKS_URI, () => {
      harness.expire(JWKS_TIMEOUT_MS);
      return new Promise<Response>(() => {});
    });
    expect(await fetchKeySet(byDiscovery, harness.runtime)).toEqual({ ok: false, error: 'timeout' });
  });
});
