import { auditPathSides } from '../../../src/tlog/audit-path.ts';

// A receipt, checked in this browser: it believes the service nothing but the key that the checkpoint is signed with.

/** What a receipt proves of an event. */
export interface Seal {
  /** The place of its entry in the log, from 0, and how many entries the checkpoint covers. */
  readonly index: number;
  readonly size: number;
  /** The name of the log. */
  readonly origin: string;
  /** False: this browser knows no Ed25519, so it has checked all but the signature. */
  readonly isSignatureChecked: boolean;
}

/** What is seen of the seal of an event. `wrong`: the receipt does not prove the event. */
export type SealState = 'waiting' | 'wrong' | Seal;

/**
 * Checks a receipt (C2SP tlog-proof): that its entry is the event, that its proof leads from the entry to the root of the checkpoint
 * (RFC 6962 §2.1.1), and that the key has signed that.
 *
 * @param keyOf gives the text of the verifier key of the log that has this name.
 */
export async function checkSeal(
  receipt: string,
  eventId: string,
  keyOf: (origin: string) => string | undefined,
): Promise<SealState> {
  try {
    const [head = '', body = '', signatures = ''] = receipt.split('\n\n');
    const [, extra = '', index = '', ...proof] = head.split('\n');
    const [origin = '', size = '', root] = body.split('\n');
    const entry = bytesOf(extra.slice('extra '.length));
    const at = Number(index.slice('index '.length));
    const sides = auditPathSides(at, Number(size));
    const { id } = JSON.parse(new TextDecoder().decode(entry));
    let hash = await digestOf([0], entry);
    for (const [place, step] of proof.entries()) {
      const sibling = bytesOf(step);
      hash = await (sides?.[place] === true ? digestOf([1], sibling, hash) : digestOf([1], hash, sibling));
    }
    const isProven = id === eventId && sides?.length === proof.length && btoa(String.fromCharCode(...hash)) === root;
    // Two keys may sign while one hands over to the other.
    const lines = signatures.split('\n').filter((line) => line.split(' ')[1] === origin);
    const key = keyOf(origin)?.split('+') ?? [];
    const checks = await Promise.all(
      lines.map(async (line) => await isSignature(`${body}\n`, line.split(' ')[2] ?? '', key)),
    );
    if (!isProven || checks.every((check) => check === false)) return 'wrong';
    return { index: at, size: Number(size), origin, isSignatureChecked: checks.includes(true) };
  } catch {
    // What cannot be read proves nothing.
    return 'wrong';
  }
}

/** Whether the key has signed the body; null where the browser cannot tell. */
async function isSignature(body: string, line: string, [, , ...key]: readonly string[]): Promise<boolean | null> {
  // Behind the names of key and algorithm. Base64 may hold a plus too.
  const publicKey = bytesOf(key.join('+')).slice(1);
  const signature = bytesOf(line).slice(4);
  try {
    const imported = await crypto.subtle.importKey('raw', publicKey, 'Ed25519', false, ['verify']);
    return await crypto.subtle.verify('Ed25519', imported, signature, new TextEncoder().encode(body));
  } catch (error) {
    return error instanceof DOMException && error.name === 'NotSupportedError' ? null : false;
  }
}

const bytesOf = (base64: string) => Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));

const digestOf = async (...parts: readonly ArrayLike<number>[]) =>
  new Uint8Array(await crypto.subtle.digest('SHA-256', Uint8Array.from(parts.flatMap((part) => Array.from(part)))));
