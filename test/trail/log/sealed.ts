import { env } from 'cloudflare:workers';
import type { AuditEventRow } from '../../../src/db/schema.ts';
import { entryOf, entryOfRow } from '../../../src/trail/log/facts.ts';
import { checkpointBody } from '../../../src/tlog/checkpoint.ts';
import { grow, leafHash, rootOf, type Hash } from '../../../src/tlog/merkle.ts';
import { createSigner, noteText, parsePrivateKey, privateKeyText, signNote } from '../../../src/tlog/note.ts';
import { bundleOf, newTiles, type Tile, TILE_WIDTH, tileOf, tilePath, tileRoot } from '../../../src/tlog/tiles.ts';
import type { FactKind, LogLeafKind } from '../../../src/vocabulary.ts';
import { noteSecret } from '../../support/secrets.ts';

// Seals the trail of a test into a log by the formats alone, without the service's own sealing: what readers are given is then checked against
// something that the service did not write. All of a log is made anew each time, so it is for small trails.

export const ORIGIN = 'countersign.test/trail';
export const TRAIL_KEY = await privateKeyText('log', ORIGIN, new Uint8Array(32).fill(7));

interface Leaf {
  readonly kind: LogLeafKind;
  readonly seq: number | null;
  readonly entry: Uint8Array;
}

interface Sealed {
  readonly number?: number;
  /** The events that are sealed; default: all. */
  readonly throughSeq?: number;
  /** Leaves that stand before those of events. */
  readonly before?: readonly Leaf[];
  /** Events before this one are not sealed in this log. */
  readonly fromSeq?: number;
  /** Signature lines of witnesses. */
  readonly cosignatures?: string;
  /** How many of the leaves are published; default: all. */
  readonly published?: number;
}

/** The first leaf of a log that follows another one. */
export const resumed = (keptSize: number): Leaf => ({
  kind: 'resumed',
  seq: null,
  entry: entryOf('resumed', { kept_size: keptSize }),
});

const factOf = (row: AuditEventRow): FactKind => {
  if (row.status === 'attempted') return 'recorded';
  return row.read_key === null ? 'final' : 'counted';
};

/** The leaves of the logs in the database of this file: a row that was sealed keeps its leaf. */
const leavesOf = new Map<number, Leaf[]>();

/** Seals what is in the trail and publishes it. Rows that count are closed. Gives the leaves of the log. */
export async function seal({
  number = 1,
  throughSeq = Infinity,
  before = [],
  fromSeq = 1,
  cosignatures = '',
  published,
}: Sealed = {}): Promise<readonly Leaf[]> {
  const { DB } = env;
  noteSecret(TRAIL_KEY);
  await DB.prepare(
    'update audit_events set closed_at = 1 where read_key is not null and closed_at is null and seq <= ?',
  )
    .bind(Math.min(throughSeq, Number.MAX_SAFE_INTEGER))
    .run();
  const rows = (await DB.prepare('select * from audit_events order by seq').all<AuditEventRow>()).results;
  // Each file of tests has a database of its own.
  if ((await DB.prepare('select 1 from trail_logs where number = ?').bind(number).first()) === null)
    leavesOf.delete(number);
  const oldSize = leavesOf.get(number)?.length ?? 0;
  const leaves = leavesOf.get(number) ?? [...before];
  leavesOf.set(number, leaves);
  for (const row of rows) {
    if (row.seq < fromSeq || row.seq > throughSeq) continue;
    const known = leaves.filter(({ seq }) => seq === row.seq).map(({ kind }) => kind);
    const fact = known.includes('recorded') && row.status !== 'attempted' ? 'settled' : factOf(row);
    if (known.includes(fact) || known.includes('final') || known.includes('counted')) continue;
    leaves.push({ kind: fact, seq: row.seq, entry: entryOfRow(fact, row, true) });
  }
  const afterSeq = Math.min(fromSeq - 1, rows.at(-1)?.seq ?? 0);
  await publish({ number, leaves, oldSize, size: published ?? leaves.length, cosignatures, afterSeq });
  return leaves;
}

