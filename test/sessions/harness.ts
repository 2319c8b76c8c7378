import { env } from 'cloudflare:workers';
import type { AuditEventRow } from '../../src/db/schema.ts';
import type { SessionRow } from '../../src/db/session-schema.ts';
import type { Runtime } from '../../src/kit/runtime.ts';
import { workerRuntime } from '../../src/worker-runtime.ts';
import { createWebhookHarness } from '../revocation/harness.ts';
import { type Answer, type HarnessOptions, ISSUER } from '../support/harness.ts';
import { createTestIssuer } from '../support/issuer.ts';
import { noteSecret } from '../support/secrets.ts';

export const CLIENT_ID = 'countersign-console';
export const SESSION_SECRET = btoa('session-secret-of-all-the-tests-');
export const ORIGIN = 'https://countersign.example';
const SESSION = '__Host-countersign_session';
const SIGN_IN = '__Host-countersign_sign_in';

/** What a browser of the console sends with a change, and with whatever its user asks for. */
export const BY_CONSOLE = { 'X-Countersign-Console': '1', 'Sec-Fetch-Site': 'same-origin', Origin: ORIGIN };
export const HTML = { Accept: 'text/html,*/*;q=0.8' };

/** What a provider answers to an exchange, in place of tokens. */
type TokenAnswer = () => Response | Promise<Response>;

export interface SessionHarnessOptions extends HarnessOptions {
  /** What else the issuer's entry says. */
  readonly entry?: Readonly<Record<string, unknown>>;
  /** What else the discovery document says. */
  readonly discovery?: Readonly<Record<string, unknown>>;
}

export type SessionHarness = Awaited<ReturnType<typeof createSessionHarness>>;

/** A browser: it has cookies, and nothing else. */
export interface Browser {
  readonly cookies: Map<string, string>;
}

