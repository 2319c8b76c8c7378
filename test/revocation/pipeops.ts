/**
 * A PipeOps in the isolate of a test, by the clock of that test: what it is told to lie about it lies about until it is told
 * otherwise, and `tokens` is the truth.
 */

/** What it really holds. Times are milliseconds since the epoch. */
export interface TrueToken {
  readonly id: string;
  readonly workspace: string;
  name: string;
  scopes: readonly string[];
  expiresAt: string | null;
  readonly secret: string;
  readonly createdAtMs: number;
  revokedAtMs: number | null;
  isActive: boolean;
}

/** How it misbehaves. All of it may be changed at any moment. */
export interface Behaviour {
  /** Lists show the tokens of so long ago. */
  listLagMs: number;
  /** Lists lack these tokens; `all`: they are empty. */
  hidden: ReadonlySet<string> | 'all';
  /** Every route of a workspace answers a JSON 404. */
  isWorkspaceGone: boolean;
  /** A DELETE is acknowledged and not done. */
  ignoresRevokes: boolean;
  /** A PATCH of `is_active` is acknowledged with the token as it was. */
  ignoresSuspends: boolean;
  /** A PATCH is answered 504 and done so much later. */
  patchDelayMs: number | null;
  /** A DELETE of a token that is there answers a JSON 404. */
  hidesFromRevokes: boolean;
  /** Names are cut to so many characters. */
  nameMaxChars: number;
  /** Whether revoked tokens stay in lists, and count in `total`. */
  listsRevoked: boolean;
  totalCountsRevoked: boolean;
  /** Tokens a page; null: one page holds all. */
  pageSize: number | null;
  /** Whether `page` is honoured. */
  pages: 'honoured' | 'ignored' | 'refused';
  hasTotal: boolean;
  /** What a create's answer says in place of the truth; the truth is what it was asked for, unless `mints` says otherwise. */
  createAnswer: Readonly<Record<string, unknown>>;
  mints: Readonly<{ scopes?: readonly string[]; expires_at?: string | null }>;
  /** What happens between the effect of a request and its answer. */
  beforeAnswer: ((method: string) => Promise<unknown>) | null;
  /** Answers in place of PipeOps; null: it answers itself. */
  intercept: ((method: string, url: URL) => Response | null) | null;
}

export interface Sent {
  readonly method: string;
  readonly tokenId: string | null;
  readonly workspace: string;
  readonly atMs: number;
}

const honest = (): Behaviour => ({
  listLagMs: 0,
  hidden: new Set(),
  isWorkspaceGone: false,
  ignoresRevokes: false,
  ignoresSuspends: false,
  patchDelayMs: null,
  hidesFromRevokes: false,
  nameMaxChars: Infinity,
  listsRevoked: false,
  totalCountsRevoked: false,
  pageSize: null,
  pages: 'honoured',
  hasTotal: true,
  createAnswer: {},
  mints: {},
  beforeAnswer: null,
  intercept: null,
});

export type FakePipeOps = ReturnType<typeof createFakePipeOps>;

