import { readFileSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { SEALING_CHUNK_ROWS } from '../src/config/trail-limits.ts';
import { edgeLength, type Edge, grow, leafHash } from '../src/tlog/merkle.ts';
import { newTiles, TILE_WIDTH } from '../src/tlog/tiles.ts';
import { entryOfRow } from '../src/trail/log/facts.ts';
import { assign } from '../src/trail/log/leaves.ts';
import { firstLeaf, growTree, partialTiles } from '../src/trail/log/tree.ts';
import { atMost, type Bar } from './bars.ts';
import { printTable } from './print.ts';
import { sized } from './quick.ts';
import { rowOf } from './trail-verify.ts';

const SIZES = [1_000_000, 10_000_000, 100_000_000] as const;
const CHUNKS = sized(10, 2);
const LEAVES = sized(200_000, 20_000);
const HASH_BYTES = 32;
/** Sealing 50,000 facts, the most of a minute, may take a third of the 30 s of CPU that Workers grant a cron of each minute. */
const SECONDS_PER_50_000 = 10;

/** What a log of each size holds, and what sealing at that size takes of one core: a tree that large is not built, its edge is made up. */
export async function benchTrailLog(): Promise<readonly Bar[]> {
  await Promise.resolve();
  const entryBytes = meanEntryBytes();
  const leafBytes = leafBytesInD1();
  const rows = SIZES.map((size) => {
    // Whole tiles alone: each checkpoint adds its partial ones, two and one for each further level.
    const tiles = newTiles(0, size - (size % TILE_WIDTH));
    const hashes = tiles.reduce((sum, { level, width }) => sum + (level === 'entries' ? 0 : width), 0);
    return {
      facts: size,
      files: tiles.length,
      'GB of bundles': round((size * (entryBytes + 2)) / 1e9),
      'GB of hash tiles': round((hashes * HASH_BYTES) / 1e9),
      'GB of leaves in D1': round((size * leafBytes) / 1e9),
      'levels of tiles': Math.ceil(Math.log(size) / Math.log(TILE_WIDTH)),
      'hashes of a proof': Math.ceil(Math.log2(size)),
      'CPU s to seal 50,000': round(secondsToSeal(size) * (50_000 / (CHUNKS * SEALING_CHUNK_ROWS))),
    };
  });
  console.log(`The log of the trail: ${entryBytes} bytes an entry, ${leafBytes} bytes a leaf in D1.`);
  printTable('log', rows);
  const most = Math.max(...rows.map((row) => row['CPU s to seal 50,000']));
  return [atMost('sealing 50,000 facts at any size: seconds of CPU, D1 and R2 apart', most, SECONDS_PER_50_000, ' s')];
}

const round = (value: number): number => Number(value.toPrecision(2));

function meanEntryBytes(): number {
  const bytes = Array.from({ length: 1_000 }, (_, seq) => entryOfRow('final', rowOf(seq * 1_000 + 1), true).length);
  return Math.round(bytes.reduce((sum, one) => sum + one, 0) / bytes.length);
}

/** The CPU time of a run over a log of this size: entries, hashes and tiles. */
function secondsToSeal(size: number): number {
  const hash = leafHash(new Uint8Array());
  const partials = partialTiles(size).map(({ width }) => Array.from({ length: width }, () => hash));
  const before = Array.from({ length: size - firstLeaf(size) }, () => hash);
  let edge: Edge = Array.from({ length: edgeLength(size) }, () => hash);
  const startedAt = process.cpuUsage();
  for (let chunk = 0; chunk < CHUNKS; chunk += 1) {
    const begin = chunk * SEALING_CHUNK_ROWS;
    const candidates = Array.from({ length: SEALING_CHUNK_ROWS }, (_, offset) => ({
      row: rowOf(begin + offset + 1),
      awaits: null,
    }));
    const { hashes } = assign(candidates, () => true);
    edge = grow(edge, size, hashes);
    growTree({ oldSize: size, size: size + hashes.length, leaves: [...before, ...hashes], partials });
    // What is published is made from the rows once more.
    for (const { row } of candidates) leafHash(entryOfRow('final', row, true));
    edge = Array.from({ length: edgeLength(size) }, () => hash);
  }
  const { user, system } = process.cpuUsage(startedAt);
  return (user + system) / 1e6;
}

/** The bytes of a leaf and of its place in the index, as SQLite stores them. */
function leafBytesInD1(): number {
  const database = new DatabaseSync(':memory:');
  const migration = readFileSync(new URL('../drizzle/0015_trail_log.sql', import.meta.url), 'utf8');
  for (const statement of migration.split('--> statement-breakpoint')) {
    if (/create (?:table|index) `trail_leaves/i.test(statement)) database.exec(statement);
  }
  const insert = database.prepare(
    "insert into trail_leaves (log, idx, kind, seq, hash, authentic) values (1, ?, 'final', ?, ?, 1)",
  );
  const bytesOf = (): number =>
    Number(
      database.prepare('select page_count * page_size as bytes from pragma_page_count, pragma_page_size').get()?.[
        'bytes'
      ],
    );
  const empty = bytesOf();
  database.exec('begin');
  for (let index = 0; index < LEAVES; index += 1) {
    insert.run(index, index + 1, Buffer.from(leafHash(Uint8Array.of(index & 255, index >> 8))).toString('base64'));
  }
  database.exec('commit');
  return Math.round((bytesOf() - empty) / LEAVES);
}
