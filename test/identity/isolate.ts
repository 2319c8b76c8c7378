import { expect } from 'vitest';
import type { JwksStore } from '../../src/identity/key-archive.ts';
import { createTestIssuer, type TestIssuer } from '../support/issuer.ts';
import { type Answer, authenticatorFor, createHarness, requestWith } from './harness.ts';

export const JWKS_URI = 'https://issuer.test/jwks';
export const SOURCE = `https://issuer.test ${JWKS_URI}`;
export const first = await createTestIssuer({ kid: 'first' });
export const second = await createTestIssuer({ kid: 'second' });
export const policy = first.policy({ keys: { kind: 'uri', jwksUri: JWKS_URI } });
/** The failure of a login whose key nobody knows; by default with any time until its issuer may be asked again. */
export const unavailable = (retryAfterSeconds: unknown = expect.any(Number)) => ({
  kind: 'issuer_unavailable',
  issuer: first.issuer,
  retryAfterSeconds,
});
export const UNAVAILABLE = unavailable();
export const never = () => new Promise<never>(() => {});

/** `work`, and a promise that it was begun and its deadline is set. */
export function announced<Args extends unknown[], T>(work: (...args: Args) => Promise<T>) {
  const { promise: begun, resolve } = Promise.withResolvers<void>();
  const call = async (...args: Args): Promise<T> => {
    // One turn later, because a caller may set its deadline after the call.
    setTimeout(resolve, 0);
    return await work(...args);
  };
  return { begun, call };
}

/** One isolate in front of an issuer that publishes `first`. */
export function setUp(overrides: { store?: Partial<JwksStore> } = {}) {
  const harness = createHarness(overrides);
  const authenticator = authenticatorFor([policy], harness);
  const publish = (...issuers: TestIssuer[]) =>
    answerWith(() => Response.json({ keys: issuers.map(({ publicJwk }) => publicJwk) }));
  const answerWith = (answer: Answer) => harness.answers.set(JWKS_URI, answer);
  const goDown = () => harness.answers.delete(JWKS_URI);
  const logIn = async (signer: TestIssuer = first, kid = signer.kid) => {
    const token = await signer.sign({}, { nowMs: harness.runtime.now(), header: { kid } });
    const result = await authenticator.authenticate(requestWith(token));
    if (result.ok) return 'accepted';
    return result.error.kind === 'token_rejected' ? result.error.reason : result.error;
  };
  publish(first);
  return { harness, publish, answerWith, goDown, logIn, reads: () => harness.requests.length };
}
