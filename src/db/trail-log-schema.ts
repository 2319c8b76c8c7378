import { sql } from 'drizzle-orm';
import { index, integer, primaryKey, sqliteTable, text } from 'drizzle-orm/sqlite-core';
import { ANCHOR_PROBLEMS, LOG_LEAF_KINDS, LOG_PENDING, LOG_STOPS, MAC_KINDS } from '../vocabulary.ts';

// The transparency log over the trail. Hashes are base64. The triggers of `drizzle/0015_trail_log.sql` let leaves only be added, and sizes
// only grow.

/** The logs, one after another: a new one begins where the one before it cannot go on. The last one grows. */
export const trailLogs = sqliteTable('trail_logs', {
  number: integer().primaryKey(),
  /** The name of the log and of its key. */
  origin: text().notNull(),
  begun_at: integer().notNull(),
  /** How many leaves are assigned. */
  size: integer().notNull(),
  /** The edge of the tree of these leaves (`src/tlog/merkle.ts`), as a JSON array. */
  edge: text().notNull(),
  /** Every event up to this one has its leaf, or waits in `trail_pending`. */
  through_seq: integer().notNull(),
  /** The size of the last checkpoint that was published; 0 before the first. */
  published_size: integer().notNull(),
  published_at: integer(),
  /** Why nothing is sealed any more; null while the log grows. */
  stopped: text({ enum: LOG_STOPS }),
  stopped_at: integer(),
  /** The verifier key that the last hand-over names; null while the first key of the log signs. */
  key: text(),
});

/** The leaves of the logs, in their order. The table is WITHOUT ROWID. */
export const trailLeaves = sqliteTable(
  'trail_leaves',
  {
    log: integer().notNull(),
    idx: integer().notNull(),
    kind: text({ enum: LOG_LEAF_KINDS }).notNull(),
    /** The event that the fact is about; null for a fact about the log itself. */
    seq: integer(),
    hash: text().notNull(),
    /** 0 if a MAC of the event was not one of this service. */
    authentic: integer().notNull(),
    /** The entry of a fact about the log itself; null for that of an event, which is made from its row. */
    entry: text(),
  },
  (table) => [
    primaryKey({ columns: [table.log, table.idx] }),
    // Receipts find the facts of an event by it.
    index('trail_leaves_seq')
      .on(table.seq)
      .where(sql`${table.seq} is not null`),
  ],
);

/** Events that `through_seq` has passed and that have a fact to come. Only the cron writes them. */
export const trailPending = sqliteTable('trail_pending', {
  seq: integer().primaryKey(),
  awaits: text({ enum: LOG_PENDING }).notNull(),
});

/** The checkpoints of the last days, as they were signed. Older ones are with the tiles. */
export const trailCheckpoints = sqliteTable(
  'trail_checkpoints',
  {
    log: integer().notNull(),
    size: integer().notNull(),
    /** The signed note, without cosignatures. */
    note: text().notNull(),
    signed_at: integer().notNull(),
    /** The signature lines of witnesses, each with its newline. */
    cosignatures: text().notNull().default(''),
    /** When it was sent to the witnesses and the URLs outside; null until then. */
    sent_at: integer(),
  },
  (table) => [primaryKey({ columns: [table.log, table.size] })],
);

/**
 * What is known of the places outside that checkpoints are sent to. Nothing rests on it: a size that is wrong is put right by the witness
 * itself, which says what it has.
 */
export const trailAnchors = sqliteTable(
  'trail_anchors',
  {
    log: integer().notNull(),
    /** The key of a witness, or a digest of a URL: a URL may carry a secret. */
    target: text().notNull(),
    host: text().notNull(),
    /** The size that it has, as far as is known; 0 where nothing is. */
    size: integer().notNull(),
    /** When it last took a checkpoint; null: it never did. */
    heard_at: integer(),
    tried_at: integer().notNull(),
    /** How often it has failed since it last took one. */
    failures: integer().notNull(),
    /** Why it failed the last time; null: it did not. */
    problem: text({ enum: ANCHOR_PROBLEMS }),
  },
  (table) => [primaryKey({ columns: [table.log, table.target] })],
);

/** The files of the logs where the Worker has no bucket. The body is base64. */
export const trailObjects = sqliteTable('trail_objects', {
  key: text().primaryKey(),
  body: text().notNull(),
});

/** Numbers that no event has, since a rolled back log has sealed other events under them. The guard of the sequence honours them. */
export const trailGaps = sqliteTable('trail_gaps', {
  from_seq: integer().primaryKey(),
  to_seq: integer().notNull(),
  /** The log whose first leaf names the gap. */
  log: integer().notNull(),
});

/** The rows whose MAC was met to be wrong, until somebody has put them right. `/readyz` counts them. The table is WITHOUT ROWID. */
export const unauthenticRows = sqliteTable(
  'unauthentic_rows',
  {
    kind: text({ enum: MAC_KINDS }).notNull(),
    /** What the row is about: the name of an origin of keys, the id of an event, or a workspace and a token with a space between them. */
    name: text().notNull(),
    found_at: integer().notNull(),
  },
  (table) => [primaryKey({ columns: [table.kind, table.name] })],
);

/**
 * How far the cron has come in looking through the rows that carry a MAC: `owner` by the last row of `tokens` that it looked at, and `row`
 * by the last `seq` that was there while rows without a MAC were adopted.
 */
export const macSweeps = sqliteTable('mac_sweeps', {
  kind: text({ enum: MAC_KINDS }).primaryKey(),
  position: integer().notNull(),
  /** The MAC of the position of `row`; null in any other. */
  mac: text(),
});

export type TrailLogRow = typeof trailLogs.$inferSelect;
export type TrailLeafRow = typeof trailLeaves.$inferSelect;
export type TrailCheckpointRow = typeof trailCheckpoints.$inferSelect;
export type TrailAnchorRow = typeof trailAnchors.$inferSelect;
