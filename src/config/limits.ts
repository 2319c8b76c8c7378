/**
 * Every limit of the service, with its unit in its name and its reason beside it. Parts of it are in the `*-limits.ts` beside it.
 */

import { ORDERS_REQUEST_RUN_MS, ORDERS_RUN_MS } from './webhook-limits.ts';

// ── Time ────────────────────────────────────────────────────────────────────────────────────────────────────────────
// Workers grant 30 s after the caller is gone: 4 (trip 1) + 10 (PipeOps) + 5 (trip 2) + 5 + 5 (compensation).

/** One D1 call. A healthy one takes milliseconds; past this it counts as "fate unknown". */
export const D1_TIMEOUT_MS = 4_000;
/** All PipeOps calls of one request together. */
export const UPSTREAM_TIMEOUT_MS = 10_000;
/** Recording the outcome, repeats included. */
export const SETTLE_TIMEOUT_MS = 5_000;
/** One try to record the outcome. Two fit into SETTLE_TIMEOUT_MS, so one lost answer does not cost a token. */
export const SETTLE_ATTEMPT_TIMEOUT_MS = 2_000;
/** Tries to record an outcome. An error that comes at once is worth two more; others would only lengthen an outage. */
export const SETTLE_MAX_ATTEMPTS = 3;
export const SETTLE_BACKOFF_MS = 200;
/** Revoking a token whose secret must not leave. Recording that takes at most another SETTLE_TIMEOUT_MS. */
export const COMPENSATION_TIMEOUT_MS = 5_000;
/** The age at which an open attempt is looked into. No request lives as long as the least value that is allowed. */
export const RECONCILE_AFTER_DEFAULT_SECONDS = 120;
export const RECONCILE_AFTER_MIN_SECONDS = 45;
/** A create that took longer is not delivered, so that with its trip 2 it ends before RECONCILE_AFTER_MIN_SECONDS. */
export const REQUEST_LIFETIME_MS = 30_000;
/** After this an attempt that PipeOps cannot explain is closed as unknown and left to a person. */
export const RECONCILE_GIVE_UP_SECONDS = 24 * 60 * 60;
/** A run begins nothing after this. What it began ends 20 s later (10 + 5 + 5), before its lease does. */
export const RECONCILE_RUN_MS = 30_000;
export const RECONCILE_LEASE_MS = 60_000;
/** Two proofs that a token is gone are begun this far apart: a replica that lags by more has other troubles. */
export const ABSENCE_GAP_MS = 60_000;
/** The first of them is begun this long after the token's create was settled: until then a list may be older than the token. */
export const ABSENCE_AFTER_SETTLED_MS = 60_000;
/** How far PipeOps' clock may be behind ours. A token that is older than an attempt by more was made by another. */
export const CREATED_SLACK_MS = 60_000;
/** An alive token contradicts an acknowledged revoke this long after it: until then PipeOps may lag. */
export const CONTRADICTION_AFTER_MS = 60_000;
/** A list that lacks at least so many of the tokens that should be there, and more than half of them, proves nothing. */
export const ABSENCE_MASS_MIN_TOKENS = 3;
/** Tokens whose drift one list writes down, of each kind, each with a row in the trail: one batch. The next list brings more. */
export const DRIFT_BATCH_TOKENS = 100;
/** Tokens whose drift one list writes down without a row in the trail: a workspace may lose thousands of expired tokens at once. */
export const DRIFT_SILENT_BATCH_TOKENS = 1_000;
/** Ids that are asked for one by one after a list that proves nothing. Each is one of PipeOps' 100 calls a minute. */
export const ABSENCE_ASK_ALONE_MAX_TOKENS = 5;
/** Undelivered tokens that one list makes us revoke. Each takes one of the 100 calls a minute, and the next list brings more. */
export const UNDELIVERED_BATCH_TOKENS = 5;
/** A row that can still change ends an ascending page while it is younger than this. One that is settled later is announced. */
export const AUDIT_UNFINISHED_MS = 5 * 60 * 1000;
/** A settlement that is stamped just before that may be committed just after it. Better to announce it twice than never. */
export const AUDIT_ANNOUNCE_AFTER_MS = AUDIT_UNFINISHED_MS - 10_000;
/** The longest pause between two looks at one attempt. */
export const RECONCILE_BACKOFF_MAX_MS = 60 * 60 * 1000;
/** Attempts that one run of the cron looks into. Each may cost two of PipeOps' 100 calls a minute. */
export const RECONCILE_BATCH_ROWS = 20;
/** D1 queries of one such attempt: a list, what it shows, and a settlement, which is repeated twice while D1 fails. */
export const RECONCILE_STEP_MAX_QUERIES = 60;

