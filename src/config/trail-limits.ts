/** The limits of filters and counts of the trail, and of its log, as a part of `limits.ts`. */

/**
 * Characters of a `token_prefix`. PipeOps shows eleven, `sat_` among them; with twelve behind `sat_` it would be a secret, and one that
 * is shorter than the shown one finds nothing.
 */
export const TOKEN_PREFIX_MAX_CHARS = 15;
/**
 * Tokens of one prefix whose events are merged in the order of the trail. Seven random characters hardly ever begin two tokens; the
 * events of still more tokens are found too, and have to be sorted.
 */
export const TOKEN_PREFIX_MERGED_TOKENS = 3;
/**
 * What the row of a query says of its filter, as JSON. Its columns take up to 980 bytes of AUDIT_ROW_MAX_BYTES, its position and the
 * policy 130. Only an actor or a name of a token can make a filter longer, beside all other filters; then these are cut.
 */
export const AUDIT_FILTER_DETAIL_MAX_BYTES = 900;
/** What is kept of such a text at the least. */
export const AUDIT_FILTER_TEXT_LEAST_BYTES = 24;
/** The characters of the version of a policy: 64 bits in hex. */
export const POLICY_VERSION_CHARS = 16;
/** The characters of the name of a role, which `policy.ts` limits. */
export const ROLE_NAME_MAX_CHARS = 64;

/** Keys that a count answers with: more than a person reads, and than one screen shows. */
export const AUDIT_COUNT_MAX_KEYS = 200;
/** Rows that a count looks at. They take D1 some tenths of a second, in which it does nothing else (`docs/performance.md`). */
export const AUDIT_COUNT_MAX_ROWS = 100_000;

// ── The log ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/**
 * Numbers that events may have beyond those that a log has sealed one by one: counted rows of the last minutes, which are sealed when
 * they are closed. Five minutes at the 20,000 events a minute that are promised.
 */
export const UNSEALED_NUMBERS_MAX_COUNT = 100_000;
/** The events that may come between reading the trail and the batch that begins a new log: more of them, and the batch is made anew. */
export const RESUME_EVENTS_BETWEEN_MAX_COUNT = 64;
/**
 * Files that no key has signed above the largest checkpoint, before it is not looked for any longer: whoever can write to the bucket can
 * put any number of them.
 */
export const UNSIGNED_CHECKPOINTS_MAX_COUNT = 16;
/**
 * Bundles of entries beyond what was signed that are read. A run publishes two chunks of SEALING_CHUNK_ROWS before it assigns more, which are
 * 41 bundles at the most; whatever more there is was put by somebody else.
 */
export const UNSIGNED_BUNDLES_MAX_COUNT = 64;
/** How often that batch is made at the most. */
export const RESUME_MAX_TRIES = 5;
/** A secret that HMAC-SHA-256 gains nothing from lengthening (RFC 2104 §3). */
export const STATE_SECRET_MIN_BYTES = 32;
/**
 * Tokens whose owner each run of the cron looks at: half a millisecond of HMACs a hundred. An inventory of 100,000 tokens is through
 * within three and a half hours.
 */
export const MAC_SWEEP_TOKENS = 500;
/** How long `/readyz` tells of what is over: forged keys that are deleted, or a planted attempt that somebody has settled. */
export const UNAUTHENTIC_TOLD_MS = 24 * 60 * 60 * 1000;
/** How long a counted row does not grow before the log closes it: its minute, and a minute for reads that are recorded late. */
export const LOG_CLOSE_AFTER_MS = 2 * 60 * 1000;
/**
 * Events that one D1 batch assigns leaves to, and events that waited, as many again: 10 MB of rows each at the most, and a megabyte of leaves,
 * of the 2 MB that D1 binds. Their leaves are published before more are assigned, so a store that is down makes no more than these wait.
 */
export const SEALING_CHUNK_ROWS = 5_000;
/** Hash tiles that an isolate remembers, of 8 KB at the most: 2 MB, in which the receipts of one screen of the console meet again. */
export const LOG_TILES_MAX_COUNT = 256;
/**
 * Entries of a log whose bundles are counted in one row of the trail for a reader and minute: the 256 bundles under one tile of level 1. A
 * reader who takes the whole log, at some 600 requests a minute, leaves four such rows a minute, of the CALLER_READS_MAX_ROWS that it may.
 */
