import type { Context, Hono } from 'hono';
import { JWT_MAX_BYTES } from '../../config/limits.ts';
import { codeOf, type Failure, type SignInFailure } from '../../failures.ts';
import { failure, methodNotAllowed, success } from '../../http/answer.ts';
import type { AppEnv } from '../../http/context.ts';
import { noParameters, readParameter, refuseUnknown } from '../../http/query.ts';
import { type Identity, identityOf } from '../../identity/identity.ts';
import { readUnverified, verifyJwt } from '../../identity/jwt.ts';
import type { KeySource } from '../../identity/keys.ts';
import { createProblems } from '../../kit/problems.ts';
import { err, ok, type Result } from '../../kit/result.ts';
import type { Role } from '../../policy/types.ts';
import { actorOf } from '../../trail/event.ts';
import type { Rejection, Rejections } from '../../trail/rejections.ts';
import { SIGN_IN_CODES } from '../../vocabulary.ts';
import { noCookie, sessionCookie, signInCookie } from '../cookies.ts';
import { endByCaller, type SessionRecords, startSession } from '../records.ts';
import type { SessionSealing } from '../sealing.ts';
import type { NewSession, Sessions } from '../sessions.ts';
import { newSignIn, openSignIn } from './flow.ts';
import type { Provider } from './provider.ts';
import { returnTo } from './return-to.ts';

/** What signing in and out needs. */
export interface SignInDependencies extends SessionRecords {
  readonly sessions: Sessions;
  readonly sealing: SessionSealing;
  /** In file order. There is at least one. */
  readonly providers: readonly Provider[];
  readonly keys: KeySource;
  readonly rolesOf: (identity: Identity) => readonly Role[];
  readonly rejections: Rejections;
}

/**
 * Signs people in to the console by their identity provider, and out again (OIDC Core §3.1). The rows that say so are written before a
 * cookie leaves.
 *
 * @param signIn null: no issuer has a `clientId`, so nobody signs in.
 */
export function registerSessionRoutes(app: Hono<AppEnv>, signIn: SignInDependencies | null): void {
  app.get('/auth/login', async (c) => await login(c, signIn));
  app.get('/auth/callback', async (c) => (signIn === null ? fail(c, NOT_CONFIGURED) : await callback(c, signIn)));
  app.post('/auth/logout', noParameters, async (c) =>
    signIn === null ? failure(c, NOT_CONFIGURED) : await logout(c, signIn),
  );
  app.all('/auth/login', methodNotAllowed('GET'));
  app.all('/auth/callback', methodNotAllowed('GET'));
  app.all('/auth/logout', methodNotAllowed('POST'));
}

const PARAMETERS = ['return_to', 'issuer'];
const NOT_CONFIGURED = { kind: 'sign_in_not_configured' } as const;

/** Sends the browser to the provider. It makes no row, so strangers may begin as many sign-ins as they like. */
async function login(c: Context<AppEnv>, signIn: SignInDependencies | null): Promise<Response> {
  const { origin, searchParams } = new URL(c.req.url);
  const problems = createProblems();
  const unknown = [...searchParams.keys()].filter((name) => !PARAMETERS.includes(name));
  refuseUnknown('parameter', unknown, PARAMETERS, problems);
  const issuer = readParameter<string | null>(searchParams, 'issuer', ok, null, problems);
  const wanted = readParameter<string | null>(searchParams, 'return_to', ok, null, problems);
  if (problems.any()) return failure(c, problems.failure());
  const provider = signIn?.providers.find((one) => issuer === null || one.issuer.policy.issuer === issuer);
  if (signIn === null || provider === undefined) return fail(c, NOT_CONFIGURED);
  const begun = newSignIn(provider.issuer, origin, returnTo(wanted, origin), signIn.runtime.now());
  const url = await provider.authorizationUrl(begun);
  if (!url.ok) return fail(c, url.error);
  c.header('Set-Cookie', signInCookie(await signIn.sealing.seal('sign_in', begun)));
  return c.redirect(url.value);
}

/** Takes the browser back from the provider. Whatever comes of it, the sign-in is over. */
async function callback(c: Context<AppEnv>, dependencies: SignInDependencies): Promise<Response> {
  const { rejections } = dependencies;
  const context = c.get('context');
  c.header('Set-Cookie', noCookie('sign_in'), { append: true });
  const signedIn = await signInBy(c, dependencies);
  if (!signedIn.ok) {
    const identity = c.get('identity') as Identity | undefined;
    if (isRejection(signedIn.error)) {
      rejections.record(context, signedIn.error, identity === undefined ? null : actorOf(identity));
    }
    return fail(c, signedIn.error);
  }
  const { session, goTo } = signedIn.value;
  const { started_at, ends_at } = session.facts;
  c.header('Set-Cookie', sessionCookie(session.sealed, ends_at - started_at), { append: true });
  return c.redirect(goTo);
}

