import type { Recorder } from '../trail/recorder.ts';
import type { Reconciler } from '../trail/reconcile/run.ts';
import type { Database } from '../db/database.ts';
import type { Caller, Decision, PolicyRequest } from '../policy/types.ts';
import type { Idempotency } from '../idempotency/sealing.ts';
import type { Quota } from '../pipeops/quota.ts';
import type { PipeOps } from '../pipeops/types.ts';
import type { Runtime } from '../kit/runtime.ts';
import type { Snapshots } from '../reads/read.ts';
import type { OwnerMacs } from '../inventory/owner-macs.ts';
import type { Fingerprints } from './fingerprints.ts';

/** What the five operations need. */
export interface TokenDependencies {
  readonly database: Database;
  readonly recorder: Recorder;
  readonly reconciler: Pick<Reconciler, 'sweep'>;
  readonly pipeops: PipeOps;
  readonly quota: Quota;
  readonly decide: (caller: Caller, request: PolicyRequest) => Decision;
  /** The most live tokens with which any role of the caller allows a create; null: no role allows it at all. */
  readonly tokenLimit: (caller: Caller, request: Extract<PolicyRequest, { operation: 'create' }>) => number | null;
  /** The scopes that a preset stands for; none for one that nobody configured. */
  readonly presetScopes: (preset: string) => readonly string[];
  readonly fingerprints: Fingerprints;
  readonly owners: OwnerMacs;
  readonly idempotency: Idempotency;
  readonly snapshots: Snapshots;
  readonly runtime: Runtime;
}
