import { mkdtempSync, rmSync, statfsSync } from 'node:fs';
import path from 'node:path';

/** Where Linux keeps files in memory. */
const MEMORY_FOLDER = '/dev/shm';
/** A run of all tests had 70 MB of files there at once. A container that was given 64 MB, as is common, does without. */
const ROOM_MIN_BYTES = 1024 ** 3;

/**
 * Has this process and its children keep their temporary files in memory, where that has the room and nobody chose another place: a third of
 * the time of a test on D1 is spent waiting for a disk to keep what no test will ask for again. The folder goes when the process ends.
 */
export function keepTemporaryFilesInMemory(): void {
  if (process.env['TMPDIR'] !== undefined || !hasRoom()) return;
  const folder = mkdtempSync(path.join(MEMORY_FOLDER, 'countersign-'));
  process.env['TMPDIR'] = folder;
  process.once('exit', () => rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 }));
}

function hasRoom(): boolean {
  try {
    const { bavail, bsize } = statfsSync(MEMORY_FOLDER);
    return bavail * bsize >= ROOM_MIN_BYTES;
  } catch {
    return false;
  }
}
