import { presentEvent } from '../../../src/trail/query/format.ts';
import type { AuditEventRow } from '../../../src/db/schema.ts';
import type { LogList, Source } from '../../../commands/verify/source.ts';
import { checkpointBody } from '../../../src/tlog/checkpoint.ts';
import { type Edge, grow, type Hash, leafHash, rootOf } from '../../../src/tlog/merkle.ts';
import { createSigner, noteText, signNote, type Signer, verifierText } from '../../../src/tlog/note.ts';
import { bundleOf, tileOf, tilePath, tileRoot, newTiles, TILE_WIDTH } from '../../../src/tlog/tiles.ts';
import { entryOf, entryOfRow } from '../../../src/trail/log/facts.ts';
import type { FactKind } from '../../../src/vocabulary.ts';

// A small trail with its log, the same each time: 300 events of every kind, signed with a key of a fixed seed.

export const NAME = 'countersign.example.com/trail';
export const EVENTS = 300;
const BEGIN_MS = Date.parse('2026-11-01T00:00:00Z');
const MINUTE_MS = 60_000;

export const signerOf = async (seed: number, name = NAME): Promise<Signer> =>
  await createSigner({ kind: 'log', name, keyId: '', seed: new Uint8Array(32).fill(seed) });

/** The key of the log. */
export const SEED = 7;
export const pinOf = async (seed = SEED, name = NAME): Promise<string> =>
  verifierText((await signerOf(seed, name)).verifier);

/** What a row of each number is: most are over when they are recorded, some are attempts, and some count. */
const kindOf = (seq: number): 'final' | 'attempt' | 'counted' =>
  seq % 5 === 0 ? 'attempt' : seq % 7 === 0 ? 'counted' : 'final';

/** A row as D1 has it once all has become of it. */
export function rowOf(seq: number): AuditEventRow {
  const kind = kindOf(seq);
  const at = BEGIN_MS + seq * MINUTE_MS;
  const isFailure = seq % 11 === 0;
  return {
    seq,
    id: `00000000-0000-4000-8000-${String(seq).padStart(12, '0')}`,
    occurred_at: at,
    settled_at: kind === 'attempt' ? at + 900 : at,
    action: kind === 'attempt' ? 'service_account_token.create' : kind === 'counted' ? 'audit.query' : 'subject.block',
    status: isFailure ? 'failure' : 'success',
    actor_type: 'user',
    actor_issuer: 'https://issuer.example',
    actor_subject: `person-${seq % 9}`,
    actor_label: `Zoë ${seq % 9}`,
    workspace_uuid: seq % 3 === 0 ? null : '5877a4ae-0000-4000-8000-00000000000a',
    token_id: kind === 'attempt' && !isFailure ? `token-${seq}` : null,
    token_name: kind === 'attempt' ? `ci-${seq}` : null,
    request_id: `request-${seq}`,
    ip: '192.0.2.7',
    user_agent: 'curl/8',
    upstream_status: kind === 'attempt' ? 201 : null,
    error_code: isFailure ? 'forbidden' : null,
    detail: JSON.stringify({ policy: '0011223344556677', scopes: ['api:read'], n: seq / 4 }),
    outcome: kind === 'counted' ? null : JSON.stringify({ role: 'ci', 'ä "quoted"': true }),
    count: kind === 'counted' ? 1 + (seq % 4) : 1,
    last_at: kind === 'counted' && seq % 4 > 0 ? at + 30_000 : null,
    read_key: kind === 'counted' ? `key-${seq}` : null,
    marker: null,
    closed_at: kind === 'counted' ? at + 3 * MINUTE_MS : null,
    recorded_mac: null,
    settled_mac: null,
  };
}

/** A row of an attempt before it is settled. */
export const openRow = (row: AuditEventRow): AuditEventRow => ({
  ...row,
  settled_at: null,
  status: 'attempted',
  token_id: null,
  upstream_status: null,
  error_code: null,
  outcome: null,
});

export const rowsOf = (from: number, to: number): AuditEventRow[] =>
  Array.from({ length: to - from + 1 }, (_, offset) => rowOf(from + offset));

/** The entries for rows, in the order of their seals: every other attempt is sealed open first, and counted rows come later. */
export function entriesOf(rows: readonly AuditEventRow[]): Uint8Array[] {
  const entries: Uint8Array[] = [];
  for (let begin = 0; begin < rows.length; begin += 30) {
    const later: Uint8Array[] = [];
    for (const row of rows.slice(begin, begin + 30)) {
      const seal = (fact: FactKind) => entryOfRow(fact, row, true);
      if (row.read_key !== null) later.push(seal('counted'));
      else if (row.status === 'attempted') entries.push(seal('recorded'));
      else if (row.seq % 10 === 0) {
        entries.push(entryOfRow('recorded', openRow(row), true));
        later.push(seal('settled'));
      } else entries.push(seal('final'));
    }
    entries.push(...later);
  }
  return entries;
}

