import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createTestIssuer } from '../support/issuer.ts';
import { authenticatorFor, createHarness, NOW_MS, rejectionOf, requestWith } from './harness.ts';

const ACCESS = 'Cf-Access-Jwt-Assertion';
const github = await createTestIssuer({ issuer: 'https://github.test', alg: 'RS256' });
const access = await createTestIssuer({ issuer: 'https://acme.access.test' });
const at = { nowMs: NOW_MS };

describe('several issuers', () => {
  const authenticator = authenticatorFor([
    github.policy({ subject: 'repository_id', label: 'repository', actorType: 'service_account' }),
    access.policy({ label: 'email' }),
  ]);

  it('each is judged by its own keys and claims', async () => {
    const fromGithub = await github.sign({ repository_id: '42', repository: 'acme/shop' }, at);
    expect(await authenticator.authenticate(requestWith(fromGithub))).toMatchObject({
      ok: true,
      value: { issuer: github.issuer, subject: '42', label: 'acme/shop', actorType: 'service_account' },
    });
    const fromAccess = await access.sign({ email: 'alice@acme.example' }, at);
    expect(await authenticator.authenticate(requestWith(fromAccess))).toMatchObject({
      ok: true,
      value: { issuer: access.issuer, subject: 'alice', label: 'alice@acme.example', actorType: 'user' },
    });
  });

  it('none speaks for another', async () => {
    const forged = await access.sign({ iss: github.issuer, repository_id: '42' }, { ...at, header: { alg: 'RS256' } });
    expect(await rejectionOf(authenticator, forged)).toBe('signature_invalid');
  });
});

describe('an issuer that is listed twice', () => {
  // Cloudflare Access signs these shapes: a user has a `sub`, and a service token an empty one and a `common_name`.
  const users = access.policy({ label: 'email', maxAgeSeconds: 3600 });
  const services = access.policy({ subject: 'common_name', actorType: 'service_account' });
  const authenticator = authenticatorFor([users, services]);

  it.each([
    [
      'a user',
      { sub: 'u-1', email: 'alice@acme.example' },
      { subject: 'u-1', actorType: 'user', label: 'alice@acme.example' },
    ],
    [
      'a service token',
      { sub: '', common_name: 'ci.access' },
      { subject: 'ci.access', actorType: 'service_account', label: null },
    ],
    ['a service token without sub', { sub: undefined, common_name: 'ci.access' }, { subject: 'ci.access' }],
    ['a service token with a null sub', { sub: null, common_name: 'ci.access' }, { subject: 'ci.access' }],
    ['both claims: the first entry', { sub: 'u-1', common_name: 'ci.access' }, { subject: 'u-1', actorType: 'user' }],
  ])('knows %s', async (_name, claims, identity) => {
    const result = await authenticator.authenticate(requestWith(await access.sign(claims, at)));
    expect(result).toMatchObject({ ok: true, value: identity });
  });

  it('may tell its callers apart by audience, or by algorithm', async () => {
    const byAudience = authenticatorFor([
      users,
      access.policy({ audience: ['services'], actorType: 'service_account' }),
    ]);
    const forServices = await access.sign({ aud: ['services'] }, at);
    expect(await byAudience.authenticate(requestWith(forServices))).toMatchObject({
      value: { actorType: 'service_account' },
    });

    const byAlgorithm = authenticatorFor([access.policy({ algorithms: ['RS256'] }), services]);
    const token = await access.sign({ common_name: 'ci.access' }, at);
    expect(await byAlgorithm.authenticate(requestWith(token))).toMatchObject({ value: { subject: 'ci.access' } });
  });

  it('may tell its callers apart by the type of their JWTs', async () => {
    const byType = authenticatorFor([
      access.policy({ acceptTyp: ['application/jwt'] }),
      access.policy({ acceptTyp: ['application/at+jwt'], actorType: 'service_account' }),
    ]);
    const ofType = async (typ: string | undefined) =>
      await byType.authenticate(requestWith(await access.sign({}, { ...at, header: { typ } })));
    expect(await ofType('JWT')).toMatchObject({ value: { actorType: 'user' } });
    expect(await ofType('at+jwt')).toMatchObject({ value: { actorType: 'service_account' } });
    expect(await ofType(undefined)).toMatchObject({ value: { actorType: 'user' } });
    expect(await ofType('logout+jwt')).toMatchObject({ ok: false, error: { reason: 'type_not_accepted' } });
  });

  it('gives the reason of the first entry where none fits', async () => {
    expect(await rejectionOf(authenticator, await access.sign({ sub: '' }, at))).toBe('subject_empty');
    expect(await rejectionOf(authenticator, await access.sign({ aud: 'someone' }, at))).toBe('audience_mismatch');
  });

  it('never verifies under one entry what only another accepts', async () => {
    // It is too old for the users' entry, whose subject claim it has. The services' entry would accept it.
    const iat = NOW_MS / 1000 - 7200;
    expect(await rejectionOf(authenticator, await access.sign({ iat, common_name: 'ci.access' }, at))).toBe('too_old');
  });
});

