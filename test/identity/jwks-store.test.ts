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
    'CREATE TABLE IF NOT EXISTS jwks_cache (issuer TEXT PRIMARY KEY NOT NULL, jwks TEXT NOT NULL, fetched_at INTEGER NOT NULL, mac TEXT)',
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

describe('the MAC of the stored set', () => {
  const SECRET = new Uint8Array(32).fill(7);
  const FORGED = { jwks: '{"keys":["forged"]}', fetchedAtMs: NOW_MS };
  const setUp = () => {
    const forged: string[] = [];
    return { forged, sealed: createJwksStore(env.DB, SECRET, (issuer) => void forged.push(issuer)) };
  };
  const change = async (column: string, value: unknown) =>
    await env.DB.prepare(`update jwks_cache set ${column} = ? where issuer = ?`).bind(value, ISSUER).run();

  it('lets a set be used that this service has written', async () => {
    const { forged, sealed } = setUp();
    await sealed.write(ISSUER, OLD);
    expect([await sealed.read(ISSUER), forged]).toEqual([OLD, []]);
  });

  it.each<[string, string, unknown]>([
    ['keys', 'jwks', FORGED.jwks],
    ['a time', 'fetched_at', NOW_MS + 1],
    ['a MAC', 'mac', 'AAAAAAAAAAAAAAAAAAAAAA'],
  ])('makes %s that somebody changed in D1 count as absent, and says so', async (_case, column, value) => {
    const { forged, sealed } = setUp();
    await sealed.write(ISSUER, OLD);
    await change(column, value);
    expect([await sealed.read(ISSUER), forged]).toEqual([null, [ISSUER]]);
  });

  it('is of one origin alone: a row that is copied to another one is absent', async () => {
    const { forged, sealed } = setUp();
    await sealed.write('https://own.test', FORGED);
    await env.DB.prepare(
      'insert into jwks_cache (issuer, jwks, fetched_at, mac) select ?, jwks, fetched_at, mac from jwks_cache',
    )
      .bind(ISSUER)
      .run();
    expect([await sealed.read(ISSUER), forged]).toEqual([null, [ISSUER]]);
  });

  it('is missing in a row from before the secret, which is absent and gives way to the next set', async () => {
    const { forged, sealed } = setUp();
    await store.write(ISSUER, { ...FORGED, fetchedAtMs: NOW_MS + JWKS_STORE_INTERVAL_MS });
    expect([await sealed.read(ISSUER), forged]).toEqual([null, []]);
    await sealed.write(ISSUER, OLD);
    expect(await sealed.read(ISSUER)).toEqual(OLD);
  });

  it('is not looked at without a secret', async () => {
    await setUp().sealed.write(ISSUER, OLD);
    await change('jwks', FORGED.jwks);
    expect(await store.read(ISSUER)).toEqual(FORGED);
  });
});
