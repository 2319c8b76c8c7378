import { createReconciler, type Reconciler } from './trail/reconcile/run.ts';
import type { Trail } from './trail/query/page.ts';
import type { Policy } from './config/policy.ts';
import { createRecorder } from './trail/recorder.ts';
import type { Config, RateLimiter } from './config/env.ts';
import { createRejections } from './trail/rejections.ts';
import type { Authentication } from './http/access.ts';
import { createDatabase, type Database } from './db/database.ts';
import type { HealthDependencies } from './health/routes.ts';
import { createKeyExpiry, freeKeyOf, type KeyExpiry } from './idempotency/keys.ts';
import { createIdempotency } from './idempotency/sealing.ts';
import { createAuthenticator } from './identity/authenticator.ts';
import type { Identity } from './identity/identity.ts';
import { createKeySource } from './identity/keys.ts';
import { createJwksStore } from './identity/key-archive.ts';
import { createCallGate } from './pipeops/call-gate.ts';
import { createPipeOps } from './pipeops/client.ts';
import { createQuota } from './pipeops/quota.ts';
import { rolesFor } from './policy/bindings.ts';
import { decide, tokenLimit } from './policy/decide.ts';
import type { Caller, PolicyRequest, Role } from './policy/types.ts';
import type { Runtime } from './kit/runtime.ts';
import { createCalledRows, createCallerCalls } from './reads/caller-calls.ts';
import { createPace } from './reads/pace.ts';
import { createKnownSnapshots, createSnapshotMemory } from './reads/snapshot.ts';
import { createOwedGenerations } from './reads/generation.ts';
import { createListBodies } from './reads/present.ts';
import { createReadGroup } from './reads/group.ts';
import { createListSource } from './reads/upstream-lists.ts';
import { createLabelMemory } from './subjects/labels.ts';
import type { TokenDependencies } from './tokens/dependencies.ts';
import { createFingerprints } from './tokens/secret.ts';
import { markRevoked } from './inventory/inventory.ts';
import type { WebhookDependencies } from './revocation/dependencies.ts';
import { createOrderDriver, type OrderDriver } from './revocation/orders/driver.ts';
import { configureSources, namedWorkspaces } from './revocation/senders/kinds.ts';
import type { WorkspaceDependencies } from './tokens/workspaces.ts';

/** The service, wired: what routes and the cron may use. */
export interface Services {
  readonly runtime: Runtime;
  readonly database: Database;
  readonly authentication: Authentication;
  readonly callerLimit: RateLimiter;
  readonly tokens: TokenDependencies;
  readonly trail: Trail;
  readonly reconciler: Reconciler;
  readonly webhooks: WebhookDependencies;
  readonly orders: OrderDriver;
  readonly keyExpiry: KeyExpiry;
  readonly health: HealthDependencies;
  readonly workspaces: WorkspaceDependencies;
  readonly defaultWorkspaceUuid: string | null;
}

/** The one composition root: clock, ids, network and configuration enter here, and only here. */
export function createServices(config: Config, runtime: Runtime): Services {
  const { policy, rateLimits, reconcileAfterSeconds } = config;
  const { apiUrl, credentials, defaultWorkspaceUuid } = config.pipeops;

  const fingerprints = createFingerprints(config.fingerprintKeys);
  const database = createDatabase(config.db, runtime);
  const quota = createQuota(config.pipeops.callLimits);
  const gate = createCallGate(database, quota, runtime);
  const pipeops = createPipeOps({ apiUrl, credentials, quota, gate, runtime });
  const labels = createLabelMemory();
  const recorder = createRecorder({ database, runtime, labels });
  const memory = createSnapshotMemory();
  const owed = createOwedGenerations(database, memory);
  const known = createKnownSnapshots();
  const pace = createPace(config.snapshotMaxAgeSeconds * 1000, quota);
  const reconciler = createReconciler({
    database,
    recorder,
    pipeops,
    quota,
    runtime,
    reconcileAfterSeconds,
    markRevoked: (ref, nowMs, guard, end) => markRevoked(database, ref, nowMs, guard, end),
    freeKeyOf: (eventId, guard) => freeKeyOf(database, eventId, guard),
  });
  const store = createJwksStore(config.db);
  const keys = createKeySource({
    store,
    runtime,
    background: (work) => runtime.background(work),
  });

  const decisionContext = () => ({ nowMs: runtime.now(), presets: policy.presets });
  const decideNow = (caller: Caller, request: PolicyRequest) => decide(caller, request, decisionContext());
  const rejections = createRejections({ recorder, rateLimits, runtime });
  const webhooks = {
    database,
    recorder,
    pipeops,
    quota,
    fingerprints,
    rejections,
    decide: decideNow,
    runtime,
    issuers: new Set(policy.issuers.map(({ issuer }) => issuer)),
    namedWorkspaces: namedWorkspaces(config),
    sources: configureSources(config, { runtime, store }),
  };

  return {
    runtime,
    database,
    authentication: {
      authenticator: createAuthenticator({ issuers: policy.issuers, keys, runtime }),
      rolesOf: rememberingRoles((identity) => rolesFor(identity, policy)),
      rejections,
    },
    callerLimit: rateLimits.caller,
    tokens: {
      database,
      recorder,
      reconciler,
      pipeops,
      quota,
      decide: decideNow,
      tokenLimit: (caller, request) => tokenLimit(caller, request, decisionContext()),
      fingerprints,
      idempotency: createIdempotency(config.idempotencySecret),
      snapshots: {
        memory,
        known,
        bodies: createListBodies(),
        reads: createReadGroup({ database, runtime, quota, labels, owed, pace, known }),
        source: createListSource(pipeops, runtime),
        owed,
        pace,
        callsOf: createCallerCalls(),
        calledRows: createCalledRows(),
      },
      runtime,
    },
    trail: { database, recorder, runtime },
    reconciler,
    webhooks,
    orders: createOrderDriver(webhooks),
    keyExpiry: createKeyExpiry({ database, runtime }),
    health: {
      database,
      recorder,
      quota,
      runtime,
      credentials,
      fingerprintKeyIds: config.fingerprintKeys.map(({ id }) => id),
      presets: policy.presets,
    },
    workspaces: { database, recorder, defaultWorkspaceUuid, namedInPolicy: workspacesOf(policy) },
    defaultWorkspaceUuid,
  };
}

/** The workspaces that a policy names, for a role or a source of webhooks. */
const workspacesOf = ({ roles, webhooks }: Policy): readonly string[] =>
  [...roles, ...webhooks].flatMap(({ workspaces }) => workspaces).filter((workspaceUuid) => workspaceUuid !== '*');

/** Whoever sends a JWT that is remembered is the same object each time, and the bindings do not change. */
function rememberingRoles(find: (identity: Identity) => readonly Role[]): (identity: Identity) => readonly Role[] {
  const known = new WeakMap<Identity, readonly Role[]>();
  return (identity) => {
    const roles = known.get(identity) ?? find(identity);
    known.set(identity, roles);
    return roles;
  };
}
