import { env } from 'cloudflare:workers';
import { expect } from 'vitest';
import type { TrailLogConfig } from '../../../src/config/trail-log.ts';
import { createDatabase } from '../../../src/db/database.ts';
import type { AuditEventRow } from '../../../src/db/schema.ts';
import type { TrailLeafRow, TrailLogRow } from '../../../src/db/trail-log-schema.ts';
import { createBudget } from '../../../src/kit/budget.ts';
import type { Runtime } from '../../../src/kit/runtime.ts';
import { newTrace } from '../../../src/kit/trace.ts';
import { parseCheckpoint } from '../../../src/tlog/checkpoint.ts';
import { grow, type Hash, leafHash, rootOf, sameHash } from '../../../src/tlog/merkle.ts';
import { createSigner, isSignedBy, type PrivateKey } from '../../../src/tlog/note.ts';
import { entriesOfBundle, hashesOfTile, tilePath, TILE_WIDTH, tileWidth } from '../../../src/tlog/tiles.ts';
import { createAnchors } from '../../../src/trail/log/anchors.ts';
import { createSealing } from '../../../src/trail/log/sealing.ts';
import { createSigning } from '../../../src/trail/log/signing.ts';
import { checkpointKey, createLogStore, type LogStore } from '../../../src/trail/log/store.ts';
import { workerRuntime } from '../../../src/worker-runtime.ts';
import { auditRow } from '../audit-row.ts';

// The sealing of the trail on a real D1 and a real R2, with a hand on each of its calls.

export const NOW = Date.UTC(2026, 10, 24, 12, 0, 10);
export const ORIGIN = 'countersign.example.com/trail';
const SEED = Uint8Array.from({ length: 32 }, (_, index) => index);
export const KEY: PrivateKey = await keyOf(ORIGIN, SEED);

export async function keyOf(name: string, seed: Uint8Array): Promise<PrivateKey> {
  const unchecked: PrivateKey = { kind: 'log', name, keyId: '', seed };
  return { ...unchecked, keyId: (await createSigner(unchecked)).verifier.keyId };
}

/** Empties the trail and its log, whose guards let nobody else do so, and the bucket. */
export async function clearTrail(): Promise<void> {
  const tables = [
    'audit_events',
    'trail_logs',
    'trail_leaves',
    'trail_pending',
    'trail_checkpoints',
    'trail_anchors',
    'trail_objects',
    'trail_gaps',
    'audit_time_spans',
  ];
  await unguarded(
    tables.map((table) => `delete from ${table}`),
    '%delete_guard',
  );
  const { objects } = await env.TRAIL.list();
  await env.TRAIL.delete(objects.map(({ key }) => key));
}

/** Runs statements as somebody does who has the database, and takes the guards away first. */
export async function unguarded(statements: readonly string[], guards = '%_guard'): Promise<void> {
  const { results } = await env.DB.prepare(
    `select name, sql from sqlite_master where type = 'trigger' and name like ?
       and (tbl_name like 'trail_%' or tbl_name like 'audit_%')`,
  )
    .bind(guards)
    .all<{ name: string; sql: string }>();
  await env.DB.batch(
    [...results.map(({ name }) => `drop trigger ${name}`), ...statements, ...results.map(({ sql }) => sql)].map((sql) =>
      env.DB.prepare(sql),
    ),
  );
}

const COLUMNS = Object.keys(auditRow()).filter((name) => name !== 'seq');
const INSERT = `insert into audit_events (${COLUMNS.join(', ')})
  select ${COLUMNS.map((name) => `e.value ->> '${name}'`).join(', ')} from json_each(?) as e order by e.key`;

const ATTEMPT = {
  status: 'attempted',
  settled_at: null,
  upstream_status: null,
  outcome: null,
  token_id: null,
} as const;
export const finalRow = (columns: Partial<AuditEventRow> = {}) => auditRow(columns);
export const openAttempt = (columns: Partial<AuditEventRow> = {}) => auditRow({ ...ATTEMPT, ...columns });
export const countedRow = (columns: Partial<AuditEventRow> = {}) =>
  auditRow({ action: 'audit.query', read_key: 'r'.repeat(32), occurred_at: NOW, ...columns });

