import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { readAnswer } from './http-answer.ts';
import { percentile } from './statistics.ts';

export interface Load {
  /** `http://127.0.0.1:PORT` */
  readonly origin: string;
  /** Sent in turns, over all connections. */
  readonly requests: readonly Buffer[];
  readonly connections: number;
  /** Sends no more after so many milliseconds; */
  readonly forMs?: number;
  /** nor after so many requests. */
  readonly count?: number;
  /** How long a connection waits after an answer before it sends the next request. */
  readonly pauseMs?: number;
  /** Which answers are as they should be; default: those of 2xx. */
  readonly accepts?: (status: number) => boolean;
}

export interface LoadFigures {
  readonly answers: number;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/**
 * A closed loop: each connection is kept, and sends its next request when it has the whole answer to the last. Made of
 * sockets and nothing else, since it shares the machine with what it measures.
 *
 * @throws on the first answer that is not accepted, with its text, and when a connection breaks.
 */
export async function runLoad({
  origin,
  requests,
  connections,
  forMs = Infinity,
  count = Infinity,
  pauseMs = 0,
  accepts = (status) => status >= 200 && status <= 299,
}: Load) {
  const { hostname, port } = new URL(origin);
  const sockets = await Promise.all(
    Array.from({ length: connections }, async () => await open(hostname, Number(port))),
  );
  const latenciesMs: number[] = [];
  let sent = 0;
  const startedAt = performance.now();
  const next = (): Buffer | undefined => {
    if (sent >= count || performance.now() - startedAt >= forMs) return undefined;
    return requests[sent++ % requests.length];
  };
  try {
    await Promise.all(sockets.map(async (socket) => await loop(socket, { next, pauseMs, accepts }, latenciesMs)));
  } finally {
    for (const socket of sockets) socket.destroy();
  }
  const seconds = (performance.now() - startedAt) / 1000;
  const figures: LoadFigures = {
    answers: latenciesMs.length,
    perSecond: latenciesMs.length / seconds,
    p50Ms: percentile(latenciesMs, 0.5),
    p99Ms: percentile(latenciesMs, 0.99),
  };
  return figures;
}

async function open(host: string, port: number): Promise<Socket> {
  const socket = connect({ host, port, noDelay: true });
  await once(socket, 'connect');
  return socket;
}

/** Sends what `next` gives, one after the other, until it gives nothing. */
async function loop(
  socket: Socket,
  { next, pauseMs, accepts }: Required<Pick<Load, 'pauseMs' | 'accepts'>> & { readonly next: () => Buffer | undefined },
  latenciesMs: number[],
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let sentAt = 0;
  let received: Buffer | null = null;
  const send = (): void => {
    const request = next();
    if (request === undefined) {
      resolve();
      return;
    }
    sentAt = performance.now();
    socket.write(request);
  };
  socket.on('data', (chunk: Buffer) => {
    try {
      received = received === null ? chunk : Buffer.concat([received, chunk]);
      const answer = readAnswer(received);
      if (answer === null) return;
      latenciesMs.push(performance.now() - sentAt);
      if (!accepts(answer.status)) throw new Error(`answered: ${received.toString().slice(0, 800)}`);
      if (answer.end !== received.length) throw new Error('more than an answer');
      received = null;
      if (pauseMs > 0) void delay(pauseMs).then(send);
      else send();
    } catch (error) {
      reject(error instanceof Error ? error : new Error(String(error)));
    }
  });
  socket.on('error', reject);
  socket.on('close', () => reject(new Error('the connection was closed')));
  send();
  await promise;
}