describe('the header', () => {
  const authenticator = authenticatorFor([github.policy(), access.policy({ header: ACCESS })]);

  it('is the one that the issuer is configured for', async () => {
    const token = await access.sign({}, at);
    expect(await authenticator.authenticate(requestWith(token, { header: ACCESS }))).toMatchObject({ ok: true });
    const error = { kind: 'token_rejected', reason: 'wrong_header', issuer: access.issuer };
    expect(await authenticator.authenticate(requestWith(token))).toEqual({ ok: false, error });
    const other = await github.sign({}, at);
    expect(await authenticator.authenticate(requestWith(other, { header: ACCESS }))).toMatchObject({
      error: { reason: 'wrong_header', issuer: github.issuer },
    });
  });

  it('Authorization decides alone where both are there', async () => {
    const headers = { Authorization: `Bearer ${await github.sign({ sub: 'mallory' }, { nowMs: 0 })}` };
    const request = requestWith(await access.sign({}, at), { header: ACCESS, headers });
    expect(await authenticator.authenticate(request)).toMatchObject({ ok: false, error: { reason: 'expired' } });
  });

  it('the Access header carries a mutation only from our own pages', async () => {
    const token = await access.sign({}, at);
    const mutation = { method: 'POST', header: ACCESS };
    const crossSite = { ok: false, error: { kind: 'cross_site' } };
    expect(await authenticator.authenticate(requestWith(token, mutation))).toEqual(crossSite);
    const headers = { Origin: 'https://countersign.test' };
    expect(await authenticator.authenticate(requestWith(token, { ...mutation, headers }))).toMatchObject({ ok: true });
  });

  it('Authorization, which no browser adds by itself, carries a mutation from anywhere', async () => {
    const headers = { 'Sec-Fetch-Site': 'cross-site', Origin: 'https://elsewhere.test' };
    const request = requestWith(await github.sign({}, at), { method: 'POST', headers });
    expect(await authenticator.authenticate(request)).toMatchObject({ ok: true });
  });
});

describe('what a failure tells', () => {
  const authenticator = authenticatorFor([github.policy()]);

  it('names an issuer only if it is configured', async () => {
    const stranger = await createTestIssuer({ issuer: 'https://stranger.test' });
    const unknown = await authenticator.authenticate(requestWith(await stranger.sign({}, at)));
    expect(unknown).toEqual({ ok: false, error: { kind: 'token_rejected', reason: 'issuer_unknown' } });
    const expired = await authenticator.authenticate(requestWith(await github.sign({ exp: 1 }, at)));
    expect(expired).toEqual({ ok: false, error: { kind: 'token_rejected', reason: 'expired', issuer: github.issuer } });
  });

  it('holds no part of the token, whatever the header says', async () => {
    const text = fc.stringMatching(/^[!-+\--~]{8,60}$/);
    await fc.assert(
      fc.asyncProperty(text, async (value) => {
        const headers = new Headers({ Authorization: `Bearer ${value}` });
        const result = await authenticator.authenticate({ method: 'GET', url: 'https://countersign.test/', headers });
        expect(result.ok).toBe(false);
        expect(JSON.stringify(result)).not.toContain(value.slice(0, 8));
      }),
    );
  });
});

it('inline keys that are of no use are our fault', async () => {
  const policy = github.policy({ keys: { kind: 'inline', jwks: { keys: [{ kty: 'oct', k: 'c2VjcmV0' }] } } });
  const result = await authenticatorFor([policy]).authenticate(requestWith(await github.sign({}, at)));
  expect(result).toEqual({
    ok: false,
    error: { kind: 'issuer_unavailable', issuer: github.issuer, retryAfterSeconds: 60 },
  });
});

it('inline keys need no network and no D1', async () => {
  const harness = createHarness();
  const authenticator = authenticatorFor([github.policy()], harness);
  expect(await rejectionOf(authenticator, await github.sign({}, at))).toMatchObject({ ok: true });
  expect(await rejectionOf(authenticator, await github.sign({}, { ...at, header: { kid: 'unknown' } }))).toBe(
    'key_unknown',
  );
  expect([harness.requests, harness.storeCalls]).toEqual([[], []]);
});
