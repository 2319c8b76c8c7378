import * as z from 'zod';
import { entriesOfBundle, hashesOfTile, type Tile, TILE_WIDTH } from '../../src/tlog/tiles.ts';
import type { Hash } from '../../src/tlog/merkle.ts';

/** Where a trail and its logs are read: a service, or files. What it gives may be forged: `judge/` decides. */
export interface Source {
  /** Where that is, for messages. */
  readonly name: string;
  /** The answer of `GET /api/v1/audit/log`. @throws UserError if it is none. */
  logs(): Promise<LogList>;
  /** The signed checkpoint of a log; null: there is none. */
  checkpoint(log: number): Promise<string | null>;
  /** A file of a log; null: it is not there. */
  tile(log: number, tile: Tile): Promise<Uint8Array | null>;
  /** The lines of the export, the last lines of its parts among them. */
  events(): AsyncIterable<string>;
  /** Files that are asked for at a time. */
  readonly atOnce: number;
}

export const LogList = z.object({
  logs: z.array(
    z.object({
      number: z.int().min(1),
      origin: z.string(),
      size: z.int().min(0),
      stopped: z.string().nullable(),
      stopped_at: z.string().nullable(),
    }),
  ),
});
export type LogList = z.infer<typeof LogList>;

/**
 * The entries of a bundle; null: they are not there, or are not of that many entries. A bundle that was partial may have gone once the
 * whole one was there.
 */
export async function readEntries(
  source: Source,
  log: number,
  tile: Omit<Tile, 'level'>,
): Promise<readonly Uint8Array[] | null> {
  const bytes = await source.tile(log, { ...tile, level: 'entries' });
  if (bytes !== null) return entriesOfBundle(bytes, tile.width);
  if (tile.width === TILE_WIDTH) return null;
  const whole = await source.tile(log, { level: 'entries', index: tile.index, width: TILE_WIDTH });
  return whole === null ? null : (entriesOfBundle(whole, TILE_WIDTH)?.slice(0, tile.width) ?? null);
}

/** The hashes of a tile. `absent`: it is not there. Null: it is there and is no tile of that width. */
export async function readHashes(source: Source, log: number, tile: Tile): Promise<readonly Hash[] | 'absent' | null> {
  const bytes = await source.tile(log, tile);
  if (bytes !== null) return hashesOfTile(bytes, tile.width);
  if (tile.width === TILE_WIDTH) return 'absent';
  const whole = await source.tile(log, { ...tile, width: TILE_WIDTH });
  return whole === null ? 'absent' : (hashesOfTile(whole, TILE_WIDTH)?.slice(0, tile.width) ?? null);
}
