/** The limits of the renewal of the admin credential. */

/** The part of its life after which a credential is renewed. The fifth that is left is the time in which a person can act. */
export const CREDENTIAL_RENEW_AT_SHARE = 0.8;
/** The one call that exchanges the refresh token. PipeOps' answer to it must not be given up early: it cannot be asked for again. */
export const CREDENTIAL_EXCHANGE_TIMEOUT_MS = 10_000;
/** Whether the token endpoint answers at all. It is asked before the refresh token is put at stake. */
export const CREDENTIAL_PROBE_TIMEOUT_MS = 3_000;
/**
 * How long an exchange may be under way: D1_TIMEOUT_MS for its claim, CREDENTIAL_EXCHANGE_TIMEOUT_MS, SETTLE_TIMEOUT_MS for what came
 * of it, and as much again for clocks that differ. After that nobody will record an outcome any more.
 */
export const CREDENTIAL_LEASE_MS = 60_000;
/** The least time between two exchanges, over all isolates. */
export const CREDENTIAL_PAUSE_MS = 5 * 60_000;
/** So long after a renewal was due, two tries at it have failed, or the cron does not run. */
export const CREDENTIAL_LATE_MS = 2 * CREDENTIAL_PAUSE_MS;
/** How far PipeOps' clock may be behind ours when an access token ends. */
export const CREDENTIAL_END_SLACK_MS = 60_000;
/** How often an isolate looks in D1 for the successor of a credential that has passed CREDENTIAL_RENEW_AT_SHARE of its life. */
export const CREDENTIAL_LOOK_MS = 60_000;
/** How often it looks because PipeOps refuses the credential: each refused request would look otherwise. */
export const CREDENTIAL_REFUSED_LOOK_MS = 5_000;
/** A look or a renewal of another request that has not ended by then is dead, with that request. */
export const CREDENTIAL_RUN_MAX_MS = 30_000;
/** The longest access or refresh token that is stored. Cloudflare sends 128 KB of headers, and PipeOps' JWTs have some 1 KB. */
export const CREDENTIAL_TOKEN_MAX_CHARS = 16 * 1024;
/** A shorter refresh token could be guessed from its digest in D1. */
export const REFRESH_TOKEN_MIN_CHARS = 16;
/** As long as the keys of AES-256, under which tokens are sealed. */
export const CREDENTIAL_SEAL_KEY_MIN_BYTES = 32;
