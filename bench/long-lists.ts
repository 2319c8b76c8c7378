import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { bindingsFor } from '../local/bindings.ts';
import { openIssuer, signJwt } from '../local/issuer.ts';
import { openAdminCredential, openIdempotencySecret } from '../local/secrets.ts';
import { openWebhooks } from '../local/webhook-keys.ts';
import { BUNDLE } from '../local/build.ts';
import { ISOLATE_HEAP_FLAG, startWorker } from '../local/worker.ts';
import { migrations } from './audit-trail.ts';
import { TOKENS_PATH } from './names.ts';
import { sized } from './quick.ts';

/** As many as `maxTokens` lets one owner hold, and so many that PipeOps' answer is longer than what is read of one. */
const LONG_TOKENS = 10_000;
const TOO_LONG_TOKENS = 40_000;
/** Readers at once: half ask for the long list and a quarter for the one that is too long. */
const READERS = 8;
const ROUNDS = sized(6, 2);
const WORKSPACES = {
  short: '0c0ffee0-0000-4000-8000-000000000001',
  long: '0c0ffee0-0000-4000-8000-000000000002',
  tooLong: '0c0ffee0-0000-4000-8000-000000000003',
} as const;
type Length = keyof typeof WORKSPACES;
const TOKENS: Readonly<Record<Length, number>> = { short: 20, long: LONG_TOKENS, tooLong: TOO_LONG_TOKENS };

/**
 * Lists of 10,000 tokens, all in the inventory, within the 128 MB of an isolate, while others read short lists and one that is too
 * long. False: workerd ended, a list of 10,000 was not whole, or somebody else's failed. Linux alone tells the memory.
 */
export async function benchLongLists(): Promise<boolean> {
  const stateDir = await mkdtemp(path.join(tmpdir(), 'countersign-bench-lists-'));
  const pipeops = await startPipeOps();
  const issuer = await openIssuer(stateDir);
  const nowSeconds = Math.floor(Date.now() / 1000);
  const pids: number[] = [];
  process.env['MINIFLARE_WORKERD_V8_FLAGS'] = ISOLATE_HEAP_FLAG;
  const worker = startWorker({
    port: 0,
    stateDir,
    log: () => {},
    onProcess: (pid) => void pids.push(pid),
    bundle: BUNDLE,
    bindings: bindingsFor({
      fileOf: () => null,
      pipeopsUrl: pipeops.url,
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
    for (const sql of migrations()) await database.prepare(sql).run();
    await database.prepare(INVENTORY).bind(LONG_TOKENS, WORKSPACES.long).run();
    const list = async (length: Length, reader: number, isAnew: boolean) => {
      const caller = { subject: `admin-${reader}`, role: 'admin', ttlSeconds: 3_600 };
      const headers = {
        Authorization: `Bearer ${await signJwt(issuer, caller, nowSeconds)}`,
        ...(isAnew && { 'Cache-Control': 'no-cache' }),
      };
      const startedAt = performance.now();
      const response = await fetch(`${origin}${TOKENS_PATH}?workspace_uuid=${WORKSPACES[length]}`, { headers });
      const body = await response.text();
      const count = response.ok ? body.split('"token_prefix"').length - 1 : 0;
      return { length, status: response.status, count, bytes: body.length, ms: performance.now() - startedAt };
    };
    const pid = (): number => pids.at(-1) ?? 0;
    const before = memoryMb(pid(), 'VmRSS');
    if (process.platform === 'linux') writeFileSync(`/proc/${pid()}/clear_refs`, '5');
    const cold = await list('long', 0, false);
    const answers = [cold];
    for (let round = 0; round < ROUNDS; round += 1) {
      const lengths: readonly Length[] = ['long', 'short', 'long', 'tooLong', 'long', 'short', 'long', 'tooLong'];
      answers.push(
        ...(await Promise.all(
          lengths.slice(0, READERS).map(async (length, n) => await list(length, n + 1, n < 4 && round % 2 === 1)),
        )),
      );
    }
    const rows = (['short', 'long', 'tooLong'] as const).map((length) => {
      const own = answers.filter((answer) => answer.length === length);
      return {
        list: length,
        tokens: TOKENS[length],
        answers: own.length,
        'answered 200': own.filter(({ status }) => status === 200).length,
        whole: own.filter(({ count }) => count === TOKENS[length]).length,
        'largest MB': Math.round(Math.max(...own.map(({ bytes }) => bytes)) / 1e5) / 10,
        'slowest ms': Math.round(Math.max(...own.map(({ ms }) => ms))),
      };
    });
    console.log(
      `Lists of three lengths, read ${READERS} at once, with the 128 MB of an isolate: workerd (with D1) held ${before} MB before, ` +
        `${memoryMb(pid(), 'VmHWM')} MB at its peak. The first long list took ${Math.round(cold.ms)} ms.`,
    );
    console.table(rows);
    const whole = rows.filter((row) => row.list !== 'tooLong').every((row) => row.whole === row.answers);
    return whole && pids.length === 1;
  } finally {
    delete process.env['MINIFLARE_WORKERD_V8_FLAGS'];
    await worker.dispose();
    await pipeops.close();
    await rm(stateDir, { recursive: true, force: true });
  }
}

const INVENTORY = `with recursive n(i) as (select 0 union all select i + 1 from n where i + 1 < ?)
  insert into tokens (workspace_uuid, token_id, owner_issuer, owner_subject, created_at, token_prefix)
  select ?, 'tok-' || i, 'https://issuer.example', 'owner-' || (i % 5), 1, 'sat_' || i from n`;

/** A token as PipeOps lists it, of some 350 bytes. */
const wireToken = (n: number) => ({
  uuid: `tok-${n}`,
  name: `deploy of service ${n} in production`,
  description: 'made by the pipeline of the release branch',
  scopes: ['api:read', 'api:write'],
  token_prefix: `sat_${n}`,
  is_revoked: false,
  is_expired: false,
  is_active: true,
  expires_at: '2030-01-01T00:00:00Z',
  created_at: '2026-01-01T00:00:00Z',
  updated_at: '2026-01-01T00:00:00Z',
  last_used_at: '2026-11-01T00:00:00Z',
});

/** A PipeOps that lists so many tokens of each workspace in one page. */
async function startPipeOps() {
  const bodyOf = (count: number): string => {
    const tokens = Array.from({ length: count }, (_, n) => wireToken(n));
    return JSON.stringify({ success: true, message: '', data: { tokens, total: count } });
  };
  const bodies = new Map<string, string>([
    [WORKSPACES.short, bodyOf(TOKENS.short)],
    [WORKSPACES.long, bodyOf(TOKENS.long)],
    [WORKSPACES.tooLong, bodyOf(TOKENS.tooLong)],
  ]);
  const server = createServer((request, response) => {
    const uuid = new URL(request.url ?? '/', 'http://pipeops').searchParams.get('workspace_uuid');
    response.writeHead(200, { 'Content-Type': 'application/json' }).end(bodies.get(uuid ?? '') ?? '{}');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = address !== null && typeof address === 'object' ? address.port : 0;
  return {
    url: `http://127.0.0.1:${port}`,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

function memoryMb(pid: number, name: 'VmRSS' | 'VmHWM'): number {
  if (process.platform !== 'linux') return Number.NaN;
  const kilobytes = new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Math.round(Number(kilobytes) / 1024);
}
