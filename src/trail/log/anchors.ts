import { and, desc, eq, max, sql } from 'drizzle-orm';
import {
  ANCHOR_AGAIN_AFTER_MS,
  ANCHOR_PAUSE_MAX_MS,
  ANCHORS_BASE_QUERIES,
  PROOF_MAX_QUERIES,
} from '../../config/trail-limits.ts';
import type { TrailLogConfig, Witness } from '../../config/trail-log.ts';
import type { Database, Query } from '../../db/database.ts';
import {
  trailAnchors,
  type TrailAnchorRow,
  trailCheckpoints,
  type TrailCheckpointRow,
  trailLogs,
} from '../../db/schema.ts';
import type { Budget } from '../../kit/budget.ts';
import { sha256HexSync } from '../../kit/digest.ts';
import type { Runtime } from '../../kit/runtime.ts';
import type { RequestContext } from '../../kit/trace.ts';
import { type Checkpoint, parseCheckpoint } from '../../tlog/checkpoint.ts';
import { consistencyProof, isConsistent, rangeRoot } from '../../tlog/merkle.ts';
import { cosignedAtSeconds, type NoteSignature, parseSignatureLine, signatureLine } from '../../tlog/note.ts';
import { hashesOfTile, nodesOfTiles, type ReadTile, tilePath, tileWidth } from '../../tlog/tiles.ts';
import type { AnchorProblem, LogStop } from '../../vocabulary.ts';
import type { LogStore } from './store.ts';
import { askWitness, type Outcome, type ProofFrom, sendToUrl } from './witness.ts';

export interface AnchorDependencies {
  readonly database: Database;
  readonly runtime: Pick<Runtime, 'fetch' | 'timeout' | 'cancel' | 'now' | 'log'>;
  readonly store: Pick<LogStore, 'get'>;
  readonly trailLog: Pick<TrailLogConfig, 'bucket' | 'witnesses' | 'anchors'>;
}

/** What one run has sent. */
export interface AnchorReport {
  /** How many places have taken the checkpoint. */
  readonly taken: number;
  readonly failed: number;
  /** Why the log must not go on: somebody outside knows more of it than D1, or something else. Null: nobody does. */
  readonly stop: AnchorStop | null;
}

export interface AnchorStop {
  readonly because: Extract<LogStop, 'rolled_back' | 'forked'>;
  readonly log: number;
  /** The size that is known outside, and where. */
  readonly size: number;
  readonly where: string;
  /** What D1 had published when that was found out. */
  readonly publishedSize: number;
}

export interface Anchors {
  /** How many statements `send` needs of its budget: it does nothing with fewer. */
  readonly queries: number;
  /**
   * Sends the newest published checkpoint to each place that lacks it, and once an hour to those that have it. No place keeps another one
   * or the caller back for longer than its deadline, and a failure is logged with the host alone.
   */
  send(context: Context, budget: Budget): Promise<AnchorReport>;
}

type Context = Pick<RequestContext, 'trace'>;

const NOTHING: AnchorReport = { taken: 0, failed: 0, stop: null };

/** A place outside that checkpoints are sent to. */
type Place = { readonly target: string; readonly host: string } & (
  | { readonly witness: Witness }
  | { readonly witness: null; readonly url: string }
);

