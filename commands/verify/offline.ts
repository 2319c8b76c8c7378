import { createReadStream, type ReadStream, readFileSync, statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { createGunzip } from 'node:zlib';
import { errorCode, reasonOf, UserError } from '../../local/errors.ts';
import { parseJson } from '../../src/kit/json.ts';
import { tilePath } from '../../src/tlog/tiles.ts';
import { printable } from '../terminal-text.ts';
import { LogList, type Source } from './source.ts';

const unreadable = (file: string, error: unknown, option: string): UserError =>
  new UserError(`${printable(file)} cannot be read: ${reasonOf(error)}. Name another with ${option}.`, {
    cause: error,
  });

/**
 * A trail in files: a folder with a tile tree for each log (C2SP tlog-tiles), and an export as NDJSON, also gzipped.
 *
 * @throws UserError where a file is not there or cannot be read.
 */
export function offlineSource(folder: string, exportFile: string): Source {
  try {
    if (!statSync(exportFile).isFile()) throw new UserError(`${printable(exportFile)} is no file: --export names one.`);
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw unreadable(exportFile, error, '--export');
  }
  const read = async (file: string): Promise<Uint8Array | null> => {
    try {
      return await readFile(path.join(folder, file));
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return null;
      throw unreadable(path.join(folder, file), error, '--tlog');
    }
  };
  return {
    name: folder,
    atOnce: 4,
    logs: async () => await Promise.resolve(readList(folder)),
    checkpoint: async (log) => {
      const bytes = await read(`${log}/checkpoint`);
      return bytes === null ? null : new TextDecoder().decode(bytes);
    },
    tile: async (log, tile) => await read(`${log}/${tilePath(tile)}`),
    events: () => linesOf(exportFile),
  };
}

function readList(folder: string): LogList {
  const file = path.join(folder, 'log.json');
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw unreadable(file, error, '--tlog');
  }
  const list = LogList.safeParse(parseJson(text));
  if (list.success) return list.data;
  throw new UserError(
    `${printable(file)} is no list of logs, as --export-tlog writes it and GET /api/v1/audit/log answers.`,
  );
}

/** @throws UserError where the file cannot be read to its end. A gzipped one that is cut gives what there is. */
async function* linesOf(file: string): AsyncGenerator<string, void, undefined> {
  const input = createReadStream(file);
  const isGzipped = file.endsWith('.gz');
  const bytes: AsyncIterable<Uint8Array> = isGzipped ? unzipped(input) : input;
  const decoder = new TextDecoder();
  let rest = '';
  try {
    for await (const chunk of bytes) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
      rest = lines.pop() ?? '';
      yield* lines;
    }
  } catch (error) {
    // The end of a cut file is judged like that of a cut export.
    if (errorCode(error) !== 'Z_BUF_ERROR') throw unreadable(file, error, '--export');
  }
  if (rest !== '') yield rest;
}

function unzipped(input: ReadStream): AsyncIterable<Uint8Array> {
  const gunzip = createGunzip();
  input.on('error', (error) => gunzip.destroy(error));
  return input.pipe(gunzip);
}
