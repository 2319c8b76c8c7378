/** What tests need beyond src/kit/node-crypto.d.ts: they stand in for GitHub. */
declare module 'node:crypto' {
  interface Pems {
    readonly publicKey: string;
    readonly privateKey: string;
  }
  interface Encodings {
    readonly publicKeyEncoding: { readonly type: 'spki'; readonly format: 'pem' };
    readonly privateKeyEncoding: { readonly type: 'pkcs8'; readonly format: 'pem' };
  }
  export function generateKeyPairSync(type: 'ec', options: Encodings & { readonly namedCurve: string }): Pems;
  export function generateKeyPairSync(type: 'rsa', options: Encodings & { readonly modulusLength: number }): Pems;
  export function sign(algorithm: 'sha256', data: Uint8Array, privateKey: string): Uint8Array;
}
