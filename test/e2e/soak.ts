import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { CONTRADICTION_AFTER_MS, ORDERS_LEASE_MS, RECONCILE_AFTER_MIN_SECONDS } from '../../src/config/limits.ts';
import { createClient } from './client.ts';
import { revocationViolations, rotationViolations, violations, webhookViolations } from './invariants.ts';
import { any } from './random-faults.ts';
import { LIES_OF_A_MOMENT } from './random-lies.ts';
import { openIssuer, signJwt } from '../../local/issuer.ts';
import { killInFlight, momentsOf, OPERATIONS, type Kill } from './kill-in-flight.ts';
import { untilSealed, verifyLog } from './log.ts';
import { killReads, readersOf, type KilledReads } from './kill-reads.ts';
import { PHASES } from './kill-moments.ts';
import { databaseFiles, findSecrets, logFile, printed, webhookSecretsOf } from './secrets-scan.ts';
import {
  adminCredentialOf,
  freePorts,
  startService,
  webhooksOf,
  WITHOUT_CALL_LIMITS,
  type Service,
} from './service.ts';
import { openTrail, type Trail } from './trail.ts';
import { startReading } from './reading-load.ts';
import { until } from './until.ts';

// Kills the service again and again, under a load of reads and each time with a mutation or a webhook in flight, before a
// PipeOps that lies every other time; and looks at what it left behind. Now and then it is many reads that are in flight, behind a
// D1 that is slow, some of whose callers hang up. Environment: SOAK_KILLS (200).

const KILLS = Number(process.env['SOAK_KILLS'] ?? '200');
/** The default workspace of a local run. */
const WORKSPACE_UUID = '5877a4ae-0000-4000-8000-000000000001';
const LIES_SHARE = 0.5;
/** A kill that came too late to find a mutation in flight does not count and is repeated, within reason. */
const TRIES_PER_KILL = 10;
/** Of reads that wait at D1: every so many tries, and every other time without a kill. */
const TRIES_BETWEEN_READS = 10;
/** In every phase at least this share of the kills. */
const LEAST_SHARE = 0.1;
/**
 * The age that the last row must reach, and some runs of the cron: each takes a batch of rows. The lease of the last
 * webhook's order ends meanwhile.
 */
const PATIENCE_MS = Math.max(RECONCILE_AFTER_MIN_SECONDS * 1_000, ORDERS_LEASE_MS) + 600_000;
/** Rows of counted reads are sealed two minutes after their last read; and some runs of the cron, of a chunk each. */
const SEALING_PATIENCE_MS = 300_000;
/** What was confirmed by a lie is contradicted by a list that is begun this long after it, and revoked again. */
const TRUTH_MS = CONTRADICTION_AFTER_MS + 15_000;

const say = (line: string): void => void process.stdout.write(`${line}\n`);

async function soak(stateDir: string): Promise<string[]> {
  const service = await startService(stateDir, await freePorts(), WITHOUT_CALL_LIMITS);
  try {
    const trail = openTrail(stateDir);
    const load = startReading(service);
    const { kills: all, reads } = await killAll(service, trail, stateDir);
    const kills = all.filter(({ inFlight }) => inFlight);
    const leaks = all.map(({ leak }) => leak).filter((leak) => leak !== null);
    const leavers = all.map(({ leaver }) => leaver).filter((leaver) => leaver !== null);
    const rotations = all.map(({ rotation }) => rotation).filter((rotation) => rotation !== null);
    const spread = PHASES.map((phase) => ({ phase, count: kills.filter((kill) => kill.phase === phase).length }));
    for (const { phase, count } of spread) say(`${String(count).padStart(4)} kills ${phase}`);

    const leakKills = kills.filter(({ operation }) => operation === 'leak');
    const answeredReads = reads.flatMap(({ answered }) => answered);
    const unanswered = reads.reduce((sum, read) => sum + read.unanswered, 0);
    say(`${answeredReads.length} reads behind a slow D1 were answered, ${unanswered} were cut off`);
    const afterAnswer = leakKills.filter(({ answered }) => answered).length;
    say(`${leakKills.length} kills with a webhook in flight, ${afterAnswer} of them after its 202`);

    say('waiting for reconciliation and the orders of webhooks');
    await settleAll(service, trail);
    say(`${await load.stop()} reads were answered meanwhile`);
    const tokens = await service.control.tokens();
    const rows = trail.rows();
    say('waiting until all of the trail is sealed');
    const logProblems = await problemsOfLog(service, trail, stateDir);
    const [deliveries, orders, inventory] = [trail.deliveries(), trail.orders(), trail.inventory()];
    trail.close();
    const exitCode = await service.stop();
    const live = tokens.filter((token) => !token.is_revoked).length;
    say(
      `${rows.length} rows; ${tokens.length} tokens minted, ${live} of them live, ${leaks.length} leaked, ${leavers.length} people left, ${rotations.length} rotated`,
    );

    const jwts = [service.adminJwt, service.ciJwt, adminCredentialOf(stateDir)];
    const secrets = [...tokens.map(({ secret }) => secret), ...jwts, ...webhookSecretsOf(stateDir)];
    const haystacks = [...databaseFiles(stateDir), logFile(stateDir), printed(service.output())];
    return [
      ...spread.filter(({ count }) => count < KILLS * LEAST_SHARE).map(({ phase }) => `too few kills ${phase}`),
      ...violations(rows, tokens),
      ...webhookViolations(leaks, { rows, tokens, deliveries, orders }),
      ...revocationViolations(leavers, { tokens, deliveries, orders }),
      ...rotationViolations(rotations, { rows, tokens, orders, inventory }),
      ...kills.flatMap(({ deliveredTokenId: id }) =>
        id === null || rows.some((row) => row.token_id === id && row.status === 'success')
          ? []
          : [`the secret of ${id} was handed out without a successful row`],
      ),
      ...readViolations(reads, rows),
      ...logProblems,
      ...findSecrets(haystacks, secrets).map((place) => `a secret lies in ${place}`),
      ...(exitCode === 0 ? [] : [`npm start ended with ${exitCode} on Ctrl-C`]),
    ];
  } finally {
    service.cleanUp();
  }
}

