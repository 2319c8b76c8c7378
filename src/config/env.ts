import type { D1Database } from '@cloudflare/workers-types';
import * as z from 'zod';
import { isObject, jsonFault, parseJson } from '../kit/json.ts';
import { err, ok, type Result } from '../kit/result.ts';
import { trustedBaseUrl, workspaceUuid } from './fields.ts';
import {
  adminCredential,
  type FingerprintKey,
  fingerprintKeys,
  idempotencySecret,
  readSignInSecrets,
  readWebhookSecrets,
  type SignInSecrets,
} from './secrets.ts';
import {
  D1_MAX_BYTES_DEFAULT,
  D1_MAX_BYTES_LEAST,
  D1_MAX_BYTES_MOST,
  QUOTA_CALLS_MAX,
  QUOTA_CALLS_MIN,
  QUOTA_HOUR_CALLS,
  QUOTA_MINUTE_CALLS,
  RECONCILE_AFTER_DEFAULT_SECONDS,
  RECONCILE_AFTER_MIN_SECONDS,
  RECONCILE_GIVE_UP_SECONDS,
  SNAPSHOT_MAX_AGE_DEFAULT_SECONDS,
  SNAPSHOT_MAX_AGE_MAX_SECONDS,
} from './limits.ts';
import { parsePolicy, type Policy } from './policy.ts';
import type { Assets } from '../http/console.ts';
import { problemsOf, wording, type ConfigProblem } from './problems.ts';
import { readRenewal, RENEWAL_SETTINGS, type RenewalConfig } from './renewal.ts';
import { readTrailSecrets, TRAIL_LOG_SETTINGS, type TrailSecrets } from './trail-log.ts';

export type { ConfigProblem } from './problems.ts';

/** Everything that the Worker is told from outside, checked. */
export interface Config extends TrailSecrets {
  readonly db: D1Database;
  /** The files that are deployed with the Worker; null: none are. */
  readonly assets: Assets | null;
  /** The size at which the database takes no more rows, by the plan of the Cloudflare account. */
  readonly d1MaxBytes: number;
  readonly pipeops: {
    /** Without a trailing slash. */
    readonly apiUrl: string;
    /** One or two, in the order in which they are tried. */
    readonly credentials: readonly [string, ...string[]];
    readonly defaultWorkspaceUuid: string | null;
    /** How many calls PipeOps answers in a minute and in an hour, where its headers do not say. */
    readonly callLimits: { readonly minute: number; readonly hour: number };
  };
  /** How the admin credential renews itself; null: it does not. */
  readonly renewal: RenewalConfig | null;
  readonly reconcileAfterSeconds: number;
  /** How old a list may be that answers a read; 0 means that each read asks PipeOps. */
  readonly snapshotMaxAgeSeconds: number;
  readonly rateLimits: RateLimits;
  readonly policy: Policy;
  /** The current key comes first. */
  readonly fingerprintKeys: readonly FingerprintKey[];
  readonly idempotencySecret: Uint8Array;
  /** The secrets of webhook sources, by the names that the policy gives them. */
  readonly webhookSecrets: ReadonlyMap<string, string>;
  /** What people sign in to the console with; null: nobody does, since no issuer has a `clientId`. */
  readonly signIn: SignInSecrets | null;
}

/** The rate limits of Workers. Each counts in its own location and says only yes or no. */
export interface RateLimits {
  readonly caller: RateLimiter;
  readonly rejectionsPerAddress: RateLimiter;
  readonly rejectionsInAll: RateLimiter;
}

export interface RateLimiter {
  limit(options: { readonly key: string }): Promise<{ readonly success: boolean }>;
}

/**
 * Checks the Worker's environment, its bindings included, and the policy, which is that of the binding `POLICY` if there is one and
 * else the operator's file. Never throws, whatever the input.
 *
 * Errors: all problems at once. None quotes the value of a setting.
 *
 * @param policyFile what the operator's `policy.ts` exports.
 */
