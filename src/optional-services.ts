import type { Config } from './config/env.ts';
import { type RenewingCredentials, renewingCredentials } from './credential/credentials.ts';
import { createSealing } from './credential/sealing.ts';
import type { Database } from './db/database.ts';
import type { Runtime } from './kit/runtime.ts';
import { readCredentials } from './pipeops/credentials.ts';
import { createTokenEndpoint } from './pipeops/oauth.ts';
import { createSessionSealing } from './sessions/sealing.ts';
import { createSessions } from './sessions/sessions.ts';
import { createProvider } from './sessions/sign-in/provider.ts';
import type { SignInDependencies } from './sessions/sign-in/routes.ts';
import { createAnchors } from './trail/log/anchors.ts';
import { createSealing as createTrailSealing, type Sealing, type SealingDependencies } from './trail/log/sealing.ts';
import { createSigning } from './trail/log/signing.ts';
import type { LogStore } from './trail/log/store.ts';

// The parts of the service that a configuration may leave out, as a part of `services.ts`. Each is null where it does.

export function createRenewal(
  { pipeops, renewal }: Config,
  version: string,
  database: Database,
  runtime: Runtime,
): RenewingCredentials | null {
  if (renewal === null) return null;
  const sealing = createSealing(pipeops.apiUrl, renewal);
  const endpoint = createTokenEndpoint(pipeops.apiUrl, renewal, runtime);
  const configured = readCredentials(pipeops.credentials);
  return renewingCredentials(
    { database, endpoint, sealing, runtime, policyVersion: version },
    configured,
    renewal.refreshToken,
  );
}

export function createLog({
  trailLog,
  store,
  ...dependencies
}: Pick<SealingDependencies, 'database' | 'isAuthentic'> & {
  readonly runtime: Runtime;
  readonly trailLog: Config['trailLog'];
  readonly store: LogStore;
}): Sealing | null {
  if (trailLog === null) return null;
  const signing = createSigning(trailLog);
  const anchors = createAnchors({ ...dependencies, store, trailLog });
  return createTrailSealing({ ...dependencies, store, signing, anchors, config: trailLog });
}

export function createSignIn(
  { policy, signIn }: Config,
  dependencies: Omit<SignInDependencies, 'sessions' | 'sealing' | 'providers'>,
): SignInDependencies | null {
  if (signIn === null) return null;
  const { database, runtime } = dependencies;
  const sealing = createSessionSealing(signIn.sessionSecret);
  const sessions = createSessions({ ...policy, sealing, database, runtime });
  const providers = policy.issuers.flatMap((issuer) => {
    const { clientId, clientSecret: name } = issuer;
    if (clientId === undefined) return [];
    const clientSecret = name === undefined ? null : (signIn.clientSecrets.get(name) ?? null);
    return [createProvider({ policy: issuer, clientId, clientSecret }, runtime)];
  });
  return { ...dependencies, sessions, sealing, providers };
}