/** All of them: those also that do not count. */
async function killAll(
  service: Service,
  trail: Trail,
  stateDir: string,
): Promise<{ readonly kills: readonly Kill[]; readonly reads: readonly KilledReads[] }> {
  const issuer = await openIssuer(stateDir);
  const jwtOf = async (subject: string): Promise<string> =>
    await signJwt(issuer, { subject, role: 'admin', ttlSeconds: 3_600 }, Math.floor(Date.now() / 1_000));
  const scene = {
    service,
    trail,
    client: createClient(service, service.adminJwt),
    webhooks: webhooksOf(stateDir),
    workspaceUuid: WORKSPACE_UUID,
    callerOf: async (subject: string) => createClient(service, await jwtOf(subject)),
  };
  const kills: Kill[] = [];
  const reads: KilledReads[] = [];
  let counted = 0;
  for (let tries = 0; counted < KILLS; tries += 1) {
    if (tries >= KILLS * TRIES_PER_KILL) throw new Error('kills keep coming too late');
    if (tries % TRIES_BETWEEN_READS === TRIES_BETWEEN_READS - 1) {
      const isKilled = reads.length % 2 === 0;
      const read = await killReads(service, stateDir, await readersOf(jwtOf), isKilled);
      reads.push(read);
      say(
        `reads behind a slow D1${isKilled ? ', killed' : ''}: ${read.answered.length} answered, ${read.unanswered} cut off`,
      );
    }
    const operation = OPERATIONS[tries % OPERATIONS.length] ?? 'create';
    // Every moment meets every operation: the moments move on once per round of operations.
    const moments = momentsOf(operation);
    const moment = moments[Math.floor(tries / OPERATIONS.length) % moments.length];
    if (moment === undefined) continue;
    const lie = moment.comesUnderLies && Math.random() < LIES_SHARE ? any(LIES_OF_A_MOMENT)() : null;
    const kill = await killInFlight(scene, operation, moment, lie);
    kills.push(kill);
    if (!kill.inFlight) continue;
    counted += 1;
    const said = lie === null ? '' : `, under ${JSON.stringify(lie)}`;
    say(`kill ${counted} of ${KILLS}: ${operation}, ${kill.phase}${said}`);
  }
  return { kills, reads };
}

/** No read is answered without its row, and nobody is turned away because of others who hang up. */
function readViolations(reads: readonly KilledReads[], rows: readonly { readonly id: string }[]): string[] {
  const ids = new Set(rows.map(({ id }) => id));
  const missing = reads.flatMap(({ answered }) => answered.filter((id) => !ids.has(id)));
  return [
    ...missing.map((id) => `a read was answered, and its row ${id} is not there`),
    ...(reads.some(({ answered }) => answered.length > 0) ? [] : ['no read behind a slow D1 was answered']),
  ];
}

/** What an auditor finds wrong with the log once all is sealed. */
async function problemsOfLog(service: Service, trail: Trail, stateDir: string): Promise<string[]> {
  try {
    await untilSealed(service, trail, { timeoutMs: SEALING_PATIENCE_MS, withCounts: true });
  } catch (error) {
    // What is not sealed makes a verdict bad, which names it.
    say(String(error));
  }
  const { exit_code: exitCode, verdicts } = await verifyLog(stateDir);
  for (const [topic, { judgement, because }] of Object.entries(verdicts)) say(`${topic} is ${judgement}: ${because}`);
  const named = ['integrity', 'completeness'].filter((topic) => verdicts[topic]?.judgement !== 'good');
  return [
    ...named.map((topic) => `the log: ${topic} is not good: ${verdicts[topic]?.because}`),
    ...(trail.unsealed().counts === 0 && exitCode === 0
      ? []
      : [`the log is not whole, and verify ended with ${exitCode}`]),
  ];
}

/** Runs the cron until it leaves nothing open, and no lie is believed any more. */
async function settleAll(service: Service, trail: Trail): Promise<void> {
  await service.control.clearFaults();
  const honestSince = performance.now();
  const nothingIsOpen = (): boolean => {
    service.triggerCron();
    return (
      performance.now() - honestSince > TRUTH_MS &&
      trail.rows().every((row) => row.status !== 'attempted') &&
      trail.orders().every(({ state }) => !['scheduled', 'open', 'acknowledged'].includes(state))
    );
  };
  try {
    await until('every row to be settled', nothingIsOpen, { timeoutMs: PATIENCE_MS, intervalMs: 1_000 });
  } catch (error) {
    // What stayed open is named among the violations.
    say(String(error));
  }
}

if (!Number.isInteger(KILLS) || KILLS < 1) throw new Error('SOAK_KILLS is not a number of kills');
const stateDir = mkdtempSync(path.join(tmpdir(), 'countersign-soak-'));
const found = await soak(stateDir);
for (const violation of found) say(`VIOLATION: ${violation}`);
say(found.length === 0 ? `soak: ${KILLS} kills, no violation` : `soak: ${found.length} violations; see ${stateDir}`);
if (found.length === 0) rmSync(stateDir, { recursive: true, force: true });
process.exitCode = found.length === 0 ? 0 : 1;
