/** A service that has not answered by then is taken for dead. Its own deadline is shorter. */
const ANSWER_TIMEOUT_MS = 30_000;

/** What is sent to a service. */
export interface ServiceRequest {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** What it answered. Nothing in it is fit to be shown yet. */
export interface ServiceResponse {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** Undefined: the body is no JSON. */
  readonly json: unknown;
}

/**
 * Sends a request, once, and reads the whole answer.
 *
 * @param origin of the service.
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

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
