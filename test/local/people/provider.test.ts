import { once } from 'node:events';
import { createServer } from 'node:http';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { decodeProtectedHeader } from 'jose';
import * as oauth from 'oauth4webapi';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openDoor, type Door, type RunningProvider } from '../../../local/people/door.ts';
import { openPeople, peopleIssuer } from '../../../local/people/keys.ts';
import { CONSOLE_CLIENT_ID, PEOPLE } from '../../../local/people/people.ts';
import { startProvider } from '../../../local/people/process.ts';
import { createProvider } from '../../../local/people/provider.ts';
import { freePorts } from '../../e2e/service.ts';
import { createBrowser } from './browser.ts';

// The provider as npm start has it: behind its door, in a process of its own, asked by the library that the Worker uses.

const stateDir = mkdtempSync(path.join(tmpdir(), 'countersign-people-'));
const { service: consolePort, people: port } = await freePorts();
const issuer = peopleIssuer(port);
const consoleOrigins = [`http://127.0.0.1:${consolePort}`, `http://localhost:${consolePort}`] as const;
const complaints: string[] = [];
const started: RunningProvider[] = [];
let door: Door;

beforeAll(async () => {
  door = await openDoor({
    port,
    start: async () => {
      const facts = { stateDir, issuer, consoleOrigins, code: null, log: (line: string) => complaints.push(line) };
      started.push(await startProvider(facts));
      return started.at(-1)!;
    },
    tell: (line) => complaints.push(line),
  });
});
afterAll(async () => {
  await door.close();
  rmSync(stateDir, { recursive: true });
});

const client: oauth.Client = { client_id: CONSOLE_CLIENT_ID };
const loopback = { [oauth.allowInsecureRequests]: true } as const;

async function discover(): Promise<oauth.AuthorizationServer> {
  const url = new URL(issuer);
  return await oauth.processDiscoveryResponse(url, await oauth.discoveryRequest(url, loopback));
}

/** A request for a code, as `/auth/login` makes it. */
async function authorization(origin: string) {
  const server = await discover();
  const verifier = oauth.generateRandomCodeVerifier();
  const fields = {
    client_id: CONSOLE_CLIENT_ID,
    redirect_uri: `${origin}/auth/callback`,
    response_type: 'code',
    scope: 'openid',
    state: oauth.generateRandomState(),
    nonce: oauth.generateRandomNonce(),
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
  };
  const url = new URL(server.authorization_endpoint ?? '');
  url.search = new URLSearchParams(fields).toString();
  return { server, verifier, fields, url };
}

/** Exchanges the code in a callback, as `/auth/callback` does. */
async function exchange(asked: Awaited<ReturnType<typeof authorization>>, callback: URL) {
  const { server, verifier, fields } = asked;
  const parameters = oauth.validateAuthResponse(server, client, callback, fields.state);
  const answer = await oauth.authorizationCodeGrantRequest(
    server,
    client,
    oauth.None(),
    parameters,
    fields.redirect_uri,
    verifier,
    loopback,
  );
  const result = await oauth.processAuthorizationCodeResponse(server, client, answer, {
    expectedNonce: fields.nonce,
    requireIdToken: true,
  });
  await oauth.validateApplicationLevelSignature(server, answer, loopback);
  return { claims: oauth.getValidatedIdTokenClaims(result), idToken: result.id_token ?? '' };
}