export const LOG_SPAN_ENTRIES = 65_536;
/** How long D1 may take with a batch of a chunk. It takes some 300 ms locally, and nobody waits for it. */
export const SEALING_D1_TIMEOUT_MS = 10_000;
/**
 * Statements to D1 that assign a chunk at the most: closing, two reads, and five that assign. A chunk of a backlog, in which nothing waits,
 * takes five, and three more to publish it: with what a run begins with, ten of them fit into its share.
 */
export const SEALING_ASSIGN_QUERIES = 8;
/** Leaves that one statement reads: those of a chunk, and those before them in their tile. */
export const SEALING_PAGE_LEAVES = SEALING_CHUNK_ROWS + 256;
/** Statements that publish at the most: two pages of leaves, two of the checkpoint, and one that forgets old checkpoints. */
export const SEALING_PUBLISH_QUERIES = 5;
/** What a store in D1 adds to that, beside its files: three partial tiles that are read, and the file of the checkpoint. */
export const SEALING_D1_STORE_QUERIES = 5;
/** How long a checkpoint stays in D1 beside the tiles, for those who look at the last days. */
export const CHECKPOINTS_KEPT_MS = 7 * 24 * 60 * 60 * 1000;
/** Old checkpoints that a run forgets: more than a minute brings. */
export const CHECKPOINTS_PRUNED_AT_ONCE = 20;
/** How old an event may become before `/readyz` says that sealing waits: two runs of the cron beyond what a sealing takes at the most. */
export const UNSEALED_DEGRADED_AFTER_MS = 10 * 60 * 1000;

/** Witnesses and URLs together. A Worker has six connections open at once, and all of them are asked at the same time. */
export const ANCHORS_MAX_COUNT = 6;
/** A witness looks at one signature and one proof, and answers in milliseconds. Two such answers are within what ends a job of the cron. */
export const ANCHOR_TIMEOUT_MS = 5_000;
/** A cosignature line has 150 bytes and a name of at most 255. A witness may answer with those of several keys. */
export const ANCHOR_ANSWER_MAX_BYTES = 16 * 1024;
/** How often the newest checkpoint goes to a witness again: by its time an auditor sees how fresh the log is, on a day without events too. */
export const ANCHOR_AGAIN_AFTER_MS = 60 * 60 * 1000;
/** The longest pause of a place that fails. A witness that is back is heard within the hour. */
export const ANCHOR_PAUSE_MAX_MS = 60 * 60 * 1000;
/** A cosignature further from our time than this is refused: it is one of another day, or a clock is wrong beyond use. */
export const COSIGNATURE_MAX_SKEW_MS = 24 * 60 * 60 * 1000;
/** The files of a proof, each of which may be a query to D1: three of each level of tiles, of which 2^32 facts make four. */
export const PROOF_MAX_QUERIES = 12;
/** What sending takes beside proofs and one statement for each place: two that read, one that looks again, and one for the checkpoint. */
export const ANCHORS_BASE_QUERIES = 4;
/** After this no proof is begun. Sending has a time of its own, since sealing may use up all of its own with a backlog. */
export const ANCHORS_RUN_MS = 10_000;
/** How long a call to R2 may take: it answers within some 100 ms, and the sealing of a minute has a few dozen calls to make. */
export const R2_TIMEOUT_MS = 5_000;
/** Calls to R2 at a time: a Worker may have six connections open (Workers: simultaneous open connections). */
export const OBJECTS_AT_ONCE = 6;
/** Characters of files that D1 binds as one value, which may have 2 MB. A bundle of the largest entries takes 900,000. */
export const OBJECTS_TEXT_MAX_CHARS = 1_500_000;
/** Such values that one statement takes: the files of a chunk of usual entries come to four. Statements are what a run of the cron has few of. */
export const OBJECTS_TEXTS_AT_ONCE = 4;
