import { randomBytes } from 'node:crypto';
import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { SignJWT } from 'jose';
import { errorCode } from './errors.ts';

const ADMIN_LIFETIME_SECONDS = 365 * 24 * 60 * 60;

/**
 * Opens the IDEMPOTENCY_SECRET of a state directory. The first call creates it. It survives a restart, so that a client
 * may repeat a create across one.
 */
export async function openIdempotencySecret(stateDir: string): Promise<string> {
  const make = (): string => `${randomBytes(32).toString('base64')}\n`;
  return (await openSecretFile(path.join(stateDir, 'idempotency-secret'), make)).trim();
}

/**
 * Opens the credential that a local run presents to the simulator. It has the form that PipeOps wants, the JWT of a user's
 * session, and opens nothing else. The first call creates it.
 *
 * @param nowSeconds seconds since the epoch.
 */
export async function openAdminCredential(stateDir: string, nowSeconds: number): Promise<string> {
  const make = async (): Promise<string> => {
    const jwt = new SignJWT({})
      .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
      .setSubject('local-admin')
      .setIssuedAt(nowSeconds)
      .setExpirationTime(nowSeconds + ADMIN_LIFETIME_SECONDS);
    return `${await jwt.sign(randomBytes(32))}\n`;
  };
  return (await openSecretFile(path.join(stateDir, 'simulator-admin.jwt'), make)).trim();
}

/**
 * Reads a file with secrets in it. The first call creates the file, readable by its owner only. Two processes that create it
 * at once both end up with one text.
 */
export async function openSecretFile(file: string, make: () => string | Promise<string>): Promise<string> {
  return readSecretFile(file) ?? create(file, await make());
}

/** The text of the file, or null if nobody has created it. */
export function readSecretFile(file: string): string | null {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return null;
    throw error;
  }
}

function create(file: string, text: string): string {
  mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
  const draft = `${file}.${process.pid}`;
  writeFileSync(draft, text, { mode: 0o600 });
  try {
    // Unlike a rename, a link never replaces what another process has just made.
    linkSync(draft, file);
    return text;
  } catch (error) {
    const winner = errorCode(error) === 'EEXIST' ? readSecretFile(file) : null;
    if (winner === null) throw error;
    return winner;
  } finally {
    rmSync(draft);
  }
}
