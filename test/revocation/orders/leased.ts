import { env } from 'cloudflare:workers';
import { createDatabase, type Database, type Query } from '../../../src/db/database.ts';
import type { OrderRow } from '../../../src/db/schema.ts';
import type { UpstreamFailure } from '../../../src/failures.ts';
import { ok } from '../../../src/kit/result.ts';
import type { Call, TokenList, UpstreamToken } from '../../../src/pipeops/types.ts';
import type { LeasedOrder } from '../../../src/revocation/orders/queue.ts';
import type { WorkspaceLook } from '../../../src/revocation/orders/run.ts';
import type { DrivenState } from '../../../src/revocation/orders/states.ts';
import { workerRuntime } from '../../../src/worker-runtime.ts';
import { ABSENCE_GAP_MS } from '../../../src/config/limits.ts';
import { tokenList, upstreamToken } from '../../support/upstream-token.ts';
import { requestContext } from '../../support/request-context.ts';

// Orders that a driver has leased, and what it may find out about them, for tests of its steps one by one.

export const NOW = 1_900_000_000_000;
/** When each list and each judgement is made: the clock stands still, and chance makes every pause its longest. */
export const moment = { nowMs: NOW, chance: 1 };
export const clock = { ...workerRuntime, now: () => NOW, randomBytes: (_length: number) => new Uint8Array([255]) };
export const WORKSPACE = '0a0a0a0a-0000-4000-8000-000000000000';
export const context = requestContext();
export const database = createDatabase(env.DB, workerRuntime);
export const call: Call = {
  eventId: 'e',
  traceparent: null,
  signal: new AbortController().signal,
  trace: context.trace,
};

let made = 0;
/** An order with an id and a token of its own. */
export function leased<S extends DrivenState>(state: S, values: Partial<LeasedOrder> = {}): LeasedOrder<S> {
  made += 1;
  const order = {
    id: `order-${made}`,
    cause: 'leak',
    workspace_uuid: WORKSPACE,
    token_id: `token-${made}`,
    mode: 'revoke',
    rank: 0,
    created_at: NOW - 10 * ABSENCE_GAP_MS,
    result: null,
    error_code: 'upstream_error',
    tries: 1,
    next_at: NOW + 60_000,
    begun_at: NOW - 1_000,
    acknowledged_at: null,
    confirmed_at: null,
    confirm_round: 0,
    unseen_at: null,
    contradicted_at: null,
    known: 1,
    ended_by: null,
    suspended_by: null,
    attempted: 1,
    updated_until: null,
    ...values,
    state,
  };
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- it has every column, and that state
  return order as LeasedOrder<S>;
}

/** When every list of these tests was begun. */
export const BEGUN = NOW - 7;
export const listed = (
  list: TokenList,
  values: Partial<Extract<WorkspaceLook, { kind: 'listed' }>> = {},
): WorkspaceLook => ({
  kind: 'listed',
  begunAtMs: BEGUN,
  list,
  shown: new Map(list.tokens.map((token) => [token.id, token])),
  gone: new Set(),
  isNoProof: false,
  ...values,
});
/** A list that shows the token of an order. */
export const showing = (
  { token_id: id }: Pick<LeasedOrder, 'token_id'>,
  values: Partial<UpstreamToken>,
  isComplete = true,
): WorkspaceLook => listed(tokenList([upstreamToken({ id, ...values })], isComplete));
export const NO_TOKENS = listed(tokenList([]));
export const PARTIAL = listed(tokenList([], false));

export const BROKEN = { kind: 'upstream_error', status: 500 } as const satisfies UpstreamFailure;
export const NOT_FOUND = { kind: 'upstream_not_found', status: 404 } as const satisfies UpstreamFailure;
export const FORBIDDEN = { kind: 'upstream_forbidden', status: 404 } as const satisfies UpstreamFailure;
export const LIMITED = {
  kind: 'upstream_rate_limited',
  status: 429,
  retryAfterSeconds: 5,
} as const satisfies UpstreamFailure;

/** A database that takes every batch, does nothing, and notes what it was sent. */
export function noting(): { readonly database: Database; readonly batches: unknown[] } {
  const batches: unknown[] = [];
  const batch: Database['batch'] = async (_context, queries) => {
    batches.push(queries.map((query) => query.toSQL()));
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a batch that changes something gives no rows
    return await Promise.resolve(ok(queries.map(() => []) as never));
  };
  return { database: { ...database, batch }, batches };
}

const insert = async (table: string, row: object): Promise<void> => {
  const names = Object.keys(row);
  const values = names.map(() => '?').join(', ');
  await env.DB.prepare(`insert into ${table} (${names.join(', ')}) values (${values})`)
    .bind(...Object.values(row))
    .run();
};
/** Puts an order into D1: by default one that is open and due. */
export async function stored(values: Partial<OrderRow> = {}): Promise<OrderRow> {
  made += 1;
  const row: OrderRow = {
    id: `order-${made}`,
    cause: 'leak',
    delivery_id: null,
    workspace_uuid: WORKSPACE,
    token_id: `token-${made}`,
    mode: 'revoke',
    rank: 1,
    state: 'open',
    result: null,
    error_code: null,
    tries: 0,
    next_at: NOW,
    claim: null,
    created_at: NOW - 1_000,
    begun_at: null,
    acknowledged_at: null,
    confirmed_at: null,
    confirm_round: 0,
    unseen_at: null,
    contradicted_at: null,
    ...values,
  };
  await insert('revocation_orders', row);
  return row;
}
/** Puts a token into the inventory. */
export const storeToken = async (values: Readonly<Record<string, unknown>>): Promise<void> =>
  await insert('tokens', { workspace_uuid: WORKSPACE, created_at: 1, ...values });
/** Puts an event into the trail. */
export async function storeEvent(values: Readonly<Record<string, unknown>> = {}): Promise<string> {
  made += 1;
  const id = `event-${made}`;
  const row = {
    id,
    occurred_at: NOW - 1_000,
    action: 'service_account_token.revoke',
    status: 'attempted',
    actor_type: 'system',
    detail: '{}',
    workspace_uuid: WORKSPACE,
    ...values,
  };
  await insert('audit_events', row);
  return row.id;
}

/** Sends one query and gives its rows. */
export async function send<Row>(query: Query<Row[]> | Query): Promise<readonly Row[]> {
  const sent = await database.batch(context, [query] as const);
  if (!sent.ok) throw new Error('D1 does not take it');
  return sent.value[0];
}
