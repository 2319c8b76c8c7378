import { afterEach, beforeEach, vi } from 'vitest';
import { ONLY, parseRunFileName, placeOf, SWITCH } from './agreed.ts';

// Runs in workerd before each file of the run, and before the setup file of the tests: chooses the mutant, and has every
// module loaded anew for it, so that what a module makes while it loads is made of the mutant, and no mutant leaves state
// to the next.

interface Shared {
  /** Mutants that a test has noticed, or under which one waited for ever: the rest of their tests need not run. */
  readonly settled: Set<number>;
  /** The mutant that the loaded modules were made of. */
  loaded: number | null;
}

const inWorker: Record<string, unknown> = globalThis;
const shared = (inWorker['prove'] ??= { settled: new Set(), loaded: null }) as Shared;
// The state of vitest's worker: the file has no public name before its tests are known.
const { filepath } = inWorker['__vitest_worker__'] as { readonly filepath: string };
const { mutant } = parseRunFileName(filepath);
if (shared.settled.has(mutant)) throw new Error('This mutant is settled.');

// Without a mutant they are loaded for each file, since it comes by the places that run while they load.
if (mutant === 0 || shared.loaded !== mutant) vi.resetModules();
shared.loaded = mutant;
delete inWorker[ONLY];
/** Places that ran outside of a test: while modules load, in hooks of a file. They concern each test of the file. */
const reachedOutside = new Set<number>();
let reached = reachedOutside;
inWorker[SWITCH] = (number: number): boolean => {
  if (mutant === 0) reached.add(number);
  return number === mutant;
};

beforeEach(({ skip, task }) => {
  const only = inWorker[ONLY] as readonly string[] | undefined;
  if (shared.settled.has(mutant) || only?.includes(placeOf(task.id)) === false) skip();
  reached = new Set();
});

afterEach(({ task }) => {
  Object.assign(task.meta, { reached: [...reached] });
  reached = reachedOutside;
  Object.assign(task.file.meta, { reached: [...reachedOutside] });
  if (mutant === 0 || task.result?.state !== 'fail') return;
  shared.settled.add(mutant);
});
