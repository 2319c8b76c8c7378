import {
  ANCHORS_RUN_MS,
  SEALING_ASSIGN_QUERIES,
  SEALING_CHUNK_ROWS,
  SEALING_D1_TIMEOUT_MS,
} from '../../config/trail-limits.ts';
import type { TrailLogConfig } from '../../config/trail-log.ts';
import type { Query, RowsOf } from '../../db/database.ts';
import { type Budget, createBudget } from '../../kit/budget.ts';
import { underDeadline } from '../../kit/deadline.ts';
import { err, ok, type Result } from '../../kit/result.ts';
import type { Runtime } from '../../kit/runtime.ts';
import type { RequestContext } from '../../kit/trace.ts';
import { parseCheckpoint } from '../../tlog/checkpoint.ts';
import { grow, leafHash } from '../../tlog/merkle.ts';
import { verifierText } from '../../tlog/note.ts';
import type { Anchors } from './anchors.ts';
import { assignHandover, handoverEntry } from './handover.ts';
import { assign } from './leaves.ts';
import { type Head, publish, type PublishFailure, type PublishingDependencies, publishQueries } from './publishing.ts';
import {
  assignLeaves,
  beginFirstLog,
  closeCounted,
  forgetCheckpoints,
  selectDue,
  selectHead,
  selectLastCheckpoint,
  selectNew,
  selectTrail,
  stopLog,
} from './statements.ts';
import type { Adoption, RowMacs } from '../row-macs.ts';
import { checkpointKey, checkpointPrefix, rememberingStore } from './store.ts';
import { edgeText, hashText, parseEdge } from './tree.ts';

// The run of the cron that seals the trail. It goes on from what D1 says, whatever became of the run before it, and it may be killed at
// any step: leaves are assigned by compare-and-set, files are made from the leaves and rows alone, and nothing is signed that is not
// published next.

export interface SealingDependencies extends PublishingDependencies {
  readonly config: Pick<TrailLogConfig, 'key'>;
  readonly runtime: Pick<Runtime, 'now' | 'log' | 'timeout' | 'cancel'>;
  /** Whether the MACs of a row are those of this service. The leaf keeps the answer. */
  readonly isAuthentic: RowMacs['isUntouched'];
  /** Sends checkpoints outside; null: nobody outside is configured. */
  readonly anchors: Anchors | null;
  /** Events of a chunk. */
  readonly chunkRows?: number;
}

/** What a run came to. */
export interface Sealed {
  /** Leaves that were published. */
  readonly sealed: number;
  /** The size that is published; null where it is not known. */
  readonly publishedSize: number | null;
}

/** Why a run ended before its work did. `rolled_back`: the store, or somebody outside, knows a later checkpoint than D1. */
type SealingFailure = PublishFailure | { readonly because: 'rolled_back'; readonly where: string };

export interface Sealing {
  /** Seals what is not sealed, as far as the budget goes. A failure is logged, and the next run goes on. */
  run(context: Pick<RequestContext, 'trace'>, budget: Budget): Promise<Sealed>;
}

/** What an operator has to do about a failure that does not go away by itself. */
const NEXT_STEPS: Partial<Readonly<Record<SealingFailure['because'], string>>> = {
  key_renamed:
    'TRAIL_KEY has another name than the log. Put back the key of this log; if it is lost, begin a new log: npm run countersign -- trail resume.',
  key_changed:
    'TRAIL_KEY is neither the key that signed the last checkpoint nor the one that it has handed over to. Put that key back; if it is lost, begin a new log: npm run countersign -- trail resume.',
  key_invalid:
    'The id in TRAIL_KEY, or in TRAIL_KEY_NEXT, is not that of its name and seed. Copy the key again as it was made.',
  file_missing:
    'The store lacks a file of the log that was published. Is the binding TRAIL that of the same bucket as before?',
  forked:
    'What is stored, or known outside, is not what was assigned. See docs/operate.md, “The log of the trail is stopped”.',
  rolled_back:
    'The store, or somebody outside, knows a later checkpoint than D1. See docs/operate.md, “The log of the trail is stopped”.',
};

