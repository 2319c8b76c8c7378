import { env } from 'cloudflare:workers';
import type { idempotencyKeys } from '../../src/db/schema.ts';
import { createHarness, TOKENS, type Answer, type Harness, type HarnessOptions } from '../support/harness.ts';

export type KeyRow = typeof idempotencyKeys.$inferSelect;

export const BODY = { name: 'deploy', scopes: ['api:read'] };

/** The whole Worker with a clock that can be moved. */
export async function createIdempotencyHarness(options: HarnessOptions = {}) {
  let skewMs = 0;
  const harness = await createHarness({
    ...options,
    runtime: { now: () => Date.now() + skewMs, sleep: async () => {}, ...options.runtime },
  });
  return {
    ...harness,
    /** Milliseconds since the epoch, by the clock of the harness. */
    jwtFor: async (role: string, claims: Record<string, unknown> = {}): Promise<string> => {
      const nowSeconds = Math.floor((Date.now() + skewMs) / 1000);
      return await harness.jwtFor(role, { iat: nowSeconds, exp: nowSeconds + 300, ...claims });
    },
    age: (seconds: number): void => {
      skewMs += seconds * 1000;
    },
  };
}

export const newKey = (): string => crypto.randomUUID();

/** A create with this key. */
export const create = async (
  harness: Pick<Harness, 'send' | 'jwtFor'>,
  key: string,
  request: { readonly jwt?: string; readonly body?: unknown; readonly query?: string } = {},
): Promise<Answer> =>
  await harness.send('POST', TOKENS + (request.query ?? ''), {
    body: request.body ?? BODY,
    headers: { 'Idempotency-Key': key },
    jwt: request.jwt ?? (await harness.jwtFor('admin')),
  });

export const creates = async (harness: Pick<Harness, 'rows'>) =>
  (await harness.rows()).filter(({ action }) => action === 'service_account_token.create');

export const outcomeOf = (row: { readonly outcome: string | null } | undefined): unknown =>
  JSON.parse(row?.outcome ?? 'null');

/** The keys that creates of this harness hold. */
export const keysOf = async (harness: Pick<Harness, 'workspace'>): Promise<KeyRow[]> =>
  (
    await env.DB.prepare(
      'select k.* from idempotency_keys k join audit_events e on e.id = k.event_id where e.workspace_uuid = ?',
    )
      .bind(harness.workspace)
      .all<KeyRow>()
  ).results;

/** How often PipeOps was asked for a token. */
export const posts = async (harness: Pick<Harness, 'upstream'>): Promise<number> =>
  (await harness.upstream()).filter(({ method }) => method === 'POST').length;

export const live = async (harness: Pick<Harness, 'upstreamTokens'>): Promise<string[]> =>
  (await harness.upstreamTokens()).filter(({ is_revoked }) => !is_revoked).map(({ id }) => id);

/** A D1 binding that lets something else happen before its n-th batch. */
export function interruptedBefore(batch: number, happens: () => Promise<unknown>): D1Database {
  let sent = 0;
  return new Proxy(env.DB, {
    get: (target, name) => {
      const value: unknown = Reflect.get(target, name);
      if (name !== 'batch') return typeof value === 'function' ? value.bind(target) : value;
      return async (statements: D1PreparedStatement[]) => {
        sent += 1;
        if (sent === batch) await happens();
        return await target.batch(statements);
      };
    },
  });
}
