import { LOG_SPAN_ENTRIES } from '../../config/trail-limits.ts';
import type { Database } from '../../db/database.ts';
import type { Failure, RecordFailure, TrailFailure } from '../../failures.ts';
import { workspaceAsRead } from '../../kit/ids.ts';
import { err, ok, type Result } from '../../kit/result.ts';
import type { Runtime } from '../../kit/runtime.ts';
import { rfc3339OrNull } from '../../kit/time.ts';
import type { RequestContext } from '../../kit/trace.ts';
import type { Caller } from '../../policy/types.ts';
import { verifierText } from '../../tlog/note.ts';
import { receiptText } from '../../tlog/proof.ts';
import { type Tile, TILE_WIDTH, tileWidth } from '../../tlog/tiles.ts';
import { actorOf, type EventSubject, eventSubject } from '../event.ts';
import type { Recorder } from '../recorder.ts';
import { selectEvent } from '../statements.ts';
import { fileKey, type LogFiles, readCheckpoint, verifierOfLog } from './files.ts';
import { leafOf, type LogRow, selectLog, selectLogs, selectSealed } from './published.ts';
import type { ReceiptFact } from '../../vocabulary.ts';
import { isAsSealed, makeReceipt } from './receipt.ts';
import { selectUnsealed } from './standing.ts';

// Reads of the log by callers. Each is recorded before its answer leaves: whoever takes the log takes the trail.

/** What the log is read with. */
export interface LogReading {
  readonly database: Database;
  readonly recorder: Recorder;
  readonly runtime: Pick<Runtime, 'now' | 'log'>;
  /** Null: the trail is not sealed. */
  readonly files: LogFiles | null;
}
type OpenedReading = LogReading & { readonly files: LogFiles };

/** Who reads, and in which request. */
export interface LogReader {
  readonly context: RequestContext;
  readonly caller: Caller;
}

type ReadFailure = TrailFailure | RecordFailure;

/** The reading of a service that seals its trail; `sealing_not_configured` of another, which records nothing since nothing is read. */
const opened = (reading: LogReading): Result<OpenedReading, TrailFailure> =>
  reading.files === null ? err({ kind: 'sealing_not_configured' }) : ok({ ...reading, files: reading.files });

/** Lists the logs, with what is not sealed yet. */
export async function readLogs(reading: LogReading, { context, caller }: LogReader) {
  const open = opened(reading);
  if (!open.ok) return open;
  const { database, recorder, files } = open.value;
  const subject = describe(caller, { read: 'logs' });
  const recorded = await recorder.recordRead(context, subject, [
    selectLogs(database),
    selectUnsealed(database),
  ] as const);
  if (!recorded.ok) return recorded;
  const [logs, [unsealed]] = recorded.value.rows;
  return ok({
    logs: await Promise.all(logs.map(async (log) => await presentLog(files, log))),
    current: logs.at(-1)?.number ?? null,
    witnesses: files.witnesses.map(({ url, verifier }) => ({ url, key: verifierText(verifier) })),
    unsealed: { events: unsealed?.events ?? 0, oldest_at: rfc3339OrNull(unsealed?.oldest_at ?? null) },
  });
}

async function presentLog(files: LogFiles, log: LogRow) {
  const verifier = await verifierOfLog(files, log, log.note);
  return {
    number: log.number,
    origin: log.origin,
    size: log.published_size,
    published_at: rfc3339OrNull(log.published_at),
    begun_at: rfc3339OrNull(log.begun_at),
    stopped: log.stopped,
    stopped_at: rfc3339OrNull(log.stopped_at),
    verifier_key: verifier === null ? null : verifierText(verifier),
  };
}

/**
 * Reads the last published checkpoint of a log, with its cosignatures.
 *
 * @param number null: of the current log.
 */
export async function readLogCheckpoint(
  reading: LogReading,
  reader: LogReader,
  number: number | null,
): Promise<Result<string, ReadFailure>> {
  const found = await findLog(reading, reader, number, { read: 'checkpoint' });
  if (!found.ok) return found;
  const { open, log, subject } = found.value;
  const checkpoint = await readCheckpoint(open.files, reader.context, log);
  return await recordThen(open, reader, subject, checkpoint);
}

/**
 * Reads a file of a log, of whatever published size.
 *
 * @param number null: of the current log.
 */
export async function readTile(
  reading: LogReading,
  reader: LogReader,
  number: number | null,
  tile: Tile,
): Promise<Result<Uint8Array, ReadFailure>> {
  const found = await findLog(reading, reader, number, tileDetail(tile));
  if (!found.ok) return found;
  const { open, log, subject } = found.value;
  return await recordThen(open, reader, subject, await fileOf(open.files, reader.context, log, tile));
}

/**
 * A file that a published checkpoint covers. The store may have others already, of a size that is not signed and may come to nothing.
 * The files of the last published size are all there; narrower ones of sizes before may be gone.
 */
