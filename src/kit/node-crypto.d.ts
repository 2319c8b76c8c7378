/**
 * What this Worker uses of `node:crypto`. All of `@types/node` would declare a second `fetch`, `Request` and so on beside
 * those of Workers.
 */
declare module 'node:crypto' {
  export interface JsonWebKey {
    kty?: string;
    crv?: string;
    x?: string;
    y?: string;
  }
  export interface KeyObject {
    export(options: { format: 'jwk' }): JsonWebKey;
  }
  /** Throws on what is no key. */
  export function createPublicKey(key: string | { key: JsonWebKey; format: 'jwk' }): KeyObject;
  export interface Hash {
    /** Text counts as UTF-8. */
    update(data: string | Uint8Array): Hash;
    digest(encoding: 'hex'): string;
    digest(): Uint8Array;
  }
  export function createHash(algorithm: 'sha256'): Hash;
  export interface Hmac {
    /** Text counts as UTF-8. */
    update(text: string): Hmac;
    digest(encoding: 'base64url'): string;
    digest(): Uint8Array;
  }
  export function createHmac(algorithm: 'sha256', key: Uint8Array): Hmac;
  /** An ECDSA signature is in DER. */
  export function verify(algorithm: 'sha256', data: Uint8Array, key: KeyObject, signature: Uint8Array): boolean;
}
