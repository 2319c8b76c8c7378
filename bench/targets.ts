import type { ChildProcess } from 'node:child_process';
import { migrations } from './audit-trail.ts';
import { callerHeaders, makeCallers, serviceVariables, type Callers } from './callers.ts';
import { requestBytes } from './http-request.ts';
import { CREATE_PATH, CREATE_WORKSPACE, LIST_PATH, LIST_WORKSPACE } from './names.ts';
import { startWorker } from './start-worker.ts';
import { startUpstream, type Upstream } from './upstream.ts';
import { withWorkerd } from './workerd-process.ts';

/** As many as a company has apps that manage tokens. */
const CALLERS = 20;
const SEEDED_TOKENS = 20;

/** Something that a load can be put on. */
export interface Target {
  readonly origin: string;
  /** Null: it does not run on workerd. */
  readonly workerd: ChildProcess | null;
  /** One a caller; alike for all targets but for who asks. */
  readonly lists: readonly Buffer[];
  readonly creates: readonly Buffer[];
}

export interface Targets extends AsyncDisposable {
  readonly upstream: Upstream;
  /** The built Worker. */
  readonly ours: Target;
  /** (a) */
  readonly bareProxy: Target;
  /** (b) */
  readonly afternoon: Target;
  /** The simulated PipeOps itself. */
  readonly direct: Target;
}

/** Starts the service and what it is measured against, all before one simulated PipeOps with the same tokens. */
export async function startTargets(): Promise<Targets> {
  const running: AsyncDisposable[] = [];
  const dispose = async (): Promise<void> => {
    for (const one of running.toReversed()) await one[Symbol.asyncDispose]();
  };
  try {
    const upstream = await startUpstream();
    running.push(upstream);
    const callers = await makeCallers(CALLERS);
    const ours = await startOurs(upstream, callers, running);
    await seed(upstream, ours, callers);
    const credential = { PIPEOPS_API_URL: upstream.url, PIPEOPS_ADMIN_TOKEN: upstream.credential };
    const bareProxy = await start('bench/worker/bare-proxy.ts', credential, [], callers, running);
    const afternoonVariables = { ...credential, KEYS: [callers.publicJwk] };
    const afternoon = await start('bench/worker/afternoon.ts', afternoonVariables, ['DB'], callers, running);
    await expectOk(await fetch(`${afternoon.origin}/bench/migrate`, { method: 'POST' }));
    const direct = { origin: upstream.url, workerd: null, ...requestsOf([upstream.credential]) };
    return { upstream, ours, bareProxy, afternoon, direct, [Symbol.asyncDispose]: dispose };
  } catch (error) {
    await dispose();
    throw error;
  }
}

async function startOurs(upstream: Upstream, callers: Callers, running: AsyncDisposable[]): Promise<Target> {
  const target = await start(
    'bench/worker/unlimited.ts',
    serviceVariables(upstream, callers),
    ['DB'],
    callers,
    running,
  );
  const body = JSON.stringify(migrations());
  await expectOk(await fetch(`${target.origin}/bench/migrate`, { method: 'POST', body }));
  // Its log lines are dropped unread. miniflare would parse each in the process that the load comes from.
  target.workerd?.stdout?.unpipe().resume();
  return target;
}

async function start(
  entry: string,
  variables: object,
  databases: readonly string[],
  callers: Callers,
  running: AsyncDisposable[],
): Promise<Target> {
  const { started, workerd } = await withWorkerd(async () => await startWorker(entry, variables, databases));
  running.push(started);
  return { origin: new URL(started.url).origin, workerd, ...requestsOf(callers.jwts) };
}

/** The tokens that lists show, made as they would be: through the service, which then knows whose they are. */
async function seed(upstream: Upstream, ours: Target, callers: Callers): Promise<void> {
  for (let index = 0; index < SEEDED_TOKENS; index += 1) {
    const headers = {
      ...callerHeaders(callers.jwts[index % callers.jwts.length] ?? ''),
      'Content-Type': 'application/json',
    };
    const body = JSON.stringify({ name: `deploy-${index}`, scopes: ['api:read'] });
    await expectOk(await fetch(`${ours.origin}${LIST_PATH}`, { method: 'POST', headers, body }));
  }
  const { length } = await upstream.control.tokens(LIST_WORKSPACE);
  if (length !== SEEDED_TOKENS) throw new Error(`${length} tokens were seeded`);
}

const requestsOf = (credentials: readonly string[]): Pick<Target, 'lists' | 'creates'> => ({
  lists: credentials.map((credential) => requestBytes('GET', LIST_PATH, callerHeaders(credential))),
  creates: credentials.map((credential) => {
    const body = { name: 'deploy', scopes: ['api:read'], workspace_uuid: CREATE_WORKSPACE };
    return requestBytes('POST', CREATE_PATH, callerHeaders(credential), body);
  }),
});

async function expectOk(response: Response): Promise<void> {
  const text = await response.text();
  if (!response.ok) throw new Error(`${response.url} answered ${response.status}: ${text}`);
}
