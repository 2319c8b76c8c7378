import { existsSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { errorCode, UserError } from '../../local/errors.ts';
import { openIssuer, signJwt } from '../../local/issuer.ts';

/** Gives the JWT for the next request. The one in a file may be replaced while events are followed. */
export type JwtSource = () => Promise<string>;

const HOW = 'Set COUNTERSIGN_JWT, or name a file with --jwt-file';
const TTL_SECONDS = 5 * 60;
const JWT = /^[\w-]+\.[\w-]+\.[\w-]+$/;

/**
 * Chooses where the JWT comes from: the file, or COUNTERSIGN_JWT, or, for a service on this machine, the issuer that
 * `npm start` made. It is never an argument, because other users of the machine could read that.
 *
 * @throws UserError if there is no JWT.
 */
export function jwtSource(
  environment: Readonly<Record<string, string | undefined>>,
  { jwtFile, isLoopback, stateDir }: { jwtFile: string | null; isLoopback: boolean; stateDir: string },
): JwtSource {
  if (jwtFile !== null) {
    // What a pipe such as bash's `<(…)` held is gone after the first request.
    let kept: string | null = null;
    return async () => {
      const jwt = kept ?? checked(readJwtFile(jwtFile), jwtFile);
      if (!statSync(jwtFile).isFile()) kept = jwt;
      return await Promise.resolve(jwt);
    };
  }
  const given = environment['COUNTERSIGN_JWT']?.trim();
  if (given) return async () => await Promise.resolve(checked(given, 'COUNTERSIGN_JWT'));
  if (!isLoopback || !existsSync(path.join(stateDir, 'issuer.jwk.json'))) {
    throw new UserError(`No JWT: ${HOW}. It must come from an issuer of that service, for a role with audit:read.`);
  }
  return async () => {
    const caller = { subject: 'local-auditor', role: 'auditor', ttlSeconds: TTL_SECONDS };
    return await signJwt(await openIssuer(stateDir), caller, Math.floor(Date.now() / 1_000));
  };
}

function readJwtFile(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (error) {
    throw new UserError(
      `${file} cannot be read (${errorCode(error) ?? 'unknown'}): --jwt-file names a file with a JWT.`,
      {
        cause: error,
      },
    );
  }
}

/** Checks the form of a JWT. The message never shows the JWT itself. */
function checked(jwt: string, source: string): string {
  if (JWT.test(jwt)) return jwt;
  throw new UserError(`${source} does not hold a JWT and nothing else: three parts with dots between them.`);
}
