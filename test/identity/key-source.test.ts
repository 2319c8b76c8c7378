import { describe, expect, it } from 'vitest';
import { JWKS_COOLDOWN_MS, JWKS_MAX_AGE_MS } from '../../src/config/limits.ts';
import { createKeySource } from '../../src/identity/key-source.ts';
import { createHarness } from './harness.ts';
import { first, JWKS_URI, policy, second, setUp, UNAVAILABLE } from './isolate.ts';

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
    const before = await keys.current(policy);
    harness.advance(JWKS_MAX_AGE_MS);
    const after = await keys.current(policy);
    expect(reads()).toBe(2);
    expect(before.ok && after.ok && before.value === after.value).toBe(true);
  });

  it('inline keys are imported once', async () => {
    const keys = createKeySource(createHarness().dependencies);
    const inline = first.policy();
    const [before, after] = [await keys.current(inline), await keys.current(inline)];
    expect(before.ok && after.ok && before.value === after.value).toBe(true);
  });

  it('keys found by discovery are kept under their issuer', async () => {
    const harness = createHarness();
    const document = { issuer: first.issuer, jwks_uri: JWKS_URI };
    harness.answers.set(`${first.issuer}/.well-known/openid-configuration`, () => Response.json(document));
    harness.answers.set(JWKS_URI, () => Response.json(first.jwks));
    const keys = createKeySource(harness.dependencies);
    expect(await keys.current(first.policy({ keys: { kind: 'discovery' } }))).toMatchObject({ ok: true });
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
  it('is looked for at once, but for the cool-down', async () => {
    const { harness, logIn, publish, reads } = setUp();
    await logIn();
    publish(first, second);
    harness.advance(JWKS_COOLDOWN_MS - 1);
    expect([await logIn(second), reads()]).toEqual(['key_unknown', 1]);
    harness.advance(1);
    expect([await logIn(second), reads()]).toEqual(['accepted', 2]);
    expect(await logIn(first)).toBe('accepted');
  });

  it('that nobody knows costs the issuer one read a minute', async () => {
    const { harness, logIn, reads } = setUp();
    for (let seconds = 0; seconds < 180; seconds += 5) {
      expect(await logIn(second, `random-${seconds}`)).toBe('key_unknown');
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

  it('is read for once by many requests', async () => {
    const { harness, logIn, publish, reads } = setUp();
    await logIn();
    publish(second);
    harness.advance(JWKS_COOLDOWN_MS);
    const logins = Array.from({ length: 20 }, async () => await logIn(second));
    expect(new Set(await Promise.all(logins))).toEqual(new Set(['accepted']));
    expect(reads()).toBe(2);
  });

  it('of a request that saw older keys is looked for among the newer, without another read', async () => {
    const { harness, logIn, publish, reads } = setUp();
    const keys = createKeySource(harness.dependencies);
    const seen = await keys.current(policy);
    publish(second);
    harness.advance(JWKS_MAX_AGE_MS);
    await keys.current(policy);
    const before = reads();
    harness.advance(JWKS_COOLDOWN_MS);
    const newer = seen.ok ? await keys.newerThan(policy, seen.value) : seen;
    expect(newer.ok && newer.value !== null && seen.ok && newer.value !== seen.value).toBe(true);
    expect(reads()).toBe(before);
    expect(await logIn(second)).toBe('accepted');
  });
});
