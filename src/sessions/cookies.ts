import { SIGN_IN_MAX_MS } from '../config/session-limits.ts';
import type { SealedKind } from './sealing.ts';

/**
 * The names of the cookies. A browser takes a `__Host-` cookie from the host itself alone, over a secure channel and for all of its
 * paths (RFC 6265bis §4.1.3.2), so no other host of the domain can plant one.
 */
const NAMES = {
  session: '__Host-countersign_session',
  sign_in: '__Host-countersign_sign_in',
} as const satisfies Record<SealedKind, string>;

/**
 * The value of the cookie of a request; null if there is none. Of several of one name nobody must guess which one counts: they give '',
 * which nothing opens.
 */
export function cookieOf(headers: Headers, kind: SealedKind): string | null {
  const prefix = `${NAMES[kind]}=`;
  const pairs = (headers.get('Cookie') ?? '').split(';').map((pair) => pair.trim());
  const [value, ...more] = pairs.filter((pair) => pair.startsWith(prefix)).map((pair) => pair.slice(prefix.length));
  if (value === undefined || value === '') return null;
  return more.length > 0 ? '' : value;
}

/**
 * The `Set-Cookie` of a cookie. No script reads it, and it comes along from another site only where the user follows a link, as the
 * provider's way back is one.
 */
const setCookie = (kind: SealedKind, value: string, maxAgeSeconds: number): string =>
  `${NAMES[kind]}=${value}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=${maxAgeSeconds}`;

export const sessionCookie = (sealed: string, lifetimeMs: number): string =>
  setCookie('session', sealed, Math.floor(lifetimeMs / 1000));

export const signInCookie = (sealed: string): string => setCookie('sign_in', sealed, SIGN_IN_MAX_MS / 1000);

export const noCookie = (kind: SealedKind): string => setCookie(kind, '', 0);
