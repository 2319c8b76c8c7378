import type { JWK } from 'jose';
import { parseEnv } from '../src/config/env.ts';
import { UserError } from './errors.ts';
import { localPolicy, type People } from './policy.ts';
import type { CallLimits } from './settings.ts';
import type { LocalWebhooks } from './webhook-keys.ts';

export interface LocalTrail {
  readonly key: string;
  readonly stateSecret: string;
  /** Until which day rows without a MAC get one; null: they are wrong. */
  readonly adoptsUntil: string | null;
  /** The value of TRAIL_WITNESSES; null: there is none. */
  readonly witnesses: string | null;
}

export interface BindingFacts {
  /** The file that the value of a binding was read from, or null if it was read from none. */
  readonly fileOf: (binding: string) => string | null;
  readonly pipeopsUrl: string;
  readonly adminToken: string;
  readonly workspaceUuid: string | null;
  readonly reconcileAfterSeconds: number | null;
  /** By default those of wrangler.toml count, or the Worker's own. */
  readonly callLimits?: CallLimits;
  readonly publicJwk: JWK;
  readonly webhooks: LocalWebhooks;
  readonly idempotencySecret: string;
  /** What the log of the trail is made with, and the secret of the MACs. By default the trail is neither sealed nor authenticated. */
  readonly trail?: LocalTrail | null;
  /** Who can sign in, and the secret of their sessions. By default nobody can. */
  readonly signIn?: { readonly people: People; readonly sessionSecret: string } | null;
}

/**
 * The variables and secrets of a local run's Worker, beside those in wrangler.toml. They are checked as the Worker will check
 * them.
 *
 * @throws UserError with the first problem, and the file that it comes from. With it the Worker would answer nothing but a fixed 500.
 */
export function bindingsFor(facts: BindingFacts): Readonly<Record<string, string>> {
  const { workspaceUuid, reconcileAfterSeconds, webhooks, trail = null, signIn = null } = facts;
  const { minute, hour } = facts.callLimits ?? { minute: null, hour: null };
  const bindings: Record<string, string> = {
    PIPEOPS_API_URL: facts.pipeopsUrl,
    PIPEOPS_ADMIN_TOKEN: facts.adminToken,
    ...(workspaceUuid !== null && { PIPEOPS_WORKSPACE_UUID: workspaceUuid }),
    ...(reconcileAfterSeconds !== null && { RECONCILE_AFTER_SECONDS: String(reconcileAfterSeconds) }),
    ...(minute !== null && { PIPEOPS_CALLS_PER_MINUTE: String(minute) }),
    ...(hour !== null && { PIPEOPS_CALLS_PER_HOUR: String(hour) }),
    FINGERPRINT_KEYS: webhooks.fingerprintKeys,
    IDEMPOTENCY_SECRET: facts.idempotencySecret,
    ...(signIn !== null && { SESSION_SECRET: signIn.sessionSecret }),
    ...(trail !== null && { TRAIL_KEY: trail.key, STATE_SECRET: trail.stateSecret }),
    ...(typeof trail?.witnesses === 'string' && { TRAIL_WITNESSES: trail.witnesses }),
    ...(typeof trail?.adoptsUntil === 'string' && { STATE_ADOPT_UNTIL: trail.adoptsUntil }),
    ...webhooks.secrets,
    POLICY: JSON.stringify(
      localPolicy(facts.publicJwk, workspaceUuid, webhooks.github.publicKey, signIn?.people ?? null),
    ),
  };
  const config = parseEnv(bindings, null);
  // Databases and the like come from wrangler.toml. The Worker will find them, and this check does not.
  const wrong = config.ok ? undefined : config.error.find(({ key }) => (key.split(':')[0] ?? '') in bindings);
  if (wrong !== undefined) {
    const file = facts.fileOf(wrong.key);
    throw new UserError(
      file !== null
        ? `${file} is damaged: its text ${wrong.problem}. Delete it: the next start makes a new one.`
        : `${wrong.key} ${wrong.problem}. Correct: ${wrong.example}`,
    );
  }
  return bindings;
}
