import * as z from 'zod';

/** Where `npm start` listens if nobody chooses a port. */
export const DEFAULT_URL = 'http://127.0.0.1:8787';
/** A service that does not answer in this time is taken for dead. The service's own deadline is shorter. */
const ANSWER_TIMEOUT_MS = 30_000;

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
