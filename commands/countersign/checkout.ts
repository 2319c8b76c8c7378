import { existsSync } from 'node:fs';
import path from 'node:path';
import { LOCAL_ISSUER, openIssuer, signJwt } from '../../local/issuer.ts';
import { trailVerifierFileIn } from '../../local/secrets.ts';
import { stateDirOf } from '../../local/settings.ts';
import { readRunFile } from '../../local/state-dir.ts';
import { readWebhooks } from '../../local/webhook-keys.ts';
import { DEFAULT_URL } from '../service.ts';
import { asUserStands } from '../user-path.ts';
import type { Host } from './host.ts';

const TTL_SECONDS = 5 * 60;

/**
 * The command in a checkout: it knows the service that runs on the state directory, and signs JWTs for it with the issuer that
 * `npm start` made.
 *
 * @param call how a user calls a command.
 */
export function checkoutHost(call: Host['call'], environment: NodeJS.ProcessEnv = process.env): Host {
  const stateDir = stateDirOf(environment);
  return {
    call,
    defaultUrl: () => readRunFile(stateDir)?.url ?? DEFAULT_URL,
    localJwt: (role) => {
      if (!existsSync(path.join(stateDir, 'issuer.jwk.json'))) return null;
      return async () => {
        const caller = { subject: `local-${role}`, role, ttlSeconds: TTL_SECONDS };
        return await signJwt(await openIssuer(stateDir), caller, Math.floor(Date.now() / 1_000));
      };
    },
    webhookKeys: () => readWebhooks(stateDir),
    localVerifierFile: () => {
      const file = trailVerifierFileIn(stateDir);
      return existsSync(file) ? file : null;
    },
    localJwtAdvice: '; of a local service: npm run -s token -- --sub NAME --role auditor',
    pathOf: asUserStands,
    defaultIssuer: LOCAL_ISSUER,
  };
}
