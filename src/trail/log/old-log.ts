import { and, desc, eq, sql } from 'drizzle-orm';
import type { TrailLogConfig } from '../../config/trail-log.ts';
import type { Database } from '../../db/database.ts';
import { trailAnchors, trailCheckpoints, trailLeaves, trailLogs, type TrailLogRow } from '../../db/schema.ts';
import type { AuditFailure } from '../../failures.ts';
import { err, ok, type Result } from '../../kit/result.ts';
import type { Runtime } from '../../kit/runtime.ts';
import type { RequestContext } from '../../kit/trace.ts';
import { parseCheckpoint } from '../../tlog/checkpoint.ts';
import { createSigner, isSignedBy, parseVerifier, type Verifier, verifierOf } from '../../tlog/note.ts';
import type { ResumedBecause } from '../../vocabulary.ts';
import { FilesUnavailable, lookBeyond, type StoredFiles, storedFilesOf } from './beyond.ts';
import type { OldLog } from './resume-plan.ts';
import { isKept } from './resume-statements.ts';
import { originOf } from './signing.ts';
import { checkpointKey, type LogStore } from './store.ts';

// What is known of the log that is to end, in D1 and beyond it, and why it cannot go on.

interface OldLogDependencies {
  readonly database: Database;
  readonly runtime: Runtime;
  readonly store: LogStore;
}

/** Reads the current log. Null: it goes on, or there is none. Fails with `audit_unavailable` where D1 or the files do not answer. */
export async function readOldLog(
  { database, store, runtime }: OldLogDependencies,
  context: RequestContext,
  config: TrailLogConfig,
): Promise<Result<OldLog | null, AuditFailure>> {
  const { build } = database;
  const current = sql`(select max(l.number) from trail_logs as l)`;
  const kept = sql`(select l.published_size from trail_logs as l where l.number = ${current})`;
  const read = await database.batch(context, [
    build.select().from(trailLogs).where(eq(trailLogs.number, current)),
    build
      .select()
      .from(trailCheckpoints)
      .where(and(eq(trailCheckpoints.log, current), sql`${trailCheckpoints.size} = ${kept}`)),
    // Leaves of earlier logs count up to what these have published.
    build
      .select({ seq: trailLeaves.seq })
      .from(trailLeaves)
      .where(and(sql`${trailLeaves.seq} is not null`, isKept('trail_leaves')))
      .orderBy(desc(trailLeaves.seq))
      .limit(1),
    build
      .select({ size: sql<number>`coalesce(max(${trailAnchors.size}), 0)`.as('size') })
      .from(trailAnchors)
      .where(eq(trailAnchors.log, current)),
    // What a leaf that nobody was shown hands over stays with the key before it.
    build
      .select({ index: trailLeaves.idx })
      .from(trailLeaves)
      .where(and(eq(trailLeaves.log, current), sql`${trailLeaves.idx} >= ${kept}`, eq(trailLeaves.kind, 'handover')))
      .limit(1),
  ] as const);
  if (!read.ok) return err({ kind: 'audit_unavailable' });
  const [[row], [published], [leaf], [outside], [voidHandover]] = read.value;
  if (row === undefined) return ok(null);
  const files = storedFilesOf(store, context);
  try {
    const stored = published?.note ?? (await storedNote(files, row));
    const because = await whyStopped(row, stored, config);
    if (because === null) return ok(null);
    const keptSeq = leaf?.seq ?? 0;
    const log = { number: row.number, publishedSize: row.published_size, keptSeq };
    const beyond = await lookBeyond(files, log, await verifiersOf(row, config), outside?.size);
    const named = row.key === null || voidHandover !== undefined ? null : parseVerifier(row.key);
    return ok({ row, because, checkpoint: stored, keptSeq, keptKey: named?.publicKey ?? null, beyond });
  } catch (error) {
    if (!(error instanceof FilesUnavailable)) throw error;
    runtime.log({ level: 'error', event: 'log_files_failed', request_id: context.requestId, failure: error.message });
    return err({ kind: 'audit_unavailable' });
  }
}

/** The checkpoint that D1 has published, from the files. */
async function storedNote(files: StoredFiles, { number, published_size: size }: TrailLogRow): Promise<string | null> {
  const bytes = size === 0 ? null : await files.get(checkpointKey(number, size));
  return bytes === null ? null : new TextDecoder().decode(bytes);
}

/** Why the log cannot go on; null: it can. */
async function whyStopped(
  row: TrailLogRow,
  note: string | null,
  config: TrailLogConfig,
): Promise<ResumedBecause | null> {
  // A log whose key nobody has is followed by one of another key, whatever else has stopped it. That of a database that was put back to
  // before a hand-over is such a log too: the key before it is gone by then.
  const isLost = row.key === null ? await isSignedByOthers(row, note, config) : !(await hasKeyOf(row, note, config));
  if (isLost) return 'key_lost';
  if (row.stopped === 'rolled_back' || row.stopped === 'forked') return row.stopped;
  return (await hasKeyOf(row, note, config)) ? null : 'key_lost';
}

/**
 * Whether a configured key is that of the log: the one that the last hand-over names, or else the one that has signed its last checkpoint.
 * A log without either is signed by whatever key there is of its name. A key of another name signs nothing of it.
 */
async function hasKeyOf(row: TrailLogRow, note: string | null, config: TrailLogConfig): Promise<boolean> {
  if (row.origin !== originOf(config.key.name, row.number)) return false;
  const ours = await ownVerifiers(row.origin, config);
  const named = row.key === null ? null : parseVerifier(row.key);
  if (named !== null) return ours.some(({ keyId }) => keyId === named.keyId);
  const parsed = note === null ? null : parseCheckpoint(note);
  if (parsed === null) return row.published_size === 0;
  for (const verifier of ours) if (await isSignedBy(parsed.note, verifier)) return true;
  return false;
}

/** Whether the last checkpoint names other keys alone. One that names ours and is not signed by it was forged. */
async function isSignedByOthers(row: TrailLogRow, note: string | null, config: TrailLogConfig): Promise<boolean> {
  const parsed = note === null ? null : parseCheckpoint(note);
  if (parsed === null) return false;
  const ours = await ownVerifiers(row.origin, config);
  return !parsed.note.signatures.some(({ keyId }) => ours.some((verifier) => verifier.keyId === keyId));
}

/** The verifiers of the configured keys under the origin of a log. */
async function ownVerifiers(origin: string, { key, nextKey }: TrailLogConfig): Promise<readonly Verifier[]> {
  const keys = nextKey === null ? [key] : [key, nextKey];
  return await Promise.all(keys.map(async (one) => (await createSigner(one, origin)).verifier));
}

/** The keys that may have signed each log: the configured ones, and the one that the last hand-over names. */
async function verifiersOf(row: TrailLogRow, config: TrailLogConfig): Promise<(number: number) => readonly Verifier[]> {
  const named = row.key === null ? null : parseVerifier(row.key);
  const ours = await ownVerifiers(row.origin, config);
  const keys = [...ours, ...(named === null ? [] : [named])].map(({ publicKey }) => publicKey);
  return (number) => {
    const origin = number === row.number ? row.origin : originOf(config.key.name, number);
    return keys.map((publicKey) => verifierOf('log', origin, publicKey));
  };
}
