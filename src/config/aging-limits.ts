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