export function parseEnv(env: unknown, policyFile: unknown): Result<Config, readonly ConfigProblem[]> {
  const parsed = envSchema.safeParse(env, { error: wording });
  const policy = readPolicy(env, policyFile);
  const secrets = readWebhookSecrets(env, policy.ok ? policy.value.webhooks : []);
  const renewal = readRenewal(env);
  const signIn = readSignInSecrets(env, policy.ok ? policy.value.issuers : []);
  const trail = readTrailSecrets(env);
  if (parsed.success && policy.ok && secrets.ok && renewal.ok && signIn.ok && trail.ok) {
    return ok({
      ...parsed.data,
      ...trail.value,
      renewal: renewal.value,
      policy: policy.value,
      webhookSecrets: secrets.value,
      signIn: signIn.value,
    });
  }
  return err([
    ...(parsed.success ? [] : problemsOf(parsed.error, EXAMPLES, BINDINGS)),
    ...(policy.ok ? [] : policy.error),
    ...(secrets.ok ? [] : secrets.error),
    ...(renewal.ok ? [] : renewal.error),
    ...(signIn.ok ? [] : signIn.error),
    ...(trail.ok ? [] : trail.error),
  ]);
}

/** Reads the policy as `parseEnv` does, for tools that look at a policy whatever else is wrong. */
export function readPolicy(env: unknown, policyFile: unknown): Result<Policy, readonly ConfigProblem[]> {
  const binding = isObject(env) ? env['POLICY'] : undefined;
  if (binding === undefined) return within('policy.ts', parsePolicy(policyFile));
  const unread = (problem: string) => err([{ key: 'POLICY', problem, example: EXAMPLES['POLICY'] ?? '' }]);
  if (typeof binding !== 'string') return unread('is not a text that holds JSON');
  const fault = jsonFault(binding);
  if (fault === null) return within('POLICY', parsePolicy(parseJson(binding)));
  return unread(`is not JSON: ${fault.reason} at line ${fault.line}, column ${fault.column}`);
}

/** Puts where a policy came from into the key of each of its problems. */
function within(source: string, parsed: ReturnType<typeof parsePolicy>): ReturnType<typeof parsePolicy> {
  if (parsed.ok) return parsed;
  return err(parsed.error.map(({ key, ...rest }) => ({ key: key === '' ? source : `${source}: ${key}`, ...rest })));
}

