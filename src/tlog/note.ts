import { createHash } from 'node:crypto';
import { decodePaddedBase64 } from '../kit/bytes.ts';

// Signed notes (C2SP signed-note) with Ed25519, and the cosignatures of witnesses (C2SP tlog-cosignature). A note is a text, an empty line,
// and signature lines.

/** Ed25519 signatures of logs, and timestamped Ed25519 cosignatures of witnesses. */
const ALGORITHMS = { log: 0x01, witness: 0x04 } as const;
export type KeyKind = keyof typeof ALGORITHMS;

const PUBLIC_KEY_BYTES = 32;
const SEED_BYTES = 32;
const KEY_ID_BYTES = 4;
const SIGNATURE_BYTES = 64;
const TIME_BYTES = 8;

/** A public key that signatures are checked with. */
export interface Verifier {
  readonly kind: KeyKind;
  readonly name: string;
  /** Eight hex digits. */
  readonly keyId: string;
  readonly publicKey: Uint8Array;
}

/** A private key that signs notes. */
export interface Signer {
  readonly verifier: Verifier;
  readonly key: Awaited<ReturnType<typeof crypto.subtle.importKey>>;
}

/** A name that a line of a note can carry: no white space and no plus (C2SP signed-note). */
export const isKeyName = (name: string): boolean => /^[^\s+]{1,255}$/u.test(name);

/** The text of a verifier key: `<name>+<key id>+<base64 of the algorithm and the public key>`. */
export const verifierText = ({ kind, name, keyId, publicKey }: Verifier): string =>
  `${name}+${keyId}+${toBase64(Uint8Array.of(ALGORITHMS[kind], ...publicKey))}`;

/** The verifier of a public key under a name. The name is a part of the id of its key. */
export function verifierOf(kind: KeyKind, name: string, publicKey: Uint8Array): Verifier {
  const digest = createHash('sha256')
    .update(name)
    .update(Uint8Array.of(0x0a, ALGORITHMS[kind]))
    .update(publicKey)
    .digest('hex');
  return { kind, name, keyId: digest.slice(0, KEY_ID_BYTES * 2), publicKey };
}

/** Reads the text of a verifier key; null where it is none, or its id is not that of its name and key. */
export function parseVerifier(text: string): Verifier | null {
  const parts = /^(?<name>[^\s+]{1,255})\+(?<keyId>[0-9a-f]{8})\+(?<key>[A-Za-z0-9+/=]+)$/u.exec(text)?.groups;
  const bytes = decodePaddedBase64(parts?.['key'] ?? '');
  if (parts === undefined || bytes === null || bytes.length !== 1 + PUBLIC_KEY_BYTES) return null;
  const kind = kindOf(bytes[0]);
  if (kind === null) return null;
  const verifier = verifierOf(kind, parts['name'] ?? '', bytes.slice(1));
  return verifier.keyId === parts['keyId'] ? verifier : null;
}

const kindOf = (algorithm: number | undefined): KeyKind | null => {
  if (algorithm === ALGORITHMS.log) return 'log';
  return algorithm === ALGORITHMS.witness ? 'witness' : null;
};

const PRIVATE_PREFIX = 'PRIVATE+KEY+';
/** RFC 8410 §7: what stands before the seed in the PKCS #8 form of an Ed25519 key. WebCrypto reads no bare seed. */
const PKCS8_PREFIX = Uint8Array.of(
  0x30,
  0x2e,
  0x02,
  0x01,
  0x00,
  0x30,
  0x05,
  0x06,
  0x03,
  0x2b,
  0x65,
  0x70,
  0x04,
  0x22,
  0x04,
  0x20,
);

/** A private key as text, as `golang.org/x/mod/sumdb/note` writes it: `PRIVATE+KEY+<name>+<key id>+<base64 of the algorithm and the seed>`. */
export interface PrivateKey {
  readonly kind: KeyKind;
  readonly name: string;
  readonly keyId: string;
  readonly seed: Uint8Array;
}

/** Reads the text of a private key; null where it is none. Whether its id is right, `createSigner` finds out. */
export function parsePrivateKey(text: string): PrivateKey | null {
  if (!text.startsWith(PRIVATE_PREFIX)) return null;
  const parts = /^(?<name>[^\s+]{1,255})\+(?<keyId>[0-9a-f]{8})\+(?<key>[A-Za-z0-9+/=]+)$/u.exec(
    text.slice(PRIVATE_PREFIX.length),
  )?.groups;
  const bytes = decodePaddedBase64(parts?.['key'] ?? '');
  if (parts === undefined || bytes === null || bytes.length !== 1 + SEED_BYTES) return null;
  const kind = kindOf(bytes[0]);
  return kind === null ? null : { kind, name: parts['name'] ?? '', keyId: parts['keyId'] ?? '', seed: bytes.slice(1) };
}

/** The text of a private key with this seed. */
export async function privateKeyText(kind: KeyKind, name: string, seed: Uint8Array): Promise<string> {
  const { verifier } = await signerOf(kind, name, seed);
  return `${PRIVATE_PREFIX}${name}+${verifier.keyId}+${toBase64(Uint8Array.of(ALGORITHMS[kind], ...seed))}`;
}

/**
 * The signer of a private key.
 *
 * @param name the name that it signs under, where that is not the one in its text: each log signs under its origin.
 */
export const createSigner = async ({ kind, name, seed }: PrivateKey, signAs: string = name): Promise<Signer> =>
  await signerOf(kind, signAs, seed);

