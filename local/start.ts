// Before all others: wrangler and miniflare read the environment while they are loaded.
import { environment } from './environment.ts';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { banner } from './banner.ts';
import { bindingsFor } from './bindings.ts';
import { buildWorker } from './build.ts';
import { startCron } from './cron.ts';
import { errorCode, fileProblem, reasonOf, UserError } from './errors.ts';
import { openIssuer, signJwt } from './issuer.ts';
import { localRoutes } from './local-routes.ts';
import { migrate } from './migrate.ts';
import { openSignIn } from './people/sign-in.ts';
import { assertPortIsFree, LOOPBACK } from './ports.ts';
import {
  openAdminCredential,
  openIdempotencySecret,
  openSessionSecret,
  openStateSecret,
  openTrailKey,
  STATE_FILES,
  stateFileOf,
} from './secrets.ts';
import { CHECKOUT, readSettings, type Settings } from './settings.ts';
import { logLine, openWorkerLog } from './log-file.ts';
import { createShutdown, startOrphanGuard, type Shutdown } from './shutdown.ts';
import { startSimulator } from './simulator.ts';
import {
  assertDatabasesAreFiles,
  assertRoom,
  ensureTemporaryFolder,
  lockStateDir,
  openStateDir,
  problemOfState,
  removeRunFile,
  writeRunFile,
} from './state-dir.ts';
import { openWebhooks } from './webhook-keys.ts';
import { openWitness } from './witness/open.ts';
import { runScheduled, startWorker } from './worker.ts';

const USAGE = `usage: npm start
Starts a PipeOps simulator and the Worker, with a database and a cron, on 127.0.0.1. Environment variables:
  PORT, PIPEOPS_PORT   where the service and the simulator listen (8787, 8788)
  OIDC_PORT            where the people of the console sign in (8789)
  WITNESS_PORT         where a witness of the trail's log listens (none: there is no witness)
  STATE_DIR            where the database, keys and log are kept (.state)
  CRON_SECONDS         how often the cron runs (60)
  PIPEOPS_API_URL, PIPEOPS_ADMIN_TOKEN, PIPEOPS_WORKSPACE_UUID
                       a PipeOps to work on in place of the simulator
  PIPEOPS_CALLS_PER_MINUTE, PIPEOPS_CALLS_PER_HOUR
                       how many calls PipeOps answers (100, 1000)`;

const ELSEWHERE = 'STATE_DIR=/tmp/countersign';

/** Long enough to try things, and within the local policy's `maxAge`. */
const BANNER_JWT_HOURS = 12;

/**
 * Starts everything that a local run consists of, and prints where it is.
 *
 * @throws UserError with one line that says what to do.
 */
async function run(settings: Settings, shutdown: Shutdown): Promise<void> {
  const { stateDir, port } = settings;
  openStateDir(stateDir);
  assertRoom(stateDir);
  lockStateDir(stateDir);
  ensureTemporaryFolder(stateDir);
  await assertPortIsFree(port, 'PORT');
  const bundle = await buildWorker(stateDir);

  const nowSeconds = Math.floor(Date.now() / 1_000);
  const upstream = await startUpstream(settings, shutdown, nowSeconds);
  const issuer = await openIssuer(stateDir);
  const webhooks = await openWebhooks(stateDir);
  const log = openWorkerLog(stateDir);
  shutdown.onStop(log.flush);
  const signIn = await openSignIn({ settings, log: log.write, onStop: (step) => shutdown.onStop(step) });
  const trail = await openTrail(settings, shutdown);
  const bindings = bindingsFor({
    fileOf: (binding) =>
      upstream.kind === 'configured' && binding === 'PIPEOPS_ADMIN_TOKEN' ? null : stateFileOf(stateDir, binding),
    pipeopsUrl: upstream.url,
    adminToken: upstream.adminToken,
    workspaceUuid: upstream.workspaceUuid,
    reconcileAfterSeconds: settings.reconcileAfterSeconds,
    callLimits: settings.callLimits,
    publicJwk: issuer.publicJwk,
    webhooks,
    idempotencySecret: await openIdempotencySecret(stateDir),
    trail,
    signIn: signIn.people === null ? null : { people: signIn.people, sessionSecret: await openSessionSecret(stateDir) },
  });
  const guard = startOrphanGuard();
  const url = `http://${LOOPBACK}:${port}`;
  const simulatorUrl = upstream.kind === 'simulator' ? upstream.url : null;
  removeRunFile(stateDir);
  assertDatabasesAreFiles(stateDir);

  let ready = false;
  let workerdPid = 0;
  const announce = (): void => {
    if (ready) {
      writeRunFile(stateDir, {
        pid: process.pid,
        workerdPid,
        url,
        simulatorUrl,
        peopleIssuer: signIn.people?.issuer ?? null,
      });
    }
  };
  const announceAnew = (): void => {
    try {
      announce();
    } catch (error) {
      // The disk has become full, or the folder is gone. The service goes on; the commands may not find it.
      log.write(JSON.stringify({ level: 'error', message: firstLineOf(error) }));
    }
  };
  const worker = startWorker({
    port,
    stateDir,
    bundle,
    log: log.write,
    local: localRoutes({ url, simulatorUrl, scannerSecret: webhooks.secrets.WEBHOOK_SCANNER }),
    onProcess: (pid) => {
      workerdPid = pid;
      guard.watch(pid);
      announceAnew();
    },
    bindings,
  });
  shutdown.onStop(async () => {
    await worker.dispose();
    guard.watch(null);
    removeRunFile(stateDir);
  });
  shutdown.takeOverSignals();

  try {
    await worker.ready;
    await migrate(await worker.getD1Database('DB'), path.join(CHECKOUT, 'drizzle'));
  } catch (error) {
    throw new UserError(
      problemOfState(stateDir) ??
        fileProblem(error, ELSEWHERE) ??
        `Countersign did not start: ${firstLineOf(error)} ${log.path} may say more.`,
      { cause: error },
    );
  }
  const cron = startCron(
    settings.cronSeconds,
    async () => await runScheduled(worker, '* * * * *'),
    (error) => log.write(logLine('error', `cron: ${String(error)}`)),
  );
  shutdown.onStop(cron.stop);
  // `kill -USR2 PID` runs the cron now, for those who do not want to wait a minute.
  process.on('SIGUSR2', cron.trigger);

  ready = true;
  announce();
  const jwt = async (role: string): Promise<string> =>
    await signJwt(issuer, { subject: `local-${role}`, role, ttlSeconds: BANNER_JWT_HOURS * 60 * 60 }, nowSeconds);
  process.stdout.write(
    banner({
      url,
      upstream,
      stateDir,
      logFile: log.path,
      defaultWorkspaceUuid: upstream.workspaceUuid,
      adminJwt: await jwt('admin'),
      ciJwt: await jwt('ci'),
      jwtLifetime: `${BANNER_JWT_HOURS} hours`,
      signIn: signIn.people === null ? signIn.problem : { code: signIn.code },
      witness: trail.witness,
    }),
  );
}

