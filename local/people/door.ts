import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { errorCode, UserError } from '../errors.ts';
import { LOOPBACK, otherPort } from '../ports.ts';

/** A provider that is running. */
export interface RunningProvider {
  /** Its port of the loopback address. */
  readonly port: number;
  readonly ended: Promise<void>;
  readonly stop: () => Promise<void>;
}

export interface DoorOptions {
  readonly port: number;
  /** @throws with the reason, in one line. */
  readonly start: () => Promise<RunningProvider>;
  /** Is told in one line that nobody can sign in, and what to do. */
  readonly tell: (line: string) => void;
}

export interface Door {
  readonly close: () => Promise<void>;
}

/** `localhost` is either of them, as a browser or workerd likes. A machine may lack the second. */
const ADDRESSES = [LOOPBACK, '::1'];
const ABSENT: readonly (string | null)[] = ['EADDRNOTAVAIL', 'EAFNOSUPPORT'];

/**
 * Listens in place of the OpenID provider, and starts it at the first connection: most runs never need it, and it takes 80 MB. A provider
 * that has ended is started anew by the next connection.
 *
 * @throws UserError in one line if the port cannot be had. The service can do without.
 */
export async function openDoor({ port, start, tell }: DoorOptions): Promise<Door> {
  const sockets = new Set<Socket>();
  let running: Promise<RunningProvider> | null = null;
  let isClosing = false;

  const provider = async (): Promise<RunningProvider> => {
    running ??= start();
    const starting = running;
    const forget = (): void => {
      if (running === starting) running = null;
    };
    try {
      const started = await starting;
      void started.ended.then(forget);
      return started;
    } catch (error) {
      forget();
      throw error;
    }
  };

  const admit = async (socket: Socket): Promise<void> => {
    sockets.add(socket);
    socket.on('error', () => {}).on('close', () => sockets.delete(socket));
    try {
      const { port: behind } = await provider();
      if (isClosing) socket.destroy();
      else join(socket, connect({ port: behind, host: LOOPBACK, allowHalfOpen: true }));
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      if (!isClosing) {
        tell(
          `Nobody can sign in at the console, because its OpenID provider did not start: ${reason} JWTs work all the same. The next sign-in tries again.`,
        );
      }
      socket.end(NOBODY_HOME);
    }
  };

  const servers = await listenAt(port, (socket) => void admit(socket));
  return {
    close: async () => {
      isClosing = true;
      for (const server of servers) server.close();
      for (const socket of sockets) socket.destroy();
      await (await running?.catch(() => null))?.stop();
    },
  };
}

/** @throws UserError if the port is taken at one of the addresses: whoever has it would be taken for the provider. */
async function listenAt(port: number, admit: (socket: Socket) => void): Promise<readonly Server[]> {
  const servers: Server[] = [];
  for (const host of ADDRESSES) {
    const server = createServer({ allowHalfOpen: true }, admit);
    try {
      await once(server.listen({ port, host, exclusive: true }), 'listening');
      servers.push(server);
    } catch (error) {
      const code = errorCode(error);
      if (host !== LOOPBACK && ABSENT.includes(code)) continue;
      for (const other of servers) other.close();
      const problem = code === 'EADDRINUSE' ? 'is already taken' : `cannot be used (${code ?? String(error)})`;
      throw new UserError(
        `Nobody can sign in at the console, because port ${port} ${problem}. Choose another, e.g. OIDC_PORT=${otherPort(port)}. JWTs work all the same.`,
        { cause: error },
      );
    }
  }
  return servers;
}

/** Carries bytes both ways until either side has gone. */
function join(outer: Socket, inner: Socket): void {
  inner.on('error', () => outer.destroy());
  inner.on('close', () => outer.destroy());
  outer.on('close', () => inner.destroy());
  outer.pipe(inner).pipe(outer);
}

/** For a browser. The Worker takes it for an issuer that is unavailable. */
const NOBODY_HOME = [
  'HTTP/1.1 503 Service Unavailable',
  'Content-Type: text/plain; charset=utf-8',
  'Connection: close',
  '',
  'The OpenID provider of this local run did not start. The terminal of npm start says why.\n',
].join('\r\n');