async function signerOf(kind: KeyKind, name: string, seed: Uint8Array): Promise<Signer> {
  const pkcs8 = Uint8Array.of(...PKCS8_PREFIX, ...seed);
  const extractable = await crypto.subtle.importKey('pkcs8', pkcs8, 'Ed25519', true, ['sign']);
  const jwk = await crypto.subtle.exportKey('jwk', extractable);
  if (!('x' in jwk) || typeof jwk.x !== 'string') throw new TypeError('The platform gave no public key.');
  const publicKey = Uint8Array.from(Buffer.from(jwk.x, 'base64url'));
  return { verifier: verifierOf(kind, name, publicKey), key: extractable };
}

/** A signature line of a note. */
export interface NoteSignature {
  readonly name: string;
  readonly keyId: string;
  /** What stands behind the key id: the signature, and of a cosignature its time before it. */
  readonly payload: Uint8Array;
}

/** A note in its parts. Nothing of it is checked. */
export interface Note {
  /** The text that is signed. It ends with a newline. */
  readonly body: string;
  readonly signatures: readonly NoteSignature[];
}

const DASH = '\u2014';

/** Reads a note; null where the text is none. The last empty line ends the body, so a body may have others. */
export function parseNote(text: string): Note | null {
  const end = text.lastIndexOf('\n\n');
  if (end < 0 || !text.endsWith('\n')) return null;
  const signatures = text
    .slice(end + 2, -1)
    .split('\n')
    .map(parseSignatureLine);
  const good = signatures.filter((signature) => signature !== null);
  return good.length === signatures.length ? { body: text.slice(0, end + 1), signatures: good } : null;
}

/** Reads a signature line without its newline; null where it is none. */
export function parseSignatureLine(line: string): NoteSignature | null {
  const parts = /^\u2014 (?<name>[^\s+]{1,255}) (?<payload>[A-Za-z0-9+/=]+)$/u.exec(line)?.groups;
  const bytes = decodePaddedBase64(parts?.['payload'] ?? '');
  if (parts === undefined || bytes === null || bytes.length <= KEY_ID_BYTES) return null;
  const keyId = Buffer.from(bytes.subarray(0, KEY_ID_BYTES)).toString('hex');
  return { name: parts['name'] ?? '', keyId, payload: bytes.slice(KEY_ID_BYTES) };
}

/** The line of a signature, with its newline. */
export const signatureLine = ({ name, keyId, payload }: NoteSignature): string =>
  `${DASH} ${name} ${toBase64(Uint8Array.of(...Buffer.from(keyId, 'hex'), ...payload))}\n`;

/** The text of a note. */
export const noteText = ({ body, signatures }: Note): string => `${body}\n${signatures.map(signatureLine).join('')}`;

/** Signs a body, which ends with a newline, with the key of a log. */
export async function signNote(body: string, { key, verifier }: Signer): Promise<NoteSignature> {
  const signature = await crypto.subtle.sign('Ed25519', key, new TextEncoder().encode(body));
  return { name: verifier.name, keyId: verifier.keyId, payload: new Uint8Array(signature) };
}

/** Cosigns the body of a checkpoint as a witness does, which says that it saw it at this time. */
export async function cosign(body: string, atSeconds: number, { key, verifier }: Signer): Promise<NoteSignature> {
  const signature = await crypto.subtle.sign('Ed25519', key, new TextEncoder().encode(cosigned(body, atSeconds)));
  const payload = new Uint8Array(TIME_BYTES + SIGNATURE_BYTES);
  new DataView(payload.buffer).setBigUint64(0, BigInt(atSeconds));
  payload.set(new Uint8Array(signature), TIME_BYTES);
  return { name: verifier.name, keyId: verifier.keyId, payload };
}

const cosigned = (body: string, atSeconds: number | bigint): string => `cosignature/v1\ntime ${atSeconds}\n${body}`;

/** When a witness says that it saw a checkpoint, in seconds since the epoch; null where the payload is no cosignature. */
export function cosignedAtSeconds({ payload }: NoteSignature): number | null {
  if (payload.length !== TIME_BYTES + SIGNATURE_BYTES) return null;
  return Number(new DataView(payload.buffer, payload.byteOffset).getBigUint64(0));
}

/** Whether the note has a good signature, or cosignature, of this key. A name with another key id is somebody else's. */
export async function isSignedBy({ body, signatures }: Note, verifier: Verifier): Promise<boolean> {
  for (const signature of signatures) {
    if (signature.name !== verifier.name || signature.keyId !== verifier.keyId) continue;
    // One at a time: there is hardly ever more than one.
    if (await isSignature(body, signature, verifier)) return true;
  }
  return false;
}

/** Whether the signature is one of this key over the body. It looks at neither name nor key id. */
export async function isSignature(body: string, signature: NoteSignature, verifier: Verifier): Promise<boolean> {
  const { payload } = signature;
  const atSeconds = verifier.kind === 'witness' ? cosignedAtSeconds(signature) : 0;
  const expectedBytes = verifier.kind === 'witness' ? TIME_BYTES + SIGNATURE_BYTES : SIGNATURE_BYTES;
  if (atSeconds === null || payload.length !== expectedBytes) return false;
  const text = verifier.kind === 'witness' ? cosigned(body, atSeconds) : body;
  try {
    const key = await crypto.subtle.importKey('raw', Uint8Array.from(verifier.publicKey), 'Ed25519', false, ['verify']);
    const bytes = Uint8Array.from(payload.subarray(payload.length - SIGNATURE_BYTES));
    return await crypto.subtle.verify('Ed25519', key, bytes, new TextEncoder().encode(text));
  } catch {
    // Bytes that are no point of the curve are no key, and have signed nothing.
    return false;
  }
}

const toBase64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