// ── Requests ────────────────────────────────────────────────────────────────────────────────────────────────────────

/** The largest create is under 2 KB; this leaves room for whitespace. */
export const REQUEST_BODY_MAX_BYTES = 16 * 1024;
/** A create nests two levels; the rest is room for fields to come. */
export const REQUEST_JSON_MAX_DEPTH = 8;
/** Unknown fields and parameters that an answer names. A body full of them must not come back many times as large. */
export const UNKNOWN_NAMES_MAX_COUNT = 16;
/** Twice the longest name that is known. */
export const UNKNOWN_NAME_MAX_CHARS = 40;
/** These caps on stored text keep a row of the trail, with its ids, times and keys, under AUDIT_ROW_MAX_BYTES. */
export const TOKEN_NAME_MAX_BYTES = 96;
export const TOKEN_DESCRIPTION_MAX_BYTES = 512;
export const TOKEN_ID_MAX_CHARS = 128;
export const SCOPES_MAX_COUNT = 16;
export const SCOPE_MAX_CHARS = 32;
/** PipeOps' own presets have at most eight. */
export const PRESET_MAX_CHARS = 40;
/** A caller that asks for now + `maxTtl` by its own clock means `maxTtl`. Up to this much beyond it is cut and not refused. */
export const EXPIRY_TOLERANCE_SECONDS = 60;
/** Ten years: no service account token has a reason to outlive it, and it keeps dates far from overflow. */
export const TOKEN_TTL_MAX_SECONDS = 10 * 365 * 24 * 60 * 60;
/** What `npm run doctor` accepts in a policy: a year later nobody remembers who needs the token. */
export const LIFETIME_ADVISED_MAX_SECONDS = 365 * 24 * 60 * 60;

/** Scopes, workspaces or presets of a role that a refusal names. `whoami` shows all of them. */
export const SHORTFALL_NAMES_MAX_COUNT = 8;
/**
 * Live tokens that one owner may hold under a role that sets no limit, and the most that a role may allow. A list of the latter is
 * some 4 MB, which an isolate can read. Longer lists fail (UPSTREAM_BODY_MAX_BYTES).
 */
export const MAX_TOKENS_DEFAULT_COUNT = 2_000;
export const MAX_TOKENS_MAX_COUNT = 10_000;
/** How often the tokens of an owner above four fifths of its limit are counted again. Each token is a row read from an index. */
export const COUNT_TOKENS_AGAIN_AFTER_MS = 10 * 60 * 1000;

/** Ten requests a second on average, in the bursts of a page load. PipeOps allows 100 a minute for everybody together. */
export const CALLER_LIMIT_REQUESTS = 100;
export const CALLER_LIMIT_PERIOD_SECONDS = 10;
/** The limiter is in the same data centre, and a request is not worth holding up for it. */
export const RATE_LIMIT_TIMEOUT_MS = 500;

// ── Idempotency ─────────────────────────────────────────────────────────────────────────────────────────────────────

/** How long a client that lost its answer may take to ask again. A sealed secret should not be stored for longer. */
export const IDEMPOTENCY_TTL_MS = 60 * 60 * 1000;
/** A UUID has 36; nobody's key needs more than this. */
export const IDEMPOTENCY_KEY_MAX_CHARS = 255;
/** As long as the hash with which everything is derived (NIST SP 800-107). */
export const IDEMPOTENCY_SECRET_MIN_BYTES = 32;
/** Keys that one run of the cron erases: far more than are claimed in a minute. */
export const IDEMPOTENCY_EXPIRY_BATCH_ROWS = 500;

