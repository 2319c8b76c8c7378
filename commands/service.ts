import * as z from 'zod';
import { UserError } from '../local/errors.ts';
import { keepLoopbackDirect } from '../local/loopback.ts';
import { readRunFile } from '../local/state-dir.ts';
import { printable } from './terminal-text.ts';

/** Where `npm start` listens if nobody chooses a port. */
const DEFAULT_URL = 'http://127.0.0.1:8787';
/** A service that does not answer in this time is taken for dead. The service's own deadline is shorter. */
const ANSWER_TIMEOUT_MS = 30_000;

/** The service that a command talks to. */
export interface ServiceUrl {
  readonly origin: string;
  /** Packets to it do not leave this machine. */
  readonly isLoopback: boolean;
  readonly isEncrypted: boolean;
}

/**
 * Finds the service: the one that is named, else the one that runs on the state directory, else the default of `npm start`.
 *
 * @param named a URL, or null if the user names none.
 * @throws UserError if the URL is none of a service.
 */
export function findService(named: string | null, stateDir: string): ServiceUrl {
  const text = named ?? readRunFile(stateDir)?.url ?? DEFAULT_URL;
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new UserError(
      `${JSON.stringify(printable(text))} is no URL of a service, such as https://countersign.example.com.`,
    );
  }
  const isLoopback = /^(127(\.\d+){3}|localhost|\[::1\])$/.test(url.hostname);
  // Where a named service answers is the user's business. Requests to this machine go through no proxy.
  if (isLoopback) keepLoopbackDirect(process.env, url.hostname);
  return { origin: url.origin, isLoopback, isEncrypted: url.protocol === 'https:' };
}

/** What is sent to a service. */
export interface ServiceRequest {
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** What a service answers. None of it is safe to print yet. */
export interface ServiceResponse {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** Undefined if the body is no JSON. */
  readonly json: unknown;
}

/**
 * Sends a request once and reads the whole answer.
 *
 * @returns null if nobody answers.
 */
export async function exchange(origin: string, { path, ...request }: ServiceRequest): Promise<ServiceResponse | null> {
  try {
    const signal = AbortSignal.timeout(ANSWER_TIMEOUT_MS);
    // A redirect would carry a JWT or a secret elsewhere.
    const response = await fetch(`${origin}${path}`, { ...request, redirect: 'manual', signal });
    const text = await response.text();
    return { status: response.status, headers: response.headers, text, json: jsonOf(text) };
  } catch {
    return null;
  }
}

const Helpful = z.object({ help: z.string().regex(/^\/docs\/errors#[a-z_]+$/) });

/**
 * Where a service explains a failure, as the end of the line that tells of it: ` See https://….`. Empty if its answer names no page
 * of its own.
 *
 * @param body the parsed body of the failure.
 */
export function helpOf(origin: string, body: unknown): string {
  const parsed = Helpful.safeParse(body);
  return parsed.success ? ` See ${origin}${parsed.data.help}` : '';
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
