import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { equivalents, type Equivalent } from './equivalent.ts';
import { changeOf, type Change } from './mutants/lines.ts';
import { mutantsOf } from './mutants/mutate.ts';
import { withSwitches, type NumberedMutant } from './mutants/switches.ts';
import { runSession, type Run, type RunEnd } from './session.ts';
import type { Lines } from './since.ts';
import { closeness, testsOf } from './test-choice.ts';
import { CHECKOUT, COMPILED_FILE, copySource, withStatementsRebuilt } from './tree.ts';
import { isTimeout, POLLED } from './worker/agreed.ts';

/** Each session is a vitest and a workerd: two of them keep two cores busy. */
const PARALLEL_SESSIONS = 2;
/** Time of tests that a mutant may take, by what they take without it. */
const MUTANT_BUDGET_MS = 20_000;
/** Tests in the first round of a mutant. Most mutants need no second one. */
const FIRST_ROUND_COUNT = 3;
/** Test files that are far away are looked at so many at a time, the nearest first: most mutants need few of them. */
const FAR_CHUNK_COUNT = 16;
/** Whoever waits sees that it goes on. */
const PROGRESS_MS = 30_000;
/** What a file of the run costs beside its tests: a database, and every module once more. */
const FILE_OVERHEAD_MS = 500;

type Outcome = 'caught' | 'out of time' | 'no proof' | 'survived' | 'accepted' | 'unreached';

/** The tests of a file that concern a mutant. */
type Choice = Pick<Run, 'test' | 'only'>;

/** A mutant of a file, and what is known of it so far. */
interface Trial extends NumberedMutant {
  readonly file: string;
  readonly change: Change;
  /** Tests that run through its place and have not been run under it, by their files: the quick and close ones first. */
  waiting: Choice[];
  /** Those of them that were out of time. */
  late: Choice[];
  ranCount: number;
  /** Test files that run through its place, but for which the budget has no room. */
  skippedCount: number;
  /** What is left of it. */
  budgetMs: number;
  witness: string | null;
  isOutOfTime: boolean;
  brokenBy: string | null;
}

export type Targets = ReadonlyMap<string, readonly Lines[]>;

/** The mutants of these lines, in the order of their places. */
export async function generate(targets: Targets): Promise<readonly Trial[]> {
  const trials: Trial[] = [];
  for (const [file, lines] of targets) {
    const source = await readFile(path.join(CHECKOUT, file), 'utf8');
    for (const mutant of mutantsOf(source)) {
      const change = changeOf(source, mutant);
      if (!lines.some(({ first, last }) => change.line <= last && change.lastLine >= first)) continue;
      const blank = {
        waiting: [],
        late: [],
        ranCount: 0,
        skippedCount: 0,
        budgetMs: MUTANT_BUDGET_MS,
        witness: null,
        isOutOfTime: false,
        brokenBy: null,
      };
      trials.push({ ...mutant, ...blank, number: trials.length + 1, file, change });
    }
  }
  return trials;
}

/** Prints the mutants of these lines. */
export async function listMutants(targets: Targets): Promise<void> {
  const trials = await generate(targets);
  for (const trial of trials) console.log(described(trial));
  console.log(`${trials.length} mutants.`);
}

/**
 * Runs the tests that are near to these lines under each mutant of them; `isFar`: and then those further away under each
 * mutant that none has noticed. The answer: whether each was noticed, or is accepted.
 */
export async function proveGenerated(workspace: string, targets: Targets, isFar: boolean): Promise<boolean> {
  const trials = await generate(targets);
  const tests = await testsOf(CHECKOUT, [...targets.keys()]);
  console.log(
    `${trials.length} mutants of ${targets.size} files; ${tests.near.length} test files near them, ${tests.far.length} further away.`,
  );
  if (trials.length === 0) return true;
  const trees = await Promise.all(
    Array.from({ length: PARALLEL_SESSIONS }, async (_, index) => await copySource(workspace, `tree-${index + 1}`)),
  );
  await Promise.all(trees.map(async (tree) => await writeSwitches(tree, trials)));

  const red: string[] = [];
  for (const group of [tests.near, ...(isFar ? chunksOf(tests.far) : [])]) {
    if (group.length === 0 || trials.every(isDecided)) continue;
    red.push(...(await findReached(trees, group, trials)));
    for (const count of [FIRST_ROUND_COUNT, Infinity]) {
      await runRound(trees, trials, count, { isLast: !isFar, isAlone: false });
    }
  }
  await runLateAgain(trees.slice(0, 1), trials);
  return report(trials) && red.length === 0;
}