// ── PipeOps ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/** The largest answer of PipeOps that a Worker reads: twice a list of 10,000 tokens, which is under 4 MB. */
export const UPSTREAM_BODY_MAX_BYTES = 8 * 1024 * 1024;
/** Pages of one list. A longer list is shown in part, and its other ids are asked for one by one. */
export const LIST_PAGES_MAX_COUNT = 20;
/** Workspaces in use that `GET /workspace` looks through. PipeOps' CLI makes a person choose from all of them. */
export const WORKSPACES_SHOWN_MAX_COUNT = 200;
/** `Retry-After` is passed on up to PipeOps' longest window. */
export const RETRY_AFTER_MAX_SECONDS = 60 * 60;
/** PipeOps' published limits, per credential: the defaults of PIPEOPS_CALLS_PER_MINUTE and PIPEOPS_CALLS_PER_HOUR. */
export const QUOTA_MINUTE_CALLS = 100;
export const QUOTA_HOUR_CALLS = 1_000;
/** Below this a share of a window rounds to nothing; above it no company calls an API by hand-made limits. */
export const QUOTA_CALLS_MIN = 10;
export const QUOTA_CALLS_MAX = 1_000_000;
/**
 * The share of a window that the calls of each purpose leave to the purposes after it. With the defaults, ten leaks a minute and a
 * hundred an hour need not wait. Half of that reserve is open to reconciliation, and reads leave as much again, or more, to changes.
 * The nightly look at the use of tokens takes from the half of a window that is left over.
 */
export const QUOTA_KEPT_SHARES = {
  minute: { watch: 0.5, read: 0.3, change: 0.1, reconciliation: 0.05, revocation: 0 },
  hour: { watch: 0.5, read: 0.2, change: 0.1, reconciliation: 0.05, revocation: 0 },
} as const;
/** A window is counted in this many buckets and one more, so that no window holds more calls than its limit, wherever it begins. */
export const QUOTA_BUCKETS_COUNT = 12;
/** Calls that a run of orders or of reconciliation reserves at once. It gives back those that it did not send when it ends. */
export const QUOTA_RUN_BLOCK_CALLS = 10;
/** A limit that PipeOps' headers tell is believed for a day, and then the setting again. */
export const QUOTA_TOLD_LIMIT_MS = 24 * 60 * 60 * 1000;
/** While PipeOps says wait for longer than this, waiting revocations try one call this often. */
export const REVOCATION_TRY_MS = 60_000;
/** How long a 403 of one workspace is believed. One call a minute finds out that it is over. */
export const FORBIDDEN_WORKSPACE_MS = 60_000;
/** Workspaces whose 403 an isolate remembers: each costs a call, and a minute of the published quota has a hundred. */
export const FORBIDDEN_WORKSPACES_MAX_COUNT = 1_000;
/** Further tries of a read: a hiccup is over in a second, and three tries of 100 calls a minute are enough for it. */
export const READ_RETRIES_MAX_COUNT = 2;
/** Further tries of a change that may be repeated: the one that a lost connection needs. Reconciliation does the rest. */
export const CHANGE_RETRIES_MAX_COUNT = 1;
/** The first pause before asking again for what a create's answer left out. It doubles: a replica has it in seconds or too late. */
export const LEFT_OUT_PAUSE_MS = 250;
/** The least pause before the first further try. It doubles, and up to twice as much is added by chance. */
export const RETRY_PAUSE_MS = 100;

// ── Snapshots ───────────────────────────────────────────────────────────────────────────────────────────────────────

