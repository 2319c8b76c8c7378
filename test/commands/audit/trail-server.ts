import type { IncomingMessage, ServerResponse } from 'node:http';
import { createClientWith } from '../../../package/client/client.ts';
import { startLoopbackServer, type LoopbackServer } from '../loopback-server.ts';

export interface Asked {
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  readonly authorization: string | undefined;
}

/** A client on which no time passes, as the command has it. `slept` gets what it waits for. */
export const clientOf = (url: string, slept: number[] = []) =>
  createClientWith(
    { url, jwt: 'a.b.c', retries: 5, deadlineMs: 5 * 60_000 },
    { now: () => 0, sleep: async (ms) => await Promise.resolve(void slept.push(ms)) },
  );

/** How one request is answered. */
export type Reply = (response: ServerResponse, request: IncomingMessage) => void;

export interface TrailServer extends LoopbackServer {
  readonly asked: readonly Asked[];
}

/**
 * A service that gives these answers, one after another and the last one again, and remembers what it was asked. It
 * ends with the test that started it.
 */
export async function startTrailServer(replies: readonly Reply[]): Promise<TrailServer> {
  const asked: Asked[] = [];
  const server = await startLoopbackServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '', 'http://127.0.0.1');
    const reply = replies[Math.min(asked.length, replies.length - 1)];
    asked.push({
      path: pathname,
      query: Object.fromEntries(searchParams),
      authorization: request.headers.authorization,
    });
    reply?.(response, request);
  });
  return { ...server, asked };
}

const json =
  (status: number, body: unknown, headers: Readonly<Record<string, string>> = {}): Reply =>
  (response) => {
    response.writeHead(status, { 'Content-Type': 'application/json', ...headers }).end(JSON.stringify(body));
  };

export const pageOf = (events: readonly unknown[], nextCursor: string | null = null, hasMore = nextCursor !== null) =>
  json(200, { success: true, data: events, pagination: { next_cursor: nextCursor, has_more: hasMore } });

export const refusal = (status: number, message: string, more: object = {}, headers: Record<string, string> = {}) =>
  json(status, { success: false, status: 'error', message, code: 'x', ...more }, headers);

export const textOf =
  (body: string, contentType = 'application/x-ndjson'): Reply =>
  (response) => {
    response.writeHead(200, { 'Content-Type': contentType }).end(body);
  };

/** Sends this much and then breaks the connection. */
export const cutAfter =
  (body: string): Reply =>
  (response) => {
    response.writeHead(200, { 'Content-Type': 'application/x-ndjson' });
    response.write(body, () => setImmediate(() => response.destroy()));
  };

export const event = (seq: number, fields: object = {}) => ({
  id: `event-${seq}`,
  seq,
  occurred_at: '2026-11-24T03:34:09.301Z',
  action: 'service_account_token.revoke',
  status: 'success',
  count: 1,
  actor: { type: 'user', issuer: null, subject: 'alice', label: null },
  token_id: `tok-${seq}`,
  error_code: null,
  ...fields,
});