async function fileOf(
  files: LogFiles,
  context: RequestContext,
  { number, published_size: size }: LogRow,
  tile: Tile,
): Promise<Result<Uint8Array, TrailFailure>> {
  const published = tileWidth(tile.level, tile.index, size);
  if (tile.width > published) return err({ kind: 'log_file_not_found' });
  const read = await files.get(context, fileKey(number, tile));
  if (!read.ok) return read;
  if (read.value !== null) return ok(read.value);
  return err({ kind: tile.width === published ? 'log_damaged' : 'log_file_not_found' });
}

/**
 * What the row of a read of files says: whether hashes were taken or entries, which are the trail itself, and of those which span. A whole
 * log is fetched by thousands of requests, so neighbours share a row: see LOG_SPAN_ENTRIES.
 */
function tileDetail({ level, index }: Tile): Readonly<Record<string, unknown>> {
  if (level !== 'entries') return { read: 'hashes' };
  const from = Math.floor((index * TILE_WIDTH) / LOG_SPAN_ENTRIES) * LOG_SPAN_ENTRIES;
  return { read: 'entries', from, to: from + LOG_SPAN_ENTRIES - 1 };
}

/**
 * Makes the receipt of an event: that the log holds a fact of it, for whoever has the key of the log alone.
 *
 * Fails with `audit_event_not_found`, with `not_sealed` where no published checkpoint covers such a fact yet, and with `log_damaged`.
 */
export async function readReceipt(
  reading: LogReading,
  { context, caller }: LogReader,
  eventId: string,
  fact: ReceiptFact,
): Promise<Result<string, ReadFailure>> {
  const open = opened(reading);
  if (!open.ok) return open;
  const { database, runtime, files } = open.value;
  const read = await database.batch(context, [
    selectEvent(database, eventId),
    selectSealed(database, eventId),
  ] as const);
  if (!read.ok) return err({ kind: 'audit_unavailable' });
  const [[event], leaves] = read.value;
  const subject = describe(
    caller,
    { event_id: eventId, read: 'receipt', ...(fact === 'recorded' && { fact }) },
    {
      workspaceUuid:
        event === undefined || event.workspace_uuid === null ? null : workspaceAsRead(event.workspace_uuid),
      tokenId: event?.token_id ?? null,
    },
  );
  const reader = { context, caller };
  if (event === undefined) return await recordThen(open.value, reader, subject, err({ kind: 'audit_event_not_found' }));
  const leaf = leafOf(fact, event, leaves);
  if (leaf === null) return await recordThen(open.value, reader, subject, err({ kind: 'not_sealed' }));
  const receipt = await makeReceipt(files, context, eventId, leaf);
  if (receipt.ok && !isAsSealed(receipt.value, leaf, event)) {
    const { log, idx } = leaf;
    runtime.log({
      level: 'error',
      event: 'trail_row_changed',
      request_id: context.requestId,
      event_id: eventId,
      log,
      index: idx,
    });
  }
  return await recordThen(open.value, reader, subject, receipt.ok ? ok(receiptText(receipt.value)) : receipt);
}

interface FoundLog {
  readonly open: OpenedReading;
  readonly log: LogRow;
  readonly subject: EventSubject;
}

/** Finds a log. That there is no such log is recorded. */
async function findLog(
  reading: LogReading,
  reader: LogReader,
  number: number | null,
  detail: Readonly<Record<string, unknown>>,
): Promise<Result<FoundLog, ReadFailure>> {
  const open = opened(reading);
  if (!open.ok) return open;
  const { database } = open.value;
  const found = await database.batch(reader.context, [selectLog(database, number)]);
  if (!found.ok) return err({ kind: 'audit_unavailable' });
  const [log] = found.value[0];
  const subject = describe(reader.caller, { log: log?.number ?? number, ...detail });
  if (log !== undefined) return ok({ open: open.value, log, subject });
  return await recordThen(open.value, reader, subject, err({ kind: 'log_file_not_found' }));
}

const describe = (
  caller: Caller,
  detail: Readonly<Record<string, unknown>>,
  about: Partial<Pick<EventSubject, 'workspaceUuid' | 'tokenId'>> = {},
): EventSubject => eventSubject('audit.query', actorOf(caller), { ...about, detail });

/** Records what a read came to, and only then gives it. A failure of D1 or of the store is not recorded: nothing was read. */
async function recordThen<T>(
  { recorder }: Pick<LogReading, 'recorder'>,
  { context }: LogReader,
  subject: EventSubject,
  result: Result<T, Extract<Failure, TrailFailure>>,
): Promise<Result<T, ReadFailure>> {
  if (result.ok) {
    const recorded = await recorder.recordRead(context, subject, []);
    return recorded.ok ? result : recorded;
  }
  if (result.error.kind === 'audit_unavailable') return result;
  return await recorder.refuse(context, subject, result.error);
}
