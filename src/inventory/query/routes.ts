import type { Hono } from 'hono';
import type { Database } from '../../db/database.ts';
import type { Failure } from '../../failures.ts';
import { authorise } from '../../http/access.ts';
import { failure, methodNotAllowed, page } from '../../http/answer.ts';
import type { AppEnv } from '../../http/context.ts';
import { err, ok, type Result } from '../../kit/result.ts';
import type { Runtime } from '../../kit/runtime.ts';
import type { RequestContext } from '../../kit/trace.ts';
import type { Caller, Decision, PolicyRequest } from '../../policy/types.ts';
import type { Fingerprints } from '../../tokens/fingerprints.ts';
import { actorOf, eventSubject } from '../../trail/event.ts';
import type { Recorder } from '../../trail/recorder.ts';
import type { OwnerMacs } from '../owner-macs.ts';
import type { UnusedAfter } from '../usage.ts';
import { isByExpiry } from './filter.ts';
import { type InventoryPage, readPage, selectKnowledge, selectPage } from './page.ts';
import { encodePlace, type InventoryQuery, parseInventoryQuery, queryDetail } from './params.ts';
import { viewOf } from './view.ts';

const INVENTORY = '/api/v1/inventory';

/** What reading the inventory needs. */
export interface InventoryDependencies {
  readonly database: Database;
  readonly recorder: Recorder;
  readonly runtime: Runtime;
  readonly decide: (caller: Caller, request: PolicyRequest) => Decision;
  readonly fingerprints: Pick<Fingerprints, 'candidates'>;
  readonly unusedAfter: UnusedAfter;
  readonly owners: OwnerMacs;
}

/**
 * The tokens that a caller may see, of all workspaces, from D1 alone: PipeOps is asked for nothing, and the answer says how old what is
 * known of it is.
 */
export function registerInventoryRoute(app: Hono<AppEnv>, dependencies: InventoryDependencies): void {
  app.get(INVENTORY, authorise(dependencies.recorder, 'tokens:read', 'inventory.query'), async (c) => {
    const caller = c.get('caller');
    const query = parseInventoryQuery(new URL(c.req.url).searchParams, caller);
    if (!query.ok) return failure(c, query.error);
    const answered = await queryInventory(dependencies, c.get('context'), caller, query.value);
    if (!answered.ok) return failure(c, answered.error);
    const { items, knowledge, next, isPartial } = answered.value;
    const message = `Tokens of the inventory, ${isByExpiry(query.value.filter) ? 'soonest expiry' : 'newest'} first.`;
    const cursor = next === null ? null : encodePlace(next);
    return page(c, message, items, cursor, {}, isPartial, { knowledge });
  });
  app.all(INVENTORY, methodNotAllowed('GET'));
}

/**
 * Reads a page of the inventory. The page and the row that says who read it are one batch, so neither is had without the other.
 *
 * Fails with `forbidden` for a named workspace that no role of the caller reads, and otherwise as `recordRead` does.
 */
async function queryInventory(
  { database, recorder, runtime, decide, fingerprints, unusedAfter, owners }: InventoryDependencies,
  context: RequestContext,
  caller: Caller,
  query: InventoryQuery,
): Promise<Result<InventoryPage, Failure>> {
  const { workspaceUuid, tokenId, tokenSha256 } = query.filter;
  const detail = queryDetail(query, caller);
  const subject = eventSubject('inventory.query', actorOf(caller), { workspaceUuid, tokenId, detail });
  if (workspaceUuid !== null) {
    const decision = decide(caller, { operation: 'list', workspaceUuid });
    if (!decision.allowed) return await recorder.refuse(context, subject, decision.failure);
  }
  const candidates = tokenSha256 === null ? null : await fingerprints.candidates(tokenSha256);
  const asked = {
    ...query,
    view: viewOf(caller, workspaceUuid),
    fingerprints: candidates?.map(({ value }) => value) ?? null,
    unusedAfter,
    nowMs: runtime.now(),
  };
  const pages = selectPage(database, asked);
  const known = selectKnowledge(database, workspaceUuid ?? '');
  const recorded = await recorder.recordRead(context, subject, workspaceUuid === null ? [pages] : [pages, known]);
  if (!recorded.ok) return err(recorded.error);
  const [rows, knowledge = []] = recorded.value.rows;
  return ok(readPage(rows, knowledge, asked, owners));
}
