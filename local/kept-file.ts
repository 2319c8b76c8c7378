import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { errorCode } from './errors.ts';

/**
 * The text of a file with secrets in it. The first call creates it, readable by its owner only; when two processes do so
 * at once, both end up with the same text.
 */
export async function keepFile(file: string, make: () => string | Promise<string>): Promise<string> {
  return readKeptFile(file) ?? create(file, await make());
}

/** Null: nobody has made it. */
export function readKeptFile(file: string): string | null {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return null;
    throw error;
  }
}

function create(file: string, text: string): string {
  mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
  const draft = `${file}.${process.pid}`;
  writeFileSync(draft, text, { mode: 0o600 });
  try {
    // Unlike a rename, a link never replaces what another process has just made.
    linkSync(draft, file);
    return text;
  } catch (error) {
    const winner = errorCode(error) === 'EEXIST' ? readKeptFile(file) : null;
    if (winner === null) throw error;
    return winner;
  } finally {
    rmSync(draft);
  }
}
