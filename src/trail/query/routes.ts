import type { Context, Hono } from 'hono';
import type { AppEnv } from '../../http/app-env.ts';
import { authorise, deny } from '../../http/authorise.ts';
import { failure, page, success } from '../../http/answer.ts';
import { methodNotAllowed } from '../../http/method-not-allowed.ts';
import { noParameters } from '../../http/no-parameters.ts';
import { hasPermission } from '../../policy/decide.ts';
import { parseEventId, readEvent, readOwnEvent } from './event-by-id.ts';
import { registerExportRoute } from './export-route.ts';
import { ME } from './event-filter.ts';
import { presentOwnEvent } from './own-events.ts';
import { parseAuditQuery } from './query-params.ts';
import { queryTrail, type Trail } from './query.ts';
import { presentEvent } from './present.ts';

const EVENTS = '/api/v1/audit/events';
// Not `:id`, which names a token wherever a denial is recorded.
const EVENT = `${EVENTS}/:event_id`;

const PERMISSION = 'audit:read';
const ACTION = 'audit.query';

/** The trail, for those whose role has `audit:read`; and of it, for any caller, the events that it caused itself. */
export function registerAuditRoutes(app: Hono<AppEnv>, trail: Trail): void {
  const { recorder } = trail;
  const mayRead = authorise(recorder, PERMISSION, ACTION);

  app.get(
    EVENTS,
    async (c, next) => (isReader(c) || asksForOwn(c) ? await next() : await mayRead(c, next)),
    async (c) => {
      const caller = c.get('caller');
      const query = parseAuditQuery(new URL(c.req.url).searchParams, caller);
      if (!query.ok) return failure(c, query.error);
      const present = isReader(c) ? presentEvent : presentOwnEvent;
      const found = await queryTrail(trail, c.get('context'), caller, query.value, present);
      if (!found.ok) return failure(c, found.error);
      const { events, nextCursor, hasMore } = found.value;
      const message = `Audit events, ${query.value.position.order === 'asc' ? 'oldest' : 'newest'} first.`;
      return page(c, message, events, nextCursor, { has_more: hasMore });
    },
  );
  app.all(EVENTS, methodNotAllowed('GET'));

  app.get(
    EVENT,
    async (c, next) => (isReader(c) ? await next() : await answerOwn(c, c.req.param('event_id'))),
    noParameters,
    async (c) => {
      const id = parseEventId(c.req.param('event_id'));
      if (!id.ok) return failure(c, id.error);
      const found = await readEvent(trail, c.get('context'), c.get('caller'), id.value);
      if (!found.ok) return failure(c, found.error);
      return success(c, 'Audit event.', found.value);
    },
  );
  app.all(EVENT, methodNotAllowed('GET'));

  /** Somebody else's event, an id that never was, and anything else that is asked of it are the same denial. */
  async function answerOwn(c: Context<AppEnv>, text: string): Promise<Response> {
    const id = parseEventId(text);
    if (!id.ok || new URL(c.req.url).search !== '') {
      return await deny(c, recorder, PERMISSION, ACTION);
    }
    const found = await readOwnEvent(trail, c.get('context'), c.get('caller'), id.value);
    if (!found.ok) return failure(c, found.error);
    return found.value === null
      ? await deny(c, recorder, PERMISSION, ACTION, { event_id: id.value })
      : success(c, 'Audit event.', found.value);
  }

  registerExportRoute(app, trail);
}

const isReader = (c: Context<AppEnv>): boolean => hasPermission(c.get('caller'), PERMISSION);

/** Whether a query asks for nothing but the events of its own caller. */
function asksForOwn(c: Context<AppEnv>): boolean {
  const [actor, ...more] = new URL(c.req.url).searchParams.getAll('actor');
  return actor === ME && more.length === 0;
}
