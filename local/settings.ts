import path from 'node:path';
import {
  QUOTA_CALLS_MAX,
  QUOTA_CALLS_MIN,
  QUOTA_HOUR_CALLS,
  QUOTA_MINUTE_CALLS,
  RECONCILE_AFTER_MIN_SECONDS,
} from '../src/config/limits.ts';
import { workspaceAsRead } from '../src/kit/ids.ts';
import { UserError } from './errors.ts';

export const CHECKOUT = path.resolve(import.meta.dirname, '..');

/** The workspace that the simulator stands in for when nobody names one. */
const SIMULATED_WORKSPACE_UUID = '5877a4ae-0000-4000-8000-000000000001';

const CRON_SECONDS_DEFAULT = 60;
/** A day. Far longer intervals would overflow the timer. */
const CRON_SECONDS_MAX = 24 * 60 * 60;

/** The PipeOps that the Worker is pointed at. */
export type UpstreamSettings =
  | { readonly kind: 'simulator'; readonly port: number; readonly workspaceUuid: string }
  | {
      readonly kind: 'configured';
      readonly apiUrl: string;
      readonly adminToken: string;
      readonly workspaceUuid: string | null;
    };

/** How many calls PipeOps answers; null: what wrangler.toml or the Worker's default says. */
export interface CallLimits {
  readonly minute: number | null;
  readonly hour: number | null;
}

/** What the environment variables of `npm start` ask for. */
export interface Settings {
  readonly port: number;
  /** The port of the OpenID provider in which the people of the console sign in. */
  readonly oidcPort: number;
  /** The port of the witness that cosigns the log of the trail; null: there is no witness. */
  readonly witnessPort: number | null;
  readonly stateDir: string;
  readonly cronSeconds: number;
  readonly reconcileAfterSeconds: number | null;
  readonly callLimits: CallLimits;
  readonly upstream: UpstreamSettings;
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Reads the environment variables of `npm start`. An empty value counts as absent.
 *
 * @throws UserError naming the variable and what it should look like.
 */
export function readSettings(environment: Environment): Settings {
  const port = wholeNumber(environment, 'PORT', { fallback: 8787, least: 1, most: 65_535 });
  const upstream = readUpstream(environment);
  if (upstream.kind === 'simulator' && upstream.port === port) {
    throw new UserError(`PORT and PIPEOPS_PORT are both ${port}: give the simulator another, e.g. PIPEOPS_PORT=8788.`);
  }
  const oidcPort = wholeNumber(environment, 'OIDC_PORT', { fallback: 8789, least: 1, most: 65_535 });
  const other =
    oidcPort === port ? 'PORT' : upstream.kind === 'simulator' && upstream.port === oidcPort ? 'PIPEOPS_PORT' : null;
  if (other !== null) {
    throw new UserError(
      `${other} and OIDC_PORT are both ${oidcPort}: give the people another port, e.g. OIDC_PORT=${oidcPort + 100}.`,
    );
  }
  const witnessPort = readWitnessPort(environment, { PORT: port, OIDC_PORT: oidcPort, PIPEOPS_PORT: portOf(upstream) });
  return {
    port,
    oidcPort,
    witnessPort,
    stateDir: stateDirOf(environment),
    cronSeconds: wholeNumber(environment, 'CRON_SECONDS', {
      fallback: CRON_SECONDS_DEFAULT,
      least: 1,
      most: CRON_SECONDS_MAX,
    }),
    reconcileAfterSeconds: environment['RECONCILE_AFTER_SECONDS']
      ? wholeNumber(environment, 'RECONCILE_AFTER_SECONDS', {
          fallback: RECONCILE_AFTER_MIN_SECONDS,
          least: RECONCILE_AFTER_MIN_SECONDS,
          most: 24 * 60 * 60,
        })
      : null,
    callLimits: {
      minute: readCallLimit(environment, 'PIPEOPS_CALLS_PER_MINUTE', QUOTA_MINUTE_CALLS),
      hour: readCallLimit(environment, 'PIPEOPS_CALLS_PER_HOUR', QUOTA_HOUR_CALLS),
    },
    upstream,
  };
}

const portOf = (upstream: UpstreamSettings): number | null => (upstream.kind === 'simulator' ? upstream.port : null);

function readCallLimit(environment: Environment, name: string, fallback: number): number | null {
  if (!environment[name]) return null;
  return wholeNumber(environment, name, { fallback, least: QUOTA_CALLS_MIN, most: QUOTA_CALLS_MAX });
}

function readWitnessPort(environment: Environment, taken: Readonly<Record<string, number | null>>): number | null {
  if (!environment['WITNESS_PORT']) return null;
  const witnessPort = wholeNumber(environment, 'WITNESS_PORT', { fallback: 8790, least: 1, most: 65_535 });
  const other = Object.entries(taken).find(([, port]) => port === witnessPort)?.[0];
  if (other === undefined) return witnessPort;
  throw new UserError(
    `${other} and WITNESS_PORT are both ${witnessPort}: give the witness another, e.g. WITNESS_PORT=${witnessPort + 100}.`,
  );
}

/** Where the database, the issuer's key and the log are kept: `STATE_DIR`, or `.state` under the checkout. */
export function stateDirOf(environment: Environment): string {
  return path.resolve(CHECKOUT, environment['STATE_DIR'] || '.state');
}

function readUpstream(environment: Environment): UpstreamSettings {
  const apiUrl = environment['PIPEOPS_API_URL'] || null;
  const adminToken = environment['PIPEOPS_ADMIN_TOKEN'] || null;
  // This is the spelling in which the Worker asks for it. The Worker refuses a text that is no id.
  const workspaceUuid = workspaceAsRead(environment['PIPEOPS_WORKSPACE_UUID'] ?? '') || null;
  if (apiUrl !== null && adminToken !== null) return { kind: 'configured', apiUrl, adminToken, workspaceUuid };
  if (apiUrl !== null || adminToken !== null) {
    const [present, absent] =
      apiUrl === null ? ['PIPEOPS_ADMIN_TOKEN', 'PIPEOPS_API_URL'] : ['PIPEOPS_API_URL', 'PIPEOPS_ADMIN_TOKEN'];
    throw new UserError(
      `${present} is set and ${absent} is not: set both to use that PipeOps, or neither to use the simulator.`,
    );
  }
  return {
    kind: 'simulator',
    port: wholeNumber(environment, 'PIPEOPS_PORT', { fallback: 8788, least: 1, most: 65_535 }),
    workspaceUuid: workspaceUuid ?? SIMULATED_WORKSPACE_UUID,
  };
}

function wholeNumber(
  environment: Environment,
  name: string,
  bounds: { readonly fallback: number; readonly least: number; readonly most: number },
): number {
  const text = environment[name];
  if (!text) return bounds.fallback;
  const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= bounds.least && value <= bounds.most) return value;
  throw new UserError(
    `${name} is ${JSON.stringify(text)}: it must be a whole number from ${bounds.least} to ${bounds.most}, e.g. ${name}=${bounds.fallback}.`,
  );
}
