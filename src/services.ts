import { createReconciler, type Reconciler } from './audit/reconciliation.ts';
import type { Trail } from './audit/query.ts';
import { createRecorder } from './audit/recorder.ts';
import type { Config, RateLimiter } from './config/env.ts';
import { createRejections } from './audit/rejections.ts';
import type { Authentication } from './http/authenticate.ts';
import { createDatabase } from './db/database.ts';
import type { HealthDependencies } from './health/routes.ts';
import { createAuthenticator } from './identity/authenticator.ts';
import { createKeySource } from './identity/key-source.ts';
import { createJwksStore } from './identity/jwks-store.ts';
import { createPipeOps } from './pipeops/client.ts';
import { rolesFor } from './policy/bindings.ts';
import { decide } from './policy/decide.ts';
import type { Runtime } from './runtime.ts';
import type { TokenDependencies } from './tokens/dependencies.ts';
import { markRevoked } from './tokens/inventory.ts';

/** The service, wired: what routes and the cron may use. */
export interface Services {
  readonly runtime: Runtime;
  readonly authentication: Authentication;
  readonly callerLimit: RateLimiter;
  readonly tokens: TokenDependencies;
  readonly trail: Trail;
  readonly reconciler: Reconciler;
  readonly health: HealthDependencies;
  readonly defaultWorkspaceUuid: string | null;
}

/** The one composition root: clock, ids, network and configuration enter here, and only here. */
export function createServices(config: Config, runtime: Runtime): Services {
  const { policy, rateLimits, reconcileAfterSeconds } = config;
  const { apiUrl, credentials, defaultWorkspaceUuid } = config.pipeops;

  const database = createDatabase(config.db, runtime);
  const pipeops = createPipeOps({ apiUrl, credentials, runtime });
  const recorder = createRecorder({ database, runtime });
  const reconciler = createReconciler({
    database,
    recorder,
    pipeops,
    runtime,
    reconcileAfterSeconds,
    markRevoked: (ref, nowMs, guard) => markRevoked(database, ref, nowMs, guard),
  });
  const keys = createKeySource({
    store: createJwksStore(config.db),
    runtime,
    background: (work) => runtime.background(work),
  });

  return {
    runtime,
    authentication: {
      authenticator: createAuthenticator({ issuers: policy.issuers, keys, runtime }),
      rolesOf: (identity) => rolesFor(identity, policy),
      rejections: createRejections({ recorder, rateLimits, runtime }),
    },
    callerLimit: rateLimits.caller,
    tokens: {
      database,
      recorder,
      reconciler,
      pipeops,
      decide: (caller, request) => decide(caller, request, { nowMs: runtime.now(), presets: policy.presets }),
      runtime,
    },
    trail: { database, recorder, runtime },
    reconciler,
    health: { database, recorder, runtime, credentials },
    defaultWorkspaceUuid,
  };
}
