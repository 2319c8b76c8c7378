import { createHmac } from 'node:crypto';

/** What a MAC is made over. */
export type MacValue = string | number | null;

/** The MAC of these values, in this order: 22 characters of base64url. */
export type Mac = (...values: readonly MacValue[]) => string;

/** 128 bits, since rows keep it: RFC 2104 §5 allows half of the 256. */
const MAC_CHARS = 22;

/**
 * Makes MACs for one purpose: HMAC-SHA-256 under a key that is derived from the secret (HKDF-Expand of one block, RFC 5869 §2.3; the
 * secret is random, so §3.3 lets the extraction be left out). A MAC of one purpose is none of another. The values are told apart by
 * JSON, which writes each list of them in one way.
 *
 * @param purpose ASCII. A change of what the values mean is another purpose.
 */
export function createMac(secret: Uint8Array, purpose: string): Mac {
  // Workers do no cryptography while they start.
  let derived: Uint8Array | null = null;
  return (...values) => {
    derived ??= createHmac('sha256', secret).update(`countersign ${purpose}\u0001`).digest();
    // D1 stores text as UTF-8, which has no lone surrogates.
    const told = values.map((value) => (typeof value === 'string' ? value.toWellFormed() : value));
    const text = JSON.stringify([purpose, ...told]);
    return createHmac('sha256', derived).update(text).digest('base64url').slice(0, MAC_CHARS);
  };
}
