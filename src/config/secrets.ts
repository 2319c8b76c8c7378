import { decodeJwt } from 'jose';
import * as z from 'zod';
import {
  ADMIN_CREDENTIAL_WARNING_SECONDS,
  FINGERPRINT_KEY_MIN_BYTES,
  IDEMPOTENCY_SECRET_MIN_BYTES,
  STANDARD_WEBHOOKS_SECRET_MAX_BYTES,
  STANDARD_WEBHOOKS_SECRET_MIN_BYTES,
} from './limits.ts';
import type { IssuerPolicy } from './issuers.ts';
import type { ConfigProblem } from './problems.ts';
import { SESSION_SECRET_MIN_BYTES } from './session-limits.ts';
import type { Source } from './webhooks.ts';
import { decodeBase64, decodePaddedBase64 } from '../kit/bytes.ts';
import { isObject } from '../kit/json.ts';
import { err, ok, type Result } from '../kit/result.ts';
import { DATE_MAX_SECONDS, SECONDS_PER_DAY } from '../kit/time.ts';

// What each secret of the Worker must look like. No problem ever quotes a value.

/** A session of a user. PipeOps' five token routes refuse service tokens, so one here would fail every request. */
export const adminCredential = z
  .string()
  .regex(/^[!-~]+$/, { error: 'is empty, or not one line of visible ASCII without spaces' })
  .refine((text) => !text.startsWith('sat_'), {
    error: 'is a service token (sat_…): PipeOps manages tokens only for the session of a user',
  });

/** When an admin credential of PipeOps expires by its own `exp`, in milliseconds since the epoch; null if it does not say. */
export const credentialExpiryMs = (credential: string): number | null => claimMs(credential, 'exp');

/** When an admin credential of PipeOps was issued by its own `iat`, in milliseconds since the epoch; null if it does not say. */
export const credentialIssueMs = (credential: string): number | null => claimMs(credential, 'iat');

function claimMs(credential: string, claim: 'exp' | 'iat'): number | null {
  try {
    const seconds = decodeJwt(credential)[claim];
    return typeof seconds === 'number' && Math.abs(seconds) <= DATE_MAX_SECONDS ? seconds * 1000 : null;
  } catch {
    return null;
  }
}

/**
 * The problem of an admin credential that has expired, or expires so soon that its successor should exist by now. Null: it says
 * neither of itself. PipeOps may end a session earlier.
 *
 * @param key the setting that holds the credential.
 */
export function expiryProblem(key: string, credential: string, nowMs: number): ConfigProblem | null {
  const expiresAtMs = credentialExpiryMs(credential);
  if (expiresAtMs === null || expiresAtMs > nowMs + ADMIN_CREDENTIAL_WARNING_SECONDS * 1000) return null;
  const when = new Date(expiresAtMs).toISOString();
  const days = ADMIN_CREDENTIAL_WARNING_SECONDS / SECONDS_PER_DAY;
  const problem = expiresAtMs <= nowMs ? `expired at ${when}` : `expires within ${days} days, at ${when}`;
  return { key, problem, example: FRESH_CREDENTIAL };
}

const FRESH_CREDENTIAL =
  'a fresh session JWT of a PipeOps administrator, as PIPEOPS_ADMIN_TOKEN_NEXT first: `npx wrangler secret put PIPEOPS_ADMIN_TOKEN_NEXT --config wrangler.toml --env production`';

/** A key that makes the fingerprints of secrets. Its id is stored beside each fingerprint. */
export interface FingerprintKey {
  readonly id: string;
  readonly secret: Uint8Array;
}

const FINGERPRINT_KEY = /^(?<id>[A-Za-z0-9_-]{1,32}):(?<secret>[A-Za-z0-9+/_-]+={0,2})$/;

/** `FINGERPRINT_KEYS`: `id:base64` of the current key, and after commas those of older keys that live tokens were made under. */
export const fingerprintKeys = z.string().transform((text, context): readonly FingerprintKey[] => {
  const keys = text.split(',').map((entry) => readFingerprintKey(entry.trim()));
  if (keys.some((key) => key === null)) {
    context.addIssue({
      code: 'custom',
      message: `is not a list of ids and keys of ${FINGERPRINT_KEY_MIN_BYTES} bytes or more in base64`,
    });
    return z.NEVER;
  }
  const known = keys.filter((key) => key !== null);
  if (new Set(known.map(({ id }) => id)).size < known.length) {
    context.addIssue({ code: 'custom', message: 'has the same id twice' });
    return z.NEVER;
  }
  return known;
});

function readFingerprintKey(entry: string): FingerprintKey | null {
  const { id, secret } = FINGERPRINT_KEY.exec(entry)?.groups ?? {};
  const bytes = secret === undefined ? null : decodeBase64(secret);
  return id === undefined || bytes === null || bytes.byteLength < FINGERPRINT_KEY_MIN_BYTES
    ? null
    : { id, secret: bytes };
}

/** `IDEMPOTENCY_SECRET`: the hashes of callers' idempotency keys, and the keys that seal answers, are derived from it. */
export const idempotencySecret = z.string().transform((text, context): Uint8Array => {
  const bytes = decodeBase64(text);
  if (bytes !== null && bytes.byteLength >= IDEMPOTENCY_SECRET_MIN_BYTES) return bytes;
  context.addIssue({ code: 'custom', message: `is not base64 of ${IDEMPOTENCY_SECRET_MIN_BYTES} bytes or more` });
  return z.NEVER;
});

