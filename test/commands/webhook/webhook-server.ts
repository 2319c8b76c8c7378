import type { IncomingHttpHeaders } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { startLoopbackServer, type LoopbackServer } from '../loopback-server.ts';

export interface Received {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export interface WebhookServer extends LoopbackServer {
  readonly received: readonly Received[];
}

/** A service that gives this answer to every delivery, and keeps them. It ends with the test that started it. */
export async function startWebhookServer(
  status: number,
  answer: unknown,
  headers: Readonly<Record<string, string>> = {},
): Promise<WebhookServer> {
  const received: Received[] = [];
  const server = await startLoopbackServer((request, response) => {
    void (async () => {
      received.push({
        path: `${request.method} ${request.url}`,
        headers: request.headers,
        body: await buffer(request),
      });
      const body = typeof answer === 'string' ? answer : JSON.stringify(answer);
      response.writeHead(status, { 'Content-Type': 'application/json', ...headers }).end(body);
    })();
  });
  return { ...server, received };
}