function chunksOf(tests: readonly string[]): readonly (readonly string[])[] {
  const count = Math.ceil(tests.length / FAR_CHUNK_COUNT);
  return Array.from({ length: count }, (_, at) => tests.slice(at * FAR_CHUNK_COUNT, (at + 1) * FAR_CHUNK_COUNT));
}

async function writeSwitches(tree: string, trials: readonly Trial[]): Promise<void> {
  const statements = path.join(tree, COMPILED_FILE);
  await writeFile(statements, withStatementsRebuilt(await readFile(statements, 'utf8')));
  // Mutants of that file are of what it is.
  for (const [file, ofFile] of Map.groupBy(trials, (trial) => trial.file)) {
    const source = await readFile(path.join(CHECKOUT, file), 'utf8');
    await writeFile(path.join(tree, file), withSwitches(source, ofFile));
  }
}

/**
 * Runs tests on the source as it is, and notes which of them run through which mutant's place. The answer: those that are
 * not green, which prove nothing.
 */
async function findReached(
  trees: readonly string[],
  tests: readonly string[],
  trials: readonly Trial[],
): Promise<readonly string[]> {
  const green: { readonly test: string; readonly end: RunEnd }[] = [];
  const red: string[] = [];
  const runs = tests.map((test) => [{ mutant: 0, test, only: null }]);
  await inAll(trees, runs, ({ test }, end) => {
    const problem = end === null ? 'did not end' : (end.failed[0]?.message ?? end.outside[0]);
    if (problem !== undefined) console.error(`LEFT OUT   ${test}, which is not green without a mutant: ${problem}`);
    if (end === null || problem !== undefined) red.push(test);
    else green.push({ test, end });
  });
  for (const trial of trials) {
    const choices = green.flatMap(({ test, end }) => chosenOf(trial.number, test, end) ?? []);
    const slowness = ({ test, ms }: Choice & { readonly ms: number }): number =>
      (ms + FILE_OVERHEAD_MS) / closeness(test, trial.file);
    for (const { ms, ...choice } of choices.toSorted((a, b) => slowness(a) - slowness(b))) {
      trial.budgetMs -= ms + FILE_OVERHEAD_MS;
      if (trial.budgetMs >= 0) trial.waiting.push(choice);
      else trial.skippedCount += 1;
    }
  }
  return red;
}

/** The tests of a file that run through a mutant's place, and what they take; null: none does. */
function chosenOf(mutant: number, test: string, end: RunEnd): (Choice & { readonly ms: number }) | null {
  if (end.reached.includes(mutant)) return { test, only: null, ms: end.ms };
  const concerned = end.tests.filter(({ reached }) => reached.includes(mutant));
  if (concerned.length === 0) return null;
  return { test, only: concerned.map(({ place }) => place), ms: concerned.reduce((sum, { ms }) => sum + ms, 0) };
}

/**
 * Runs the next few tests of each mutant that nothing has noticed yet. A survivor is printed as soon as it has no test
 * left, so that an ended run has said what it knows.
 *
 * @param isLast whether no other tests follow these.
 * @param isAlone whether nothing runs beside them, so that what does not come to pass by then never does.
 */
async function runRound(
  trees: readonly string[],
  trials: readonly Trial[],
  count: number,
  { isLast, isAlone }: { readonly isLast: boolean; readonly isAlone: boolean },
): Promise<void> {
  const open = trials.filter((trial) => !isDecided(trial) && trial.waiting.length > 0);
  if (open.length === 0) return;
  const byNumber = new Map(open.map((trial) => [trial.number, trial]));
  const runs = open.map((trial) =>
    trial.waiting.splice(0, count).map((choice) => ({ mutant: trial.number, ...choice })),
  );
  const leftCounts = new Map(runs.map((ofTrial) => [ofTrial[0]?.mutant, ofTrial.length]));
  await inAll(trees, runs, ({ mutant, test, only }, end) => {
    const trial = byNumber.get(mutant);
    if (trial === undefined) return;
    if (!isDecided(trial)) note(trial, { test, only }, end, isAlone);
    const left = (leftCounts.get(mutant) ?? 0) - 1;
    leftCounts.set(mutant, left);
    if (isLast && left === 0 && trial.waiting.length === 0 && outcomeOf(trial) === 'survived') printSurvivor(trial);
  });
  console.log(`${trials.filter(isDecided).length} of ${trials.length} decided.`);
}