/** The key of the log and the secret of the MACs, and a witness where one is asked for. */
async function openTrail({ witnessPort: port, stateDir }: Settings, shutdown: Shutdown) {
  const key = await openTrailKey(stateDir);
  // A state directory of an earlier version has owners without a MAC. The run that makes the secret gives them one.
  const adoptsUntil = existsSync(path.join(stateDir, STATE_FILES.STATE_SECRET)) ? null : inDays(1);
  const own = { key, stateSecret: await openStateSecret(stateDir), adoptsUntil };
  if (port === null) return { ...own, witnesses: null, witness: null };
  const witness = await openWitness({ port, stateDir, trailKey: key });
  shutdown.onStop(witness.close);
  return { ...own, witnesses: witness.setting, witness: witness.verifierKey };
}

const DAY_MS = 24 * 60 * 60 * 1_000;
const inDays = (days: number): string => new Date(Date.now() + days * DAY_MS).toISOString().slice(0, 10);

interface RunningUpstream {
  readonly kind: 'simulator' | 'configured';
  readonly url: string;
  readonly adminToken: string;
  readonly workspaceUuid: string | null;
}

async function startUpstream(settings: Settings, shutdown: Shutdown, nowSeconds: number): Promise<RunningUpstream> {
  const { upstream, stateDir } = settings;
  if (upstream.kind === 'configured') {
    return {
      kind: 'configured',
      url: upstream.apiUrl,
      adminToken: upstream.adminToken,
      workspaceUuid: upstream.workspaceUuid,
    };
  }
  await assertPortIsFree(upstream.port, 'PIPEOPS_PORT');
  const simulator = await startSimulator(upstream.port, stateDir);
  let stopping = false;
  shutdown.onStop(async () => {
    stopping = true;
    await simulator.stop();
  });
  void (async () => {
    await simulator.ended;
    if (stopping) return;
    console.error('The PipeOps simulator has ended, so Countersign stops as well. Start it again; the data is kept.');
    await shutdown.stop(1);
  })();
  return {
    kind: 'simulator',
    url: simulator.url,
    adminToken: await openAdminCredential(stateDir, nowSeconds),
    workspaceUuid: upstream.workspaceUuid,
  };
}

function firstLineOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n', 1)[0] ?? '';
}

/** @throws UserError for anything but `--help`. */
function readHelp(): boolean {
  try {
    return parseArgs({ options: { help: { type: 'boolean', short: 'h', default: false } } }).values.help;
  } catch (error) {
    throw new UserError(`${firstLineOf(error)}\n${USAGE}`, { cause: error });
  }
}

const shutdown = createShutdown();
process.stdout.on('error', (error) => {
  // `npm start | head` closes our output; that is no reason to fall over.
  if (errorCode(error) === 'EPIPE') return;
  console.error(`Standard output cannot be written: ${reasonOf(error)}. It takes the JWTs to call with.`);
  void shutdown.stop(1);
});
process.stderr.on('error', () => {});
try {
  if (readHelp()) console.log(USAGE);
  else await run(readSettings(environment), shutdown);
} catch (error) {
  const told = error instanceof UserError ? error.message : fileProblem(error, ELSEWHERE);
  console.error(told ?? `Countersign did not start: ${firstLineOf(error)}`);
  await shutdown.stop(1);
}
