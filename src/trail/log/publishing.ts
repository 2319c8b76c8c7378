import { SEALING_CHUNK_ROWS, SEALING_D1_TIMEOUT_MS, SEALING_PUBLISH_QUERIES } from '../../config/trail-limits.ts';
import type { Database, DatabaseFailure } from '../../db/database.ts';
import type { AuditEventRow } from '../../db/schema.ts';
import type { TrailLeafRow, TrailLogRow } from '../../db/trail-log-schema.ts';
import type { Budget } from '../../kit/budget.ts';
import { underDeadline } from '../../kit/deadline.ts';
import { err, ok, type Result } from '../../kit/result.ts';
import type { Runtime } from '../../kit/runtime.ts';
import type { Trace } from '../../kit/trace.ts';
import { checkpointBody, parseCheckpoint } from '../../tlog/checkpoint.ts';
import { type Hash, leafHash, rootOf, sameHash } from '../../tlog/merkle.ts';
import { isSignedBy, noteText, signNote, type Signer } from '../../tlog/note.ts';
import { bundleOf, hashesOfTile, newTiles, TILE_WIDTH, tilePath } from '../../tlog/tiles.ts';
import { FACT_KINDS, type FactKind, type LogLeafKind } from '../../vocabulary.ts';
import { entryOfRow } from './facts.ts';
import type { Signing, SigningFailure } from './signing.ts';
import { publishCheckpoint, selectLeaves } from './statements.ts';
import type { LogStore, StoredObject, StoreFailure } from './store.ts';
import { edgeText, firstLeaf, growTree, type GrownTree, hashText, partialTiles } from './tree.ts';

// How assigned leaves are published: the files of the log are made from the leaves and the rows alone, and put where nothing is changed;
// then the checkpoint is signed and stored. Each step may be repeated by another run, and comes to the same.

/** A log, and the last checkpoint of it that D1 has. */
export interface Head {
  readonly log: TrailLogRow;
  /** Null before the first one. */
  readonly note: string | null;
}

/**
 * Why nothing was published. `forked`: what is stored is not what was assigned. `file_missing`: the store lacks a file that was published.
 * `out_of_budget`: the next run goes on.
 */
export type PublishFailure =
  | { readonly because: 'd1' | 'store'; readonly failure: DatabaseFailure | StoreFailure }
  | { readonly because: 'forked'; readonly where: string }
  | { readonly because: 'file_missing'; readonly where: string }
  | { readonly because: 'out_of_budget' | SigningFailure };

export interface PublishingDependencies {
  readonly database: Database;
  readonly store: LogStore;
  readonly signing: Signing;
  readonly runtime: Pick<Runtime, 'now' | 'timeout' | 'cancel'>;
}

interface Context {
  readonly trace: Trace;
}

/** Publishes all leaves that are assigned. Null: another run has published meanwhile, and what was signed here is forgotten. */
export async function publish(
  dependencies: PublishingDependencies,
  context: Context,
  head: Head,
  budget: Budget,
): Promise<Result<Head | null, PublishFailure>> {
  const { store, signing, runtime } = dependencies;
  const { log } = head;
  if (!budget.permits(SEALING_PUBLISH_QUERIES)) return err({ because: 'out_of_budget' });
  const signers = await signing.signersOf(log, head.note);
  if (!signers.ok) return err({ because: signers.error });
  const before = await isOurs(head, signers.value);
  if (!before.ok) return before;

  const read = await readLeaves(dependencies, context, log);
  if (!read.ok) return read;
  const partials = await readPartials(store, context, log);
  if (!partials.ok) return partials;
  const { entries, hashes } = read.value;
  const tree = growTree({
    oldSize: log.published_size,
    size: log.size,
    leaves: hashes,
    partials: partials.value,
  });
  if (log.published_size > 0 && !sameHash(rootOf(tree.oldEdge), before.value))
    return forked(`the root at size ${log.published_size}`);
  if (edgeText(tree.edge) !== log.edge) return forked(`the edge at size ${log.size}`);

  const files = filesOf(log, tree, entries);
  if (!budget.permits(store.statementsFor(files) + 2)) return err({ because: 'out_of_budget' });
  const stored = await store.createAll(context, files, () => budget.permits(2));
  if (!stored.ok) return err({ because: 'store', failure: stored.error });
  if (stored.value !== null) return forked(`the file ${stored.value}`);

  const note = await signed(log, rootOf(tree.edge), signers.value);
  const published = await underDeadline(runtime, SEALING_D1_TIMEOUT_MS, async (deadline) =>
    dependencies.database.batch(context, publishCheckpoint(dependencies.database, log, note, runtime.now()), deadline),
  );
  if (!published.ok) return err({ because: 'd1', failure: published.error });
  const isPublished = published.value[1].length > 0;
  return ok(isPublished ? { log: { ...log, published_size: log.size }, note } : null);
}

const forked = (where: string): Result<never, PublishFailure> => err({ because: 'forked', where });

/**
 * The root of the last checkpoint, if one of these signers has signed it. Whoever has D1 and the store, and not the key, could otherwise
 * have another history go on under our signature.
 */
