import { afterEach, describe, expect, it, vi } from 'vitest';
import {
  JWKS_MAX_AGE_MS,
  JWT_MAX_BYTES,
  VERIFIED_JWTS_MAX_BYTES,
  VERIFIED_JWTS_MAX_COUNT,
} from '../../src/config/limits.ts';
import { createVerifiedJwts, type VerifiedJwt } from '../../src/identity/verified-jwts.ts';
import { createTestIssuer } from '../support/issuer.ts';
import { authenticatorFor, createHarness, NOW_MS, NOW_SECONDS, rejectionOf, requestWith } from './harness.ts';
import { first, policy, second, setUp } from './isolate.ts';

// A JWT is not verified again while nothing has changed on which its verification rests.

afterEach(() => vi.restoreAllMocks());

/** The whole result of a JWT that is accepted. */
const ACCEPTED = expect.objectContaining({ ok: true });

const verifications = () => vi.spyOn(crypto.subtle, 'verify');

async function loggedIn(claims: Readonly<Record<string, unknown>> = {}, maxAgeSeconds = 3600) {
  const harness = createHarness();
  const issuer = await createTestIssuer();
  const authenticator = authenticatorFor([issuer.policy({ maxAgeSeconds })], harness);
  const token = await issuer.sign(claims, { nowMs: NOW_MS });
  const verify = verifications();
  expect(await rejectionOf(authenticator, token)).toMatchObject({ ok: true });
  verify.mockClear();
  return { harness, issuer, authenticator, token, verify };
}

it('a JWT is verified once, and names the same caller each time', async () => {
  const { authenticator, token, verify } = await loggedIn();

  const again = await authenticator.authenticate(requestWith(token));

  expect(again).toMatchObject({ ok: true, value: { subject: 'alice' } });
  expect(verify).not.toHaveBeenCalled();
});

it('a JWT that differs in one character is verified by itself', async () => {
  const { authenticator, token, verify } = await loggedIn();
  const [header = '', payload = '', signature = ''] = token.split('.');
  const forged = `${header}.${payload}.${signature.startsWith('A') ? 'B' : 'A'}${signature.slice(1)}`;

  expect(await rejectionOf(authenticator, forged)).toBe('signature_invalid');
  expect(verify).toHaveBeenCalledOnce();
});

describe('a JWT is verified again, once, if it', () => {
  it.each([
    ['it has expired, but for the tolerance', {}, 300, ACCEPTED],
    ['it has expired', {}, 330, 'expired'],
    ['it is too old, but for the tolerance', { exp: NOW_SECONDS + 9_000 }, 3_600, ACCEPTED],
    ['it is too old', { exp: NOW_SECONDS + 9_000 }, 3_631, 'too_old'],
  ])('%s', async (_name, claims, seconds, verdict) => {
    const { harness, authenticator, token, verify } = await loggedIn(claims);
    harness.advance(seconds * 1000);

    const judged = await rejectionOf(authenticator, token);

    expect(judged).toEqual(verdict);
    expect(verify).toHaveBeenCalledOnce();
  });

  it.each([
    ['its issuer withdraws the key', 'key_unknown'],
    ['its issuer puts another key under the same kid', 'signature_invalid'],
  ])('%s', async (_name, reason) => {
    const { harness, publish } = setUp();
    const authenticator = authenticatorFor([policy], harness);
    const token = await first.sign({ exp: NOW_SECONDS + 3600 }, { nowMs: NOW_MS });
    expect(await rejectionOf(authenticator, token)).toMatchObject({ ok: true });
    const other = reason === 'key_unknown' ? second : await createTestIssuer({ kid: 'first' });
    publish(other);
    harness.advance(JWKS_MAX_AGE_MS - 1);
    expect(await rejectionOf(authenticator, token)).toMatchObject({ ok: true });

    harness.advance(1);
    expect(await rejectionOf(authenticator, token)).toBe(reason);
  });

  it('comes in another header', async () => {
    const { authenticator, token } = await loggedIn();
    const elsewhere = requestWith(token, { header: 'Cf-Access-Jwt-Assertion' });

    expect(await authenticator.authenticate(elsewhere)).toMatchObject({
      ok: false,
      error: { kind: 'token_rejected', reason: 'wrong_header' },
    });
  });
});

