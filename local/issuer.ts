import path from 'node:path';
import { exportJWK, generateKeyPair, importJWK, SignJWT, type JWK } from 'jose';
import * as z from 'zod';
import { UserError } from './errors.ts';
import { openSecretFile } from './secrets.ts';

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
export type PrivateJwk = z.infer<typeof PrivateJwk>;

/** An issuer of a local run, with the key pair that signs its JWTs. The Worker gets only the public half. */
export interface LocalIssuer {
  /** The `iss` of its JWTs. */
  readonly issuer: string;
  readonly privateJwk: PrivateJwk;
  readonly publicJwk: JWK;
}

/** The caller that a JWT names. */
export interface Caller {
  readonly subject: string;
  readonly role: string;
  /** The label that the local policy shows beside the subject. A webhook may offboard by it. */
  readonly email?: string;
  readonly ttlSeconds: number;
}

/**
 * Opens an issuer of a state directory: by default the one that signs for pipelines and at the terminal. The first call creates its key,
 * readable by its owner only.
 *
 * @throws UserError if the key file is not a key.
 */
export async function openIssuer(
  stateDir: string,
  { issuer, file: name }: { readonly issuer: string; readonly file: string } = {
    issuer: LOCAL_ISSUER,
    file: 'issuer.jwk.json',
  },
): Promise<LocalIssuer> {
  const file = path.join(stateDir, name);
  const privateJwk = readKey(await openSecretFile(file, newKey), file);
  const { d: _d, ...publicHalf } = privateJwk;
  return { issuer, privateJwk, publicJwk: { ...publicHalf, alg: ALGORITHM, use: 'sig' } };
}

/**
 * Signs a JWT of an issuer of the local run.
 *
 * @param nowSeconds seconds since the epoch.
 */
export async function signJwt(issuer: LocalIssuer, caller: Caller, nowSeconds: number): Promise<string> {
  return await new SignJWT({ role: caller.role, ...(caller.email !== undefined && { email: caller.email }) })
    .setProtectedHeader({ alg: ALGORITHM, kid: issuer.privateJwk.kid, typ: 'JWT' })
    .setIssuer(issuer.issuer)
    .setAudience(LOCAL_AUDIENCE)
    .setSubject(caller.subject)
    .setIssuedAt(nowSeconds)
    .setExpirationTime(nowSeconds + caller.ttlSeconds)
    .sign(await importJWK(issuer.privateJwk, ALGORITHM));
}

function readKey(text: string, file: string): PrivateJwk {
  try {
    return PrivateJwk.parse(JSON.parse(text));
  } catch {
    throw new UserError(`${file} is not the key of a local issuer. Delete it: the next start makes a new one.`);
  }
}

async function newKey(): Promise<string> {
  const { privateKey } = await generateKeyPair(ALGORITHM, { extractable: true });
  const jwk = PrivateJwk.parse({ ...(await exportJWK(privateKey)), kid: crypto.randomUUID() });
  return `${JSON.stringify(jwk, null, 2)}\n`;
}
