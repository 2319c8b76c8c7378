import type { Defence } from './defence.ts';
import { defences } from './defences/index.ts';
import { CHECKOUT, copySource, removeDefence, staleness } from './tree.ts';
import { runTests, type TestRun } from './vitest-run.ts';
import { isTimeout } from './worker/agreed.ts';

/** Each run is a vitest and a workerd: two of them keep two cores busy. */
const PARALLEL_RUNS = 2;
const LINE_MAX_CHARS = 160;
/** Says that the source without the defence does not even run: that proves nothing. */
const NO_SOURCE_ANY_MORE = /^(?:Syntax|Reference)Error\b/;

/**
 * Takes the defences whose name holds one of these texts, or all, out of a copy of the source, one at a time. The answer:
 * whether a test went red for each.
 */
export async function proveByHand(workspace: string, wanted: readonly string[]): Promise<boolean> {
  const chosen = defences.filter(({ name }) => wanted.length === 0 || wanted.some((text) => name.includes(text)));
  if (!(await listIsInOrder(chosen))) return false;
  const trees = await Promise.all(
    Array.from({ length: PARALLEL_RUNS }, async (_, index) => await copySource(workspace, `tree-${index + 1}`)),
  );
  const [first = CHECKOUT] = trees;
  const files = [...new Set(chosen.flatMap(({ test }) => test))];
  const whole = await runTests(first, files, { bail: false });
  if (!isGreen(whole)) {
    console.error('With every defence in its place the tests must be green, and are not:');
    for (const { file, title } of whole.failed) console.error(`  ${file}: ${title}`);
    if (whole.outside !== null) console.error(`  ${whole.outside}`);
    return false;
  }
  console.log(`${whole.passed} tests of ${files.length} files are green with every defence in its place.`);

  const queue = chosen.values();
  let caught = 0;
  const work = async (tree: string): Promise<void> => {
    for (const defence of queue) if (await isCaught(tree, defence)) caught += 1;
  };
  await Promise.all(trees.map(work));
  console.log(`${caught} of ${chosen.length} removals turned a test red.`);
  return caught === chosen.length;
}

/** Text that stands nowhere, or twice, would remove nothing, or something else. */
async function listIsInOrder(chosen: readonly Defence[]): Promise<boolean> {
  const problems: string[] = [];
  const names = new Set<string>();
  for (const defence of chosen) {
    if (names.has(defence.name)) problems.push(`${defence.name}: the name is taken`);
    names.add(defence.name);
    const stale = await staleness(CHECKOUT, defence);
    if (stale !== null) problems.push(`${defence.name}: ${stale}`);
    if (defence.find === defence.replace || defence.test.length === 0) problems.push(`${defence.name}: proves nothing`);
  }
  if (chosen.length === 0) problems.push('no defence has such a name');
  for (const problem of problems) console.error(`out of date  ${problem}`);
  return problems.length === 0;
}

async function isCaught(tree: string, defence: Defence): Promise<boolean> {
  const putBack = await removeDefence(tree, defence);
  let run: TestRun;
  try {
    run = await runTests(tree, defence.test, { bail: true });
  } finally {
    await putBack();
  }
  const witness = run.failed.find(
    ({ message }) => !NO_SOURCE_ANY_MORE.test(message) && (defence.hangs === true || !isTimeout(message)),
  );
  if (witness !== undefined) {
    console.log(cut(`caught    ${defence.name} - ${witness.file}: ${witness.title}`));
    return true;
  }
  const why = run.failed[0]?.message ?? run.outside;
  if (why === null) console.error(`SURVIVED  ${defence.name} - ${defence.test.join(', ')} stayed green`);
  else console.error(cut(`NO PROOF  ${defence.name} - ${why}`));
  return false;
}

function isGreen(run: TestRun): boolean {
  return run.failed.length === 0 && run.outside === null && run.passed > 0;
}

function cut(line: string): string {
  const oneLine = line.replace(/\s+/g, ' ').replace(/^(caught|NO PROOF) /, (word) => word.padEnd(10));
  return oneLine.length > LINE_MAX_CHARS ? `${oneLine.slice(0, LINE_MAX_CHARS - 1)}…` : oneLine;
}
