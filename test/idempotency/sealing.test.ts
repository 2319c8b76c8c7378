import { env } from 'cloudflare:workers';
import { compactDecrypt, decodeProtectedHeader } from 'jose';
import { beforeEach, describe, expect, it } from 'vitest';
import { idempotencySecret } from '../../src/config/secrets.ts';
import { createIdempotency } from '../../src/idempotency/sealing.ts';
import { IDEMPOTENCY_SECRET, ISSUER } from '../support/harness.ts';
import { BODY, create, createIdempotencyHarness, creates, keysOf, newKey, posts } from './harness.ts';

// What D1 holds of an answer, and who can open it.

const secret = idempotencySecret.parse(IDEMPOTENCY_SECRET);
const SENT = [[], BODY];
const encoder = new TextEncoder();

let harness: Awaited<ReturnType<typeof createIdempotencyHarness>>;
let key: string;
beforeEach(async () => {
  harness = await createIdempotencyHarness();
  key = newKey();
});
const owner = (changes: object = {}) => ({
  issuer: ISSUER,
  subject: 'admin-1',
  workspaceUuid: harness.workspace,
  ...changes,
});

describe('the sealed answer', () => {
  it('is a JWE that the secret and the key together open, and neither alone', async () => {
    const { body } = await create(harness, key);
    const [row] = await keysOf(harness);
    const sealed = row?.sealed ?? '';
    expect(decodeProtectedHeader(sealed)).toEqual({ alg: 'dir', enc: 'A256GCM' });
    for (const part of [body.data.token, body.data.id, key]) expect(JSON.stringify(row)).not.toContain(part);

    const idempotency = createIdempotency(secret);
    const request = await idempotency.keyed(owner(), key, SENT);
    expect(request).toMatchObject({ keyHash: row?.key_hash, fingerprint: row?.request_fingerprint });
    expect(JSON.parse((await request.unseal(sealed)) ?? '')).toEqual(body.data);

    const strangers = [
      await idempotency.keyed(owner(), newKey(), SENT),
      await idempotency.keyed(owner({ subject: 'admin-2' }), key, SENT),
      await idempotency.keyed(owner({ issuer: 'https://other.example' }), key, SENT),
      await idempotency.keyed(owner({ workspaceUuid: crypto.randomUUID() }), key, SENT),
      await idempotency.keyed({ ...owner(), route: 'POST /api/v1/revocations' }, key, SENT),
      await createIdempotency(new TextEncoder().encode('another-secret-of-32-characters!')).keyed(owner(), key, SENT),
    ];
    for (const stranger of strangers) {
      expect(await stranger.unseal(sealed)).toBe(null);
      expect(stranger.keyHash).not.toBe(row?.key_hash);
    }
  });

  it('needs the key itself, and does not open with the secret and what D1 holds of the key', async () => {
    const { body } = await create(harness, key);
    const [row] = await keysOf(harness);
    const root = await crypto.subtle.importKey('raw', secret, 'HKDF', false, ['deriveKey']);
    const openWith = async (salt: string): Promise<unknown> => {
      const info = encoder.encode(`countersign idempotency: answer of ${row?.key_hash}`);
      const from = { name: 'HKDF', hash: 'SHA-256', salt: encoder.encode(salt), info };
      const aes = await crypto.subtle.deriveKey(from, root, { name: 'AES-GCM', length: 256 }, false, ['decrypt']);
      const { plaintext } = await compactDecrypt(row?.sealed ?? '', aes);
      return JSON.parse(new TextDecoder().decode(plaintext));
    };
    expect(await openWith(key)).toEqual(body.data);
    for (const salt of ['', row?.key_hash ?? '', row?.request_fingerprint ?? '', newKey()]) {
      await expect(openWith(salt)).rejects.toThrow('decryption operation failed');
    }
  });

  it('that was tampered with is not given again, and no other token is minted', async () => {
    await create(harness, key);
    const [row] = await keysOf(harness);
    const parts = (row?.sealed ?? '').split('.');
    parts[3] = `${parts[3]?.startsWith('A') === true ? 'B' : 'A'}${parts[3]?.slice(1)}`;
    await seal(parts.join('.'), row?.key_hash);
    const answer = await create(harness, key);
    expect([answer.status, answer.body.code]).toEqual([409, 'idempotency_no_replay']);
    expect((await creates(harness)).at(-1)).toMatchObject({ status: 'failure', error_code: 'idempotency_no_replay' });
    expect(await posts(harness)).toBe(1);
  });

  it('of one key does not open under another, even if somebody moves it in D1', async () => {
    await create(harness, key);
    const [row] = await keysOf(harness);
    const other = newKey();
    await create(harness, other);
    const second = (await keysOf(harness)).find(({ key_hash }) => key_hash !== row?.key_hash);
    await seal(row?.sealed ?? null, second?.key_hash);
    const answer = await create(harness, other);
    expect([answer.status, answer.body.code]).toEqual([409, 'idempotency_no_replay']);
  });

  it('that is missing is a 409 with the event id of the create', async () => {
    const first = await create(harness, key);
    const [row] = await keysOf(harness);
    await seal(null, row?.key_hash);
    const answer = await create(harness, key);
    expect([answer.status, answer.body.code]).toEqual([409, 'idempotency_no_replay']);
    expect(answer.body.errors['Idempotency-Key'][0]).toContain(first.headers.get('X-Audit-Event-Id'));
  });
});

describe('the hashes', () => {
  const keyed = async (sent: unknown) => await createIdempotency(secret).keyed(owner(), key, sent);

  it.each<[string, unknown, unknown]>([
    ['names in another order', { a: 1, b: { c: 2, d: [3] } }, { b: { d: [3], c: 2 }, a: 1 }],
    ['a name that is no plain one', JSON.parse('{"__proto__":1,"a":2}'), JSON.parse('{"a":2,"__proto__":1}')],
  ])('are the same for %s', async (_case, one, other) => {
    expect((await keyed(one)).fingerprint).toBe((await keyed(other)).fingerprint);
  });

  it.each<[string, unknown, unknown]>([
    ['a list in another order', ['a', 'b'], ['b', 'a']],
    ['a number and its text', { a: 1 }, { a: '1' }],
    ['nothing and null', {}, { a: null }],
    ['a name that is no plain one', JSON.parse('{"__proto__":1}'), {}],
    ['an object and a list of its entries', { a: 1 }, [['a', 1]]],
  ])('differ for %s', async (_case, one, other) => {
    expect((await keyed(one)).fingerprint).not.toBe((await keyed(other)).fingerprint);
  });

  it('run no two parts of a key together', async () => {
    const idempotency = createIdempotency(secret);
    const one = await idempotency.keyed({ issuer: 'a', subject: 'bc', workspaceUuid: 'w' }, 'k', SENT);
    const other = await idempotency.keyed({ issuer: 'ab', subject: 'c', workspaceUuid: 'w' }, 'k', SENT);
    expect(one.keyHash).not.toBe(other.keyHash);
  });
});

const seal = async (sealed: string | null, keyHash: string | undefined): Promise<void> => {
  const update = env.DB.prepare('update idempotency_keys set sealed = ? where key_hash = ?');
  await update.bind(sealed, keyHash ?? '').run();
};
