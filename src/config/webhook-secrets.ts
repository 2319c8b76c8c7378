import { decodePaddedBase64 } from '../kit/base64.ts';
import { isObject } from '../kit/json.ts';
import { err, ok, type Result } from '../kit/result.ts';
import { STANDARD_WEBHOOKS_SECRET_MAX_BYTES, STANDARD_WEBHOOKS_SECRET_MIN_BYTES } from './limits.ts';
import type { ConfigProblem } from './problems.ts';
import type { Source } from './webhook-schema.ts';

const STANDARD_PREFIX = 'whsec_';

/**
 * The secrets that the sources of webhooks name, from the Worker's environment.
 *
 * Errors: each that is missing or cannot be what its source needs. None quotes a value.
 */
export function readWebhookSecrets(
  env: unknown,
  sources: readonly Source[],
): Result<ReadonlyMap<string, string>, readonly ConfigProblem[]> {
  // What is wrong with all of it is said once.
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
    ? `\`echo "whsec_$(openssl rand -base64 32)" | npx wrangler secret put ${key}\``
    : `\`npx wrangler secret put ${key}\``;

/** The names of the Worker secrets that a source needs. */
export function secretsOf(source: Source): readonly string[] {
  switch (source.kind) {
    case 'standard':
      return source.secrets;
    case 'github':
      return source.keysToken === undefined ? [] : [source.keysToken];
  }
}

/** What is wrong with the value of such a secret; null: nothing. It never quotes the value. */
export function secretProblem({ kind }: Source, value: string): string | null {
  switch (kind) {
    case 'standard':
      return standardSecretProblem(value);
    case 'github':
      return /^[!-~]+$/.test(value) ? null : 'is empty, or not one line of visible ASCII';
  }
}

/** What is wrong with a secret of Standard Webhooks; null: nothing. */
function standardSecretProblem(value: string): string | null {
  const bytes = value.startsWith(STANDARD_PREFIX) ? decodePaddedBase64(value.slice(STANDARD_PREFIX.length)) : null;
  if (bytes === null) return 'is no secret of Standard Webhooks: whsec_ and base64, with its padding';
  return bytes.length < STANDARD_WEBHOOKS_SECRET_MIN_BYTES || bytes.length > STANDARD_WEBHOOKS_SECRET_MAX_BYTES
    ? `does not hold ${STANDARD_WEBHOOKS_SECRET_MIN_BYTES} to ${STANDARD_WEBHOOKS_SECRET_MAX_BYTES} bytes`
    : null;
}
