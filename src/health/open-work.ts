import { and, count, eq, gte, isNotNull, min, sql } from 'drizzle-orm';
import type { Database, DatabaseFailure } from '../db/database.ts';
import { auditEvents, revocationOrders, tokens, unauthenticRows, webhookDeliveries } from '../db/schema.ts';
import { lackingMigrations, lackingTables, selectMigrations, selectTables } from '../db/migrations.ts';
import { forgetOutcomes, type OutcomeRow, selectOutcomes } from '../pipeops/outcome-rows.ts';
import { type CallBucket, selectCalls } from '../pipeops/quota-calls.ts';
import { type QuotaNews, selectQuotaNews } from '../pipeops/quota-news.ts';
import type { Trace } from '../kit/trace.ts';
import { ok, type Result } from '../kit/result.ts';
import type { Runtime } from '../kit/runtime.ts';
import { type ListStateRow, selectListStates } from './lists.ts';
import type { CallerBar } from '../failures.ts';
import { type Barrable, barOf, selectBar } from '../subjects/bars.ts';
import { ORDER_RANKS } from '../inventory/orders.ts';
import type { OrderState } from '../vocabulary.ts';
import { type SealingState, selectSealingState } from '../trail/log/statements.ts';
import { COUNTED, GIVEN_UP, isIn, isInState, ORDER_STATE } from '../revocation/orders/states.ts';

/** What is not over yet, and what has failed for good. Times are milliseconds since the epoch. */
export interface OpenWork {
  /** The attempts whose outcome is not known. */
  readonly attempts: { readonly count: number; readonly oldestMs: number | null };
  /** The orders that PipeOps has not acknowledged, that no look has confirmed, that were given up, or that a look contradicts. */
  readonly orders: {
    readonly open: number;
    readonly acknowledged: number;
    readonly failed: number;
    readonly contradicted: number;
    /** When the oldest open or acknowledged order was made. */
    readonly oldestMs: number | null;
    readonly oldestFailedMs: number | null;
    readonly contradictedSinceMs: number | null;
    /** The ids of keys that live tokens were fingerprinted with and that are not configured. Leaks of those tokens are not recognised. */
    readonly missingKeyIds: readonly string[];
  };
  /** How many rightly signed deliveries were refused within a day. At most WEBHOOK_REFUSED_MAX_ROWS a minute of a sender are counted. */
  readonly refusedDeliveries: number;
  /** What isolates told each other of PipeOps' quota. */
  readonly limits: readonly QuotaNews[];
  /** The calls to PipeOps that are reserved, by bucket. */
  readonly calls: readonly CallBucket[];
  /** Why the caller who asks is kept out; null if it is not. */
  readonly bar: CallerBar | null;
  readonly lists: readonly ListStateRow[];
  /** What calls to PipeOps came to. */
  readonly outcomes: readonly OutcomeRow[];
  /** How the log of the trail stands; null where the trail is not sealed. */
  readonly sealing: SealingState | null;
  /** The rows whose MAC is wrong. */
  readonly unauthentic: { readonly count: number; readonly sinceMs: number | null };
  /** The tables and migrations that the database lacks. */
  readonly lacking: readonly string[];
}

/** What is read: of which database, with which clock, and what is configured. */
export interface OpenWorkDependencies {
  readonly database: Database;
  readonly runtime: Pick<Runtime, 'now'>;
  readonly fingerprintKeyIds: readonly string[];
  /** The workspaces that are configured, in the order in which a probe chooses one. */
  readonly workspaceUuids: readonly string[];
  /** Whether the trail is sealed. */
  readonly isSealed: boolean;
}

/** Senders repeat a delivery for a day or so, and then give it up. */
const REFUSED_WITHIN_MS = 24 * 60 * 60 * 1000;

const NOBODY: Barrable = { issuer: null, subject: null, label: null };

/**
 * Reads all of it in one batch, by the indexes that hold only what is open, failed, or live. The batch also writes, though nearly always
 * nothing: a database that can be read and takes no rows is as good as down, since nothing is answered that is not recorded.
 */
