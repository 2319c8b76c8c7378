import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { exportJWK, generateKeyPair, importJWK, SignJWT, type JWK } from 'jose';
import * as z from 'zod';
import { errorCode } from './error-code.ts';
import { StartupError } from './startup-error.ts';

/** `.test` is reserved (RFC 6761), so this issuer can never be anyone's. */
export const LOCAL_ISSUER = 'https://local.countersign.test';
export const LOCAL_AUDIENCE = 'countersign';
const ALGORITHM = 'ES256';

const coordinate = z.string().min(1);
const PrivateJwk = z.object({
  kty: z.literal('EC'),
  crv: z.literal('P-256'),
  x: coordinate,
  y: coordinate,
  d: coordinate,
  kid: z.string().min(1),
});
type PrivateJwk = z.infer<typeof PrivateJwk>;

/** The key pair that signs the JWTs of a local run. The Worker is given the public half alone. */
export interface LocalIssuer {
  readonly privateJwk: PrivateJwk;
  readonly publicJwk: JWK;
}

/**
 * Opens the issuer of a state directory. The first call creates it, readable by its owner only; when two processes
 * do so at once, both end up with the same key.
 *
 * @throws StartupError if the key file is not a key.
 */
export async function openIssuer(stateDir: string): Promise<LocalIssuer> {
  const file = path.join(stateDir, 'issuer.jwk.json');
  const privateJwk = readKey(file) ?? (await createKey(stateDir, file));
  const { d: _d, ...publicHalf } = privateJwk;
  return { privateJwk, publicJwk: { ...publicHalf, alg: ALGORITHM, use: 'sig' } };
}

/**
 * Signs a JWT of the local issuer.
 *
 * @param nowSeconds seconds since the epoch.
 */
export async function signJwt(
  issuer: LocalIssuer,
  caller: { readonly subject: string; readonly role: string; readonly ttlSeconds: number },
  nowSeconds: number,
): Promise<string> {
  return await new SignJWT({ role: caller.role })
    .setProtectedHeader({ alg: ALGORITHM, kid: issuer.privateJwk.kid, typ: 'JWT' })
    .setIssuer(LOCAL_ISSUER)
    .setAudience(LOCAL_AUDIENCE)
    .setSubject(caller.subject)
    .setIssuedAt(nowSeconds)
    .setExpirationTime(nowSeconds + caller.ttlSeconds)
    .sign(await importJWK(issuer.privateJwk, ALGORITHM));
}

function readKey(file: string): PrivateJwk | null {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return null;
    throw error;
  }
  try {
    return PrivateJwk.parse(JSON.parse(text));
  } catch {
    throw new StartupError(`${file} is not the key of a local issuer. Delete it: the next start makes a new one.`);
  }
}

async function createKey(stateDir: string, file: string): Promise<PrivateJwk> {
  const { privateKey } = await generateKeyPair(ALGORITHM, { extractable: true });
  const jwk = PrivateJwk.parse({ ...(await exportJWK(privateKey)), kid: crypto.randomUUID() });
  mkdirSync(stateDir, { recursive: true, mode: 0o700 });
  const draft = `${file}.${process.pid}`;
  writeFileSync(draft, `${JSON.stringify(jwk, null, 2)}\n`, { mode: 0o600 });
  try {
    // Unlike a rename, a link never replaces the key that another process has just made.
    linkSync(draft, file);
    return jwk;
  } catch (error) {
    const winner = errorCode(error) === 'EEXIST' ? readKey(file) : null;
    if (winner === null) throw error;
    return winner;
  } finally {
    rmSync(draft);
  }
}
