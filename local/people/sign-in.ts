import { randomBytes } from 'node:crypto';
import { UserError } from '../errors.ts';
import { logLine } from '../log-file.ts';
import type { People } from '../policy.ts';
import { LOOPBACK } from '../ports.ts';
import type { Settings } from '../settings.ts';
import { openDoor } from './door.ts';
import { openPeople, peopleIssuer } from './keys.ts';
import { startProvider } from './process.ts';

/** How people sign in at a local run. */
export type SignIn =
  | {
      readonly people: People;
      /** What they must type at the sign-in page, or null for nothing. */
      readonly code: string | null;
    }
  /** Nobody can, for the reason in this line. */
  | { readonly people: null; readonly problem: string };

export interface SignInOptions {
  readonly settings: Pick<Settings, 'port' | 'oidcPort' | 'stateDir' | 'upstream'>;
  /** Takes lines of the log. */
  readonly log: (line: string) => void;
  readonly onStop: (step: () => Promise<void>) => void;
}

/**
 * Makes it possible to sign in at the console: the provider starts when the first request comes for it.
 *
 * Beside the simulator nobody needs a password. At a real PipeOps an administrator of this run makes real tokens, and loopback is open to
 * every user of the machine. So there the sign-in page asks for a code which only the terminal shows.
 *
 * @throws UserError if the keys of the state directory are damaged. A port that is taken is no error.
 */
export async function openSignIn({ settings, log, onStop }: SignInOptions): Promise<SignIn> {
  const { port, oidcPort, stateDir, upstream } = settings;
  const issuer = peopleIssuer(oidcPort);
  const { publicJwk } = await openPeople(stateDir, issuer);
  const code = upstream.kind === 'simulator' ? null : randomBytes(9).toString('base64url');
  const consoleOrigins = [`http://${LOOPBACK}:${port}`, `http://localhost:${port}`];
  try {
    const door = await openDoor({
      port: oidcPort,
      start: async () =>
        await startProvider({
          stateDir,
          issuer,
          consoleOrigins,
          code,
          log: (line) => log(logLine('warn', `OpenID provider: ${line}`)),
        }),
      tell: (line) => console.error(line),
    });
    onStop(door.close);
    return { people: { issuer, publicJwk }, code };
  } catch (error) {
    if (error instanceof UserError) return { people: null, problem: error.message };
    throw error;
  }
}
