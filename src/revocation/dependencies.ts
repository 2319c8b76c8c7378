import type { Config } from '../config/env.ts';
import type { Source } from '../config/webhooks.ts';
import type { Database } from '../db/database.ts';
import type { Idempotency } from '../idempotency/sealing.ts';
import type { Runtime } from '../kit/runtime.ts';
import type { Quota } from '../pipeops/quota.ts';
import type { PipeOps } from '../pipeops/types.ts';
import type { Caller, Decision, PolicyRequest } from '../policy/types.ts';
import type { Fingerprints } from '../tokens/fingerprints.ts';
import type { Recorder } from '../trail/recorder.ts';
import type { Rejections } from '../trail/rejections.ts';
import { github } from './senders/github.ts';
import type { Adapter, AdapterDependencies } from './senders/sender.ts';
import { standard } from './senders/standard.ts';

/** What revocation is made of, by webhook and by a caller. */
export interface WebhookDependencies {
  readonly database: Database;
  readonly recorder: Recorder;
  readonly pipeops: PipeOps;
  readonly quota: Quota;
  readonly fingerprints: Fingerprints;
  readonly idempotency: Idempotency;
  readonly rejections: Rejections;
  readonly decide: (caller: Caller, request: PolicyRequest) => Decision;
  readonly runtime: Runtime;
  /** The issuers of the policy. A subject of any other issuer is nobody who could log in. */
  readonly issuers: ReadonlySet<string>;
  /** The workspaces that the configuration names: the default one, and those of roles and senders. */
  readonly namedWorkspaces: readonly string[];
  /** The configured senders, by the last part of their paths. */
  readonly senders: ReadonlyMap<string, ConfiguredSender>;
}

export type DriverDependencies = Pick<WebhookDependencies, 'database' | 'recorder' | 'pipeops' | 'quota' | 'runtime'>;

export interface ConfiguredSender {
  readonly policy: Source;
  readonly adapter: Adapter;
}

/** The senders of the policy, each with its adapter and keys, by the last part of their paths. */
export function configureSenders(
  { policy, webhookSecrets }: Pick<Config, 'policy' | 'webhookSecrets'>,
  dependencies: Omit<AdapterDependencies, 'secret'>,
): ReadonlyMap<string, ConfiguredSender> {
  // A configuration that lacks one is refused.
  const secret = (name: string): string => webhookSecrets.get(name) ?? '';
  return new Map(
    policy.webhooks.map((sender) => [
      sender.name,
      { policy: sender, adapter: createAdapter(sender, { ...dependencies, secret }) },
    ]),
  );
}

/** The adapter of a sender. A further kind is a file in `senders/`, a case here, and its fields in `config/webhooks.ts`. */
function createAdapter(sender: Source, dependencies: AdapterDependencies): Adapter {
  switch (sender.kind) {
    case 'standard':
      return standard(sender, dependencies);
    case 'github':
      return github(sender, dependencies);
  }
}

/** The workspaces that the configuration names one by one. */
export const namedWorkspaces = ({ policy, pipeops }: Pick<Config, 'policy' | 'pipeops'>): readonly string[] => {
  const named = [...policy.roles, ...policy.webhooks].flatMap(({ workspaces }) => workspaces);
  const all = pipeops.defaultWorkspaceUuid === null ? named : [pipeops.defaultWorkspaceUuid, ...named];
  return [...new Set(all)].filter((workspace) => workspace !== '*');
};
