import { readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { bindingsFor } from '../local/bindings.ts';
import { openIssuer, signJwt } from '../local/issuer.ts';
import { openAdminCredential, openIdempotencySecret } from '../local/secrets.ts';
import { openWebhooks } from '../local/webhook-keys.ts';
import { BUNDLE } from '../local/build.ts';
import { ISOLATE_HEAP_FLAG, startWorker } from '../local/worker.ts';
import { layTrail } from './audit-trail.ts';

/** The same events in all are sent each time, so that garbage is the same and only what an answer holds differs. */
const MEASURED = [
  { rows: 1_000, answers: 100 },
  { rows: 100_000, answers: 1 },
] as const;
const WARM_UP_ANSWERS = 20;
const STALL_MS = 3_000;
const ROUNDS = 4;
/** What a hundred times as many rows may add to the peak: less than a third of what they are on the wire. */
const GROWTH_MAX_MB = 24;

interface Figures {
  readonly 'peak MB': number;
}

/**
 * How much memory workerd takes, D1 included, while it exports trails of different sizes with the Worker as it is
 * deployed. False: more for more rows. Measured by Linux alone.
 */
export async function benchExport(): Promise<boolean> {
  if (process.platform !== 'linux') {
    console.log('The memory of an export is measured on Linux alone.');
    return true;
  }
  const figures: Figures[] = [];
  for (const { rows, answers } of MEASURED) {
    const rounds: Figures[] = [];
    for (let round = 0; round < ROUNDS; round += 1) rounds.push(await measure(rows, answers));
    // Garbage is collected when V8 likes to: what a trail needs at the most shows only in several runs.
    const [highest] = rounds.toSorted((a, b) => b['peak MB'] - a['peak MB']);
    if (highest !== undefined) figures.push(highest);
  }
  console.log(
    `Peak memory of workerd (with D1) while it exports ${MEASURED[1].rows.toLocaleString('en')} events in all: the highest of ${ROUNDS} runs.`,
  );
  console.table(figures);
  const [small, large] = figures;
  return (large?.['peak MB'] ?? Infinity) - (small?.['peak MB'] ?? 0) <= GROWTH_MAX_MB;
}

/** Exports a trail of so many rows so many times, in a workerd of its own. */
async function measure(rows: number, answers: number) {
  const stateDir = await mkdtemp(path.join(tmpdir(), 'countersign-bench-export-'));
  const issuer = await openIssuer(stateDir);
  const nowSeconds = Math.floor(Date.now() / 1000);
  let pid = 0;
  // miniflare passes it on to the workerd that it starts.
  process.env['MINIFLARE_WORKERD_V8_FLAGS'] = ISOLATE_HEAP_FLAG;
  const worker = startWorker({
    port: 0,
    stateDir,
    log: () => {},
    onProcess: (started) => (pid = started),
    bundle: BUNDLE,
    bindings: bindingsFor({
      fileOf: () => null,
      // Nothing here asks PipeOps for anything.
      pipeopsUrl: 'http://127.0.0.1:9',
      adminToken: await openAdminCredential(stateDir, nowSeconds),
      workspaceUuid: null,
      reconcileAfterSeconds: null,
      publicJwk: issuer.publicJwk,
      webhooks: await openWebhooks(stateDir),
      idempotencySecret: await openIdempotencySecret(stateDir),
    }),
  });
  try {
    const { origin } = await worker.ready;
    const database = await worker.getD1Database('DB');
    await layTrail(async (sql, ...params) => {
      const { meta, results } = await database
        .prepare(sql)
        .bind(...params)
        .all();
      return { bytes: meta.size_after, rows: results };
    }, rows);

    const open = async (answer: number): Promise<Response> => {
      // Each caller may ask so often and no more.
      const caller = { subject: `auditor-${answer % 10}`, role: 'auditor', ttlSeconds: 3_600 };
      const headers = { Authorization: `Bearer ${await signJwt(issuer, caller, nowSeconds)}` };
      const response = await fetch(`${origin}/api/v1/audit/export?to=2026-11-01T00:00:00Z`, { headers });
      if (!response.ok) throw new Error(`the export answered ${response.status}: ${await response.text()}`);
      return response;
    };
    for (let answer = 0; answer < WARM_UP_ANSWERS; answer += 1) await take(await open(answer), 1_000);

    const beforeMb = memoryMb(pid, 'VmRSS');
    writeFileSync(`/proc/${pid}/clear_refs`, '5');
    const startedAt = performance.now();
    let bytes = 0;
    for (let answer = 0; answer < answers; answer += 1) bytes += await take(await open(answer), rows);
    const seconds = (performance.now() - startedAt) / 1000;
    const peakMb = memoryMb(pid, 'VmHWM');

    writeFileSync(`/proc/${pid}/clear_refs`, '5');
    const stalled = await open(0);
    await delay(STALL_MS);
    const stalledMb = memoryMb(pid, 'VmHWM');
    await stalled.body?.cancel();
    const sentMb = Math.round(bytes / 1e6);
    return {
      rows,
      answers,
      'sent MB': sentMb,
      seconds: Number(seconds.toFixed(1)),
      'before MB': beforeMb,
      'peak MB': peakMb,
      'reader stalls, peak MB': stalledMb,
    };
  } finally {
    delete process.env['MINIFLARE_WORKERD_V8_FLAGS'];
    await worker.dispose();
    await rm(stateDir, { recursive: true, force: true });
  }
}

/** Reads an export to its end, or to so many events; gives its bytes. */
async function take(response: Response, events: number): Promise<number> {
  let bytes = 0;
  let lines = 0;
  for await (const part of response.body ?? []) {
    bytes += part.byteLength;
    for (const byte of part) if (byte === 10) lines += 1;
    if (lines > events) break;
  }
  if (lines < Math.min(events, 1_000)) throw new Error(`an export of ${lines} lines`);
  return bytes;
}

const memoryMb = (pid: number, name: 'VmRSS' | 'VmHWM'): number => {
  const kilobytes = new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Math.round(Number(kilobytes) / 1024);
};
