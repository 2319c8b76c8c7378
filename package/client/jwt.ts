import { decodeJwt } from 'jose';

/** Why a JWT is asked for: there is none that is still valid, or the service did not accept the last one. */
export type JwtNeed = 'needed' | 'refused';

/** A JWT, or what gives one. It is called again when the JWT is about to expire, and once when the service refuses it. */
export type JwtSource = string | ((need: JwtNeed) => string | Promise<string>);

/** A JWT is replaced this long before it expires, so that it is still valid when it arrives. */
const MARGIN_MS = 30_000;

const JWT = /^[\w-]+\.[\w-]+\.[\w-]+$/;

/** Whether a text is a JWT and nothing else, as far as its form tells. */
export const isJwt = (text: string): boolean => JWT.test(text);

/** The JWT of a client. */
export interface JwtHolder {
  /** @throws what the source throws, or a TypeError if it gives something else than a JWT. */
  get(): Promise<string>;
  /** Takes note that the service did not accept this JWT. @returns whether another can be had. */
  refuse(jwt: string): boolean;
}

/** Holds a JWT until shortly before it expires. One without a readable `exp` is asked for before each request. */
export function holdJwt(source: JwtSource, now: () => number): JwtHolder {
  let held: { readonly jwt: string; readonly untilMs: number } | null = null;
  let asked: Promise<string> | null = null;
  let need: JwtNeed = 'needed';

  const ask = async (): Promise<string> => {
    const jwt: unknown = typeof source === 'string' ? source : await source(need);
    if (typeof jwt !== 'string' || !isJwt(jwt.trim())) throw new TypeError('jwt gave something else than a JWT.');
    held = { jwt: jwt.trim(), untilMs: expiryMs(jwt.trim()) - MARGIN_MS };
    need = 'needed';
    return held.jwt;
  };

  return {
    get: async () => {
      if (held !== null && held.untilMs > now()) return held.jwt;
      // Requests that begin at once ask once.
      asked ??= ask().finally(() => (asked = null));
      return await asked;
    },
    refuse: (jwt) => {
      if (typeof source === 'string') return false;
      // Another request may have replaced it meanwhile.
      if (held === null || held.jwt === jwt) {
        held = null;
        need = 'refused';
      }
      return true;
    },
  };
}

/** Milliseconds since the epoch. Nothing is trusted by it: the service verifies the JWT. */
function expiryMs(jwt: string): number {
  try {
    return (decodeJwt(jwt).exp ?? 0) * 1_000;
  } catch {
    return 0;
  }
}
