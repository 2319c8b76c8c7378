import type {
  Behaviour,
  Fault,
  InsertedToken,
  OpenedSession,
  ReceivedRequest,
  RequestFilter,
  SessionState,
  SessionTokens,
  TokenState,
} from './faults-wire.ts';

export type Control = ReturnType<typeof createControl>;

/**
 * Drives a running simulator from a test, in Node or in workerd. Several test files may share one simulator: each
 * keeps to a workspace and a credential of its own.
 *
 * Every call rejects, with the simulator's words, if the simulator does not accept it.
 */
export function createControl(baseUrl: string) {
  const call = async <T>(method: string, path: string, body?: unknown): Promise<T> => {
    const response = await fetch(`${baseUrl}/__control${path}`, {
      method,
      ...(body !== undefined && { body: JSON.stringify(body), headers: { 'Content-Type': 'application/json' } }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    const answer: T = JSON.parse(text);
    return answer;
  };

  return {
    /** Adds faults for the requests to come. They are tried in the order in which they were added. */
    fault: async (...faults: readonly Fault[]): Promise<void> => {
      await call('POST', '/faults', { faults });
    },
    /** Removes the faults whose match names this workspace or credential; without a filter, all of everybody's. */
    clearFaults: async (
      filter: Pick<RequestFilter, 'workspace_uuid' | 'credential' | 'client_id'> = {},
    ): Promise<void> => {
      await call('DELETE', `/faults${queryOf(filter)}`);
    },
    /** How PipeOps behaves in a workspace from now on, in place of any behaviour before; null: as it should again. */
    behave: async (workspaceUuid: string, behaviour: Behaviour | null): Promise<void> => {
      await call('POST', '/behaviours', { workspace_uuid: workspaceUuid, behaviour });
    },
    /** Carries out what a `late` behaviour without `ms` kept waiting, in order; gives how many requests that were. */
    carryOut: async (workspaceUuid: string): Promise<number> => {
      const body = { workspace_uuid: workspaceUuid };
      return (await call<{ carried_out: number }>('POST', '/behaviours/carry-out', body)).carried_out;
    },
    /** The requests received, in order. */
    requests: async (filter: RequestFilter = {}): Promise<readonly ReceivedRequest[]> => {
      const path = `/requests${queryOf(filter)}`;
      return (await call<{ requests: readonly ReceivedRequest[] }>('GET', path)).requests;
    },
    /** Forgets the requests that the filter names; without one, all of everybody's. */
    clearRequests: async (filter: RequestFilter = {}): Promise<void> => {
      await call('DELETE', `/requests${queryOf(filter)}`);
    },
    /** What there really is in a workspace, secrets included, revoked tokens too; without a workspace, everywhere. */
    tokens: async (workspaceUuid?: string): Promise<readonly TokenState[]> => {
      const path = `/tokens${queryOf(workspaceUuid === undefined ? {} : { workspace_uuid: workspaceUuid })}`;
      return (await call<{ tokens: readonly TokenState[] }>('GET', path)).tokens;
    },
    /** A token appears that this service did not ask for. */
    insertToken: async (token: InsertedToken): Promise<TokenState> =>
      (await call<{ token: TokenState }>('POST', '/tokens', token)).token,
    /**
     * A token is used: PipeOps says so from now on. `at`: when, in RFC 3339; earlier than before, its time goes back. Null: it vanishes.
     * Default: now by the simulator's clock.
     */
    useToken: async (id: string, at?: string | null): Promise<TokenState> =>
      (await call<{ token: TokenState }>('POST', '/tokens/used', { id, ...(at !== undefined && { at }) })).token,
    /** Somebody revokes a token in PipeOps' own console. */
    revokeByHand: async (tokenId: string): Promise<void> => {
      await call('DELETE', `/tokens/${encodeURIComponent(tokenId)}`);
    },
    /** A user begins a session, which `POST /oauth/token` renews. */
    openSession: async (session: OpenedSession): Promise<SessionTokens> =>
      await call<SessionTokens>('POST', '/sessions', session),
    /** What is true of the sessions of a client. */
    sessions: async (clientId: string): Promise<readonly SessionState[]> =>
      (await call<{ sessions: readonly SessionState[] }>('GET', `/sessions${queryOf({ client_id: clientId })}`))
        .sessions,
    /** From now on the credential is answered 419. */
    endSession: async (credential: string): Promise<void> => {
      await call('POST', '/sessions/ended', { credential });
    },
  };
}

const queryOf = (filter: RequestFilter): string => `?${new URLSearchParams({ ...filter }).toString()}`;
