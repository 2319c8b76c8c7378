import { setTimeout as delay } from 'node:timers/promises';
import { openConnection, type Connection } from './http-connection.ts';
import { createChance, percentile } from './statistics.ts';

interface Load {
  /** `http://127.0.0.1:PORT` */
  readonly origin: string;
  /** Sent in turns. */
  readonly requests: readonly Buffer[];
  /** Sends no more after so many milliseconds. */
  readonly forMs?: number;
  /** Which answers are as they should be; default: those of 2xx. */
  readonly accepts?: (status: number) => boolean;
}

export interface ClosedLoad extends Load {
  readonly connections: number;
  /** Sends no more than so many requests. */
  readonly count?: number;
  /** How long a connection waits after an answer before it sends the next request. */
  readonly pauseMs?: number;
}

export interface OpenLoad extends Load {
  readonly forMs: number;
  /** On average: arrivals are a Poisson process. */
  readonly perSecond: number;
  /** Of the arrivals: the same seed gives the same moments. */
  readonly seed: number;
  /** Requests that arrive in the first so many milliseconds are sent, and not measured. */
  readonly leadMs?: number;
}

export interface LoadFigures {
  readonly answers: number;
  /** Requests of an open loop that got no answer that is accepted: their latency is infinite. */
  readonly failed: number;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/**
 * A closed loop: each connection is kept, and sends its next request when it has the whole answer to the last. Latency is from
 * sending to the end of the answer.
 *
 * @throws on the first answer that is not accepted, with its text, and when a connection breaks.
 */
export async function runClosedLoad(load: ClosedLoad): Promise<LoadFigures> {
  const { origin, requests, connections, forMs = Infinity, count = Infinity, pauseMs = 0, accepts = isSuccess } = load;
  const kept = await Promise.all(Array.from({ length: connections }, async () => await openConnection(origin)));
  const latenciesMs: number[] = [];
  let sent = 0;
  const startedAt = performance.now();
  const loop = async (connection: Connection): Promise<void> => {
    while (sent < count && performance.now() - startedAt < forMs) {
      const request = requests[sent++ % requests.length] ?? Buffer.alloc(0);
      const sentAt = performance.now();
      const { status, bytes } = await connection.exchange(request);
      if (!accepts(status)) throw new Error(`answered: ${bytes.toString('utf8', 0, 800)}`);
      latenciesMs.push(performance.now() - sentAt);
      if (pauseMs > 0) await delay(pauseMs);
    }
  };
  try {
    await Promise.all(kept.map(loop));
  } finally {
    for (const connection of kept) connection.close();
  }
  return figuresOf(latenciesMs, performance.now() - startedAt);
}

/**
 * An open loop: requests arrive at moments that are fixed beforehand, whatever became of those before. Latency is from that
 * moment to the end of the answer, so a request that waits for a connection, or for a generator that is late, waits in the
 * figures too ("coordinated omission" is what leaves this out). A request whose moment finds no idle connection opens one. An
 * answer that is not accepted, or that breaks off, is one that its caller never gets.
 */
export async function runOpenLoad(load: OpenLoad): Promise<LoadFigures> {
  const { origin, requests, forMs, leadMs = 0, accepts = isSuccess } = load;
  const opened: Connection[] = [];
  const idle: Connection[] = [];
  const latenciesMs: number[] = [];
  const underWay: Promise<void>[] = [];
  const connect = async (): Promise<Connection> => {
    const connection = await openConnection(origin);
    opened.push(connection);
    return connection;
  };
  const startedAt = performance.now();
  const send = async (request: Buffer, dueMs: number): Promise<void> => {
    let latencyMs = Infinity;
    try {
      // The one that was used last: a load keeps as few connections in use as it needs.
      const connection = idle.pop() ?? (await connect());
      const { status } = await connection.exchange(request);
      if (accepts(status)) latencyMs = performance.now() - startedAt - dueMs;
      idle.push(connection);
    } catch {
      // The connection broke, and is not used again.
    }
    if (dueMs >= leadMs) latenciesMs.push(latencyMs);
  };
  for (const [index, dueMs] of arrivals(load).entries()) {
    const earlyMs = dueMs - (performance.now() - startedAt);
    if (earlyMs > 0) await delay(Math.ceil(earlyMs));
    underWay.push(send(requests[index % requests.length] ?? Buffer.alloc(0), dueMs));
  }
  await Promise.all(underWay);
  for (const connection of opened) connection.close();
  return figuresOf(latenciesMs, forMs - leadMs);
}

/** When requests arrive, in milliseconds since the load began. */
function arrivals({ perSecond, forMs, seed }: OpenLoad): readonly number[] {
  const chance = createChance(seed);
  const moments: number[] = [];
  for (let atMs = 0; ;) {
    atMs -= (Math.log(1 - chance()) / perSecond) * 1000;
    if (atMs >= forMs) return moments;
    moments.push(atMs);
  }
}

const isSuccess = (status: number): boolean => status >= 200 && status <= 299;

const figuresOf = (latenciesMs: readonly number[], ms: number): LoadFigures => ({
  answers: latenciesMs.length,
  failed: latenciesMs.filter((latencyMs) => latencyMs === Infinity).length,
  perSecond: (latenciesMs.length / ms) * 1000,
  p50Ms: percentile(latenciesMs, 0.5),
  p99Ms: percentile(latenciesMs, 0.99),
});