export async function addRows(rows: readonly AuditEventRow[]): Promise<void> {
  await env.DB.prepare(INSERT).bind(JSON.stringify(rows)).run();
}

/** Rows of every kind, with the ids that say which they are. */
export const mixedRows = (count: number): AuditEventRow[] =>
  Array.from({ length: count }, (_, index) => {
    const columns = { id: `e-${index + 1}`, occurred_at: NOW - 600_000 + index };
    if (index % 5 === 1) return openAttempt(columns);
    return index % 5 === 3 ? countedRow({ ...columns, read_key: `key-${index}` }) : finalRow(columns);
  });

export const settle = async (id: string): Promise<void> =>
  void (await env.DB.prepare(
    `update audit_events set status = 'success', settled_at = ?, token_id = 'tok-9', outcome = '{"a":1}' where id = ?`,
  )
    .bind(NOW, id)
    .run());

export const readLog = async (): Promise<TrailLogRow> => {
  const log = await env.DB.prepare('select * from trail_logs order by number desc limit 1').first<TrailLogRow>();
  if (log === null) throw new Error('There is no log.');
  return log;
};
export const readLeaves = async (): Promise<TrailLeafRow[]> =>
  (await env.DB.prepare('select * from trail_leaves order by log, idx').all<TrailLeafRow>()).results;
export const readPending = async () =>
  (await env.DB.prepare('select * from trail_pending order by seq').all<{ seq: number; awaits: string }>()).results;

/** A call that a run makes: its number, and what it is. */
export interface Call {
  readonly number: number;
  readonly name: string;
}

export interface RigOptions {
  readonly store?: 'r2' | 'd1';
  readonly chunkRows?: number;
  readonly key?: PrivateKey;
  readonly nextKey?: PrivateKey | null;
  /** Witnesses and URLs that checkpoints are sent to by `runtime.fetch`. */
  readonly outside?: Pick<TrailLogConfig, 'witnesses' | 'anchors'>;
  readonly nowMs?: number;
  readonly queries?: number;
  readonly runtime?: Partial<Runtime>;
  readonly isAuthentic?: (row: AuditEventRow) => boolean;
  /** What happens before and after a call takes effect. */
  before?(call: Call): Promise<void> | void;
  after?(call: Call): Promise<void> | void;
  /** Another bucket than the real one. */
  readonly bucket?: R2Bucket;
}

export function createRig(options: RigOptions = {}) {
  const { store: kind = 'r2', chunkRows = 100, key = KEY, nextKey = null, queries = 1_000 } = options;
  const lines: Readonly<Record<string, unknown>>[] = [];
  const calls: string[] = [];
  const hooked = <T extends object>(target: T, names: readonly string[]): T =>
    new Proxy(target, {
      get: (_target, property) => {
        const value: unknown = Reflect.get(target, property);
        if (typeof value !== 'function') return value;
        if (!names.includes(String(property))) return value.bind(target);
        return async (...given: unknown[]) => {
          calls.push(`${String(property)} ${typeof given[0] === 'string' ? given[0] : ''}`);
          const call = { number: calls.length, name: String(property) };
          await options.before?.(call);
          const answer: unknown = await value.apply(target, given);
          await options.after?.(call);
          return answer;
        };
      },
    });
  const runtime: Runtime = {
    ...workerRuntime,
    now: () => options.nowMs ?? NOW,
    log: (line) => void lines.push(line),
    ...options.runtime,
  };
  const database = createDatabase(hooked(env.DB, ['batch']), runtime);
  const bucket = hooked(options.bucket ?? env.TRAIL, ['put', 'get', 'list']);
  const store: LogStore = createLogStore({ database, bucket: kind === 'r2' ? bucket : null, runtime });
  const signing = createSigning({ key, nextKey });
  const { isAuthentic = () => true, outside } = options;
  const trailLog = { bucket: kind === 'r2' ? bucket : null, witnesses: [], anchors: [], ...outside };
  const anchors = outside === undefined ? null : createAnchors({ database, runtime, store, trailLog });
  const sealing = createSealing({
    database,
    store,
    signing,
    anchors,
    runtime,
    config: { key },
    isAuthentic,
    chunkRows,
  });
  const trace = newTrace();
  return {
    lines,
    calls,
    store,
    trace,
    run: async () => {
      const budget = createBudget(trace, runtime, { d1Queries: queries, ms: 25_000 });
      return await sealing.run({ trace }, budget);
    },
    failures: () => lines.filter(({ event }) => event === 'sealing_failed'),
    checkpoints: () => lines.filter(({ event }) => event === 'trail.checkpoint'),
  };
}