/** A correct entry for each key, shown with a problem. */
const EXAMPLES: Readonly<Record<string, string>> = {
  DB: '[[d1_databases]] with binding = "DB" in wrangler.toml',
  D1_MAX_BYTES: `D1_MAX_BYTES = "500000000" on Cloudflare's free plan; or leave it out for the ${D1_MAX_BYTES_DEFAULT} of Workers Paid`,
  PIPEOPS_API_URL: 'PIPEOPS_API_URL = "https://api.pipeops.io"',
  PIPEOPS_ADMIN_TOKEN:
    'the session JWT of a PipeOps administrator: `npx wrangler secret put PIPEOPS_ADMIN_TOKEN --config wrangler.toml --env production`',
  PIPEOPS_ADMIN_TOKEN_NEXT:
    'the next session JWT: `npx wrangler secret put PIPEOPS_ADMIN_TOKEN_NEXT --config wrangler.toml --env production`; or leave it out',
  PIPEOPS_WORKSPACE_UUID: 'PIPEOPS_WORKSPACE_UUID = "5877a4ae-6a3c-4d0f-9a55-0f2f6a8f3f0e"; or leave it out',
  PIPEOPS_CALLS_PER_MINUTE: `PIPEOPS_CALLS_PER_MINUTE = "${QUOTA_MINUTE_CALLS}"; or leave it out`,
  PIPEOPS_CALLS_PER_HOUR: `PIPEOPS_CALLS_PER_HOUR = "${QUOTA_HOUR_CALLS}"; or leave it out`,
  RECONCILE_AFTER_SECONDS: `RECONCILE_AFTER_SECONDS = "${RECONCILE_AFTER_DEFAULT_SECONDS}"; or leave it out`,
  SNAPSHOT_MAX_AGE_SECONDS: `SNAPSHOT_MAX_AGE_SECONDS = "${SNAPSHOT_MAX_AGE_DEFAULT_SECONDS}"; 0 asks PipeOps each time; or leave it out`,
  ASSETS: 'binding = "ASSETS" under [assets] in wrangler.toml; or leave it out, and there is no console',
  CALLER_LIMIT: '[[ratelimits]] with name = "CALLER_LIMIT" in wrangler.toml',
  REJECTIONS_PER_ADDRESS: '[[ratelimits]] with name = "REJECTIONS_PER_ADDRESS" in wrangler.toml',
  REJECTIONS_IN_ALL: '[[ratelimits]] with name = "REJECTIONS_IN_ALL" in wrangler.toml',
  FINGERPRINT_KEYS:
    '`echo "k1:$(openssl rand -base64 32)" | npx wrangler secret put FINGERPRINT_KEYS --config wrangler.toml --env production`; to rotate, put the new one in front: k2:…,k1:…',
  IDEMPOTENCY_SECRET:
    '`openssl rand -base64 32 | npx wrangler secret put IDEMPOTENCY_SECRET --config wrangler.toml --env production`; a new value forgets the idempotency keys of the last hour',
  POLICY: 'POLICY = \'{"issuers": […], "roles": {…}, "bindings": […]}\'; or leave it out for policy.ts to count',
};
const BINDINGS = 'the bindings that wrangler.toml and `npm run setup` give';

const d1 = z.custom<D1Database>(isD1, {
  error: ({ input }) => (input === undefined ? 'is missing' : 'is not a D1 database'),
});

const assets = z.custom<Assets>(isAssets, { error: 'is not the binding of static assets' });

const rateLimiter = z.custom<RateLimiter>(isRateLimiter, {
  error: ({ input }) => (input === undefined ? 'is missing' : 'is not a rate limit'),
});

const reconcileAfter = z
  .string()
  .regex(/^\d{1,9}$/, { error: 'is not a whole number of seconds' })
  .transform(Number)
  .refine((seconds) => seconds >= RECONCILE_AFTER_MIN_SECONDS, {
    error: `is below ${RECONCILE_AFTER_MIN_SECONDS}: a request may still be running`,
  })
  .refine((seconds) => seconds <= RECONCILE_GIVE_UP_SECONDS, {
    error: `is above ${RECONCILE_GIVE_UP_SECONDS}, when an attempt is given up`,
  });

const calls = z
  .string()
  .regex(/^\d{1,9}$/, { error: 'is not a whole number of calls' })
  .transform(Number)
  .refine((count) => count >= QUOTA_CALLS_MIN, {
    error: `is below ${QUOTA_CALLS_MIN}: nothing would be left to keep for revocation`,
  })
  .refine((count) => count <= QUOTA_CALLS_MAX, { error: `is above ${QUOTA_CALLS_MAX}` });

const d1MaxBytes = z
  .string()
  .regex(/^\d{1,15}$/, { error: 'is not a whole number of bytes' })
  .transform(Number)
  .refine((bytes) => bytes >= D1_MAX_BYTES_LEAST, { error: `is below ${D1_MAX_BYTES_LEAST}: no plan has so little` })
  .refine((bytes) => bytes <= D1_MAX_BYTES_MOST, { error: `is above ${D1_MAX_BYTES_MOST}: no plan has so much` });

const snapshotMaxAge = z
  .string()
  .regex(/^\d{1,9}$/, { error: 'is not a whole number of seconds' })
  .transform(Number)
  .refine((seconds) => seconds <= SNAPSHOT_MAX_AGE_MAX_SECONDS, {
    error: `is above ${SNAPSHOT_MAX_AGE_MAX_SECONDS}: a list that old is no news of PipeOps`,
  });