/** The whole Worker before an OpenID provider that signs in whom a test says. */
export async function createSessionHarness({ entry, discovery, ...options }: SessionHarnessOptions = {}) {
  const issuer = options.like?.issuer ?? (await createTestIssuer({ issuer: ISSUER }));
  /** What was asked of the provider. */
  const asked: {
    readonly url: string;
    readonly body: URLSearchParams;
    readonly headers: Headers;
    redirect: unknown;
  }[] = [];
  let tokenAnswer: TokenAnswer | null = null;
  let idTokenClaims: Readonly<Record<string, unknown>> = {};
  let nonces: Readonly<Record<string, string>> = {};
  /** The codes that were exchanged, with their nonces. */
  let spent: Readonly<Record<string, string>> = {};
  let isDown = false;
  let clock = (): number => Date.now();

  const document = {
    issuer: ISSUER,
    authorization_endpoint: `${ISSUER}/authorize?tenant=acme`,
    token_endpoint: `${ISSUER}/token`,
    jwks_uri: `${ISSUER}/jwks`,
    end_session_endpoint: `${ISSUER}/logout`,
    ...discovery,
  };
  const tokens = async (code: string): Promise<Response> => {
    const nonce = nonces[code];
    if (nonce === undefined) return Response.json({ error: 'invalid_grant' }, { status: 400 });
    spent = { ...spent, [code]: nonce };
    nonces = Object.fromEntries(Object.entries(nonces).filter(([known]) => known !== code));
    const idToken = await issuer.sign({ aud: CLIENT_ID, nonce, ...idTokenClaims }, { nowMs: clock() });
    noteSecret(idToken);
    return Response.json({ access_token: 'opaque', token_type: 'Bearer', expires_in: 60, id_token: idToken });
  };
  const fetch: Runtime['fetch'] = async (url, init) => {
    if (!url.startsWith(ISSUER)) return await workerRuntime.fetch(url, init);
    if (isDown) throw new TypeError('connection refused');
    const body = new URLSearchParams(typeof init.body === 'string' ? init.body : '');
    asked.push({ url, body, headers: new Headers(init.headers), redirect: init.redirect });
    if (url.endsWith('/.well-known/openid-configuration')) return Response.json(document);
    return tokenAnswer === null ? await tokens(body.get('code') ?? '') : await tokenAnswer();
  };

  const harness = await createWebhookHarness({
    ...options,
    issuer,
    policy: {
      issuers: [
        {
          issuer: ISSUER,
          audience: 'countersign',
          jwks: issuer.jwks,
          label: 'email',
          actorType: 'user',
          clientId: CLIENT_ID,
          ...entry,
        },
      ],
      ...options.policy,
    },
    env: { SESSION_SECRET, ...options.env },
    runtime: { ...options.runtime, fetch },
  });
  clock = () => harness.runtime.now();
  noteSecret(SESSION_SECRET);

  /** Keeps what an answer says of cookies, as a browser does. */
  const keep = (browser: Browser, answer: Answer): void => {
    for (const line of answer.headers.getSetCookie()) {
      const [name = '', value = ''] = line.slice(0, line.indexOf(';')).split('=');
      if (value === '') browser.cookies.delete(name);
      else {
        noteSecret(value);
        browser.cookies.set(name, value);
      }
    }
  };
  /** Sends what a browser sends; its cookies are kept. */
  const browse = async (
    browser: Browser,
    method: string,
    path: string,
    sent: { readonly body?: unknown; readonly headers?: Readonly<Record<string, string>> } = {},
  ): Promise<Answer> => {
    const cookie = [...browser.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const answer = await harness.send(method, path, {
      jwt: null,
      ...(sent.body !== undefined && { body: sent.body }),
      headers: { ...(cookie !== '' && { Cookie: cookie }), ...sent.headers },
    });
    keep(browser, answer);
    return answer;
  };

  /** Begins a sign-in: where the provider sends the browser back. */
  const begin = async (
    browser: Browser,
    claims: Readonly<Record<string, unknown>> = {},
    query = '',
  ): Promise<{ readonly callback: string; readonly url: URL }> => {
    const answer = await browse(browser, 'GET', `/auth/login${query}`, { headers: HTML });
    if (answer.status !== 302) throw new Error(`login answered ${answer.status}: ${answer.text}`);
    const url = new URL(answer.headers.get('Location') ?? '', ORIGIN);
    idTokenClaims = { sub: 'ada', email: 'ada@example.test', role: 'admin', ...claims };
    const code = crypto.randomUUID();
    nonces = { ...nonces, [code]: url.searchParams.get('nonce') ?? '' };
    const state = url.searchParams.get('state') ?? '';
    return { callback: `/auth/callback?code=${code}&state=${state}&session_state=x`, url };
  };
  const signIn = async (
    claims: Readonly<Record<string, unknown>> = {},
    browser: Browser = newBrowser(),
  ): Promise<Browser> => {
    const { callback } = await begin(browser, claims);
    const answer = await browse(browser, 'GET', callback, { headers: HTML });
    if (answer.status !== 302 || answer.headers.get('Location') !== '/console')
      throw new Error(`sign-in answered ${answer.status} ${answer.headers.get('Location')}`);
    return browser;
  };

  return {
    ...harness,
    asked,
    browse,
    begin,
    signIn,
    /** A request of the console. */
    ask: async (browser: Browser, method: string, path: string, body?: unknown): Promise<Answer> =>
      await browse(browser, method, path, { headers: BY_CONSOLE, ...(body !== undefined && { body }) }),
    answerTokens: (answer: TokenAnswer | null): void => {
      tokenAnswer = answer;
    },
    /** The provider takes each code once more. */
    forgetSpent: (): void => {
      nonces = { ...nonces, ...spent };
    },
    setDown: (down: boolean): void => {
      isDown = down;
    },
  };
}

export const newBrowser = (): Browser => ({ cookies: new Map() });
export const copyOf = ({ cookies }: Browser): Browser => ({ cookies: new Map(cookies) });
export const sessionOf = ({ cookies }: Browser): string | undefined => cookies.get(SESSION);
export const withSession = (value: string): Browser => ({ cookies: new Map([[SESSION, value]]) });
export const signInOf = ({ cookies }: Browser): string | undefined => cookies.get(SIGN_IN);
export const withSignIn = (value: string): Browser => ({ cookies: new Map([[SIGN_IN, value]]) });

/** The rows of sessions of a subject, in the order in which they began. */
export const sessionRows = async (subject: string): Promise<SessionRow[]> =>
  (
    await env.DB.prepare('select * from sessions where subject = ? order by started_at, rowid')
      .bind(subject)
      .all<SessionRow>()
  ).results;

/** The rows of the trail about sessions, and about rejected sign-ins, of a subject. */
export const trailOf = async (subject: string): Promise<AuditEventRow[]> =>
  (
    await env.DB.prepare('select * from audit_events where actor_subject = ? order by seq')
      .bind(subject)
      .all<AuditEventRow>()
  ).results;
