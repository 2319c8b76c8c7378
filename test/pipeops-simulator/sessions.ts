import { randomBytes } from 'node:crypto';
import { UnsecuredJWT } from 'jose';
import type { OpenedSession, SessionState, SessionTokens } from './faults-wire.ts';
import type { Answer } from './wire.ts';

/** A session of a user, with which an OAuth client calls PipeOps. */
interface Session {
  readonly options: OpenedSession;
  readonly accessTokens: string[];
  /** The refresh tokens, oldest first. Where they rotate, the last one is good and the others are spent. */
  readonly refreshTokens: { readonly text: string; readonly expiresAtMs: number }[];
  exchanges: number;
  isEnded: boolean;
}

export type SessionList = ReturnType<typeof createSessions>;

/**
 * The sessions, and PipeOps' `POST /oauth/token` for them (RFC 6749 §6). A spent refresh token that comes again ends its whole
 * session, since somebody has stolen it (RFC 9700 §4.14.2).
 *
 * @param endedAccess the access tokens that are answered 419.
 */
export function createSessions(endedAccess: Set<string>) {
  const sessions: Session[] = [];

  const end = (session: Session): void => {
    session.isEnded = true;
    for (const token of session.accessTokens) endedAccess.add(token);
  };

  const mint = (session: Session, nowMs: number, isFirst: boolean): SessionTokens => {
    const { expires_in: life = 3_600, refresh_expires_in: refreshLife, rotates = true } = session.options;
    const accessToken = accessJwt(nowMs, life);
    if (session.options.ends_old_access === true) for (const token of session.accessTokens) endedAccess.add(token);
    session.accessTokens.push(accessToken);
    const text = isFirst || rotates ? `rt-${randomBytes(24).toString('base64url')}` : '';
    const expiresAtMs = refreshLife === undefined ? Number.POSITIVE_INFINITY : nowMs + refreshLife * 1000;
    if (text !== '') session.refreshTokens.push({ text, expiresAtMs });
    return { access_token: accessToken, refresh_token: text };
  };

  return {
    open: (options: OpenedSession, nowMs: number): SessionTokens => {
      const session: Session = { options, accessTokens: [], refreshTokens: [], exchanges: 0, isEnded: false };
      sessions.push(session);
      return mint(session, nowMs, true);
    },

    /** What is true of the sessions of a client, oldest first. */
    list: (clientId: string): readonly SessionState[] =>
      sessions
        .filter(({ options }) => options.client_id === clientId)
        .map(({ exchanges, isEnded, accessTokens, refreshTokens }) => ({
          exchanges,
          is_ended: isEnded,
          access_tokens: accessTokens,
          refresh_tokens: refreshTokens.map(({ text }) => text),
        })),

    /** The answer to `POST /oauth/token`, and whether it has exchanged anything. */
    exchange: (fields: Readonly<Record<string, unknown>>, nowMs: number): { answer: Answer; committed: boolean } => {
      const refused = (status: number, error: string) => ({ answer: { status, body: { error } }, committed: false });
      if (fields['grant_type'] !== 'refresh_token') return refused(400, 'unsupported_grant_type');
      const presented = fields['refresh_token'];
      const session = sessions.find(({ refreshTokens }) => refreshTokens.some(({ text }) => text === presented));
      if (session === undefined) return refused(400, 'invalid_grant');
      const { client_id: clientId, client_secret: secret } = session.options;
      if (fields['client_id'] !== clientId) return refused(400, 'invalid_grant');
      if (fields['client_secret'] !== secret) return refused(401, 'invalid_client');
      const current = session.refreshTokens.at(-1);
      if (current?.text !== presented) end(session);
      if (current === undefined || session.isEnded || current.expiresAtMs <= nowMs)
        return refused(400, 'invalid_grant');
      session.exchanges += 1;
      const { access_token: accessToken, refresh_token: refreshToken } = mint(session, nowMs, false);
      const body = {
        access_token: accessToken,
        token_type: 'Bearer',
        expires_in: session.options.expires_in ?? 3_600,
        ...(refreshToken !== '' && { refresh_token: refreshToken }),
      };
      return { answer: { status: 200, body }, committed: true };
    },
  };
}

const accessJwt = (nowMs: number, lifeSeconds: number): string => {
  const nowSeconds = Math.floor(nowMs / 1000);
  return new UnsecuredJWT({ sub: 'admin', jti: randomBytes(12).toString('base64url') })
    .setIssuedAt(nowSeconds)
    .setExpirationTime(nowSeconds + lifeSeconds)
    .encode()
    .concat(randomBytes(18).toString('base64url'));
};

/** The fields of a token request, as JSON or as a form; none where they cannot be read. */
export function fieldsOf(body: string, contentType: string | undefined): Readonly<Record<string, unknown>> {
  if (contentType?.startsWith('application/x-www-form-urlencoded') === true) {
    return Object.fromEntries(new URLSearchParams(body));
  }
  try {
    const json: unknown = JSON.parse(body);
    return typeof json === 'object' && json !== null ? { ...json } : {};
  } catch {
    return {};
  }
}
