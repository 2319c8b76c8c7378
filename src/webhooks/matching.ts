import { TOKEN_PREFIX_MAX_CHARS, TOKEN_PREFIX_MIN_CHARS, WEBHOOK_LOCATION_MAX_BYTES } from '../config/limits.ts';
import { cutToBytes } from '../text/caps.ts';
import { sha256Hex } from '../text/digest.ts';
import { redact } from '../text/redaction.ts';
import type { Fingerprints } from '../tokens/fingerprint.ts';
import type { Leak, NamedToken } from './adapter.ts';

/** A token that a delivery names, as the query knows it that looks for it in the inventory. No secret is in it. */
export interface SoughtItem {
  readonly position: number;
  readonly location: string | null;
  /** What its secret would be kept as, under each key. */
  readonly fingerprints: readonly string[];
  /** What PipeOps may show of its secret: whichever length it shows. */
  readonly prefixes: readonly string[];
  readonly token_id: string | null;
  readonly workspace_uuid: string | null;
}

/** A leak is looked for by its fingerprint, and told by its prefix where that finds nothing. */
export async function soughtLeak(leak: Leak, position: number, fingerprints: Fingerprints): Promise<SoughtItem> {
  const sha256 = 'sha256' in leak ? leak.sha256 : await sha256Hex(leak.secret);
  return {
    position,
    location:
      leak.location === null ? null : cutToBytes(redact(leak.location.toWellFormed()), WEBHOOK_LOCATION_MAX_BYTES),
    fingerprints: (await fingerprints.candidates(sha256)).map(({ value }) => value),
    prefixes: 'secret' in leak ? prefixesOf(leak.secret) : [],
    token_id: null,
    workspace_uuid: null,
  };
}

export const soughtToken = ({ tokenId, workspaceUuid }: NamedToken, position: number): SoughtItem => ({
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
