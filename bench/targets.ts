import type { ChildProcess } from 'node:child_process';
import { migrations } from './audit-trail.ts';
import { callerHeaders, makeCallers, serviceVariables, type Callers } from './callers.ts';
import { requestBytes } from './http-connection.ts';
import { ISSUER, TOKENS_PATH } from './names.ts';
import { median } from './statistics.ts';
import { startWorker } from './start-worker.ts';
import { startUpstream, type Upstream } from './upstream.ts';
import { withWorkerd } from './workerd-process.ts';

/** A workspace whose tokens are there from the beginning, in PipeOps and in the service's inventory. */
export interface SeededWorkspace {
  readonly uuid: string;
  readonly tokenIds: readonly string[];
}

/** How far away things are: milliseconds that each trip to D1, and each call to PipeOps, takes beyond its own time. */
export interface Distance {
  readonly d1Ms: number;
  readonly pipeopsMs: number;
}

/** Something that a load can be put on. */
export interface Target {
  readonly origin: string;
  readonly workerd: ChildProcess;
  /** Where its load makes tokens, so that lists stay as long as they were. */
  readonly createWorkspace: string;
}

/** The service, and what it is measured against. */
export const TARGET_NAMES = ['ours', '(a)', '(b)'] as const;
export type TargetName = (typeof TARGET_NAMES)[number];

export interface Targets extends AsyncDisposable {
  readonly upstream: Upstream;
  readonly jwts: readonly string[];
  readonly of: Readonly<Record<TargetName, Target>>;
  moveTo(distance: Distance): Promise<void>;
  /** Milliseconds of a D1 trip of ours, a batch of one insert, without the request that makes the Worker do it. */
  tripMs(): Promise<number>;
}

const INSERTS_AT_ONCE = 16;
const WARNINGS_MAX_CHARS = 1_000;
/** D1 takes statements of 100 KB. */
const ROWS_PER_STATEMENT = 200;
const OWNERS = 20;
const TRIPS_PER_REQUEST = 5;
const TRIPS_MIN_MS = 300;
/** As many calls as a run may make. */
const ALWAYS = 1_000_000_000;

/**
 * Starts the service, (a) a proxy that checks and records nothing, and (b) the service as one would write it in an afternoon, all
 * before one simulated PipeOps with the same tokens.
 */
export async function startTargets(callerCount: number, seeded: readonly SeededWorkspace[]): Promise<Targets> {
  const running: AsyncDisposable[] = [];
  const dispose = async (): Promise<void> => {
    for (const one of running.toReversed()) await one[Symbol.asyncDispose]();
  };
  try {
    return { ...(await start(running, callerCount, seeded)), [Symbol.asyncDispose]: dispose };
  } catch (error) {
    await dispose();
    throw error;
  }
}

/** @param running takes what is to be disposed of, as it is started. */
async function start(
  running: AsyncDisposable[],
  callerCount: number,
  seeded: readonly SeededWorkspace[],
): Promise<Omit<Targets, typeof Symbol.asyncDispose>> {
  const upstream = await startUpstream();
  running.push(upstream);
  const callers = await makeCallers(callerCount);
  const startTarget = async (
    entry: string,
    variables: object,
    databases: readonly string[],
    createWorkspace: string,
  ) => {
    const { started, workerd } = await withWorkerd(async () => await startWorker(entry, variables, databases));
    running.push(started);
    return { origin: new URL(started.url).origin, workerd, createWorkspace };
  };
  const credential = { PIPEOPS_API_URL: upstream.url, PIPEOPS_ADMIN_TOKEN: upstream.credential };
  const ours = await startTarget('bench/worker/service.ts', unpaced(upstream, callers), ['DB'], workspaceUuid(900_000));
  const bareProxy = await startTarget('bench/worker/bare-proxy.ts', credential, [], workspaceUuid(900_001));
  const keys = { ...credential, KEYS: [callers.publicJwk] };
  const afternoon = await startTarget('bench/worker/afternoon.ts', keys, ['DB'], workspaceUuid(900_002));
  // Its log lines are dropped unread. miniflare would parse each in the process that the load comes from.
  ours.workerd.stdout?.unpipe().resume();
  quieten(ours.workerd);
  await post(`${afternoon.origin}/bench/migrate`);
  await post(`${ours.origin}/bench/sql`, [...migrations(), ONE_ROW]);
  for (const workspace of seeded) await seed(upstream, ours.origin, workspace);

  return {
    upstream,
    jwts: callers.jwts,
    of: { ours, '(a)': bareProxy, '(b)': afternoon },
    moveTo: async ({ d1Ms, pipeopsMs }) => {
      for (const { origin } of [ours, afternoon]) await post(`${origin}/bench/delay?ms=${d1Ms}`);
      await upstream.control.clearFaults();
      if (pipeopsMs > 0) await upstream.control.fault({ delay_ms: pipeopsMs, times: ALWAYS });
    },
    tripMs: async () => {
      const samples: number[] = [];
      const startedAt = performance.now();
      do {
        const emptyMs = await timed(`${ours.origin}/bench/trips?times=0`);
        const tripsMs = await timed(`${ours.origin}/bench/trips?times=${TRIPS_PER_REQUEST}`);
        samples.push((tripsMs - emptyMs) / TRIPS_PER_REQUEST);
      } while (performance.now() - startedAt < TRIPS_MIN_MS);
      return median(samples);
    },
  };
}

