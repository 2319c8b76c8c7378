import { beforeEach, describe, expect, it } from 'vitest';
import { fingerprintKeys } from '../../src/config/secrets.ts';
import { sha256Hex } from '../../src/kit/digest.ts';
import { createFingerprints } from '../../src/tokens/fingerprints.ts';
import { clearOrders, createWebhookHarness, itemsOf, type WebhookHarness } from './harness.ts';

// What the inventory keeps of a secret, and how keys rotate.

const keyOf = (seed: string): string => btoa(seed.padEnd(32, '.'));
const K1 = `k1:${keyOf('one')}`;
const K2 = `k2:${keyOf('two')}`;

it('is the HMAC, under the current key, of the SHA-256 of the secret', async () => {
  const fingerprints = createFingerprints(fingerprintKeys.parse(`${K2},${K1}`));
  const secret = 'sat_0123456789abcdefghij';
  // By OpenSSL: openssl dgst -sha256 -binary | openssl dgst -sha256 -hmac KEY -binary, in base64url.
  const one = 'iUct4KCjryKCk5CHbhegl1O1YyYTJiCLe6AdgJBT6OU';
  const two = 'HkDn2vGUI3p61yTuqGXRk1Ma6rKHFx9OZh_TiXiLBhk';
  const sha256 = await sha256Hex(secret);
  expect(await fingerprints.of(sha256)).toEqual({ keyId: 'k2', value: two });
  expect(await fingerprints.candidates(sha256)).toEqual([
    { keyId: 'k2', value: two },
    { keyId: 'k1', value: one },
  ]);
});

describe('keys rotate', () => {
  let harness: WebhookHarness;
  let secret: string;
  beforeEach(async () => {
    await clearOrders();
    harness = await createWebhookHarness({ env: { FINGERPRINT_KEYS: K1 } });
    secret = (await harness.mint('leaked')).token;
  });

  it('and the inventory says which one each fingerprint was made under', async () => {
    expect(await harness.inventory()).toMatchObject([{ fingerprint_key_id: 'k1', token_prefix: secret.slice(0, 11) }]);
  });

  it.each([
    ['with a new one in front', `${K2},${K1}`, 'matched'],
    ['but not without the one that it was made under', K2, 'unmatched'],
  ])('and a leak is recognised %s', async (_case, keys, found) => {
    const rotated = await createWebhookHarness({ like: harness, env: { FINGERPRINT_KEYS: keys } });
    expect(await itemsOf(await rotated.leak(secret))).toMatchObject([{ found }]);
  });
});

describe('FINGERPRINT_KEYS', () => {
  it.each([
    ['one key', K1, ['k1']],
    ['several, with spaces between them', `${K2}, ${K1}`, ['k2', 'k1']],
    ['either alphabet of base64', `a:${'+/'.repeat(22)},b:${'-_'.repeat(22)}`, ['a', 'b']],
  ])('is %s', (_case, text, ids) => {
    expect(fingerprintKeys.parse(text).map(({ id }) => id)).toEqual(ids);
  });

  it.each([
    ['nothing', ''],
    ['a key without an id', keyOf('one')],
    ['a key that is short', `k1:${btoa('short')}`],
    ['what is no base64', `k1:${'*'.repeat(44)}`],
    ['an id with other characters', `k 1:${keyOf('one')}`],
    ['an end without a key', `${K1},`],
    ['one id twice', `${K1},k1:${keyOf('two')}`],
  ])('is not %s', (_case, text) => {
    const parsed = fingerprintKeys.safeParse(text);
    expect(parsed.success).toBe(false);
    expect(JSON.stringify(parsed.error?.issues)).not.toContain(keyOf('one'));
  });
});
