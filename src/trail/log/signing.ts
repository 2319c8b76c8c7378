import type { TrailLogConfig } from '../../config/trail-log.ts';
import type { TrailLogRow } from '../../db/trail-log-schema.ts';
import { err, ok, type Result } from '../../kit/result.ts';
import { createSigner, type Signer } from '../../tlog/note.ts';

// Who signs the checkpoints of a log.

/** `key_invalid`: the id in TRAIL_KEY is not that of its name and seed. `key_renamed`: TRAIL_KEY has another name than the log. */
export type SigningFailure = 'key_invalid' | 'key_renamed';

export interface Signing {
  /** The signers of the checkpoint of a log at a size: one, and during a hand-over two. The first one signs first. */
  signersOf(
    log: Pick<TrailLogRow, 'number' | 'origin' | 'key'>,
    size: number,
  ): Promise<Result<readonly Signer[], SigningFailure>>;
}

/** The origin of a log, which is the name of its key: that of TRAIL_KEY, and for further logs with their number behind it. */
export const originOf = (name: string, log: number): string => (log === 1 ? name : `${name}/${log}`);

export function createSigning({ key }: Pick<TrailLogConfig, 'key'>): Signing {
  return {
    signersOf: async ({ number, origin }) => {
      if (origin !== originOf(key.name, number)) return err('key_renamed');
      const own = await createSigner(key);
      if (own.verifier.keyId !== key.keyId) return err('key_invalid');
      return ok([number === 1 ? own : await createSigner(key, origin)]);
    },
  };
}
