import type { AgingDependencies } from './aging/run.ts';
import type { Config, RateLimiter } from './config/env.ts';
import type { Policy } from './config/policy.ts';
import type { RenewingCredentials } from './credential/credentials.ts';
import { createDatabase, type Database } from './db/database.ts';
import { configuredWorkspaces, type ProbeDependencies } from './health/probe.ts';
import { createReadiness } from './health/readiness.ts';
import type { HealthDependencies } from './health/routes.ts';
import type { Authentication } from './http/access.ts';
import type { Assets } from './http/console.ts';
import { createKeyExpiry, freeKeyOf, type KeyExpiry } from './idempotency/keys.ts';
import { createIdempotency } from './idempotency/sealing.ts';
import { createAuthenticator } from './identity/authenticator.ts';
import type { Identity } from './identity/identity.ts';
import { createJwksStore } from './identity/key-archive.ts';
import { createKeySource } from './identity/keys.ts';
import { markRevoked } from './inventory/inventory.ts';
import { type MacSweepDependencies, noteUnauthentic } from './inventory/mac-sweep.ts';
import { createOwnerMacs } from './inventory/owner-macs.ts';
import type { InventoryDependencies } from './inventory/query/routes.ts';
import { unusedAfterOf } from './inventory/usage.ts';
import { createMac } from './kit/mac.ts';
import type { Runtime } from './kit/runtime.ts';
import { createLog, createRenewal, createSignIn } from './optional-services.ts';
import { createAdmission } from './pipeops/quota-calls.ts';
import { createPipeOps } from './pipeops/client.ts';
import { createCredentials } from './pipeops/credentials.ts';
import { createOutcomes } from './pipeops/outcomes.ts';
import { createQuota } from './pipeops/quota.ts';
import { rolesFor } from './policy/bindings.ts';
import { presetScopes } from './policy/ceiling.ts';
import { decide, tokenLimit } from './policy/decide.ts';
import type { Caller, PolicyRequest, Role } from './policy/types.ts';
import { policyVersion } from './policy/version.ts';
import { createCalledRows, createCallerCalls } from './reads/caller-calls.ts';
import { createListBodies } from './reads/present.ts';
import { createKnownSnapshots, createSnapshotMemory } from './reads/snapshot.ts';
import { createOwedGenerations } from './reads/generation.ts';
import { createPace } from './reads/pace.ts';
import { createReadGroup } from './reads/group.ts';
import { createListSource } from './reads/upstream-lists.ts';
import type { SignInDependencies } from './sessions/sign-in/routes.ts';
import { createLabelMemory } from './subjects/labels.ts';
import type { TokenDependencies } from './tokens/dependencies.ts';
import { createFingerprints } from './tokens/fingerprints.ts';
import { configureSenders, namedWorkspaces, type WebhookDependencies } from './revocation/dependencies.ts';
import { createOrderDriver, type OrderDriver } from './revocation/orders/driver.ts';
import type { WorkspaceDependencies } from './tokens/workspaces.ts';
import { createLogFiles } from './trail/log/files.ts';
import type { LogReading } from './trail/log/reading.ts';
import type { Sealing } from './trail/log/sealing.ts';
import type { ResumeDependencies } from './trail/log/resume.ts';
import { createLogStore } from './trail/log/store.ts';
import type { Trail } from './trail/query/page.ts';
import { createReconciler, type Reconciler } from './trail/reconcile/run.ts';
import { createRecorder } from './trail/recorder.ts';
import { createRejections } from './trail/rejections.ts';
import { createRowMacs } from './trail/row-macs.ts';

/** The service, wired: what the routes and the cron use. */
export interface Services {
  readonly runtime: Runtime;
  /** The version of the policy that decides. */
  readonly policyVersion: string;
  readonly database: Database;
  readonly authentication: Authentication;
  readonly callerLimit: RateLimiter;
  readonly tokens: TokenDependencies;
  readonly workspaces: WorkspaceDependencies;
  readonly defaultWorkspaceUuid: string | null;
  readonly webhooks: WebhookDependencies;
  readonly orders: OrderDriver;
  readonly trail: Trail;
  readonly logReading: LogReading;
  readonly resume: ResumeDependencies;
  readonly inventory: InventoryDependencies;
  readonly reconciler: Reconciler;
  readonly keyExpiry: KeyExpiry;
  /** Null: the trail is not sealed. */
  readonly sealing: Sealing | null;
  /** Null: no credential renews itself. */
  readonly renewal: RenewingCredentials | null;
  readonly health: HealthDependencies;
  readonly probe: ProbeDependencies;
  readonly aging: AgingDependencies;
  readonly macSweep: MacSweepDependencies;
  /** The files of the console; null: there is none. */
  readonly assets: Assets | null;
  /** Null: nobody signs in to the console. */
  readonly signIn: SignInDependencies | null;
}