/** The files of logs and the lines of an export, which a test tampers with. */
export interface SmallLog {
  readonly list: LogList;
  readonly files: Map<string, Uint8Array>;
  lines: string[];
}

export const noteOf = async (
  origin: string,
  entries: readonly Uint8Array[],
  signers: readonly Signer[],
): Promise<string> => {
  const edge: Edge = grow([], 0, entries.map(leafHash));
  const body = checkpointBody({ origin, size: entries.length, root: rootOf(edge) });
  return noteText({ body, signatures: await Promise.all(signers.map(async (signer) => await signNote(body, signer))) });
};

/** Writes the tile tree of a log. */
export function putTiles(files: Map<string, Uint8Array>, number: number, entries: readonly Uint8Array[]): void {
  const levels: (readonly Hash[])[] = [entries.map(leafHash)];
  for (let below = levels[0] ?? []; below.length >= TILE_WIDTH; below = levels.at(-1) ?? []) {
    const whole = Math.floor(below.length / TILE_WIDTH);
    const from = below;
    levels.push(
      Array.from({ length: whole }, (_, index) => tileRoot(from.slice(index * TILE_WIDTH, (index + 1) * TILE_WIDTH))),
    );
  }
  for (const tile of newTiles(0, entries.length)) {
    const begin = tile.index * TILE_WIDTH;
    const bytes =
      tile.level === 'entries'
        ? bundleOf(entries.slice(begin, begin + tile.width))
        : tileOf((levels[tile.level] ?? []).slice(begin, begin + tile.width));
    files.set(`${number}/${tilePath(tile)}`, bytes);
  }
}

/** Puts a log, signed. */
export async function putLog(
  log: SmallLog,
  number: number,
  entries: readonly Uint8Array[],
  signers?: readonly Signer[],
): Promise<string> {
  const origin = number === 1 ? NAME : `${NAME}/${number}`;
  const note = await noteOf(origin, entries, signers ?? [await signerOf(SEED, origin)]);
  for (const name of log.files.keys()) if (name.startsWith(`${number}/`)) log.files.delete(name);
  putTiles(log.files, number, entries);
  log.files.set(`${number}/checkpoint`, new TextEncoder().encode(note));
  log.list.logs.splice(0, log.list.logs.length, ...log.list.logs.filter((one) => one.number !== number), {
    number,
    origin,
    size: entries.length,
    stopped: null,
    stopped_at: null,
  });
  return note;
}

export const wireOf = (row: AuditEventRow): string => JSON.stringify(presentEvent(row));
export const trailerOf = (count: number): string => JSON.stringify({ complete: true, count, next: null });
export const exportOf = (rows: readonly AuditEventRow[]): string[] => [...rows.map(wireOf), trailerOf(rows.length)];

/** A whole trail, and its log up to an event. */
export async function smallLog(sealed = EVENTS, rows?: readonly AuditEventRow[]): Promise<SmallLog> {
  if (sealed === EVENTS && rows === undefined) return copyOf(await (untouched ??= madeLog(EVENTS, rowsOf(1, EVENTS))));
  return await madeLog(sealed, rows ?? rowsOf(1, EVENTS));
}

/** Most tests begin with it. */
let untouched: Promise<SmallLog> | null = null;

const copyOf = ({ list, files, lines }: SmallLog): SmallLog => ({
  list: { logs: [...list.logs] },
  files: new Map(files),
  lines: [...lines],
});

async function madeLog(sealed: number, rows: readonly AuditEventRow[]): Promise<SmallLog> {
  const log: SmallLog = { list: { logs: [] }, files: new Map(), lines: exportOf(rows) };
  await putLog(log, 1, entriesOf(rows.filter(({ seq }) => seq <= sealed)));
  return log;
}

/** A source over it. */
export const sourceOf = ({ list, files, lines }: SmallLog): Source => ({
  name: 'memory',
  atOnce: 2,
  logs: async () => await Promise.resolve(list),
  checkpoint: async (log) => {
    const bytes = files.get(`${log}/checkpoint`);
    return await Promise.resolve(bytes === undefined ? null : new TextDecoder().decode(bytes));
  },
  tile: async (log, tile) => await Promise.resolve(files.get(`${log}/${tilePath(tile)}`) ?? null),
  async *events() {
    await Promise.resolve();
    yield* lines;
  },
});

/** The first entry of a log that follows log 1. */
export const resumedEntry = (number: number, body: object): Uint8Array =>
  entryOf('resumed', { at: new Date(BEGIN_MS + 400 * MINUTE_MS).toISOString(), log: number, event_id: 'x', ...body });

/** When all of it is over, in milliseconds since the epoch. */
export const AFTER_MS = BEGIN_MS + EVENTS * MINUTE_MS + 5 * MINUTE_MS;
