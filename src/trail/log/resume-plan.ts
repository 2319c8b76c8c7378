import { RESUME_EVENTS_BETWEEN_MAX_COUNT } from '../../config/trail-limits.ts';
import type { TrailLogConfig } from '../../config/trail-log.ts';
import type { TrailLogRow } from '../../db/schema.ts';
import { leafHash } from '../../tlog/merkle.ts';
import { verifierOf, verifierText } from '../../tlog/note.ts';
import type { ResumedBecause } from '../../vocabulary.ts';
import type { Beyond } from './beyond.ts';
import { entryOf } from './facts.ts';
import { originOf } from './signing.ts';

// What a new log is to be in the place of one that cannot go on.

/** What was read of the log that is to end. */
export interface OldLog {
  readonly row: TrailLogRow;
  readonly because: ResumedBecause;
  readonly checkpoint: string | null;
  /** The last event that a leaf which counts has sealed; 0: none. */
  readonly keptSeq: number;
  /** The public key that a leaf which counts, or the beginning of this log, names; null: none does. */
  readonly keptKey: Uint8Array | null;
  readonly beyond: Beyond;
}

/** Numbers that no event has. */
export interface Gap {
  readonly from: number;
  readonly to: number;
}

/** The log that was begun, and what it follows. */
export interface ResumedLog {
  readonly number: number;
  readonly origin: string;
  /** When it was begun, in milliseconds since the epoch. */
  readonly begunAtMs: number;
  readonly because: ResumedBecause;
  readonly previous: PreviousLog;
  /** The verifier key that its checkpoints are to be checked with; null: the one of TRAIL_KEY. */
  readonly key: string | null;
  readonly keptSeq: number;
  readonly gap: Gap | null;
  /** The event of the trail in which it was begun. */
  readonly eventId: string;
}

/** What became of the old log. */
export interface PreviousLog {
  readonly number: number;
  readonly origin: string;
  /** How many of its leaves count. */
  readonly size: number;
  /** The checkpoint of that size; null: none was published. */
  readonly checkpoint: string | null;
  /** The largest checkpoint that was signed beyond it; null: none is known. */
  readonly known: string | null;
}

/** The body of the first entry of a log that follows another one. */
export const resumedBody = (log: ResumedLog, reason: string) => ({
  at: new Date(log.begunAtMs).toISOString(),
  log: log.number,
  previous: {
    origin: log.previous.origin,
    size: log.previous.size,
    checkpoint: log.previous.checkpoint,
    known: log.previous.known,
  },
  kept_size: log.previous.size,
  kept_seq: log.keptSeq,
  gap: log.gap,
  because: log.because,
  reason,
  event_id: log.eventId,
});

/** The new log. Its gap begins behind the newest event that was read; more may come before the batch. */
export function planOf(
  { row, because, checkpoint, keptSeq, keptKey, beyond }: OldLog,
  config: TrailLogConfig,
  { newestSeq, nowMs, eventId }: { readonly newestSeq: number; readonly nowMs: number; readonly eventId: string },
): ResumedLog {
  const number = beyond.lastNumber + 1;
  const origin = originOf(config.key.name, number);
  return {
    number,
    origin,
    begunAtMs: nowMs,
    because,
    previous: { number: row.number, origin: row.origin, size: row.published_size, checkpoint, known: beyond.known },
    key: because === 'key_lost' || keptKey === null ? null : verifierText(verifierOf('log', origin, keptKey)),
    keptSeq,
    gap: beyond.highestSeq > newestSeq ? { from: newestSeq + 1, to: beyond.highestSeq } : null,
    eventId,
  };
}

/** A first leaf for each number at which the gap may begin once the batch is committed: D1 makes no hashes, so it chooses one. */
export interface FirstLeaves {
  readonly firstFrom: number;
  readonly entries: readonly string[];
  readonly hashes: readonly string[];
}

export function firstLeavesOf(plan: ResumedLog, reason: string): FirstLeaves {
  const { gap } = plan;
  const froms =
    gap === null
      ? [0]
      : Array.from(
          { length: Math.min(RESUME_EVENTS_BETWEEN_MAX_COUNT, gap.to - gap.from + 1) },
          (_, more) => gap.from + more,
        );
  const bytes = froms.map((from) =>
    entryOf('resumed', resumedBody({ ...plan, gap: gap === null ? null : { from, to: gap.to } }, reason)),
  );
  return {
    firstFrom: froms[0] ?? 0,
    entries: bytes.map((entry) => new TextDecoder().decode(entry)),
    hashes: bytes.map((entry) => Buffer.from(leafHash(entry)).toString('base64')),
  };
}
