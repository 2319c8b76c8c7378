import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { openIssuer, signJwt } from '../../local/issuer.ts';
import { readRunFile } from '../../local/state-dir.ts';
import { RECONCILE_AFTER_MIN_SECONDS } from '../../src/config/limits.ts';
import { rotationViolations, violations, webhookViolations } from './invariants.ts';
import { runMixedLoad, type SoakCallers } from './mixed-load.ts';
import { createOperations, type SoakCaller } from './mixed-operations.ts';
import { startFaults } from './random-faults.ts';
import { startLies } from './random-lies.ts';
import {
  databaseFiles,
  findMinted,
  findSecrets,
  logFile,
  printed,
  webhookSecretsOf,
  type Haystack,
} from './secrets-scan.ts';
import { adminCredentialOf, freePorts, startService, webhooksOf, WITHOUT_CALL_LIMITS } from './service.ts';
import { createTally } from './tally.ts';
import { openTrail, type Trail } from './trail.ts';
import { until } from './until.ts';
import { bugsAmong, errorsIn } from './worker-log.ts';
import { growthOf, ISOLATE_LIMITS, survivingHeaps, watchMemory } from './workerd-memory.ts';

// Many callers at once, who do all that can be done, while PipeOps keeps failing; then a look at what is left when it does
// not any more. Environment: SOAK_MINUTES (10).

const MINUTES = Number(process.env['SOAK_MINUTES'] ?? '10');
const PER_SECOND = 200;
const CRON_SECONDS = 5;
/** Of ten minutes, one each ten seconds. */
const MEMORY_SAMPLES = 60;
/** Garbage that is not collected yet, of all isolates and beside their heaps, and the caches of SQLite. */
const RESIDENT_GROWTH_MAX_MB = 30;
const HEAPS_GROWTH_MAX_MB = 3;
/** Of all isolates together: there were 142 in ten minutes. */
const COLLECTIONS_MIN_COUNT = 20;
/** In a shorter run the second quarter is not after the warm-up. */
const MEMORY_LEAST_MINUTES = 6;
/** The default workspace, the only one that pipelines may use. What they mint there stays: some forty tokens a minute. */
const HOME = '5877a4ae-0000-4000-8000-000000000001';
/** Of everybody else, until they move to others. */
const WORKSPACES_AT_ONCE = 12;
/** A list of all that was ever minted would grow with each minute, and with it what has to be in memory. */
const WORKSPACES_MOVE_MS = 60_000;
/** The last row's age, and pauses between looks at rows that PipeOps could not explain while it failed. */
const PATIENCE_MS = (RECONCILE_AFTER_MIN_SECONDS + 240) * 1_000;
/** With fewer successes than this the load would have shown little. */
const LEAST_SUCCESSES = 0.6;

const say = (line: string): void => void process.stdout.write(`${line}\n`);

async function soak(stateDir: string): Promise<readonly string[]> {
  const env = { ...WITHOUT_CALL_LIMITS, CRON_SECONDS: String(CRON_SECONDS), ...ISOLATE_LIMITS };
  const service = await startService(stateDir, await freePorts(), env);
  try {
    const { callersAt, jwts } = await makeCallers(stateDir);
    const tally = createTally();
    const operations = createOperations(service.url, webhooksOf(stateDir), tally);
    const workerdPid = readRunFile(stateDir)?.workerdPid ?? 0;
    const forMs = MINUTES * 60_000;
    const memory = watchMemory(workerdPid, forMs / MEMORY_SAMPLES);
    const faults = startFaults(service.control);
    const beganMs = performance.now();
    const workspacesNow = () => [HOME, ...workspacesOf(Math.floor((performance.now() - beganMs) / WORKSPACES_MOVE_MS))];
    const lies = startLies(service.control, workspacesNow);
    const load = await runMixedLoad(operations, callersAt, { perSecond: PER_SECOND, forMs });
    const resident = growthOf(memory.stop(), RESIDENT_GROWTH_MAX_MB);
    const surviving = await survivingHeaps(stateDir);
    const heaps = growthOf(surviving, HEAPS_GROWTH_MAX_MB);
    const injected = await faults.stop();
    const lied = await lies.stop();
    say(`${load.sent} requests sent, ${load.mostInFlight} at most under way at once, ${injected} faults, ${lied} lies`);
    for (const line of tally.counts()) say(line);
    say(`workerd, medians of each quarter: ${resident.quarters.join(', ')} MB`);
    say(`of that what survives in the heaps of all isolates: ${heaps.quarters.map(Math.round).join(', ')} MB`);

    const trail = openTrail(stateDir);
    await untilSettled(trail);
    const [rows, deliveries, orders] = [trail.rows(), trail.deliveries(), trail.orders()];
    const inventory = trail.inventory();
    trail.close();
    const tokens = await service.control.tokens();
    const isReplaced = readRunFile(stateDir)?.workerdPid !== workerdPid;
    const exitCode = await service.stop();
    say(
      `${rows.length} rows; ${tokens.length} tokens minted, ${operations.leaks().length} of them leaked, ${operations.rotations().length} rotated`,
    );

    const errors = await errorsIn(stateDir);
    for (const [name, count] of errors) say(`${String(count).padStart(7)} times in the log: ${name}`);
    // A scan that finds nothing must be one that would have.
    if (MINUTES >= MEMORY_LEAST_MINUTES && surviving.length < COLLECTIONS_MIN_COUNT)
      throw new Error('V8 tells nothing');
    if (findMinted([simulatorFile(stateDir)], tokens).length < tokens.length) throw new Error('the scan is blind');
    const haystacks = [...databaseFiles(stateDir), logFile(stateDir), printed(service.output())];
    const secrets = [...jwts, service.adminJwt, adminCredentialOf(stateDir), ...webhookSecretsOf(stateDir)];
    return [
      ...tally.violations(),
      ...bugsAmong(errors),
      ...violations(rows, tokens),
      ...rotationViolations(operations.rotations(), { rows, tokens, orders, inventory }),
      ...webhookViolations(operations.leaks(), { rows, tokens, deliveries, orders }),
      ...[...findSecrets(haystacks, secrets), ...findMinted(haystacks, tokens)].map((at) => `a secret lies in ${at}`),
      ...(tally.successes() < tally.answers() * LEAST_SUCCESSES ? ['too few requests succeeded'] : []),
      ...(resident.isLevel || MINUTES < MEMORY_LEAST_MINUTES ? [] : ['the memory of workerd grows']),
      ...(heaps.isLevel || MINUTES < MEMORY_LEAST_MINUTES ? [] : ['what survives in the heaps grows']),
      ...(isReplaced ? ['workerd has ended and was replaced'] : []),
      ...(exitCode === 0 ? [] : [`npm start ended with ${exitCode} on Ctrl-C`]),
    ];
  } finally {
    service.cleanUp();
  }
}

