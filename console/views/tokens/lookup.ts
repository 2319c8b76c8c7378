import type { InventoryQuery } from '../../../package/client/requests.ts';

// "Whose token is this?": what was pasted or typed, and what the service is asked for it. A secret is hashed here and goes nowhere.

/** What somebody looks for. A secret is not in it: its SHA-256 is. */
export type Lookup =
  | { readonly kind: 'secret'; readonly sha256: string; readonly isLikeASecret: boolean }
  | { readonly kind: 'prefix'; readonly prefix: string }
  | { readonly kind: 'id'; readonly id: string };

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
/** PipeOps shows `sat_` and seven characters. There is room for a longer prefix, and a secret is longer than any. */
const PREFIX = /^sat_[A-Za-z0-9_+/=~-]{4,11}$/;
const SECRET = /^sat_[A-Za-z0-9_+/=.~-]{12,}$/;

/**
 * Reads what was pasted or typed. Only what cannot be a secret is sent as it is: the beginning of one as PipeOps shows it, or an id.
 * All else is hashed, without the spaces around it and otherwise exactly as it came.
 *
 * @param hash the SHA-256 of a text, in hex.
 * @returns null: it is empty.
 */
export async function lookupOf(text: string, hash: (text: string) => Promise<string>): Promise<Lookup | null> {
  const asked = text.trim();
  if (asked === '') return null;
  if (PREFIX.test(asked)) return { kind: 'prefix', prefix: asked };
  if (UUID.test(asked)) return { kind: 'id', id: asked };
  return { kind: 'secret', sha256: await hash(asked), isLikeASecret: SECRET.test(asked) };
}

export function inventoryQueryOf(lookup: Lookup): InventoryQuery {
  switch (lookup.kind) {
    case 'secret':
      return { token_sha256: lookup.sha256 };
    case 'prefix':
      return { token_prefix: lookup.prefix };
    case 'id':
      return { token_id: lookup.id };
  }
}

/** The SHA-256 of a text in UTF-8, in lower-case hex, by the browser. */
export async function sha256Hex(text: string): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text));
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** What it may mean that nothing was found. */
export function nothingFound(lookup: Lookup, seesAll: boolean): readonly string[] {
  return [
    ...(lookup.kind !== 'secret' || lookup.isLikeASecret
      ? []
      : [
          'It does not look like a PipeOps secret, which is sat_ and what follows it, without quotes or a name before it.',
        ]),
    lookup.kind === 'secret'
      ? 'A token that was not minted here cannot be told by its secret: try the first eleven characters, sat_ and seven more.'
      : 'PipeOps may never have listed it, or it may have ended before that.',
    ...(seesAll ? [] : ['It may be somebody else’s: your role shows you a part of the tokens.']),
  ];
}
