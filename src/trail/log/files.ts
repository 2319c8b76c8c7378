import type { TrailLogConfig, Witness } from '../../config/trail-log.ts';
import { LOG_TILES_MAX_COUNT } from '../../config/trail-limits.ts';
import { type BoundedMap, createBoundedMap } from '../../kit/bounded-map.ts';
import { err, ok, type Result } from '../../kit/result.ts';
import type { Trace } from '../../kit/trace.ts';
import { parseCheckpoint } from '../../tlog/checkpoint.ts';
import type { Hash } from '../../tlog/merkle.ts';
import { createSigner, parseVerifier, type Verifier, verifierOf } from '../../tlog/note.ts';
import { type Tile, tilePath } from '../../tlog/tiles.ts';
import type { LogRow } from './published.ts';
import { checkpointKey, type LogStore } from './store.ts';

/** The files of the logs, as those who read them need them. */
export interface LogFiles {
  /** The file of this key, or null if there is none. `audit_unavailable`: the store does not answer. */
  readonly get: (
    context: { readonly trace: Trace },
    key: string,
  ) => Promise<Result<Uint8Array | null, { readonly kind: 'audit_unavailable' }>>;
  /** The hash tiles that have led to a signed root, by key. */
  readonly tiles: BoundedMap<readonly Hash[]>;
  /** The public keys that this service has now, the one that signs first. */
  readonly publicKeys: () => Promise<readonly Uint8Array[]>;
  readonly witnesses: readonly Witness[];
}

/** Opens the files of the logs for reading. */
export function createLogFiles(
  { key, nextKey, witnesses }: Pick<TrailLogConfig, 'key' | 'nextKey' | 'witnesses'>,
  store: Pick<LogStore, 'get'>,
): LogFiles {
  let publicKeys: readonly Uint8Array[] | null = null;
  return {
    get: async (context, name) => {
      const read = await store.get(context, name);
      return read.ok ? read : err({ kind: 'audit_unavailable' });
    },
    tiles: createBoundedMap({ maxCount: LOG_TILES_MAX_COUNT }),
    publicKeys: async () => {
      // The keys are kept, and not their promise: that would never settle if the request that began it ended early.
      publicKeys ??= await Promise.all(
        [key, nextKey].filter((one) => one !== null).map(async (one) => (await createSigner(one)).verifier.publicKey),
      );
      return publicKeys;
    },
    witnesses,
  };
}

/** The key of a file of a log in the store. */
export const fileKey = (log: number, tile: Tile): string => `${log}/${tilePath(tile)}`;

/** A log, as far as its last published checkpoint is concerned. */
export type Checkpointed = Pick<LogRow, 'published_size' | 'note' | 'cosignatures' | 'origin' | 'key'> & {
  readonly number: number;
};

/**
 * The last published checkpoint of a log, with its cosignatures as further signature lines. Where somebody has deleted it in D1, the store
 * still has it.
 *
 * Fails with `log_file_not_found` where none is published, with `log_damaged` where it is lost, or with `audit_unavailable`.
 */
export async function readCheckpoint(
  files: LogFiles,
  context: { readonly trace: Trace },
  { number, published_size: size, note, cosignatures }: Checkpointed,
): Promise<Result<string, { readonly kind: 'log_file_not_found' | 'log_damaged' | 'audit_unavailable' }>> {
  if (size === 0) return err({ kind: 'log_file_not_found' });
  if (note !== null) return ok(note + (cosignatures ?? ''));
  const read = await files.get(context, checkpointKey(number, size));
  if (!read.ok) return read;
  return read.value === null ? err({ kind: 'log_damaged' }) : ok(new TextDecoder().decode(read.value));
}

/**
 * The key that checks a checkpoint of a log: the one that the last hand-over of the log names, or one of this service that has signed the
 * checkpoint. Null: none has, since the key was lost or replaced after the log had ended. Whether the signature is good is not looked at.
 *
 * @param checkpoint null: there is none yet.
 */
export async function verifierOfLog(
  files: LogFiles,
  { origin, key }: Pick<Checkpointed, 'origin' | 'key'>,
  checkpoint: string | null,
): Promise<Verifier | null> {
  const own = (await files.publicKeys()).map((publicKey) => verifierOf('log', origin, publicKey));
  const named = key === null ? null : parseVerifier(key);
  const known = named === null ? own : [named, ...own];
  if (checkpoint === null) return known[0] ?? null;
  const signatures = parseCheckpoint(checkpoint)?.note.signatures ?? [];
  return known.find(({ name, keyId }) => signatures.some((one) => one.name === name && one.keyId === keyId)) ?? null;
}
