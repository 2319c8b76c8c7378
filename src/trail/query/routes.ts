import type { Context, Hono } from 'hono';
import { authorise, deny } from '../../http/access.ts';
import { failure, methodNotAllowed, page, success, successBody, successOf } from '../../http/answer.ts';
import type { AppEnv } from '../../http/context.ts';
import { noParameters, parseEventId } from '../../http/query.ts';
import type { AuditEventRow } from '../../db/schema.ts';
import { hasPermission } from '../../policy/decide.ts';
import type { ReadDependencies } from '../../reads/read.ts';
import { countEvents } from './counts.ts';
import { readEvent, readOwnEvent } from './event-by-id.ts';
import { exportTrail, type OpenedExport } from './export.ts';
import { EXPORT_ENCODINGS, type ExportFormat, presentEvent, presentLifeEvent, presentOwnEvent } from './format.ts';
import { queryTrail, type Trail } from './page.ts';
import { ME } from './filter.ts';
import { parseAuditCount, parseAuditExport, parseAuditQuery } from './params.ts';
import { parseTokenLife, readTokenLife } from './token-life.ts';

const EVENTS = '/api/v1/audit/events';
// Not `:id`, which names a token wherever a denial is recorded.
const EVENT = `${EVENTS}/:event_id`;

const PERMISSION = 'audit:read';
const ACTION = 'audit.query';

/**
 * Serves the trail to callers with `audit:read`, and to any other caller the events that it caused itself. Nothing here or elsewhere
 * changes a settled event: the triggers of `drizzle/0001_append_only.sql` and `drizzle/0015_trail_log.sql` refuse it.
 */
export function registerAuditRoutes(
  app: Hono<AppEnv>,
  trail: Trail,
  reads: ReadDependencies,
  defaultWorkspaceUuid: string | null,
): void {
  const { recorder } = trail;
  const mayRead = authorise(recorder, PERMISSION, ACTION);

  app.get(
    EVENTS,
    async (c, next) => (asksForOwn(c) ? await next() : await mayRead(c, next)),
    async (c) => {
      const caller = c.get('caller');
      const query = parseAuditQuery(new URL(c.req.url).searchParams, caller);
      if (!query.ok) return failure(c, query.error);
      const present = isReader(c) ? presentEvent : presentOwnEvent;
      const answered = await queryTrail(trail, c.get('context'), caller, query.value, present);
      if (!answered.ok) return failure(c, answered.error);
      const { events, nextCursor, hasMore } = answered.value;
      const message = `Audit events, ${query.value.position.direction === 'asc' ? 'oldest' : 'newest'} first.`;
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
      const event = await readEvent(trail, c.get('context'), c.get('caller'), id.value);
      if (!event.ok) return failure(c, event.error);
      return success(c, 'Audit event.', event.value);
    },
  );
  app.all(EVENT, methodNotAllowed('GET'));

  /** Answers a caller that may read its own events alone. Another's event, an unknown id and a malformed request get one denial. */
  async function answerOwn(c: Context<AppEnv>, text: string): Promise<Response> {
    const id = parseEventId(text);
    if (!id.ok || new URL(c.req.url).search !== '') {
      return await deny(c, recorder, PERMISSION, ACTION);
    }
    const event = await readOwnEvent(trail, c.get('context'), c.get('caller'), id.value);
    if (!event.ok) return failure(c, event.error);
    return event.value === null
      ? await deny(c, recorder, PERMISSION, ACTION, { event_id: id.value })
      : success(c, 'Audit event.', event.value);
  }

  registerExportRoute(app, trail);
  registerCountsRoute(app, trail);
  registerLifeRoute(app, reads, defaultWorkspaceUuid);
}

const isReader = (c: Context<AppEnv>): boolean => hasPermission(c.get('caller'), PERMISSION);

