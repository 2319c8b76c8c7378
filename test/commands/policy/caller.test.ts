import { describe, expect, it } from 'vitest';
import { SignJWT, exportJWK, generateKeyPair, type JWK } from 'jose';
import { askerOf, type ReadKeys, readKeysOverNetwork } from '../../../commands/policy/caller.ts';
import { parsePolicy } from '../../../src/config/policy.ts';
import { readKeySet } from '../../../src/identity/jwks.ts';
import { startLoopbackServer } from '../loopback-server.ts';
import { err, ok } from '../../../src/kit/result.ts';

const NOW_MS = Date.UTC(2026, 10, 28);
const NOW = NOW_MS / 1000;
const INLINE = 'https://inline.example';
const REMOTE = 'https://remote.example';
const ACCESS = 'https://acme.cloudflareaccess.example';

const { publicKey, privateKey } = await generateKeyPair('ES256');
const stranger = await generateKeyPair('ES256');
const jwk: JWK = { ...(await exportJWK(publicKey)), kid: 'k', alg: 'ES256' };

const parsed = parsePolicy({
  issuers: [
    { issuer: INLINE, audience: 'countersign', algorithms: ['ES256'], jwks: { keys: [jwk] }, label: 'email' },
    { issuer: REMOTE, audience: 'countersign', algorithms: ['ES256', 'RS256'] },
    // One issuer with two kinds of caller, told apart by the claim that has a subject.
    { issuer: ACCESS, audience: 'access', subject: 'sub', label: 'email', header: 'Cf-Access-Jwt-Assertion' },
    { issuer: ACCESS, audience: 'access', subject: 'common_name', header: 'Cf-Access-Jwt-Assertion' },
  ],
  roles: { ci: { permissions: ['tokens:read'], workspaces: ['*'] } },
  bindings: [],
});
if (!parsed.ok) throw new Error(JSON.stringify(parsed.error));
const { issuers } = parsed.value;

const GOOD = { iss: INLINE, aud: 'countersign', sub: 'alice', iat: NOW - 10, exp: NOW + 300 };

async function jwtOf(
  claims: Readonly<Record<string, unknown>>,
  { key = privateKey, header = {} } = {},
): Promise<string> {
  return await new SignJWT({ ...GOOD, ...claims }).setProtectedHeader({ alg: 'ES256', kid: 'k', ...header }).sign(key);
}
const judge = async (jwt: string, readKeys: ReadKeys = null) =>
  await askerOf(issuers, { kind: 'jwt', jwt }, null, readKeys, NOW_MS);
const judgeClaims = async (claims: Readonly<Record<string, unknown>>) =>
  await askerOf(issuers, { kind: 'claims', claims }, null, null, NOW_MS);

describe('the signature of a JWT', () => {
  it('is checked where the keys of its issuer are in the policy', async () => {
    expect(await judge(await jwtOf({ email: 'alice@acme.example' }))).toMatchObject({
      kind: 'known',
      identity: { issuer: INLINE, subject: 'alice', label: 'alice@acme.example' },
      signature: 'good',
      untimely: null,
    });
    const forged = await jwtOf({}, { key: stranger.privateKey });
    expect(await judge(forged)).toEqual({ kind: 'rejected', reason: 'signature_invalid', issuer: INLINE });
    expect(await judge(await jwtOf({}, { header: { kid: 'other' } }))).toMatchObject({ reason: 'key_unknown' });
  });

  it('is not checked where they are not, unless the issuer is asked', async () => {
    const forged = await jwtOf({ iss: REMOTE }, { key: stranger.privateKey });
    expect(await judge(forged)).toMatchObject({ kind: 'known', signature: 'keys_not_asked' });
    const set = await readKeySet({ keys: [jwk] });
    const give: ReadKeys = async () => await Promise.resolve(set === null ? err('no_usable_key') : ok(set));
    expect(await judge(forged, give)).toMatchObject({ kind: 'rejected', reason: 'signature_invalid' });
    expect(await judge(await jwtOf({ iss: REMOTE }), give)).toMatchObject({ kind: 'known', signature: 'good' });
    const fail: ReadKeys = async () => await Promise.resolve(err('unreachable'));
    expect(await judge(forged, fail)).toMatchObject({ kind: 'known', signature: 'keys_unreadable' });
  });

  it('must be by an algorithm of its issuer, whether or not it is checked', async () => {
    const rsa = await generateKeyPair('RS256');
    const jwt = await new SignJWT(GOOD).setProtectedHeader({ alg: 'RS256' }).sign(rsa.privateKey);
    expect(await judge(jwt)).toMatchObject({ reason: 'algorithm_not_allowed' });
    const none = `${btoa('{"alg":"none"}')}.${btoa(JSON.stringify({ ...GOOD, iss: REMOTE })).replaceAll('=', '')}.`;
    expect(await judge(none)).toMatchObject({ kind: 'rejected' });
  });
});

