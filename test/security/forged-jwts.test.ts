import { base64url } from 'jose';
import { beforeAll, describe, expect, it } from 'vitest';
import { CLOCK_TOLERANCE_DEFAULT_SECONDS, JWT_MAX_BYTES } from '../../src/config/limits.ts';
import type { TokenRejection } from '../../src/failures.ts';
import { workerRuntime } from '../../src/worker-runtime.ts';
import { createHarness, ISSUER, TOKENS, type Answer, type Harness } from '../support/harness.ts';
import { createTestIssuer, type TestIssuer } from '../support/issuer.ts';
import { noteSecret } from '../support/secrets.ts';
import { expectRefused, invalidToken } from './expectations.ts';
import { ADMIN, FORGERIES, hmacSigned, ofBytes, publicKeyBytes, unsigned } from './forgeries.ts';

// Forged and doctored JWTs of an administrator, on the route where one would pay: a create.

const ec = await createTestIssuer({ issuer: ISSUER });
const rsa = await createTestIssuer({ issuer: ISSUER, alg: 'RS256' });
let byEc: Harness;
let byRsa: Harness;
const fetched: string[] = [];
const fetchAndNote = async (url: string, init: RequestInit): Promise<Response> => {
  fetched.push(url);
  return await workerRuntime.fetch(url, init);
};
beforeAll(async () => {
  byEc = await createHarness({ issuer: ec, runtime: { fetch: fetchAndNote } });
  byRsa = await createHarness({ issuer: rsa });
});

/** What is found before the signature is, or by it. */
const UNTOLD: readonly TokenRejection[] = ['algorithm_not_allowed', 'signature_invalid', 'key_unknown'];

const create = async (harness: Harness, jwt: string): Promise<Answer> =>
  await harness.send('POST', TOKENS, { jwt, body: { name: 'stolen', scopes: ['api:read'] } });

async function expectForged(harness: Harness, jwt: string, reason: TokenRejection, namesIssuer = true): Promise<void> {
  noteSecret(jwt);
  await expectRefused(
    harness,
    async () => await create(harness, jwt),
    invalidToken(reason, namesIssuer ? ISSUER : null),
  );
}
async function expectAccepted(harness: Harness, jwt: string): Promise<void> {
  noteSecret(jwt);
  expect((await create(harness, jwt)).status).toBe(201);
}
const signed = async (claims: Record<string, unknown> = {}, header: Record<string, unknown> = {}) =>
  await ec.sign({ ...ADMIN, ...claims }, { header });

describe('the algorithm', () => {
  it.each(['none', 'None', 'NONE', 'nOnE'])('%s is refused', async (alg) => {
    await expectForged(byEc, await unsigned(ec, alg), 'algorithm_not_allowed');
  });

  it.each(['none', 'HS256', 'HS512', 'ES256K', 'dir', 'A128KW', 'es256', ' ES256'])(
    '%s above a good signature is refused',
    async (alg) => {
      await expectForged(byEc, await signed({}, { alg }), 'algorithm_not_allowed');
    },
  );

  it.each(['RS256', 'RS512', 'PS256', 'PS384', 'EdDSA', 'Ed25519'])('%s does not fit a key of type EC', async (alg) => {
    await expectForged(byEc, await signed({}, { alg }), 'key_unknown');
  });

  it.each(['ES384', 'ES512'])('%s does not fit a key on another curve', async (alg) => {
    await expectForged(byEc, await signed({}, { alg }), 'key_unknown');
  });

  it.each(['RS384', 'RS512', 'PS256', 'PS384', 'ES256', 'EdDSA'])(
    '%s does not fit a key of type RSA that is for RS256',
    async (alg) => {
      await expectForged(byRsa, await rsa.sign(ADMIN, { header: { alg } }), 'key_unknown');
    },
  );

  it.each([
    ['missing', undefined],
    ['null', null],
    ['an array', ['ES256']],
    ['empty', ''],
  ])('that is %s is refused', async (_name, alg) => {
    await expectForged(byEc, await signed({}, { alg }), 'malformed');
  });
});

