import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { Provider } from 'oidc-provider';
import { createMemoryAdapter } from 'oidc-provider/lib/adapters/memory_adapter.js';
import type { PrivateJwk } from '../issuer.ts';
import { contentSecurityPolicy, messagePage, signInPage } from './page.ts';
import { CONSOLE_CLIENT_ID, PEOPLE } from './people.ts';

export interface ProviderFacts {
  /** `http://localhost:8789`: what browsers and the Worker reach it by. */
  readonly issuer: string;
  /** The origins at which the console may stand. */
  readonly consoleOrigins: readonly [string, ...string[]];
  /** Signs the ID tokens. */
  readonly privateJwk: PrivateJwk;
  readonly cookieKey: string;
  /** What whoever signs in must have read on the terminal of `npm start`. Null: nothing. */
  readonly code: string | null;
}

const MINUTE_SECONDS = 60;
const HOUR_SECONDS = 60 * MINUTE_SECONDS;
/** A form with a choice and a code. */
const FORM_MAX_BYTES = 1_024;
const SIGN_IN_PATH = /^\/sign-in\/[\w-]+$/;
const SCOPES = 'openid profile email';

/** An OpenID provider in which the people of a local run sign in at a page of ours, by a click. It keeps sessions in memory. */
export function createProvider(facts: ProviderFacts): RequestListener {
  const provider = new Provider(facts.issuer, configurationOf(facts));
  provider.use(signOutAtOnce(facts));
  const ask = provider.callback();
  const consoleUrl = `${facts.consoleOrigins[0]}/console`;
  const policy = contentSecurityPolicy(facts.consoleOrigins);
  const { host } = new URL(facts.issuer);

  return (request, response) => {
    response.setHeader('Content-Security-Policy', policy);
    response.setHeader('X-Content-Type-Options', 'nosniff');
    response.setHeader('Referrer-Policy', 'no-referrer');
    response.setHeader('Cache-Control', 'no-store');
    // A foreign site whose name leads here (DNS rebinding) is told nothing.
    if (request.headers.host !== host) {
      plain(response, 421, `The OpenID provider of this local run is at ${facts.issuer}.`);
      return;
    }
    const pathname = URL.parse(request.url ?? '', facts.issuer)?.pathname ?? '';
    if (pathname === '/favicon.ico') {
      response.writeHead(204).end();
      return;
    }
    const answered = SIGN_IN_PATH.test(pathname)
      ? signIn(provider, request, response, facts.code)
      : pathname === '/'
        ? Promise.resolve(redirect(response, consoleUrl))
        : ask(request, response);
    answered.catch((error: unknown) => {
      const isOver = error instanceof Error && error.name === 'SessionNotFound';
      if (!isOver) console.error(error);
      html(response, isOver ? 400 : 500, isOver ? overPage(consoleUrl) : failedPage(consoleUrl));
    });
  };
}

const overPage = (consoleUrl: string): string =>
  messagePage(
    'This sign-in is over',
    'It took too long, or was finished in another tab. Begin anew there.',
    consoleUrl,
  );
const failedPage = (consoleUrl: string): string =>
  messagePage('The sign-in failed', 'The log of the service says why.', consoleUrl);

async function signIn(
  provider: Provider,
  request: IncomingMessage,
  response: ServerResponse,
  code: string | null,
): Promise<void> {
  await provider.interactionDetails(request, response);
  if (request.method !== 'POST') {
    html(response, 200, signInPage(code === null ? 'nothing' : 'code'));
    return;
  }
  const form = await readForm(request);
  if (code !== null && !isSame(form.get('code') ?? '', code)) {
    html(response, 403, signInPage('wrong code'));
    return;
  }
  const person = PEOPLE.find(({ subject }) => subject === form.get('subject'));
  if (person === undefined) {
    html(response, 400, signInPage(code === null ? 'nothing' : 'code'));
    return;
  }
  // A session that ends with the browser, as the console's own cookie does.
  const login = { accountId: person.subject, remember: false };
  await provider.interactionFinished(request, response, { login });
}

const isSame = (typed: string, code: string): boolean => timingSafeEqual(digestOf(typed.trim()), digestOf(code));
const digestOf = (text: string): Buffer => createHash('sha256').update(text).digest();

/** The fields of a form. What is too long to be ours has none. */
async function readForm(request: IncomingMessage): Promise<URLSearchParams> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.byteLength;
    if (bytes <= FORM_MAX_BYTES) chunks.push(chunk);
  }
  return new URLSearchParams(bytes <= FORM_MAX_BYTES ? Buffer.concat(chunks).toString() : '');
}

type Middleware = Parameters<Provider['use']>[0];

/**
 * Ends a session at `end_session_endpoint` and goes on, without a page between: whoever comes here has just pressed "Sign out". The
 * provider's own page would ask again, or submit itself by a script. A foreign page can only sign somebody out by it.
 */