/** Whether a query asks for nothing but the events of its own caller. */
function asksForOwn(c: Context<AppEnv>): boolean {
  const [actor, ...more] = new URL(c.req.url).searchParams.getAll('actor');
  return actor === ME && more.length === 0;
}

const EXPORT = '/api/v1/audit/export';

/** Serves the trail as a file to callers with `audit:read`. */
function registerExportRoute(app: Hono<AppEnv>, trail: Trail): void {
  app.get(EXPORT, authorise(trail.recorder, 'audit:read', 'audit.export'), async (c) => {
    const query = parseAuditExport(new URL(c.req.url).searchParams, c.get('caller'));
    if (!query.ok) return failure(c, query.error);
    const begun = await exportTrail(trail, c.get('context'), c.get('caller'), query.value);
    if (!begun.ok) return failure(c, begun.error);
    const { body, known } = begun.value;
    return c.body(body, 200, exportHeaders(c.req.url, query.value.format, known, trail.runtime.now()));
  });
  app.all(EXPORT, methodNotAllowed('GET'));
}

/** What the headers of an export say of it. */
export function exportHeaders(
  url: string,
  format: ExportFormat,
  known: OpenedExport['known'],
  nowMs: number,
): Readonly<Record<string, string>> {
  const takenAt = new Date(nowMs).toISOString().replace(/[-:]|\.\d+/g, '');
  return {
    'Content-Type': EXPORT_ENCODINGS[format].contentType,
    'Content-Disposition': `attachment; filename="countersign-audit-${takenAt}.${format}"`,
    // A proxy that compressed the answer anew would take away its length.
    'Cache-Control': known === null ? 'no-store' : 'no-store, no-transform',
    ...(known !== null && { 'Content-Length': String(known.bytes) }),
    ...(typeof known?.next === 'string' && { Link: nextLink(url, known.next) }),
  };
}

/** The link to the rest of an export (RFC 8288): the same parameters with another cursor. */
function nextLink(url: string, cursor: string): string {
  const next = new URLSearchParams(new URL(url).searchParams);
  next.set('cursor', cursor);
  return `<${EXPORT}?${next.toString()}>; rel="next"`;
}

const COUNTS = '/api/v1/audit/counts';

/** Counts events of the trail for callers with `audit:read`. */
function registerCountsRoute(app: Hono<AppEnv>, trail: Trail): void {
  app.get(COUNTS, authorise(trail.recorder, PERMISSION, 'audit.count'), async (c) => {
    const query = parseAuditCount(new URL(c.req.url).searchParams, c.get('caller'));
    if (!query.ok) return failure(c, query.error);
    const counted = await countEvents(trail, c.get('context'), c.get('caller'), query.value);
    if (!counted.ok) return failure(c, counted.error);
    const { counts, isPartial } = counted.value;
    return successOf(c, successBody(`Audit events by ${query.value.by}.`, counts, isPartial ? { partial: true } : {}));
  });
  app.all(COUNTS, methodNotAllowed('GET'));
}

const LIFE = '/api/v1/service-account-tokens/:id/events';

/** Serves the life of a token to whoever may read the token. */
function registerLifeRoute(app: Hono<AppEnv>, reads: ReadDependencies, defaultWorkspaceUuid: string | null): void {
  app.get(LIFE, authorise(reads.recorder, 'tokens:read', ACTION), async (c) => {
    const caller = c.get('caller');
    const query = parseTokenLife(c.req.param('id'), new URL(c.req.url).searchParams, defaultWorkspaceUuid);
    if (!query.ok) return failure(c, query.error);
    const present = isReader(c) ? presentEvent : (row: AuditEventRow) => presentLifeEvent(row, caller);
    const life = await readTokenLife(reads, c.get('context'), caller, query.value, present);
    if (!life.ok) return failure(c, life.error);
    const { events, nextCursor, hasMore } = life.value;
    return page(c, 'Events of a service account token.', events, nextCursor, { has_more: hasMore });
  });
  app.all(LIFE, methodNotAllowed('GET'));
}
