import { SNAPSHOT_TOKENS_MAX_COUNT } from '../config/limits.ts';
import type { TokenRow } from '../db/schema.ts';
import { createBoundedMap } from '../kit/bounded-map.ts';
import { createMac } from '../kit/mac.ts';

// Who owns a token decides who may use it, so whoever can write to D1 must not be able to say it. The MAC binds an owner to its token: an
// owner that was changed, planted or copied from another token has no right MAC, and then the token has no owner.

/** What the MAC covers. */
export type Owned = Pick<TokenRow, 'workspace_uuid' | 'token_id' | 'owner_issuer' | 'owner_subject'>;
/** A token with its owner, as D1 has it. */
export type OwnedRow = Owned & Pick<TokenRow, 'owner_mac'>;

export interface OwnerMacs {
  /** The MAC to keep beside an owner; null for a token without one, and where there is no secret. */
  of(row: Owned): string | null;
  /** Whether the owner of a row counts. */
  isAuthentic(row: OwnedRow): boolean;
  /** The row as it is believed: without an owner if that is not authentic. */
  believed<T extends OwnedRow>(row: T): T;
}

/** What owners are authenticated with. */
export interface MacTerms {
  /** Null: nothing is authenticated, and every owner counts. */
  readonly secret: Uint8Array | null;
  /**
   * Until when an owner without a MAC counts, which is one from before the secret; null: it never does. Somebody with D1 alone could
   * otherwise take the MAC away with the owner, for ever.
   */
  readonly adoptUntilMs: number | null;
  readonly now: () => number;
}

export function createOwnerMacs({ secret, adoptUntilMs, now }: MacTerms): OwnerMacs {
  const mac = secret === null ? null : createMac(secret, 'owner/v1');
  const of: OwnerMacs['of'] = (row) =>
    mac === null || row.owner_issuer === null
      ? null
      : mac(row.workspace_uuid, row.token_id, row.owner_issuer, row.owner_subject);
  /** The owners of long lists are looked at again every quarter of a minute, and an HMAC of each takes longer than all else. */
  const verified = createBoundedMap<string>({ maxCount: SNAPSHOT_TOKENS_MAX_COUNT });
  const isAuthentic: OwnerMacs['isAuthentic'] = (row) => {
    if (mac === null || row.owner_issuer === null) return true;
    if (row.owner_mac === null) return adoptUntilMs !== null && now() < adoptUntilMs;
    const text = JSON.stringify([row.workspace_uuid, row.token_id, row.owner_issuer, row.owner_subject]);
    if (verified.get(row.owner_mac) === text) return true;
    if (row.owner_mac !== of(row)) return false;
    verified.set(row.owner_mac, text);
    return true;
  };
  return {
    of,
    isAuthentic,
    believed: (row) =>
      isAuthentic(row) ? row : { ...row, owner_issuer: null, owner_subject: null, owner_label: null },
  };
}
