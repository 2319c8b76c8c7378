import { base64url, createLocalJWKSet, errors } from 'jose';
import { describe, expect, it } from 'vitest';
import { CLOCK_TOLERANCE_DEFAULT_SECONDS } from '../../src/config/limits.ts';
import { SIGNATURE_ALGORITHMS } from '../../src/config/issuers.ts';
import { verifyJwt } from '../../src/identity/jwt.ts';
import { createTestIssuer } from '../support/issuer.ts';
import { authenticatorFor, NOW_MS, NOW_SECONDS, rejectionOf, requestWith } from './harness.ts';

const HOUR = 3_600;
const YEAR = 365 * 24 * HOUR;
const issuer = await createTestIssuer();
const authenticator = authenticatorFor([issuer.policy({ audience: ['countersign', 'other'], maxAgeSeconds: HOUR })]);

const sign = async (claims: Record<string, unknown>, header: Record<string, unknown> = {}) =>
  await issuer.sign(claims, { nowMs: NOW_MS, header });
const outcomeOf = async (token: string) => await rejectionOf(authenticator, token);
const accepted = expect.objectContaining({ ok: true });
const encode = (value: unknown) => base64url.encode(JSON.stringify(value));
const payload = (extra = '') =>
  `{"iss":"${issuer.issuer}","aud":"countersign","sub":"alice","iat":${NOW_SECONDS},"exp":${NOW_SECONDS + 300}${extra}}`;
const throwing = (error: Error) => () => {
  throw error;
};

describe('each algorithm', () => {
  it.each(SIGNATURE_ALGORITHMS)('%s is verified', async (alg) => {
    const signer = await createTestIssuer({ alg });
    const token = await signer.sign({}, { nowMs: NOW_MS });
    expect(await rejectionOf(authenticatorFor([signer.policy()]), token)).toEqual(accepted);
  });

  it('EdDSA is known by its newer name too', async () => {
    const signer = await createTestIssuer({ alg: 'EdDSA' });
    const token = await signer.sign({}, { nowMs: NOW_MS, header: { alg: 'Ed25519' } });
    expect(await rejectionOf(authenticatorFor([signer.policy()]), token)).toEqual(accepted);
  });

  it.each([
    ['RS256', 'RS384'],
    ['RS512', 'PS512'],
    ['PS256', 'PS384'],
    ['ES256', 'ES384'],
    ['ES384', 'ES512'],
  ] as const)('a signature by %s is none by %s', async (alg, other) => {
    const signer = await createTestIssuer({ alg });
    const { alg: _alg, ...keyForAny } = signer.publicJwk;
    const policy = signer.policy({ algorithms: [alg, other], keys: { kind: 'inline', jwks: { keys: [keyForAny] } } });
    const token = await signer.sign({}, { nowMs: NOW_MS, header: { alg: other } });
    // A curve has one algorithm, and an RSA key serves all algorithms of RSA.
    const reason = alg.startsWith('ES') ? 'key_unknown' : 'signature_invalid';
    expect(await rejectionOf(authenticatorFor([policy]), token)).toBe(reason);
  });

  it('one that the policy does not list is refused, even with a fitting key', async () => {
    const signer = await createTestIssuer({ alg: 'PS256' });
    const policy = signer.policy({ algorithms: ['RS256', 'ES256'] });
    const token = await signer.sign({}, { nowMs: NOW_MS });
    expect(await rejectionOf(authenticatorFor([policy]), token)).toBe('algorithm_not_allowed');
  });

  it('one for which the issuer publishes no key is refused', async () => {
    const policy = issuer.policy({ algorithms: ['ES256', 'RS256'] });
    expect(await rejectionOf(authenticatorFor([policy]), await sign({}, { alg: 'RS256' }))).toBe('key_unknown');
  });
});

