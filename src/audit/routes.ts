import type { Hono } from 'hono';
import type { AppEnv } from '../http/app-env.ts';
import { authorise } from '../http/authorise.ts';
import { failure, page, success } from '../http/envelope.ts';
import { methodNotAllowed } from '../http/method-not-allowed.ts';
import { noParameters } from '../http/no-parameters.ts';
import { parseEventId, readEvent } from './event-by-id.ts';
import { registerExportRoute } from './export-route.ts';
import { parseAuditQuery } from './query-params.ts';
import { queryTrail, type Trail } from './query.ts';

const EVENTS = '/api/v1/audit/events';
// Not `:id`, which names a token wherever a denial is recorded.
const EVENT = `${EVENTS}/:event_id`;

/** The trail, for those whose role has `audit:read`. */
export function registerAuditRoutes(app: Hono<AppEnv>, trail: Trail): void {
  const mayRead = authorise(trail.recorder, 'audit:read', 'audit.query');

  app.get(EVENTS, mayRead, async (c) => {
    const query = parseAuditQuery(new URL(c.req.url).searchParams);
    if (!query.ok) return failure(c, query.error);
    const found = await queryTrail(trail, c.get('context'), c.get('caller'), query.value);
    if (!found.ok) return failure(c, found.error);
    const { events, nextCursor, hasMore } = found.value;
    const message = `Audit events, ${query.value.position.order === 'asc' ? 'oldest' : 'newest'} first.`;
    return page(c, message, events, nextCursor, { has_more: hasMore });
  });
  app.all(EVENTS, methodNotAllowed('GET'));

  app.get(EVENT, mayRead, noParameters, async (c) => {
    const id = parseEventId(c.req.param('event_id'));
    if (!id.ok) return failure(c, id.error);
    const found = await readEvent(trail, c.get('context'), c.get('caller'), id.value);
    if (!found.ok) return failure(c, found.error);
    return success(c, 'Audit event.', found.value);
  });
  app.all(EVENT, methodNotAllowed('GET'));

  registerExportRoute(app, trail);
}
