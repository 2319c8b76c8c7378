import type { Defence } from '../defence.ts';

const VERIFICATION = { file: 'src/identity/jwt.ts', test: ['test/identity/verification.test.ts'] };
const UNVERIFIED = 'src/identity/jwt.ts';
const CREDENTIALS = { file: 'src/identity/authenticator.ts', test: ['test/identity/credentials.test.ts'] };
const SUBJECT = { file: 'src/identity/identity.ts', test: ['test/identity/identity.test.ts'] };
const CROSS_SITE = { file: 'src/identity/authenticator.ts', test: ['test/identity/cross-site.test.ts'] };

/** What stands between a JWT, or what looks like one, and an identity. */
export const identityDefences: readonly Defence[] = [
  {
    ...VERIFICATION,
    name: 'identity: only the algorithms that the policy lists',
    find: '      algorithms: algorithmNames(policy.algorithms),\n',
    replace: '',
  },
  {
    ...VERIFICATION,
    name: 'identity: the issuer is compared in the verified claims',
    find: '      issuer: policy.issuer,\n',
    replace: '',
  },
  {
    ...VERIFICATION,
    name: 'identity: the audience must be ours',
    find: '      audience: [...policy.audience],\n',
    replace: '',
  },
  {
    ...VERIFICATION,
    name: 'identity: a JWT must expire',
    find: "      requiredClaims: ['exp'],\n",
    replace: '',
  },
  {
    ...VERIFICATION,
    name: 'identity: a JWT grows too old, and is not issued in the future',
    find: '      maxTokenAge: policy.maxAgeSeconds,\n',
    replace: '',
  },
  {
    ...VERIFICATION,
    name: 'identity: clocks may differ by as much as the issuer is granted',
    find: 'clockTolerance: policy.clockToleranceSeconds,',
    replace: 'clockTolerance: 300,',
  },
  {
    ...VERIFICATION,
    name: 'identity: a time is one that a clock can show',
    find: "hasOnlyRealTimes(payload) ? ok(payload) : err('claim_malformed')",
    replace: 'ok(payload)',
  },
  {
    ...VERIFICATION,
    name: 'identity: a JWT of another type is no credential',
    find: "    ? err('type_not_accepted')\n",
    replace: '    ? claims\n',
  },
  {
    ...VERIFICATION,
    name: 'identity: of a JWT that is not signed its type is not told',
    find: 'return isSigned && !isAcceptedType(',
    replace: 'return (isSigned || true) && !isAcceptedType(',
  },
  {
    name: 'identity: only what is found behind a good signature is told',
    file: 'src/identity/jwt.ts',
    find: 'return isBehindSignature(reason) ? ADVICE[reason] : null;',
    replace: "return ADVICE[isBehindSignature(reason) ? reason : 'expired'];",
    test: ['test/identity/told-reasons.test.ts'],
  },
  {
    name: 'identity: remembered JWTs are bounded in bytes',
    file: 'src/identity/verified.ts',
    find: ' && bytes <= VERIFIED_JWTS_MAX_BYTES',
    replace: '',
    test: ['test/identity/verified.test.ts'],
  },
  {
    ...VERIFICATION,
    file: UNVERIFIED,
    name: 'identity: no critical header is understood',
    find: "if (Object.hasOwn(header, 'crit')) return err('critical_header');",
    replace: '',
  },
  {
    ...VERIFICATION,
    file: UNVERIFIED,
    name: 'identity: a JWT is judged by its own issuer',
    find: "issuers.filter((policy) => policy.issuer === jwt.claims['iss'])",
    replace: 'issuers.filter(() => true)',
  },
  {
    name: 'identity: an issuer is accepted in its own header only',
    file: UNVERIFIED,
    find: 'ofIssuer.filter((policy) => policy.header === header)',
    replace: 'ofIssuer',
    test: ['test/identity/authenticator.test.ts'],
  },
  {
    name: 'identity: symmetric algorithms are no choice',
    file: 'src/config/issuers.ts',
    find: "  'EdDSA',\n] as const;",
    replace: "  'EdDSA',\n  'HS256',\n] as const;",
    test: ['test/config/policy-schema.test.ts'],
  },
  {
    name: 'identity: no other site changes anything',
    file: 'src/identity/authenticator.ts',
    find: "if (header === 'Cf-Access-Jwt-Assertion' && isCrossSiteMutation(request)) return err({ kind: 'cross_site' });",
    replace: '',
    test: ['test/identity/authenticator.test.ts'],
  },
  {
    ...CROSS_SITE,
    name: 'identity: a mutation says where it comes from',
    find: 'if (fetchSite === null && origin === null) return true;',
    replace: '',
  },
  {
    ...CROSS_SITE,
    name: 'identity: Sec-Fetch-Site says same origin',
    find: "if (fetchSite !== null && fetchSite !== 'same-origin') return true;",
    replace: '',
  },
  {
    ...CROSS_SITE,
    name: 'identity: Origin says same origin',
    find: 'return origin !== null && origin !== new URL(request.url).origin;',
    replace: 'return false;',
  },
  {
    ...CREDENTIALS,
    name: 'identity: two credentials are ambiguous',
    find: "      return rejected('credentials_ambiguous');\n    // The scheme",
    replace: '      void 0;\n    // The scheme',
  },
  {
    ...CREDENTIALS,
    name: 'identity: Authorization wins over the Access header',
    find: "if (bearer === null) return err({ kind: 'credentials_missing' });",
    replace:
      "if (bearer === null) return checked(headers.get('Cf-Access-Jwt-Assertion') ?? '', 'Cf-Access-Jwt-Assertion');",
  },
  {
    ...CREDENTIALS,
    name: 'identity: a JWT has at most JWT_MAX_BYTES',
    find: "if (token.length > JWT_MAX_BYTES) return rejected('too_large');",
    replace: '',
  },
  {
    ...CREDENTIALS,
    name: 'identity: a JWT is three segments of base64url',
    find: "if (!COMPACT_JWS.test(token)) return rejected('malformed');",
    replace: '',
  },
  {
    ...SUBJECT,
    name: 'identity: a subject is not empty',
    find: "if (subject.trim() === '') return err('subject_empty');",
    replace: '',
  },
  {
    ...SUBJECT,
    name: 'identity: a subject is not cut',
    find: 'byteLength(subject) <= ACTOR_SUBJECT_MAX_BYTES &&',
    replace: 'true &&',
  },
  {
    ...SUBJECT,
    name: 'identity: a subject holds no control characters',
    find: '!CONTROL_CHARACTERS.test(subject) &&',
    replace: 'true &&',
  },
  {
    ...SUBJECT,
    name: 'identity: a subject holds nothing that nobody sees',
    find: '!containsInvisible(subject) &&',
    replace: 'true &&',
  },
  {
    ...SUBJECT,
    name: 'identity: a subject holds no secret',
    find: '!containsSecret(subject);',
    replace: 'true;',
  },
  {
    ...SUBJECT,
    name: 'identity: a number that a double rounds is nobody',
    find: 'Number.isSafeInteger(claim) ? String(claim) : null',
    replace: 'String(claim)',
  },
  {
    name: 'identity: only claims that the issuer sent are read',
    file: 'src/policy/bindings.ts',
    find: '!isObject(value) || !Object.hasOwn(value, key)',
    replace: '!isObject(value)',
    test: ['test/policy/claims.test.ts'],
  },
];
