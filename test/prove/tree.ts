import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Defence } from './defence.ts';

export const CHECKOUT = fileURLToPath(new URL('../..', import.meta.url));

/** What a checkout holds that is no source: history, installed packages, what tools made. */
const NO_SOURCE: readonly string[] = ['node_modules', 'dist', 'coverage'];

/** A folder that holds everything of this run, temporary files of its child processes included. */
export const createWorkspace = async (): Promise<string> => await mkdtemp(path.join(tmpdir(), 'countersign-prove-'));
export const removeWorkspace = async (workspace: string): Promise<void> =>
  await rm(workspace, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });

/** Copies the source, uncommitted changes included. The packages are linked, not their folder: tools write into it. */
export async function copySource(workspace: string, name: string): Promise<string> {
  const tree = path.join(workspace, name);
  await mkdir(path.join(tree, 'node_modules'), { recursive: true });
  const sources = (await readdir(CHECKOUT)).filter((entry) => !entry.startsWith('.') && !NO_SOURCE.includes(entry));
  for (const entry of sources) await cp(path.join(CHECKOUT, entry), path.join(tree, entry), { recursive: true });

  const packages = path.join(CHECKOUT, 'node_modules');
  const installed = (await readdir(packages)).filter((entry) => !entry.startsWith('.') || entry === '.bin');
  for (const entry of installed) await symlink(path.join(packages, entry), path.join(tree, 'node_modules', entry));
  return tree;
}

/** Where the source of `compiled` stands. */
export const COMPILED_FILE = 'src/db/sql.ts';

/**
 * Has each `compiled` statement built anew whenever it is sent. Otherwise only the first test of a file that sends one would come by the
 * mutants in it, and the other tests would not be run under them. Throws where the source has another shape.
 */
export function withStatementsRebuilt(source: string): string {
  const rebuilt = source.replace('built ??= build(', 'built = build(');
  if (rebuilt === source) throw new Error(`${COMPILED_FILE} keeps what it has built in another way than this expects.`);
  return rebuilt;
}

/** Why a defence cannot be removed as the list says, or not be missed; null: it can. */
export async function staleness(tree: string, { file, find, test }: Defence): Promise<string | null> {
  const read = async (name: string) => await readFile(path.join(tree, name), 'utf8').catch(() => null);
  for (const name of test) if ((await read(name)) === null) return `there is no ${name}`;
  const source = await read(file);
  if (source === null) return `there is no ${file}`;
  const count = source.split(find).length - 1;
  return count === 1 ? null : `its text stands ${count} times in ${file}`;
}

/** Takes a defence out of a tree; the result puts it back. */
export async function removeDefence(tree: string, { file, find, replace }: Defence): Promise<() => Promise<void>> {
  const target = path.join(tree, file);
  const source = await readFile(target, 'utf8');
  await writeFile(
    target,
    source.replace(find, () => replace),
  );
  return async () => await writeFile(target, source);
}
