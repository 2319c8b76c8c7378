import { isObject } from '../kit/json.ts';
import { err, ok, type Result } from '../kit/result.ts';
import { secretProblem, secretsOf, type Source } from '../revocation/senders/kinds.ts';
import type { ConfigProblem } from './problems.ts';

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
