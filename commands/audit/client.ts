import * as z from 'zod';
import { UserError } from '../../local/errors.ts';
import { helpOf } from '../service.ts';
import { printable } from '../terminal-text.ts';
import type { JwtSource } from './jwt.ts';

/** A service that does not begin to answer in this time is taken for dead. The service's own deadline is shorter. */
const ANSWER_TIMEOUT_MS = 30_000;
const BACKOFF_FIRST_MS = 2_000;
const BACKOFF_MAX_MS = 60_000;
/** The number of answers of 429 or 503 after which a command gives up. */
const PATIENCE = 5;

const EVENTS = '/api/v1/audit/events';
const EXPORT = '/api/v1/audit/export';

const Page = z.object({
  data: z.array(z.unknown()),
  pagination: z.object({ next_cursor: z.string().nullable(), has_more: z.boolean().optional() }),
});
const Refusal = z.object({
  message: z.string(),
  errors: z.record(z.string(), z.array(z.string())).optional(),
});

/** A page of events. They are not checked, and not safe to print. */
export interface Page {
  readonly events: readonly unknown[];
  readonly nextCursor: string | null;
  readonly hasMore: boolean;
}

export interface AuditClient {
  readonly url: string;
  /**
   * Asks for a page of events.
   *
   * @param patience the number of answers of 429 or 503 to wait for. With Infinity it also waits for a service that has
   *   answered once and is gone for a while.
   */
  page(parameters: Readonly<Record<string, string>>, patience?: number): Promise<Page>;
  /** Begins an export. Its body throws where the connection breaks. */
  export(parameters: Readonly<Record<string, string>>): Promise<ReadableStream<Uint8Array>>;
}

export interface ClientOptions {
  /** The origin of the service. */
  readonly url: string;
  readonly jwt: JwtSource;
  readonly sleep: (ms: number) => Promise<void>;
  /** Is told what the client waits for. */
  readonly notice: (line: string) => void;
}

/** Creates a client of a service's trail. Every failure is a UserError that says what to do. */
export function createAuditClient({ url, jwt, sleep, notice }: ClientOptions): AuditClient {
  let hasAnswered = false;

  /** Sends a request once. Null if nobody answers. */
  const send = async (target: URL): Promise<Response | null> => {
    const headers = { Authorization: `Bearer ${await jwt()}` };
    // The deadline ends with the headers: a long export has all the time it needs.
    const deadline = new AbortController();
    const timer = setTimeout(() => deadline.abort(), ANSWER_TIMEOUT_MS);
    try {
      // A redirect would carry the JWT elsewhere.
      const response = await fetch(target, { headers, redirect: 'manual', signal: deadline.signal });
      hasAnswered = true;
      return response;
    } catch {
      return null;
    } finally {
      clearTimeout(timer);
    }
  };

  /** Asks until the service answers with something other than a request for patience. */
  const get = async (
    path: string,
    parameters: Readonly<Record<string, string>>,
    patience: number,
  ): Promise<Response> => {
    const target = new URL(path, url);
    for (const [name, value] of Object.entries(parameters)) target.searchParams.set(name, value);
    const isPatient = patience === Infinity;
    for (let refusals = 0; ; refusals += 1) {
      const response = await send(target);
      if (response?.status === 200) return response;
      if (response === null) {
        if (!isPatient || !hasAnswered) throw new UserError(unreachable(url));
      } else {
        const isLater = [429, 503].includes(response.status) || (isPatient && response.status >= 500);
        if (!isLater || refusals >= patience) throw await refusalOf(url, response);
        await response.body?.cancel();
      }
      const waitMs = waitOf(response?.headers.get('Retry-After') ?? null, refusals);
      const what = response === null ? 'The service does not answer' : `The service answered ${response.status}`;
      notice(`${what}; asking again in ${Math.ceil(waitMs / 1000)} s.`);
      await sleep(waitMs);
    }
  };

  return {
    url,
    page: async (parameters, patience = PATIENCE) => {
      const response = await get(EVENTS, parameters, patience);
      const page = Page.safeParse(await jsonOf(response));
      if (!page.success) throw new UserError(strange(url, response));
      const { next_cursor, has_more } = page.data.pagination;
      return { events: page.data.data, nextCursor: next_cursor, hasMore: has_more ?? next_cursor !== null };
    },
    export: async (parameters) => {
      const response = await get(EXPORT, parameters, PATIENCE);
      if (response.body === null) throw new UserError(strange(url, response));
      return response.body;
    },
  };
}

/** Milliseconds to wait: what the service asks for, or twice as long each time, and at most a minute. */
function waitOf(retryAfter: string | null, refusals: number): number {
  const asked = retryAfter !== null && /^\d{1,6}$/.test(retryAfter) ? Number(retryAfter) * 1000 : null;
  return Math.min(asked ?? BACKOFF_FIRST_MS * 2 ** refusals, BACKOFF_MAX_MS);
}

async function refusalOf(url: string, response: Response): Promise<UserError> {
  const body = await jsonOf(response);
  const refusal = Refusal.safeParse(body);
  if (!refusal.success) return new UserError(strange(url, response));
  return new UserError(`${response.status}: ${adviceOn(url, response.status, refusal.data)}${helpOf(url, body)}`);
}

function adviceOn(url: string, status: number, refusal: z.infer<typeof Refusal>): string {
  const message = printable(refusal.message);
  const fields = Object.entries(refusal.errors ?? {}).map(([name, problems]) => `${name}: ${problems.join(' ')}`);
  switch (status) {
    case 401:
      return `the JWT is not accepted. Put a fresh one, of an issuer of ${url}, into COUNTERSIGN_JWT or the file of --jwt-file; of a local service: npm run -s token -- --sub NAME --role auditor.`;
    case 403:
      return `${message} The trail needs a role with the permission audit:read.`;
    case 400:
    case 422:
      return fields.length > 0 ? printable(fields.join('; ')) : message;
    default:
      return message;
  }
}

const unreachable = (url: string): string =>
  `Nothing answers at ${url}. Is it running (npm start)? Another one is named by --url or COUNTERSIGN_URL.`;

const strange = (url: string, { status, headers }: Response): string =>
  `${url} does not answer as Countersign does (${status}, ${printable(headers.get('Content-Type') ?? 'no type')}): check --url.`;

async function jsonOf(response: Response): Promise<unknown> {
  try {
    return (await response.json()) as unknown;
  } catch {
    return null;
  }
}
