import { SECONDS_PER_DAY } from '../kit/time.ts';

/** The limits of how tokens age, as a part of `limits.ts`: rotation, expiry and use. */

/** How long a rotated token lives on beside its successor where a role sets no limit: a weekly deployment has taken the new one by then. */
export const MAX_OVERLAP_DEFAULT_SECONDS = 7 * SECONDS_PER_DAY;
/** The most that a role may allow. A token that lives on for longer was not rotated. */
export const MAX_OVERLAP_MAX_SECONDS = 30 * SECONDS_PER_DAY;
/** The overlap of a rotation that names none: every daily job has taken the new token by then. */
export const OVERLAP_DEFAULT_SECONDS = SECONDS_PER_DAY;

/**
 * Scheduled orders that begin in one run: as many as it sends. Each has an open row in the trail from then on, so more of them would
 * only count as unsettled while they wait for PipeOps.
 */
export const ORDERS_BEGIN_MAX_ROWS = 100;

/** The thresholds at which a token's expiry is told. Each is told only of a token whose whole life is more than twice as long. */
export const EXPIRY_NOTICE_DAYS = [30, 7, 1] as const;

/** When a token counts as unused where a role does not say: a quarter of a year has seen every monthly job. */
export const UNUSED_AFTER_DEFAULT_SECONDS = 90 * SECONDS_PER_DAY;

/**
 * For how long a time of use that moved on shows that PipeOps fills in times of use in a workspace. After a week without any, a PipeOps
 * that has stopped looks like tokens that nobody uses.
 */
export const USAGE_ADVANCED_WITHIN_SECONDS = 7 * SECONDS_PER_DAY;
/** A token that was never used counts as such after a week: a weekly deployment has run by then. */
export const NEVER_USED_AFTER_SECONDS = 7 * SECONDS_PER_DAY;
/** Of how many times its `maxTokens` a rotation may be one: each token has at most one successor beside it while it lives on. */
export const MAX_TOKENS_ROTATED_FACTOR = 2;

/** By how much a time of use must have moved on for a list to write it down: a token that is used all the time costs a row an hour. */
export const USE_ADVANCE_STEP_MS = 60 * 60 * 1000;
/** Tokens whose times of use one statement writes: some 200 KB of JSON. A list writes one of them, and a nightly look several. */
export const USE_LIST_BATCH_TOKENS = 1_000;
/** Nightly looks that must have told one value, and over how long at least. Two at once may come from one replica that lags. */
export const USE_SWEEPS_LEAST_COUNT = 3;
export const USE_UNCHANGED_LEAST_MS = 72 * 60 * 60 * 1000;
/** How often a nightly look writes down that a token is told of, where nothing else changes: one written row for each token a week. */
export const USE_SEEN_KEPT_MS = 6 * SECONDS_PER_DAY * 1000;

/** Tokens whose expiry one run of the cron tells: 500 rows with their ids are some 200 KB of JSON, and 300,000 take ten hours. */
export const EXPIRY_NOTICES_BATCH_ROWS = 500;
/** Expiring tokens that `/status` counts, the soonest first: so many entries of an index. */
export const STATUS_EXPIRING_MAX_COUNT = 10_000;

/** The least time between two nightly looks at a workspace. One that came late in the evening is not followed by another at midnight. */
export const SWEEP_LEAST_PAUSE_MS = 12 * 60 * 60 * 1000;
/**
 * One workspace is tried a minute, each in its turn, and turns come round no faster than this: a workspace whose list fails all night
 * costs four calls of PipeOps' 1,000 an hour, and does not keep the others waiting.
 */
export const SWEEP_TURNS_LEAST_MINUTES = 15;
/** A workspace is swept once one of its tokens is so old. Of younger ones nothing is concluded. */
export const SWEEP_TOKENS_LEAST_AGE_MS = SECONDS_PER_DAY * 1000;
/** Calls that a nightly look reserves at once: most lists have one page, and what is not sent is given back. */
export const SWEEP_BLOCK_CALLS = 4;
/** Tokens whose use one nightly look writes down: as many as one owner may hold. Of more, the others have their turn the next night. */
export const SWEEP_TOKENS_MAX_COUNT = 10_000;
/**
 * D1 queries of one nightly look: 10 for twenty pages, 2 for what is known, 20 for what else the list shows, and 16 for what is kept of it
 * (10 of USE_LIST_BATCH_TOKENS, the orders, and what PipeOps told of its quota).
 */
export const AGING_SWEEP_MAX_QUERIES = 50;
/** The most tokens of a workspace that are suspended in one night: the greater of the two. An error of ours must not stop a company. */
export const UNUSED_NIGHT_LEAST_TOKENS = 5;
export const UNUSED_NIGHT_SHARE = 0.05;
