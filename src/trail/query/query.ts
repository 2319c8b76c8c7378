import type { Database } from '../../db/database.ts';
import type { AuditEventRow } from '../../db/schema.ts';
import type { Failure } from '../../failures.ts';
import type { Caller } from '../../policy/types.ts';
import type { RequestContext } from '../../kit/trace.ts';
import { ok, type Result } from '../../kit/result.ts';
import type { Runtime } from '../../kit/runtime.ts';
import { actorOf } from '../actor.ts';
import { notOwnQueries } from './conditions.ts';
import { encodeCursor } from '../../http/cursor.ts';
import type { EventSubject } from '../events.ts';
import { successOutcome } from '../outcomes.ts';
import { progressOf, selectEnds } from './progress.ts';
import { filterDetail, positionDetail } from './query-detail.ts';
import type { AuditQuery } from './query-params.ts';
import type { Recorder } from '../recorder.ts';
import { readScan, selectEvents } from './select-events.ts';
import { presentEvent, type ShownEvent } from './present.ts';

export interface Trail {
  readonly database: Database;
  readonly recorder: Recorder;
  readonly runtime: Runtime;
}

export interface AuditPage {
  readonly events: readonly ShownEvent[];
  /** Never null in ascending order: there a follower asks again from where it is. */
  readonly nextCursor: string | null;
  /** Whether the next page can be had at once. */
  readonly hasMore: boolean;
}

/**
 * Reads a page of the trail. Reading the trail is itself in the trail: the rows and the row of this query come from one
 * batch, so neither is had without the other. `audit_unavailable` if D1 does not take it.
 *
 * @param present what this caller sees of an event.
 */
export async function queryTrail(
  { database, recorder, runtime }: Trail,
  context: RequestContext,
  caller: Caller,
  query: AuditQuery,
  present: (row: AuditEventRow) => ShownEvent = presentEvent,
): Promise<Result<AuditPage, Failure>> {
  const { filter, position, limitRows, latest } = query;
  const nowMs = runtime.now();
  // A follower would otherwise be shown its own asking, and ask again, and so on.
  const isFollowing = position.order === 'asc' && position.seq !== null;
  const hidesOwn = isFollowing && !filter.actions.includes('audit.query');
  const page = selectEvents(database, filter, position, limitRows, hidesOwn ? notOwnQueries(caller) : undefined);
  const ends = selectEnds(database, filter, position.seq ?? 0, nowMs);
  const subject = describeQuery(caller, query);
  const recorded =
    position.order === 'desc'
      ? await recorder.recordRead(context, subject, successOutcome(null), [page])
      : await recorder.recordRead(context, subject, successOutcome(null), [page, ends]);
  if (!recorded.ok) return recorded;

  const scan = readScan(recorded.value.rows[0], limitRows);
  const end = recorded.value.rows[1]?.[0];
  if (end === undefined) {
    const nextCursor = scan.reachedSeq === null ? null : encodeCursor(scan.reachedSeq);
    return ok({ events: scan.events.map(present), nextCursor, hasMore: nextCursor !== null });
  }
  const { events, nextSeq, hasMore } = progressOf(scan, end, position.seq ?? 0, latest ? null : nowMs);
  return ok({ events: events.map(present), nextCursor: encodeCursor(nextSeq), hasMore });
}

/** What the query of the trail is in the trail. */
const describeQuery = (caller: Caller, { filter, position, limitRows, latest }: AuditQuery): EventSubject => ({
  action: 'audit.query',
  actor: actorOf(caller),
  workspaceUuid: filter.workspaceUuid,
  tokenId: filter.tokenId,
  tokenName: null,
  detail: { ...filterDetail(filter), ...positionDetail(position), limit: limitRows, ...(latest && { latest }) },
});
