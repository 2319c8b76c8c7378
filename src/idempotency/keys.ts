import { isIn, LOOKED_AT } from '../revocation/orders/states.ts';
import { and, eq, inArray, lte, notExists, or, sql, type SQL } from 'drizzle-orm';
import { IDEMPOTENCY_EXPIRY_BATCH_ROWS } from '../config/limits.ts';
import type { Database, RowsOf } from '../db/database.ts';
import { auditEvents, idempotencyKeys, revocationOrders, tokens } from '../db/schema.ts';
import { selectedRow } from '../db/sql.ts';
import { canonicalWorkspace } from '../db/workspace-spelling.ts';
import type { KeyedRequest, StoredRequest } from './sealing.ts';
import type { IdempotencyFailure } from '../failures.ts';
import { parseJson } from '../kit/json.ts';
import { err, ok, type Result } from '../kit/result.ts';
import type { Runtime } from '../kit/runtime.ts';
import type { RequestContext } from '../kit/trace.ts';

// The idempotency keys of creates in D1: a create claims its key, keeps its answer under it, or frees it; a repeat is answered with
// that answer, and the cron erases what has expired. Queries are built here; whoever has a batch sends them in it.

/**
 * Claims a key for a create if no create holds it, and reads which one does. Of the three queries the last gives one row: the
 * holder, with what the trail and the inventory say of it.
 *
 * @param keepMs how long the answer is kept, from now.
 * @param guard the condition under which the key is claimed.
 */
export function claimKey(
  { build }: Database,
  request: KeyedRequest,
  eventId: string,
  nowMs: number,
  keepMs: number,
  guard: SQL,
) {
  const former = request.former === null ? [] : [request.former.keyHash];
  const isKey = inArray(idempotencyKeys.key_hash, [request.keyHash, ...former]);
  const holders = sql`select 1 from ${idempotencyKeys} where ${isKey}`;
  const claim = {
    key_hash: request.keyHash,
    request_fingerprint: request.fingerprint,
    event_id: eventId,
    expires_at: nowMs + keepMs,
  };
  return [
    build.delete(idempotencyKeys).where(and(isKey, or(isOver({ build }, nowMs), IS_UNDONE))),
    build
      .insert(idempotencyKeys)
      .select(sql`select ${selectedRow(idempotencyKeys, claim)} where not exists (${holders}) and ${guard}`),
    build
      .select({
        key_hash: idempotencyKeys.key_hash,
        event_id: idempotencyKeys.event_id,
        request_fingerprint: idempotencyKeys.request_fingerprint,
        sealed: idempotencyKeys.sealed,
        /** Null if the trail lacked the row of the holder, which cannot be. */
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

/** Keeps the answer of the create that holds a key, if `guard` is true. Null means that the answer is never given again. */
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

/** Frees a key for another try, if this create holds it and `guard` is true. */
export const freeKey = ({ build }: Database, { keyHash }: KeyedRequest, eventId: string, guard: SQL) =>
  build
    .delete(idempotencyKeys)
    .where(and(eq(idempotencyKeys.key_hash, keyHash), eq(idempotencyKeys.event_id, eventId), guard));

/**
 * Frees the key that a create holds, if `guard` is true, long after the request that named the key. It scans every key of the
 * last hour, which are fewer than the thousand creates that PipeOps takes in an hour: an index would cost more than it saves.
 */
export const freeKeyOf = ({ build }: Database, eventId: string, guard: SQL) =>
  build.delete(idempotencyKeys).where(and(eq(idempotencyKeys.event_id, eventId), guard));

/** The create that holds a key, as the first trip to D1 of another create found it. */
export type Holder = RowsOf<ReturnType<typeof claimKey>[2]>[number];

/**
 * The answer of the create that holds the key of this request, to be given once more.
 *
 * Errors, each with the holder's event id: `idempotency_key_reused` if the key came with another request; `idempotency_in_flight`
 * while the outcome of the holder is not known; `idempotency_token_gone` once its token is revoked, expired or suspended, as far
 * as this service knows; `idempotency_no_replay` where its answer is not stored or cannot be opened.
 */
export async function replayOf(
  request: KeyedRequest,
  holder: Holder,
  nowMs: number,
): Promise<Result<unknown, IdempotencyFailure>> {
  const refused = (kind: IdempotencyFailure['kind']) => err({ kind, heldBy: holder.event_id });
  const stored = storedForm(request, holder);
  if (holder.request_fingerprint !== stored.fingerprint) return refused('idempotency_key_reused');
  if (holder.status === 'attempted') return refused('idempotency_in_flight');
  if (holder.status === 'success' && !isLive(holder, nowMs)) return refused('idempotency_token_gone');
  const answer = holder.status === 'success' && holder.sealed !== null ? await stored.unseal(holder.sealed) : null;
  return answer === null ? refused('idempotency_no_replay') : ok(parseJson(answer));
}

/** The form of a request under which its key is stored: that of this version, or of an earlier one. */
const storedForm = (request: KeyedRequest, { key_hash: keyHash }: Holder): StoredRequest =>
  request.former?.keyHash === keyHash ? request.former : request;

/** Whether the inventory knows the token as live. The next list finds a token that ended without this service. */
const isLive = ({ token_expires_at: expiresAtMs, revoked_at, suspended_by }: Holder, nowMs: number): boolean =>
  revoked_at === null && suspended_by === null && (expiresAtMs === null || expiresAtMs > nowMs);

/** The job of the cron that erases keys which have expired, and the answers that are sealed under them. */
export interface KeyExpiry {
  /** Erases at most IDEMPOTENCY_EXPIRY_BATCH_ROWS keys. What D1 does not take now is left for the next run. */
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

/** Erases the keys that expired first, and gives a row for each. */
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

/**
 * Whether a key has expired. It does not while nobody knows what became of its create, since a repeat would then mint a second
 * token.
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

/**
 * Whether the token of the create that holds a key was withheld and is revoked by now. Until then a repeat would mint a second
 * token beside one that lives. Where an answer is stored, the token was handed out.
 */
const IS_UNDONE = sql`${idempotencyKeys.sealed} is null and exists (
  select 1 from ${auditEvents} as e join ${revocationOrders} as o
    on o.workspace_uuid = ${canonicalWorkspace('e.workspace_uuid')} and o.token_id = e.token_id
  where e.id = ${idempotencyKeys.event_id} and e.status <> 'attempted'
    and o.mode = 'revoke' and ${isIn('o.state', LOOKED_AT)})`;
