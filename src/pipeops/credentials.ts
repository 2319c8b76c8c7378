import { credentialExpiryMs } from '../config/secrets.ts';
import { sha256HexSync } from '../kit/digest.ts';
import type { Call } from './types.ts';

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
  /** Finds out which credentials there are, before the first call; null: that is known. It never throws. */
  prepare(call: Pick<Call, 'trace' | 'signal'>): Promise<void> | null;
  /** PipeOps refuses this one. A renewal may begin because of it, in the background. */
  refused(credential: AdminCredential): void;
  /** Waits for a renewal that is under way, as long as the call has time; null: there is none. It never throws. */
  renewed(call: Pick<Call, 'signal'>): Promise<void> | null;
}

/** The setting that a credential comes from which has renewed itself. */
export const RENEWED = 'PIPEOPS_REFRESH_TOKEN';

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
 * The credentials that are configured: the one of now and, during a rotation by hand, the next one.
 *
 * Throws on one that a header cannot carry, and where there is none.
 */
export function readCredentials(secrets: readonly string[]): readonly [AdminCredential, ...AdminCredential[]] {
  if (!secrets.every((secret) => CREDENTIAL.test(secret))) throw NO_CREDENTIAL;
  const [first, ...others] = secrets.map((secret, index) =>
    adminCredential(NAMES[index] ?? `credential ${index}`, secret),
  );
  if (first === undefined) throw NO_CREDENTIAL;
  return [first, ...others];
}
const NO_CREDENTIAL = new TypeError('No PipeOps credential that a header can carry.');

/**
 * Credentials in an order: the one that worked last goes first, so that a rotation does not cost every request a refusal. Others may
 * take their place.
 */
export function orderCredentials(first: readonly AdminCredential[]) {
  let all = first;
  let order = first;
  return {
    inOrder: () => order,
    accepted: ({ id }: AdminCredential): void => {
      const accepted = all.filter((credential) => credential.id === id);
      if (accepted.length > 0) order = [...accepted, ...all.filter((credential) => credential.id !== id)];
    },
    replace: (credentials: readonly AdminCredential[]): void => {
      all = credentials;
      order = credentials;
    },
  };
}

/** The configured credentials, where none renews itself. Throws as `readCredentials` does. */
export function createCredentials(secrets: readonly string[]): Credentials {
  const { inOrder, accepted } = orderCredentials(readCredentials(secrets));
  return { inOrder, accepted, prepare: () => null, refused: () => {}, renewed: () => null };
}
