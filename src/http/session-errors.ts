import type { Failure, SignInFailure } from '../failures.ts';
import type { Answer } from './wire-errors.ts';

type SessionFailure = SignInFailure | Extract<Failure, { kind: 'session_ended' | 'cross_site' }>;

/**
 * The answers to a session that is over, to a change that another site may have made, and to a sign-in that came to nothing.
 *
 * @param challenge of a 401.
 */
export function sessionError(failure: SessionFailure, challenge: string): Answer {
  switch (failure.kind) {
    case 'session_ended':
      return {
        status: 401,
        message: 'Your session is over. Sign in again at /auth/login.',
        headers: { 'WWW-Authenticate': challenge },
      };
    case 'cross_site':
      return {
        status: 403,
        message:
          'A change by a browser must come from this site itself, and under a session of the console with the header "X-Countersign-Console".',
      };
    case 'sign_in_not_configured':
      return {
        status: 404,
        message:
          'Nobody can sign in like this: no such issuer of the policy has a "clientId". Tell the operators of this service.',
      };
    case 'sign_in_failed':
      return {
        status: 400,
        message:
          'This sign-in was not begun in this browser, took longer than ten minutes, or was used before. Begin again at /auth/login.',
      };
    case 'sign_in_refused':
      return { status: 403, message: failure.reason === 'too_large' ? TOO_LARGE : REFUSED };
  }
}

const TOO_LARGE =
  'Your claims do not fit into a cookie. Have your identity provider put less into the ID token, such as fewer groups.';
/** What was wrong with the ID token is for the operators: the log and the trail have it. */
const REFUSED =
  'Your identity provider did not sign you in, or its ID token is not accepted here. Tell the operators of this service the request id.';
