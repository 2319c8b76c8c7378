import { describe, expect, it } from 'vitest';
import {
  D1_TIMEOUT_MS,
  JWKS_COOLDOWN_MS,
  JWKS_MAX_AGE_MS,
  JWKS_STALE_MAX_MS,
  JWKS_TIMEOUT_MS,
} from '../../src/config/limits.ts';
import type { JwksStore } from '../../src/identity/key-archive.ts';
import { announced, first, never, second, setUp, SOURCE, UNAVAILABLE, unavailable } from './isolate.ts';

describe('while the issuer cannot be reached', () => {
  it('the last good set serves for JWKS_STALE_MAX_MS, and one request a minute asks again', async () => {
    const { harness, logIn, goDown, reads } = setUp();
    await logIn();
    goDown();
    harness.advance(JWKS_MAX_AGE_MS);
    for (let seconds = 0; seconds < 120; seconds += 10) {
      expect(await logIn()).toBe('accepted');
      harness.advance(10_000);
    }
    expect(reads()).toBe(3);
    harness.advance(JWKS_STALE_MAX_MS - JWKS_MAX_AGE_MS - 120_001);
    expect(await logIn()).toBe('accepted');
    harness.advance(1);
    expect(await logIn()).toEqual(UNAVAILABLE);
    expect(harness.logged).toContainEqual({
      level: 'warn',
      event: 'jwks_read_failed',
      issuer: first.issuer,
      reason: 'unreachable',
    });
  });

  it('nobody else waits for that request', async () => {
    const { harness, logIn, goDown, answerWith, reads } = setUp();
    await logIn();
    goDown();
    harness.advance(JWKS_MAX_AGE_MS);
    await logIn();
    harness.advance(JWKS_COOLDOWN_MS);
    answerWith(never);
    const waiting = logIn();
    expect([await logIn(), await logIn(), reads()]).toEqual(['accepted', 'accepted', 3]);
    harness.expire(JWKS_TIMEOUT_MS);
    expect(await waiting).toBe('accepted');
  });

  it('a new isolate uses the set that another one stored, up to its age', async () => {
    const { harness, logIn } = setUp();
    await logIn();
    await harness.settle();
    const kept = harness.stored.get(SOURCE);
    for (const [ageMs, expected] of [
      [JWKS_STALE_MAX_MS - 1, 'accepted'],
      [JWKS_STALE_MAX_MS, UNAVAILABLE],
    ] as const) {
      const next = setUp();
      next.goDown();
      if (kept !== undefined) next.harness.stored.set(SOURCE, { ...kept, fetchedAtMs: kept.fetchedAtMs - ageMs });
      expect(await next.logIn()).toEqual(expected);
      expect(await next.logIn()).toEqual(expected);
      expect(next.harness.storeCalls).toEqual(['read']);
    }
  });

  it('a set dated ahead by another clock grows old all the same', async () => {
    const { harness, logIn, goDown, publish, reads } = setUp();
    goDown();
    const ahead = harness.runtime.now() + JWKS_STALE_MAX_MS;
    harness.stored.set(SOURCE, { jwks: JSON.stringify(first.jwks), fetchedAtMs: ahead });
    expect(await logIn()).toBe('accepted');
    publish(second);
    harness.advance(JWKS_MAX_AGE_MS);
    expect([await logIn(), reads()]).toEqual(['key_unknown', 2]);
  });

  it('the keys of the issuer count again as soon as it answers', async () => {
    const { harness, logIn, goDown, publish } = setUp();
    goDown();
    expect(await logIn()).toEqual(UNAVAILABLE);
    publish(first);
    expect(await logIn()).toEqual(UNAVAILABLE);
    harness.advance(JWKS_COOLDOWN_MS);
    expect(await logIn()).toBe('accepted');
    expect(await logIn(second)).toEqual(unavailable(60));
    harness.advance(JWKS_COOLDOWN_MS);
    expect(await logIn(second)).toBe('key_unknown');
  });

  it.each<[string, JwksStore['read'], string]>([
    ['fails', () => Promise.reject(new Error('D1_ERROR: secret text')), 'failed'],
    ['does not answer', never, 'timeout'],
  ])('and D1 %s, it is our failure', async (_name, read, reason) => {
    const asked = announced(read);
    const { harness, logIn, goDown } = setUp({ store: { read: asked.call } });
    goDown();
    const login = logIn();
    await asked.begun;
    harness.expire(D1_TIMEOUT_MS);
    expect(await login).toEqual(UNAVAILABLE);
    expect(harness.logged).toContainEqual({ level: 'warn', event: 'jwks_store_failed', operation: 'read', reason });
    expect(JSON.stringify(harness.logged)).not.toContain('secret text');
  });

  it.each(['', '{', 'null', '{"keys":[]}'])('what D1 holds may be of no use: %j', async (jwks) => {
    const { harness, logIn, goDown } = setUp();
    goDown();
    harness.stored.set(SOURCE, { jwks, fetchedAtMs: harness.runtime.now() });
    expect(await logIn()).toEqual(UNAVAILABLE);
  });

  it('keys of an earlier jwksUri are not used', async () => {
    const { harness, logIn, goDown } = setUp();
    goDown();
    const kept = { jwks: JSON.stringify(first.jwks), fetchedAtMs: harness.runtime.now() };
    harness.stored.set(first.issuer, kept);
    harness.stored.set(`${first.issuer} https://issuer.test/old`, kept);
    expect(await logIn()).toEqual(UNAVAILABLE);
  });
});

describe('a read whose request was cancelled', () => {
  it('frees its waiters at their own deadline, counts as failed, and is begun again after the cool-down', async () => {
    const { harness, logIn, answerWith, publish, reads } = setUp();
    await logIn();
    harness.advance(JWKS_COOLDOWN_MS);
    const asked = announced(never);
    answerWith(asked.call);
    // Nothing of this read ever ends, and its own deadline does not come either.
    const waiting = logIn(second);
    await asked.begun;
    harness.expire(JWKS_TIMEOUT_MS + D1_TIMEOUT_MS);
    expect(await waiting).toEqual(UNAVAILABLE);

    publish(second);
    harness.advance(JWKS_TIMEOUT_MS + D1_TIMEOUT_MS);
    expect([await logIn(second), reads()]).toEqual([UNAVAILABLE, 2]);
    expect(await logIn()).toBe('accepted');
    harness.advance(JWKS_COOLDOWN_MS);
    expect([await logIn(second), reads()]).toEqual(['accepted', 3]);
  });

  it('with no waiter left counts as failed too', async () => {
    const { harness, logIn, answerWith } = setUp();
    await logIn();
    harness.advance(JWKS_MAX_AGE_MS);
    const asked = announced(never);
    answerWith(asked.call);
    void logIn();
    await asked.begun;
    harness.advance(JWKS_TIMEOUT_MS + D1_TIMEOUT_MS);
    expect(await logIn()).toBe('accepted');
    expect(await logIn(second)).toEqual(UNAVAILABLE);
  });
});
