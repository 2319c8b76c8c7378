import type { Hono } from 'hono';
import type { AppEnv } from '../../http/app-env.ts';
import { authorise } from '../../http/authorise.ts';
import { failure } from '../../http/answer.ts';
import { methodNotAllowed } from '../../http/method-not-allowed.ts';
import { EXPORT_ENCODINGS } from './export-format.ts';
import { parseAuditExport } from './export-params.ts';
import { exportTrail } from './export.ts';
import type { Trail } from './query.ts';

const EXPORT = '/api/v1/audit/export';

/** The trail as a file, for those whose role has `audit:read`. */
export function registerExportRoute(app: Hono<AppEnv>, trail: Trail): void {
  app.get(EXPORT, authorise(trail.recorder, 'audit:read', 'audit.export'), async (c) => {
    const query = parseAuditExport(new URL(c.req.url).searchParams, c.get('caller'));
    if (!query.ok) return failure(c, query.error);
    const begun = await exportTrail(trail, c.get('context'), c.get('caller'), query.value);
    if (!begun.ok) return failure(c, begun.error);
    const { format } = query.value;
    const { body, known } = begun.value;
    const takenAt = new Date(trail.runtime.now()).toISOString().replace(/[-:]|\.\d+/g, '');
    return c.body(body, 200, {
      'Content-Type': EXPORT_ENCODINGS[format].contentType,
      'Content-Disposition': `attachment; filename="countersign-audit-${takenAt}.${format}"`,
      // Nothing on the way may pack it anew: that would take away its length.
      'Cache-Control': known === null ? 'no-store' : 'no-store, no-transform',
      ...(known !== null && { 'Content-Length': String(known.bytes) }),
      ...(typeof known?.next === 'string' && { Link: nextLink(c.req.url, known.next) }),
    });
  });
  app.all(EXPORT, methodNotAllowed('GET'));
}

/** Where an export goes on (RFC 8288): what was asked for, from another place on. */
export function nextLink(url: string, cursor: string): string {
  const next = new URLSearchParams(new URL(url).searchParams);
  next.set('cursor', cursor);
  return `<${EXPORT}?${next.toString()}>; rel="next"`;
}
