import { env } from 'cloudflare:workers';
import { beforeEach, describe, expect, it } from 'vitest';
import { JWKS_STORE_INTERVAL_MS } from '../../src/config/limits.ts';
import { createJwksStore } from '../../src/identity/key-archive.ts';
import { NOW_MS } from './harness.ts';

const ISSUER = 'https://issuer.test';
const OLD = { jwks: '{"keys":["old"]}', fetchedAtMs: NOW_MS };
const store = createJwksStore(env.DB);

beforeEach(async () => {
  await env.DB.exec(
    'CREATE TABLE IF NOT EXISTS jwks_cache (issuer TEXT PRIMARY KEY NOT NULL, jwks TEXT NOT NULL, fetched_at INTEGER NOT NULL)',
  );
  await env.DB.exec('DELETE FROM jwks_cache');
});

describe('the last good set in D1', () => {
  it('is null before any', async () => {
    expect(await store.read(ISSUER)).toBeNull();
  });

  it('is kept for each issuer', async () => {
    await store.write(ISSUER, OLD);
    await store.write('https://other.test', { jwks: 'other', fetchedAtMs: 1 });
    expect(await store.read(ISSUER)).toEqual(OLD);
    expect(await store.read('https://other.test')).toEqual({ jwks: 'other', fetchedAtMs: 1 });
  });

  const CHANGED = '{"keys":["new"]}';
  it.each([
    ['a changed set replaces it', CHANGED, 1, true],
    ['a changed set read earlier does not', CHANGED, -1, false],
    ['a changed set read at the same time does not', CHANGED, 0, false],
    ['the same set soon after does not', OLD.jwks, JWKS_STORE_INTERVAL_MS - 1, false],
    ['the same set after the interval does', OLD.jwks, JWKS_STORE_INTERVAL_MS, true],
  ])('%s', async (_name, jwks, laterMs, replaces) => {
    const next = { jwks, fetchedAtMs: NOW_MS + laterMs };
    await store.write(ISSUER, OLD);
    await store.write(ISSUER, next);
    expect(await store.read(ISSUER)).toEqual(replaces ? next : OLD);
  });

  it('takes an issuer as a value, whatever it spells', async () => {
    const hostile = "x'); DROP TABLE jwks_cache; --";
    await store.write(hostile, OLD);
    expect(await store.read(hostile)).toEqual(OLD);
  });
});