describe('a forged token', () => {
  const claims = { iss: issuer.issuer, aud: 'countersign', sub: 'alice', iat: NOW_SECONDS, exp: NOW_SECONDS + 300 };

  it.each(['none', 'None', 'NONE'])('without a signature, alg %s, is refused', async (alg) => {
    expect(await outcomeOf(`${encode({ alg })}.${encode(claims)}.`)).toBe('algorithm_not_allowed');
  });

  it('HMAC-signed with the public key is refused', async () => {
    const input = `${encode({ alg: 'HS256', kid: issuer.kid })}.${encode(claims)}`;
    const secret = new TextEncoder().encode(JSON.stringify(issuer.publicJwk));
    const key = await crypto.subtle.importKey('raw', secret, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign']);
    const mac = new Uint8Array(await crypto.subtle.sign('HMAC', key, new TextEncoder().encode(input)));
    expect(await outcomeOf(`${input}.${base64url.encode(mac)}`)).toBe('algorithm_not_allowed');
  });

  it('signed with a key of its own under our kid is refused', async () => {
    const impostor = await createTestIssuer();
    expect(await outcomeOf(await impostor.sign({}, { nowMs: NOW_MS }))).toBe('signature_invalid');
  });

  const impostorsOwn = { jku: 'https://evil.test/jwks', x5u: 'https://evil.test/x5u', x5c: ['MIIB'] };
  it.each(['jwk', ...Object.keys(impostorsOwn)])('that brings its own key as %s is refused', async (name) => {
    const impostor = await createTestIssuer();
    const header = { [name]: new Map<string, unknown>(Object.entries(impostorsOwn)).get(name) ?? impostor.publicJwk };
    expect(await outcomeOf(await impostor.sign({}, { nowMs: NOW_MS, header }))).toBe('signature_invalid');
    // Beside a good signature they are ignored.
    expect(await outcomeOf(await sign({}, header))).toEqual(accepted);
  });

  it.each([
    ['its payload', 1],
    ['its header', 0],
  ])('with %s exchanged is refused', async (_name, segment) => {
    const segments = (await sign({})).split('.');
    const others = (await sign({ sub: 'mallory' }, { typ: 'other' })).split('.');
    segments[segment] = others[segment] ?? '';
    expect(await outcomeOf(segments.join('.'))).toBe('signature_invalid');
  });

  it.each([
    ['a path', '../../../../dev/null'],
    ['SQL', "key-1' OR '1'='1"],
    ['a property of every object', '__proto__'],
    ['an URL', 'https://evil.test/jwks'],
    ['a number', 1],
    ['an array', ['key-1']],
    ['null', null],
  ])('whose kid is %s names no key', async (_name, kid) => {
    expect(await outcomeOf(await sign({}, { kid }))).toBe('key_unknown');
  });

  it('without a kid is verified if the issuer has one key, and refused if it has several', async () => {
    const second = await createTestIssuer({ kid: 'key-2' });
    const several = issuer.policy({ keys: { kind: 'inline', jwks: { keys: [issuer.publicJwk, second.publicJwk] } } });
    const token = await sign({}, { kid: undefined });
    expect(await outcomeOf(token)).toEqual(accepted);
    expect(await rejectionOf(authenticatorFor([several]), token)).toBe('key_unknown');
  });
});

describe('a header or payload out of shape', () => {
  const header = '{"alg":"ES256","kid":"key-1"}';

  it.each([
    ['a header that is no JSON', '{', payload(), 'malformed'],
    ['a header that is no object', '["ES256"]', payload(), 'malformed'],
    ['a header without alg', '{"kid":"key-1"}', payload(), 'malformed'],
    ['an alg that is no string', '{"alg":["ES256"],"kid":"key-1"}', payload(), 'malformed'],
    ['a payload that is no JSON', header, 'NaN', 'malformed'],
    ['a payload that is no object', header, '[]', 'malformed'],
    ['a payload of null', header, 'null', 'malformed'],
    ['NaN as a claim', header, payload(',"nbf":NaN'), 'malformed'],
    ['a payload nested 3,000 deep and never closed', header, '{"iss":'.repeat(750), 'malformed'],
    [
      'an unknown critical header',
      '{"alg":"ES256","kid":"key-1","crit":["exp"],"exp":1}',
      payload(),
      'critical_header',
    ],
    [
      'the critical header that jose knows',
      '{"alg":"ES256","kid":"key-1","crit":["b64"],"b64":true}',
      payload(),
      'critical_header',
    ],
    ['an empty crit', '{"alg":"ES256","kid":"key-1","crit":[]}', payload(), 'critical_header'],
    ['a crit of null', '{"alg":"ES256","kid":"key-1","crit":null}', payload(), 'critical_header'],
    ['a second iss that is not trusted', header, payload(',"iss":"https://evil.test"'), 'issuer_unknown'],
    ['a second aud that is not ours', header, payload(',"aud":"someone"'), 'audience_mismatch'],
  ])('%s is refused', async (_name, headerText, payloadText, reason) => {
    expect(await outcomeOf(await issuer.signText(headerText, payloadText))).toBe(reason);
  });

  it('bytes that are no UTF-8 are refused', async () => {
    const [head, , signature] = (await sign({})).split('.');
    expect(await outcomeOf(`${head}.${base64url.encode(new Uint8Array([0x7b, 0xff, 0x7d]))}.${signature}`)).toBe(
      'malformed',
    );
  });

  it('a claim given twice counts with its last value, for choosing the issuer and for the identity alike', async () => {
    const token = await issuer.signText(header, payload(',"sub":"bob"'));
    expect(await outcomeOf(token)).toMatchObject({ ok: true, value: { subject: 'bob' } });
  });

  it('a claim named __proto__ is a claim and changes nothing else', async () => {
    const token = await issuer.signText(header, payload(',"__proto__":{"sub":"admin","polluted":true}'));
    expect(await outcomeOf(token)).toMatchObject({ ok: true, value: { subject: 'alice' } });
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  });
});

describe('issuer and audience', () => {
  it.each([
    ['another issuer', { iss: 'https://evil.test' }, 'issuer_unknown'],
    ['our issuer with a slash', { iss: `${issuer.issuer}/` }, 'issuer_unknown'],
    ['our issuer in other letters', { iss: issuer.issuer.toUpperCase() }, 'issuer_unknown'],
    ['our issuer in an array', { iss: [issuer.issuer] }, 'issuer_unknown'],
    ['no issuer', { iss: undefined }, 'issuer_unknown'],
    ['no audience', { aud: undefined }, 'claim_missing'],
    ['another audience', { aud: 'someone' }, 'audience_mismatch'],
    ['a prefix of ours', { aud: 'counter' }, 'audience_mismatch'],
    ['ours as a prefix', { aud: 'countersign-admin' }, 'audience_mismatch'],
    ['ours inside', { aud: 'x countersign y' }, 'audience_mismatch'],
    ['ours in other letters', { aud: 'Countersign' }, 'audience_mismatch'],
    ['an empty array', { aud: [] }, 'audience_mismatch'],
    ['ours one array too deep', { aud: [['countersign']] }, 'audience_mismatch'],
    ['an object', { aud: { countersign: true } }, 'audience_mismatch'],
    ['null', { aud: null }, 'audience_mismatch'],
  ])('%s is refused', async (_name, claims, reason) => {
    expect(await outcomeOf(await sign(claims))).toBe(reason);
  });

  it('the issuer is compared again in the verified claims, however the policy was chosen', async () => {
    const other = issuer.policy({ issuer: 'https://other.test' });
    const verified = await verifyJwt(await sign({}), createLocalJWKSet(issuer.jwks), other, NOW_MS);
    expect(verified).toEqual({ ok: false, error: 'issuer_unknown' });
  });

  it.each([
    ['any of the accepted audiences', 'other'],
    ['ours among others', ['someone', 'countersign']],
  ])('%s is accepted', async (_name, aud) => {
    expect(await outcomeOf(await sign({ aud }))).toEqual(accepted);
  });
});

describe('times', () => {
  const tolerance = CLOCK_TOLERANCE_DEFAULT_SECONDS;
  it.each([
    ['exp is missing', { exp: undefined }, 'claim_missing'],
    ['exp is text', { exp: String(NOW_SECONDS + 300) }, 'claim_malformed'],
    ['exp is null', { exp: null }, 'claim_malformed'],
    ['exp is within the tolerance by a second', { exp: NOW_SECONDS - tolerance + 1 }, accepted],
    ['exp is the tolerance ago', { exp: NOW_SECONDS - tolerance }, 'expired'],
    ['exp is long ago', { exp: 0 }, 'expired'],
    ['exp is ten years ahead', { exp: NOW_SECONDS + 10 * YEAR }, accepted],
    [
      'exp is ten years ahead and iat older than maxAge',
      { exp: NOW_SECONDS + 10 * YEAR, iat: NOW_SECONDS - 2 * HOUR },
      'too_old',
    ],
    ['exp is beyond any date', { exp: 1e300 }, 'claim_malformed'],
    ['iat is missing', { iat: undefined }, 'claim_missing'],
    ['iat is text', { iat: String(NOW_SECONDS) }, 'claim_malformed'],
    ['iat is ahead by the tolerance', { iat: NOW_SECONDS + tolerance }, accepted],
    ['iat is ahead by more', { iat: NOW_SECONDS + tolerance + 1 }, 'issued_in_future'],
    ['iat is maxAge and tolerance ago', { iat: NOW_SECONDS - HOUR - tolerance }, accepted],
    ['iat is a second older', { iat: NOW_SECONDS - HOUR - tolerance - 1 }, 'too_old'],
    ['iat is before any date', { iat: -1e300 }, 'too_old'],
    ['iat has a fraction', { iat: NOW_SECONDS - 0.5 }, accepted],
    ['nbf is ahead by the tolerance', { nbf: NOW_SECONDS + tolerance }, accepted],
    ['nbf is ahead by more', { nbf: NOW_SECONDS + tolerance + 1 }, 'not_yet_valid'],
    ['nbf is text', { nbf: 'soon' }, 'claim_malformed'],
    ['nbf is before any date', { nbf: -1e300 }, 'claim_malformed'],
  ])('%s', async (_name, claims, outcome) => {
    expect(await outcomeOf(await sign(claims))).toEqual(outcome);
  });

  it.each(['exp', 'nbf', 'iat'])('%s is a number that no double holds', async (name) => {
    const good = { iss: issuer.issuer, aud: 'countersign', sub: 'a', iat: NOW_SECONDS, exp: NOW_SECONDS + 9 };
    // JSON.parse reads both as infinite.
    for (const huge of ['1e999', '-1e999']) {
      const text = JSON.stringify({ ...good, [name]: 'HUGE' }).replace('"HUGE"', huge);
      expect(await outcomeOf(await issuer.signText('{"alg":"ES256","kid":"key-1"}', text))).toBeTypeOf('string');
    }
  });
});

describe('the tolerance of an issuer', () => {
  it.each([
    [0, { exp: NOW_SECONDS + 1 }, accepted],
    [0, { exp: NOW_SECONDS }, 'expired'],
    [0, { nbf: NOW_SECONDS + 1 }, 'not_yet_valid'],
    [0, { iat: NOW_SECONDS + 1 }, 'issued_in_future'],
    [0, { iat: NOW_SECONDS - HOUR - 1 }, 'too_old'],
    [300, { exp: NOW_SECONDS - 299 }, accepted],
    [300, { exp: NOW_SECONDS - 300 }, 'expired'],
    [300, { nbf: NOW_SECONDS + 300 }, accepted],
    [300, { iat: NOW_SECONDS + 300 }, accepted],
    [300, { iat: NOW_SECONDS + 301 }, 'issued_in_future'],
    [300, { iat: NOW_SECONDS - HOUR - 300 }, accepted],
    [300, { iat: NOW_SECONDS - HOUR - 301 }, 'too_old'],
  ])('of %i s, of a JWT with %o', async (clockToleranceSeconds, claims, outcome) => {
    const policy = issuer.policy({ clockToleranceSeconds, maxAgeSeconds: HOUR });
    expect(await rejectionOf(authenticatorFor([policy]), await sign(claims))).toEqual(outcome);
  });
});

describe('the type', () => {
  const only = (...acceptTyp: string[]) => authenticatorFor([issuer.policy({ acceptTyp })]);

  it.each<[string, unknown, unknown]>([
    ['application/at+jwt', 'at+jwt', accepted],
    ['application/at+jwt', 'application/at+jwt', accepted],
    ['application/at+jwt', 'APPLICATION/AT+JWT', accepted],
    ['application/at+jwt', undefined, accepted],
    ['application/at+jwt', 'JWT', 'type_not_accepted'],
    ['application/at+jwt', 'at-jwt', 'type_not_accepted'],
    ['application/at+jwt', 'application/application/at+jwt', 'type_not_accepted'],
    ['application/okta-internal-at+jwt', 'application/okta-internal-at+jwt', accepted],
    ['application/okta-internal-at+jwt', 'at+jwt', 'type_not_accepted'],
    // A Kelvin sign is no K, though its lower case is that of a K.
    ['application/k+jwt', '\u{212A}+jwt', 'type_not_accepted'],
  ])('%s is wanted, and it is %o', async (wanted, typ, outcome) => {
    expect(await rejectionOf(only(wanted), await sign({}, { typ }))).toEqual(outcome);
  });

  it.each([
    ['expired', { exp: NOW_SECONDS - HOUR }],
    ['for somebody else', { aud: 'client-1' }],
    ['without an expiry', { exp: undefined }],
    ['without a subject', { sub: undefined }],
  ])('is what is wrong with a logout token that is also %s', async (_name, claims) => {
    expect(await outcomeOf(await sign(claims, { typ: 'logout+jwt' }))).toBe('type_not_accepted');
  });

  it('is not told to whoever sends a JWT that its issuer did not sign', async () => {
    const impostor = await createTestIssuer();
    const token = await impostor.sign({}, { nowMs: NOW_MS, header: { typ: 'logout+jwt' } });
    expect(await outcomeOf(token)).toBe('signature_invalid');
  });
});

it('signatures are checked every time, even right after the same JWT was good', async () => {
  const token = await sign({});
  expect(await outcomeOf(token)).toEqual(accepted);
  // The first character of the signature is changed, since the last one carries spare bits.
  const [head, body, signature = ''] = token.split('.');
  const broken = `${head}.${body}.${signature.startsWith('A') ? 'B' : 'A'}${signature.slice(1)}`;
  expect(await outcomeOf(broken)).toBe('signature_invalid');
});

it('a JWT in the query string is never looked at', async () => {
  const token = await sign({});
  const { method, headers } = requestWith(token);
  headers.delete('Authorization');
  const url = `https://countersign.test/api/v1/whoami?access_token=${token}&jwt=${token}`;
  expect(await authenticator.authenticate({ method, url, headers })).toEqual({
    ok: false,
    error: { kind: 'credentials_missing' },
  });
});

it('an error that is not about the JWT is not taken for a bad JWT', async () => {
  const broken = throwing(new RangeError('a bug'));
  await expect(verifyJwt(await sign({}), broken, issuer.policy(), NOW_MS)).rejects.toThrow('a bug');
  const timedOut = throwing(new errors.JWKSTimeout());
  expect(await verifyJwt(await sign({}), timedOut, issuer.policy(), NOW_MS)).toEqual({ ok: false, error: 'malformed' });
});
