import type { Source } from '../../config/webhook-schema.ts';
import type { Adapter, AdapterDependencies } from './sender.ts';
import { github } from './github.ts';
import { standard } from './standard.ts';

/** The adapter of a source. A further kind of sender is a file, a line here, and its fields in `config/webhook-schema.ts`. */
export function createAdapter(source: Source, dependencies: AdapterDependencies): Adapter {
  switch (source.kind) {
    case 'standard':
      return standard(source, dependencies);
    case 'github':
      return github(source, dependencies);
  }
}
