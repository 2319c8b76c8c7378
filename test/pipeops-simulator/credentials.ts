import { decodeJwt } from 'jose';
import { failure, type Answer } from './wire.ts';

/** The credential of an Authorization header; null: there is none. */
export const bearerOf = (authorization: string | undefined): string | null =>
  /^Bearer +(?<credential>\S+)$/i.exec(authorization ?? '')?.groups?.['credential'] ?? null;

/**
 * PipeOps' refusal of a credential; null: it is a user's session. The signature is not checked: this is a simulator, and
 * anybody may pretend to be anybody.
 */
export function refuseCredential(
  bearer: string | null,
  endedSessions: ReadonlySet<string>,
  nowMs: number,
): Answer | null {
  if (bearer === null) return failure(401, 'Authorization header is required');
  if (bearer.startsWith('sat_')) {
    return failure(403, 'Service tokens cannot list, create, update, rotate, or revoke other service tokens');
  }
  const expiresAtSeconds = expiryOf(bearer);
  if (expiresAtSeconds === null) return failure(401, 'Invalid token');
  if (expiresAtSeconds * 1000 <= nowMs) return failure(401, 'Token has expired');
  if (endedSessions.has(bearer)) return failure(419, 'Your session has ended. Please log in again.');
  return null;
}

/** Infinity for a session without an end; null for what is not a JWT. */
function expiryOf(bearer: string): number | null {
  try {
    return decodeJwt(bearer).exp ?? Number.POSITIVE_INFINITY;
  } catch {
    return null;
  }
}