/** Four lists a minute at the most for a workspace that everybody looks at, where the hour has calls for it. */
export const SNAPSHOT_MAX_AGE_DEFAULT_SECONDS = 15;
/** Beyond this a list is no news of PipeOps any more, whatever saves calls. */
export const SNAPSHOT_MAX_AGE_MAX_SECONDS = 300;
/** What `Cache-Control: no-cache` accepts: ten callers who ask for the truth at once need not ask ten times. */
export const SNAPSHOT_NO_CACHE_AGE_MS = 2_000;
/** How old a list may be at all: better than none while PipeOps is down or our calls are used up, whose longest window is over by then. */
export const SNAPSHOT_STALE_MAX_MS = 60 * 60 * 1000;
/** A workspace is in use for so long after its list was asked for. */
export const WORKSPACE_IN_USE_MS = 60 * 60 * 1000;
/** Workspaces in use that are counted: lists of more are paced to SNAPSHOT_STALE_MAX_MS by PipeOps' default limits anyway. */
export const WORKSPACES_IN_USE_MAX_COUNT = 1_000;
/** After a refusal of our own quota an isolate asks for no list for so long: its buckets of a minute are as long. */
export const SNAPSHOT_REFUSED_MS = 5_000;
/** PipeOps calls that one caller's reads may cause in a minute and isolate, pages and retries included: a tenth of the limit of all. */
export const READ_CALLS_PER_MINUTE = 10;
/** Callers whose calls are counted: more than can have made one in a minute. */
export const READ_CALLERS_MAX_COUNT = 1_000;
/** D1 takes values of 2 MB. A workspace with a longer list is held in memory alone. */
export const SNAPSHOT_STORE_MAX_BYTES = 1_500_000;
/** An isolate that asks PipeOps is waited for this long: its deadline, and the time to write down what it got. */
export const SNAPSHOT_LEASE_MS = 12_000;
/** Those who wait look again this often, and so many times; then each asks by itself. */
export const SNAPSHOT_POLL_MS = 150;
export const SNAPSHOT_POLLS_MAX_COUNT = 12;
/** Lists asked for by one read because tokens kept changing; the last one is served, since it was begun after the read was. */
export const SNAPSHOT_LISTS_MAX_COUNT = 3;
/**
 * Tokens of all lists that an isolate holds. One takes some 1.5 KB, with its text and what is sent of it: a third of an isolate's
 * 128 MB.
 */
export const SNAPSHOT_TOKENS_MAX_COUNT = 30_000;
/** What a list weighs beside its tokens, in tokens: thousands of empty workspaces are bounded too. */
export const SNAPSHOT_LIST_WEIGHT_TOKENS = 5;
/**
 * Tokens of one list, all pages together: what one answer of UPSTREAM_BODY_MAX_BYTES holds. A longer one is known in part, and one
 * that is longer than SNAPSHOT_TOKENS_MAX_COUNT is not held.
 */
export const LIST_TOKENS_MAX_COUNT = 40_000;
/** Workspaces whose lists one group of reads may bring, leave or look up: of the longest in D1, some 20 MB of answer. */
export const READ_GROUP_LISTS_MAX_COUNT = 4;
/** The same of all groups under way together: some 40 MB of an isolate's 128, beside what SNAPSHOT_TOKENS_MAX_COUNT holds. */
export const READ_LISTS_UNDER_WAY_MAX_COUNT = 8;
/**
 * A read that has waited this long behind a group is sent beside it. D1 is tens of milliseconds away: behind one batch a read would
 * wait half a trip on average and a whole one at worst. Shorter, groups are small, and D1, which runs batches one after another, is
 * the slower for all of them.
 */
export const READ_OVERTAKE_MS = 8;
/** Groups of reads under way at once: one each READ_OVERTAKE_MS, for a D1 that is some 100 ms away. */
export const READ_GROUPS_MAX_COUNT = 12;
/** Reads whose rows go to D1 together: the statement stays far below D1's limits. */
export const READ_GROUP_MAX_COUNT = 100;
/**
 * After a group of several reads the next one waits this long, or until as many have come again. Over 16 connections that is
 * 2,700 lists/s where 1,850 were without it; 1 ms is too short for their callers to come back.
 */
export const READ_GATHER_MAX_MS = 3;
/** Keys of reads that an isolate remembers for a minute: some 200 KB. */
export const READ_KEYS_MAX_COUNT = 500;
/** How long a request sends other requests' reads: with the last group it ends before Workers end it, 30 s after its answer. */
export const READ_LEAD_MAX_MS = 10_000;
/** And how many groups: with a last one that fails and is sent read by read they are within the 1,000 D1 queries of a request. */
export const READ_LEAD_MAX_GROUPS = 20;
/** A group that has not ended by then is dead, with the request that sent it: twice D1_TIMEOUT_MS would be two groups. */
export const READ_FLUSH_MAX_MS = 8_000;

// ── Webhooks ────────────────────────────────────────────────────────────────────────────────────────────────────────

export * from './webhook-limits.ts';

// ── Health ──────────────────────────────────────────────────────────────────────────────────────────────────────────

export * from './health-limits.ts';