/** `SESSION_SECRET`: the keys that seal the cookies of the console, and those of the MACs of its sessions, are derived from it. */
export const sessionSecret = z.string().transform((text, context): Uint8Array => {
  const bytes = decodeBase64(text);
  if (bytes !== null && bytes.byteLength >= SESSION_SECRET_MIN_BYTES) return bytes;
  context.addIssue({ code: 'custom', message: `is not base64 of ${SESSION_SECRET_MIN_BYTES} bytes or more` });
  return z.NEVER;
});

/** The secret of a client at an issuer, as a form carries it. */
export const clientSecret = z
  .string()
  .regex(/^[!-~]+$/, { error: 'is empty, or not one line of visible ASCII without spaces' });

/** What people sign in to the console with. */
export interface SignInSecrets {
  readonly sessionSecret: Uint8Array;
  /** The secrets of clients, by the names that the policy gives them. */
  readonly clientSecrets: ReadonlyMap<string, string>;
}

const SESSION_SECRET_EXAMPLE =
  '`openssl rand -base64 32 | npx wrangler secret put SESSION_SECRET --config wrangler.toml --env production`; a new value signs everybody out';

/**
 * Reads the secrets that signing in needs from the Worker's environment. Null: no issuer has a `clientId`, so nobody signs in.
 *
 * Errors: each secret that is missing or malformed. None quotes a value.
 */
export function readSignInSecrets(
  env: unknown,
  issuers: readonly IssuerPolicy[],
): Result<SignInSecrets | null, readonly ConfigProblem[]> {
  const clients = issuers.filter(({ clientId }) => clientId !== undefined);
  if (!isObject(env) || clients.length === 0) return ok(null);
  const problems: ConfigProblem[] = [];
  const read = <T>(schema: z.ZodType<T>, key: string, why: string, example: string): T | null => {
    const parsed = schema.safeParse(env[key]);
    if (parsed.success) return parsed.data;
    const problem = env[key] === undefined ? 'is missing' : (parsed.error.issues[0]?.message ?? 'is not valid');
    problems.push({ key, problem: `${problem}; ${why}`, example });
    return null;
  };
  const secret = read(sessionSecret, 'SESSION_SECRET', 'an issuer with a clientId needs it', SESSION_SECRET_EXAMPLE);
  const named = new Map(
    clients.flatMap(({ issuer, clientSecret: key }) => {
      if (key === undefined) return [];
      const example = `\`npx wrangler secret put ${key} --config wrangler.toml --env production\``;
      const value = read(clientSecret, key, `the client of ${issuer} needs it`, example);
      return value === null ? [] : [[key, value] as const];
    }),
  );
  return problems.length > 0 || secret === null
    ? err([...new Map(problems.map((problem) => [problem.key, problem])).values()])
    : ok({ sessionSecret: secret, clientSecrets: named });
}

/**
 * Reads the secrets that the sources of webhooks name from the Worker's environment.
 *
 * Errors: each secret that is missing or is not what its source needs. None quotes a value.
 */
export function readWebhookSecrets(
  env: unknown,
  sources: readonly Source[],
): Result<ReadonlyMap<string, string>, readonly ConfigProblem[]> {
  // An environment that is no object is one problem, which `parseEnv` reports.
  if (!isObject(env)) return ok(new Map());
  const secrets = new Map<string, string>();
  const problems = new Map<string, ConfigProblem>();
  for (const source of sources) {
    for (const key of secretsOf(source)) {
      const value = env[key];
      const problem = typeof value === 'string' ? secretProblem(source, value) : 'is missing';
      if (typeof value === 'string' && problem === null) secrets.set(key, value);
      else
        problems.set(key, {
          key,
          problem: `${problem}; webhooks.${source.name} needs it`,
          example: exampleOf(source, key),
        });
    }
  }
  return problems.size === 0 ? ok(secrets) : err([...problems.values()]);
}

const exampleOf = ({ kind }: Source, key: string): string =>
  kind === 'standard'
    ? `\`echo "whsec_$(openssl rand -base64 32)" | npx wrangler secret put ${key} --config wrangler.toml --env production\``
    : `\`npx wrangler secret put ${key} --config wrangler.toml --env production\``;

/** The names of the Worker secrets that a source needs. */
export function secretsOf(source: Source): readonly string[] {
  switch (source.kind) {
    case 'standard':
      return source.secrets;
    case 'github':
      return source.keysToken === undefined ? [] : [source.keysToken];
  }
}

/** What is wrong with the value of a source's secret, without quoting it; null if nothing is. */
export function secretProblem({ kind }: Source, value: string): string | null {
  switch (kind) {
    case 'standard':
      return standardSecretProblem(value);
    case 'github':
      return /^[!-~]+$/.test(value) ? null : 'is empty, or not one line of visible ASCII';
  }
}

const STANDARD_PREFIX = 'whsec_';

/** What is wrong with a secret of Standard Webhooks; null if nothing is. */
function standardSecretProblem(value: string): string | null {
  const bytes = value.startsWith(STANDARD_PREFIX) ? decodePaddedBase64(value.slice(STANDARD_PREFIX.length)) : null;
  if (bytes === null) return 'is no secret of Standard Webhooks: whsec_ and base64, with its padding';
  return bytes.length < STANDARD_WEBHOOKS_SECRET_MIN_BYTES || bytes.length > STANDARD_WEBHOOKS_SECRET_MAX_BYTES
    ? `does not hold ${STANDARD_WEBHOOKS_SECRET_MIN_BYTES} to ${STANDARD_WEBHOOKS_SECRET_MAX_BYTES} bytes`
    : null;
}
