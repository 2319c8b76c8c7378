import { and, eq, inArray, lte, notExists, or, sql, type SQL } from 'drizzle-orm';
import { IDEMPOTENCY_EXPIRY_BATCH_ROWS, IDEMPOTENCY_TTL_MS } from '../config/limits.ts';
import type { Database } from '../db/database.ts';
import { auditEvents, idempotencyKeys, revocationOrders, tokens } from '../db/schema.ts';
import { selectedRow } from '../db/sql.ts';
import { canonicalWorkspace } from '../db/workspace-spelling.ts';
import type { KeyedRequest } from './sealing.ts';
import type { Runtime } from '../kit/runtime.ts';
import type { RequestContext } from '../kit/trace.ts';

// Queries on the keys of creates. They are built here and sent by whoever has a batch to put them in.

/**
 * Whether the token of the create that holds a key was withheld, and is revoked by now. Until then a repeat would mint a second
 * token beside one that lives. An answer that was kept is of a token that was handed out.
 */
const IS_UNDONE = sql`${idempotencyKeys.sealed} is null and exists (
  select 1 from ${auditEvents} as e join ${revocationOrders} as o
    on o.workspace_uuid = ${canonicalWorkspace('e.workspace_uuid')} and o.token_id = e.token_id
  where e.id = ${idempotencyKeys.event_id} and e.status <> 'attempted'
    and o.mode = 'revoke' and o.state in ('acknowledged', 'confirmed'))`;

/**
 * Claims a key for a create, if nobody holds it, and reads who does: three queries, the last of which gives one row. What the
 * trail and the inventory say of the holder comes with it.
 *
 * @param guard under which it is claimed.
 */
export function claimKey({ build }: Database, request: KeyedRequest, eventId: string, nowMs: number, guard: SQL) {
  const former = request.former === null ? [] : [request.former.keyHash];
  const isKey = inArray(idempotencyKeys.key_hash, [request.keyHash, ...former]);
  const held = sql`select 1 from ${idempotencyKeys} where ${isKey}`;
  const claim = {
    key_hash: request.keyHash,
    request_fingerprint: request.fingerprint,
    event_id: eventId,
    expires_at: nowMs + IDEMPOTENCY_TTL_MS,
  };
  return [
    build.delete(idempotencyKeys).where(and(isKey, or(isOver({ build }, nowMs), IS_UNDONE))),
    build
      .insert(idempotencyKeys)
      .select(sql`select ${selectedRow(idempotencyKeys, claim)} where not exists (${held}) and ${guard}`),
    build
      .select({
        key_hash: idempotencyKeys.key_hash,
        event_id: idempotencyKeys.event_id,
        request_fingerprint: idempotencyKeys.request_fingerprint,
        sealed: idempotencyKeys.sealed,
        /** Null: the trail lacks the holder, which cannot be. */
        status: auditEvents.status,
        token_id: auditEvents.token_id,
        token_expires_at: sql<number | null>`${tokens.expires_at}`.as('token_expires_at'),
        revoked_at: tokens.revoked_at,
        suspended_by: tokens.suspended_by,
      })
      .from(idempotencyKeys)
      .leftJoin(auditEvents, eq(auditEvents.id, idempotencyKeys.event_id))
      .leftJoin(
        tokens,
        and(
          eq(tokens.workspace_uuid, canonicalWorkspace('audit_events.workspace_uuid')),
          eq(tokens.token_id, auditEvents.token_id),
        ),
      )
      .where(isKey),
  ] as const;
}

/** Keeps the answer of the create that holds a key, where `guard` holds; null: it is not told again. */
export const keepAnswer = (
  { build }: Database,
  { keyHash }: KeyedRequest,
  eventId: string,
  sealed: string | null,
  guard: SQL,
) =>
  build
    .update(idempotencyKeys)
    .set({ sealed })
    .where(and(eq(idempotencyKeys.key_hash, keyHash), eq(idempotencyKeys.event_id, eventId), guard));

/** Frees the key for another try, if this create holds it and where `guard` holds. */
export const freeKey = ({ build }: Database, { keyHash }: KeyedRequest, eventId: string, guard: SQL) =>
  build
    .delete(idempotencyKeys)
    .where(and(eq(idempotencyKeys.key_hash, keyHash), eq(idempotencyKeys.event_id, eventId), guard));

/**
 * The same, long after the request with the key is gone. It looks at every key of the last hour: fewer than the thousand
 * creates that PipeOps takes in it, so an index would cost more than it spares.
 */
export const freeKeyOf = ({ build }: Database, eventId: string, guard: SQL) =>
  build.delete(idempotencyKeys).where(and(eq(idempotencyKeys.event_id, eventId), guard));

/**
 * Whether a key's time is over. While nobody knows what became of its create, it is not: the same key would mint another token.
 */
const isOver = ({ build }: Pick<Database, 'build'>, nowMs: number): SQL | undefined =>
  and(
    lte(idempotencyKeys.expires_at, nowMs),
    notExists(
      build
        .select({ one: sql`1` })
        .from(auditEvents)
        .where(and(eq(auditEvents.id, idempotencyKeys.event_id), eq(auditEvents.status, sql`'attempted'`))),
    ),
  );

/** Erases keys that have expired, and the answers sealed under them, the oldest first. A row for each. */
function deleteExpired({ build }: Database, nowMs: number) {
  const expired = build
    .select({ key_hash: idempotencyKeys.key_hash })
    .from(idempotencyKeys)
    .where(isOver({ build }, nowMs))
    .orderBy(idempotencyKeys.expires_at)
    .limit(IDEMPOTENCY_EXPIRY_BATCH_ROWS);
  return build
    .delete(idempotencyKeys)
    .where(inArray(idempotencyKeys.key_hash, expired))
    .returning({ key_hash: idempotencyKeys.key_hash });
}

export interface KeyExpiry {
  /** Erases keys whose time is over, at most a batch of them. What D1 does not take now is left for the next run. */
  run(context: RequestContext): Promise<{ readonly erased: number }>;
}

export const createKeyExpiry = ({
  database,
  runtime,
}: {
  readonly database: Database;
  readonly runtime: Runtime;
}): KeyExpiry => ({
  run: async (context) => {
    const query = deleteExpired(database, runtime.now());
    const deleted = await database.batch(context, [query]);
    return { erased: deleted.ok ? deleted.value[0].length : 0 };
  },
});
