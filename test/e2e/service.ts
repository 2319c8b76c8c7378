import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { CHECKOUT } from '../../local/settings.ts';
import { readRunFile, type RunFile } from '../../local/state-dir.ts';
import { readWebhooks, type LocalWebhooks } from '../../local/webhook-keys.ts';
import { QUOTA_CALLS_MAX, RECONCILE_AFTER_MIN_SECONDS } from '../../src/config/limits.ts';
import { createControl } from '../pipeops-simulator/control.ts';
import { until } from './until.ts';

/** A build and a cold start on a busy machine. */
const START_PATIENCE_MS = 90_000;
const A_DAY_SECONDS = '86400';

/**
 * For a service that is used harder than PipeOps' published limits allow. The simulator has none, and the Worker counts its calls
 * whether or not PipeOps tells of a limit.
 */
export const WITHOUT_CALL_LIMITS = {
  LIMITS: 'off',
  PIPEOPS_CALLS_PER_MINUTE: String(QUOTA_CALLS_MAX),
  PIPEOPS_CALLS_PER_HOUR: String(QUOTA_CALLS_MAX),
} as const;

export interface Ports {
  readonly service: number;
  readonly simulator: number;
  /** Of the OpenID provider. */
  readonly people: number;
}

/** `npm start` as a person runs it, on ports and a state directory of its own. */
export interface Service {
  readonly url: string;
  /** As the banner hands them out. */
  readonly adminJwt: string;
  readonly ciJwt: string;
  readonly control: ReturnType<typeof createControl>;
  /** All that it printed so far. */
  readonly output: () => string;
  /** Runs the cron now, as its minute timer would. */
  readonly triggerCron: () => void;
  /** SIGKILL to workerd alone, without a wait for anything. */
  readonly killWorkerd: () => void;
  /** Until the workerd that replaces a killed one answers. */
  readonly untilRestarted: () => Promise<void>;
  /** Ctrl-C; its exit code. */
  readonly stop: () => Promise<number | null>;
  /** SIGKILL to the launcher alone, which leaves it no chance to stop the others. */
  readonly kill: () => Promise<void>;
  /** SIGKILL to whatever is left in the process group: for tests that failed half-way. */
  readonly cleanUp: () => void;
}

/**
 * Starts the service. The cron waits to be triggered, and attempts are looked into as early as is allowed.
 *
 * @throws with all that was printed, if it does not become ready.
 */
export async function startService(stateDir: string, ports: Ports, env: NodeJS.ProcessEnv = {}): Promise<Service> {
  const npm = spawn('npm', ['start'], {
    cwd: CHECKOUT,
    // A process group of its own, as a terminal gives one.
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...cleanEnvironment(), ...environmentFor(stateDir, ports), ...env },
  });
  const chunks: string[] = [];
  for (const stream of [npm.stdout, npm.stderr])
    stream.setEncoding('utf8').on('data', (chunk: string) => chunks.push(chunk));
  const output = (): string => chunks.join('');
  const exited = once(npm, 'close');
  const signalGroup = (signal: NodeJS.Signals): void => {
    try {
      if (npm.pid !== undefined) process.kill(-npm.pid, signal);
    } catch {
      // Nothing is left of it.
    }
  };

  const started = until('npm start', () => output().includes('/api/v1/audit/events?') && readRunFile(stateDir), {
    timeoutMs: START_PATIENCE_MS,
  });
  const ended = exited.then((): never => {
    throw new Error(`npm start ended:\n${output()}`);
  });
  ended.catch(() => {});
  const run = await Promise.race([started, ended]).catch((error: unknown) => {
    signalGroup('SIGKILL');
    throw error;
  });

  let killedPid = 0;
  return {
    url: run.url,
    adminJwt: fromBanner(output(), 'ADMIN'),
    ciJwt: fromBanner(output(), 'CI'),
    control: createControl(run.simulatorUrl ?? ''),
    output,
    triggerCron: () => {
      if (npm.exitCode !== null || npm.signalCode !== null) throw new Error(`npm start has ended:\n${output()}`);
      process.kill(run.pid, 'SIGUSR2');
    },
    killWorkerd: () => {
      killedPid = currentRun(stateDir).workerdPid;
      process.kill(killedPid, 'SIGKILL');
    },
    untilRestarted: async () => {
      await until('workerd to be replaced', async () => {
        if (currentRun(stateDir).workerdPid === killedPid) return false;
        const answer = await fetch(`${run.url}/readyz`);
        await answer.body?.cancel();
        return answer.ok;
      });
    },
    stop: async () => {
      signalGroup('SIGINT');
      await exited;
      return npm.exitCode;
    },
    kill: async () => {
      process.kill(run.pid, 'SIGKILL');
      await exited;
    },
    cleanUp: () => signalGroup('SIGKILL'),
  };
}

/** Three ports that nothing listens on. */
export async function freePorts(): Promise<Ports> {
  const servers = [createServer(), createServer(), createServer()];
  const ports = await Promise.all(
    servers.map(async (server) => {
      await once(server.listen(0, '127.0.0.1'), 'listening');
      const address = server.address();
      return typeof address === 'object' && address !== null ? address.port : 0;
    }),
  );
  for (const server of servers) server.close();
  return { service: ports[0] ?? 0, simulator: ports[1] ?? 0, people: ports[2] ?? 0 };
}

/** The credential that the Worker presents to the simulator: one of the secrets to look for. */
export function adminCredentialOf(stateDir: string): string {
  return readFileSync(path.join(stateDir, 'simulator-admin.jwt'), 'utf8').trim();
}

/** The keys of both ends of its webhooks: what a test signs with, and secrets to look for. */
export function webhooksOf(stateDir: string): LocalWebhooks {
  return readWebhooks(stateDir);
}

/** Without what the person who runs the tests has set for a service of their own. */
function cleanEnvironment(): NodeJS.ProcessEnv {
  const {
    PIPEOPS_API_URL: _url,
    PIPEOPS_ADMIN_TOKEN: _token,
    PIPEOPS_WORKSPACE_UUID: _workspace,
    PIPEOPS_CALLS_PER_MINUTE: _minute,
    PIPEOPS_CALLS_PER_HOUR: _hour,
    ...rest
  } = process.env;
  return rest;
}

function environmentFor(stateDir: string, ports: Ports): NodeJS.ProcessEnv {
  return {
    PORT: String(ports.service),
    PIPEOPS_PORT: String(ports.simulator),
    OIDC_PORT: String(ports.people),
    STATE_DIR: stateDir,
    CRON_SECONDS: A_DAY_SECONDS,
    RECONCILE_AFTER_SECONDS: String(RECONCILE_AFTER_MIN_SECONDS),
  };
}

function currentRun(stateDir: string): RunFile {
  const run = readRunFile(stateDir);
  if (run === null) throw new Error('nothing runs there');
  return run;
}

function fromBanner(output: string, name: 'ADMIN' | 'CI'): string {
  return new RegExp(`^${name}=(.+)$`, 'm').exec(output)?.[1] ?? '';
}