/** Creates what sends checkpoints to the configured witnesses and URLs. */
export function createAnchors({ database, runtime, store, trailLog }: AnchorDependencies): Anchors {
  const places = placesOf(trailLog);
  // The files of a proof cost queries only where they are in D1.
  const proofQueries = trailLog.bucket === null ? PROOF_MAX_QUERIES : 0;
  const queries = places.length === 0 ? 0 : ANCHORS_BASE_QUERIES + places.length + proofQueries;

  const sendTo = async (
    place: Place,
    row: TrailAnchorRow | undefined,
    { log, size, note, cosignatures }: TrailCheckpointRow,
    proofFrom: ProofFrom,
  ): Promise<Sent> => {
    const remembered = row?.size ?? 0;
    const outcome =
      place.witness === null
        ? await sendToUrl(runtime, place.url, `${note}${cosignatures}`, size, remembered)
        : await askWitness(runtime, place.witness, { size, note }, remembered, proofFrom);
    return { place, outcome, row, log };
  };

  return {
    queries,
    send: async (context, budget) => {
      if (places.length === 0 || !budget.permits(queries)) return NOTHING;
      const looked = await database.batch(context, [newestCheckpoint(database), anchorsOfLog(database)]);
      const newest = looked.ok ? looked.value[0][0] : undefined;
      const parsed = newest === undefined ? null : parseCheckpoint(newest.note);
      if (!looked.ok || newest === undefined || parsed === null) return NOTHING;
      const rows = new Map(looked.value[1].map((row) => [row.target, row]));
      const due = places.filter(({ target }) => isDue(rows.get(target) ?? null, newest.size, runtime.now()));
      if (due.length === 0) return NOTHING;

      const proofFrom = createProofs({ store, context, budget, queries: proofQueries }, newest.log, parsed.checkpoint);
      const [witnesses, urls] = [due.filter(({ witness }) => witness !== null), due.filter((p) => p.witness === null)];
      const toAll = async (some: readonly Place[], checkpoint: TrailCheckpointRow): Promise<readonly Sent[]> =>
        await Promise.all(
          some.map(async (place) => await sendTo(place, rows.get(place.target), checkpoint, proofFrom)),
        );
      const asked = await toAll(witnesses, newest);
      const cosignatures = withCosignatures(newest.cosignatures, asked.flatMap(cosignaturesOf));
      // What is kept elsewhere is worth more with the cosignatures, so the URLs come after the witnesses.
      const sent = [...asked, ...(await toAll(urls, { ...newest, cosignatures }))];

      const stop = await stopOf(context, sent, newest.size);
      for (const { place, outcome } of sent) tell(place, outcome, parsed.checkpoint);
      const isWhole = places.every(({ target }) => {
        const now = sent.find(({ place }) => place.target === target);
        return now === undefined ? rows.get(target)?.size === newest.size : now.outcome.kind === 'taken';
      });
      await database.batch(context, [
        ...sent.map((one) => rememberPlace(database, rowAfter(one, newest.size, runtime.now()))),
        ...keepCosignatures(database, newest, cosignatures, isWhole ? runtime.now() : newest.sent_at),
      ]);
      const taken = sent.filter(({ outcome }) => outcome.kind === 'taken').length;
      return { taken, failed: sent.length - taken, stop };
    },
  };

  /**
   * Whether what is known outside must stop the log. Another run may have published, and sent, a larger checkpoint meanwhile, so D1 is
   * asked again: whoever learns of a size outside learns of it after D1.
   */
  async function stopOf(context: Context, sent: readonly Sent[], newest: number): Promise<AnchorStop | null> {
    const known = (kind: 'ahead' | 'other') =>
      sent.flatMap(({ outcome, log, place: { host } }) =>
        outcome.kind === kind ? [{ log, size: outcome.size, where: `size ${outcome.size} at ${host}` }] : [],
      );
    const largest = known('ahead').toSorted((one, two) => two.size - one.size)[0];
    if (largest !== undefined) {
      const looked = await database.batch(context, [publishedSize(database, largest.log)]);
      const published = looked.ok ? looked.value[0][0]?.published_size : undefined;
      if (published !== undefined && published < largest.size)
        return { because: 'rolled_back', ...largest, publishedSize: published };
    }
    const other = known('other')[0];
    return other === undefined ? null : { because: 'forked', ...other, publishedSize: newest };
  }

  function tell({ host, witness }: Place, outcome: Outcome, { origin, size }: Checkpoint): void {
    const what = { host, witness: witness?.verifier.name ?? null, origin, size };
    if (outcome.kind === 'taken') {
      runtime.log({ level: 'info', event: 'trail.anchored', ...what });
      return;
    }
    const known = outcome.kind === 'failed' ? { status: outcome.status } : { known_size: outcome.size };
    const level = outcome.kind === 'failed' ? 'warn' : 'error';
    runtime.log({ level, event: 'trail.anchor_failed', ...what, problem: problemOf(outcome), ...known });
  }
}

interface Sent {
  readonly place: Place;
  readonly outcome: Outcome;
  readonly row: TrailAnchorRow | undefined;
  readonly log: number;
}

function placesOf({ witnesses, anchors }: AnchorDependencies['trailLog']): readonly Place[] {
  return [
    ...witnesses.map((witness) => ({
      target: `${witness.verifier.name}+${witness.verifier.keyId}`,
      host: new URL(witness.url).host,
      witness,
    })),
    // The path or the query of a URL may be a secret, so its row carries a digest of it.
    ...anchors.map((url) => ({ target: sha256HexSync(url).slice(0, 32), host: new URL(url).host, witness: null, url })),
  ];
}

/**
 * Whether a place is sent the newest checkpoint now: where it lacks it, or has not been heard for an hour. A place that has failed twice is
 * left alone for a minute, and for twice as long after each further failure. Times in the future are those of a clock that ran ahead.
 */
export function isDue(row: TrailAnchorRow | null, size: number, nowMs: number): boolean {
  if (row === null) return true;
  const hasIt = row.size === size && row.heard_at !== null && row.failures === 0;
  if (hasIt) return Math.abs(nowMs - (row.heard_at ?? 0)) >= ANCHOR_AGAIN_AFTER_MS;
  const pauseMs = row.failures < 2 ? 0 : Math.min(60_000 * 2 ** (row.failures - 2), ANCHOR_PAUSE_MAX_MS);
  return nowMs - row.tried_at >= pauseMs || row.tried_at > nowMs;
}

const cosignaturesOf = ({ outcome }: Sent): readonly NoteSignature[] =>
  outcome.kind === 'taken' && outcome.cosignature !== null ? [outcome.cosignature] : [];