function signOutAtOnce({ consoleOrigins }: ProviderFacts): Middleware {
  return async (context, next) => {
    await next();
    const { oidc } = context;
    if (oidc?.route !== 'end_session' || context.status !== 200) return;
    await oidc.session.destroy();
    context.cookies.set(oidc.provider.cookieName('session'), null, COOKIE);
    const { post_logout_redirect_uri: back, state } = oidc.params;
    const url = new URL(back ?? `${consoleOrigins[0]}/console/signed-out`);
    if (state !== undefined) url.searchParams.set('state', state);
    context.status = 303;
    context.redirect(url.href);
  };
}

const COOKIE = { httpOnly: true, sameSite: 'lax', overwrite: true } as const;

function configurationOf({ issuer, consoleOrigins, privateJwk, cookieKey }: ProviderFacts): object {
  // Cookies of `localhost` are shared by all ports, and two runs may be beside each other.
  const { port } = new URL(issuer);
  const cookie = (kind: string): string => `countersign_${port}_${kind}`;
  return {
    clients: [
      {
        client_id: CONSOLE_CLIENT_ID,
        client_name: 'Countersign console',
        token_endpoint_auth_method: 'none',
        grant_types: ['authorization_code'],
        response_types: ['code'],
        id_token_signed_response_alg: 'ES256',
        redirect_uris: consoleOrigins.map((origin) => `${origin}/auth/callback`),
        post_logout_redirect_uris: consoleOrigins.flatMap((origin) => [
          `${origin}/console/signed-out`,
          `${origin}/console`,
        ]),
      },
    ],
    // The one that it uses by itself. It warns of that unless somebody has chosen it.
    adapter: createMemoryAdapter(0),
    jwks: { keys: [{ ...privateJwk, alg: 'ES256', use: 'sig' }] },
    scopes: SCOPES.split(' '),
    // All of them come with `openid`, and in the ID token itself.
    claims: { openid: ['sub', 'email', 'role', 'name'], profile: ['name'], email: ['email'] },
    conformIdTokenClaims: false,
    responseTypes: ['code'],
    pkce: { required: () => true },
    cookies: {
      keys: [cookieKey],
      names: { session: cookie('session'), interaction: cookie('sign_in'), resume: cookie('resume') },
      long: COOKIE,
      short: COOKIE,
    },
    // Numbers, since the provider warns of each function that it comes with.
    ttl: {
      AccessToken: 10 * MINUTE_SECONDS,
      AuthorizationCode: MINUTE_SECONDS,
      Grant: 8 * HOUR_SECONDS,
      IdToken: HOUR_SECONDS,
      Interaction: HOUR_SECONDS,
      Session: 8 * HOUR_SECONDS,
    },
    features: {
      devInteractions: { enabled: false },
      rpInitiatedLogout: {
        enabled: true,
        logoutSource: (context: { body: unknown }) => {
          context.body = '';
        },
      },
    },
    clientBasedCORS: () => false,
    interactions: { url: (_context: unknown, { uid }: { readonly uid: string }) => `/sign-in/${uid}` },
    findAccount: (_context: unknown, subject: string) => accountOf(subject),
    loadExistingGrant: grantAll,
    renderError: (
      context: { type: string; body: unknown },
      { error, error_description: description }: { readonly error: string; readonly error_description?: string },
    ) => {
      context.type = 'html';
      const message = description === undefined ? error : `${error}: ${description}`;
      context.body = messagePage('The sign-in failed', message, `${consoleOrigins[0]}/console`);
    },
  };
}

function accountOf(accountId: string) {
  const person = PEOPLE.find(({ subject }) => subject === accountId);
  if (person === undefined) return undefined;
  const { subject: sub, email, role, name } = person;
  return { accountId, claims: () => ({ sub, email, role, name }) };
}

/** The console is our own, so that nobody is asked whether it may know them. */
async function grantAll({
  oidc,
}: {
  readonly oidc: Pick<Required<Parameters<Middleware>[0]>['oidc'], 'provider' | 'session' | 'client'>;
}): Promise<unknown> {
  const { accountId } = oidc.session;
  if (accountId === undefined) return undefined;
  const grant = new oidc.provider.Grant({ accountId, clientId: oidc.client.clientId });
  grant.addOIDCScope(SCOPES);
  await grant.save();
  return grant;
}

function html(response: ServerResponse, status: number, body: string): void {
  if (response.headersSent) return;
  response.writeHead(status, { 'Content-Type': 'text/html; charset=utf-8' }).end(body);
}

function plain(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { 'Content-Type': 'text/plain; charset=utf-8' }).end(`${text}\n`);
}

function redirect(response: ServerResponse, location: string): void {
  response.writeHead(303, { Location: location }).end();
}
