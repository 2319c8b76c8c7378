import { once } from 'node:events';
import { Agent, createServer, request, type IncomingMessage, type ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';

/** When a revoke passed by, in the time of `performance.now`. */
export interface Passage {
  readonly askedAt: number;
  readonly answeredAt: number;
}

/** Stands before PipeOps, passes everything on, and notes when revokes pass by: to the microsecond, unlike PipeOps. */
export interface Watch extends AsyncDisposable {
  readonly url: string;
  /** The first revoke of a token from now on that PipeOps answers with success. Never, if there is none within 30 s: rejects. */
  readonly revoked: (tokenId: string) => Promise<Passage>;
}

const PATIENCE_MS = 30_000;

export async function startWatch(upstreamUrl: string): Promise<Watch> {
  const agent = new Agent({ keepAlive: true });
  const waiting = new Map<string, (passage: Passage) => void>();

  const pass = async (incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> => {
    const askedAt = performance.now();
    const { method = 'GET', url = '/', headers } = incoming;
    const onward = request(`${upstreamUrl}${url}`, { method, headers, agent });
    const answered = once(onward, 'response');
    const sent = pipeline(incoming, onward);
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what the event brings
    const [answer] = (await answered) as [IncomingMessage];
    const answeredAt = performance.now();
    const status = answer.statusCode ?? 502;
    outgoing.writeHead(status, answer.headers);
    await Promise.all([sent, pipeline(answer, outgoing)]);
    if (method !== 'DELETE' || status >= 300) return;
    waiting.get(new URL(url, upstreamUrl).pathname.split('/').at(-1) ?? '')?.({ askedAt, answeredAt });
  };
  const server = createServer({ noDelay: true }, (incoming, outgoing) => {
    pass(incoming, outgoing).catch(() => outgoing.destroy());
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const address = server.address();
  if (address === null || typeof address !== 'object') throw new Error('nothing listens');
  return {
    url: `http://127.0.0.1:${address.port}`,
    revoked: async (tokenId) =>
      await new Promise<Passage>((resolve, reject) => {
        const impatience = setTimeout(() => reject(new Error(`${tokenId} was not revoked`)), PATIENCE_MS);
        waiting.set(tokenId, (passage) => {
          waiting.delete(tokenId);
          clearTimeout(impatience);
          resolve(passage);
        });
      }),
    [Symbol.asyncDispose]: async () => {
      server.close();
      server.closeAllConnections();
      agent.destroy();
      await Promise.resolve();
    },
  };
}
