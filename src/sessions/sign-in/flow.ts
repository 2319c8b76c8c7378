import { generateRandomCodeVerifier, generateRandomNonce, generateRandomState } from 'oauth4webapi';
import * as z from 'zod';
import { SIGN_IN_MAX_MS } from '../../config/session-limits.ts';
import type { SignInFailure } from '../../failures.ts';
import { err, ok, type Result } from '../../kit/result.ts';
import { cookieOf } from '../cookies.ts';
import type { SessionSealing } from '../sealing.ts';
import type { SignInIssuer } from './provider.ts';

const signIn = z.strictObject({
  issuer: z.string(),
  client: z.string(),
  state: z.string(),
  nonce: z.string(),
  verifier: z.string(),
  redirect_uri: z.string(),
  return_to: z.string(),
  expires_at: z.int(),
});

/** A sign-in on its way. Its browser alone holds it, sealed into a cookie, so that strangers can begin any number of them. */
export type SignIn = z.output<typeof signIn>;

/** Begins a sign-in, with values that nobody can guess. */
export const newSignIn = (
  { policy, clientId }: SignInIssuer,
  origin: string,
  returnTo: string,
  nowMs: number,
): SignIn => ({
  issuer: policy.issuer,
  client: clientId,
  state: generateRandomState(),
  nonce: generateRandomNonce(),
  verifier: generateRandomCodeVerifier(),
  redirect_uri: `${origin}/auth/callback`,
  return_to: returnTo,
  expires_at: nowMs + SIGN_IN_MAX_MS,
});

/** Reads the sign-in that a browser has begun. */
export async function openSignIn(
  headers: Headers,
  sealing: SessionSealing,
  nowMs: number,
): Promise<Result<SignIn, SignInFailure>> {
  const cookie = cookieOf(headers, 'sign_in');
  if (cookie === null) return err({ kind: 'sign_in_failed', reason: 'cookie_missing' });
  const opened = signIn.safeParse(await sealing.open('sign_in', cookie));
  if (!opened.success) return err({ kind: 'sign_in_failed', reason: 'cookie_unacceptable' });
  if (nowMs >= opened.data.expires_at) return err({ kind: 'sign_in_failed', reason: 'expired' });
  return ok(opened.data);
}
