import { errors, exportJWK, generateKeyPair, type JWK } from 'jose';
import { describe, expect, it, vi } from 'vitest';
import { SIGNATURE_ALGORITHMS } from '../../src/config/issuers.ts';
import { readKeySet } from '../../src/identity/jwks.ts';
import { createTestIssuer } from '../support/issuer.ts';

const { publicJwk: ec } = await createTestIssuer({ alg: 'ES256', kid: 'ec' });
const { publicJwk: rsa } = await createTestIssuer({ alg: 'RS256', kid: 'rsa' });
const { publicJwk: ed } = await createTestIssuer({ alg: 'EdDSA', kid: 'ed' });
const { alg: _rsaAlg, ...rsaForAnyAlg } = rsa;
const { publicJwk: p384 } = await createTestIssuer({ alg: 'ES384', kid: 'p384' });
const { publicJwk: p521 } = await createTestIssuer({ alg: 'ES512', kid: 'p521' });

const kidsOf = async (keys: unknown[]) => {
  const set = await readKeySet({ keys });
  return set === null ? null : set.keys.jwks().keys.map((key) => key.kid);
};

const privateEc = await exportJWK((await generateKeyPair('ES256', { extractable: true })).privateKey);
const x25519 = await exportJWK((await generateKeyPair('ECDH-ES', { crv: 'X25519', extractable: true })).publicKey);

const shortRsa = await generateShortRsa();

describe('the keys of a set', () => {
  it.each<[string, unknown]>([
    ['a symmetric key', { kty: 'oct', k: 'c2VjcmV0' }],
    ['a symmetric key that pretends to be RSA', { ...rsa, k: 'c2VjcmV0' }],
    ['a key published with its private half', { ...privateEc, kid: 'private' }],
    ['a curve that none of our algorithms uses', x25519],
    ['a curve that only looks like one of ours', { ...ec, crv: 'secp256k1', alg: 'ES256K' }],
    ['a key of one curve for the algorithm of another', { ...ec, alg: 'ES384' }],
    ['an RSA key of 1024 bits', shortRsa],
    ['a key for encryption', { ...ec, use: 'enc' }],
    ['a key for another operation', { ...ec, key_ops: ['encrypt'] }],
    ['a key for an algorithm that is not ours', { ...rsa, alg: 'RSA-OAEP-256' }],
    ['a key whose point is not on its curve', { ...ec, x: ec.y, y: ec.x }],
    ['a key without its members', { kty: 'EC', crv: 'P-256' }],
    ['a key that is no object', 'key'],
    ['a key that is an array', [ec]],
    ['a key of null', null],
  ])('lose %s', async (_name, key) => {
    expect(await kidsOf([key])).toBeNull();
    expect(await kidsOf([key, ed])).toEqual(['ed']);
  });

  it('are kept in their order', async () => {
    expect(await kidsOf([rsa, ec, ed])).toEqual(['rsa', 'ec', 'ed']);
  });

  it('serve the algorithms that their type allows', async () => {
    const set = await readKeySet({ keys: [rsaForAnyAlg, ec, ed] });
    await expect(set?.keys({ alg: 'RS256', kid: 'rsa' })).resolves.toBeDefined();
    await expect(set?.keys({ alg: 'PS256', kid: 'rsa' })).resolves.toBeDefined();
    await expect(set?.keys({ alg: 'RS256', kid: 'ec' })).rejects.toThrow(errors.JWKSNoMatchingKey);
    await expect(set?.keys({ alg: 'ES256', kid: 'rsa' })).rejects.toThrow(errors.JWKSNoMatchingKey);
  });

  it.each([
    ['rsa', ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512']],
    ['ec', ['ES256']],
    ['p384', ['ES384']],
    ['p521', ['ES512']],
    ['ed', ['EdDSA']],
  ])('%s serve %o and no others', async (kid, served) => {
    const set = await readKeySet({ keys: [rsaForAnyAlg, ec, p384, p521, ed] });
    const answers = await Promise.allSettled(SIGNATURE_ALGORITHMS.map(async (alg) => await set?.keys({ alg, kid })));
    expect(SIGNATURE_ALGORITHMS.filter((_alg, index) => answers[index]?.status === 'fulfilled')).toEqual(served);
  });

  it.each(['EdDSA', 'Ed25519', undefined])('serve both names of Ed25519, published as %s', async (alg) => {
    const set = await readKeySet({ keys: [{ ...ed, alg }] });
    await expect(set?.keys({ alg: 'EdDSA', kid: 'ed' })).resolves.toBeDefined();
    await expect(set?.keys({ alg: 'Ed25519', kid: 'ed' })).resolves.toBeDefined();
  });

  it('with an odd kid serve only tokens without one', async () => {
    const set = await readKeySet({ keys: [{ ...ec, kid: 7 }] });
    await expect(set?.keys({ alg: 'ES256' })).resolves.toBeDefined();
    await expect(set?.keys({ alg: 'ES256', kid: '7' })).rejects.toThrow(errors.JWKSNoMatchingKey);
  });

  it('are imported when the set is read, and never again', async () => {
    const set = await readKeySet({ keys: [rsaForAnyAlg, ec, p384, p521, ed] });
    const importKey = vi.spyOn(crypto.subtle, 'importKey');
    await Promise.all(
      [
        ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'].map((alg) => ({ alg, kid: 'rsa' })),
        { alg: 'ES256', kid: 'ec' },
        { alg: 'ES384', kid: 'p384' },
        { alg: 'ES512', kid: 'p521' },
        { alg: 'EdDSA', kid: 'ed' },
      ].map(async (header) => await set?.keys(header)),
    );
    expect(importKey).not.toHaveBeenCalled();
    importKey.mockRestore();
  });

  it('are kept without certificates and unknown members', async () => {
    const set = await readKeySet({ keys: [{ ...ec, x5c: ['MIIB'], x5u: 'https://evil.test', note: 'hello' }] });
    expect(JSON.parse(set?.jwks ?? '')).toEqual({ keys: [ec] });
  });
});

describe('a document', () => {
  it.each<[string, unknown]>([
    ['null', null],
    ['text', 'keys'],
    ['an array', [ec]],
    ['an object without keys', {}],
    ['keys that are no array', { keys: { 0: ec } }],
    ['no keys', { keys: [] }],
  ])('of %s is no key set', async (_name, document) => {
    expect(await readKeySet(document)).toBeNull();
  });
});

/** WebCrypto makes what jose refuses to make. */
async function generateShortRsa(): Promise<JWK> {
  const publicExponent = new Uint8Array([1, 0, 1]);
  const algorithm = { name: 'RSASSA-PKCS1-v1_5', modulusLength: 1024, publicExponent, hash: 'SHA-256' };
  const pair = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  return await exportJWK('publicKey' in pair ? pair.publicKey : pair);
}
