import * as z from 'zod';
import { decodeBase64 } from '../kit/bytes.ts';
import { isObject } from '../kit/json.ts';
import { err, ok, type Result } from '../kit/result.ts';
import {
  CREDENTIAL_SEAL_KEY_MIN_BYTES,
  CREDENTIAL_TOKEN_MAX_CHARS,
  REFRESH_TOKEN_MIN_CHARS,
} from './credential-limits.ts';
import { problemsOf, wording, type ConfigProblem } from './problems.ts';

/** What the Worker needs to renew the admin credential by itself. */
export interface RenewalConfig {
  readonly refreshToken: string;
  readonly clientId: string;
  /** Null: a public client, which PipeOps' CLI is. */
  readonly clientSecret: string | null;
  /** The keys that tokens are sealed under in D1. The first one seals, and any of them opens. */
  readonly sealKeys: readonly Uint8Array[];
}

/** The settings of the renewal. The first one switches it on. */
export const RENEWAL_SETTINGS = [
  'PIPEOPS_REFRESH_TOKEN',
  'PIPEOPS_CLIENT_ID',
  'PIPEOPS_CLIENT_SECRET',
  'CREDENTIAL_SEAL_KEY',
] as const;

const EXAMPLES: Readonly<Record<(typeof RENEWAL_SETTINGS)[number], string>> = {
  PIPEOPS_REFRESH_TOKEN:
    'the refresh token of the session that PIPEOPS_ADMIN_TOKEN is of: `npx wrangler secret put PIPEOPS_REFRESH_TOKEN --config wrangler.toml --env production`, after the ' +
    'other settings of the renewal; or leave it out, and the credential is renewed by hand',
  PIPEOPS_CLIENT_ID:
    'the OAuth client that the session was made with: `npx wrangler secret put PIPEOPS_CLIENT_ID --config wrangler.toml --env production`',
  PIPEOPS_CLIENT_SECRET:
    'the secret of that OAuth client: `npx wrangler secret put PIPEOPS_CLIENT_SECRET --config wrangler.toml --env production`; or leave it out for a public client',
  CREDENTIAL_SEAL_KEY:
    '`openssl rand -base64 32 | npx wrangler secret put CREDENTIAL_SEAL_KEY --config wrangler.toml --env production`; to rotate, put the new one in front: new,old',
};

const oneLine = z
  .string()
  .regex(/^[!-~]+$/, { error: 'is empty, or not one line of visible ASCII without spaces' })
  .max(CREDENTIAL_TOKEN_MAX_CHARS, { error: 'is too long' });

const refreshToken = oneLine
  .min(REFRESH_TOKEN_MIN_CHARS, { error: `is shorter than ${REFRESH_TOKEN_MIN_CHARS} characters: it could be guessed` })
  .refine((text) => !text.startsWith('sat_'), { error: 'is a service token (sat_…), which renews nothing' });

const sealKeys = z.string().transform((text, context): readonly Uint8Array[] => {
  const parts = text.split(',');
  const keys = parts.flatMap((part) => decodeBase64(part.trim()) ?? []);
  if (keys.length === parts.length && keys.every(({ byteLength }) => byteLength >= CREDENTIAL_SEAL_KEY_MIN_BYTES))
    return keys;
  context.addIssue({ code: 'custom', message: `is not base64 of ${CREDENTIAL_SEAL_KEY_MIN_BYTES} bytes or more` });
  return z.NEVER;
});

const renewalSchema = z.object({
  PIPEOPS_REFRESH_TOKEN: refreshToken,
  PIPEOPS_CLIENT_ID: oneLine,
  PIPEOPS_CLIENT_SECRET: oneLine.nullable().default(null),
  CREDENTIAL_SEAL_KEY: sealKeys,
});

/**
 * Reads the settings of the renewal. Null: it is off, since there is no PIPEOPS_REFRESH_TOKEN. The other settings alone do no harm, so
 * that they can be set one after the other on a Worker that runs.
 *
 * Errors: what is wrong with them, or missing beside the refresh token. None quotes a value.
 */
export function readRenewal(env: unknown): Result<RenewalConfig | null, readonly ConfigProblem[]> {
  if (!isObject(env) || env['PIPEOPS_REFRESH_TOKEN'] === undefined) return ok(null);
  const read = renewalSchema.safeParse(env, { error: wording });
  if (!read.success) {
    return err(
      problemsOf(read.error, EXAMPLES, '').map(({ key, problem, example }) => ({
        key,
        problem: problem === 'is missing' ? 'is missing: PIPEOPS_REFRESH_TOKEN needs it' : problem,
        example,
      })),
    );
  }
  if (read.data.PIPEOPS_REFRESH_TOKEN === env['PIPEOPS_ADMIN_TOKEN']) {
    const problem = 'is the same as PIPEOPS_ADMIN_TOKEN: an access token renews nothing';
    return err([{ key: 'PIPEOPS_REFRESH_TOKEN', problem, example: EXAMPLES.PIPEOPS_REFRESH_TOKEN }]);
  }
  return ok({
    refreshToken: read.data.PIPEOPS_REFRESH_TOKEN,
    clientId: read.data.PIPEOPS_CLIENT_ID,
    clientSecret: read.data.PIPEOPS_CLIENT_SECRET,
    sealKeys: read.data.CREDENTIAL_SEAL_KEY,
  });
}

/** What is wrong with one setting by itself, without quoting it; null if nothing is. */
export function renewalSettingProblem(name: (typeof RENEWAL_SETTINGS)[number], value: string): string | null {
  return renewalSchema.shape[name].safeParse(value).error?.issues[0]?.message ?? null;
}

/**
 * The problem of settings that somebody made for the renewal and that renew nothing, for `npm run doctor`. The Worker runs with them,
 * and the renewal is off.
 */
export function renewalAdvice(env: Readonly<Record<string, unknown>>): readonly ConfigProblem[] {
  if (env['PIPEOPS_REFRESH_TOKEN'] !== undefined) return [];
  const alone = (['PIPEOPS_CLIENT_ID', 'PIPEOPS_CLIENT_SECRET'] as const).filter((key) => env[key] !== undefined);
  if (alone.length === 0) return [];
  const problem = `is missing, so the admin credential is not renewed, and ${alone.join(' and ')} ${alone.length === 1 ? 'has' : 'have'} no effect`;
  return [{ key: 'PIPEOPS_REFRESH_TOKEN', problem, example: EXAMPLES.PIPEOPS_REFRESH_TOKEN }];
}