describe('what a JWT says', () => {
  it.each([
    ['another audience', { aud: 'elsewhere' }, 'audience_mismatch'],
    ['an issuer that is none', { iss: 'https://other.example' }, 'issuer_unknown'],
    ['an issuer with a slash more', { iss: `${INLINE}/` }, 'issuer_unknown'],
    ['no subject', { sub: undefined }, 'claim_missing'],
    ['an empty subject', { sub: '' }, 'subject_empty'],
    ['no end', { exp: undefined }, 'claim_missing'],
    ['no beginning', { iat: undefined }, 'claim_missing'],
    ['an end that is no time', { exp: 'tomorrow' }, 'claim_malformed'],
    ['an old JWT for another audience', { exp: NOW - 3_600, iat: NOW - 7_200, aud: 'elsewhere' }, 'audience_mismatch'],
  ])('%s: it is refused', async (_what, claims, reason) => {
    expect(await judge(await jwtOf({ iss: INLINE, ...claims }))).toMatchObject({ kind: 'rejected', reason });
  });

  it('and its type: it is refused', async () => {
    expect(await judge(await jwtOf({}, { header: { typ: 'logout+jwt' } }))).toMatchObject({
      reason: 'type_not_accepted',
    });
    expect(await judge(await jwtOf({}, { header: { typ: 'at+jwt' } }))).toMatchObject({ kind: 'known' });
  });

  it.each([
    ['has expired', { iat: NOW - 7_200, exp: NOW - 3_600 }, 'expired'],
    ['is too old', { iat: NOW - 100_000 }, 'too_old'],
    ['is from the future', { iat: NOW + 3_600, exp: NOW + 7_200 }, 'issued_in_future'],
    ['is not valid yet', { nbf: NOW + 3_600 }, 'not_yet_valid'],
  ])('that it %s is said, and a fresh one is judged', async (_what, claims, untimely) => {
    expect(await judge(await jwtOf(claims))).toMatchObject({ kind: 'known', identity: { subject: 'alice' }, untimely });
  });

  it('is refused if there is too much of it', async () => {
    expect(await judge(await jwtOf({ groups: 'g'.repeat(30_000) }))).toMatchObject({ reason: 'too_large' });
  });
});

describe('claims alone', () => {
  it('are of a fresh JWT where they do not say when', async () => {
    const { iat: _iat, exp: _exp, ...claims } = GOOD;
    expect(await judgeClaims(claims)).toMatchObject({ kind: 'known', signature: 'claims_alone', untimely: null });
    expect(await judgeClaims({ ...GOOD, exp: NOW - 60, iat: NOW - 120 })).toMatchObject({ untimely: 'expired' });
  });

  it('are judged by the first entry of their issuer that fits them', async () => {
    const person = { iss: ACCESS, aud: 'access', sub: 'ada', email: 'ada@acme.example' };
    const service = { iss: ACCESS, aud: 'access', sub: '', common_name: 'ci.access' };
    expect(await judgeClaims(person)).toMatchObject({ identity: { subject: 'ada', label: 'ada@acme.example' } });
    expect(await judgeClaims(service)).toMatchObject({ identity: { subject: 'ci.access' } });
  });

  it('come in the header in which the policy accepts their issuer, unless another is named', async () => {
    const person = { iss: ACCESS, aud: 'access', sub: 'ada' };
    const named = await askerOf(issuers, { kind: 'claims', claims: person }, 'Authorization', null, NOW_MS);
    expect(named).toMatchObject({ kind: 'rejected', reason: 'wrong_header' });
  });

  it.each([[{}], [{ iss: 5 }], [{ iss: null, sub: 'x' }]])('of nobody are refused: %j', async (claims) => {
    expect(await judgeClaims(claims)).toMatchObject({ kind: 'rejected', reason: 'issuer_unknown' });
  });
});

it('keys are read from the issuer as the service does it: by discovery', async () => {
  const asked: (string | undefined)[] = [];
  const server = await startLoopbackServer((request, response) => {
    asked.push(request.url);
    const document = request.url === '/keys' ? { keys: [jwk] } : { issuer: server.url, jwks_uri: `${server.url}/keys` };
    response.setHeader('Content-Type', 'application/json');
    response.end(JSON.stringify(document));
  });
  const remote = parsePolicy({ issuers: [{ issuer: server.url, audience: 'countersign' }], roles: {}, bindings: [] });
  if (!remote.ok) throw new Error(JSON.stringify(remote.error));
  const ask = async (jwt: string) =>
    await askerOf(remote.value.issuers, { kind: 'jwt', jwt }, null, readKeysOverNetwork, NOW_MS);
  expect(await ask(await jwtOf({ iss: server.url }))).toMatchObject({ kind: 'known', signature: 'good' });
  expect(asked).toEqual(['/.well-known/openid-configuration', '/keys']);
  const forged = await jwtOf({ iss: server.url }, { key: stranger.privateKey });
  expect(await ask(forged)).toMatchObject({ kind: 'rejected', reason: 'signature_invalid' });
  await server.stop();
  expect(await ask(forged)).toMatchObject({ kind: 'known', signature: 'keys_unreadable' });
});
