import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { errorCode, reasonOf, UserError } from '../../local/errors.ts';
import { tilePath } from '../../src/tlog/tiles.ts';
import { printable } from '../terminal-text.ts';
import type { Source } from './source.ts';

/**
 * Keeps every file of the logs that is read, as a standard tile tree for each log. Other tools read it, and `--tlog` does.
 *
 * @throws UserError where the folder holds something, or cannot be made.
 */
export function keepingTiles(source: Source, folder: string): Source {
  const write = (name: string, content: string | Uint8Array): void => {
    const file = path.join(folder, name);
    try {
      mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
      writeFileSync(file, content, { mode: 0o600 });
    } catch (error) {
      throw new UserError(
        `${printable(file)} cannot be written: ${reasonOf(error)}. Name another folder with --export-tlog.`,
        { cause: error },
      );
    }
  };
  if (!isEmpty(folder)) {
    throw new UserError(
      `${printable(folder)} is no empty folder: --export-tlog makes one, or fills one that is empty.`,
    );
  }
  return {
    ...source,
    logs: async () => {
      const list = await source.logs();
      write('log.json', `${JSON.stringify(list, null, 2)}\n`);
      return list;
    },
    checkpoint: async (log) => {
      const text = await source.checkpoint(log);
      if (text !== null) write(`${log}/checkpoint`, text);
      return text;
    },
    tile: async (log, tile) => {
      const bytes = await source.tile(log, tile);
      if (bytes !== null) write(`${log}/${tilePath(tile)}`, bytes);
      return bytes;
    },
  };
}

function isEmpty(folder: string): boolean {
  try {
    return readdirSync(folder).length === 0;
  } catch (error) {
    return errorCode(error) === 'ENOENT';
  }
}