export function createFakePipeOps(now: () => number) {
  const tokens = new Map<string, TrueToken>();
  const sent: Sent[] = [];
  const late: { readonly atMs: number; readonly apply: () => void }[] = [];
  let behaviour = honest();

  const json = (status: number, body: unknown): Response => Response.json(body, { status });
  const notFound = (): Response => json(404, { success: false, message: 'Not found' });
  const success = (data: unknown, status = 200): Response => json(status, { success: true, message: 'ok', data });

  const wireOf = (token: TrueToken) => ({
    id: token.id,
    uuid: token.id,
    name: token.name,
    description: null,
    scopes: token.scopes,
    token_prefix: token.secret.slice(0, 11),
    workspace_id: token.workspace,
    is_revoked: token.revokedAtMs !== null,
    is_expired: token.expiresAt !== null && Date.parse(token.expiresAt) <= now(),
    is_active: token.isActive,
    expires_at: token.expiresAt,
    created_at: new Date(token.createdAtMs).toISOString(),
    updated_at: new Date(token.createdAtMs).toISOString(),
    last_used_at: null,
  });

  const listed = (workspace: string, query: URLSearchParams): Response => {
    const atMs = now() - behaviour.listLagMs;
    const all = [...tokens.values()].filter((token) => token.workspace === workspace && token.createdAtMs <= atMs);
    const isLive = (token: TrueToken) => token.revokedAtMs === null || token.revokedAtMs > atMs;
    const { hidden } = behaviour;
    const shown = (hidden === 'all' ? [] : all.filter(({ id }) => !hidden.has(id))).filter(
      (token) => behaviour.listsRevoked || isLive(token),
    );
    const page = Number(query.get('page') ?? '1');
    if (page > 1 && behaviour.pages === 'refused') return json(422, { success: false, message: 'page is not known' });
    const size = behaviour.pageSize ?? Math.max(shown.length, 1);
    const first = behaviour.pages === 'honoured' ? (page - 1) * size : 0;
    return success({
      tokens: shown
        .slice(first, first + size)
        .map((token) => wireOf({ ...token, revokedAtMs: isLive(token) ? null : token.revokedAtMs })),
      ...(behaviour.hasTotal && {
        total: hidden === 'all' ? 0 : behaviour.totalCountsRevoked ? all.length : shown.length,
      }),
    });
  };

  const create = (workspace: string, body: Record<string, unknown>): Response => {
    const id = crypto.randomUUID();
    const asked = {
      scopes: body['scopes'] as string[],
      expires_at: (body['expires_at'] as string | undefined) ?? null,
    };
    const minted = { ...asked, ...behaviour.mints };
    const token: TrueToken = {
      id,
      workspace,
      name: String(body['name']).slice(0, behaviour.nameMaxChars),
      scopes: minted.scopes,
      expiresAt: minted.expires_at,
      secret: `sat_${crypto.randomUUID().replaceAll('-', '')}`,
      createdAtMs: now(),
      revokedAtMs: null,
      isActive: true,
    };
    tokens.set(id, token);
    const answer: Record<string, unknown> = { ...wireOf(token), token: token.secret, ...behaviour.createAnswer };
    for (const [name, value] of Object.entries(answer)) if (value === undefined) delete answer[name];
    return success(answer, 201);
  };

  const update = (token: TrueToken, body: Record<string, unknown>): Response => {
    const apply = (): void => {
      if (typeof body['name'] === 'string') token.name = body['name'];
      if (Array.isArray(body['scopes'])) token.scopes = body['scopes'] as string[];
      if (typeof body['is_active'] === 'boolean' && !behaviour.ignoresSuspends) token.isActive = body['is_active'];
    };
    if (behaviour.patchDelayMs !== null) {
      late.push({ atMs: now() + behaviour.patchDelayMs, apply });
      return json(504, { success: false, message: 'gateway' });
    }
    apply();
    return success({ token: wireOf(token) });
  };

  const answer = (method: string, url: URL, text: string | null): Response => {
    for (const change of late.splice(0)) {
      if (change.atMs <= now()) change.apply();
      else late.push(change);
    }
    const workspace = url.searchParams.get('workspace_uuid') ?? '';
    const id = /service-account-tokens\/([^/]+)$/.exec(url.pathname)?.[1] ?? null;
    sent.push({ method, tokenId: id, workspace, atMs: now() });
    const intercepted = behaviour.intercept?.(method, url) ?? null;
    if (intercepted !== null) return intercepted;
    if (behaviour.isWorkspaceGone) return notFound();
    const body = text === null ? {} : (JSON.parse(text) as Record<string, unknown>);
    if (id === null) return method === 'POST' ? create(workspace, body) : listed(workspace, url.searchParams);
    const token = tokens.get(id);
    if (token === undefined || token.workspace !== workspace || token.revokedAtMs !== null) return notFound();
    if (method === 'GET') return success({ token: wireOf(token) });
    if (method === 'PATCH') return update(token, body);
    if (behaviour.hidesFromRevokes) return notFound();
    if (!behaviour.ignoresRevokes) token.revokedAtMs = now();
    return success(null);
  };

  return {
    tokens,
    sent,
    /** Replaces parts of how it behaves. */
    behave: (parts: Partial<Behaviour>): void => {
      behaviour = { ...behaviour, ...parts };
    },
    beHonest: (): void => {
      behaviour = honest();
    },
    fetch: async (input: string, init: RequestInit): Promise<Response> => {
      const method = init.method ?? 'GET';
      const answered = answer(method, new URL(input), typeof init.body === 'string' ? init.body : null);
      await behaviour.beforeAnswer?.(method);
      return answered;
    },
    /** A token that somebody makes at PipeOps' own console. */
    insert: (workspace: string, name: string): TrueToken => {
      const token: TrueToken = {
        id: crypto.randomUUID(),
        workspace,
        name,
        scopes: ['api:read'],
        expiresAt: null,
        secret: `sat_${crypto.randomUUID().replaceAll('-', '')}`,
        createdAtMs: now(),
        revokedAtMs: null,
        isActive: true,
      };
      tokens.set(token.id, token);
      return token;
    },
    isAlive: (id: string): boolean => tokens.get(id)?.revokedAtMs === null,
    alive: (): readonly string[] =>
      [...tokens.values()].filter((token) => token.revokedAtMs === null).map(({ id }) => id),
  };
}