describe.each([
  ['EC', ec, () => byEc],
  ['RSA', rsa, () => byRsa],
] as const)('HMAC with the public %s key', async (_type, issuer: TestIssuer, harness) => {
  const secrets = Object.entries(await publicKeyBytes(issuer));

  it.each(secrets)('%s is refused', async (_form, secret) => {
    await expectForged(harness(), await hmacSigned(issuer, 'HS256', secret), 'algorithm_not_allowed');
  });

  it.each(['HS384', 'HS512'] as const)('by %s is refused', async (alg) => {
    await expectForged(harness(), await hmacSigned(issuer, alg, secrets[0]![1]), 'algorithm_not_allowed');
  });
});

describe('keys that a JWT brings along', () => {
  const impostor = createTestIssuer({ issuer: ISSUER });
  const url = 'https://evil.example/keys';
  const headers = async () => ({
    jwk: (await impostor).publicJwk,
    jku: url,
    x5u: url,
    x5c: ['MIIB'],
    'x5t#S256': 'AAAA',
    kid: ec.kid,
  });

  it('are not used', async () => {
    const jwt = await (await impostor).sign(ADMIN, { header: await headers() });
    await expectForged(byEc, jwt, 'signature_invalid');
  });

  it.each(['jwk', 'jku', 'x5u', 'x5c', 'x5t#S256'] as const)('as %s are not asked for', async (name) => {
    fetched.length = 0;
    const header = { [name]: (await headers())[name] };
    await expectForged(byEc, await (await impostor).sign(ADMIN, { header }), 'signature_invalid');
    // Beside a good signature they mean nothing.
    await expectAccepted(byEc, await signed({}, header));
    expect(fetched.every((asked) => asked.includes(byEc.workspace))).toBe(true);
  });

  it.each([
    ['the empty list', []],
    ['a name that is there', ['exp']],
    ['a name that is not there', ['unknown']],
    ['what jose would understand', ['b64']],
    ['null', null],
    ['text', 'exp'],
  ])('crit as %s is refused', async (_name, crit) => {
    await expectForged(byEc, await signed({}, { crit, b64: true }), 'critical_header', false);
  });
});

describe('the key id', () => {
  it.each([
    ['a traversal', '../../../../dev/null'],
    ['an encoded traversal', '..%2f..%2fkeys'],
    ['SQL', "key-1' OR '1'='1"],
    ['SQL that ends the statement', "key-1'; DROP TABLE audit_events; --"],
    ['a command', '|cat /etc/passwd'],
    ['a URL', 'https://evil.example/keys'],
    ['a property of every object', '__proto__'],
    ['a method of every object', 'constructor'],
    ['ours with a space', 'key-1 '],
    ['ours with a NUL', 'key-1\0'],
    ['ours in a list', ['key-1']],
    ['empty', ''],
    ['of 4 KB', 'k'.repeat(4096)],
  ])('%s names no key', async (_name, kid) => {
    await expectForged(byEc, await signed({}, { kid }), 'key_unknown');
  });
});

describe('duplicate claims', () => {
  const header = JSON.stringify({ alg: ec.alg, kid: ec.kid });
  const withSecond = async (second: string) => {
    const now = Math.floor(Date.now() / 1000);
    const first = JSON.stringify({ iss: ISSUER, aud: 'countersign', iat: now, exp: now + 300, ...ADMIN });
    return await ec.signText(header, `${first.slice(0, -1)},${second}}`);
  };

  it.each([
    ['iss', '"iss":"https://evil.example"', 'issuer_unknown', false],
    ['aud', '"aud":"someone-else"', 'audience_mismatch', true],
    ['exp', '"exp":1', 'expired', true],
    ['sub', '"sub":""', 'subject_empty', true],
  ] as const)('%s counts with its last value, if that is bad', async (_name, second, reason, namesIssuer) => {
    await expectForged(byEc, await withSecond(second), reason, namesIssuer);
  });

  it('the last role decides, so that a first one cannot be smuggled past', async () => {
    const jwt = await withSecond('"role":"nobody"');
    noteSecret(jwt);
    expect((await create(byEc, jwt)).body.code).toBe('no_role');
  });

  it('the header likewise: a second alg is the one that counts', async () => {
    const doubled = `{"alg":"${ec.alg}","kid":"${ec.kid}","alg":"none"}`;
    const [, payload = ''] = (await signed()).split('.');
    const text = new TextDecoder().decode(base64url.decode(payload));
    await expectForged(byEc, await ec.signText(doubled, text), 'algorithm_not_allowed');
  });
});