/** What was out of time may have met a busy machine: it is run again, with what was left to run, and nothing beside it. */
async function runLateAgain(trees: readonly string[], trials: readonly Trial[]): Promise<void> {
  for (const trial of trials) {
    if (outcomeOf(trial) !== 'out of time') continue;
    trial.waiting.unshift(...trial.late.splice(0));
    trial.isOutOfTime = false;
  }
  await runRound(trees, trials, Infinity, { isLast: true, isAlone: true });
}

function note(trial: Trial, choice: Choice, end: RunEnd | null, isAlone: boolean): void {
  const { test } = choice;
  trial.ranCount += 1;
  if (end === null) {
    trial.isOutOfTime = true;
    trial.late.push(choice);
    return;
  }
  const inTests = end.failed.map(({ title, message }) => ({ text: `${test}: ${title}`, message }));
  const outside = end.outside.map((message) => ({ text: `${test}: ${message}`, message }));
  // A hook that fails after the tests looked at what they left. What fails before any test ran proves nothing.
  if (end.ranCount === 0) trial.brokenBy ??= outside[0]?.text ?? null;
  const failures = end.ranCount === 0 ? [] : [...inTests, ...outside];
  const isLate = ({ message }: { readonly message: string }): boolean =>
    isTimeout(message) || (!isAlone && message.includes(POLLED));
  trial.witness ??= failures.find((failure) => !isLate(failure))?.text ?? null;
  if (!failures.some(isLate)) return;
  trial.isOutOfTime = true;
  trial.late.push(choice);
}

/** A file that does not load decides nothing: the next one may. */
const isDecided = ({ witness, isOutOfTime }: Trial): boolean => witness !== null || isOutOfTime;

/** Shares the runs between the trees; those of one mutant stay together. */
async function inAll(
  trees: readonly string[],
  groups: readonly (readonly Run[])[],
  onEnd: (run: Run, end: RunEnd | null) => void,
): Promise<void> {
  const totalCount = groups.flat().length;
  let endedCount = 0;
  const progress = setInterval(() => console.log(`  ${endedCount} of ${totalCount} runs`), PROGRESS_MS);
  try {
    await Promise.all(
      trees.map(async (tree, index) => {
        const share = groups.filter((_, at) => at % trees.length === index).flat();
        await runSession(tree, share, (run, end) => {
          endedCount += 1;
          onEnd(run, end);
        });
      }),
    );
  } finally {
    clearInterval(progress);
  }
}

function outcomeOf(trial: Trial): Outcome {
  if (trial.witness !== null) return 'caught';
  if (trial.isOutOfTime) return 'out of time';
  if (trial.brokenBy !== null) return 'no proof';
  if (equivalents.some((equivalent) => isSame(equivalent, trial))) return 'accepted';
  return trial.ranCount === 0 ? 'unreached' : 'survived';
}

function isSame(equivalent: Equivalent, trial: Trial): boolean {
  return (
    equivalent.file === trial.file &&
    equivalent.before === trial.change.before &&
    equivalent.after === trial.change.after
  );
}

function report(trials: readonly Trial[]): boolean {
  for (const [file, ofFile] of Map.groupBy(trials, (trial) => trial.file)) console.log(`${file}: ${counted(ofFile)}`);
  const byOutcome = Map.groupBy(trials, outcomeOf);
  const of = (outcome: Outcome): readonly Trial[] => byOutcome.get(outcome) ?? [];
  for (const trial of of('no proof')) console.log(`\nNO PROOF   ${described(trial)}\n  ${trial.brokenBy}`);
  for (const trial of of('unreached')) console.log(`\nUNREACHED  ${described(trial)}\n  no test that was run comes by`);
  for (const trial of of('survived')) printSurvivor(trial);
  console.log(`\n${counted(trials)}`);
  return of('survived').length === 0 && of('unreached').length === 0;
}

function counted(trials: readonly Trial[]): string {
  const counts = [...Map.groupBy(trials, outcomeOf)].map(([outcome, list]) => `${list.length} ${outcome}`);
  return `${trials.length} mutants: ${counts.join(', ')}.`;
}

function printSurvivor(trial: Trial): void {
  const skipped = trial.skippedCount === 0 ? '' : `; ${trial.skippedCount} more would take too long`;
  console.log(`\nSURVIVED   ${described(trial)}\n  ${trial.ranCount} test files stayed green${skipped}`);
}

function described({ file, kind, change }: Trial): string {
  const after = change.after === '' ? '' : `\n  + ${change.after}`;
  return `${file}:${change.line}  ${kind}\n  - ${change.before}${after}`;
}
