import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { Account, type Answer, failed } from './account.ts';

/** A request that reached the simulated Cloudflare, such as `PUT /accounts/a/workers/scripts/countersign`. */
export interface SeenRequest {
  readonly method: string;
  readonly path: string;
}

export interface SimulatedCloudflare {
  /** For `CLOUDFLARE_API_BASE_URL`. */
  readonly apiUrl: string;
  /** Where a Worker answers, in place of `https://NAME.….workers.dev`. */
  readonly urlOf: (workerName: string) => string;
  readonly account: Account;
  /** Every request so far, in the order of their arrival. */
  readonly requests: readonly SeenRequest[];
  /** Is awaited before a request is carried out and again before it is answered. What it returns is the answer instead. */
  intercept: (moment: 'before' | 'after', request: SeenRequest) => Promise<Answer | void> | Answer | void;
  readonly [Symbol.asyncDispose]: () => Promise<void>;
}

/** Starts a Cloudflare with one account, which is empty, on a free port of 127.0.0.1. */
export async function startCloudflare(): Promise<SimulatedCloudflare> {
  const account = new Account();
  const requests: SeenRequest[] = [];
  const server = createServer((request, response) => {
    void (async () => {
      const answer = await answerTo(request);
      response.writeHead(answer.status, { 'Content-Type': answer.contentType ?? 'application/json' });
      response.end(answer.body);
    })();
  });

  const answerTo = async (request: IncomingMessage): Promise<Answer> => {
    const body = await buffer(request);
    const url = new URL(request.url ?? '/', 'http://cloudflare');
    const seen = { method: request.method ?? 'GET', path: url.pathname };
    requests.push(seen);
    try {
      const early = await simulated.intercept('before', seen);
      if (early) return early;
      if (url.pathname.startsWith('/sites/')) return await account.visit(url.pathname.slice('/sites/'.length));
      const answer = await account.answer({
        ...seen,
        query: url.searchParams,
        body,
        contentType: request.headers['content-type'] ?? '',
        authorization: request.headers.authorization ?? '',
      });
      return (await simulated.intercept('after', seen)) ?? answer;
    } catch (error) {
      return failed(500, 10_013, `The simulator failed: ${String(error)}`);
    }
  };

  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const simulated: SimulatedCloudflare = {
    apiUrl: origin,
    urlOf: (workerName) => `${origin}/sites/${workerName}`,
    account,
    requests,
    intercept: () => {},
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await account.stop();
    },
  };
  return simulated;
}