describe('the audience', () => {
  it.each([
    ['a prefix of ours', 'counter'],
    ['ours as a prefix', 'countersign-admin'],
    ['ours as a suffix', 'not-countersign'],
    ['ours inside', 'x countersign y'],
    ['ours in other letters', 'COUNTERSIGN'],
    ['ours with a slash', 'countersign/'],
    ['ours with a space', 'countersign '],
    ['the empty text', ''],
    ['an empty list', []],
    ['a list without ours', ['counter', 'sign']],
    ['ours one list too deep', [['countersign']]],
    ['a wildcard', '*'],
  ])('%s is refused', async (_name, aud) => {
    await expectForged(byEc, await signed({ aud }), 'audience_mismatch');
  });

  it('that is missing is refused', async () => {
    await expectForged(byEc, await signed({ aud: undefined }), 'claim_missing');
  });

  it('is accepted in a list with others', async () => {
    await expectAccepted(byEc, await signed({ aud: ['someone-else', 'countersign'] }));
  });
});

describe('the subject', () => {
  it.each<[string, unknown, TokenRejection]>([
    ['empty', '', 'subject_empty'],
    ['only spaces', '   ', 'subject_empty'],
    ['missing', undefined, 'claim_missing'],
    ['null', null, 'claim_malformed'],
    ['a list', ['admin-1'], 'claim_malformed'],
    ['an object', { toString: 'admin-1' }, 'claim_malformed'],
    ['true', true, 'claim_malformed'],
    ['a fraction', 1.5, 'claim_malformed'],
    ['a number that a double rounds', 9_007_199_254_740_992, 'claim_malformed'],
    ['longer than is stored', 'a'.repeat(129), 'claim_malformed'],
    ['with a line break', 'admin-1\nadmin-2', 'claim_malformed'],
    ['with a NUL', 'admin-1\0', 'claim_malformed'],
    ['a lone surrogate', 'admin-\uD800', 'claim_malformed'],
    ['a token secret', `sat_${'a'.repeat(32)}`, 'claim_malformed'],
  ])('that is %s is refused', async (_name, sub, reason) => {
    await expectForged(byEc, await signed({ sub }), reason);
  });
});

describe('the issuer', () => {
  it.each([
    ['ours with a slash', `${ISSUER}/`],
    ['ours in other letters', ISSUER.toUpperCase()],
    ['ours as a prefix', `${ISSUER}.evil.example`],
    ['ours without a scheme', 'issuer.example'],
    ['ours in a list', [ISSUER]],
    ['missing', undefined],
    ['a property of every object', '__proto__'],
  ])('%s is not ours', async (_name, iss) => {
    await expectForged(byEc, await signed({ iss }), 'issuer_unknown', false);
  });
});

