import { setTimeout as delay } from 'node:timers/promises';
import { UserError } from '../../local/errors.ts';
import { keepLoopbackDirect } from '../../local/loopback.ts';
import { type Client, createClientWith } from '../../package/client/client.ts';
import { CountersignError, type Failure } from '../../package/client/failure.ts';
import { isLoopbackName, safeOrigin } from '../../package/client/origin.ts';
import { helpOf } from '../service.ts';
import { printable } from '../terminal-text.ts';
import { text, UsageError } from '../usage.ts';
import type { Host, LocalRole } from './host.ts';
import { jwtSource } from './jwt.ts';

/** The options with which every command finds its service. */
export const CONNECTION_OPTIONS = { url: text, 'jwt-file': text, 'jwt-command': text, 'jwt-header': text } as const;

export const CONNECTION_USAGE = `         --url URL (or COUNTERSIGN_URL)
         the JWT: --jwt-file FILE, --jwt-command LINE, or COUNTERSIGN_JWT, COUNTERSIGN_JWT_FILE, COUNTERSIGN_JWT_COMMAND
         --jwt-header NAME (or COUNTERSIGN_JWT_HEADER) carries it in another header than Authorization`;

export interface ConnectionOptions {
  readonly url?: string | undefined;
  readonly 'jwt-file'?: string | undefined;
  readonly 'jwt-command'?: string | undefined;
  readonly 'jwt-header'?: string | undefined;
}

/** A person waits longer than a program. */
const DEADLINE_MS = 5 * 60_000;
/** The number of answers of 429 or 503 after which a command gives up. */
const RETRIES = 5;

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Creates the client of the service that a user names.
 *
 * @param role of the JWT that a checkout makes for its own service.
 * @param notice is told what the client waits for.
 * @throws UsageError if no service or no JWT is named, or a JWT would not be safe on its way.
 */
export function connect(
  host: Host,
  values: ConnectionOptions,
  { role, notice, environment = process.env }: Connecting,
): Client {
  const named = namedUrl(host, values, environment);
  if (named === null) {
    throw new UsageError(
      'Which service? Name it with --url or COUNTERSIGN_URL, such as https://countersign.example.com.',
    );
  }
  const { origin, isLoopback } = serviceOf(named);
  const file = values['jwt-file'] ?? null;
  const jwt = jwtSource(environment, {
    file: file === null ? null : host.pathOf(file),
    command: values['jwt-command'] ?? null,
    local: isLoopback ? host.localJwt(role) : null,
  });
  const jwtHeader = values['jwt-header'] ?? (environment['COUNTERSIGN_JWT_HEADER'] || 'Authorization');
  return createClientWith(
    {
      url: origin,
      jwt,
      jwtHeader,
      userAgent: 'countersign-command',
      deadlineMs: DEADLINE_MS,
      retries: RETRIES,
      onRetry: ({ failure, waitMs }) => notice(waitLine(failure, waitMs)),
    },
    { now: () => Date.now(), sleep: async (ms, signal) => await delay(ms, undefined, { signal }) },
  );
}

/** The URL that a user names, or that the host knows. Null: there is none. */
const namedUrl = (host: Host, values: ConnectionOptions, environment: Environment): string | null =>
  values.url ?? (environment['COUNTERSIGN_URL'] || host.defaultUrl());

/**
 * Whether the service that a user names is one on this machine.
 *
 * @throws UsageError as `connect` does.
 */
export function isOnThisMachine(
  host: Host,
  values: ConnectionOptions,
  environment: Environment = process.env,
): boolean {
  const named = namedUrl(host, values, environment);
  return named !== null && serviceOf(named).isLoopback;
}

interface Connecting {
  readonly role: LocalRole;
  readonly notice: (line: string) => void;
  readonly environment?: Environment;
}

/** @throws UsageError if the URL is none of a service, or a request would show the JWT to the network. */
export function serviceOf(named: string): { readonly origin: string; readonly isLoopback: boolean } {
  const hostname = URL.canParse(named) ? new URL(named).hostname : '';
  if (!/^https?:\/\//.test(named) || hostname === '') {
    throw new UsageError(
      `${JSON.stringify(printable(named))} is no URL of a service, such as https://countersign.example.com.`,
    );
  }
  const isLoopback = isLoopbackName(hostname);
  // Where a named service answers is the user's business. Requests to this machine go through no proxy.
  if (isLoopback) keepLoopbackDirect(process.env, hostname);
  try {
    return { origin: safeOrigin(new URL(named).origin), isLoopback };
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error), { cause: error });
  }
}

/** What is waited for. */
export function waitLine(failure: Failure, waitMs: number): string {
  const what = 'status' in failure ? `The service answered ${failure.status}` : 'The service does not answer';
  return `${what}; asking again in ${Math.ceil(waitMs / 1_000)} s.`;
}

/**
 * What a person does about a failure, in one line.
 *
 * @param permission the one that the command needs.
 */
export function problemOf(error: unknown, { host, origin, permission }: Asked): UserError {
  if (!(error instanceof CountersignError)) throw error;
  if (error.cause instanceof UserError) return error.cause;
  const { failure } = error;
  if ('errors' in failure) return new UserError(answeredLine(failure, { host, origin, permission }), { cause: error });
  const message = printable(failure.message);
  const advice = {
    client_unreachable: ' Is it running? Another one is named by --url or COUNTERSIGN_URL.',
    client_unexpected_answer: ' Check --url.',
    client_export_cut: '',
    client_no_jwt: '',
    client_deadline: '',
    client_aborted: '',
  }[failure.code];
  return new UserError(`${message}${advice}`, { cause: error });
}

export interface Asked {
  readonly host: Host;
  readonly origin: string;
  readonly permission: string;
}

type Told = Extract<Failure, { readonly errors: unknown }>;

function answeredLine(failure: Told, { host, origin, permission }: Asked): string {
  const { status, errors, help } = failure;
  const fields = Object.entries(errors).map(([name, problems]) => `${name}: ${problems.join(' ')}`);
  const message = printable(failure.message);
  const more = helpOf(origin, { help });
  switch (status) {
    case 401:
      return `401: the JWT is not accepted. ${message} Name a fresh one, of an issuer of ${origin}, with COUNTERSIGN_JWT, --jwt-file or --jwt-command${host.localJwtAdvice}.${more}`;
    case 403:
      // Every other refusal says by itself what was missing, which may be no permission at all.
      return failure.code === 'no_role'
        ? `403: ${message} This needs a role with the permission ${permission}.${more}`
        : `403: ${message}${more}`;
    case 400:
    case 422:
      return `${status}: ${fields.length > 0 ? printable(fields.join('; ')) : message}${more}`;
    default:
      return `${status}: ${message}${failure.eventId === null ? '' : ` Event: ${printable(failure.eventId)}.`}${more}`;
  }
}