// ── The cron ────────────────────────────────────────────────────────────────────────────────────────────────────────
// Workers allow 1,000 D1 queries a run. The shares of its jobs and their leases come to less than 900.

/** How many D1 queries each job of one run may make, and after how long it begins nothing more. */
export const CRON_SHARES = {
  /** Some eighty orders that are sent, or thousands that lists decide. A look may still begin 5 s after the last order. */
  orders: { d1Queries: 431, ms: ORDERS_RUN_MS + COMPENSATION_TIMEOUT_MS },
  /** RECONCILE_BATCH_ROWS settlements, and a list of a workspace or two. */
  attempts: { d1Queries: 220, ms: RECONCILE_RUN_MS },
  /** Ten batches of SEALING_CHUNK_ROWS facts of a backlog, their tiles and checkpoints, a witness and a URL. Orders gave it the queries. */
  sealing: { d1Queries: 105, ms: 25_000 },
  /** A look at what calls came to, a call of its own for which a call is reserved, and what came of that. */
  probe: { d1Queries: 20, ms: UPSTREAM_TIMEOUT_MS },
  /** A link that D1 lacked, a look, a claim, and a settlement that D1 takes at the third try. */
  credential: { d1Queries: 25, ms: 10_000 },
  /** Erasing takes a few statements. */
  sweeps: { d1Queries: 25, ms: 10_000 },
  /** Notices of expiry, and one workspace's list: see AGING_SWEEP_MAX_QUERIES. Orders gave it the queries: what they leave waits a minute. */
  aging: { d1Queries: 60, ms: UPSTREAM_TIMEOUT_MS + 5_000 },
} as const;
/** What a job has begun ends within this: PipeOps' 10 s, a settlement's 5 s, and the batch that ends the run. */
export const CRON_JOB_TAIL_MS = 20_000;
/** The share of the run that a delivery begins, beside the queries of its acceptance. */
export const ORDERS_REQUEST_SHARE = { d1Queries: 800, ms: ORDERS_REQUEST_RUN_MS + COMPENSATION_TIMEOUT_MS } as const;

// ── The trail ───────────────────────────────────────────────────────────────────────────────────────────────────────

/** Keeps 10 GB of D1 at five million rows or more. A trigger enforces it. */
export const AUDIT_ROW_MAX_BYTES = 2_048;
export const ACTOR_ISSUER_MAX_BYTES = 128;
export const ACTOR_SUBJECT_MAX_BYTES = 128;
export const ACTOR_LABEL_MAX_BYTES = 96;
export const USER_AGENT_MAX_BYTES = 128;
/** What a settlement may add to `detail`. */
export const OUTCOME_DETAIL_MAX_BYTES = 240;
export const AUDIT_PAGE_DEFAULT_ROWS = 50;
export const AUDIT_PAGE_MAX_ROWS = 200;
/** Rows of one export, some 60 MB; the next export goes on from there. An export that is cut loses minutes and not hours. */
export const AUDIT_EXPORT_MAX_ROWS = 100_000;
/** Rows of a page of an export. Two pages are in memory, with at most 2 KB a row. */
export const AUDIT_EXPORT_PAGE_ROWS = 500;
/**
 * Pages of one export. Workers allow 1,000 queries a request, and an export in CSV is read twice. Where a filter has no index, more than
 * the 200 pages of a full export are read.
 */
export const AUDIT_EXPORT_MAX_PAGES = 450;
/** Rows that one page looks at where filters have no index. D1 reads twice that, within 5,000, to say where it stopped. */
export const AUDIT_SCAN_MAX_ROWS = 2_300;
/** A follower's cursor moves over this many rows that are not shown to it, not over fewer: see `src/trail/query/follow.ts`. */
export const AUDIT_REREAD_MAX_ROWS = 200;
/**
 * How many events each size of span holds whose earliest and latest times `drizzle/0005_time_spans.sql` writes. Each is eight of the size
 * before it. A page may read the smallest in vain at either end of its times. All of them together cost one written row for
 * fourteen events. Eight of the largest would be more events than D1's 10 GB hold.
 */