/** `session.start` of somebody who is blocked has a row of its own, and D1 that fails takes none. */
const isRejection = (cause: Failure): cause is Rejection =>
  ['sign_in_failed', 'sign_in_refused', 'no_role', 'issuer_unavailable'].includes(cause.kind);

interface SignedIn {
  readonly session: NewSession;
  readonly goTo: string;
}

async function signInBy(c: Context<AppEnv>, dependencies: SignInDependencies): Promise<Result<SignedIn, Failure>> {
  const { sessions, sealing, providers, rolesOf, runtime } = dependencies;
  const opened = await openSignIn(c.req.raw.headers, sealing, runtime.now());
  if (!opened.ok) return opened;
  const signIn = opened.value;
  const provider = providers.find(
    ({ issuer }) => issuer.policy.issuer === signIn.issuer && issuer.clientId === signIn.client,
  );
  // The policy has changed since the sign-in began.
  if (provider === undefined) return err(NOT_CONFIGURED);
  const idToken = await provider.exchange(new URL(c.req.url).searchParams, signIn);
  if (!idToken.ok) return idToken;
  const claims = await verifyIdToken(dependencies, provider, idToken.value);
  if (!claims.ok) return claims;
  const { policy } = provider.issuer;
  const identity = identityOf(claims.value, policy);
  if (!identity.ok) return err(refused(identity.error, policy.issuer));
  c.set('identity', identity.value);
  if (rolesOf(identity.value).length === 0) return err({ kind: 'no_role' });
  const session = await sessions.begin(policy, identity.value, claims.value, signIn.state);
  if (session === null) return err(refused('too_large', policy.issuer));
  // A session that somebody else gave this browser never becomes that of whoever signs in.
  const earlier = await sessions.ofBrowser(c.req.raw.headers);
  const started = await startSession(dependencies, c.get('context'), identity.value, session, earlier);
  return started.ok ? ok({ session, goTo: signIn.return_to }) : started;
}

/** Verifies an ID token as a JWT of its issuer is verified, with the same keys. It must be for our client. */
async function verifyIdToken(
  { keys, runtime }: SignInDependencies,
  { issuer: { policy: entry, clientId } }: Provider,
  idToken: string,
): Promise<Result<Readonly<Record<string, unknown>>, Failure>> {
  const { issuer } = entry;
  if (idToken.length > JWT_MAX_BYTES) return err(refused('too_large', issuer));
  const unverified = readUnverified(idToken);
  if (!unverified.ok) return err(refused(unverified.error, issuer));
  const policy = { ...entry, audience: [clientId] };
  const verifying = await keys.find(policy, async (set) => {
    const verified = await verifyJwt(idToken, set, policy, runtime.now());
    return !verified.ok && verified.error === 'key_unknown' ? null : verified;
  });
  if (!verifying.ok) return err({ kind: 'issuer_unavailable', issuer, ...verifying.error });
  const verified = verifying.value ?? err('key_unknown' as const);
  return verified.ok ? verified : err(refused(verified.error, issuer));
}

const refused = (
  reason: Extract<SignInFailure, { kind: 'sign_in_refused' }>['reason'],
  issuer: string,
): SignInFailure => ({ kind: 'sign_in_refused', reason, issuer });

/** Ends the session of the browser. A cookie that was copied before is worth nothing then. */
async function logout(c: Context<AppEnv>, dependencies: SignInDependencies): Promise<Response> {
  const { sessions, providers, rejections } = dependencies;
  const context = c.get('context');
  const used = (await sessions.use(c.req.raw)) ?? err({ kind: 'session_ended' } as const);
  const forget = (): void => c.header('Set-Cookie', noCookie('session'));
  if (!used.ok) {
    rejections.record(context, used.error, null);
    if (used.error.kind === 'session_ended') forget();
    return failure(c, used.error);
  }
  const { identity } = used.value;
  c.set('identity', identity);
  const ended = await endByCaller(dependencies, context, used.value);
  if (!ended.ok) {
    // While D1 does not say that the session is over, the browser keeps what it needs to try again.
    if (ended.error.kind === 'session_ended') {
      rejections.record(context, ended.error, actorOf(identity));
      forget();
    }
    return failure(c, ended.error);
  }
  forget();
  const provider = providers.find(({ issuer }) => issuer.policy.issuer === identity.issuer);
  const logoutUrl = await provider?.logoutUrl(`${new URL(c.req.url).origin}/console/signed-out`);
  return success(c, 'You are signed out.', { logout_url: logoutUrl ?? null });
}

/** Answers a failure: a browser goes to the console's page, which says what to do, and everything else gets the envelope. */
function fail(c: Context<AppEnv>, cause: Failure): Response {
  const answered = failure(c, cause);
  if (!(c.req.header('Accept') ?? '').includes('text/html')) return answered;
  const code = SIGN_IN_CODES.find((one) => one === codeOf(cause)) ?? 'sign_in_failed';
  return c.redirect(`/console/sign-in?error=${code}`);
}
