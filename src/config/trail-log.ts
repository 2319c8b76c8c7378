import type { R2Bucket } from '@cloudflare/workers-types';
import * as z from 'zod';
import { decodeBase64 } from '../kit/bytes.ts';
import { isObject } from '../kit/json.ts';
import { SECONDS_PER_DAY } from '../kit/time.ts';
import { err, ok, type Result } from '../kit/result.ts';
import { parsePrivateKey, parseVerifier, type PrivateKey, type Verifier } from '../tlog/note.ts';
import { problemsOf, wording, type ConfigProblem } from './problems.ts';
import { ANCHORS_MAX_COUNT, STATE_SECRET_MIN_BYTES } from './trail-limits.ts';

/** What the transparency log of the trail is made with. */
export interface TrailLogConfig {
  /** The key that signs checkpoints. Its name is the origin of the first log. */
  readonly key: PrivateKey;
  /** The key that takes over; null: none does. */
  readonly nextKey: PrivateKey | null;
  /** Where the files of the log are kept; null: in D1. */
  readonly bucket: R2Bucket | null;
  readonly witnesses: readonly Witness[];
  /** HTTPS URLs that each checkpoint is sent to. */
  readonly anchors: readonly string[];
}

/** Somebody outside who cosigns checkpoints (C2SP tlog-witness). */
export interface Witness {
  /** Without a trailing slash. */
  readonly url: string;
  readonly verifier: Verifier;
}

/** The settings of the log, and of the MACs. The first one switches the log on. */
export const TRAIL_LOG_SETTINGS = [
  'TRAIL_KEY',
  'TRAIL_KEY_NEXT',
  'TRAIL_WITNESSES',
  'TRAIL_ANCHORS',
  'STATE_SECRET',
  'STATE_ADOPT_UNTIL',
] as const;

const EXAMPLES: Readonly<Record<string, string>> = {
  TRAIL_KEY: '`npm run setup -- --env production` makes it; or leave it out, and the trail is not sealed',
  TRAIL_KEY_NEXT: 'the key that takes over, as `npm run -s verify -- --new-key NAME` prints it; or leave it out',
  TRAIL_WITNESSES:
    'TRAIL_WITNESSES = "https://witness.example witness.example+1a2b3c4d+BAAA…", more of them after commas; or leave it out',
  TRAIL_ANCHORS: 'TRAIL_ANCHORS = "https://anchor.example/checkpoints", more of them after commas; or leave it out',
  STATE_SECRET:
    '`openssl rand -base64 32 | npx wrangler secret put STATE_SECRET --config wrangler.toml --env production`; or leave it out, and nothing in D1 is authenticated',
  STATE_ADOPT_UNTIL:
    'STATE_ADOPT_UNTIL = "2026-12-31", a day shortly after STATE_SECRET was first put; or leave it out: a fresh database needs none',
  TRAIL: '[[r2_buckets]] with binding = "TRAIL" in wrangler.toml; or leave it out, and the log is kept in D1',
};

const signingKey = z.string().transform((text, context): PrivateKey => {
  const key = parsePrivateKey(text.trim());
  if (key?.kind === 'log') return key;
  context.addIssue({ code: 'custom', message: 'is no signing key: PRIVATE+KEY+ and a name, an id and base64' });
  return z.NEVER;
});

/** An https URL without credentials and fragment. On loopback it may be http, for tests and a local run. */
function outsideUrl(text: string): string | null {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || url.username !== '' || url.password !== '' || url.hash !== '') return null;
  const isLoopback = ['127.0.0.1', 'localhost', '[::1]'].includes(url.hostname);
  return url.protocol === 'https:' || (url.protocol === 'http:' && isLoopback) ? url.href.replace(/\/+$/, '') : null;
}

const listOf = (text: string): readonly string[] =>
  text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');

const witnesses = z.string().transform((text, context): readonly Witness[] => {
  const read = listOf(text).map((part): Witness | null => {
    const [url = '', key = '', ...rest] = part.split(/\s+/);
    const [checked, verifier] = [outsideUrl(url), parseVerifier(key)];
    // A path is appended to the URL of a witness.
    const isWhole = rest.length === 0 && !url.includes('?');
    return checked === null || verifier?.kind !== 'witness' || !isWhole ? null : { url: checked, verifier };
  });
  const known = read.filter((witness) => witness !== null);
  if (known.length === read.length) return known;
  context.addIssue({ code: 'custom', message: 'is not a list of an https URL and the verifier key of a witness each' });
  return z.NEVER;
});

