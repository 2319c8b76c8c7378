import { SignJWT } from 'jose';
import { createControl, type Control } from '../test/pipeops-simulator/control.ts';
import { startChildServer } from './child-server.ts';

const SIMULATOR = new URL('../test/pipeops-simulator/main.ts', import.meta.url);

/** A simulated PipeOps. */
export interface Upstream extends AsyncDisposable {
  /** Without a slash at the end. */
  readonly url: string;
  /** The JWT of an administrator's session. */
  readonly credential: string;
  readonly control: Control;
}

/** Starts it without PipeOps' limits, in a process of its own, with its state in memory. */
export async function startUpstream(): Promise<Upstream> {
  const server = await startChildServer(SIMULATOR, { PORT: '0', STATE_FILE: '', LIMITS: 'off', EXIT_WITH_STDIN: '1' });
  const credential = await new SignJWT({})
    .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
    .setSubject('bench-admin')
    .setIssuedAt()
    .setExpirationTime('1d')
    .sign(crypto.getRandomValues(new Uint8Array(32)));
  return {
    url: server.url,
    credential,
    control: createControl(server.url),
    [Symbol.asyncDispose]: async () => await server[Symbol.asyncDispose](),
  };
}
