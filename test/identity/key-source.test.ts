import { describe, expect, it } from 'vitest';
import { JWKS_COOLDOWN_MS, JWKS_MAX_AGE_MS } from '../../src/config/limits.ts';
import { createKeySource } from '../../src/identity/keys.ts';
import { createHarness } from './harness.ts';
import type { LocalJWKSet } from 'jose';
import { announced, first, JWKS_URI, policy, second, setUp, UNAVAILABLE, unavailable } from './isolate.ts';

/** Finds the current set, whatever is in it. */
const any = async (set: LocalJWKSet) => await Promise.resolve(set);

describe('in the steady state', () => {
  it('a login makes no network call and no D1 call', async () => {
    const { harness, logIn, reads } = setUp();
    await logIn();
    await harness.settle();
    const before = [reads(), harness.storeCalls.length];
    for (let login = 0; login < 5; login += 1) {
      harness.advance(JWKS_MAX_AGE_MS / 6);
      expect(await logIn()).toBe('accepted');
    }
    await harness.settle();
    expect([reads(), harness.storeCalls.length]).toEqual(before);
    expect(before).toEqual([1, 1]);
  });

  it('keys are read again at JWKS_MAX_AGE_MS, and a withdrawn one is refused', async () => {
    const { harness, logIn, publish, reads } = setUp();
    await logIn();
    publish(second);
    harness.advance(JWKS_MAX_AGE_MS - 1);
    expect([await logIn(), reads()]).toEqual(['accepted', 1]);
    harness.advance(1);
    expect([await logIn(), reads()]).toEqual(['key_unknown', 2]);
    expect(await logIn(second)).toBe('accepted');
  });

  it('keys that did not change stay the same object, and are not imported again', async () => {
    const { harness, reads } = setUp();
    const keys = createKeySource(harness.dependencies);
    const before = await keys.find(policy, any);
    harness.advance(JWKS_MAX_AGE_MS);
    const after = await keys.find(policy, any);
    expect(reads()).toBe(2);
    expect(before.ok && after.ok && before.value === after.value).toBe(true);
  });

  it('inline keys are imported once', async () => {
    const keys = createKeySource(createHarness().dependencies);
    const inline = first.policy();
    const [before, after] = [await keys.find(inline, any), await keys.find(inline, any)];
    expect(before.ok && after.ok && before.value === after.value).toBe(true);
  });

  it('keys found by discovery are kept under their issuer', async () => {
    const harness = createHarness();
    const document = { issuer: first.issuer, jwks_uri: JWKS_URI };
    harness.answers.set(`${first.issuer}/.well-known/openid-configuration`, () => Response.json(document));
    harness.answers.set(JWKS_URI, () => Response.json(first.jwks));
    const keys = createKeySource(harness.dependencies);
    expect(await keys.find(first.policy({ keys: { kind: 'discovery' } }), any)).toMatchObject({ ok: true });
    await harness.settle();
    expect([...harness.stored.keys()]).toEqual([first.issuer]);
  });

  it('concurrent requests share one read', async () => {
    const { harness, logIn, reads } = setUp();
    const logins = Array.from({ length: 20 }, async () => await logIn());
    expect(new Set(await Promise.all(logins))).toEqual(new Set(['accepted']));
    harness.advance(JWKS_MAX_AGE_MS);
    await Promise.all(Array.from({ length: 20 }, async () => await logIn()));
    expect(reads()).toBe(2);
  });
});

describe('an unknown kid', () => {
  it('is looked for at once, unless the cool-down forbids it', async () => {
    const { harness, logIn, publish, reads } = setUp();
    await logIn();
    publish(first, second);
    harness.advance(JWKS_COOLDOWN_MS - 1);
    expect([await logIn(second), reads()]).toEqual([unavailable(1), 1]);
    harness.advance(1);
    expect([await logIn(second), reads()]).toEqual(['accepted', 2]);
    expect(await logIn(first)).toBe('accepted');
  });

  it('that nobody knows costs the issuer one read a minute', async () => {
    const { harness, logIn, reads } = setUp();
    for (let seconds = 0; seconds < 180; seconds += 5) {
      const sinceRead = seconds % 60;
      // Only the login for which the issuer was asked knows that the key is missing.
      const expected = sinceRead === 0 ? 'key_unknown' : unavailable(60 - sinceRead);
      expect(await logIn(second, `random-${seconds}`)).toEqual(expected);
      harness.advance(5_000);
    }
    expect(reads()).toBe(3);
  });

  it('counts failed reads too, and is our failure while the issuer is down', async () => {
    const { harness, logIn, goDown, reads } = setUp();
    await logIn();
    goDown();
    for (let seconds = 0; seconds < 180; seconds += 5) {
      harness.advance(5_000);
      await logIn(second);
    }
    expect(reads()).toBe(4);
    expect(await logIn(second)).toEqual(UNAVAILABLE);
    expect(await logIn()).toBe('accepted');
  });

  it('is known to be missing only by logins that came before the issuer was asked', async () => {
    const { harness, logIn, answerWith, reads } = setUp();
    await logIn();
    harness.advance(JWKS_COOLDOWN_MS);
    const answered = Promise.withResolvers<Response>();
    const asked = announced(async () => await answered.promise);
    answerWith(asked.call);
    const before = logIn(second);
    await asked.begun;
    // What the issuer answers now may be older than the key of this login.
    const after = logIn(second);
    await new Promise((resolve) => setTimeout(resolve, 0));
    answered.resolve(Response.json(first.jwks));
    expect([await before, await after, reads()]).toEqual(['key_unknown', unavailable(60), 2]);
  });

  it('of an isolate that was just started is looked for by its first read', async () => {
    const { logIn, reads } = setUp();
    expect([await logIn(second), reads()]).toEqual(['key_unknown', 1]);
    expect([await logIn(second), reads()]).toEqual([unavailable(60), 1]);
  });

  it('makes many requests share one read', async () => {
    const { harness, logIn, publish, reads } = setUp();
    await logIn();
    publish(second);
    harness.advance(JWKS_COOLDOWN_MS);
    const logins = Array.from({ length: 20 }, async () => await logIn(second));
    expect(new Set(await Promise.all(logins))).toEqual(new Set(['accepted']));
    expect(reads()).toBe(2);
  });

  it('that a newer set of the issuer lacks too is known to be missing', async () => {
    const { harness, publish, reads } = setUp();
    const keys = createKeySource(harness.dependencies);
    await keys.find(policy, any);
    let looks = 0;
    const found = await keys.find(policy, async () => {
      looks += 1;
      if (looks > 1) return null;
      publish(second);
      harness.advance(JWKS_MAX_AGE_MS);
      await keys.find(policy, any);
      return null;
    });
    expect([found, looks, reads()]).toEqual([{ ok: true, value: null }, 2, 2]);
  });

  it('of a request that saw older keys is looked for among the newer ones without another read', async () => {
    const { harness, logIn, publish, reads } = setUp();
    const keys = createKeySource(harness.dependencies);
    await keys.find(policy, any);
    const sets: LocalJWKSet[] = [];
    const found = await keys.find(policy, async (set) => {
      sets.push(set);
      if (sets.length > 1) return set;
      // While it looks, another request makes the issuer be asked.
      publish(second);
      harness.advance(JWKS_MAX_AGE_MS);
      await keys.find(policy, any);
      return null;
    });
    expect([found, reads()]).toEqual([{ ok: true, value: sets[1] }, 2]);
    expect(sets[0]).not.toBe(sets[1]);
    expect(await logIn(second)).toBe('accepted');
  });
});
