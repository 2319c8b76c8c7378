import { glob, stat } from 'node:fs/promises';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { proveByHand } from './by-hand.ts';
import { listMutants, proveGenerated, type Targets } from './generated.ts';
import { killSessions } from './session.ts';
import { keepTemporaryFilesInMemory } from '../support/memory-folder.ts';
import { changedSince } from './since.ts';
import { CHECKOUT, createWorkspace, removeWorkspace } from './tree.ts';
import { killRuns } from './vitest-run.ts';

const USAGE = `npm run prove -- <room or file…>    mutants of these parts of src, such as policy or src/policy/decide.ts
npm run prove -- --since <ref>      mutants of the lines that this branch changed since it left a git ref, such as main
npm run prove -- --by-hand [text…]  the defences of test/prove/defences, or those whose name holds a text
--far also runs tests that are far away from the code; --list prints the mutants and runs nothing.`;

keepTemporaryFilesInMemory();

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    since: { type: 'string' },
    'by-hand': { type: 'boolean' },
    list: { type: 'boolean' },
    far: { type: 'boolean' },
  },
});

if (options['by-hand'] === true || positionals.length > 0 || options.since !== undefined) {
  process.exitCode = (await run()) ? 0 : 1;
} else {
  console.error(USAGE);
  process.exitCode = 2;
}

async function run(): Promise<boolean> {
  if (options['by-hand'] === true)
    return await inWorkspace(async (workspace) => await proveByHand(workspace, positionals));
  const targets = await targetsOf(positionals, options.since).catch((error: Error) => error.message);
  if (typeof targets === 'string') {
    console.error(targets);
    return false;
  }
  if (options.list === true) {
    await listMutants(targets);
    return true;
  }
  return await inWorkspace(async (workspace) => await proveGenerated(workspace, targets, options.far === true));
}

async function inWorkspace(work: (workspace: string) => Promise<boolean>): Promise<boolean> {
  const workspace = await createWorkspace();
  const endRuns = (): void => {
    killRuns();
    killSessions();
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => {
      endRuns();
      void removeWorkspace(workspace).finally(() => process.exit(130));
    });
  }
  try {
    return await work(workspace);
  } finally {
    endRuns();
    await removeWorkspace(workspace);
  }
}

/** The files that are named, or all, and of them the lines that changed, or all. */
async function targetsOf(names: readonly string[], since: string | undefined): Promise<Targets> {
  const files = (await Promise.all((names.length === 0 ? ['src'] : names).map(filesOf))).flat();
  const changed = since === undefined ? null : await changedSince(CHECKOUT, since);
  const everyLine = [{ first: 1, last: Number.MAX_SAFE_INTEGER }];
  return new Map(
    files.flatMap((file) => {
      const lines = changed === null ? everyLine : changed.get(file);
      return lines === undefined ? [] : [[file, lines]];
    }),
  );
}

/** A room is named as a folder of `src`, with or without it; a file by its path. */
async function filesOf(name: string): Promise<readonly string[]> {
  for (const candidate of [name, path.join('src', name)]) {
    const found = await stat(path.join(CHECKOUT, candidate)).catch(() => null);
    if (found === null || !/^src(?:\/|$)/.test(path.normalize(candidate))) continue;
    if (found.isFile()) return [path.normalize(candidate)];
    const files: string[] = [];
    for await (const file of glob('**/*.ts', { cwd: path.join(CHECKOUT, candidate) }))
      files.push(path.join(candidate, file));
    return files.filter((file) => !file.endsWith('.d.ts')).toSorted();
  }
  throw new Error(`There is no ${name} in src.`);
}
