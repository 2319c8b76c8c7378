import { mkdtempSync, readFileSync, rmSync, statfsSync } from 'node:fs';
import path from 'node:path';

/** Where Linux keeps files in memory. */
const MEMORY_FOLDER = '/dev/shm';
/** A run of all tests had 70 MB of files there at once. A container that was given 64 MB, as is common, does without. */
const ROOM_MIN_BYTES = 1024 ** 3;

/**
 * Has this process and its children keep their temporary files in memory, where that is possible and nobody chose another place: a third of
 * the time of a test on D1 is spent waiting for a disk to keep what no test will ask for again. The folder goes when the process ends.
 */
export function keepTemporaryFilesInMemory(): void {
  if (process.env['TMPDIR'] !== undefined) return;
  const folder = folderInMemory();
  if (folder === null) return;
  process.env['TMPDIR'] = folder;
  process.once('exit', () => rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 }));
}

/** A new folder; null: the system has no such place, or it is too small, cannot be written, or runs no programs, as in many a container. */
function folderInMemory(): string | null {
  try {
    const { bavail, bsize } = statfsSync(MEMORY_FOLDER);
    const mount = readFileSync('/proc/mounts', 'utf8')
      .split('\n')
      // The last of those that are mounted there counts.
      .findLast((line) => line.split(' ')[1] === MEMORY_FOLDER);
    const runsPrograms = mount !== undefined && !(mount.split(' ')[3] ?? '').split(',').includes('noexec');
    return runsPrograms && bavail * bsize >= ROOM_MIN_BYTES
      ? mkdtempSync(path.join(MEMORY_FOLDER, 'countersign-'))
      : null;
  } catch {
    return null;
  }
}
