import { createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { errorCode, UserError } from './errors.ts';

export const LOOPBACK = '127.0.0.1';

/** The children of a run that was killed need a moment to end. A port that is still taken after this belongs to someone else. */
const LEFTOVER_PATIENCE_MS = 2_000;
const PROBE_INTERVAL_MS = 100;

/**
 * Makes sure that a port of the loopback address can be listened on.
 *
 * @param variable the environment variable that chooses the port, for the message.
 * @throws UserError in one line that says what to do.
 */
export async function assertPortIsFree(port: number, variable: string): Promise<void> {
  const deadline = Date.now() + LEFTOVER_PATIENCE_MS;
  for (;;) {
    const problem = await probe(port);
    if (problem === null) return;
    if (problem !== 'EADDRINUSE') {
      throw new UserError(
        `Port ${port} cannot be used (${problem}). Choose another, e.g. ${variable}=${otherPort(port)}.`,
      );
    }
    if (Date.now() >= deadline) {
      throw new UserError(`Port ${port} is already taken. Choose another, e.g. ${variable}=${otherPort(port)}.`);
    }
    await delay(PROBE_INTERVAL_MS);
  }
}

/** Null if the port can be listened on, otherwise the system's error code. */
function probe(port: number): Promise<string | null> {
  const { promise, resolve } = Promise.withResolvers<string | null>();
  const server = createServer();
  server.once('error', (error) => resolve(errorCode(error) ?? error.message));
  server.listen({ port, host: LOOPBACK, exclusive: true }, () => server.close(() => resolve(null)));
  return promise;
}

/** A port to choose in place of one that cannot be had. */
export const otherPort = (port: number): number => (port < 1_024 ? 8_787 : port > 65_000 ? port - 100 : port + 100);
