import * as fc from 'fast-check';
import { beforeAll, expect, it } from 'vitest';
import { createHarness, type Answer, type Harness } from '../support/harness.ts';
import { ADMIN } from './forgeries.ts';
import { PROTECTED_ROUTES, withQuery } from './routes.ts';

// No failing answer holds any part of the JWT that it answers, whatever was done to that JWT and wherever it stood.

/** Shorter parts occur by chance: an id has stretches of base64url too. */
const PART_CHARS = 12;

let harness: Harness;
beforeAll(async () => {
  harness = await createHarness();
});

const base64urlChar = fc.stringMatching(/^[A-Za-z0-9_-]$/);
/** Any visible ASCII: a header can hold no other. */
const visibleChar = fc.integer({ min: 0x21, max: 0x7e }).map((code) => String.fromCodePoint(code));

/** Something done to a JWT: what is left of it may still be a secret. */
const mutation: fc.Arbitrary<(jwt: string) => string> = fc.oneof(
  fc.tuple(fc.nat(), base64urlChar).map(
    ([at, char]) =>
      (jwt: string) =>
        replaceAt(jwt, at, char),
  ),
  fc.tuple(fc.nat(), visibleChar).map(
    ([at, char]) =>
      (jwt: string) =>
        replaceAt(jwt, at, char),
  ),
  fc.nat().map((at) => (jwt: string) => jwt.slice(0, at % jwt.length)),
  fc.nat().map((at) => (jwt: string) => jwt.slice(at % jwt.length)),
  fc.tuple(fc.nat(), visibleChar).map(
    ([at, char]) =>
      (jwt: string) =>
        insertAt(jwt, at, char),
  ),
  fc.constantFrom<(jwt: string) => string>(
    (jwt) => jwt.split('.').toReversed().join('.'),
    (jwt) => jwt.replaceAll('.', ''),
    (jwt) => jwt.replaceAll('.', '_'),
    (jwt) => `${jwt}.${jwt}`,
    (jwt) => jwt.replace(/[^.]*$/, ''),
    (jwt) => jwt.toLowerCase(),
    (jwt) => `"${jwt}"`,
    (jwt) => `${jwt} ${jwt}`,
    (jwt) => jwt,
  ),
);
const replaceAt = (text: string, at: number, char: string): string => {
  const index = at % text.length;
  return text.slice(0, index) + char + text.slice(index + 1);
};
const insertAt = (text: string, at: number, char: string): string => {
  const index = at % text.length;
  return text.slice(0, index) + char + text.slice(index);
};

/** Claims that make an otherwise good JWT unacceptable, or its bearer nobody. */
const claims = fc.constantFrom<Record<string, unknown>>(
  {},
  { role: 'nobody' },
  { exp: 1 },
  { aud: 'someone-else' },
  { iss: 'https://evil.example' },
  { sub: '' },
  { iat: 9_999_999_999 },
);

interface Sent {
  readonly headers?: Readonly<Record<string, string>>;
  readonly query?: Readonly<Record<string, string>>;
  readonly id?: string;
  readonly body?: Readonly<Record<string, unknown>>;
}
/** Where a JWT may stand in a request, as a value that no answer repeats. */
const VALUE_PLACES: readonly ((jwt: string) => Sent)[] = [
  (jwt) => ({ headers: { Authorization: `Bearer ${jwt}` } }),
  (jwt) => ({ headers: { Authorization: jwt } }),
  (jwt) => ({ headers: { 'Cf-Access-Jwt-Assertion': jwt } }),
  (jwt) => ({ headers: { traceparent: jwt, 'User-Agent': jwt, 'CF-Connecting-IP': jwt } }),
  (jwt) => ({ headers: { 'Content-Type': jwt, Origin: jwt } }),
  (jwt) => ({ query: { access_token: jwt } }),
  (jwt) => ({ query: { workspace_uuid: jwt } }),
  (jwt) => ({ query: { cursor: jwt, action: jwt, status: jwt, limit: jwt } }),
  (jwt) => ({ id: encodeURIComponent(jwt) }),
  (jwt) => ({ id: `x/${encodeURIComponent(jwt)}` }),
  (jwt) => ({ body: { name: jwt, scopes: [jwt], preset: jwt, expires_in: jwt, workspace_uuid: jwt } }),
  (jwt) => ({ body: { description: jwt, is_active: jwt, expires_at: jwt } }),
];
/** Where short texts are repeated: names that are not known, and request ids. */
const NAME_PLACES: readonly ((jwt: string) => Sent)[] = [
  (jwt) => ({ headers: { 'X-Request-Id': jwt } }),
  (jwt) => ({ query: { [jwt]: 'x' } }),
  (jwt) => ({ body: { [jwt]: jwt } }),
  (jwt) => ({ body: { metadata: { [jwt]: 1 } } }),
];
/** The longest text that is repeated. What is cut to less is a name like any other, whatever it was cut from. */
const REPEATED_MAX_CHARS = 64;

/** Sends a request with a JWT where it belongs or where it does not, by itself or beside a good one. */
async function sendWith(jwt: string, place: (jwt: string) => Sent, route: number, authenticated: boolean) {
  const { method, path, body } = PROTECTED_ROUTES[route]!;
  const { headers = {}, query = {}, id = 'unknown-id', body: hostile } = place(jwt);
  const sentBody = body === undefined ? undefined : (hostile ?? body);
  const parameters = new URLSearchParams(query).toString();
  return await harness.send(method, withQuery(path(id, id), parameters === '' ? '' : `?${parameters}`), {
    ...(authenticated ? {} : { jwt: null }),
    headers,
    ...(sentBody !== undefined && { body: sentBody }),
  });
}

function partsIn(answer: Answer, jwt: string): string[] {
  const told = [answer.text, ...[...answer.headers].flat()].join('\n');
  const parts: string[] = [];
  for (const segment of jwt.split(/[^A-Za-z0-9_-]+/)) {
    for (let start = 0; start + PART_CHARS <= segment.length; start += 1) {
      const part = segment.slice(start, start + PART_CHARS);
      if (told.includes(part)) parts.push(part);
    }
  }
  return parts;
}

it('no failing answer holds a part of a JWT', async () => {
  let failing = 0;
  const route = fc.nat({ max: PROTECTED_ROUTES.length - 1 });
  const property = fc.asyncProperty(
    claims,
    mutation,
    fc.constantFrom(...VALUE_PLACES, ...NAME_PLACES),
    route,
    fc.boolean(),
    async (claimed, mutate, place, index, authenticated) => {
      // Not noted as a secret: a part that no longer looks like a JWT is an ordinary text, and may be stored as one.
      const good = await harness.issuer.sign({ ...ADMIN, ...claimed });
      const mutated = mutate(good);
      fc.pre(VALUE_PLACES.includes(place) || mutated.length > REPEATED_MAX_CHARS);
      const answer = await sendWith(mutated, place, index, authenticated);
      if (answer.status < 400) return;
      failing += 1;
      expect(partsIn(answer, good)).toEqual([]);
      expect(partsIn(answer, mutated)).toEqual([]);
    },
  );
  await fc.assert(property, { numRuns: 150 });
  expect(failing).toBeGreaterThan(75);
}, 30_000);
