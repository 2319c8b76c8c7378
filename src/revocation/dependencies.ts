import type { Recorder } from '../trail/recorder.ts';
import type { Rejections } from '../trail/rejections.ts';
import type { Database } from '../db/database.ts';
import type { Quota } from '../pipeops/quota.ts';
import type { PipeOps } from '../pipeops/types.ts';
import type { Caller, Decision, PolicyRequest } from '../policy/types.ts';
import type { Runtime } from '../kit/runtime.ts';
import type { Fingerprints } from '../tokens/fingerprints.ts';
import type { Adapter } from './senders/sender.ts';
import type { Source } from '../config/webhooks.ts';

/** What revocation by webhook is made of. */
export interface WebhookDependencies {
  readonly database: Database;
  readonly recorder: Recorder;
  readonly pipeops: PipeOps;
  readonly quota: Quota;
  readonly fingerprints: Fingerprints;
  readonly rejections: Rejections;
  readonly decide: (caller: Caller, request: PolicyRequest) => Decision;
  readonly runtime: Runtime;
  /** The issuers of the policy: whom else a delivery names is nobody who could log in. */
  readonly issuers: ReadonlySet<string>;
  /** The workspaces that the configuration names: the default one, and those of roles and sources. */
  readonly namedWorkspaces: readonly string[];
  /** By the last part of their paths. */
  readonly sources: ReadonlyMap<string, ConfiguredSource>;
}

export type DriverDependencies = Pick<WebhookDependencies, 'database' | 'recorder' | 'pipeops' | 'quota' | 'runtime'>;

export interface ConfiguredSource {
  readonly policy: Source;
  readonly adapter: Adapter;
}