async function isOurs({ log, note: text }: Head, signers: readonly Signer[]): Promise<Result<Hash, PublishFailure>> {
  if (log.published_size === 0) return ok(new Uint8Array());
  const where = `the checkpoint of size ${log.published_size}`;
  const read = text === null ? null : parseCheckpoint(text);
  if (read === null || read.checkpoint.size !== log.published_size || read.checkpoint.origin !== log.origin)
    return forked(where);
  const { note, checkpoint } = read;
  const known = signers.filter(({ verifier }) => note.signatures.some(({ keyId }) => keyId === verifier.keyId));
  if (known.length === 0) return err({ because: 'key_changed' });
  for (const { verifier } of known) {
    // oxlint-disable-next-line no-await-in-loop -- there are two at the most
    if (await isSignedBy(note, verifier)) return ok(checkpoint.root);
  }
  return forked(where);
}

interface ReadLeaves {
  readonly entries: readonly Uint8Array[];
  readonly hashes: readonly Hash[];
}

/** Reads the leaves from the tile on in which the log grows, and makes their entries anew from the rows. */
async function readLeaves(
  { database, runtime }: PublishingDependencies,
  context: Context,
  log: TrailLogRow,
): Promise<Result<ReadLeaves, PublishFailure>> {
  const [entries, hashes]: [Uint8Array[], Hash[]] = [[], []];
  const first = firstLeaf(log.published_size);
  for (let begin = first; begin < log.size; begin += SEALING_CHUNK_ROWS) {
    const end = Math.min(begin + SEALING_CHUNK_ROWS, log.size);
    // oxlint-disable-next-line no-await-in-loop -- D1 does one at a time
    const page = await underDeadline(runtime, SEALING_D1_TIMEOUT_MS, async (deadline) =>
      database.batch(context, [selectLeaves(database, log.number, begin, end)], deadline),
    );
    if (!page.ok) return err({ because: 'd1', failure: page.error });
    for (const leaf of page.value[0]) {
      const entry = entryOfLeaf(leaf);
      const hash = entry === null ? null : leafHash(entry);
      if (entry === null || hash === null || hashText(hash) !== leaf.hash || leaf.idx !== first + entries.length)
        return forked(leaf.seq === null ? `the leaf ${leaf.idx}` : `the leaf ${leaf.idx}, of the event ${leaf.seq}`);
      entries.push(entry);
      hashes.push(hash);
    }
    if (entries.length !== end - first) return forked(`the leaves before ${end}`);
  }
  return ok({ entries, hashes });
}

type LeafWithRow = Pick<TrailLeafRow, 'kind' | 'authentic' | 'entry'> & {
  readonly [K in keyof AuditEventRow]: AuditEventRow[K] | null;
};

/** The entry of a leaf: that which is stored with it, or that of its row; null where the row is gone. */
function entryOfLeaf({ kind, authentic, entry, ...row }: LeafWithRow): Uint8Array | null {
  if (entry !== null) return new TextEncoder().encode(entry);
  return isFact(kind) && hasRow(row) ? entryOfRow(kind, row, authentic === 1) : null;
}

const isFact = (kind: LogLeafKind): kind is FactKind => FACT_KINDS.some((fact) => fact === kind);
const hasRow = (row: { readonly id: string | null }): row is AuditEventRow => row.id !== null;

/** Reads the partial tiles above the leaves. What they hold is not believed: it has to lead to the root that was signed. */
async function readPartials(
  store: LogStore,
  context: Context,
  log: TrailLogRow,
): Promise<Result<readonly (readonly Hash[])[], PublishFailure>> {
  const partials: (readonly Hash[])[] = [];
  for (const tile of partialTiles(log.published_size)) {
    const key = `${log.number}/${tilePath(tile)}`;
    // oxlint-disable-next-line no-await-in-loop -- there are two or three
    const bytes = await store.get(context, key);
    if (!bytes.ok) return err({ because: 'store', failure: bytes.error });
    if (bytes.value === null) return err({ because: 'file_missing', where: key });
    const hashes = hashesOfTile(bytes.value, tile.width);
    if (hashes === null) return forked(`the file ${key}`);
    partials.push(hashes);
  }
  return ok(partials);
}

/** The new files of a log, the entries before the hashes over them. */
function filesOf(log: TrailLogRow, { hashTiles }: GrownTree, entries: readonly Uint8Array[]): readonly StoredObject[] {
  const begin = firstLeaf(log.published_size);
  const bundles = newTiles(log.published_size, log.size)
    .filter(({ level }) => level === 'entries')
    .map((tile) => {
      const first = tile.index * TILE_WIDTH - begin;
      return { tile, bytes: bundleOf(entries.slice(first, first + tile.width)) };
    });
  return [...bundles, ...hashTiles].map(({ tile, bytes }) => ({ key: `${log.number}/${tilePath(tile)}`, bytes }));
}

async function signed({ origin, size }: TrailLogRow, root: Hash, signers: readonly Signer[]): Promise<string> {
  const body = checkpointBody({ origin, size, root });
  return noteText({ body, signatures: await Promise.all(signers.map(async (signer) => signNote(body, signer))) });
}
