import type { AuditEvent } from '../../../package/client/types.ts';
import { auditPathSides } from '../../../src/tlog/audit-path.ts';

// A receipt, checked in this browser: it believes the service nothing but the key that the checkpoint is signed with.

/** What a receipt proves of an event. */
export interface Seal {
  /** The place of its entry in the log, from 0, and how many entries the checkpoint covers. */
  readonly index: number;
  readonly size: number;
  /** The name of the log. */
  readonly origin: string;
  /** False: this browser knows no Ed25519, or the service has lost the key of the log, so all but the signature is checked. */
  readonly isSignatureChecked: boolean;
  /** False: the row did not carry the MAC of the service when it was sealed, so somebody with the database alone has written it. */
  readonly isAuthentic: boolean;
}

/** What is seen of the seal of an event. `wrong`: the receipt does not prove what is shown of the event. */
export type SealState = 'waiting' | 'wrong' | Seal;

/**
 * Checks a receipt (C2SP tlog-proof): that its entry says what the service says of the event, that its proof leads from the entry to the
 * root of the checkpoint (RFC 6962 §2.1.1), and that the key has signed that.
 *
 * @param event as the service tells it after the receipt: a row that counts reads grows until it is sealed.
 * @param keyOf gives the text of the verifier key of the log that has this name. Null: the service does not have that key any more.
 * Undefined: there is no such log.
 */
export async function checkSeal(
  receipt: string,
  event: AuditEvent,
  keyOf: (origin: string) => string | null | undefined,
): Promise<SealState> {
  try {
    const [head = '', body = '', signatures = ''] = receipt.split('\n\n');
    const [, extra = '', index = '', ...proof] = head.split('\n');
    const [origin = '', size = '', root] = body.split('\n');
    const entry = bytesOf(extra.slice('extra '.length));
    const at = Number(index.slice('index '.length));
    const sides = auditPathSides(at, Number(size));
    const { v: _v, fact: _fact, unauthentic, detail, outcome, ...sealed } = JSON.parse(new TextDecoder().decode(entry));
    let hash = await digestOf([0], entry);
    for (const [place, step] of proof.entries()) {
      const sibling = bytesOf(step);
      hash = await (sides?.[place] === true ? digestOf([1], sibling, hash) : digestOf([1], hash, sibling));
    }
    // A fact of an attempt that was open when it was first sealed has a part of the columns.
    const isWhole = 'actor' in sealed && 'status' in sealed;
    const isShown =
      sealed.id === event.id &&
      isWithin(sealed, event) &&
      (isWhole ? isSame : isWithin)({ ...detail, ...outcome }, event.detail);
    const isProven = isShown && sides?.length === proof.length && btoa(String.fromCharCode(...hash)) === root;
    // Two keys may sign while one hands over to the other.
    const lines = signatures.split('\n').filter((line) => line.split(' ')[1] === origin);
    const key = keyOf(origin);
    const checks = await Promise.all(
      lines.map(async (line) =>
        key === null ? null : await isSignature(`${body}\n`, line.split(' ')[2] ?? '', key?.split('+') ?? []),
      ),
    );
    if (!isProven || checks.every((check) => check === false)) return 'wrong';
    return {
      index: at,
      size: Number(size),
      origin,
      isSignatureChecked: checks.includes(true),
      isAuthentic: unauthentic !== true,
    };
  } catch {
    // What cannot be read proves nothing.
    return 'wrong';
  }
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> => Object(value) === value;

/** Whether two values of JSON are the same, in whatever order their keys stand. */
const isSame = (one: unknown, other: unknown): boolean =>
  isObject(one) && isObject(other)
    ? Object.keys(one).length === Object.keys(other).length && isWithin(one, other)
    : one === other;

/** Whether an object has all that a part of it says. */
const isWithin = (part: object, whole: object): boolean =>
  Object.entries(part).every(([key, value]) => isObject(whole) && isSame(value, whole[key]));

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