export const AUDIT_SPAN_SIZES = [16, 128, 1_024, 8_192, 65_536, 524_288, 4_194_304, 33_554_432] as const;
/** Spans that a search for times looks into: one of each size, and some that turn out not to hold such a time. */
export const AUDIT_SPANS_MAX_COUNT = 12;
/** How much later a read of a minute's last moment may be counted: D1_TIMEOUT_MS, and clocks that differ. */
export const AUDIT_COUNTING_SLACK_MS = 5_000;

/** Denials of a caller that a minute of the clock records in full, which show what it tries. Those beyond are counted by code. */
export const CALLER_DENIALS_MAX_ROWS = 10;
/**
 * Rows of a caller within a minute of the clock that cost PipeOps nothing: denials in full, repeats of an idempotency key, exports.
 * Attempts under way count too, since they may become such rows. It is more than the calls that PipeOps takes in a minute.
 */
export const CALLER_IDLE_MAX_ROWS = 120;
/** Different reads of a caller within a minute of the clock: a dashboard of sixty tokens. Those beyond are counted by action. */
export const CALLER_READS_MAX_ROWS = 60;
/**
 * Rows that a caller can add to the trail within a minute of the clock, whatever it does: the two limits above, 100 for calls that PipeOps
 * answers, and at most 70 that count what is beyond, one for each action and outcome. No code asks for it; a test measures it.
 */
export const CALLER_ROWS_MAX_COUNT = CALLER_IDLE_MAX_ROWS + CALLER_READS_MAX_ROWS + QUOTA_MINUTE_CALLS + 70;
/** Events among which those of this minute are looked for. D1 takes fewer than 32,768 in a minute, whose spans are 256. */
export const CALLER_ROWS_AMONG_EVENTS = 32_768;

/** Rows a minute of an address that is rejected. One shows that it is; more would let it fill the database. */
export const REJECTIONS_PER_ADDRESS_ROWS = 1;
/** Rows a minute of all strangers, who have many addresses: 86,400 a day, or 40 MB. */
export const REJECTIONS_IN_ALL_ROWS = 60;
export const REJECTIONS_PERIOD_SECONDS = 60;

// ── Identity ────────────────────────────────────────────────────────────────────────────────────────────────────────

/** The length of a JWT with some hundreds of groups, as directories issue them. Cloudflare passes 128 KB of headers. */
export const JWT_MAX_BYTES = 24 * 1024;
/** How much the clocks of issuer and edge may differ where an issuer says nothing else. Real ones are seconds apart. */
export const CLOCK_TOLERANCE_DEFAULT_SECONDS = 30;
/** The most that an issuer may grant (RFC 7519 §4.1.4: "usually no more than a few minutes"). An expired JWT lives longer by it. */
export const CLOCK_TOLERANCE_MAX_SECONDS = 5 * 60;
/** The age by `iat` that is accepted where an issuer sets no `maxAge`. */
export const JWT_MAX_AGE_DEFAULT_SECONDS = 24 * 60 * 60;
/** Verified JWTs that an isolate remembers: more callers than it has at once. */
export const VERIFIED_JWTS_MAX_COUNT = 1_000;
/** The bytes of all of them together: a thousand of 4 KB. Their claims take as much again of an isolate's 128 MB. */
export const VERIFIED_JWTS_MAX_BYTES = 4 * 1024 * 1024;
/** How long reads of an isolate do not note a label again that it has noted. Other isolates may note another label meanwhile. */
export const LABEL_NOTE_MS = 10 * 60 * 1000;
/** Callers whose labels an isolate remembers: as many as JWTs. */
export const LABEL_NOTES_MAX_COUNT = 1_000;
export const JWKS_TIMEOUT_MS = 5_000;
export const JWKS_MAX_BYTES = 64 * 1024;
/** How often keys are read again. A key that its issuer withdraws is refused within ten minutes. */
export const JWKS_MAX_AGE_MS = 10 * 60 * 1000;
/** The least time between two reads of an issuer's keys, failed ones too. Random `kid`s must not make us hammer an issuer. */
export const JWKS_COOLDOWN_MS = 60 * 1000;
/** How long the last good key set stands in for an issuer that cannot be reached. */
export const JWKS_STALE_MAX_MS = 24 * 60 * 60 * 1000;
/** How often an unchanged key set is written to D1. Each write costs a row, and a stored set is good for a day. */
export const JWKS_STORE_INTERVAL_MS = 60 * 60 * 1000;
