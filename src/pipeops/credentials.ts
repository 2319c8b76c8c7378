import { credentialExpiryMs } from '../config/secrets.ts';
import { sha256HexSync } from '../kit/digest.ts';

/** An admin credential that PipeOps may be asked with. */
export interface AdminCredential {
  /** The setting that it comes from. */
  readonly name: string;
  readonly secret: string;
  /** What D1 and `/status` know it by: the beginning of a digest, which opens nothing. Another secret has another id. */
  readonly id: string;
  /** When it ends by its own word, in milliseconds since the epoch; null if it does not say. PipeOps may end its session earlier. */
  readonly endsAtMs: number | null;
}

/** Which credentials there are, and which of them is in use. The client asks before every request, so they may change meanwhile. */
export interface Credentials {
  /** In the order in which they are tried: the one in use first. There is always one. */
  inOrder(): readonly AdminCredential[];
  /** PipeOps has done what it was asked under this one, which is in use from now on. */
  accepted(credential: AdminCredential): void;
}

/** What a header can carry unchanged. */
const CREDENTIAL = /^[\x21-\x7e]+$/;
const ID_CHARS = 16;
const NAMES = ['PIPEOPS_ADMIN_TOKEN', 'PIPEOPS_ADMIN_TOKEN_NEXT'] as const;

export const adminCredential = (name: string, secret: string): AdminCredential => ({
  name,
  secret,
  id: sha256HexSync(`pipeops admin credential ${secret}`).slice(0, ID_CHARS),
  endsAtMs: credentialExpiryMs(secret),
});

/**
 * The credentials that are configured: the one of now and, during a rotation, the next one. The one that worked last goes first, so
 * that a rotation does not cost every request a refusal.
 *
 * Throws on one that a header cannot carry, and where there is none.
 */
export function createCredentials(secrets: readonly string[]): Credentials {
  if (secrets.length === 0 || !secrets.every((secret) => CREDENTIAL.test(secret))) {
    throw new TypeError('No PipeOps credential that a header can carry.');
  }
  const configured = secrets.map((secret, index) => adminCredential(NAMES[index] ?? `credential ${index}`, secret));
  let order: readonly AdminCredential[] = configured;
  return {
    inOrder: () => order,
    accepted: (credential) => {
      order = [credential, ...configured.filter(({ id }) => id !== credential.id)];
    },
  };
}