describe('the OpenID provider of a local run', () => {
  it('starts at the first connection and not before, and one serves all', async () => {
    expect(started).toHaveLength(0);
    const servers = await Promise.all([discover(), discover(), discover()]);
    expect(servers.map((server) => server.issuer)).toEqual([issuer, issuer, issuer]);
    expect(started).toHaveLength(1);
  });

  it.each(PEOPLE.map((person, index) => [person.subject, person, consoleOrigins[index === 1 ? 1 : 0]] as const))(
    'signs %s in by one click, and says who that is in the ID token itself',
    async (_subject, { subject, email, role, name }, origin) => {
      const browser = createBrowser();
      const asked = await authorization(origin);
      const { page, url } = await browser.follow(asked.url);
      expect(page.status).toBe(200);
      expect(page.text).toContain(`value="${subject}"`);

      const chosen = await browser.post(url, { subject });
      const resumed = await browser.ask(chosen.location!);
      expect(resumed.location?.href).toMatch(new RegExp(`^${origin}/auth/callback\\?`));

      const { claims, idToken } = await exchange(asked, resumed.location!);
      expect(claims).toMatchObject({ iss: issuer, aud: CONSOLE_CLIENT_ID, sub: subject, email, role, name });
      const { publicJwk } = await openPeople(stateDir, issuer);
      expect(decodeProtectedHeader(idToken)).toMatchObject({ alg: 'ES256', kid: publicJwk.kid });
      // A code is good once.
      await expect(exchange(asked, resumed.location!)).rejects.toThrow('server responded with an error');
    },
  );

  it('asks nothing of somebody who is signed in, until they sign out', async () => {
    const browser = createBrowser();
    const first = await browser.follow((await authorization(consoleOrigins[0])).url);
    const chosen = await browser.post(first.url, { subject: 'ada' });
    await browser.ask(chosen.location!);
    const again = await browser.follow((await authorization(consoleOrigins[0])).url);
    expect(again.page.location?.href).toMatch(/\/auth\/callback\?code=/);

    const server = await discover();
    const signOut = new URL(server.end_session_endpoint ?? '');
    const back = `${consoleOrigins[0]}/console/signed-out`;
    signOut.search = new URLSearchParams({ client_id: CONSOLE_CLIENT_ID, post_logout_redirect_uri: back }).toString();
    const kept = new Map(browser.cookies);
    // Somebody who is signed out already is sent back as well.
    const left = [await browser.ask(signOut), await browser.ask(signOut)];
    expect(left.map(({ status, location }) => [status, location?.href])).toEqual([
      [303, back],
      [303, back],
    ]);
    // A cookie that somebody has copied is of no use any more.
    for (const [name, value] of kept) browser.cookies.set(name, value);
    const after = await browser.follow((await authorization(consoleOrigins[0])).url);
    expect(after.page.text).toContain('Sign in to Countersign');
  });

  it.each([
    ['another redirect URI', { redirect_uri: 'https://evil.example/auth/callback' }],
    ['another client', { client_id: 'somebody' }],
  ])('shows a page for %s, and leads nowhere', async (_what, change) => {
    const { url, fields } = await authorization(consoleOrigins[0]);
    url.search = new URLSearchParams({ ...fields, ...change }).toString();
    const page = await createBrowser().ask(url);
    expect([page.status, page.location]).toEqual([400, null]);
    expect(page.text).toContain('<h1>The sign-in failed</h1>');
  });

  it('refuses a request without PKCE', async () => {
    const { url } = await authorization(consoleOrigins[0]);
    url.searchParams.delete('code_challenge');
    url.searchParams.delete('code_challenge_method');
    const { location } = await createBrowser().ask(url);
    expect(location?.searchParams.get('error')).toBe('invalid_request');
  });

  it('leads back nowhere but to the console after a sign-out', async () => {
    const url = new URL((await discover()).end_session_endpoint ?? '');
    const fields = { client_id: CONSOLE_CLIENT_ID, post_logout_redirect_uri: 'https://evil.example/' };
    url.search = new URLSearchParams(fields).toString();
    const page = await createBrowser().ask(url);
    expect([page.status, page.location]).toEqual([400, null]);
  });

  it.each([
    ['GET', undefined],
    ['POST', 'subject=ada'],
  ])('says that a sign-in is over, to %s without its cookie', async (method, body) => {
    const page = await createBrowser().ask(`${issuer}/sign-in/abc`, { method, ...(body !== undefined && { body }) });
    expect(page.status).toBe(400);
    expect(page.text).toContain('<h1>This sign-in is over</h1>');
  });

  it.each(['mallory', '', '__proto__'])('signs in nobody it does not know: %j', async (subject) => {
    const browser = createBrowser();
    const { url } = await browser.follow((await authorization(consoleOrigins[0])).url);
    const page = await browser.post(url, { subject });
    expect([page.status, page.location]).toEqual([400, null]);
  });

  it('shows its pages under a policy without script, and lets the form lead to the console', async () => {
    const page = await createBrowser().ask(`${issuer}/sign-in/abc`);
    const policy = page.headers.get('Content-Security-Policy') ?? '';
    expect(policy).toMatch(/^default-src 'none'; style-src 'sha256-[\w+/]+='; form-action /);
    expect(policy).toContain(`form-action 'self' ${consoleOrigins.join(' ')}`);
    expect(policy).toContain("frame-ancestors 'none'");
    expect(page.text).not.toMatch(/<script|\son\w+=|https?:\/\/(?!127\.0\.0\.1)/);
  });

  it('answers under its own name alone, so that no foreign name leads to it', async () => {
    const response = await fetch(`http://127.0.0.1:${port}/.well-known/openid-configuration`);
    expect([response.status, await response.text()]).toEqual([
      421,
      `The OpenID provider of this local run is at ${issuer}.\n`,
    ]);
  });

  it('is started anew once it has ended', async () => {
    await started.at(-1)!.stop();
    expect((await discover()).issuer).toBe(issuer);
    expect(started).toHaveLength(2);
  });

  it('has complained of nothing in all this', () => {
    expect(complaints).toEqual([]);
  });
});

it('the sign-in page asks for the code of the terminal where there is one, and takes no other', async () => {
  const { privateJwk, cookieKey } = await openPeople(stateDir, issuer);
  const server = createServer();
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const address = server.address();
  const own = peopleIssuer(typeof address === 'object' && address !== null ? address.port : 0);
  server.on(
    'request',
    createProvider({ issuer: own, consoleOrigins: [...consoleOrigins], privateJwk, cookieKey, code: 'right-code' }),
  );
  const browser = createBrowser();
  const { url } = await authorization(consoleOrigins[0]);
  const { page, url: form } = await browser.follow(new URL(`${own}/auth${url.search}`));
  expect(page.text).toContain('name="code"');
  for (const code of ['', 'wrong', 'right-cod', 'right-code2']) {
    const refused = await browser.post(form, { subject: 'ada', code });
    expect([refused.status, refused.location]).toEqual([403, null]);
    expect(refused.text).toContain('That is not the code of this run.');
  }
  expect((await browser.post(form, { subject: 'ada', code: ' right-code ' })).status).toBe(303);
  server.close();
  server.closeAllConnections();
});
