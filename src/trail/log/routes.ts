import type { Context, Hono } from 'hono';
import { authorise } from '../../http/access.ts';
import { failure, methodNotAllowed, success } from '../../http/answer.ts';
import type { AppEnv } from '../../http/context.ts';
import { noParameters, oneOf, parseEventId, readParameter, refuseUnknown } from '../../http/query.ts';
import { createProblems, type Problems } from '../../kit/problems.ts';
import { parseTilePath, type Tile } from '../../tlog/tiles.ts';
import { RECEIPT_FACTS } from '../../vocabulary.ts';
import { type LogReader, type LogReading, readLogCheckpoint, readLogs, readReceipt, readTile } from './reading.ts';

const AUDIT = '/api/v1/audit';
const LOG = `${AUDIT}/log`;
/** Where the current log is, as a client of C2SP tlog-tiles takes it: `<prefix>/checkpoint` and `<prefix>/tile/…`. */
const CURRENT = AUDIT;
const NUMBERED = `${AUDIT}/logs/:number`;
const RECEIPT = `${AUDIT}/events/:event_id/receipt`;

const TEXT = { 'Content-Type': 'text/plain; charset=utf-8' };
const BYTES = { 'Content-Type': 'application/octet-stream' };

/**
 * Serves the log of the trail to callers with `audit:read`: the list of the logs, each as a tree of files (C2SP tlog-tiles), and receipts
 * of single events (C2SP tlog-proof).
 */
export function registerLogRoutes(app: Hono<AppEnv>, reading: LogReading): void {
  const mayRead = authorise(reading.recorder, 'audit:read', 'audit.query');

  app.get(LOG, mayRead, noParameters, async (c) => {
    const logs = await readLogs(reading, readerOf(c));
    return logs.ok ? success(c, 'The logs over the trail.', logs.value) : failure(c, logs.error);
  });

  for (const prefix of [CURRENT, NUMBERED]) {
    app.get(`${prefix}/checkpoint`, mayRead, noParameters, async (c) => {
      const problems = createProblems();
      const number = numberOf(c, problems);
      if (problems.any()) return failure(c, problems.failure());
      const checkpoint = await readLogCheckpoint(reading, readerOf(c), number);
      return checkpoint.ok ? c.body(checkpoint.value, 200, TEXT) : failure(c, checkpoint.error);
    });
    app.all(`${prefix}/checkpoint`, methodNotAllowed('GET'));

    const tiles = `${prefix}/tile/:tile{.+}`;
    app.get(tiles, mayRead, noParameters, async (c) => {
      const problems = createProblems();
      const number = numberOf(c, problems);
      const tile = tileOf(c, problems);
      if (tile === null || problems.any()) return failure(c, problems.failure());
      const file = await readTile(reading, readerOf(c), number, tile);
      return file.ok ? c.body(new Uint8Array(file.value), 200, BYTES) : failure(c, file.error);
    });
    app.all(tiles, methodNotAllowed('GET'));
  }

  app.get(RECEIPT, mayRead, async (c) => {
    const id = parseEventId(c.req.param('event_id'));
    if (!id.ok) return failure(c, id.error);
    const problems = createProblems();
    const query = new URL(c.req.url).searchParams;
    refuseUnknown(
      'parameter',
      [...query.keys()].filter((name) => name !== 'fact'),
      ['fact'],
      problems,
    );
    const fact = readParameter(query, 'fact', oneOf(RECEIPT_FACTS), 'last', problems);
    if (problems.any()) return failure(c, problems.failure());
    const receipt = await readReceipt(reading, readerOf(c), id.value, fact);
    return receipt.ok ? c.body(receipt.value, 200, TEXT) : failure(c, receipt.error);
  });
  app.all(RECEIPT, methodNotAllowed('GET'));
}

const readerOf = (c: Context<AppEnv>): LogReader => ({ context: c.get('context'), caller: c.get('caller') });

/** The number of the log that the path names; null where it names none, which means the current log. */
function numberOf(c: Context<AppEnv>, problems: Problems): number | null {
  const text = c.req.param('number');
  if (text === undefined) return null;
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
  problems.misunderstood('number', 'Use the number of a log, as GET /api/v1/audit/log shows it.');
  return null;
}

/** The file that the path names, as it was sent: no other spelling of it is the same file. */
function tileOf(c: Context<AppEnv>, problems: Problems): Tile | null {
  const path = /\/(tile\/.*)$/.exec(new URL(c.req.url).pathname)?.[1];
  const tile = parseTilePath(path ?? '');
  if (tile === null)
    problems.misunderstood(
      'tile',
      'Use the path of a tile as C2SP tlog-tiles writes it, such as "0/000" or "entries/x001/067.p/3".',
    );
  return tile;
}
