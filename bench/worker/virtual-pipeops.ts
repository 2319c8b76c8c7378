import { createQuota, quotaHeaders } from '../../test/pipeops-simulator/quota.ts';

/** A clock that somebody moves. Milliseconds since the epoch. */
export interface Clock {
  readonly beganMs: number;
  ms: number;
}

/** The longest that an answer is on its way, in real milliseconds: by the virtual clock it takes no time. */
const ANSWER_MAX_MS = 4;

interface Token {
  readonly id: string;
  readonly name: string;
  readonly scopes: readonly string[];
}

/** A PipeOps in this isolate, with its true limits by the clock of the run. */
export interface VirtualPipeOps {
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>;
  /** Tokens that are there from the beginning, by their names. */
  readonly seed: (workspaceUuid: string, names: readonly string[]) => ReadonlyMap<string, string>;
  /** Calls that arrived, and those of them that were refused. */
  readonly counts: { calls: number; refused: number };
}

/**
 * Each list tells when it was taken, in the `last_used_at` of its tokens: so the age of what a caller reads is known without
 * asking the service.
 */
export function createVirtualPipeOps(clock: Clock): VirtualPipeOps {
  const quota = createQuota();
  const workspaces = new Map<string, Map<string, Token>>();
  const counts = { calls: 0, refused: 0 };

  const tokensOf = (workspaceUuid: string): Map<string, Token> => {
    const tokens = workspaces.get(workspaceUuid) ?? new Map<string, Token>();
    workspaces.set(workspaceUuid, tokens);
    return tokens;
  };

  const shown = (workspaceUuid: string, { id, name, scopes }: Token) => ({
    id,
    uuid: id,
    name,
    scopes,
    token_prefix: 'sat_0123456',
    workspace_id: workspaceUuid,
    is_revoked: false,
    is_expired: false,
    is_active: true,
    expires_at: null,
    created_at: new Date(clock.beganMs).toISOString(),
    updated_at: new Date(clock.beganMs).toISOString(),
    last_used_at: new Date(clock.ms).toISOString(),
  });

  /** Done at once; what is answered may be overtaken. */
  const serve = (workspaceUuid: string, method: string, id: string, body: Partial<Token>): Response => {
    const tokens = tokensOf(workspaceUuid);
    if (method === 'POST') {
      const token = { id: crypto.randomUUID(), name: body.name ?? '', scopes: body.scopes ?? [] };
      tokens.set(token.id, token);
      const data = { ...shown(workspaceUuid, token), token: `sat_${crypto.randomUUID().replaceAll('-', '')}` };
      return Response.json({ success: true, message: '', data }, { status: 201 });
    }
    if (id === '') {
      const all = [...tokens.values()].map((token) => shown(workspaceUuid, token));
      return Response.json({ success: true, message: '', data: { tokens: all, total: all.length } });
    }
    const token = tokens.get(id);
    if (token === undefined) return Response.json({ success: false, status: 'error', message: '' }, { status: 404 });
    if (method === 'DELETE') {
      tokens.delete(id);
      return Response.json({ success: true, message: '' });
    }
    const renamed = { ...token, ...(body.name !== undefined && { name: body.name }) };
    tokens.set(id, renamed);
    return Response.json({ success: true, message: '', data: { token: shown(workspaceUuid, renamed) } });
  };

  return {
    counts,
    seed: (workspaceUuid, names) => {
      const made = names.map((name) => ({ id: crypto.randomUUID(), name, scopes: ['api:read'] }));
      for (const token of made) tokensOf(workspaceUuid).set(token.id, token);
      return new Map(made.map(({ id, name }) => [id, name]));
    },
    fetch: async (url, init) => {
      counts.calls += 1;
      const text = init.body === undefined || init.body === null ? '{}' : await new Response(init.body).text();
      const verdict = quota.charge('credential', clock.ms);
      if (!verdict.allowed) {
        counts.refused += 1;
        const body = { success: false, status: 'error', message: 'Too many requests' };
        return Response.json(body, { status: 429, headers: quotaHeaders(verdict) });
      }
      const { pathname, searchParams } = new URL(url);
      const id = /\/service-account-tokens\/([^/]+)$/.exec(pathname)?.[1] ?? '';
      const fields: Partial<Token> = JSON.parse(text === '' ? '{}' : text);
      const answer = serve(searchParams.get('workspace_uuid') ?? '', init.method ?? 'GET', id, fields);
      for (const [name, value] of Object.entries(quotaHeaders(verdict))) answer.headers.set(name, value);
      await scheduler.wait(1 + (counts.calls % ANSWER_MAX_MS));
      return answer;
    },
  };
}