describe('a JWT out of shape', () => {
  it.each<[string, (good: string) => string]>([
    ['two segments', (good) => good.replace(/\.[^.]*$/, '')],
    ['four segments', (good) => `${good}.AAAA`],
    ['five segments, as if it were encrypted', (good) => `${good}.AAAA.AAAA`],
    ['no payload', (good) => good.replace(/\.[^.]+\./, '..')],
    ['padding', (good) => `${good}=`],
    ['a plus sign', (good) => `${good.slice(0, -2)}+/`],
    ['percent-encoding', (good) => good.replace('.', '%2E')],
    ['a header that is no JSON', (good) => `${base64url.encode('{')}${good.slice(good.indexOf('.'))}`],
    ['a header that is a list', (good) => `${base64url.encode('["ES256"]')}${good.slice(good.indexOf('.'))}`],
    ['only dots', () => '..'],
  ])('%s is malformed', async (_name, doctor) => {
    await expectForged(byEc, doctor(await signed()), 'malformed', false);
  });

  it.each<[string, string]>([
    ['null', 'null'],
    ['a list', '[]'],
    ['NaN', '{"exp":NaN}'],
    ['nested beyond reason', `${'{"iss":'.repeat(700)}1${'}'.repeat(700)}`],
  ])('a payload of %s is refused', async (_name, payload) => {
    const jwt = await ec.signText(JSON.stringify({ alg: ec.alg, kid: ec.kid }), payload);
    await expectForged(byEc, jwt, payload.startsWith('{"iss"') ? 'issuer_unknown' : 'malformed', false);
  });

  it('a signature in the form of DER is refused', async () => {
    const [head, body, signature = ''] = (await signed()).split('.');
    const raw = base64url.decode(signature);
    const integer = (part: Uint8Array) => [2, part.length + 1, 0, ...part];
    const sequence = [...integer(raw.slice(0, 32)), ...integer(raw.slice(32))];
    const der = base64url.encode(Uint8Array.from([0x30, sequence.length, ...sequence]));
    await expectForged(byEc, `${head}.${body}.${der}`, 'signature_invalid');
  });

  it('a signature of nothing but zeros is refused', async () => {
    // CVE-2022-21449: r = s = 0 verified under any key.
    const [head, body] = (await signed()).split('.');
    await expectForged(byEc, `${head}.${body}.${base64url.encode(new Uint8Array(64))}`, 'signature_invalid');
  });
});

describe('the size', () => {
  it('of 24 KiB is accepted, and one byte more is refused', async () => {
    await expectAccepted(byEc, await ofBytes(ec, JWT_MAX_BYTES));
    await expectForged(byEc, await ofBytes(ec, JWT_MAX_BYTES + 1), 'too_large', false);
  });

  it('of 100 KB is refused', async () => {
    await expectForged(byEc, await signed({ pad: 'x'.repeat(75_000) }), 'too_large', false);
  });
});

describe('times, at their edges', () => {
  const NOW_SECONDS = Date.UTC(2026, 10, 23, 12) / 1000;
  const YEAR = 365 * 24 * 3600;
  const DAY = 24 * 3600;
  const tolerance = CLOCK_TOLERANCE_DEFAULT_SECONDS;
  let harness: Harness;
  beforeAll(async () => {
    harness = await createHarness({ issuer: ec, runtime: { now: () => NOW_SECONDS * 1000 } });
  });
  const at = async (claims: Record<string, unknown>) =>
    await ec.sign({ ...ADMIN, ...claims }, { nowMs: NOW_SECONDS * 1000 });

  it.each([
    ['exp within the tolerance', { exp: NOW_SECONDS - tolerance + 1 }],
    ['exp ten years ahead', { exp: NOW_SECONDS + 10 * YEAR }],
    ['nbf ahead by the tolerance', { nbf: NOW_SECONDS + tolerance }],
    ['iat ahead by the tolerance', { iat: NOW_SECONDS + tolerance }],
    ['iat a day and the tolerance ago', { iat: NOW_SECONDS - DAY - tolerance }],
  ])('%s is accepted', async (_name, claims) => {
    await expectAccepted(harness, await at(claims));
  });

  it.each<[string, Record<string, unknown>, TokenRejection]>([
    ['exp the tolerance ago', { exp: NOW_SECONDS - tolerance }, 'expired'],
    ['exp of zero', { exp: 0 }, 'expired'],
    ['exp as text', { exp: String(NOW_SECONDS + 300) }, 'claim_malformed'],
    ['exp in milliseconds, far beyond any date', { exp: 1e300 }, 'claim_malformed'],
    ['exp ten years ahead of an old iat', { exp: NOW_SECONDS + 10 * YEAR, iat: NOW_SECONDS - 2 * DAY }, 'too_old'],
    ['nbf ahead by more', { nbf: NOW_SECONDS + tolerance + 1 }, 'not_yet_valid'],
    ['iat ahead by more', { iat: NOW_SECONDS + tolerance + 1 }, 'issued_in_future'],
    [
      'iat ten years ahead, with exp after it',
      { iat: NOW_SECONDS + 10 * YEAR, exp: NOW_SECONDS + 11 * YEAR },
      'issued_in_future',
    ],
    ['iat older by a second', { iat: NOW_SECONDS - DAY - tolerance - 1 }, 'too_old'],
    ['iat missing', { iat: undefined }, 'claim_missing'],
    ['iat as text', { iat: String(NOW_SECONDS) }, 'claim_malformed'],
  ])('%s is refused', async (_name, claims, reason) => {
    await expectForged(harness, await at(claims), reason);
  });

  it('exp that JSON reads as infinite is refused', async () => {
    const payload = `{"iss":"${ISSUER}","aud":"countersign","sub":"admin-1","role":"admin","iat":${NOW_SECONDS},"exp":1e999}`;
    const jwt = await ec.signText(JSON.stringify({ alg: ec.alg, kid: ec.kid }), payload);
    await expectForged(harness, jwt, 'claim_malformed');
  });
});