describe('the memory of verified JWTs', () => {
  const held = (claims: Readonly<Record<string, unknown>>): VerifiedJwt => ({
    header: 'Authorization',
    policy,
    keys: Object.assign(async () => await Promise.reject(new Error('unused')), { jwks: () => ({ keys: [] }) }),
    identity: { issuer: first.issuer, subject: 'alice', label: null, actorType: 'user', claims },
  });
  const good = { iat: NOW_SECONDS, exp: NOW_SECONDS + 300 };

  it.each([
    ['all its times', good, true],
    ['a time before which it does not hold, which is past', { ...good, nbf: NOW_SECONDS }, true],
    ['the same, yet to come', { ...good, nbf: NOW_SECONDS + 1 }, false],
    ['an issue yet to come', { ...good, iat: NOW_SECONDS + 1 }, false],
    ['no expiry', { iat: NOW_SECONDS }, false],
    ['no issue', { exp: NOW_SECONDS + 300 }, false],
    ['a start that is no time', { ...good, nbf: 'soon' }, false],
  ])('counts for one with %s: %o %s', (_name, claims, counts) => {
    const verified = createVerifiedJwts();
    verified.put('jwt', held(claims));
    expect(verified.get('jwt', NOW_MS) !== null).toBe(counts);
  });

  const jwtOf = (bytes: number, name: number | string) => `${name}`.padEnd(bytes, '.');
  const fitting = Math.floor(VERIFIED_JWTS_MAX_BYTES / JWT_MAX_BYTES);
  const isHeld = (verified: ReturnType<typeof createVerifiedJwts>, jwt: string) => verified.get(jwt, NOW_MS) !== null;

  it('holds a limited number of bytes and drops the oldest JWT first', () => {
    const verified = createVerifiedJwts();
    const large = Array.from({ length: fitting * 3 }, (_, index) => jwtOf(JWT_MAX_BYTES, index));
    for (const jwt of large) verified.put(jwt, held(good));
    expect(large.filter((jwt) => isHeld(verified, jwt))).toEqual(large.slice(-fitting));
  });

  it('drops as many small JWTs as a large one needs', () => {
    const verified = createVerifiedJwts();
    const count = VERIFIED_JWTS_MAX_COUNT;
    const small = Array.from({ length: count }, (_, index) => jwtOf(VERIFIED_JWTS_MAX_BYTES / count - 1, index));
    for (const jwt of small) verified.put(jwt, held(good));
    expect(small.every((jwt) => isHeld(verified, jwt))).toBe(true);
    const large = jwtOf(JWT_MAX_BYTES, 'large');
    verified.put(large, held(good));
    expect(isHeld(verified, large)).toBe(true);
    const dropped = Math.ceil((JWT_MAX_BYTES - count) / small[0]!.length);
    expect(small.filter((jwt) => !isHeld(verified, jwt))).toEqual(small.slice(0, dropped));
  });

  it('counts a JWT that is verified again once, and as the newest', () => {
    const verified = createVerifiedJwts();
    const [first_ = '', second_ = '', ...others] = Array.from({ length: fitting + 1 }, (_, index) =>
      jwtOf(JWT_MAX_BYTES, index),
    );
    for (const jwt of [first_, second_, ...others.slice(1)]) verified.put(jwt, held(good));
    for (let times = 0; times < 10; times += 1) verified.put(first_, held(good));
    expect(isHeld(verified, second_)).toBe(true);
    verified.put(others[0] ?? '', held(good));
    expect([isHeld(verified, first_), isHeld(verified, second_)]).toEqual([true, false]);
  });

  it('holds a limited number of JWTs and drops the oldest one first', () => {
    const verified = createVerifiedJwts();
    for (let index = 0; index <= VERIFIED_JWTS_MAX_COUNT; index += 1) verified.put(`jwt-${index}`, held(good));
    expect(verified.get('jwt-0', NOW_MS)).toBeNull();
    expect(verified.get('jwt-1', NOW_MS)).not.toBeNull();
    expect(verified.get(`jwt-${VERIFIED_JWTS_MAX_COUNT}`, NOW_MS)).not.toBeNull();
  });
});
