/** The limits of webhooks and of the orders that they lead to, as a part of `limits.ts`. */

/** The largest body of a delivery. A thousand leaks with their places are some 400 KB. */
export const WEBHOOK_BODY_MAX_BYTES = 1024 * 1024;
/**
 * Tokens of one delivery, whose rows are written in one batch. Leaks beyond are counted; an order for more is refused as a
 * whole.
 */
export const WEBHOOK_TOKENS_MAX_COUNT = 1_000;
/** Characters of the tokens of a delivery in one bound value: D1 takes 2 MB, and a character may have three bytes. */
export const WEBHOOK_ITEMS_JSON_MAX_CHARS = 600_000;
/** Fields that an answer complains about: a thousand tokens must not come back as a thousand complaints. */
export const WEBHOOK_PROBLEMS_MAX_COUNT = 16;
/** Standard Webhooks, "Replay attacks" and "Signature scheme". The tolerance is that of its package. */
export const STANDARD_WEBHOOKS_TOLERANCE_SECONDS = 5 * 60;
export const STANDARD_WEBHOOKS_SECRET_MIN_BYTES = 24;
export const STANDARD_WEBHOOKS_SECRET_MAX_BYTES = 64;
/** Where a protocol has no ids, a body that comes again within this time is the same delivery. */
export const WEBHOOK_SAME_BODY_MS = 24 * 60 * 60 * 1000;
/** The bytes that are kept of a sender's id, and of the place of a leak: enough to find it again. */
export const WEBHOOK_SENDER_ID_MAX_BYTES = 128;
export const WEBHOOK_LOCATION_MAX_BYTES = 512;
/** The bytes that are recorded of the name of an unknown event. */
export const WEBHOOK_EVENT_NAME_MAX_BYTES = 64;
/** Deliveries of a source that are signed, refused and kept within a minute of the clock; those beyond are counted in one row. */
export const WEBHOOK_REFUSED_MAX_ROWS = 10;
/** Deliveries of a source that are kept within a minute of the clock though their event is not allowed or not known. */
export const WEBHOOK_IGNORED_MAX_ROWS = 10;
/** The body of a revocation by a caller: a thousand ids of 128 characters, each on a line of its own. */
export const REVOCATION_BODY_MAX_BYTES = 192 * 1024;
/** What is kept of why a caller orders a revocation, as JSON writes it. With a subject beside it, its row in the trail has room for as much. */
export const REVOCATION_REASON_MAX_BYTES = 500;
/** Owners that the receipt of one delivery names in a list: a page of 200 receipts stays within 2 MB. */
export const WEBHOOK_OWNERS_MAX_COUNT = 100;
/** Tokens whose prefix fits an unmatched leak. A person looks at them, and eleven characters hardly fit two. */
export const LEAK_CANDIDATES_MAX_COUNT = 10;
/** The length of a token's prefix. PipeOps shows eleven characters; sixteen count as a secret and are kept nowhere. */
export const TOKEN_PREFIX_MIN_CHARS = 8;
export const TOKEN_PREFIX_MAX_CHARS = 15;
/** An HMAC key is as long as the hash (NIST SP 800-107). */
export const FINGERPRINT_KEY_MIN_BYTES = 32;

/** A run begins nothing after this. What it began ends 15 s later (10 + 5), before its lease does. */
export const ORDERS_RUN_MS = 30_000;
/** The run that a delivery begins starts nothing after this. Workers end it 30 s after the 202, and what it began takes 15 s. */
export const ORDERS_REQUEST_RUN_MS = 10_000;
export const ORDERS_LEASE_MS = 60_000;
/** Orders of one delivery that one batch makes. The driver makes the rest. */
export const ORDERS_MAKE_BATCH_ROWS = 500;
/**
 * The pauses before the looks at an acknowledged order: none, a minute, an hour, an hour and a half, and a day. If PipeOps was wrong
 * for an hour, and at the look of that hour too, the next look finds it out.
 */
export const CONFIRM_PAUSES_MS = [0, 60_000, 60 * 60_000, 90 * 60_000, 24 * 60 * 60_000] as const;
/** How long after a concurrent update of its token was settled a look may begin that confirms an order. */
export const CONFIRM_AFTER_UPDATE_MS = 30_000;
/**
 * Unknown workspaces that PipeOps is asked about within a minute, whoever names them, with calls that are not kept for revocation. They
 * take a tenth of an hour's calls even if a sender makes up a thousand.
 */
export const UNKNOWN_WORKSPACES_MAX_COUNT = 2;
export const UNKNOWN_WORKSPACES_TURN_MS = 60_000;
/** Ids that neither the inventory nor a list knows and that a run asks for one by one. Each is a call, and may be made up. */
export const UNKNOWN_IDS_MAX_COUNT = 10;
/** Orders that one run sends: PipeOps' limit of a minute. */
export const ORDERS_BATCH_ROWS = 100;
/** Orders of one lease that a list decides, expired ones and those that are confirmed. Each costs rows of D1 and no call. */
export const ORDERS_BULK_ROWS = 500;
/** Batches of orders that one run makes: ten thousand orders, and a sixth of its D1 queries. */
export const ORDERS_MAKE_BATCHES_MAX_COUNT = 20;
/** D1 queries of one such batch: the orders, their rows in the trail, and the end of the making. */
export const ORDERS_MAKE_MAX_QUERIES = 10;
/** D1 queries of one order that is sent. Its settlement is at most ten of them, and is repeated twice while D1 fails. */
export const ORDER_SEND_MAX_QUERIES = 30;
/** D1 queries of one list: some twenty for the inventory, and as many for the orders that it decides. */
export const ORDER_LOOK_MAX_QUERIES = 50;
/** The first pause after a try that failed. It doubles up to an hour, and a part of it is left to chance. */
export const ORDERS_BACKOFF_FIRST_MS = 5_000;
export const ORDERS_BACKOFF_MAX_MS = 60 * 60 * 1000;
/**
 * An order is given up after three days, so that an outage over a long weekend leaves no leaked token alive. Then a person must
 * look.
 */
export const ORDERS_GIVE_UP_MS = 72 * 60 * 60 * 1000;
/** How long we wait where PipeOps says wait and not how long: its shorter window. */
export const UPSTREAM_WAIT_DEFAULT_MS = 60_000;
export const DELIVERIES_PAGE_DEFAULT_ROWS = 50;
export const DELIVERIES_PAGE_MAX_ROWS = 200;
