import type { Hono } from 'hono';
import type { Database } from '../db/database.ts';
import type { AppEnv } from '../http/app-env.ts';
import { authorise } from '../http/authorise.ts';
import { failure, page } from '../http/envelope.ts';
import { methodNotAllowed } from '../http/method-not-allowed.ts';
import { parseAuditQuery } from './query-params.ts';
import { queryTrail } from './query.ts';
import type { Recorder } from './recorder.ts';

const EVENTS = '/api/v1/audit/events';

/** The trail, for those whose role has `audit:read`. */
export function registerAuditRoutes(
  app: Hono<AppEnv>,
  trail: { readonly database: Database; readonly recorder: Recorder },
): void {
  app.get(EVENTS, authorise(trail.recorder, 'audit:read', 'audit.query'), async (c) => {
    const query = parseAuditQuery(new URL(c.req.url).searchParams);
    if (!query.ok) return failure(c, query.error);
    const found = await queryTrail(trail, c.get('context'), c.get('caller'), query.value);
    if (!found.ok) return failure(c, found.error);
    c.header('Cache-Control', 'no-store');
    return page(c, 'Audit events, newest first.', found.value.events, found.value.nextCursor);
  });
  app.all(EVENTS, methodNotAllowed('GET'));
}
