import { setTimeout as delay } from 'node:timers/promises';
import { openConnection, type Connection } from './http-connection.ts';
import { createChance, percentile } from './statistics.ts';

const FAILURE_MAX_CHARS = 800;
/** workerd closes a connection that has been idle for 5 s. */
const IDLE_MAX_MS = 2_000;

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
      if (!accepts(status)) throw new Error(`answered: ${bytes.toString('utf8', 0, FAILURE_MAX_CHARS)}`);
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
  const idle: { readonly connection: Connection; readonly sinceMs: number }[] = [];
  const latenciesMs: number[] = [];
  const underWay: Promise<void>[] = [];
  const failures: string[] = [];
  const connect = async (): Promise<Connection> => {
    const connection = await openConnection(origin);
    opened.push(connection);
    return connection;
  };
  /** The one that was used last: a load keeps as few connections in use as it needs. */
  const takeIdle = (): Connection | null => {
    const last = idle.pop();
    return last !== undefined && performance.now() - last.sinceMs < IDLE_MAX_MS ? last.connection : null;
  };
  const startedAt = performance.now();
  const send = async (request: Buffer, dueMs: number): Promise<void> => {
    let latencyMs = Infinity;
    try {
      const connection = takeIdle() ?? (await connect());
      const { status, bytes } = await connection.exchange(request);
      if (accepts(status)) latencyMs = performance.now() - startedAt - dueMs;
      else failures.push(bytes.toString('utf8', 0, FAILURE_MAX_CHARS));
      idle.push({ connection, sinceMs: performance.now() });
    } catch (error) {
      // The connection broke, and is not used again.
      failures.push(String(error));
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
  const [first] = failures;
  if (first !== undefined) console.error(`${failures.length} requests failed, the first of them so: ${first}`);
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
