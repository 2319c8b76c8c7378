import { env } from 'cloudflare:workers';
import { expect } from 'vitest';
import { watchAging } from '../../src/aging/run.ts';
import { parseEnv } from '../../src/config/env.ts';
import { CRON_SHARES } from '../../src/config/limits.ts';
import { createBudget } from '../../src/kit/budget.ts';
import { newTrace, type RequestContext } from '../../src/kit/trace.ts';
import { createServices } from '../../src/services.ts';
import type { OrderRow } from '../../src/db/schema.ts';
import type { AuditEventRow } from '../../src/db/schema.ts';
import { clearOrders } from '../revocation/harness.ts';
import { createHarness, type Answer, type Harness, type HarnessOptions, TOKENS } from '../support/harness.ts';
import { noteSecret } from '../support/secrets.ts';

// A company whose tokens age: the Worker and its PipeOps in the isolate of the test, by one clock.

export const MINUTE = 60_000;
export const DAY = 24 * 60 * MINUTE;
/** A midnight (UTC). */
export const MIDNIGHT = Math.floor(Date.now() / DAY) * DAY;
/** When a night's turn comes round to the only workspace that is due. */
export const TURN = 15 * MINUTE;

interface Held {
  readonly name: string;
  readonly expires_at: string | null;
  is_revoked: boolean;
  is_active: boolean;
  last_used_at: string | null;
}

/** What this PipeOps does otherwise than it should. */
export interface Ailment {
  /** Every call is answered so. */
  readonly answers?: () => Promise<Response>;
  /** What `last_used_at` says. */
  readonly tells?: (id: string, lastUsedAt: string | null) => string | null;
  /** Ids that no list shows. */
  readonly hides?: readonly string[];
  /** The list counts one token more than it shows. */
  readonly isPartial?: boolean;
}

const roles = {
  ci: {
    permissions: ['tokens:create', 'tokens:read', 'tokens:update', 'tokens:revoke'],
    tokens: 'own',
    workspaces: ['*'],
    scopes: ['*'],
    unusedAfter: '90d',
    onUnused: 'suspend',
  },
  human: { permissions: ['tokens:create', 'tokens:read'], tokens: 'own', workspaces: ['*'], scopes: ['*'] },
};

export async function createCompany(
  options: Pick<HarnessOptions, 'db'> & { like?: Pick<Harness, 'workspace' | 'credential' | 'issuer'> } & {
    clock?: { ms: number };
    pipeops?: PipeOps;
  } = {},
) {
  const clock = options.clock ?? { ms: MIDNIGHT };
  const pipeops = options.pipeops ?? createPipeOps(clock);
  const harness = await createHarness({
    ...options,
    roles,
    isSwept: true,
    runtime: { now: () => clock.ms, fetch: pipeops.answer },
  });
  const { workspace } = harness;

  const send = async (method: string, path: string, role: string, body?: unknown): Promise<Answer> => {
    const iat = Math.floor(clock.ms / 1000);
    const jwt = await harness.jwtFor(role, { iat, exp: iat + 300 });
    return await harness.send(method, path, { jwt, ...(body !== undefined && { body }) });
  };
  const mint = async (name: string, fields: object = {}, role = 'ci'): Promise<string> => {
    const { body } = await send('POST', TOKENS, role, { name, scopes: ['api:read'], ...fields });
    return body.data.id;
  };
  /** Tokens in the inventory and at PipeOps, of the owner `ci-1`, with what many nights before this one have kept. */
  const seed = async (ids: readonly string[], values: Readonly<Record<string, unknown>> = {}): Promise<void> => {
    const row: Readonly<Record<string, unknown>> = {
      workspace_uuid: workspace,
      owner_issuer: 'https://issuer.example',
      owner_subject: 'ci-1',
      created_at: clock.ms - 200 * DAY,
      role: 'ci',
      last_used_at: clock.ms - 100 * DAY,
      usage_seen_at: clock.ms - DAY,
      usage_sweeps: 4,
      usage_since: clock.ms - 4 * DAY,
      ...values,
    };
    const used = row['last_used_at'];
    for (const id of ids) pipeops.hold(id, typeof used === 'number' ? used : null);
    const names = Object.keys(row);
    await env.DB.batch([
      env.DB.prepare(
        `insert into tokens (token_id, ${names.join(', ')}) select value, ${names.map(() => '?').join(', ')} from json_each(?)`,
      ).bind(...Object.values(row), JSON.stringify(ids)),
      env.DB.prepare(
        `insert into workspaces (workspace_uuid, generation, lease_until, usage_advanced_at) values (?, 0, 0, ?) on conflict do nothing`,
      ).bind(workspace, clock.ms - DAY),
    ]);
  };
  const eventsOf = async (action: string): Promise<AuditEventRow[]> =>
    (await harness.rows()).filter((row) => row.action === action && row.actor_type === 'system');
  const orders = async (): Promise<OrderRow[]> =>
    (
      await env.DB.prepare('select * from revocation_orders where workspace_uuid = ? order by created_at, token_id')
        .bind(workspace)
        .all<OrderRow>()
    ).results;
  const workspaceRow = async () =>
    await env.DB.prepare('select * from workspaces where workspace_uuid = ?')
      .bind(workspace)
      .first<Record<string, number | null>>();
  const tokenRow = async (id: string) => (await harness.inventory()).find((row) => row.token_id === id);

  const config = parseEnv(harness.bindings, null);
  if (!config.ok) throw new Error(`the configuration is invalid: ${JSON.stringify(config.error)}`);
  const services = createServices(config.value, harness.runtime);
  const contextNow = (): RequestContext => ({
    requestId: crypto.randomUUID(),
    traceparent: null,
    ip: null,
    userAgent: null,
    policyVersion: harness.policyVersion,
    trace: newTrace(),
  });
  /** The job of the cron alone, and how many statements it sent to D1. */
  const watch = async () => {
    const context = contextNow();
    const done = await watchAging(
      services.aging,
      context,
      createBudget(context.trace, harness.runtime, CRON_SHARES.aging),
    );
    expect(context.trace.d1Queries).toBeLessThanOrEqual(CRON_SHARES.aging.d1Queries);
    return done;
  };

  return {
    ...harness,
    clock,
    pipeops,
    send,
    mint,
    seed,
    eventsOf,
    orders,
    workspaceRow,
    tokenRow,
    watch,
    /** The turn of the night of this day, counted from where the clock began. */
    night: async (day: number) => {
      clock.ms = MIDNIGHT + day * DAY + TURN;
      return await watch();
    },
    /** The next turn of the same night. */
    nextTurn: async () => {
      clock.ms += TURN;
      return await watch();
    },
    /** Carries out the orders that are due, a minute later. */
    carryOut: async (): Promise<void> => {
      clock.ms += MINUTE;
      await services.orders.run(contextNow(), null);
    },
    status: async () => (await send('GET', '/api/v1/status', 'admin')).body.data,
  };
}

