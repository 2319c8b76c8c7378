import { sql } from 'drizzle-orm';
import {
  attemptedRow,
  type EventOutcome,
  eventSubject,
  finalRow,
  type NewAuditRow,
  type Origin,
  SYSTEM_ACTOR,
  systemOrigin,
} from '../trail/event.ts';
import type { Database } from '../db/database.ts';
import { ORDER_ACTIONS } from '../revocation/orders/states.ts';
import type { AuditAction, RevocationMode } from '../vocabulary.ts';

// What the statements about one look have in common. Each takes a list of tokens as one JSON parameter, `e`, however many they are:
// D1 takes a hundred parameters a statement, and a Worker may send a thousand statements.

/** A look that is recorded. */
export interface Recording {
  readonly database: Database;
  readonly context: Pick<Origin, 'requestId' | 'policyVersion'>;
  readonly workspaceUuid: string;
  /** When the look was begun. */
  readonly begunAtMs: number;
  readonly nowMs: number;
  readonly newId: () => string;
}

/** The id of the token that an item is about. */
export const ITEM_ID = sql.raw(`e.value ->> 'id'`);

/** The row in the trail of what a look shows. The items give its id, its token and its MAC. */
export const seenRow = (
  { context, workspaceUuid, nowMs }: Pick<Recording, 'context' | 'workspaceUuid' | 'nowMs'>,
  action: AuditAction,
  outcome: Pick<EventOutcome, 'status' | 'errorCode'>,
): NewAuditRow =>
  finalRow('', nowMs, systemOrigin(context), eventSubject(action, SYSTEM_ACTOR, { workspaceUuid }), {
    ...outcome,
    upstreamStatus: null,
    detail: {},
  });

/** The row in the trail of orders of this mode that this service makes by itself. Each gives its id and its token. */
export const orderRow = (
  { context, workspaceUuid, nowMs }: Pick<Recording, 'context' | 'workspaceUuid' | 'nowMs'>,
  mode: RevocationMode,
  detail: Readonly<Record<string, unknown>>,
): NewAuditRow =>
  attemptedRow(
    '',
    nowMs,
    systemOrigin(context),
    eventSubject(ORDER_ACTIONS[mode], SYSTEM_ACTOR, {
      workspaceUuid,
      detail: { ...detail, ...(mode === 'suspend' && { is_active: false }) },
    }),
  );