/** What the simulated PipeOps keeps: the one place where secrets are. */
const simulatorFile = (stateDir: string): Haystack => {
  const name = 'pipeops-simulator.json';
  return { name, bytes: readFileSync(path.join(stateDir, name)) };
};

/** Some forty, so that none is over its limit. */
async function makeCallers(
  stateDir: string,
): Promise<{ callersAt: (elapsedMs: number) => SoakCallers; jwts: readonly string[] }> {
  const issuer = await openIssuer(stateDir);
  const nowSeconds = Math.floor(Date.now() / 1_000);
  const make = async (role: string, count: number): Promise<readonly string[]> =>
    await Promise.all(
      Array.from(
        { length: count },
        async (_, index) =>
          await signJwt(issuer, { subject: `${role}-${index}`, role, ttlSeconds: 12 * 60 * 60 }, nowSeconds),
      ),
    );
  const admins = await make('admin', WORKSPACES_AT_ONCE * 3);
  const [pipelines, auditors] = [await make('ci', 6), await make('auditor', 4)];
  const atHome = (jwts: readonly string[]): readonly SoakCaller[] => jwts.map((jwt) => ({ jwt, workspaceUuid: HOME }));
  const callersAt = (elapsedMs: number): SoakCallers => {
    const workspaces = workspacesOf(Math.floor(elapsedMs / WORKSPACES_MOVE_MS));
    return {
      admins: admins.map((jwt, index) => ({ jwt, workspaceUuid: workspaces[index % workspaces.length] ?? HOME })),
      pipelines: atHome(pipelines),
      auditors: atHome(auditors),
    };
  };
  return { callersAt, jwts: [...admins, ...pipelines, ...auditors] };
}

/** Which nobody was in before. */
const workspacesOf = (move: number): readonly string[] =>
  Array.from({ length: WORKSPACES_AT_ONCE }, (_, index) => {
    const number = 2 + index + move * WORKSPACES_AT_ONCE;
    return `5877a4ae-0000-4000-8000-${String(number).padStart(12, '0')}`;
  });

/** Until the cron has settled everything: PipeOps is well again. What stays open is named among the violations. */
async function untilSettled(trail: Trail): Promise<void> {
  const startedAt = performance.now();
  const isSettled = (): boolean =>
    trail.rows().every(({ status }) => status !== 'attempted') &&
    trail.orders().every(({ state }) => state === 'confirmed');
  try {
    await until('every row to be settled', isSettled, { timeoutMs: PATIENCE_MS, intervalMs: 2_000 });
    say(`all settled ${Math.round((performance.now() - startedAt) / 1_000)} s after the last answer`);
  } catch (error) {
    say(String(error));
  }
}

if (!(MINUTES > 0)) throw new Error('SOAK_MINUTES is not a number of minutes');
const stateDir = mkdtempSync(path.join(tmpdir(), 'countersign-load-soak-'));
const found = await soak(stateDir);
for (const violation of found) say(`VIOLATION: ${violation}`);
const summary = found.length === 0 ? 'no violation' : `${found.length} violations; see ${stateDir}`;
say(`load soak: ${MINUTES} minutes at ${PER_SECOND} requests/s, ${summary}`);
if (found.length === 0) rmSync(stateDir, { recursive: true, force: true });
process.exitCode = found.length === 0 ? 0 : 1;
