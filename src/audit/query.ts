import { and, desc, eq, inArray, lt } from 'drizzle-orm';
import type { Database } from '../db/database.ts';
import { auditEvents } from '../db/schema.ts';
import type { Failure } from '../failures.ts';
import type { Caller } from '../policy/types.ts';
import type { RequestContext } from '../request-context.ts';
import { ok, type Result } from '../result.ts';
import { actorOf } from './actor.ts';
import { encodeCursor } from './cursor.ts';
import { successOutcome } from './outcomes.ts';
import type { AuditQuery } from './query-params.ts';
import type { Recorder } from './recorder.ts';
import { presentEvent } from './wire.ts';

export interface AuditPage {
  readonly events: readonly ReturnType<typeof presentEvent>[];
  readonly nextCursor: string | null;
}

/**
 * Reads a page of the trail, newest first. Reading the trail is itself in the trail: the rows and the row of this query
 * come from one batch, so neither is had without the other. `audit_unavailable` if D1 does not take it.
 */
export async function queryTrail(
  { database, recorder }: { readonly database: Database; readonly recorder: Recorder },
  context: RequestContext,
  caller: Caller,
  query: AuditQuery,
): Promise<Result<AuditPage, Failure>> {
  const { actions, status, limit, beforeSeq } = query;
  const page = database.build
    .select()
    .from(auditEvents)
    .where(
      and(
        actions.length > 0 ? inArray(auditEvents.action, [...actions]) : undefined,
        status === null ? undefined : eq(auditEvents.status, status),
        beforeSeq === null ? undefined : lt(auditEvents.seq, beforeSeq),
      ),
    )
    .orderBy(desc(auditEvents.seq))
    // One more than asked for tells whether there is a next page.
    .limit(limit + 1);
  const subject = {
    action: 'audit.query',
    actor: actorOf(caller),
    workspaceUuid: null,
    tokenId: null,
    tokenName: null,
    detail: {
      limit,
      ...(actions.length > 0 && { action: actions }),
      ...(status !== null && { status }),
      ...(beforeSeq !== null && { before_seq: beforeSeq }),
    },
  } as const;
  const recorded = await recorder.record(context, subject, successOutcome(null), [page]);
  if (!recorded.ok) return recorded;
  const [rows] = recorded.value.rows;
  const shown = rows.slice(0, limit);
  const last = shown.at(-1);
  return ok({
    events: shown.map(presentEvent),
    nextCursor: rows.length > limit && last !== undefined ? encodeCursor(last.seq) : null,
  });
}
