/** The limits of webhooks and of the orders that they lead to: the part of limits.ts that its length has moved here. */

/** A thousand leaks with their places are some 400 KB. */
export const WEBHOOK_BODY_MAX_BYTES = 1024 * 1024;
/** Their rows are written in one batch. Leaks beyond it are counted; an order for more is refused as a whole. */
export const WEBHOOK_TOKENS_MAX_COUNT = 1_000;
/** Characters of the tokens of a delivery in one bound value: D1 takes 2 MB, and a character may have three bytes. */
export const WEBHOOK_ITEMS_JSON_MAX_CHARS = 600_000;
/** Fields that an answer complains about: a thousand tokens must not come back as a thousand complaints. */
export const WEBHOOK_PROBLEMS_MAX_COUNT = 16;
/** Standard Webhooks, "Replay attacks" and "Signature scheme": the tolerance is that of its package. */
export const STANDARD_WEBHOOKS_TOLERANCE_SECONDS = 5 * 60;
export const STANDARD_WEBHOOKS_SECRET_MIN_BYTES = 24;
export const STANDARD_WEBHOOKS_SECRET_MAX_BYTES = 64;
/** Where a protocol has no id of its own: the same body within this time is the same delivery. */
export const WEBHOOK_SAME_BODY_MS = 24 * 60 * 60 * 1000;
/** Of the id that a sender gave its delivery, and of the place of a leak: enough to find it again. */
export const WEBHOOK_SENDER_ID_MAX_BYTES = 128;
export const WEBHOOK_LOCATION_MAX_BYTES = 512;
/** An event of a name that is not known is recorded by that much of it. */
export const WEBHOOK_EVENT_NAME_MAX_BYTES = 64;
/** Deliveries of a source that are signed, refused and kept within a minute of the clock; those beyond are counted in one row. */
export const WEBHOOK_REFUSED_MAX_ROWS = 10;
/** The same of those that lead to nothing, since their event is not allowed or not known. */
export const WEBHOOK_IGNORED_MAX_ROWS = 10;
/** Owners that the receipt of one delivery names in a list: a page of 200 receipts stays within 2 MB. */
export const WEBHOOK_OWNERS_MAX_COUNT = 100;
/** Tokens whose prefix fits an unmatched leak: a person looks at them, and eleven characters fit hardly two. */
export const LEAK_CANDIDATES_MAX_COUNT = 10;
/** PipeOps shows eleven characters of a secret; from sixteen on it counts as one and is kept nowhere. */
export const TOKEN_PREFIX_MIN_CHARS = 8;
export const TOKEN_PREFIX_MAX_CHARS = 15;
/** NIST SP 800-107: an HMAC key as long as the hash. */
export const FINGERPRINT_KEY_MIN_BYTES = 32;

/** A run begins nothing after this, and what it began ends 15 s later (10 + 5): before its lease does. */
export const ORDERS_RUN_MS = 30_000;
/** The same of the run that a delivery begins: Workers end it 30 s after the 202, and what it began takes 15 s. */
export const ORDERS_REQUEST_RUN_MS = 10_000;
export const ORDERS_LEASE_MS = 60_000;
/** Orders of one delivery that are made by one batch: the rest is made by the driver. */
export const ORDERS_MAKE_BATCH_ROWS = 500;
/**
 * When an order is looked at after it was acknowledged: at once, after a minute, an hour, an hour and a half, and a day. A PipeOps
 * that was wrong for an hour, the look of that hour included, is found out by the next one.
 */
export const CONFIRM_PAUSES_MS = [0, 60_000, 60 * 60_000, 90 * 60_000, 24 * 60 * 60_000] as const;
/** A look that confirms an order is begun so long after an update of its token was settled that was under way beside it. */
export const CONFIRM_AFTER_UPDATE_MS = 30_000;
/**
 * Workspaces of which nothing is known here that are asked about within a minute, whoever names them, and from what is not kept for
 * revocation: a tenth of an hour's calls, though a sender makes up a thousand.
 */
export const UNKNOWN_WORKSPACES_MAX_COUNT = 2;
export const UNKNOWN_WORKSPACES_TURN_MS = 60_000;
/** Ids that neither the inventory nor a list knows, and that a run asks for by themselves: each is a call, and may be made up. */
export const UNKNOWN_IDS_MAX_COUNT = 10;
/** Orders that one run sends: PipeOps' limit of a minute. */
export const ORDERS_BATCH_ROWS = 100;
/** Orders of one claim that a list speaks of, expired ones and those that are looked at: each costs rows of D1 and no call. */
export const ORDERS_BULK_ROWS = 500;
/** Batches of orders that one run makes: ten thousand orders, and a sixth of its D1 queries. */
export const ORDERS_MAKE_BATCHES_MAX_COUNT = 20;
/** D1 queries of one such batch: the orders, their rows in the trail, and the end of the making. */
export const ORDERS_MAKE_MAX_QUERIES = 10;
/** D1 queries of one order that is sent: its settlement is ten of them at the most, and is repeated twice while D1 fails. */
export const ORDER_SEND_MAX_QUERIES = 30;
/** D1 queries of one list: some twenty for what it says of the inventory, and as many for the orders that it speaks of. */
export const ORDER_LOOK_MAX_QUERIES = 50;
/** First pause after a try that failed; it doubles, up to an hour, and a part of it is left to chance. */
export const ORDERS_BACKOFF_FIRST_MS = 5_000;
export const ORDERS_BACKOFF_MAX_MS = 60 * 60 * 1000;
/** Three days: an outage over a long weekend does not leave a leaked token alive. Then a person must look. */
export const ORDERS_GIVE_UP_MS = 72 * 60 * 60 * 1000;
/** Where PipeOps says wait and not how long: its shorter window. */
export const UPSTREAM_WAIT_DEFAULT_MS = 60_000;
export const DELIVERIES_PAGE_DEFAULT_ROWS = 50;
export const DELIVERIES_PAGE_MAX_ROWS = 200;
