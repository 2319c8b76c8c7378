import { randomUUID } from 'node:crypto';
import { lstatSync, rmSync, type Stats } from 'node:fs';
import { link, lstat, open, rename } from 'node:fs/promises';
import path from 'node:path';
import { errorCode, reasonOf, UserError } from '../local/errors.ts';
import { printable } from './terminal-text.ts';

/**
 * Writes a file that its owner alone may read. It gets its name only once it is whole and on the disk, so that a name never stands for
 * a part. Two commands that write one file at once have a draft each.
 *
 * @param isReplacing whether a file of that name may be replaced.
 * @param fill writes the content, piece by piece.
 * @param option the one that names the file, for messages.
 * @throws UserError if the file cannot be written, or something else has its name. Nothing has changed then.
 */
export async function writeOutFile(
  file: string,
  isReplacing: boolean,
  fill: (write: (text: string) => Promise<void>) => Promise<void>,
  option = '--out',
): Promise<void> {
  const problem = problemOf(file, isReplacing, option);
  if (problem !== null) throw new UserError(problem);
  // In a container a process that was killed may have had our id, and its draft may be here.
  const draft = path.join(path.dirname(file), `export-${randomUUID()}.part`);
  const failed = (error: unknown): UserError =>
    new UserError(`${printable(file)} cannot be written: ${reasonOf(error)}. Name another with ${option}.`, {
      cause: error,
    });
  const removeDraft = (): void => rmSync(draft, { force: true });
  const handle = await open(draft, 'wx', 0o600).catch((error: unknown) => {
    throw failed(error);
  });
  // Ctrl-C ends the process at once.
  process.once('exit', removeDraft);
  const onSignal = (): never => process.exit(130);
  for (const signal of SIGNALS) process.once(signal, onSignal);
  try {
    try {
      await fill(async (text) => {
        await handle.appendFile(text).catch((error: unknown) => {
          throw failed(error);
        });
      });
      await handle.sync().catch((error: unknown) => {
        throw failed(error);
      });
    } finally {
      await handle.close();
    }
    await publish(draft, file, isReplacing);
  } finally {
    removeDraft();
    process.off('exit', removeDraft);
    for (const signal of SIGNALS) process.off(signal, onSignal);
  }
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** Why nothing is written under this name; null: it may be. */
function problemOf(file: string, isReplacing: boolean, option: string): string | null {
  let stats: Stats | undefined;
  try {
    stats = lstatSync(file, { throwIfNoEntry: false });
  } catch (error) {
    return `${printable(file)} cannot be written: ${reasonOf(error)}. Name another with ${option}.`;
  }
  if (stats === undefined) return null;
  return stats.isFile()
    ? isReplacing
      ? null
      : isThere(file)
    : `${printable(file)} is ${kindOf(stats)}: name a file with ${option}.`;
}

const isThere = (file: string): string =>
  `${printable(file)} is there already: name another, or replace it with --force.`;

function kindOf(stats: Stats): string {
  if (stats.isDirectory()) return 'a folder';
  if (stats.isSymbolicLink()) return 'a link, and what it leads to may be no file of yours';
  if (stats.isFIFO()) return 'a pipe';
  if (stats.isSocket()) return 'a socket';
  return 'a device';
}

/** Gives the draft its name. Unlike a rename, a link does not replace what another command has made meanwhile. */
async function publish(draft: string, file: string, isReplacing: boolean): Promise<void> {
  try {
    if (isReplacing) await rename(draft, file);
    else await link(draft, file);
  } catch (error) {
    if (errorCode(error) === 'EEXIST') throw new UserError(isThere(file), { cause: error });
    // Some file systems of virtual machines have no links.
    const isTaken = await lstat(file).then(
      () => true,
      () => false,
    );
    if (isReplacing || isTaken) {
      throw new UserError(`${printable(file)} cannot be written: ${reasonOf(error)}.`, { cause: error });
    }
    await rename(draft, file);
  }
}