/** A published log as somebody outside reads it, from its files alone. */
export interface ReadLog {
  readonly entries: readonly {
    readonly fact: string;
    readonly seq: number;
    readonly id: string;
    readonly unauthentic?: true;
  }[];
  readonly root: Hash;
  readonly size: number;
  readonly note: string;
}

/** Reads what is published, and holds it against itself: the signature, the root, and each tile. */
export async function readPublished(kind: 'r2' | 'd1' = 'r2'): Promise<ReadLog> {
  const { store } = createRig({ store: kind });
  const context = { trace: newTrace() };
  const bytesOf = async (key: string): Promise<Uint8Array> => {
    const found = await store.get(context, key);
    if (!found.ok || found.value === null) throw new Error(`The store lacks ${key}.`);
    return found.value;
  };
  const log = await readLog();
  const note = new TextDecoder().decode(await bytesOf(checkpointKey(log.number, log.published_size)));
  const parsed = parseCheckpoint(note);
  if (parsed === null) throw new Error('The checkpoint is none.');
  const { size, root, origin } = parsed.checkpoint;
  expect([origin, size]).toEqual([log.origin, log.published_size]);
  expect(await isSignedBy(parsed.note, (await createSigner(KEY)).verifier)).toBe(true);

  const entries: Uint8Array[] = [];
  for (let index = 0; index * TILE_WIDTH < size; index += 1) {
    const width = tileWidth('entries', index, size);
    const bundle = await bytesOf(`${log.number}/${tilePath({ level: 'entries', index, width })}`);
    const own = entriesOfBundle(bundle, width) ?? [];
    const tile = hashesOfTile(await bytesOf(`${log.number}/${tilePath({ level: 0, index, width })}`), width) ?? [];
    expect(own.length).toBe(width);
    expect(own.every((entry, at) => sameHash(leafHash(entry), tile[at] ?? root))).toBe(true);
    entries.push(...own);
  }
  expect(sameHash(rootOf(grow([], 0, entries.map(leafHash))), root)).toBe(true);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- an entry is what facts.ts makes
  const parsedEntries = entries.map(
    (entry) => JSON.parse(new TextDecoder().decode(entry)) as ReadLog['entries'][number],
  );
  return { entries: parsedEntries, root, size, note };
}

/** Holds a log against the trail: each event has the facts that it must have, each once, in the order of the trail. */
export async function expectWhole(kind: 'r2' | 'd1' = 'r2'): Promise<ReadLog> {
  const read = await readPublished(kind);
  const { results: rows } = await env.DB.prepare('select * from audit_events order by seq').all<AuditEventRow>();
  const facts = new Map(rows.map(({ seq }) => [seq, [] as string[]]));
  for (const { fact, seq } of read.entries) facts.get(seq)?.push(fact);
  for (const { seq, status, read_key, closed_at } of rows) {
    const own = facts.get(seq)?.join(' ');
    if (read_key !== null) expect(own, `${seq}`).toBe(closed_at === null ? '' : 'counted');
    else if (status === 'attempted') expect(own, `${seq}`).toBe('recorded');
    else expect(['final', 'recorded settled'], `${seq}`).toContain(own);
  }
  expect((await readLog()).published_size).toBe((await readLog()).size);
  return read;
}
