/** The limits of `/readyz`, `/api/v1/status`, and of what isolates tell each other about PipeOps. */

/** `/readyz` is open to anyone, so it asks D1 no more often than this. */
export const READY_PROBE_INTERVAL_MS = 5_000;

/** A week is enough to mint the next admin credential before this one ends. */
export const ADMIN_CREDENTIAL_WARNING_SECONDS = 7 * 24 * 60 * 60;
/** How often an isolate whose calls go on as before says so: each time is a row written. A change is told at once. */
export const OUTCOMES_TOLD_MS = 60_000;
/** An outcome that D1 says is later than this from now was noted by a clock that ran ahead, and counts for nothing. */
export const OUTCOMES_CLOCK_SLACK_MS = 60_000;
/** Workspaces whose outcomes an isolate remembers until it has told them: more than it can ask for in a minute. */
export const OUTCOME_WORKSPACES_MAX_COUNT = 200;
/**
 * Without a call for so long the cron makes one, so that an outage or a credential that has ended is seen before anybody needs
 * PipeOps. It is five minutes less a quarter, since runs of the cron are not exactly a minute apart: twelve of 1,000 calls an hour.
 */
export const UPSTREAM_PROBE_AFTER_MS = 5 * 60_000 - 15_000;
/** A 403 of one workspace that is not met again is no trouble any more: two probes of it, where nothing else asks there. */
export const FORBIDDEN_SHOWN_MS = 10 * 60_000;
/** Workspaces that `/status` names whose calls PipeOps refuses: those that were refused last. */
export const FORBIDDEN_SHOWN_MAX_COUNT = 10;
/** How long what a former credential came to is kept, for somebody who asks what happened. */
export const OUTCOMES_KEPT_MS = 30 * 24 * 60 * 60_000;

/** The size at which a database of D1 takes no more rows: that of Workers Paid. On the free plan it is 500 MB. */
export const D1_MAX_BYTES_DEFAULT = 10_000_000_000;
/** An empty database with this schema has 0.3 MB, so a smaller limit is a slip of the hand. A larger one is beyond what D1 plans. */
export const D1_MAX_BYTES_LEAST = 10_000_000;
export const D1_MAX_BYTES_MOST = 1_000_000_000_000;
/** The trail is never deleted, so from this part of the largest size on somebody has to be told. */
export const D1_SIZE_WARNING_SHARE = 0.8;

/** Workspaces that `/status` names for each state of a list: those that have been in it longest. */
export const STATUS_WORKSPACES_MAX_COUNT = 10;
/** Owners near their limit that `/status` names. For each it reads the tokens that expired since they were counted. */
export const STATUS_OWNERS_MAX_COUNT = 20;
