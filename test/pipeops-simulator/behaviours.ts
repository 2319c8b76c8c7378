import type { Behaviour, View } from './faults-wire.ts';
import type { State, StoredToken } from './state.ts';
import { rfc3339 } from './wire.ts';

/** A behaviour, and how many changes there had been when it was set: what `frozen` shows. */
export interface Behaving extends Behaviour {
  readonly since: number;
}

export type BehaviourList = ReturnType<typeof createBehaviours>;

/** How PipeOps behaves, by workspace, and what it has still to carry out. */
export function createBehaviours() {
  const behaviours = new Map<string, Behaving>();
  const cut = new Set<string>();
  const waiting = new Map<string, (() => void)[]>();

  return {
    set: (workspaceUuid: string, behaviour: Behaviour | null, since: number): void => {
      if (behaviour === null) behaviours.delete(workspaceUuid);
      else behaviours.set(workspaceUuid, { ...behaviour, since });
    },
    /** Undefined: it behaves. */
    of: (workspaceUuid: string | null): Behaving | undefined => behaviours.get(workspaceUuid ?? ''),
    /** Notes whether the list that is answered now is cut by a fault. */
    noteList: (workspaceUuid: string, isCut: boolean): void => {
      if (isCut) cut.add(workspaceUuid);
      else cut.delete(workspaceUuid);
    },
    /** Whether the last list was, so that it has no further pages. */
    isCut: (workspaceUuid: string): boolean => cut.has(workspaceUuid),
    /** Keeps a request that is carried out when `carryOut` says so. */
    keep: (workspaceUuid: string, request: () => void): void => {
      waiting.set(workspaceUuid, [...(waiting.get(workspaceUuid) ?? []), request]);
    },
    /** Carries out what waits in a workspace, in the order in which it came; gives how many there were. */
    carryOut: (workspaceUuid: string): number => {
      const requests = waiting.get(workspaceUuid) ?? [];
      waiting.delete(workspaceUuid);
      for (const request of requests) request();
      return requests.length;
    },
  };
}

/** A token as a view shows it; undefined: the view lacks it. */
export function seenBy(
  view: View | undefined,
  token: StoredToken,
  { since, nowMs, state }: { readonly since: number; readonly nowMs: number; readonly state: State },
): StoredToken | undefined {
  if (view === undefined) return token;
  if (view.hide?.includes(token.id) === true) return undefined;
  if (view.young_ms !== undefined && nowMs - Date.parse(token.created_at) < view.young_ms) return undefined;
  if (view.frozen === true) return state.asOf(token.id, { change: since });
  return view.lag_ms === undefined ? token : state.asOf(token.id, { ms: nowMs - view.lag_ms });
}

/** A token with what a behaviour says of its last use. */
export function withUsage(
  token: StoredToken,
  behaving: Pick<Behaving, 'usage' | 'since'> | undefined,
  state: Pick<State, 'asOf'>,
): StoredToken {
  const usage = behaving?.usage;
  if (behaving === undefined || usage === undefined) return token;
  if (usage === 'off') return { ...token, last_used_at: null };
  if (usage === 'frozen') {
    return { ...token, last_used_at: state.asOf(token.id, { change: behaving.since })?.last_used_at ?? null };
  }
  const usedAt = token.last_used_at;
  return { ...token, last_used_at: usedAt === null ? null : rfc3339(Date.parse(usedAt) - usage.back_ms) };
}