/** What companies of other tests have left would have turns of its own, and be counted. */
export const forgetCompanies = async (): Promise<void> => {
  await clearOrders();
  const tables = ['tokens', 'workspaces', 'job_leases', 'upstream_calls', 'upstream_outcomes'];
  await env.DB.batch(tables.map((table) => env.DB.prepare(`delete from ${table}`)));
};

export type Company = Awaited<ReturnType<typeof createCompany>>;
type PipeOps = ReturnType<typeof createPipeOps>;

/** PipeOps in the isolate of the test: no quota, and a clock that may run for months. */
function createPipeOps(clock: { readonly ms: number }) {
  const tokens = new Map<string, Held>();
  let ailment: Ailment = {};
  const ok = (data: unknown, status = 200): Response => Response.json({ success: true, message: '', data }, { status });
  const tell = (id: string, token: Held) => ({
    id,
    uuid: id,
    scopes: ['api:read'],
    ...token,
    is_expired: token.expires_at !== null && Date.parse(token.expires_at) <= clock.ms,
    last_used_at: ailment.tells === undefined ? token.last_used_at : ailment.tells(id, token.last_used_at),
  });
  const create = (body: { name: string; expires_at?: string; workspace_uuid: string }): Response => {
    const id = crypto.randomUUID();
    const { name, expires_at = null } = body;
    tokens.set(id, { name, expires_at, is_revoked: false, is_active: true, last_used_at: null });
    const token = `sat_${crypto.randomUUID().replaceAll('-', '')}`;
    noteSecret(token);
    return ok(
      {
        id,
        uuid: id,
        name,
        token,
        token_prefix: token.slice(0, 11),
        workspace_id: body.workspace_uuid,
        scopes: ['api:read'],
        expires_at,
        is_active: true,
      },
      201,
    );
  };

  return {
    answer: async (url: string, init: RequestInit): Promise<Response> => {
      const last = new URL(url).pathname.split('/').at(-1) ?? '';
      const isCollection = last === 'service-account-tokens';
      const isList = isCollection && init.method === 'GET';
      if (ailment.answers !== undefined && isList) return await ailment.answers();
      if (isList) {
        const shown = [...tokens]
          .filter(([id]) => ailment.hides?.includes(id) !== true)
          .map(([id, token]) => tell(id, token));
        return ok({ tokens: shown, total: shown.length + (ailment.isPartial === true ? 1 : 0) });
      }
      const body = typeof init.body === 'string' ? JSON.parse(init.body) : {};
      if (isCollection) return create(body);
      const token = tokens.get(last);
      if (token === undefined || token.is_revoked)
        return Response.json({ success: false, status: 'error', message: '' }, { status: 404 });
      if (init.method === 'DELETE') token.is_revoked = true;
      if (init.method === 'PATCH' && typeof body.is_active === 'boolean') token.is_active = body.is_active;
      return init.method === 'DELETE' ? ok(null) : ok({ token: tell(last, token) });
    },
    tokens,
    hold: (id: string, lastUsedMs: number | null): void => {
      const lastUsedAt = lastUsedMs === null ? null : new Date(lastUsedMs).toISOString();
      tokens.set(id, { name: id, expires_at: null, is_revoked: false, is_active: true, last_used_at: lastUsedAt });
    },
    /** A token is used now. */
    use: (id: string): void => {
      const token = tokens.get(id);
      if (token !== undefined) token.last_used_at = new Date(clock.ms).toISOString();
    },
    ail: (another: Ailment): void => {
      ailment = another;
    },
  };
}
