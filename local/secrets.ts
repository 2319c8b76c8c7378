import { randomBytes } from 'node:crypto';
import { closeSync, fsyncSync, linkSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { SignJWT } from 'jose';
import { credentialExpiryMs } from '../src/config/secrets.ts';
import { createSigner, parsePrivateKey, privateKeyText, verifierText } from '../src/tlog/note.ts';
import { errorCode, reasonOf, UserError } from './errors.ts';
import { openStateDir, readStateFile } from './state-dir.ts';

/** The files of a state directory that hold the secret of a binding. */
export const STATE_FILES = {
  IDEMPOTENCY_SECRET: 'idempotency-secret',
  SESSION_SECRET: 'session-secret',
  PIPEOPS_ADMIN_TOKEN: 'simulator-admin.jwt',
  FINGERPRINT_KEYS: 'fingerprint-keys',
  STATE_SECRET: 'state-secret',
  TRAIL_KEY: 'trail-key',
} as const;

/** The file that a binding's value comes from in a local run, or null if it comes from none. */
export const stateFileOf = (stateDir: string, binding: string): string | null =>
  isStateFile(binding) ? path.join(stateDir, STATE_FILES[binding]) : null;

const isStateFile = (binding: string): binding is keyof typeof STATE_FILES => Object.hasOwn(STATE_FILES, binding);

const ADMIN_LIFETIME_SECONDS = 365 * 24 * 60 * 60;
/** The service warns of a credential that ends within days, and a local run has nobody who would replace it. */
const ADMIN_RENEWAL_SECONDS = 30 * 24 * 60 * 60;

/**
 * Opens the IDEMPOTENCY_SECRET of a state directory. The first call creates it. It survives a restart, so that a client
 * may repeat a create across one.
 */
export const openIdempotencySecret = async (stateDir: string): Promise<string> =>
  await openRandomSecret(stateDir, 'IDEMPOTENCY_SECRET');

/** Opens the SESSION_SECRET of a state directory. The first call creates it. Whoever has signed in stays so across a restart. */
export const openSessionSecret = async (stateDir: string): Promise<string> =>
  await openRandomSecret(stateDir, 'SESSION_SECRET');

/** Opens the STATE_SECRET of a state directory. The first call creates it. What the Worker wrote before a restart is its own after it. */
export const openStateSecret = async (stateDir: string): Promise<string> =>
  await openRandomSecret(stateDir, 'STATE_SECRET');

/** How the log of a local run is called. */
const LOCAL_LOG = 'countersign.localhost/trail';

/** Where the verifier key of a state directory's log is: no secret, and all that an auditor needs. */
export const trailVerifierFileIn = (stateDir: string): string => path.join(stateDir, 'trail.verifier');

/**
 * Opens the TRAIL_KEY of a state directory. The first call creates it, and its verifier key beside it.
 *
 * @throws UserError if a file does not hold it.
 */
export async function openTrailKey(stateDir: string): Promise<string> {
  const file = path.join(stateDir, STATE_FILES.TRAIL_KEY);
  const text = await openSecretFile(
    file,
    async () => `${await privateKeyText('log', LOCAL_LOG, new Uint8Array(randomBytes(32)))}\n`,
  );
  const key = parsePrivateKey(text.trim());
  if (key === null)
    throw new UserError(
      `${file} is damaged: it does not hold the key of the log. Move it away: the next start makes a new one.`,
    );
  const { verifier } = await createSigner(key);
  const [verifierFile, shown] = [trailVerifierFileIn(stateDir), `${verifierText(verifier)}\n`];
  // That of a key that was moved away would have auditors doubt the log.
  if (readSecretFile(verifierFile) !== shown) rmSync(verifierFile, { force: true });
  await openSecretFile(verifierFile, () => shown);
  return text.trim();
}

async function openRandomSecret(stateDir: string, binding: keyof typeof STATE_FILES): Promise<string> {
  const make = (): string => `${randomBytes(32).toString('base64')}\n`;
  return (await openSecretFile(path.join(stateDir, STATE_FILES[binding]), make)).trim();
}

/**
 * Opens the credential that a local run presents to the simulator. It has the form that PipeOps wants, the JWT of a user's
 * session, and opens nothing else. The first call creates it, and one in the last month of its year replaces it.
 *
 * @param nowSeconds seconds since the epoch.
 * @throws UserError if the file does not hold it.
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
  const file = path.join(stateDir, STATE_FILES.PIPEOPS_ADMIN_TOKEN);
  const credential = (await openSecretFile(file, make)).trim();
  const expiresAtMs = credentialExpiryMs(credential);
  if (expiresAtMs === null) {
    throw new UserError(
      `${file} is damaged: it does not hold the simulator's credential. Delete it: the next start makes a new one.`,
    );
  }
  if (expiresAtMs > (nowSeconds + ADMIN_RENEWAL_SECONDS) * 1_000) return credential;
  // Nothing depends on the old one.
  rmSync(file, { force: true });
  return (await openSecretFile(file, make)).trim();
}

/**
 * Reads a file with secrets in it. The first call creates the file, readable by its owner only. Two processes that create it
 * at once both end up with one text. An empty file, which a full disk may have left, counts as none.
 *
 * @throws UserError if the file can be neither read nor made.
 */
export async function openSecretFile(file: string, make: () => string | Promise<string>): Promise<string> {
  return readSecretFile(file) ?? create(file, await make());
}

/**
 * The text of the file, or null if nobody has created it or it is empty.
 *
 * @throws UserError if it is there and cannot be read.
 */
export function readSecretFile(file: string): string | null {
  const text = readStateFile(file);
  return text === null || text.trim() === '' ? null : text;
}

function create(file: string, text: string): string {
  const draft = `${file}.${process.pid}`;
  try {
    openStateDir(path.dirname(file));
    writeDurably(draft, text);
    return publish(draft, file) ? text : (readSecretFile(file) ?? replace(draft, file, text));
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(`${file} cannot be written: ${reasonOf(error)}. Make that possible, and start again.`, {
      cause: error,
    });
  } finally {
    rmSync(draft, { force: true });
  }
}

/** Writes the whole text to the disk, so that a file that has got its name is never a part of it. */
function writeDurably(file: string, text: string): void {
  const descriptor = openSync(file, 'w', 0o600);
  try {
    writeFileSync(descriptor, text);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/** Gives a file its name unless the name is taken. Unlike a rename, a link never replaces what another process has just made. */
function publish(draft: string, file: string): boolean {
  try {
    linkSync(draft, file);
    return true;
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return false;
    // File systems of virtual machines and phones have no links. The lock of the state directory keeps other processes away.
    renameSync(draft, file);
    return true;
  }
}

function replace(draft: string, file: string, text: string): string {
  renameSync(draft, file);
  return text;
}