const anchors = z.string().transform((text, context): readonly string[] => {
  const urls = listOf(text).map(outsideUrl);
  const known = urls.filter((url) => url !== null);
  if (known.length === urls.length) return known;
  context.addIssue({ code: 'custom', message: 'is not a list of https URLs' });
  return z.NEVER;
});

/** `STATE_SECRET`: base64 of what the keys of the MACs are derived from. */
export const stateSecret = z.string().transform((text, context): Uint8Array => {
  const bytes = decodeBase64(text);
  if (bytes !== null && bytes.byteLength >= STATE_SECRET_MIN_BYTES) return bytes;
  context.addIssue({ code: 'custom', message: `is not base64 of ${STATE_SECRET_MIN_BYTES} bytes or more` });
  return z.NEVER;
});

/** The end of a day in UTC, in milliseconds since the epoch. */
const endOfDay = z.iso
  .date({ error: 'is not a date like 2026-12-31' })
  .transform((day) => Date.parse(day) + SECONDS_PER_DAY * 1000);

const bucket = z.custom<R2Bucket>(
  (input) => isObject(input) && typeof input['put'] === 'function' && typeof input['list'] === 'function',
  { error: 'is not an R2 bucket' },
);

const schema = z
  .object({
    TRAIL_KEY: signingKey.optional(),
    TRAIL_KEY_NEXT: signingKey.optional(),
    TRAIL_WITNESSES: witnesses.default([]),
    TRAIL_ANCHORS: anchors.default([]),
    STATE_SECRET: stateSecret.optional(),
    STATE_ADOPT_UNTIL: endOfDay.optional(),
    TRAIL: bucket.optional(),
  })
  .refine(({ TRAIL_KEY: key, TRAIL_KEY_NEXT: next }) => next === undefined || key?.name === next.name, {
    path: ['TRAIL_KEY_NEXT'],
    error: 'has another name than TRAIL_KEY: a hand-over keeps the name of the log',
  })
  .refine(({ TRAIL_WITNESSES: known, TRAIL_ANCHORS: urls }) => known.length + urls.length <= ANCHORS_MAX_COUNT, {
    path: ['TRAIL_ANCHORS'],
    error: `names more than ${ANCHORS_MAX_COUNT} places together with TRAIL_WITNESSES`,
  });

/** What the Worker seals and authenticates with. */
export interface TrailSecrets {
  /** Null: the trail is not sealed. */
  readonly trailLog: TrailLogConfig | null;
  /** Null: nothing in D1 is authenticated. */
  readonly stateSecret: Uint8Array | null;
  /** Until when rows without a MAC count, which are those from before the secret; milliseconds since the epoch. Null: they do not. */
  readonly stateAdoptUntilMs: number | null;
}

/**
 * Reads what the log and the MACs need from the Worker's environment.
 *
 * Errors: each setting that is malformed. None quotes a value.
 */
export function readTrailSecrets(env: unknown): Result<TrailSecrets, readonly ConfigProblem[]> {
  // An environment that is no object is one problem, which `parseEnv` reports.
  if (!isObject(env)) return ok({ trailLog: null, stateSecret: null, stateAdoptUntilMs: null });
  const parsed = schema.safeParse(env, { error: wording });
  if (!parsed.success) return err(problemsOf(parsed.error, EXAMPLES, ''));
  const { TRAIL_KEY: key, TRAIL_KEY_NEXT: nextKey = null, TRAIL: trail = null } = parsed.data;
  const { TRAIL_WITNESSES: known, TRAIL_ANCHORS: urls, STATE_SECRET: secret = null } = parsed.data;
  const { STATE_ADOPT_UNTIL: stateAdoptUntilMs = null } = parsed.data;
  const trailLog = key === undefined ? null : { key, nextKey, bucket: trail, witnesses: known, anchors: urls };
  return ok({ trailLog, stateSecret: secret, stateAdoptUntilMs });
}
