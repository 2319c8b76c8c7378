import { DecodeError, flag, int, list, struct, text, timestamp, type Field } from './go-json.ts';

// What PipeOps' Go SDK v0.18.7 sends, and reads of what comes back (pipeops/client.go, servicetokens.go, workspaces.go,
// workspace_internal.go), as far as a program that uses it can tell.

/** The error that `CheckResponse` gives for a 4xx or 5xx: all that a program prints. */
export class ErrorResponse extends Error {
  readonly status: number;
  readonly text: string;
  constructor(status: number, told: string, request: string) {
    super(`${request}: ${status} ${told}`);
    this.status = status;
    this.text = told;
  }
}

/** The error of a 429. Seconds; a limit that is not told is 0. */
export class RateLimitError extends Error {
  readonly retryAfter: number;
  readonly limit: number;
  readonly remaining: number;
  constructor(retryAfter: number, limit: number, remaining: number) {
    super(`rate limit exceeded: retry after ${retryAfter}s (limit: ${limit}, remaining: ${remaining})`);
    this.retryAfter = retryAfter;
    this.limit = limit;
    this.remaining = remaining;
  }
}

const MAX_RETRIES = 3;

const tokenFields = {
  uuid: text,
  name: text,
  description: text,
  token: text,
  token_prefix: text,
  workspace_id: text,
  permissions: list(text),
  scopes: list(text),
  expires_at: timestamp,
  created_at: timestamp,
  updated_at: timestamp,
  last_used_at: timestamp,
  is_active: flag,
};
const serviceToken = struct(tokenFields);
export type SdkToken = ReturnType<typeof serviceToken>;

/** A create is read by its own rules: nested under `token`, and otherwise flat, with the secret as `token`. */
const tokenResponse = (body: unknown): SdkToken => {
  const { data } = struct<{ data: Record<string, unknown> | null }>({ data: raw })(body, 'ServiceAccountTokenResponse');
  try {
    const nested = struct({ token: serviceToken })(data, 'data').token;
    if (nested.uuid !== '' || nested.name !== '' || nested.token !== '') return nested;
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
  }
  const { id, ...flat } = struct({
    id: text,
    uuid: text,
    name: text,
    token: text,
    token_prefix: text,
    workspace_id: text,
    scopes: list(text),
    permissions: list(text),
    expires_at: timestamp,
    created_at: timestamp,
    is_active: flag,
  })(data, 'data');
  return { ...flat, uuid: flat.uuid === '' ? id : flat.uuid, description: '', updated_at: null, last_used_at: null };
};

const listResponse = struct({ data: struct({ tokens: list(serviceToken), total: int }) });
const workspaceFields = struct({ uuid: text, name: text, description: text, created_at: timestamp });
/** `data` is the list itself, or holds it. */
const workspaceList: Field<readonly ReturnType<typeof workspaceFields>[]> = (data, path) =>
  Array.isArray(data)
    ? list(workspaceFields)(data, path)
    : struct({ w: list(workspaceFields) })({ w: workspacesOf(data) }, path).w;
const workspacesOf = (data: unknown): unknown => Object(data)['workspaces'];

function raw(value: unknown): Record<string, unknown> | null {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what is read of it is checked
  return (value ?? null) as Record<string, unknown> | null;
}

export interface SdkCreate {
  readonly name: string;
  readonly description?: string;
  readonly permissions?: readonly string[];
  readonly expires_at?: string;
  readonly workspace_uuid?: string;
  readonly preset?: string;
}

type Fetch = (request: Request) => Promise<Response>;

/** The client of one base URL and one bearer. `sent` are its requests, its repeats included. */
export function createSdk(baseUrl: string, bearer: string, fetchOnce: Fetch) {
  const sent: string[] = [];

  const attempt = async (method: string, path: string, body: unknown): Promise<Response> => {
    sent.push(`${method} /${path}`);
    return await fetchOnce(
      new Request(new URL(path, baseUrl), {
        method,
        headers: {
          ...(body !== undefined && { 'Content-Type': 'application/json' }),
          Accept: 'application/json',
          'User-Agent': 'pipeops-go-sdk/1.0.0',
          Authorization: `Bearer ${bearer}`,
        },
        // Go writes a line feed after a value.
        ...(body !== undefined && { body: `${JSON.stringify(body)}\n` }),
      }),
    );
  };

  /** `Client.Do`: any method is repeated after 429 and 5xx, without a look at `Retry-After`. */
  const perform = async (method: string, path: string, body?: unknown): Promise<unknown> => {
    let response = await attempt(method, path, body);
    for (let retries = 0; retries < MAX_RETRIES && (response.status === 429 || response.status >= 500); retries += 1) {
      await response.arrayBuffer();
      response = await attempt(method, path, body);
    }
    const answer = await response.text();
    if (response.ok) return answer === '' ? null : JSON.parse(answer);
    throw errorOf(response, answer, `${method} /${path}`);
  };

  const tokens = 'api/v1/service-account-tokens';
  const inWorkspace = (path: string, workspaceUuid = ''): string =>
    workspaceUuid === '' ? path : `${path}?workspace_uuid=${encodeURIComponent(workspaceUuid)}`;

  const workspaces = async () => {
    const { data } = struct<{ data: Record<string, unknown> | null; message: string }>({ data: raw, message: text })(
      await perform('GET', 'workspace'),
      'WorkspacesResponse',
    );
    return workspaceList(data, 'data');
  };

  return {
    sent,
    workspaces,
    /** Without a workspace it asks for the first, and goes on without one if there is none. */
    create: async (request: SdkCreate): Promise<SdkToken> => {
      const first = async (): Promise<string> => (await workspaces().catch(() => []))[0]?.uuid ?? '';
      const workspaceUuid = request.workspace_uuid ?? (await first());
      const body = { ...request, ...(workspaceUuid !== '' && { workspace_uuid: workspaceUuid }) };
      return tokenResponse(await perform('POST', inWorkspace(tokens, workspaceUuid), body));
    },
    list: async (workspaceUuid?: string) =>
      listResponse(await perform('GET', inWorkspace(tokens, workspaceUuid)), 'ServiceAccountTokenListResponse').data,
    get: async (id: string, workspaceUuid?: string): Promise<SdkToken> =>
      tokenResponse(await perform('GET', inWorkspace(`${tokens}/${id}`, workspaceUuid))),
    update: async (id: string, changes: object, workspaceUuid?: string): Promise<SdkToken> =>
      tokenResponse(await perform('PATCH', inWorkspace(`${tokens}/${id}`, workspaceUuid), changes)),
    revoke: async (id: string, workspaceUuid?: string): Promise<void> =>
      void (await perform('DELETE', inWorkspace(`${tokens}/${id}`, workspaceUuid))),
  };
}

/** `CheckResponse`. After the last repeat of a 5xx its body was read already, so that its status is all that is left. */
function errorOf({ status, statusText, headers }: Response, answer: string, request: string): Error {
  if (status === 429) {
    const number = (name: string): number => Number.parseInt(headers.get(name) ?? '', 10) || 0;
    return new RateLimitError(
      number('Retry-After') || 60,
      number('X-RateLimit-Limit'),
      number('X-RateLimit-Remaining'),
    );
  }
  const { message } = status >= 500 ? { message: '' } : errorFields(answer);
  return new ErrorResponse(status, message === '' ? `${status} ${statusText}` : message, request);
}

function errorFields(answer: string): { readonly message: string } {
  try {
    return struct({ message: text, status: text })(JSON.parse(answer), 'ErrorResponse');
  } catch {
    return { message: answer.trim() };
  }
}
