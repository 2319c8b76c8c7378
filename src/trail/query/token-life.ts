import { inArray, isNull, notInArray, or, sql } from 'drizzle-orm';
import { AUDIT_PAGE_DEFAULT_ROWS, AUDIT_PAGE_MAX_ROWS } from '../../config/limits.ts';
import { type AuditEventRow, auditEvents } from '../../db/schema.ts';
import type { Failure, RequestFailure } from '../../failures.ts';
import { cursor, limitUpTo, oneOf, readParameter, refuseUnknown } from '../../http/query.ts';
import { knownToken, selectToken } from '../../inventory/inventory.ts';
import { createProblems } from '../../kit/problems.ts';
import { err, ok, type Result } from '../../kit/result.ts';
import type { RequestContext } from '../../kit/trace.ts';
import type { TokenRef } from '../../pipeops/types.ts';
import { maySeeTokensOfOthers } from '../../policy/decide.ts';
import type { Caller } from '../../policy/types.ts';
import { getToken } from '../../reads/get.ts';
import type { ReadDependencies } from '../../reads/read.ts';
import { readTokenId, readWorkspace, WORKSPACE_PARAMETERS } from '../../tokens/fields.ts';
import { type AuditAction, DENIAL_CODES } from '../../vocabulary.ts';
import { actorOf, eventSubject } from '../event.ts';
import type { RowsOfEach } from '../final-records.ts';
import { NO_FILTER } from './filter.ts';
import { NO_ENDS, selectEnds } from './follow.ts';
import type { ShownEvent } from './format.ts';
import { type AuditPage, pageOf, selectPage } from './page.ts';
import { type Direction, DIRECTIONS, type Position, positionDetail } from './params.ts';
import { isInWorkspace, type Plan } from './plan.ts';
import { seqBounds } from './time-bounds.ts';

// The life of one token, for whoever may read the token: what was done to it, by whom, and what became of that.

/** A page of a token's life, as its parameters ask for it. */
export interface TokenLifeQuery {
  readonly ref: TokenRef;
  readonly position: Position;
  readonly limitRows: number;
}

const PARAMETERS = [...WORKSPACE_PARAMETERS, 'order', 'limit', 'cursor'];

/** Reads the parameters of a page of a token's life. Anything unknown, malformed or given twice is `invalid_request`, naming it. */
export function parseTokenLife(
  id: string,
  query: URLSearchParams,
  defaultWorkspaceUuid: string | null,
): Result<TokenLifeQuery, RequestFailure> {
  const problems = createProblems();
  const unknown = [...new Set(query.keys())].filter((name) => !PARAMETERS.includes(name));
  refuseUnknown('parameter', unknown, PARAMETERS, problems);
  const tokenId = readTokenId(id, problems);
  const workspace = [...query].filter(([name]) => WORKSPACE_PARAMETERS.some((known) => known === name));
  const workspaceUuid = readWorkspace(new URLSearchParams(workspace), {}, defaultWorkspaceUuid, problems);
  const direction = readParameter<Direction>(query, 'order', oneOf(DIRECTIONS), 'desc', problems);
  const seq = readParameter<number | null>(query, 'cursor', cursor, null, problems);
  const limitRows = readParameter(query, 'limit', limitUpTo(AUDIT_PAGE_MAX_ROWS), AUDIT_PAGE_DEFAULT_ROWS, problems);
  if (problems.any() || tokenId === null || workspaceUuid === null) return err(problems.failure());
  return ok({ ref: { workspaceUuid, tokenId }, position: { direction, seq }, limitRows });
}

/**
 * Reads a page of the life of a token that the caller may read, revoked and expired ones included. The inventory says whose the token
 * is. One that the inventory lacks is looked for as a get looks for it: for a caller who is shown only its own tokens, nowhere.
 *
 * The reading is recorded before the page leaves, as a query of the trail that names the token. Fails as a get does.
 */
export async function readTokenLife(
  dependencies: ReadDependencies,
  context: RequestContext,
  caller: Caller,
  query: TokenLifeQuery,
  present: (row: AuditEventRow) => ShownEvent,
): Promise<Result<AuditPage, Failure>> {
  const { database, recorder, decide, owners, runtime } = dependencies;
  const { ref, position, limitRows } = query;
  const { workspaceUuid } = ref;
  const nowMs = runtime.now();
  const recordedAs = {
    action: 'audit.query',
    detail: { life: true, ...positionDetail(position), limit: limitRows },
  } as const;
  const subject = eventSubject(recordedAs.action, actorOf(caller), { ...ref, detail: recordedAs.detail });
  const queries = [
    selectPage(database, lifeOf(ref), seqBounds(NO_FILTER, position), position, limitRows),
    selectEnds(database, { ...NO_FILTER, ...ref, actions: LIFE }, position.seq ?? 0, nowMs),
  ] as const;
  const shown = ([rows, [ends = NO_ENDS]]: RowsOfEach<typeof queries>) =>
    ok(pageOf(rows, ends, { position, limitRows, latest: false }, nowMs, present));

  const read = await database.batch(context, [selectToken(database, ref)]);
  if (!read.ok) return err({ kind: 'audit_unavailable' });
  const [row] = read.value[0];
  if (row === undefined && maySeeTokensOfOthers(caller, workspaceUuid)) {
    const found = await getToken(dependencies, context, caller, { ...ref, isNoCache: false }, recordedAs);
    if (!found.ok) return found;
    const page = await database.batch(context, queries);
    return page.ok ? shown(page.value) : err({ kind: 'audit_unavailable' });
  }
  const token = row === undefined ? null : knownToken(owners.believed(row));
  const decision = decide(caller, { operation: 'get', workspaceUuid, token });
  if (!decision.allowed) return await recorder.refuse(context, subject, decision.failure);
  const recorded = await recorder.recordRead(context, subject, queries);
  return recorded.ok ? shown(recorded.value.rows) : recorded;
}

/** What is done to a token, and the notices that it expires. Whoever reads it, or reads the trail about it, does nothing to it. */
const LIFE: readonly AuditAction[] = [
  'service_account_token.create',
  'service_account_token.update',
  'service_account_token.revoke',
  'service_account_token.expiring',
];

/** How the events of a token's life are found. A request that was denied changed nothing, and who asked is not the token's matter. */
export const lifeOf = ({ workspaceUuid, tokenId }: TokenRef): Plan => ({
  branches: [
    {
      index: 'audit_events_token_life',
      where: sql`${auditEvents.token_id} = ${tokenId} and ${auditEvents.read_key} is null`,
    },
  ],
  expressions: [],
  checks: [
    inArray(auditEvents.action, LIFE),
    isInWorkspace(workspaceUuid),
    or(isNull(auditEvents.error_code), notInArray(auditEvents.error_code, [...DENIAL_CODES])),
  ].filter((check) => check !== undefined),
});
