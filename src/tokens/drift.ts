import { and, eq, exists, inArray, isNull, notExists, sql, type SQL } from 'drizzle-orm';
import { finalRow, SYSTEM_ACTOR, type EventSubject, type NewAuditRow } from '../audit/events.ts';
import { insertEventWhere } from '../audit/insert-where.ts';
import { markerOf } from '../audit/marker.ts';
import { DRIFT_BATCH_TOKENS, TOKEN_NAME_MAX_BYTES } from '../config/limits.ts';
import type { Database } from '../db/database.ts';
import { auditEvents, tokens, type TokenRow } from '../db/schema.ts';
import type { TokenList, UpstreamToken } from '../pipeops/types.ts';
import type { RequestContext } from '../request-context.ts';
import { cutToBytes } from '../text/caps.ts';
import { msOrNull } from '../times.ts';
import type { TokenDependencies } from './dependencies.ts';
import { insertToken, isToken } from './inventory.ts';

/** Where the inventory and PipeOps differ, though nobody here made them. */
export interface Drift {
  /** Live in the inventory, and no longer at PipeOps. */
  readonly gone: readonly TokenRow[];
  /** Made at PipeOps' console, or by whoever else may. */
  readonly appeared: readonly UpstreamToken[];
}

/**
 * Compares a workspace's list with the inventory as it was read after that list.
 *
 * Absence counts only in a complete list, and only for tokens that existed before it was begun; an expired token may go.
 * A token with a marker of ours is none that appeared: its create knows about it, or will.
 */
export function findDrift(inventory: readonly TokenRow[], list: TokenList, begunAtMs: number): Drift {
  const listed = new Map(list.tokens.map((token) => [token.id, token]));
  const known = new Set(inventory.map((row) => row.token_id));
  const isGone = (row: TokenRow): boolean => {
    if (row.revoked_at !== null || row.created_at >= begunAtMs) return false;
    if (row.expires_at !== null && row.expires_at <= begunAtMs) return false;
    const token = listed.get(row.token_id);
    return token === undefined ? list.complete : token.isRevoked;
  };
  return {
    gone: inventory.filter(isGone),
    appeared: list.tokens.filter((token) => !known.has(token.id) && !token.isRevoked && markerOf(token.name) === null),
  };
}

/**
 * Writes drift down: one row by `system` for each token, and the inventory brought up to date, in one batch. What D1 does
 * not take now is seen again in the next list.
 */
export async function recordDrift(
  dependencies: TokenDependencies,
  context: RequestContext,
  workspaceUuid: string,
  { gone, appeared }: Drift,
): Promise<void> {
  const queries = [
    ...gone.slice(0, DRIFT_BATCH_TOKENS).flatMap((row) => recordGone(dependencies, context, row)),
    ...appeared
      .slice(0, DRIFT_BATCH_TOKENS)
      .flatMap((token) => recordAppeared(dependencies, context, workspaceUuid, token)),
  ];
  if (queries.length > 0) await dependencies.database.batch(context, queries);
}

function recordGone({ database, runtime }: TokenDependencies, context: RequestContext, row: TokenRow) {
  const { build } = database;
  const ref = { workspaceUuid: row.workspace_uuid, tokenId: row.token_id };
  const nowMs = runtime.now();
  const event = driftRow(
    runtime.newId(),
    nowMs,
    context,
    { action: 'service_account_token.revoke', ...ref },
    'gone_upstream',
  );
  const live = and(isToken(ref), isNull(tokens.revoked_at));
  const isLive = exists(build.select(ONE).from(tokens).where(live));
  const revokes = (status: SQL | undefined): SQL =>
    exists(
      build
        .select(ONE)
        .from(auditEvents)
        .where(
          and(eq(auditEvents.token_id, ref.tokenId), eq(auditEvents.action, 'service_account_token.revoke'), status),
        ),
    );
  // A revoke of ours that is under way, or done, explains it.
  const explained = revokes(inArray(auditEvents.status, ['attempted', 'success']));
  const settled = revokes(eq(auditEvents.status, 'success'));
  return [
    insertEventWhere(database, event, sql`${isLive} and not ${explained}`),
    // Also where a revoke of ours explains it: the next list must not stumble over it again.
    build.update(tokens).set({ revoked_at: nowMs }).where(and(live, settled)),
  ] as const;
}

/** Adopted without an owner: only a role with `tokens: 'any'` reaches it. */
function recordAppeared(
  { database, runtime }: TokenDependencies,
  context: RequestContext,
  workspaceUuid: string,
  token: UpstreamToken,
) {
  const ref = { workspaceUuid, tokenId: token.id };
  const nowMs = runtime.now();
  const subject = { action: 'service_account_token.create', ...ref, tokenName: token.name } as const;
  const event = driftRow(runtime.newId(), nowMs, context, subject, 'appeared_upstream');
  const unknown = notExists(database.build.select(ONE).from(tokens).where(isToken(ref)));
  const row: TokenRow = {
    workspace_uuid: workspaceUuid,
    token_id: token.id,
    owner_issuer: null,
    owner_subject: null,
    marker: null,
    create_event_id: event.id,
    created_at: nowMs,
    expires_at: msOrNull(token.expiresAt),
    revoked_at: null,
    ended_by: null,
    unseen_at: null,
    owner_label: null,
    token_prefix: token.tokenPrefix,
    // Nobody here ever saw its secret.
    fingerprint: null,
    fingerprint_key_id: null,
    suspended_by: null,
  };
  return [
    insertEventWhere(database, event, unknown),
    insertToken(database, row, isRecorded(database, event.id)),
  ] as const;
}

const ONE = { one: sql`1` };

const isRecorded = ({ build }: Database, eventId: string): SQL =>
  exists(build.select(ONE).from(auditEvents).where(eq(auditEvents.id, eventId)));

const driftRow = (
  eventId: string,
  nowMs: number,
  context: RequestContext,
  subject: Pick<EventSubject, 'action' | 'workspaceUuid' | 'tokenId'> & { readonly tokenName?: string },
  errorCode: 'gone_upstream' | 'appeared_upstream',
): NewAuditRow =>
  finalRow(
    eventId,
    nowMs,
    // Seen by the way, in somebody's list: nobody's request, address or program caused it.
    { requestId: context.requestId, ip: null, userAgent: null },
    {
      action: subject.action,
      actor: SYSTEM_ACTOR,
      workspaceUuid: subject.workspaceUuid,
      tokenId: subject.tokenId,
      tokenName: subject.tokenName === undefined ? null : cutToBytes(subject.tokenName, TOKEN_NAME_MAX_BYTES),
      detail: {},
    },
    { status: 'success', upstreamStatus: null, errorCode, detail: {} },
  );
