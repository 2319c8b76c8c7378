import type { Fault, FaultForm, FaultMatch } from './faults-wire.ts';

/** What faults are matched on. */
export interface MatchedRequest {
  readonly method: string;
  readonly path: string;
  readonly workspaceUuid: string | null;
  readonly bearer: string | null;
  /** Of a request for tokens. */
  readonly clientId?: string | null;
}

export const matches = (match: FaultMatch | undefined, request: MatchedRequest): boolean =>
  match === undefined ||
  ((match.method === undefined || match.method === request.method) &&
    (match.workspace_uuid === undefined || match.workspace_uuid === request.workspaceUuid) &&
    (match.path_contains === undefined || request.path.includes(match.path_contains)) &&
    (match.credential === undefined || match.credential === request.bearer) &&
    (match.client_id === undefined || match.client_id === request.clientId));

export type FaultList = ReturnType<typeof createFaultList>;

/** The faults that wait for their requests, oldest first. */
export function createFaultList() {
  let waiting: { readonly fault: Fault; timesLeft: number }[] = [];
  return {
    add: (faults: readonly Fault[]): void => {
      for (const fault of faults) waiting.push({ fault, timesLeft: fault.times ?? 1 });
    },
    /** Removes the faults whose match has every value of `filter`; an empty one removes all. */
    clear: (filter: Readonly<Record<string, string>>): void => {
      waiting = waiting.filter(({ fault }) => {
        const match = new Map(Object.entries(fault.match ?? {}));
        return Object.entries(filter).some(([name, value]) => match.get(name) !== value);
      });
    },
    /** The first fault for this request, used once by it; null: none. */
    take: (request: MatchedRequest): Fault | null => {
      const entry = waiting.find(({ fault }) => matches(fault.match, request));
      if (entry === undefined) return null;
      entry.timesLeft -= 1;
      if (entry.timesLeft === 0) waiting = waiting.filter((other) => other !== entry);
      return entry.fault;
    },
  };
}

/** The answer forms that a fault asks for. */
export const formsOf = (fault: Fault | null): ReadonlySet<FaultForm> =>
  new Set(fault?.form === undefined ? [] : [fault.form].flat());
