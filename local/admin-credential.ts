import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { SignJWT } from 'jose';
import { errorCode } from './errors.ts';

const LIFETIME_SECONDS = 365 * 24 * 60 * 60;

/**
 * The credential that a local run presents to the simulator: shaped as PipeOps wants it, the JWT of a user's session.
 * It opens nothing else. Kept beside the database, readable by its owner only.
 *
 * @param nowSeconds seconds since the epoch.
 */
export async function openAdminCredential(stateDir: string, nowSeconds: number): Promise<string> {
  const file = path.join(stateDir, 'simulator-admin.jwt');
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error;
  }
  const credential = await new SignJWT({})
    .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
    .setSubject('local-admin')
    .setIssuedAt(nowSeconds)
    .setExpirationTime(nowSeconds + LIFETIME_SECONDS)
    .sign(crypto.getRandomValues(new Uint8Array(32)));
  writeFileSync(file, `${credential}\n`, { mode: 0o600 });
  return credential;
}