/** Adds cosignatures to lines of them. Each witness has one line, the newest. */
export function withCosignatures(lines: string, added: readonly NoteSignature[]): string {
  const kept = lines
    .split('\n')
    .map(parseSignatureLine)
    .filter((one) => one !== null);
  const newest = new Map<string, NoteSignature>();
  for (const one of [...kept, ...added]) {
    const key = `${one.name}+${one.keyId}`;
    const other = newest.get(key);
    if (other === undefined || timeOf(one) >= timeOf(other)) newest.set(key, one);
  }
  return [...newest.values()].map(signatureLine).join('');
}

const timeOf = (cosignature: NoteSignature): number => cosignedAtSeconds(cosignature) ?? 0;

const problemOf = (outcome: Exclude<Outcome, { kind: 'taken' }>): AnchorProblem => {
  if (outcome.kind === 'failed') return outcome.problem;
  return outcome.kind === 'ahead' ? 'ahead' : 'other_log';
};

function rowAfter({ place, outcome, row, log }: Sent, size: number, nowMs: number): TrailAnchorRow {
  const { target, host } = place;
  const tried = { log, target, host, tried_at: nowMs };
  if (outcome.kind === 'taken') return { ...tried, size, heard_at: nowMs, failures: 0, problem: null };
  const [heard_at, failures] = [row?.heard_at ?? null, (row?.failures ?? 0) + 1];
  return { ...tried, size: outcome.size, heard_at, failures, problem: problemOf(outcome) };
}

// ── Proofs ──────────────────────────────────────────────────────────────────────────────────────────────────────────

/**
 * Proofs to a checkpoint from the files of its log. Each is checked before it is sent: a file that is not what it should be would otherwise
 * look, to a witness, like a log that was rewritten.
 */
function createProofs(
  {
    store,
    context,
    budget,
    queries,
  }: {
    readonly store: Pick<LogStore, 'get'>;
    readonly context: Context;
    readonly budget: Budget;
    readonly queries: number;
  },
  log: number,
  { size, root }: Checkpoint,
): ProofFrom {
  const tiles = new Map<string, ReturnType<ReadTile>>();
  const fetchTile: ReadTile = async (level, index) => {
    const width = tileWidth(level, index, size);
    const found = await store.get(context, `${log}/${tilePath({ level, index, width })}`);
    const hashes = found.ok && found.value !== null ? hashesOfTile(found.value, width) : null;
    if (hashes === null) throw new TypeError('A file of the log is missing, or is none.');
    return hashes;
  };
  const read = nodesOfTiles(async (level, index) => {
    const key = `${level}/${index}`;
    const tile = tiles.get(key) ?? fetchTile(level, index);
    tiles.set(key, tile);
    return await tile;
  });
  return async (oldSize) => {
    if (oldSize === 0 || oldSize === size) return [];
    if (oldSize > size || !budget.permits(queries)) return null;
    try {
      const proof = await consistencyProof(oldSize, size, read);
      return isConsistent(oldSize, await rangeRoot(0, oldSize, read), size, root, proof) ? proof : null;
    } catch {
      return null;
    }
  };
}

// ── Statements ──────────────────────────────────────────────────────────────────────────────────────────────────────

const currentLog = ({ build }: Database) => build.select({ number: max(trailLogs.number) }).from(trailLogs);

const newestCheckpoint = (database: Database) =>
  database.build
    .select()
    .from(trailCheckpoints)
    .where(eq(trailCheckpoints.log, currentLog(database)))
    .orderBy(desc(trailCheckpoints.size))
    .limit(1);

/** What is known of the places that the checkpoints of the current log are sent to. */
export const anchorsOfLog = (database: Database) =>
  database.build
    .select()
    .from(trailAnchors)
    .where(eq(trailAnchors.log, currentLog(database)));

const publishedSize = ({ build }: Database, log: number) =>
  build.select({ published_size: trailLogs.published_size }).from(trailLogs).where(eq(trailLogs.number, log));

const rememberPlace = ({ build }: Database, row: TrailAnchorRow): Query => {
  const { log: _log, target: _target, ...changes } = row;
  return build
    .insert(trailAnchors)
    .values(row)
    .onConflictDoUpdate({ target: [trailAnchors.log, trailAnchors.target], set: changes });
};

/** Keeps the cosignatures unless another run has kept some meanwhile; those of this run come again within the hour then. */
function keepCosignatures(
  { build }: Database,
  { log, size, cosignatures: old, sent_at: oldSentAt }: TrailCheckpointRow,
  cosignatures: string,
  sentAt: number | null,
): readonly Query[] {
  if (cosignatures === old && sentAt === oldSentAt) return [];
  const isUnchanged = sql`${trailCheckpoints.cosignatures} = ${old}`;
  return [
    build
      .update(trailCheckpoints)
      .set({ cosignatures, sent_at: sentAt })
      .where(and(eq(trailCheckpoints.log, log), eq(trailCheckpoints.size, size), isUnchanged)),
  ];
}
