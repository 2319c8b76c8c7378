import { readFile } from 'node:fs/promises';
import { glob } from 'node:fs/promises';
import path from 'node:path';
import { parse, type Node } from './mutants/mutate.ts';

/** So many imports away a test is about a module; beyond, it runs through it. */
const NEAR_MAX_DISTANCE = 2;
/** Projects of Node: they start the built Worker, in which no mutant is. */
const NO_WORKERD = /^test\/(?:e2e|pipeops-simulator|commands|local|migrations|bundle|documents|prove|prove-runs)\//;

export interface ChosenTests {
  /** Those that are likeliest to notice a change: a few imports away, or in the folder of the same name. */
  readonly near: readonly string[];
  /** All others that import it, however far away. */
  readonly far: readonly string[];
}

/** The test files of the workerd project that import any of these files of `src`. All paths are from the checkout. */
export async function testsOf(checkout: string, files: readonly string[]): Promise<ChosenTests> {
  const importers = await importersIn(checkout);
  const distances = new Map(files.map((file) => [file, 0]));
  const queue = [...files];
  for (const file of queue) {
    for (const importer of importers.get(file) ?? []) {
      if (distances.has(importer)) continue;
      distances.set(importer, (distances.get(file) ?? 0) + 1);
      queue.push(importer);
    }
  }
  const rooms = new Set(files.flatMap((file) => path.dirname(file).split('/').slice(1)));
  const tests = queue.filter((file) => file.endsWith('.test.ts') && !NO_WORKERD.test(file));
  const isNear = (test: string): boolean =>
    (distances.get(test) ?? 0) <= NEAR_MAX_DISTANCE ||
    path
      .dirname(test)
      .split('/')
      .some((folder) => rooms.has(folder));
  return { near: tests.filter(isNear), far: tests.filter((test) => !isNear(test)) };
}

/** How likely a test of one file is to notice a mutant of another, by their names: in comparison with a test from elsewhere. */
export function closeness(test: string, file: string): number {
  const mirrored = file.replace(/^src\//, 'test/').replace(/\.ts$/, '.test.ts');
  if (test === mirrored) return 8;
  return path.dirname(test) === path.dirname(mirrored) ? 2 : 1;
}

/** Who imports each module at run time. */
async function importersIn(checkout: string): Promise<ReadonlyMap<string, readonly string[]>> {
  const importers = new Map<string, string[]>();
  for await (const file of glob('{policy.ts,src/**/*.ts,test/**/*.ts}', { cwd: checkout })) {
    const source = await readFile(path.join(checkout, file), 'utf8');
    for (const specifier of importsOf(parse(source))) {
      const imported = path.join(path.dirname(file), specifier);
      importers.set(imported, [...(importers.get(imported) ?? []), file]);
    }
  }
  return importers;
}

function importsOf(program: Node): readonly string[] {
  const statements = program['body'] as readonly Node[];
  return statements.flatMap((statement) => {
    const source = statement['source'] as { readonly value: string } | null | undefined;
    const isOfTypes = statement['importKind'] === 'type' || statement['exportKind'] === 'type';
    return source?.value.startsWith('.') === true && !isOfTypes ? [source.value] : [];
  });
}
