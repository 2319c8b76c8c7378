import { UnsecuredJWT } from 'jose';
import { afterAll } from 'vitest';
import { createControl } from './control.ts';
import { TOKENS_PATH } from './routes.ts';
import { startSimulator, type SimulatorOptions } from './server.ts';

export interface Sent {
  /** After the path of the tokens. */
  readonly path?: string;
  /** Null: none. */
  readonly workspace?: string | null;
  readonly credential?: string | null;
  /** Text is sent as it is. */
  readonly body?: unknown;
  readonly eventId?: string;
  readonly signal?: AbortSignal;
}

export interface Answered {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  // oxlint-disable-next-line typescript/no-explicit-any -- tests look into bodies of every shape
  readonly body: any;
}

/** A user's session that no other test has. */
export const session = (claims: Readonly<Record<string, unknown>> = {}): string =>
  new UnsecuredJWT({ sub: 'admin', jti: crypto.randomUUID(), ...claims }).encode().concat('c2lnbmF0dXJl');

/** A simulator for one test file; it ends with the file. */
export async function startTestSimulator(options: SimulatorOptions = {}) {
  const simulator = await startSimulator(options);
  afterAll(async () => simulator.close());
  const control = createControl(simulator.url);

  /** A user of PipeOps in a workspace that is nobody else's. */
  const visit = () => {
    const workspace = crypto.randomUUID();
    const credential = session();

    const send = async (method: string, sent: Sent = {}): Promise<Answered> => {
      const url = new URL(`${simulator.url}${TOKENS_PATH}${sent.path ?? ''}`);
      if (sent.workspace !== null) url.searchParams.set('workspace_uuid', sent.workspace ?? workspace);
      const headers = new Headers({ 'Content-Type': 'application/json' });
      if (sent.credential !== null) headers.set('Authorization', `Bearer ${sent.credential ?? credential}`);
      if (sent.eventId !== undefined) headers.set('X-Request-Id', sent.eventId);
      const body = typeof sent.body === 'string' ? sent.body : JSON.stringify(sent.body);
      const response = await fetch(url, {
        method,
        headers,
        redirect: 'manual',
        ...(sent.body !== undefined && { body }),
        ...(sent.signal !== undefined && { signal: sent.signal }),
      });
      const text = await response.text();
      return { status: response.status, headers: response.headers, text, body: jsonOrNull(text) };
    };
    /** A create in the form that PipeOps' CLI sends. */
    const create = async (fields: Readonly<Record<string, unknown>> = {}, sent: Sent = {}): Promise<Answered> =>
      await send('POST', {
        body: { name: 'deploy', workspace_uuid: workspace, scopes: ['api:read'], ...fields },
        ...sent,
      });
    const mint = async (fields: Readonly<Record<string, unknown>> = {}): Promise<{ id: string; token: string }> =>
      (await create(fields)).body.data;
    /** All there is to see of this visit from PipeOps' side. */
    const requests = async () => await control.requests({ workspace_uuid: workspace });
    const tokens = async () => await control.tokens(workspace);

    return { workspace, credential, send, create, mint, requests, tokens };
  };

  return { url: simulator.url, control, visit };
}

function jsonOrNull(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
