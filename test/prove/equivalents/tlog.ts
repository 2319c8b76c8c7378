import type { AcceptedOf } from './accepted.ts';

const NAMED = 'What has matched has every named part: only the compiler needs the fallback.';
const MATCHED = 'Without a match there is no base64 either: only the compiler asks.';
const JWK = 'WebCrypto gives an Ed25519 key that it exports its public part: no platform of ours comes here.';
const ALL_HASHES = 'What is no hash was left out before, and counted: only the compiler asks.';
const BOTH = 'A path that matches has both parts: only the compiler asks.';

/** Survivors of src/tlog that are accepted. */
export const tlog: AcceptedOf = {
  'src/tlog/checkpoint.ts': [
    [
      'return note === null || checkpoint === null ? null : { note, checkpoint };',
      'return checkpoint === null ? null : { note, checkpoint };',
      'Without a note there is no checkpoint either: only the compiler asks.',
    ],
  ],
  'src/tlog/merkle.ts': [
    [
      'hash = nodeHash(grown.pop() ?? EMPTY_ROOT, hash);',
      'hash = nodeHash(grown.pop(), hash);',
      'An edge has a hash for each bit of its size: only the compiler needs the fallback.',
    ],
    [
      'if (first === undefined) return false;',
      '',
      'A proof without hashes, from a tree that is no whole subtree, ends below the root, and that is found out at its end.',
    ],
  ],
  'src/tlog/note.ts': [
    [
      "const bytes = decodePaddedBase64(parts?.['key'] ?? '');",
      "const bytes = decodePaddedBase64(parts?.['key']);",
      'Undefined is no more base64 than an empty text: only the compiler needs the fallback.',
    ],
    [
      "const bytes = decodePaddedBase64(parts?.['payload'] ?? '');",
      "const bytes = decodePaddedBase64(parts?.['payload']);",
      'Undefined is no more base64 than an empty text: only the compiler needs the fallback.',
    ],
    [
      'if (parts === undefined || bytes === null || bytes.length !== 1 + PUBLIC_KEY_BYTES) return null;',
      'if (bytes === null || bytes.length !== 1 + PUBLIC_KEY_BYTES) return null;',
      MATCHED,
    ],
    [
      'if (parts === undefined || bytes === null || bytes.length <= KEY_ID_BYTES) return null;',
      'if (bytes === null || bytes.length <= KEY_ID_BYTES) return null;',
      MATCHED,
    ],
    [
      "const verifier = verifierOf(kind, parts['name'] ?? '', bytes.slice(1));",
      "const verifier = verifierOf(kind, parts['name'], bytes.slice(1));",
      NAMED,
    ],
    [
      "return { name: parts['name'] ?? '', keyId, payload: bytes.slice(KEY_ID_BYTES) };",
      "return { name: parts['name'], keyId, payload: bytes.slice(KEY_ID_BYTES) };",
      NAMED,
    ],
    [
      'if (parts === undefined || bytes === null || bytes.length !== 1 + SEED_BYTES) return null;',
      'if (bytes === null || bytes.length !== 1 + SEED_BYTES) return null;',
      MATCHED,
    ],
    [
      "return kind === null ? null : { kind, name: parts['name'] ?? '', keyId: parts['keyId'] ?? '', seed: bytes.slice(1) };",
      "return kind === null ? null : { kind, name: parts['name'] ?? '', keyId: parts['keyId'], seed: bytes.slice(1) };",
      NAMED,
    ],
    [
      "return kind === null ? null : { kind, name: parts['name'] ?? '', keyId: parts['keyId'] ?? '', seed: bytes.slice(1) };",
      "return kind === null ? null : { kind, name: parts['name'], keyId: parts['keyId'] ?? '', seed: bytes.slice(1) };",
      NAMED,
    ],
    [
      "if (!('x' in jwk) || typeof jwk.x !== 'string') throw new TypeError('The platform gave no public key.');",
      '',
      JWK,
    ],
    [
      "if (!('x' in jwk) || typeof jwk.x !== 'string') throw new TypeError('The platform gave no public key.');",
      "if (!('x' in jwk)) throw new TypeError('The platform gave no public key.');",
      JWK,
    ],
    [
      "if (!('x' in jwk) || typeof jwk.x !== 'string') throw new TypeError('The platform gave no public key.');",
      "if (typeof jwk.x !== 'string') throw new TypeError('The platform gave no public key.');",
      JWK,
    ],
    [
      "if (!('x' in jwk) || typeof jwk.x !== 'string') throw new TypeError('The platform gave no public key.');",
      "if (!(true) || typeof jwk.x !== 'string') throw new TypeError('The platform gave no public key.');",
      JWK,
    ],
    [
      'if (atSeconds === null || payload.length !== expectedBytes) return false;',
      'if (payload.length !== expectedBytes) return false;',
      'A time is read from a payload of this very length: only the compiler asks.',
    ],
    [
      "const key = await crypto.subtle.importKey('raw', Uint8Array.from(verifier.publicKey), 'Ed25519', false, ['verify']);",
      "const key = await crypto.subtle.importKey('raw', Uint8Array.from(verifier.publicKey), 'Ed25519', true, ['verify']);",
      'A public key is no secret, and it is gone after its one signature.',
    ],
  ],
  'src/tlog/proof.ts': [
    ['proof: proof.filter((hash) => hash !== null),', 'proof: proof,', ALL_HASHES],
    ['proof: proof.filter((hash) => hash !== null),', 'proof: proof.filter((hash) => true),', ALL_HASHES],
  ],
  'src/tlog/tiles.ts': [
    [
      'while (position + 2 <= bytes.length && entries.length < width) {',
      'while (position + 2 <= bytes.length) {',
      'A bundle of more entries is refused in any case: the bound keeps a forged one from making millions of them.',
    ],
    [
      'while (position + 2 <= bytes.length && entries.length < width) {',
      'while (position + 2 <= bytes.length && entries.length <= width) {',
      'One entry more is refused in any case.',
    ],
    [
      'while (position + 2 <= bytes.length && entries.length < width) {',
      'while (entries.length < width) {',
      'Behind the last byte entries are empty, and the position then is not the end: it is refused in any case.',
    ],
    [
      'const length = (bytes[position] ?? 0) * 256 + (bytes[position + 1] ?? 0);',
      'const length = (bytes[position]) * 256 + (bytes[position + 1] ?? 0);',
      'There are two bytes: only the compiler asks.',
    ],
    [
      'const length = (bytes[position] ?? 0) * 256 + (bytes[position + 1] ?? 0);',
      'const length = (bytes[position] ?? 0) * 256 + (bytes[position + 1]);',
      'There are two bytes: only the compiler asks.',
    ],
    ['if (level === undefined || index === undefined) return null;', 'if (level === undefined) return null;', BOTH],
    ['if (level === undefined || index === undefined) return null;', 'if (index === undefined) return null;', BOTH],
  ],
  'src/tlog/witnessing.ts': [
    [
      'return { oldSize, proof: proof.filter((hash) => hash !== null), checkpoint: text.slice(end + 2) };',
      'return { oldSize, proof: proof.filter((hash) => true), checkpoint: text.slice(end + 2) };',
      ALL_HASHES,
    ],
    [
      'return { oldSize, proof: proof.filter((hash) => hash !== null), checkpoint: text.slice(end + 2) };',
      'return { oldSize, proof: proof, checkpoint: text.slice(end + 2) };',
      ALL_HASHES,
    ],
  ],
};
