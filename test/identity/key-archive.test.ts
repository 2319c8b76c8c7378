import { env } from 'cloudflare:workers';
import { beforeEach, describe, expect, it } from 'vitest';
import { D1_TIMEOUT_MS, JWKS_MAX_AGE_MS, JWKS_STORE_INTERVAL_MS } from '../../src/config/limits.ts';
import { createJwksStore, type JwksStore } from '../../src/identity/key-archive.ts';
import { first, never, second, setUp, UNAVAILABLE } from './isolate.ts';

describe('keeping the set in D1', () => {
  it('happens when it changed, or after JWKS_STORE_INTERVAL_MS', async () => {
    const { harness, logIn, publish } = setUp();
    const writesAfter = async (ms: number) => {
      harness.advance(ms);
      await logIn();
      await harness.settle();
      return harness.storeCalls.filter((call) => call === 'write').length;
    };
    expect(await writesAfter(0)).toBe(1);
    expect(await writesAfter(JWKS_MAX_AGE_MS)).toBe(1);
    publish(first, second);
    expect(await writesAfter(JWKS_MAX_AGE_MS)).toBe(2);
    expect(await writesAfter(JWKS_STORE_INTERVAL_MS - 1)).toBe(2);
    expect(await writesAfter(JWKS_MAX_AGE_MS)).toBe(3);
  });

  it.each<[string, Partial<JwksStore>]>([
    ['fails', { write: () => Promise.reject(new Error('D1_ERROR')) }],
    ['never ends', { write: never }],
  ])('does not matter to a login if it %s', async (_name, store) => {
    const { harness, logIn } = setUp({ store });
    expect(await logIn()).toBe('accepted');
    harness.expire(D1_TIMEOUT_MS);
    await harness.settle();
    expect(harness.logged).toMatchObject([{ event: 'jwks_store_failed', operation: 'write' }]);
    expect(await logIn()).toBe('accepted');
  });

  beforeEach(async () => {
    await env.DB.exec(
      'CREATE TABLE IF NOT EXISTS jwks_cache (issuer TEXT PRIMARY KEY NOT NULL, jwks TEXT NOT NULL, fetched_at INTEGER NOT NULL, mac TEXT)',
    );
  });

  it('serves another isolate through D1 itself', async () => {
    const store = createJwksStore(env.DB);
    const one = setUp({ store });
    await one.logIn();
    await one.harness.settle();
    const other = setUp({ store });
    other.goDown();
    expect([await other.logIn(), await other.logIn(second)]).toEqual(['accepted', UNAVAILABLE]);
  });

  it('serves nobody by a set that somebody has put into D1 while the issuer is down', async () => {
    const secret = new Uint8Array(32).fill(7);
    const one = setUp({ store: createJwksStore(env.DB, secret) });
    await one.logIn();
    await one.harness.settle();
    const forged = JSON.stringify({ keys: [second.publicJwk] });
    await env.DB.prepare('update jwks_cache set jwks = ?').bind(forged).run();
    const [open, sealed] = [
      setUp({ store: createJwksStore(env.DB) }),
      setUp({ store: createJwksStore(env.DB, secret) }),
    ];
    for (const isolate of [open, sealed]) isolate.goDown();
    expect([await open.logIn(second), await sealed.logIn(second), await sealed.logIn()]).toEqual([
      'accepted',
      UNAVAILABLE,
      UNAVAILABLE,
    ]);
  });
});
