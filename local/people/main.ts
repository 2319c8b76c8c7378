import { once } from 'node:events';
import { createServer } from 'node:http';
import * as z from 'zod';
import { LOOPBACK } from '../ports.ts';

// The process of the local OpenID provider. `process.ts` starts it, and it ends when its standard input does, so that it outlives
// `npm start` in no way that that may end.

const Variables = z.object({
  STATE_DIR: z.string().min(1),
  OIDC_ISSUER: z.url(),
  CONSOLE_ORIGINS: z.string().transform((text) => z.tuple([z.url()], z.url()).parse(text.split(' '))),
  SIGN_IN_CODE: z.string(),
});

/** @returns the port that it listens on. */
async function listen(): Promise<number> {
  const { STATE_DIR, OIDC_ISSUER, CONSOLE_ORIGINS, SIGN_IN_CODE } = Variables.parse(process.env);
  const { openPeople } = await import('./keys.ts');
  const { createProvider } = await import('./provider.ts');
  const { privateJwk, cookieKey } = await openPeople(STATE_DIR, OIDC_ISSUER);
  const server = createServer(
    createProvider({
      issuer: OIDC_ISSUER,
      consoleOrigins: CONSOLE_ORIGINS,
      privateJwk,
      cookieKey,
      code: SIGN_IN_CODE === '' ? null : SIGN_IN_CODE,
    }),
  );
  await once(server.listen(0, LOOPBACK), 'listening');
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new Error('it listens on no port.');
  return address.port;
}

const stop = (): never => process.exit(0);
process.stdin.once('end', stop).once('error', stop).resume();
try {
  console.log(JSON.stringify({ port: await listen() }));
} catch (error) {
  console.error(error instanceof Error ? (error.message.split('\n', 1)[0] ?? '') : String(error));
  process.exit(1);
}