async function publish({ number, leaves, oldSize, size, cosignatures, afterSeq }: Publication): Promise<void> {
  const { DB } = env;
  const hashes = leaves.map(({ entry }) => leafHash(entry));
  const edge = grow([], 0, hashes.slice(0, size));
  const origin = number === 1 ? ORIGIN : `${ORIGIN}/${number}`;
  const signer = await createSigner(parsePrivateKey(TRAIL_KEY)!, origin);
  const body = checkpointBody({ origin, size, root: rootOf(edge) });
  const note = noteText({ body, signatures: [await signNote(body, signer)] });
  await DB.batch([
    DB.prepare(
      `insert into trail_logs (number, origin, begun_at, size, edge, through_seq, published_size)
       select ?1, ?2, 1, 0, '[]', 0, 0 where not exists (select 1 from trail_logs where number = ?1)`,
    ).bind(number, origin),
    ...leaves
      .slice(oldSize)
      .map(({ kind, seq, entry }, at) =>
        DB.prepare(
          'insert into trail_leaves (log, idx, kind, seq, hash, authentic, entry) values (?, ?, ?, ?, ?, 1, ?)',
        ).bind(
          number,
          oldSize + at,
          kind,
          seq,
          Buffer.from(hashes[oldSize + at]!).toString('base64'),
          seq === null ? new TextDecoder().decode(entry) : null,
        ),
      ),
    ...newTiles(0, size).map((tile) => putFile(`${number}/${tilePath(tile)}`, fileOf(tile, leaves, hashes))),
    DB.prepare(
      `insert into trail_checkpoints (log, size, note, signed_at, cosignatures) select ?1, ?2, ?3, 2, ?4
       where not exists (select 1 from trail_checkpoints where log = ?1 and size = ?2)`,
    ).bind(number, size, note, cosignatures),
    putFile(`${number}/checkpoint/${String(size).padStart(15, '0')}`, new TextEncoder().encode(note)),
    DB.prepare(
      'update trail_logs set size = ?2, published_size = ?3, published_at = 2, through_seq = ?4 where number = ?1',
    ).bind(number, leaves.length, size, Math.max(afterSeq, ...leaves.slice(0, size).map(({ seq }) => seq ?? 0))),
  ]);
}

/** A statement that puts a file, unless it is there. */
export const putFile = (key: string, bytes: Uint8Array): D1PreparedStatement =>
  env.DB.prepare(
    'insert into trail_objects (key, body) select ?1, ?2 where not exists (select 1 from trail_objects where key = ?1)',
  ).bind(key, Buffer.from(bytes).toString('base64'));

function fileOf({ level, index, width }: Tile, leaves: readonly Leaf[], hashes: readonly Hash[]): Uint8Array {
  const begin = index * TILE_WIDTH;
  if (level === 'entries') return bundleOf(leaves.slice(begin, begin + width).map(({ entry }) => entry));
  const below = (height: number): readonly Hash[] => {
    if (height === 0) return hashes;
    const under = below(height - 1);
    return Array.from({ length: Math.floor(under.length / TILE_WIDTH) }, (_, at) =>
      tileRoot(under.slice(at * TILE_WIDTH, (at + 1) * TILE_WIDTH)),
    );
  };
  return tileOf(below(level).slice(begin, begin + width));
}

interface Publication {
  readonly number: number;
  readonly leaves: readonly Leaf[];
  readonly oldSize: number;
  readonly size: number;
  readonly cosignatures: string;
  readonly afterSeq: number;
}

/** Seals the first event of the trail, unless it is sealed. Gives its id. */
export async function sealFirst(): Promise<string> {
  const { id, seq } = (await env.DB.prepare('select id, seq from audit_events order by seq limit 1').first<{
    id: string;
    seq: number;
  }>())!;
  if ((await env.DB.prepare('select 1 from trail_logs').first()) === null) await seal({ throughSeq: seq });
  return id;
}