export async function readOpenWork(
  { database, runtime, fingerprintKeyIds, workspaceUuids, isSealed }: OpenWorkDependencies,
  context: { readonly trace: Trace },
  asker: Barrable = NOBODY,
): Promise<Result<OpenWork, DatabaseFailure>> {
  const { build } = database;
  const queries = [
    build
      .select({ open: count().as('open'), oldest: min(auditEvents.occurred_at).as('oldest') })
      .from(auditEvents)
      .where(eq(auditEvents.status, sql`'attempted'`)),
    build
      .select({
        state: revocationOrders.state,
        orders: count().as('orders'),
        oldest: min(revocationOrders.created_at).as('oldest'),
      })
      .from(revocationOrders)
      .where(isIn(sql`${revocationOrders.state}`, COUNTED))
      .groupBy(revocationOrders.state),
    build
      .select({ contradicted: count().as('contradicted'), since: min(revocationOrders.contradicted_at).as('since') })
      .from(revocationOrders)
      .where(isNotNull(revocationOrders.contradicted_at)),
    selectMissingKeys(database, fingerprintKeyIds, runtime.now()),
    selectBar(database, asker),
    selectQuotaNews(database, runtime.now(), null),
    selectCalls(database, runtime.now()),
    selectListStates(database),
    build
      .select({ refused: count().as('refused') })
      .from(webhookDeliveries)
      .where(
        and(
          isNotNull(webhookDeliveries.refused),
          gte(webhookDeliveries.received_at, runtime.now() - REFUSED_WITHIN_MS),
        ),
      ),
    selectOutcomes(database, workspaceUuids, runtime.now()),
    selectTables(database),
    selectMigrations(database),
    build.select({ rows: count().as('rows'), since: min(unauthenticRows.found_at).as('since') }).from(unauthenticRows),
    forgetOutcomes(database, runtime.now()),
  ] as const;
  const sealing = isSealed ? [selectSealingState(database)] : [];
  const read = await database.batch(context, [...queries, ...sealing]);
  if (!read.ok) return read;
  const [[attempts], states, [contradicted], missing, [block], limits, calls, lists, ...more] = read.value;
  const [[deliveries], outcomes, tables, migrations, [unauthentic], , [sealingState] = []] = more;
  const countOf = (state: OrderState): number => states.find((row) => row.state === state)?.orders ?? 0;
  const oldest = states.flatMap((row) => (isInState(row, GIVEN_UP) || row.oldest === null ? [] : [row.oldest]));
  return ok({
    attempts: { count: attempts?.open ?? 0, oldestMs: attempts?.oldest ?? null },
    orders: {
      open: countOf(ORDER_STATE.open),
      acknowledged: countOf(ORDER_STATE.acknowledged),
      failed: countOf(ORDER_STATE.failed),
      contradicted: contradicted?.contradicted ?? 0,
      oldestMs: oldest.length > 0 ? Math.min(...oldest) : null,
      oldestFailedMs: states.find((row) => isInState(row, GIVEN_UP))?.oldest ?? null,
      contradictedSinceMs: contradicted?.since ?? null,
      missingKeyIds: missing.map(({ id }) => id),
    },
    refusedDeliveries: deliveries?.refused ?? 0,
    limits,
    calls,
    lists,
    bar: barOf(block),
    outcomes,
    sealing: sealingState ?? null,
    unauthentic: { count: unauthentic?.rows ?? 0, sinceMs: unauthentic?.since ?? null },
    lacking: [...lackingTables(tables), ...lackingMigrations(migrations)],
  });
}

/** The query for when the next scheduled order is due, or was; null if none is. It reads one row of the index, however many wait. */
export const selectNextScheduled = ({ build }: Database) =>
  build
    .select({ next: min(revocationOrders.next_at).as('next') })
    .from(revocationOrders)
    .where(sql`${revocationOrders.rank} = ${ORDER_RANKS.scheduled} and ${revocationOrders.next_at} is not null`);

/** How much is open, as anybody may know. */
export const countsOf = ({ attempts, orders }: OpenWork) => ({
  open_attempts: attempts.count,
  open_orders: orders.open,
  acknowledged_orders: orders.acknowledged,
  contradicted_orders: orders.contradicted,
  failed_orders: orders.failed,
});

/** How long the oldest fact of the trail has been waiting for its seal, as anybody may know; nothing where the trail is not sealed. */
export const unsealedSeconds = ({ sealing }: OpenWork, nowMs: number): { readonly unsealed_seconds?: number } =>
  sealing === null ? {} : { unsealed_seconds: Math.max(0, Math.floor((nowMs - (sealing.oldest ?? nowMs)) / 1000)) };

/**
 * The query for the ids of fingerprint keys that live tokens need and that are not configured. It steps from one id to the next in
 * their index, so it reads one to three rows for each key, and not one for each token.
 */
function selectMissingKeys({ build }: Database, configured: readonly string[], nowMs: number) {
  const isLive = sql`${tokens.revoked_at} is null and ${tokens.fingerprint_key_id} is not null`;
  const ids = sql`with recursive used(id) as (
      select min(${tokens.fingerprint_key_id}) from ${tokens} where ${isLive}
      union all
      select (select min(${tokens.fingerprint_key_id}) from ${tokens} where ${isLive} and ${tokens.fingerprint_key_id} > used.id)
      from used where used.id is not null)
    select id from used where id is not null and id not in (select value from json_each(${JSON.stringify(configured)}))
      and exists (select 1 from ${tokens} where ${isLive} and ${tokens.fingerprint_key_id} = used.id
        and (${tokens.expires_at} is null or ${tokens.expires_at} > ${nowMs}))`;
  return build.select({ id: sql<string>`id`.as('id') }).from(sql`(${ids})`);
}
