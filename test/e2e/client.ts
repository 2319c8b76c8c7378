import * as z from 'zod';
import { expectConforming } from '../support/conformance.ts';
import type { Service } from './service.ts';

export const TOKENS = '/api/v1/service-account-tokens';

/** A caller of the service over real HTTP. */
export interface Client {
  readonly send: (
    method: string,
    path: string,
    body?: unknown,
    headers?: Readonly<Record<string, string>>,
  ) => Promise<Answer>;
  /** Creates a token; its id and secret. */
  readonly create: (name: string) => Promise<{ readonly id: string; readonly secret: string }>;
  /** The trail, newest first. Needs a role with `audit:read`. */
  readonly events: (parameters?: Readonly<Record<string, string>>) => Promise<AuditEvent[]>;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

const AuditEvent = z.looseObject({
  id: z.string(),
  action: z.string(),
  status: z.enum(['attempted', 'success', 'failure']),
  token_id: z.string().nullable(),
  token_name: z.string().nullable(),
  error_code: z.string().nullable(),
  detail: z.record(z.string(), z.unknown()),
});
export type AuditEvent = z.infer<typeof AuditEvent>;

const Created = z.object({ data: z.object({ id: z.string(), token: z.string().startsWith('sat_') }) });
const Page = z.object({ data: z.array(AuditEvent) });

/** @throws where the service cannot be reached, or answers off its contract; `create` and `events` also where it refuses. */
export function createClient(service: Pick<Service, 'url'>, jwt: string): Client {
  const send: Client['send'] = async (method, path, body, more = {}) => {
    const response = await fetch(`${service.url}${path}`, {
      method,
      headers: {
        Authorization: `Bearer ${jwt}`,
        // workerd ends a connection that was idle for 5 s, and Node's fetch takes up one that it has kept for some 4 s: now and then
        // a request meets the end. A test that pauses would fail by that, so each request has a connection of its own.
        Connection: 'close',
        ...(body !== undefined && { 'Content-Type': 'application/json' }),
        ...more,
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const answer = { status: response.status, headers: response.headers, text: await response.text() };
    expectConforming({ method, url: response.url }, answer);
    return answer;
  };
  return {
    send,
    create: async (name) => {
      const answer = await send('POST', TOKENS, { name, scopes: ['api:read'], expires_in: '30d' });
      const { data } = Created.parse(jsonOf(answer));
      return { id: data.id, secret: data.token };
    },
    events: async (parameters = {}) => {
      const query = new URLSearchParams(parameters).toString();
      return Page.parse(jsonOf(await send('GET', `/api/v1/audit/events?${query}`))).data;
    },
  };
}

/** The body as JSON. @throws if it is not a success, with its status and code. */
export function jsonOf(answer: Answer): unknown {
  if (answer.status >= 300) throw new Error(`answered ${answer.status}: ${answer.text.slice(0, 300)}`);
  return JSON.parse(answer.text);
}
