import type { Defence } from '../defence.ts';

const FETCH = { file: 'src/identity/jwks.ts', test: ['test/identity/jwks-fetch.test.ts'] };
const KEY_SET = { file: 'src/identity/jwks.ts', test: ['test/identity/key-set.test.ts'] };
const REMOTE = {
  file: 'src/identity/keys.ts',
  test: ['test/identity/key-source.test.ts', 'test/identity/key-outage.test.ts'],
};

/** What keeps an issuer's keys the issuer's, and keeps strangers from making us hammer it. */
export const keyDefences: readonly Defence[] = [
  {
    ...FETCH,
    name: 'keys: the discovery document names the very issuer',
    find: "!isObject(document.value) || document.value['issuer'] !== issuer",
    replace: '!isObject(document.value)',
  },
  {
    ...FETCH,
    name: 'keys: they come over https',
    find: "typeof jwksUri !== 'string' || !isSecure(jwksUri, issuer)",
    replace: "typeof jwksUri !== 'string'",
  },
  {
    ...FETCH,
    name: 'keys: redirects are not followed',
    find: "redirect: 'manual'",
    replace: "redirect: 'follow'",
  },
  {
    ...FETCH,
    name: 'keys: an answer other than 200 is none',
    find: 'if (response.status !== 200) {',
    replace: 'if (response.status >= 500) {',
  },
  {
    ...FETCH,
    name: 'keys: an answer has at most JWKS_MAX_BYTES',
    find: 'if (bytes > JWKS_MAX_BYTES) return null;',
    replace: '',
  },
  {
    ...FETCH,
    name: 'keys: an issuer has JWKS_TIMEOUT_MS to answer',
    find: 'const outcome = await within(work(signal), signal);',
    replace: 'const outcome = { ok: true as const, value: await work(signal) };',
  },
  {
    ...KEY_SET,
    name: 'keys: one that can sign is not taken',
    find: "['d', 'k', 'priv']",
    replace: '[]',
  },
  {
    ...KEY_SET,
    name: 'keys: an RSA key has 2048 bits',
    find: '(modulusBits(result.value.algorithm) ?? RSA_MIN_BITS) >= RSA_MIN_BITS',
    replace: 'true',
  },
  {
    ...KEY_SET,
    name: 'keys: certificates and all else are left behind',
    find: 'PUBLIC_MEMBERS.filter((name) => Object.hasOwn(value, name)).map((name) => [name, value[name]])',
    replace: 'Object.entries(value)',
  },
  {
    ...REMOTE,
    name: 'keys: unknown kids wait for the cool-down',
    find: 'if (nowMs - lastReadAtMs < JWKS_COOLDOWN_MS) return;',
    replace: '',
  },
  {
    ...REMOTE,
    name: 'keys: a set that was asked for before says nothing about a key that it lacks',
    find: 'return lastGoodRead > before ? ok(null) : unavailable();',
    replace: 'return ok(null);',
  },
  {
    ...REMOTE,
    name: 'keys: a set that was asked for since says that a key is not there',
    find: 'return lastGoodRead > before ? ok(null) : unavailable();',
    replace: 'return unavailable();',
  },
  {
    ...REMOTE,
    name: 'keys: withdrawn ones are refused after JWKS_MAX_AGE_MS',
    find: 'const held = lastGoodYoungerThan(JWKS_MAX_AGE_MS);',
    replace: 'const held = lastGoodYoungerThan(JWKS_STALE_MAX_MS);',
  },
  {
    ...REMOTE,
    name: 'keys: stale ones serve for a day and no longer',
    find: 'const keys = lastGoodYoungerThan(JWKS_STALE_MAX_MS);\n    return keys === null',
    replace: 'const keys = lastGood?.set.keys ?? null;\n    return keys === null',
  },
  {
    ...REMOTE,
    name: 'keys: a read that hangs frees its waiters',
    find: 'const outcome = await within(joined, runtime.timeout(READ_MAX_MS));',
    replace: 'const outcome = await joined.then(() => ({ ok: true }));',
  },
  {
    name: 'keys: those of another source are not taken',
    file: 'src/identity/keys.ts',
    find: "keys.kind === 'uri' ? `${issuer} ${keys.jwksUri}` : issuer;",
    replace: 'issuer;',
    test: ['test/identity/key-outage.test.ts', 'test/identity/key-source.test.ts'],
  },
  {
    name: 'keys: an older set does not replace a newer one',
    file: 'src/identity/key-archive.ts',
    find: 'WHERE excluded.fetched_at > fetched_at\n             AND (',
    replace: 'WHERE (',
    test: ['test/identity/jwks-store.test.ts'],
  },
  {
    name: 'keys: a set dated ahead grows old all the same',
    file: 'src/identity/key-archive.ts',
    find: 'Math.min(found.fetchedAtMs, runtime.now())',
    replace: 'found.fetchedAtMs',
    test: ['test/identity/key-outage.test.ts'],
  },
];
