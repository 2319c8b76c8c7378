import { readFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import * as z from 'zod';
import { benchExport } from './audit-export.ts';
import { benchAuditCounts } from './audit-counts.ts';
import { benchAuditQueries } from './audit-query.ts';
import { benchAuditWrites } from './audit-writes.ts';
import { judged, printBars, type Bar } from './bars.ts';
import { benchBundle } from './bundle.ts';
import { benchCosts } from './costs.ts';
import { benchCpu } from './cpu.ts';
import { benchFeel } from './feel.ts';
import { benchGreedy } from './greedy.ts';
import { benchHour } from './hour.ts';
import { benchInventory } from './inventory.ts';
import { benchLongLists } from './long-lists.ts';
import { printLine, WRITE } from './print.ts';
import { QUICK } from './quick.ts';
import { benchRotate } from './rotate.ts';
import { benchSealing } from './sealing.ts';
import { benchTrailLog } from './trail-log.ts';
import { benchTrailVerify } from './trail-verify.ts';
import { benchVerification } from './verify.ts';
import { benchWebhook } from './webhook.ts';

// `npm run bench`: what things cost on this machine. Fails where a figure is beyond what was promised.
// `npm run bench -- costs bundle` runs these parts alone. `--write` puts their tables into docs/performance.md, where it has a place
// for them. BENCH_QUICK=1 shows that they work, and its figures nothing.

const PARTS: Readonly<Record<string, () => Promise<readonly Bar[]>>> = {
  feel: benchFeel,
  costs: benchCosts,
  processor: benchCpu,
  hour: benchHour,
  greedy: benchGreedy,
  bundle: benchBundle,
  verification: async () => [judged('verifying a JWT: ratio to bare jose, and no calls', await benchVerification())],
  queries: async () => [judged('queries of the trail: rows read, and latency', await benchAuditQueries())],
  counts: benchAuditCounts,
  inventory: benchInventory,
  rotate: benchRotate,
  writes: async () => [judged('rows that an operation writes', await benchAuditWrites())],
  lists: async () => [judged('lists of 10,000 tokens: whole, and nobody else fails', await benchLongLists())],
  webhook: async () => [judged('webhook: each leaked token is revoked, once', await benchWebhook())],
  log: benchTrailLog,
  sealing: benchSealing,
  verify: benchTrailVerify,
  export: async () => [judged('memory of an export', await benchExport())],
};

/** What users feel ends with what operations cost. */
const ALL = Object.keys(PARTS).filter((name) => name !== 'costs');
const asked = process.argv.slice(2).filter((argument) => argument !== WRITE);
const unknown = asked.find((name) => !Object.hasOwn(PARTS, name));
if (unknown === undefined) await run(asked.length === 0 ? ALL : asked);
else {
  console.error(`There is no part ${JSON.stringify(unknown)}: ${Object.keys(PARTS).join(', ')}.`);
  process.exitCode = 2;
}

async function run(names: readonly string[]): Promise<void> {
  const [cpu] = cpus();
  printLine(
    `machine of ${names.join(', ')}`,
    `${cpu?.model ?? 'unknown CPU'}, ${cpus().length} cores; Node ${process.versions.node}, workerd ${await workerd()}.`,
  );
  if (QUICK) console.log('BENCH_QUICK: too short a run for its figures to mean anything.');
  const bars: Bar[] = [];
  for (const name of names) bars.push(...((await PARTS[name]?.()) ?? []));
  if (!printBars(bars, names)) process.exitCode = 1;
}

async function workerd(): Promise<string> {
  const manifest = new URL('../node_modules/workerd/package.json', import.meta.url);
  return z.object({ version: z.string() }).parse(JSON.parse(await readFile(manifest, 'utf8'))).version;
}
