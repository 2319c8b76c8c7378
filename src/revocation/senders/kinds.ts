import type { Config } from '../../config/env.ts';
import type { Source } from '../../config/webhooks.ts';
import type { ConfiguredSource } from '../dependencies.ts';
import { github } from './github.ts';
import type { Adapter, AdapterDependencies } from './sender.ts';
import { standard } from './standard.ts';

/** The adapter of a source. A further kind of sender is a file, a line here, and its fields in `config/webhook-schema.ts`. */
function createAdapter(source: Source, dependencies: AdapterDependencies): Adapter {
  switch (source.kind) {
    case 'standard':
      return standard(source, dependencies);
    case 'github':
      return github(source, dependencies);
  }
}

/** The sources of the policy, each with its adapter and keys, by the last part of their paths. */
export function configureSources(
  { policy, webhookSecrets }: Pick<Config, 'policy' | 'webhookSecrets'>,
  dependencies: Omit<AdapterDependencies, 'secret'>,
): ReadonlyMap<string, ConfiguredSource> {
  // The configuration was refused if one were missing.
  const secret = (name: string): string => webhookSecrets.get(name) ?? '';
  return new Map(
    policy.webhooks.map((source) => [
      source.name,
      { policy: source, adapter: createAdapter(source, { ...dependencies, secret }) },
    ]),
  );
}

/** The workspaces that the configuration names, each by itself. */
export const namedWorkspaces = ({ policy, pipeops }: Pick<Config, 'policy' | 'pipeops'>): readonly string[] => {
  const named = [...policy.roles, ...policy.webhooks].flatMap(({ workspaces }) => workspaces);
  const all = pipeops.defaultWorkspaceUuid === null ? named : [pipeops.defaultWorkspaceUuid, ...named];
  return [...new Set(all)].filter((workspace) => workspace !== '*');
};