/** workerd warns of each answer that comes too late for its reader: under more load than it takes, thousands of times. */
function quieten({ stderr }: ChildProcess): void {
  let left = WARNINGS_MAX_CHARS;
  stderr?.unpipe().on('data', (chunk: Buffer) => {
    process.stderr.write(chunk.toString().slice(0, left));
    left = Math.max(0, left - chunk.length);
  });
  // A stream that was unpiped waits until it is told to go on, and workerd with it.
  stderr?.resume();
}

export const workspaceUuid = (index: number): string => `5877a4ae-0000-4000-8000-${String(index).padStart(12, '0')}`;

/** PipeOps' limits are off here: what is measured is a read of a list that is fresh or is fetched, not one that has to wait. */
const unpaced = (upstream: Upstream, callers: Callers) => ({
  ...serviceVariables(upstream, callers),
  PIPEOPS_CALLS_PER_MINUTE: '1000000',
  PIPEOPS_CALLS_PER_HOUR: '1000000',
});

const ONE_ROW = 'CREATE TABLE one_row (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, what TEXT NOT NULL)';

async function seed({ control }: Upstream, origin: string, { uuid, tokenIds }: SeededWorkspace): Promise<void> {
  const rows: string[] = [];
  for (let at = 0; at < tokenIds.length; at += INSERTS_AT_ONCE) {
    const made = tokenIds.slice(at, at + INSERTS_AT_ONCE).map(async (id, index) => {
      const token = await control.insertToken({ workspace_uuid: uuid, id, name: `deploy-${at + index}` });
      return `('${uuid}', '${id}', '${ISSUER}', 'app-${(at + index) % OWNERS}', 1, '${token.token_prefix}')`;
    });
    rows.push(...(await Promise.all(made)));
  }
  const statements: string[] = [];
  for (let at = 0; at < rows.length; at += ROWS_PER_STATEMENT) {
    statements.push(`insert into tokens (workspace_uuid, token_id, owner_issuer, owner_subject, created_at, token_prefix)
      values ${rows.slice(at, at + ROWS_PER_STATEMENT).join(', ')}`);
  }
  await post(`${origin}/bench/sql`, statements);
}

/** A request to a target, such as PipeOps understands as well. */
export const requestOf = {
  list: (workspace: string, jwt: string): Buffer =>
    requestBytes('GET', `${TOKENS_PATH}?workspace_uuid=${workspace}`, callerHeaders(jwt)),
  get: (workspace: string, jwt: string, id: string): Buffer =>
    requestBytes('GET', `${TOKENS_PATH}/${id}?workspace_uuid=${workspace}`, callerHeaders(jwt)),
  create: (workspace: string, jwt: string): Buffer => {
    const body = { name: 'deploy', scopes: ['api:read'], workspace_uuid: workspace };
    return requestBytes('POST', `${TOKENS_PATH}?workspace_uuid=${workspace}`, callerHeaders(jwt), body);
  },
  revoke: (workspace: string, jwt: string, id: string): Buffer =>
    requestBytes('DELETE', `${TOKENS_PATH}/${id}?workspace_uuid=${workspace}`, callerHeaders(jwt)),
};

async function timed(url: string): Promise<number> {
  const startedAt = performance.now();
  await post(url);
  return performance.now() - startedAt;
}

async function post(url: string, body: object = {}): Promise<void> {
  const response = await fetch(url, { method: 'POST', body: JSON.stringify(body) });
  const text = await response.text();
  if (!response.ok) throw new Error(`${response.url} answered ${response.status}: ${text}`);
}
