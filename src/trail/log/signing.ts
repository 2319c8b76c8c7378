import type { TrailLogConfig } from '../../config/trail-log.ts';
import type { TrailLogRow } from '../../db/trail-log-schema.ts';
import { err, ok, type Result } from '../../kit/result.ts';
import { createSigner, isSignedBy, parseNote, type PrivateKey, type Signer, verifierText } from '../../tlog/note.ts';

// Who signs the checkpoints of a log, and which key hands over to which.

/**
 * `key_invalid`: the id in TRAIL_KEY, or in TRAIL_KEY_NEXT, is not that of its name and seed. `key_renamed`: TRAIL_KEY has another name than
 * the log. `key_changed`: TRAIL_KEY is neither the key that has signed the log so far nor the one that took over.
 */
export type SigningFailure = 'key_invalid' | 'key_renamed' | 'key_changed';

/** What must be known of a log to sign it. */
type SignedLog = Pick<TrailLogRow, 'number' | 'origin' | 'key' | 'published_size'>;

export interface Signing {
  /**
   * The signers of the next checkpoint of a log: one, and while the key that took over is still the next one, two. The first one signs
   * first.
   *
   * @param note the text of the last checkpoint; null before the first one.
   */
  signersOf(log: SignedLog, note: string | null): Promise<Result<readonly Signer[], SigningFailure>>;
  /** The hand-over that is due: from the key that has signed the last checkpoint to one that has never been handed over to. Null: none. */
  handoverOf(log: SignedLog, note: string | null): Promise<{ readonly from: Signer; readonly to: Signer } | null>;
}

/** The origin of a log, which is the name of its key: that of TRAIL_KEY, and for further logs with their number behind it. */
export const originOf = (name: string, log: number): string => (log === 1 ? name : `${name}/${log}`);

export function createSigning({ key, nextKey }: Pick<TrailLogConfig, 'key' | 'nextKey'>): Signing {
  const signersOf: Signing['signersOf'] = async (log, note) => {
    if (log.origin !== originOf(key.name, log.number)) return err('key_renamed');
    const own = await signerFor(key, log.origin);
    const next = nextKey === null ? null : await signerFor(nextKey, log.origin);
    if (own === null || (nextKey !== null && next === null)) return err('key_invalid');
    // Whether TRAIL_KEY has signed the log so far is seen by the last checkpoint, which whoever publishes looks at.
    if (log.key === null || log.key === verifierText(own.verifier)) return ok([own]);
    if (next === null || log.key !== verifierText(next.verifier)) return err('key_changed');
    // The former key signs beside the one that took over. Another key that stands in its place does not.
    const isFormer = log.published_size === 0 || (await hasSigned(note, own));
    return isFormer ? ok([own, next]) : err('key_changed');
  };

  return {
    signersOf,

    handoverOf: async (log, note) => {
      const signers = await signersOf(log, note);
      const [from, ...others] = signers.ok ? signers.value : [];
      const to = nextKey === null ? null : await signerFor(nextKey, log.origin);
      if (from === undefined || others.length > 0 || to === null) return null;
      if (to.verifier.keyId === from.verifier.keyId) return null;
      // A key that is put in the place of a lost one must not hand over what is not its own.
      return (await hasSigned(note, from)) ? { from, to } : null;
    },
  };
}

/** The signer of a key under the origin of a log; null where the id of the key is not that of its name and seed. */
async function signerFor(key: PrivateKey, origin: string): Promise<Signer | null> {
  const own = await createSigner(key);
  if (own.verifier.keyId !== key.keyId) return null;
  return origin === key.name ? own : await createSigner(key, origin);
}

async function hasSigned(text: string | null, { verifier }: Signer): Promise<boolean> {
  const note = text === null ? null : parseNote(text);
  return note !== null && (await isSignedBy(note, verifier));
}