export function createSealing(dependencies: SealingDependencies): Sealing {
  const { runtime, anchors } = dependencies;
  const tell = (failure: SealingFailure | null): void => {
    if (failure === null) return;
    const { because, ...facts } = failure;
    const next = NEXT_STEPS[because];
    runtime.log({
      level: 'error',
      event: 'sealing_failed',
      because,
      ...facts,
      ...(next !== undefined && { next_step: next }),
    });
  };
  return {
    run: async (context, budget) => {
      // What is sent outside has queries of its own, so that a backlog does not keep the witnesses from hearing of the log.
      const own: Budget = { permits: (d1Queries) => budget.permits(d1Queries + (anchors?.queries ?? 0)) };
      const run = createRun(dependencies, context, own);
      tell(await run.go());
      if (anchors !== null) tell(await run.send(anchors));
      return run.report();
    },
  };
}

/** One run. */
function createRun(dependencies: SealingDependencies, context: Pick<RequestContext, 'trace'>, budget: Budget) {
  const { database, signing, runtime, config, isAuthentic, chunkRows = SEALING_CHUNK_ROWS } = dependencies;
  const store = rememberingStore(dependencies.store);
  let sealed = 0;
  let publishedSize: number | null = null;
  let adoption: Adoption | undefined;
  let mostSeq = 0;
  let isThrough = false;

  const batch = async <const Q extends readonly Query[]>(
    queries: Q,
  ): Promise<Result<{ [K in keyof Q]: RowsOf<Q[K]> }, SealingFailure>> => {
    const answer = await underDeadline(runtime, SEALING_D1_TIMEOUT_MS, async (deadline) =>
      database.batch(context, queries, deadline),
    );
    return answer.ok ? answer : err({ because: 'd1', failure: answer.error });
  };

  /** The log that grows and its last checkpoint. The first run begins the first log. */
  const readHead = async (): Promise<Result<Head, SealingFailure>> => {
    const read = await batch([
      beginFirstLog(database, config.key.name, runtime.now()),
      selectHead(database),
      selectLastCheckpoint(database),
      selectTrail(database),
    ]);
    if (!read.ok) return read;
    const [log] = read.value[1];
    const [checkpoint] = read.value[2];
    const [trail] = read.value[3];
    mostSeq = Math.min(trail?.newest_seq ?? 0, trail?.passed_seq ?? 0);
    adoption = typeof trail?.position === 'number' ? { position: trail.position, mac: trail.mac } : undefined;
    if (log === undefined) return err({ because: 'd1', failure: 'rejected' });
    const isLast = checkpoint !== undefined && checkpoint.log === log.number && checkpoint.size === log.published_size;
    return ok({ log, note: isLast ? checkpoint.note : null });
  };

  /**
   * Refuses to go on where there are checkpoints that D1 does not know: behind the one that it published, and of a log behind the last
   * one. A database that was restored would otherwise sign another history.
   */
  const refuseLater = async ({ log }: Head): Promise<Result<null, SealingFailure>> => {
    const next = checkpointPrefix(log.number + 1);
    const places = [
      [checkpointPrefix(log.number), checkpointKey(log.number, log.published_size)],
      [next, next],
    ] as const;
    for (const [prefix, key] of places) {
      // oxlint-disable-next-line no-await-in-loop -- there are two
      const later = await store.firstAfter(context, prefix, key);
      if (!later.ok) return err({ because: 'store', failure: later.error });
      if (later.value !== null) return err({ because: 'rolled_back', where: later.value });
    }
    return ok(null);
  };

  /** Tells the log of a checkpoint, and puts it beside the tiles. The line comes first: a run that is killed between the two writes it once more. */
  const announce = async ({ log, note }: Head): Promise<Result<null, SealingFailure>> => {
    if (log.published_size === 0 || note === null) return ok(null);
    logCheckpoint(note);
    const key = checkpointKey(log.number, log.published_size);
    const created = await store.create(context, { key, bytes: new TextEncoder().encode(note) });
    if (!created.ok) return err({ because: 'store', failure: created.error });
    return created.value === 'different' ? err({ because: 'forked', where: `the file ${key}` }) : ok(null);
  };

  /** Announces the last checkpoint, if the run that published it did not get so far. */
  const announceLast = async (head: Head): Promise<Result<null, SealingFailure>> => {
    const { log, note } = head;
    const key = checkpointKey(log.number, log.published_size);
    const there = await store.get(context, key);
    if (!there.ok) return err({ because: 'store', failure: there.error });
    if (there.value === null) return await announce(head);
    const isSame = note !== null && new TextDecoder().decode(there.value) === note;
    return isSame ? ok(null) : err({ because: 'forked', where: `the file ${key}` });
  };

  const logCheckpoint = (note: string): void => {
    const checkpoint = parseCheckpoint(note)?.checkpoint;
    if (checkpoint === undefined) return;
    const { origin, size, root } = checkpoint;
    runtime.log({
      level: 'info',
      event: 'trail.checkpoint',
      origin,
      size,
      root: Buffer.from(root).toString('base64'),
      note,
    });
  };

  /** Assigns the leaf of a hand-over to the next key. Null: none is due, or another run was faster. */
  const handOver = async ({ log, note }: Head): Promise<Result<Head | null, SealingFailure>> => {
    const due = await signing.handoverOf(log, note);
    if (due === null) return ok(null);
    const edge = parseEdge(log.edge, log.size);
    if (edge === null) return err({ because: 'forked', where: `the edge at size ${log.size}` });
    const entry = await handoverEntry(due.from, due.to.verifier, runtime.now());
    const hash = leafHash(entry);
    const key = verifierText(due.to.verifier);
    const to = { size: log.size + 1, edge: edgeText(grow(edge, log.size, [hash])), key };
    const leaf = { entry: new TextDecoder().decode(entry), hash: hashText(hash) };
    const moved = await batch(assignHandover(database, log, leaf, to));
    if (!moved.ok) return moved;
    if (moved.value[1].length === 0) return ok(null);
    runtime.log({ level: 'info', event: 'trail.handover', origin: log.origin, index: log.size, to: key });
    return ok({ log: { ...log, ...to }, note });
  };

  /** Assigns the leaves of the next chunk. Null: there are none, or another run was faster. */
  const assignNext = async (head: Head): Promise<Result<Head | null, SealingFailure>> => {
    const handed = await handOver(head);
    if (!handed.ok || handed.value !== null) return handed;
    const { log, note } = head;
    const range = { throughSeq: log.through_seq, rows: chunkRows };
    const read = await batch([
      closeCounted(database, range, runtime.now()),
      selectDue(database, range),
      selectNew(database, range),
    ]);
    if (!read.ok) return read;
    const [, due, fresh] = read.value;
    isThrough = due.length < chunkRows && fresh.length < chunkRows;
    if (due.length === 0 && fresh.length === 0) return ok(null);
    const edge = parseEdge(log.edge, log.size);
    if (edge === null) return err({ because: 'forked', where: `the edge at size ${log.size}` });
    const candidates = [
      ...due.map(({ awaits, ...row }) => ({ row, awaits })),
      ...fresh.map((row) => ({ row, awaits: null })),
    ];
    const assignment = assign(candidates, (row) => isAuthentic(row, adoption));
    const to = {
      size: log.size + assignment.leaves.length,
      edge: edgeText(grow(edge, log.size, assignment.hashes)),
      through_seq: fresh.at(-1)?.seq ?? log.through_seq,
    };
    const moved = await batch(assignLeaves(database, log, assignment, to, runtime.now()));
    if (!moved.ok) return moved;
    const isMoved = moved.value.at(-1)?.length === 1;
    if (!isMoved) return ok(null);
    for (const name of assignment.unauthentic)
      runtime.log({ level: 'error', event: 'row_unauthentic', kind: 'row', name });
    return ok({ log: { ...log, ...to }, note });
  };

  /**
   * What a run that met this at a head has to tell. A fork or a rollback stops the log, unless another run has published meanwhile: then
   * the head was out of date, and nothing is wrong.
   */
  const failed = async ({ log }: Head, failure: SealingFailure): Promise<SealingFailure | null> => {
    const { because } = failure;
    if (because === 'out_of_budget') return null;
    if (because !== 'forked' && because !== 'rolled_back') return failure;
    const stopped = await batch([stopLog(database, log, because, runtime.now())]);
    if (!stopped.ok) return stopped.error;
    return stopped.value[0].length > 0 ? failure : null;
  };

  /** Publishes what is assigned. Null: another run was faster. */
  const publishNext = async (head: Head): Promise<Result<Head | null, SealingFailure>> => {
    const published = await publish({ ...dependencies, store }, context, head, budget);
    if (!published.ok || published.value === null) return published;
    sealed += head.log.size - head.log.published_size;
    publishedSize = head.log.size;
    const announced = await announce(published.value);
    // The log is published by now, so that is what a fork stops.
    return announced.ok ? published : err(announced.error);
  };

  /**
   * Publishes and assigns by turns, until all is sealed that was there, another run is faster, or the budget ends. What has come meanwhile waits
   * for the next run, since each checkpoint leaves partial tiles that stay.
   */
  const work = async (first: Head): Promise<SealingFailure | null> => {
    const beyond = await refuseLater(first);
    if (!beyond.ok) return await failed(first, beyond.error);
    // Somebody has deleted the newest events, or has the log pass over some.
    if (first.log.through_seq > mostSeq) {
      const where = `the event ${first.log.through_seq}, which is not there, or was passed over`;
      return await failed(first, { because: 'forked', where });
    }
    const told = await announceLast(first);
    if (!told.ok) return await failed(first, told.error);
    let head: Head | null = first;
    while (head !== null) {
      const at: Head = head;
      const isPublished = at.log.size === at.log.published_size;
      if (isPublished && (isThrough || !budget.permits(SEALING_ASSIGN_QUERIES + publishQueries(store)))) return null;
      // oxlint-disable-next-line no-await-in-loop -- each step goes on from the one before it
      const next: Result<Head | null, SealingFailure> = await (isPublished ? assignNext(at) : publishNext(at));
      // oxlint-disable-next-line no-await-in-loop -- it is the last one
      if (!next.ok) return await failed(asPublished(at), next.error);
      head = next.value;
    }
    return null;
  };

  /** A head as D1 has it by now, as far as this run knows. */
  const asPublished = ({ log, note }: Head): Head => ({
    log: { ...log, published_size: publishedSize ?? log.published_size },
    note,
  });

  return {
    /** Sends the newest checkpoint outside, of a stopped log too. Whoever knows more of the log than D1 stops it. */
    send: async (anchors: Anchors): Promise<SealingFailure | null> => {
      const share = { d1Queries: anchors.queries, ms: ANCHORS_RUN_MS };
      const { stop } = await anchors.send(context, createBudget(context.trace, runtime, share));
      if (stop === null) return null;
      const { because, log, publishedSize: published, where } = stop;
      const at = { number: log, published_size: published };
      const stopped = await batch([stopLog(database, at, because, runtime.now())]);
      if (!stopped.ok) return stopped.error;
      return stopped.value[0].length > 0 ? { because, where } : null;
    },
    go: async (): Promise<SealingFailure | null> => {
      const head = await readHead();
      if (!head.ok) return head.error;
      publishedSize = head.value.log.published_size;
      if (head.value.log.stopped !== null) return null;
      const failure = await work(head.value);
      if (sealed > 0) await batch([forgetCheckpoints(database, head.value.log, runtime.now())]);
      return failure;
    },
    report: (): Sealed => ({ sealed, publishedSize }),
  };
}
