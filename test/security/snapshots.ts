import { TOKENS } from '../support/harness.ts';
import { nameOf, type ProtectedRoute } from './routes.ts';

/** How old a list may be that reads are answered from: with 0 every read asks PipeOps, by other code. */
export interface Snapshots {
  readonly snapshots: 'off' | 'on';
  readonly env: Readonly<Record<string, unknown>>;
}

export const SNAPSHOTS_OFF: Snapshots = { snapshots: 'off', env: { SNAPSHOT_MAX_AGE_SECONDS: '0' } };
export const SNAPSHOTS_ON: Snapshots = { snapshots: 'on', env: { SNAPSHOT_MAX_AGE_SECONDS: '15' } };
export const BOTH = [SNAPSHOTS_OFF, SNAPSHOTS_ON] as const;

/** A list or a get. Nothing else is answered from a list, so nothing else is tested with snapshots on as well: it would run the same code twice. */
export const readsLists = ({ method, pattern }: Pick<ProtectedRoute, 'method' | 'pattern'>): boolean =>
  method === 'GET' && pattern.startsWith(TOKENS);

/** Each route with snapshots off, and each that reads lists with snapshots on. */
export const inEachMode = (
  routes: readonly ProtectedRoute[],
): readonly (readonly [string, ProtectedRoute, Snapshots])[] =>
  routes.flatMap((route) =>
    BOTH.filter((mode) => mode === SNAPSHOTS_OFF || readsLists(route)).map(
      (mode) => [`${nameOf(route)}, snapshots ${mode.snapshots}`, route, mode] as const,
    ),
  );