const settings = {
  PIPEOPS_API_URL: trustedBaseUrl,
  PIPEOPS_ADMIN_TOKEN: adminCredential,
  PIPEOPS_ADMIN_TOKEN_NEXT: adminCredential.optional(),
  PIPEOPS_WORKSPACE_UUID: workspaceUuid.nullable().default(null),
  D1_MAX_BYTES: d1MaxBytes.default(D1_MAX_BYTES_DEFAULT),
  PIPEOPS_CALLS_PER_MINUTE: calls.default(QUOTA_MINUTE_CALLS),
  PIPEOPS_CALLS_PER_HOUR: calls.default(QUOTA_HOUR_CALLS),
  RECONCILE_AFTER_SECONDS: reconcileAfter.default(RECONCILE_AFTER_DEFAULT_SECONDS),
  SNAPSHOT_MAX_AGE_SECONDS: snapshotMaxAge.default(SNAPSHOT_MAX_AGE_DEFAULT_SECONDS),
  FINGERPRINT_KEYS: fingerprintKeys,
  IDEMPOTENCY_SECRET: idempotencySecret,
};

/** The names of all settings but those of D1, of the rate limits, and of the secrets that the policy names. */
export const SETTING_NAMES: readonly string[] = [
  ...Object.keys(settings),
  ...RENEWAL_SETTINGS,
  ...TRAIL_LOG_SETTINGS,
  'POLICY',
];

const envSchema = z
  .object({
    DB: d1,
    ASSETS: assets.optional(),
    CALLER_LIMIT: rateLimiter,
    REJECTIONS_PER_ADDRESS: rateLimiter,
    REJECTIONS_IN_ALL: rateLimiter,
    ...settings,
  })
  .transform((env): Omit<Config, 'policy' | 'webhookSecrets' | 'renewal' | 'signIn' | keyof TrailSecrets> => {
    const { PIPEOPS_ADMIN_TOKEN: current, PIPEOPS_ADMIN_TOKEN_NEXT: next } = env;
    return {
      db: env.DB,
      assets: env.ASSETS ?? null,
      d1MaxBytes: env.D1_MAX_BYTES,
      pipeops: {
        apiUrl: withoutTrailingSlash(env.PIPEOPS_API_URL),
        credentials: next === undefined || next === current ? [current] : [current, next],
        defaultWorkspaceUuid: env.PIPEOPS_WORKSPACE_UUID,
        callLimits: { minute: env.PIPEOPS_CALLS_PER_MINUTE, hour: env.PIPEOPS_CALLS_PER_HOUR },
      },
      reconcileAfterSeconds: env.RECONCILE_AFTER_SECONDS,
      snapshotMaxAgeSeconds: env.SNAPSHOT_MAX_AGE_SECONDS,
      rateLimits: {
        caller: env.CALLER_LIMIT,
        rejectionsPerAddress: env.REJECTIONS_PER_ADDRESS,
        rejectionsInAll: env.REJECTIONS_IN_ALL,
      },
      fingerprintKeys: env.FINGERPRINT_KEYS,
      idempotencySecret: env.IDEMPOTENCY_SECRET,
    };
  });

function isD1(input: unknown): boolean {
  if (typeof input !== 'object' || input === null || !('prepare' in input) || !('batch' in input)) return false;
  return typeof input.prepare === 'function' && typeof input.batch === 'function';
}

function isAssets(input: unknown): boolean {
  return typeof input === 'object' && input !== null && 'fetch' in input && typeof input.fetch === 'function';
}

function isRateLimiter(input: unknown): boolean {
  return typeof input === 'object' && input !== null && 'limit' in input && typeof input.limit === 'function';
}

function withoutTrailingSlash(url: string): string {
  const { origin, pathname } = new URL(url);
  return `${origin}${pathname.replace(/\/+$/, '')}`;
}
