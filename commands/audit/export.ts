import * as z from 'zod';
import { UserError } from '../../local/errors.ts';
import type { Client } from '../../package/client/client.ts';
import type { AuditFilter } from '../../package/client/requests.ts';
import { EXPORT_ENCODINGS } from '../../src/trail/query/format.ts';
import { buffered } from '../output.ts';

const nullableText = z.string().nullable();

/** An event as the API gives it, with everything that a line of CSV shows. */
const WireEvent = z.object({
  id: z.string(),
  seq: z.int(),
  occurred_at: z.string(),
  settled_at: nullableText,
  action: z.string(),
  status: z.string(),
  count: z.int(),
  last_at: z.string(),
  actor: z.object({ type: z.string(), issuer: nullableText, subject: nullableText, label: nullableText }),
  workspace_uuid: nullableText,
  token_id: nullableText,
  token_name: nullableText,
  request_id: nullableText,
  ip: nullableText,
  user_agent: nullableText,
  upstream_status: z.int().nullable(),
  error_code: nullableText,
  detail: z.record(z.string(), z.unknown()),
});

type Format = 'ndjson' | 'csv';

/**
 * Exports all matching events as one file, however many answers of the service that takes. It asks the service for NDJSON
 * even if the file is to be CSV: only NDJSON says on its last line that the answer is whole.
 *
 * @param write takes text, and settles when there is room for more.
 * @returns how many events were written.
 * @throws CountersignError `client_export_cut` if an answer breaks off or does not hold what its last line says. What was written is
 *   then not whole.
 */
export async function exportAll(
  client: Client,
  filter: AuditFilter,
  format: Format,
  write: (text: string) => Promise<void>,
): Promise<number> {
  const out = buffered(write);
  const encode = format === 'csv' ? (line: string) => csvOf(line, client.origin) : (line: string) => `${line}\n`;
  if (format === 'csv') await out.add(EXPORT_ENCODINGS.csv.head);
  let count = 0;
  try {
    for await (const line of client.audit.exportLines(filter)) {
      await out.add(encode(line));
      count += 1;
    }
    if (format === 'ndjson') await out.add(`${JSON.stringify({ complete: true, count, next: null })}\n`);
  } finally {
    await out.flush();
  }
  return count;
}

/** Writes a line of NDJSON as a line of CSV. */
function csvOf(line: string, url: string): string {
  const event = WireEvent.safeParse(jsonOf(line));
  if (event.success) return EXPORT_ENCODINGS.csv.event(event.data);
  throw new UserError(
    `${url} does not answer as Countersign does: an event lacks what a line of CSV shows. Try --export ndjson.`,
  );
}

function jsonOf(line: string): unknown {
  try {
    return JSON.parse(line) as unknown;
  } catch {
    return null;
  }
}
