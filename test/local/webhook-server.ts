import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { onTestFinished } from 'vitest';

export interface Received {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export interface WebhookServer {
  readonly url: string;
  readonly received: readonly Received[];
  readonly stop: () => Promise<void>;
}

/** A service that gives this answer to every delivery, and keeps them. It ends with the test that started it. */
export async function startWebhookServer(
  status: number,
  answer: unknown,
  headers: Readonly<Record<string, string>> = {},
): Promise<WebhookServer> {
  const received: Received[] = [];
  const server = createServer((request, response) => {
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
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const stop = async (): Promise<void> => {
    if (!server.listening) return;
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  };
  onTestFinished(stop);
  return { url: `http://127.0.0.1:${port}`, received, stop };
}
