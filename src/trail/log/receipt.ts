import type { AuditEventRow } from '../../db/schema.ts';
import { isObject, parseJson } from '../../kit/json.ts';
import { err, ok, type Result } from '../../kit/result.ts';
import type { Trace } from '../../kit/trace.ts';
import { parseCheckpoint } from '../../tlog/checkpoint.ts';
import { type Hash, inclusionProof, leafHash, rootOfInclusion, sameHash } from '../../tlog/merkle.ts';
import { proveReceipt, type Receipt } from '../../tlog/proof.ts';
import { entriesOfBundle, hashesOfTile, nodesOfTiles, type Tile, TILE_WIDTH, tileWidth } from '../../tlog/tiles.ts';
import { FACT_KINDS } from '../../vocabulary.ts';
import { entryOfRow } from './facts.ts';
import { fileKey, type LogFiles, readCheckpoint, verifierOfLog } from './files.ts';
import type { SealedLeaf } from './published.ts';

type ReceiptFailure = { readonly kind: 'log_damaged' | 'audit_unavailable' };

/**
 * Makes the receipt of a leaf. The entry comes from its published bundle and not from the row, so a receipt proves what was sealed, and
 * nobody who changes the row since changes the receipt. It leaves only if it proves what it says: its entry is about the event, its proof
 * leads to the root, and the signature of the checkpoint is good. So at most one bundle and two tiles a level are read.
 *
 * Fails with `log_damaged` where that is not so, which is what a change to D1 or to the store looks like.
 */
export async function makeReceipt(
  files: LogFiles,
  context: { readonly trace: Trace },
  eventId: string,
  leaf: SealedLeaf,
): Promise<Result<Receipt, ReceiptFailure>> {
  const { log: number, idx: index, published_size: size } = leaf;
  const bundle = fileAt('entries', Math.floor(index / TILE_WIDTH), size);
  const [checkpoint, bytes, tiles] = await Promise.all([
    readCheckpoint(files, context, { ...leaf, number }),
    files.get(context, fileKey(number, bundle)),
    readTiles(files, context, number, tilesOf(index, size)),
  ]);
  if (!checkpoint.ok)
    return checkpoint.error.kind === 'log_file_not_found' ? DAMAGED : err({ kind: checkpoint.error.kind });
  if (!bytes.ok) return bytes;
  if (!tiles.ok) return tiles;
  const entry = bytes.value === null ? undefined : entriesOfBundle(bytes.value, bundle.width)?.[index % TILE_WIDTH];
  if (entry === undefined || !isAbout(entry, eventId)) return DAMAGED;
  const hashesAt = (level: number, at: number): readonly Hash[] =>
    tiles.value.get(fileKey(number, fileAt(level, at, size))) ?? [];
  const nodes = nodesOfTiles(async (level, at) => await Promise.resolve(hashesAt(level, at)));
  const proof = await inclusionProof(index, size, nodes);
  const receipt = { entry, index, proof, checkpoint: checkpoint.value };
  const verifier = await verifierOfLog(files, leaf, checkpoint.value);
  const isGood = verifier === null ? leadsToRoot(receipt, leaf) : (await proveReceipt(receipt, verifier)) !== null;
  if (!isGood) return DAMAGED;
  for (const [key, hashes] of tiles.value) files.tiles.set(key, hashes);
  return ok(receipt);
}

const DAMAGED = err({ kind: 'log_damaged' } as const);

const fileAt = (level: Tile['level'], index: number, size: number): Tile => ({
  level,
  index,
  width: tileWidth(level, index, size),
});

/**
 * The hash tiles that the proof of a leaf is made from: on each level the one above the leaf, and the last one, if that is not whole.
 * A log of 100 million leaves has four levels.
 */
export function tilesOf(index: number, size: number): readonly Tile[] {
  const tiles: Tile[] = [];
  for (let level = 0, hashes = size, at = index; hashes > 0; level += 1) {
    const [own, last] = [Math.floor(at / TILE_WIDTH), Math.floor(hashes / TILE_WIDTH)];
    if (tileWidth(level, own, size) > 0) tiles.push(fileAt(level, own, size));
    if (last !== own && tileWidth(level, last, size) > 0) tiles.push(fileAt(level, last, size));
    [hashes, at] = [last, own];
  }
  return tiles;
}

async function readTiles(
  files: LogFiles,
  context: { readonly trace: Trace },
  number: number,
  tiles: readonly Tile[],
): Promise<Result<ReadonlyMap<string, readonly Hash[]>, ReceiptFailure>> {
  const read = new Map<string, readonly Hash[]>();
  const one = async (tile: Tile): Promise<Result<null, ReceiptFailure>> => {
    const key = fileKey(number, tile);
    const known = files.tiles.get(key);
    const got = known === undefined ? await files.get(context, key) : null;
    if (got?.ok === false) return got;
    const bytes = got?.value ?? null;
    const hashes = known ?? (bytes === null ? null : hashesOfTile(bytes, tile.width));
    if (hashes === null) return DAMAGED;
    read.set(key, hashes);
    return ok(null);
  };
  const failed = (await Promise.all(tiles.map(one))).find((result) => !result.ok);
  return failed === undefined || failed.ok ? ok(read) : failed;
}

/** Whether an entry is about this event. It is not where somebody has changed which event a leaf of D1 belongs to, or the id of a row. */
function isAbout(entry: Uint8Array, eventId: string): boolean {
  const fact = parseJson(new TextDecoder().decode(entry));
  return isObject(fact) && fact['id'] === eventId;
}

/** Whether a receipt under a key that this service does not have is one of its log. That can be of a log that has ended, and of no other. */
function leadsToRoot({ entry, index, proof, checkpoint }: Receipt, { origin, stopped }: SealedLeaf): boolean {
  const parsed = parseCheckpoint(checkpoint);
  if (stopped === null || parsed === null || parsed.checkpoint.origin !== origin) return false;
  const reached = rootOfInclusion(leafHash(entry), index, parsed.checkpoint.size, proof);
  return reached !== null && sameHash(reached, parsed.checkpoint.root);
}

/** Whether a row still is what was sealed of it. It no longer is where somebody has changed it past this service. */
export function isAsSealed({ entry }: Receipt, { kind }: SealedLeaf, row: AuditEventRow): boolean {
  const sealed = new TextDecoder().decode(entry);
  const fact = parseJson(sealed);
  const known = FACT_KINDS.find((one) => one === kind);
  if (known === undefined || !isObject(fact)) return false;
  return new TextDecoder().decode(entryOfRow(known, row, fact['unauthentic'] !== true)) === sealed;
}
