/** The limits of browser sessions and of signing in. */

/** The longest life of a session: a working day. An issuer's `maxAge` may make it shorter. */
export const SESSION_MAX_MS = 8 * 60 * 60_000;
/** A session ends if it is not used for so long. */
export const SESSION_IDLE_MS = 30 * 60_000;
/** A session's MAC names the minute in which it was last used, so a row that is rolled back gains nothing beyond SESSION_IDLE_MS. */
export const SESSION_SLOT_MS = 60_000;
/** How often the use of a session is written down at most, by each isolate. */
export const SESSION_TOUCH_MS = 5 * 60_000;
/** A browser keeps 4,096 bytes of a cookie with its name and its attributes (RFC 6265 §6.1). They take some 120. */
export const SESSION_COOKIE_MAX_BYTES = 3_900;
/** Opened cookies that an isolate remembers: more people than it has at once, with some 8 KB for each. */
export const SESSIONS_KNOWN_MAX_COUNT = 500;
/** As long as the keys of AES-256 and of HMAC with SHA-256, which are derived from it. */
export const SESSION_SECRET_MIN_BYTES = 32;
/** Sessions whose end one run of the cron records. A company signs in once a day. */
export const SESSIONS_SWEPT_MAX_ROWS = 200;
/** How long the row of a session is kept after its end was recorded. It is longer than SIGN_IN_MAX_MS, so that no sign-in is used twice. */
export const SESSION_KEPT_MS = 60 * 60_000;

/** How long a person may take at the provider. */
export const SIGN_IN_MAX_MS = 10 * 60_000;
/** The length of a `return_to`: it is sealed into the cookie of the sign-in. */
export const RETURN_TO_MAX_CHARS = 1_500;
/** How long the token endpoint of a provider may take. A person waits for it. */
export const TOKEN_ENDPOINT_TIMEOUT_MS = 8_000;
/** The size of its answer: an ID token with hundreds of groups, and two more tokens. */
export const TOKEN_ENDPOINT_MAX_BYTES = 96 * 1024;
/** How old the metadata of a provider may be. They change once in years. */
export const PROVIDER_MAX_AGE_MS = 10 * 60_000;
/** How long a provider is left alone after its metadata could not be read, so that sign-ins do not hammer it. */
export const PROVIDER_COOLDOWN_MS = 10_000;
/** How long metadata stand in for a provider whose discovery document cannot be read. */
export const PROVIDER_STALE_MAX_MS = 24 * 60 * 60_000;
