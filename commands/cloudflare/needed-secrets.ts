import { randomBytes } from 'node:crypto';
import type { Policy } from '../../src/config/policy.ts';
import type { ConfigProblem } from '../../src/config/problems.ts';
import { RENEWAL_SETTINGS, renewalSettingProblem } from '../../src/config/renewal.ts';
import {
  adminCredential,
  clientSecret,
  expiryProblem,
  fingerprintKeys,
  idempotencySecret,
  secretProblem,
  secretsOf,
  sessionSecret,
} from '../../src/config/secrets.ts';
import { stateSecret } from '../../src/config/trail-log.ts';
import { trailKeyProblem } from './trail-key.ts';

/** A secret that the deployed Worker must have. */
export interface NeededSecret {
  readonly name: string;
  /** What it is, for whoever is asked for it. */
  readonly meaning: string;
  /** Makes one; null where only a person has it. */
  readonly generate: (() => string) | null;
  /** What is wrong with a value, without quoting it; null if nothing is. */
  readonly problemOf: (value: string, nowMs: number) => string | null;
}

/** Secrets of the transparency log and of what is authenticated in D1. Setup makes the first and the last. */
export const TRAIL_SECRETS = ['TRAIL_KEY', 'TRAIL_KEY_NEXT', 'STATE_SECRET'] as const;

/** Secrets that the Worker may have, and works without. */
export const OPTIONAL_SECRETS = ['PIPEOPS_ADMIN_TOKEN_NEXT', ...RENEWAL_SETTINGS, ...TRAIL_SECRETS] as const;

/** What the Worker authenticates its rows in D1 with. It works without, so that a deployment that is older than it goes on. */
export const STATE_SECRET: NeededSecret = {
  name: 'STATE_SECRET',
  meaning: 'authenticates what the Worker writes into D1',
  generate: () => base64(32),
  problemOf: (value) => firstIssue(stateSecret.safeParse(value)),
};

/** The secrets that the code and the policy need, without which the Worker serves nothing. */
export function neededSecrets({ webhooks, issuers }: Pick<Policy, 'webhooks' | 'issuers'>): readonly NeededSecret[] {
  const clients = issuers.filter(({ clientId }) => clientId !== undefined);
  const ofSignIn: readonly NeededSecret[] =
    clients.length === 0
      ? []
      : [
          {
            name: 'SESSION_SECRET',
            meaning: 'seals the sessions of the console',
            generate: () => base64(32),
            problemOf: (value) => firstIssue(sessionSecret.safeParse(value)),
          },
          ...clients.flatMap(({ issuer, clientSecret: name }): readonly NeededSecret[] =>
            name === undefined
              ? []
              : [
                  {
                    name,
                    meaning: `the secret of the client at ${issuer}`,
                    generate: null,
                    problemOf: (value) => firstIssue(clientSecret.safeParse(value)),
                  },
                ],
          ),
        ];
  const ofWebhooks = webhooks.flatMap((source) =>
    secretsOf(source).map((name): NeededSecret => ({
      name,
      meaning:
        source.kind === 'standard'
          ? `webhooks.${source.name} signs with it`
          : `webhooks.${source.name} reads keys with it`,
      generate: source.kind === 'standard' ? () => `whsec_${base64(32)}` : null,
      problemOf: (value) => secretProblem(source, value),
    })),
  );
  const needed: readonly NeededSecret[] = [
    {
      name: 'PIPEOPS_ADMIN_TOKEN',
      meaning: 'the session JWT of a PipeOps administrator',
      generate: null,
      problemOf: credentialProblem,
    },
    {
      name: 'FINGERPRINT_KEYS',
      meaning: 'recognises leaked secrets',
      // The id is random: a key that was lost and replaced would otherwise pass for its successor.
      generate: () => `k${randomBytes(4).toString('hex')}:${base64(32)}`,
      problemOf: (value) => firstIssue(fingerprintKeys.safeParse(value)),
    },
    {
      name: 'IDEMPOTENCY_SECRET',
      meaning: 'seals the answers of repeated creates',
      generate: () => base64(32),
      problemOf: (value) => firstIssue(idempotencySecret.safeParse(value)),
    },
    ...ofSignIn,
    ...ofWebhooks,
  ];
  // Two sources may name one secret.
  return [...new Map(needed.map((secret) => [secret.name, secret])).values()];
}

/** What is wrong with an optional secret, without quoting it; null if nothing is. */
export async function optionalSecretProblem(name: string, value: string, nowMs: number): Promise<string | null> {
  if (name === STATE_SECRET.name) return STATE_SECRET.problemOf(value, nowMs);
  if (name === 'TRAIL_KEY' || name === 'TRAIL_KEY_NEXT') return await trailKeyProblem(value);
  const setting = RENEWAL_SETTINGS.find((known) => known === name);
  return setting === undefined ? credentialProblem(value, nowMs) : renewalSettingProblem(setting, value);
}

function credentialProblem(value: string, nowMs: number): string | null {
  const malformed = firstIssue(adminCredential.safeParse(value));
  if (malformed !== null) return malformed;
  const expiry: ConfigProblem | null = expiryProblem('PIPEOPS_ADMIN_TOKEN', value, nowMs);
  return expiry?.problem.startsWith('expired') === true ? expiry.problem : null;
}

function firstIssue(parsed: {
  readonly success: boolean;
  readonly error?: { readonly issues: readonly { readonly message: string }[] } | undefined;
}): string | null {
  return parsed.success ? null : (parsed.error?.issues[0]?.message ?? 'is not valid');
}

const base64 = (bytes: number): string => randomBytes(bytes).toString('base64');