describe('the type', () => {
  it.each<[string, unknown]>([
    ['that ends a session', 'logout+jwt'],
    ['that ends a session, spelt out', 'application/logout+jwt'],
    ['that is a security event', 'secevent+jwt'],
    ['that proves possession of a key', 'dpop+jwt'],
    ['that is a client’s own assertion', 'client-authentication+jwt'],
    ['that is an authorization request', 'oauth-authz-req+jwt'],
    ['that answers an introspection', 'token-introspection+jwt'],
    ['that is a credential of another kind', 'vc+sd-jwt'],
    ['that is only like an access token', 'at+jwt '],
    ['of another top-level type', 'text/jwt'],
    ['with a parameter', 'at+jwt; charset=utf-8'],
    ['that is empty', ''],
    ['that is null', null],
    ['that is a list', ['JWT']],
    ['that is a number', 1],
  ])('of a JWT %s is none of a credential', async (_name, typ) => {
    await expectForged(byEc, await signed({}, { typ }), 'type_not_accepted');
  });

  it.each([undefined, 'JWT', 'jwt', 'application/JWT', 'at+jwt', 'AT+JWT', 'application/at+jwt', 'Application/At+Jwt'])(
    '%s is accepted',
    async (typ) => {
      await expectAccepted(byEc, await signed({}, { typ }));
    },
  );
});

describe('whoever did not get a JWT from its issuer learns nothing of what is wrong with it', () => {
  const impostor = createTestIssuer({ issuer: ISSUER });
  const behindSignature = FORGERIES.filter(({ reason, namesIssuer }) => namesIssuer && !UNTOLD.includes(reason));

  it('there is something to learn', () => expect(behindSignature.length).toBeGreaterThan(8));

  it.each(behindSignature)('a JWT $name', async ({ reason, make }) => {
    const jwt = await make(ec);
    // The same, but for its signature: one of another key, one that is broken, and none.
    const [head = '', body = '', signature = ''] = jwt.split('.');
    const broken = `${signature.startsWith('A') ? 'B' : 'A'}${signature.slice(1)}`;
    for (const forged of [await make(await impostor), `${head}.${body}.${broken}`, `${head}.${body}.`]) {
      await expectForged(byEc, forged, 'signature_invalid');
    }
    await expectForged(byEc, jwt, reason);
  });
});

it('a key of the issuer that is meant for encryption verifies nothing', async () => {
  const second = await createTestIssuer({ issuer: ISSUER, kid: 'for-encryption' });
  const jwks = { keys: [ec.publicJwk, { ...second.publicJwk, use: 'enc' }] };
  const harness = await createHarness({ issuer: { ...ec, jwks } });
  await expectForged(harness, await second.sign(ADMIN), 'key_unknown');
  await expectAccepted(harness, await signed());
});
