import { TOKEN_PREFIX_MAX_CHARS, TOKEN_PREFIX_MIN_CHARS, WEBHOOK_LOCATION_MAX_BYTES } from '../../config/limits.ts';
import { cutToBytes } from '../../kit/caps.ts';
import { sha256Hex } from '../../kit/digest.ts';
import { redact } from '../../kit/redaction.ts';
import type { Fingerprints } from '../../tokens/fingerprint.ts';
import type { Leak, NamedToken, Order } from '../senders/sender.ts';
import { candidatesOf, likeliestOf } from '../senders/candidates.ts';

/** A token that a delivery names, as the query knows it that looks for it in the inventory. No secret is in it. */
export interface SoughtItem {
  readonly position: number;
  readonly location: string | null;
  /** What each text that may be its secret would be kept as, under each key. */
  readonly fingerprints: readonly string[];
  /** What PipeOps may show of its secret: whichever length it shows. */
  readonly prefixes: readonly string[];
  readonly token_id: string | null;
  readonly workspace_uuid: string | null;
}

/** What a delivery names, to be looked for in the inventory. */
export const soughtItems = async (
  order: Extract<Order, { event: 'token.leaked' | 'token.revoke' }>,
  fingerprints: Fingerprints,
): Promise<readonly SoughtItem[]> =>
  order.event === 'token.revoke'
    ? order.tokens.map(soughtToken)
    : await Promise.all(order.leaks.map(async (leak) => await soughtLeak(leak, fingerprints)));

/** A leak is looked for by the fingerprints of what may be its secret, and told by its prefix where that finds nothing. */
async function soughtLeak({ position, text, sha256, location }: Leak, fingerprints: Fingerprints): Promise<SoughtItem> {
  const hashes = await Promise.all((text === null ? [] : candidatesOf(text)).map(sha256Hex));
  if (sha256 !== null) hashes.push(sha256);
  const kept = await Promise.all(hashes.map(async (hash) => await fingerprints.candidates(hash)));
  return {
    position,
    location: location === null ? null : cutToBytes(redact(location.toWellFormed()), WEBHOOK_LOCATION_MAX_BYTES),
    fingerprints: kept.flat().map(({ value }) => value),
    prefixes: text === null ? [] : prefixesOf(likeliestOf(text)),
    token_id: null,
    workspace_uuid: null,
  };
}

const soughtToken = ({ tokenId, workspaceUuid }: NamedToken, position: number): SoughtItem => ({
  position,
  location: null,
  fingerprints: [],
  prefixes: [],
  token_id: tokenId,
  workspace_uuid: workspaceUuid,
});

/** None of them is long enough to be a secret. */
function prefixesOf(secret: string): readonly string[] {
  const lengths = Array.from(
    { length: TOKEN_PREFIX_MAX_CHARS - TOKEN_PREFIX_MIN_CHARS + 1 },
    (_item, index) => TOKEN_PREFIX_MIN_CHARS + index,
  );
  return lengths.filter((length) => length < secret.length).map((length) => secret.slice(0, length));
}