/** The one composition root: the clock, ids, the network and the configuration enter here and nowhere else. */
export function createServices(config: Config, runtime: Runtime): Services {
  const { policy, rateLimits, reconcileAfterSeconds } = config;
  const { apiUrl, defaultWorkspaceUuid } = config.pipeops;

  // ── db ──
  const rowMac = config.stateSecret === null ? null : createMac(config.stateSecret, 'audit-event/v1');
  const database = createDatabase(config.db, runtime, rowMac);

  // ── policy ──
  const version = policyVersion(policy);
  const decisionContext = () => ({ nowMs: runtime.now(), presets: policy.presets });
  const decideNow = (caller: Caller, request: PolicyRequest) => decide(caller, request, decisionContext());

  // ── pipeops ──
  const renewal = createRenewal(config, version, database, runtime);
  const credentials = renewal ?? createCredentials(config.pipeops.credentials);
  const outcomes = createOutcomes(credentials, runtime);
  // What PipeOps has told an isolate goes to the others together: of the quota, and of what calls came to.
  const quota = createQuota(config.pipeops.callLimits, outcomes);
  const admit = createAdmission(database, quota, runtime);
  const pipeops = createPipeOps({ apiUrl, credentials, outcomes, quota, admit, runtime });

  // ── subjects ──
  const labels = createLabelMemory();

  // ── trail ──
  const adoption = { adoptUntilMs: config.stateAdoptUntilMs, now: () => runtime.now() };
  const rowMacs = createRowMacs({ mac: rowMac, ...adoption });
  const recorder = createRecorder({ database, runtime, labels });
  const rejections = createRejections({ recorder, rateLimits, runtime });
  const trail = { database, recorder, runtime };

  // ── identity ──
  const store = createJwksStore(config.db, config.stateSecret, (name) =>
    runtime.log({ level: 'error', event: 'row_unauthentic', kind: 'jwks', name }),
  );
  const keys = createKeySource({ store, runtime, background: (work) => runtime.background(work) });
  const rolesOf = rememberingRoles((identity) => rolesFor(identity, policy));

  // ── sessions ──
  const signIn = createSignIn(config, { database, recorder, labels, runtime, keys, rolesOf, rejections });
  const authentication = {
    authenticator: createAuthenticator({ issuers: policy.issuers, keys, runtime }),
    sessions: signIn?.sessions ?? null,
    rolesOf,
    rejections,
  };

  // ── idempotency ──
  const idempotency = createIdempotency(config.idempotencySecret);
  const keyExpiry = createKeyExpiry({ database, runtime });

  // ── inventory ──
  const owners = createOwnerMacs({ secret: config.stateSecret, ...adoption });

  // ── reads ──
  const memory = createSnapshotMemory();
  const known = createKnownSnapshots();
  const owed = createOwedGenerations(database, memory);
  const pace = createPace(config.snapshotMaxAgeSeconds * 1000, quota);
  const snapshots = {
    memory,
    known,
    owed,
    pace,
    bodies: createListBodies(),
    reads: createReadGroup({ database, runtime, quota, labels, owed, pace, known, owners }),
    source: createListSource(pipeops, runtime),
    callsOf: createCallerCalls(),
    calledRows: createCalledRows(),
  };

  // ── trail/log ──
  const { trailLog } = config;
  const logStore = createLogStore({ database, bucket: trailLog?.bucket ?? null, runtime });
  const sealing = createLog({
    trailLog,
    store: logStore,
    database,
    runtime,
    isAuthentic: (row, adopted) => rowMacs.isUntouched(row, adopted),
  });
  const logReading = {
    database,
    recorder,
    runtime,
    files: trailLog === null ? null : createLogFiles(trailLog, logStore),
  };
  const resume = { database, recorder, runtime, trailLog, store: logStore, decide: decideNow };

  // ── trail/reconcile ──
  // Reconciliation ends tokens and frees keys, of which the trail knows nothing, so it is given the two statements.
  const reconciler = createReconciler({
    database,
    recorder,
    pipeops,
    quota,
    runtime,
    reconcileAfterSeconds,
    attempts: rowMacs,
    noteUnauthentic: (eventId, nowMs) => noteUnauthentic(database, 'attempt', [eventId], nowMs),
    markRevoked: (ref, nowMs, guard, end) => markRevoked(database, ref, nowMs, guard, end),
    freeKeyOf: (eventId, guard) => freeKeyOf(database, eventId, guard),
  });

  // ── tokens ──
  const fingerprints = createFingerprints(config.fingerprintKeys);
  const tokens = {
    database,
    recorder,
    reconciler,
    pipeops,
    quota,
    decide: decideNow,
    tokenLimit: (caller: Caller, request: Extract<PolicyRequest, { operation: 'create' }>) =>
      tokenLimit(caller, request, decisionContext()),
    presetScopes: (preset: string) => presetScopes(preset, policy) ?? [],
    fingerprints,
    owners,
    idempotency,
    snapshots,
    runtime,
  };
  const inventory = {
    database,
    recorder,
    runtime,
    decide: decideNow,
    fingerprints,
    unusedAfter: unusedAfterOf(policy.roles),
    owners,
  };
  const namedInPolicy = workspacesOf(policy);
  const workspaces = { database, recorder, defaultWorkspaceUuid, namedInPolicy };

  // ── revocation ──
  const webhooks = {
    database,
    recorder,
    pipeops,
    quota,
    fingerprints,
    idempotency,
    rejections,
    decide: decideNow,
    runtime,
    issuers: new Set(policy.issuers.map(({ issuer }) => issuer)),
    namedWorkspaces: namedWorkspaces(config),
    senders: configureSenders(config, { runtime, store }),
  };
  const orders = createOrderDriver(webhooks);

  // ── aging ──
  const aging = { database, runtime, pipeops, quota, roles: policy.roles };

  // ── health ──
  const { d1MaxBytes } = config;
  const fingerprintKeyIds = config.fingerprintKeys.map(({ id }) => id);
  const workspaceUuids = configuredWorkspaces({ defaultWorkspaceUuid, namedInPolicy });
  const readiness = createReadiness({
    database,
    runtime,
    quota,
    credentials,
    renewal,
    fingerprintKeyIds,
    workspaceUuids,
    isSealed: sealing !== null,
    d1MaxBytes,
  });
  const { presets } = policy;
  const health = {
    database,
    recorder,
    rejections,
    readiness,
    quota,
    runtime,
    credentials,
    fingerprintKeyIds,
    presets,
    policyVersion: version,
    d1MaxBytes,
    logFiles: logReading.files,
  };
  const probe = { database, runtime, pipeops, quota, outcomes, credentials, defaultWorkspaceUuid, namedInPolicy };

  return {
    runtime,
    policyVersion: version,
    database,
    authentication,
    callerLimit: rateLimits.caller,
    tokens,
    workspaces,
    defaultWorkspaceUuid,
    webhooks,
    orders,
    trail,
    logReading,
    resume,
    inventory,
    reconciler,
    keyExpiry,
    sealing,
    renewal,
    health,
    probe,
    aging,
    macSweep: { database, runtime, owners, rowMacs, secret: config.stateSecret },
    assets: config.assets,
    signIn,
  };
}

/** The workspaces that a policy names, for a role or for a source of webhooks. */
const workspacesOf = ({ roles, webhooks }: Policy): readonly string[] =>
  [...roles, ...webhooks].flatMap(({ workspaces }) => workspaces).filter((workspaceUuid) => workspaceUuid !== '*');

/**
 * Finds the roles of each identity once. A JWT that the isolate remembers gives the same object each time, and the bindings do not
 * change.
 */
function rememberingRoles(find: (identity: Identity) => readonly Role[]): (identity: Identity) => readonly Role[] {
  const known = new WeakMap<Identity, readonly Role[]>();
  return (identity) => {
    const roles = known.get(identity) ?? find(identity);
    known.set(identity, roles);
    return roles;
  };
}
