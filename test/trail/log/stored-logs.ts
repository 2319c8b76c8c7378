import { env } from 'cloudflare:workers';
import { type AuditEventRow, type TrailLeafRow, type TrailLogRow } from '../../../src/db/schema.ts';
import { leafHash } from '../../../src/tlog/merkle.ts';
import { entryOfRow } from '../../../src/trail/log/facts.ts';
import { checkpointKey } from '../../../src/trail/log/store.ts';
import type { FactKind, LogStop } from '../../../src/vocabulary.ts';
import { edgeOf, filesOfLog, NAME, signedCheckpoint, TRAIL_KEY } from './built-logs.ts';

// Logs in D1 and their files, as sealing leaves them.

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
export const fromBase64 = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'base64'));

/** A fact of an event. */
export interface Fact {
  readonly kind: FactKind;
  readonly seq: number;
}

export const eventsOf = async (): Promise<readonly AuditEventRow[]> =>
  (await env.DB.prepare('select * from audit_events order by seq').all<AuditEventRow>()).results;

export const logs = async (): Promise<readonly TrailLogRow[]> =>
  (await env.DB.prepare('select * from trail_logs order by number').all<TrailLogRow>()).results;

export const leavesOf = async (log: number): Promise<readonly TrailLeafRow[]> =>
  (await env.DB.prepare('select * from trail_leaves where log = ? order by idx').bind(log).all<TrailLeafRow>()).results;

export const pending = async (): Promise<Readonly<Record<string, string>>> => {
  const { results } = await env.DB.prepare('select * from trail_pending order by seq').all<{
    seq: number;
    awaits: string;
  }>();
  return Object.fromEntries(results.map(({ seq, awaits }) => [seq, awaits]));
};

/** The entries of facts, from the rows as they stand. */
export async function entriesOf(facts: readonly Fact[]): Promise<readonly Uint8Array[]> {
  const rows = new Map((await eventsOf()).map((row) => [row.seq, row]));
  return facts.map(({ kind, seq }) => {
    const row = rows.get(seq);
    if (row === undefined) throw new Error(`no event ${seq}`);
    return entryOfRow(kind, row, true);
  });
}

/** Begins the first log with these leaves, of which the first ones are published. */
export async function beginLog(
  origin: string,
  facts: readonly Fact[],
  publishedSize: number,
  keyText: string = TRAIL_KEY,
): Promise<readonly Uint8Array[]> {
  const entries = await entriesOf(facts);
  const through = Math.max(0, ...facts.map(({ seq }) => seq));
  const published = entries.slice(0, publishedSize);
  const statement = (sql: string, ...values: readonly (string | number | null)[]) =>
    env.DB.prepare(sql).bind(...values);
  await env.DB.batch([
    statement(
      'insert into trail_logs (number, origin, begun_at, size, edge, through_seq, published_size, published_at) values (1, ?, 1, ?, ?, ?, ?, 1)',
      origin,
      entries.length,
      JSON.stringify(edgeOf(entries).map(base64)),
      through,
      publishedSize,
    ),
    ...entries.map((entry, index) =>
      statement(
        'insert into trail_leaves (log, idx, kind, seq, hash, authentic) values (1, ?, ?, ?, ?, 1)',
        index,
        facts[index]!.kind,
        facts[index]!.seq,
        base64(leafHash(entry)),
      ),
    ),
    statement(
      'insert into trail_checkpoints (log, size, note, signed_at) values (1, ?, ?, 1)',
      publishedSize,
      await signedCheckpoint(origin, published, keyText),
    ),
  ]);
  await storeFiles(await filesOfLog(1, origin, published, [publishedSize], keyText));
  return entries;
}

/** Puts files where a log without a bucket has them. Those that are there stay. */
export async function storeFiles(files: ReadonlyMap<string, Uint8Array>): Promise<void> {
  const insert = env.DB.prepare(
    'insert into trail_objects select ?1, ?2 where not exists (select 1 from trail_objects where key = ?1)',
  );
  await env.DB.batch([...files].map(([key, bytes]) => insert.bind(key, base64(bytes))));
}

export const storedNote = async (log: number, size: number): Promise<string> => {
  const body = await env.DB.prepare('select body from trail_objects where key = ?')
    .bind(checkpointKey(log, size))
    .first<string>('body');
  return new TextDecoder().decode(fromBase64(body ?? ''));
};

/** Stops the current log; begins the first one where there is none. */
export async function stopLog(stop: LogStop = 'forked'): Promise<void> {
  await env.DB.batch([
    env.DB.prepare(
      `insert into trail_logs (number, origin, begun_at, size, edge, through_seq, published_size)
        select 1, ?, 1, 0, '[]', 0, 0 where not exists (select 1 from trail_logs)`,
    ).bind(NAME),
    env.DB.prepare(
      'update trail_logs set stopped = ?, stopped_at = 2 where number = (select max(number) from trail_logs)',
    ).bind(stop),
  ]);
}
