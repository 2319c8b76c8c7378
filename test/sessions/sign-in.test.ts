import { env } from 'cloudflare:workers';
import { beforeAll, describe, expect, it } from 'vitest';
import { failingBatches } from '../support/failing-batches.ts';
import { ISSUER, TOKENS, type Answer } from '../support/harness.ts';
import { createTestIssuer } from '../support/issuer.ts';
import { noteSecret } from '../support/secrets.ts';
import {
  CLIENT_ID,
  copyOf,
  createSessionHarness,
  HTML,
  newBrowser,
  ORIGIN,
  type SessionHarness,
  sessionOf,
  sessionRows,
  signInOf,
  trailOf,
  withSignIn,
} from './harness.ts';

const JSON_ANSWERS = { Accept: 'application/json' };
const page = (code: string): string => `/console/sign-in?error=${code}`;

let h: SessionHarness;
beforeAll(async () => {
  h = await createSessionHarness();
});

const rejections = async (): Promise<unknown[]> =>
  (
    await env.DB.prepare(
      `select error_code, actor_issuer, actor_subject, outcome ->> 'reason' as reason from audit_events
        where action = 'auth.reject' order by seq desc limit 1`,
    ).all()
  ).results;

describe('a person who signs in', () => {
  it('is the same caller as with a JWT, and whoami says so', async () => {
    const browser = await h.signIn({ sub: 'ada-1' });
    const whoami = await h.ask(browser, 'GET', '/api/v1/whoami');
    expect(whoami.body.data).toMatchObject({ subject: 'ada-1', label: 'ada@example.test', actor_type: 'user' });
    const created = await h.ask(browser, 'POST', TOKENS, { name: 'deploy', scopes: ['api:read'] });
    expect(created.status).toBe(201);
    const rows = await trailOf('ada-1');
    expect(rows.map(({ action, status, actor_label }) => [action, status, actor_label])).toEqual([
      ['session.start', 'success', 'ada@example.test'],
      ['service_account_token.create', 'success', 'ada@example.test'],
    ]);
    expect(whoami.body.data.session).toEqual({
      started_at: expect.any(String),
      ends_at: JSON.parse(rows[0]!.detail).ends_at,
      idle_seconds: 1800,
    });
    expect((await h.send('GET', '/api/v1/whoami')).body.data.session).toBeNull();
  });

  it('goes to the provider with PKCE, and back to where it wanted to go', async () => {
    const browser = newBrowser();
    const { callback, url } = await h.begin(browser, {}, '?return_to=/console/tokens%3Fq%3Dx');
    expect(url.href).toMatch(/^https:\/\/issuer\.example\/authorize\?tenant=acme&/);
    const unguessable: string = expect.stringMatching(/^[\w-]{43}$/);
    expect(Object.fromEntries(url.searchParams)).toMatchObject({
      client_id: CLIENT_ID,
      response_type: 'code',
      scope: 'openid profile email',
      redirect_uri: `${ORIGIN}/auth/callback`,
      code_challenge_method: 'S256',
      code_challenge: unguessable,
      state: unguessable,
      nonce: unguessable,
    });
    const answer = await h.browse(browser, 'GET', callback, { headers: HTML });
    expect([answer.status, answer.headers.get('Location')]).toEqual([302, '/console/tokens?q=x']);
    expect(h.asked.at(-1)).toMatchObject({ url: `${ISSUER}/token`, redirect: 'manual' });
    expect(Object.fromEntries(h.asked.at(-1)!.body)).toMatchObject({
      grant_type: 'authorization_code',
      client_id: CLIENT_ID,
      redirect_uri: `${ORIGIN}/auth/callback`,
      code_verifier: unguessable,
    });
  });

  it('gets cookies of this host alone, which no script reads, and the one of the sign-in is gone', async () => {
    const browser = newBrowser();
    const login = await h.browse(browser, 'GET', '/auth/login');
    expect(login.headers.getSetCookie()).toEqual([
      expect.stringMatching(
        /^__Host-countersign_sign_in=[\w.-]+; Path=\/; Secure; HttpOnly; SameSite=Lax; Max-Age=600$/,
      ),
    ]);
    const { callback } = await h.begin(browser);
    const answer = await h.browse(browser, 'GET', callback);
    expect(answer.headers.getSetCookie()).toEqual([
      '__Host-countersign_sign_in=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0',
      expect.stringMatching(
        /^__Host-countersign_session=[\w.-]+; Path=\/; Secure; HttpOnly; SameSite=Lax; Max-Age=28800$/,
      ),
    ]);
  });

  it('keeps of its claims those that the policy reads, so that the cookie stays small', async () => {
    const browser = await h.signIn({ sub: 'ada-2', picture: 'x'.repeat(4_000) });
    expect(sessionOf(browser)!.length).toBeLessThan(700);
  });

  it('ends the session that its browser had: nobody goes on in one that somebody else has planted', async () => {
    const planted = await h.signIn({ sub: 'mallory' });
    const copy = copyOf(planted);
    await h.signIn({ sub: 'victim' }, planted);
    expect(sessionOf(planted)).not.toBe(sessionOf(copy));
    expect((await h.ask(planted, 'GET', '/api/v1/whoami')).body.data.subject).toBe('victim');
    expect((await h.ask(copy, 'GET', '/api/v1/whoami')).body).toMatchObject({ status: 'error', code: 'session_ended' });
    expect((await trailOf('mallory')).map(({ action, detail }) => [action, JSON.parse(detail).reason])).toEqual([
      ['session.start', undefined],
      ['session.end', 'replaced'],
      ['auth.reject', undefined],
    ]);
  });
});

describe('nobody signs in', () => {
  const expectNobody = async (browser: ReturnType<typeof newBrowser>, answer: Answer, code: string, status: number) => {
    expect([answer.status, answer.body?.code]).toEqual([status, code]);
    expect(sessionOf(browser)).toBeUndefined();
  };

  it('who did not begin here', async () => {
    const { callback } = await h.begin(newBrowser());
    const stranger = newBrowser();
    const answer = await h.browse(stranger, 'GET', callback, { headers: JSON_ANSWERS });
    await expectNobody(stranger, answer, 'sign_in_failed', 400);
    expect(await rejections()).toMatchObject([{ error_code: 'sign_in_failed', reason: 'cookie_missing' }]);
  });

  it('with the sign-in of another browser: a state belongs to one', async () => {
    const [own, other] = [newBrowser(), newBrowser()];
    await h.begin(own);
    const { callback } = await h.begin(other);
    const answer = await h.browse(own, 'GET', callback, { headers: JSON_ANSWERS });
    await expectNobody(own, answer, 'sign_in_failed', 400);
    expect(await rejections()).toMatchObject([{ reason: 'answer_unacceptable', actor_issuer: ISSUER }]);
    expect(signInOf(own)).toBeUndefined();
  });

  it.each([
    ['a session cookie in the place of a sign-in', async () => withSignIn(sessionOf(await h.signIn())!)],
    ['a cookie that was not made here', async () => await Promise.resolve(withSignIn('a.b.c.d.e'))],
  ])('with %s', async (_name, browserOf) => {
    const browser = await browserOf();
    const { callback } = await h.begin(newBrowser());
    await expectNobody(
      browser,
      await h.browse(browser, 'GET', callback, { headers: JSON_ANSWERS }),
      'sign_in_failed',
      400,
    );
  });

  it('eleven minutes after the beginning', async () => {
    const late = await createSessionHarness({ like: h });
    const browser = newBrowser();
    const { callback } = await late.begin(browser);
    late.age(601);
    await expectNobody(
      browser,
      await late.browse(browser, 'GET', callback, { headers: JSON_ANSWERS }),
      'sign_in_failed',
      400,
    );
  });

  it('a second time with the code and the state of a sign-in', async () => {
    const browser = newBrowser();
    const { callback } = await h.begin(browser, { sub: 'ada-replayed' });
    const copies = [copyOf(browser), copyOf(browser)] as const;
    await h.browse(browser, 'GET', callback);
    // The provider knows that its code is spent.
    const spent = await h.browse(copies[0], 'GET', callback, { headers: JSON_ANSWERS });
    await expectNobody(copies[0], spent, 'sign_in_failed', 400);
    expect(await rejections()).toMatchObject([{ reason: 'code_unacceptable' }]);
    // And one that does not know it makes no second session.
    h.forgetSpent();
    const again = await h.browse(copies[1], 'GET', callback, { headers: JSON_ANSWERS });
    await expectNobody(copies[1], again, 'sign_in_failed', 400);
    expect(await rejections()).toMatchObject([{ reason: 'replayed', actor_subject: 'ada-replayed' }]);
    expect(await sessionRows('ada-replayed')).toHaveLength(1);
  });

  const claims = async (given: Record<string, unknown>): Promise<[Answer, ReturnType<typeof newBrowser>]> => {
    const browser = newBrowser();
    const { callback } = await h.begin(browser, given);
    return [await h.browse(browser, 'GET', callback, { headers: JSON_ANSWERS }), browser];
  };

  it.each([
    ['for the API and not for the client', { aud: 'countersign' }, 'sign_in_refused', 'audience_mismatch'],
    ['for several, and made for another', { aud: [CLIENT_ID, 'x'], azp: 'x' }, 'sign_in_refused', 'audience_mismatch'],
    ['for several, and made for nobody', { aud: [CLIENT_ID, 'x'] }, 'sign_in_refused', 'audience_mismatch'],
    ['of another issuer', { iss: 'https://evil.example' }, 'sign_in_refused', 'issuer_unknown'],
    ['that is over', { exp: 1, iat: 0 }, 'sign_in_refused', 'expired'],
    ['of another sign-in', { nonce: 'another' }, 'sign_in_failed', 'nonce_mismatch'],
    ['of no sign-in', { nonce: undefined }, 'sign_in_refused', 'claim_missing'],
    ['without a subject', { sub: undefined }, 'sign_in_refused', 'claim_missing'],
    ['that is older than its issuer allows', { iat: 1_000_000_000 }, 'sign_in_refused', 'too_old'],
    ['with claims that fit into no cookie', { email: 'x'.repeat(5_000) }, 'sign_in_refused', 'too_large'],
  ])('by an ID token %s', async (_name, given, code, reason) => {
    const [answer, browser] = await claims(given);
    await expectNobody(browser, answer, code, code === 'sign_in_failed' ? 400 : 403);
    expect(await rejections()).toMatchObject([{ error_code: code, reason }]);
  });

  it('by an ID token that somebody else has signed', async () => {
    const browser = newBrowser();
    const { callback, url } = await h.begin(browser);
    const stranger = await createTestIssuer({ issuer: ISSUER });
    const nonce = url.searchParams.get('nonce');
    const forged = await stranger.sign({ aud: CLIENT_ID, nonce, sub: 'ada', role: 'admin' });
    noteSecret(forged);
    h.answerTokens(() => Response.json({ access_token: 'x', token_type: 'bearer', id_token: forged }));
    const answer = await h.browse(browser, 'GET', callback, { headers: JSON_ANSWERS });
    h.answerTokens(null);
    await expectNobody(browser, answer, 'sign_in_refused', 403);
    expect(await rejections()).toMatchObject([{ reason: 'signature_invalid' }]);
  });

  it('who has no role', async () => {
    const [answer, browser] = await claims({ sub: 'nobody', role: 'none' });
    await expectNobody(browser, answer, 'no_role', 403);
    expect(await rejections()).toMatchObject([{ error_code: 'no_role', actor_subject: 'nobody' }]);
    expect(await sessionRows('nobody')).toEqual([]);
  });

  it('who was offboarded', async () => {
    await h.offboard({ issuer: ISSUER, subject: 'leaver' });
    const [answer, browser] = await claims({ sub: 'leaver' });
    await expectNobody(browser, answer, 'subject_blocked', 403);
    expect((await trailOf('leaver')).map(({ action, status, error_code }) => [action, status, error_code])).toEqual([
      ['session.start', 'failure', 'subject_blocked'],
    ]);
    expect(await sessionRows('leaver')).toEqual([]);
  });

  it('whom the provider sends back with an error', async () => {
    const browser = newBrowser();
    const { url } = await h.begin(browser);
    const state = url.searchParams.get('state');
    const answer = await h.browse(browser, 'GET', `/auth/callback?error=access_denied&state=${state}`, {
      headers: JSON_ANSWERS,
    });
    await expectNobody(browser, answer, 'sign_in_refused', 403);
  });

  it.each([
    ['500', () => new Response('down', { status: 500 }), 'issuer_unavailable', 503],
    ['a redirect', () => Response.redirect('https://evil.example/', 302), 'issuer_unavailable', 503],
    [
      'garbage',
      () => new Response('<html>', { headers: { 'Content-Type': 'application/json' } }),
      'issuer_unavailable',
      503,
    ],
    ['too much', () => Response.json({ x: 'x'.repeat(200_000) }), 'issuer_unavailable', 503],
    ['no ID token', () => Response.json({ access_token: 'x', token_type: 'bearer' }), 'issuer_unavailable', 503],
    ['a spent code', () => Response.json({ error: 'invalid_grant' }, { status: 400 }), 'sign_in_failed', 400],
    ['another client', () => Response.json({ error: 'invalid_client' }, { status: 401 }), 'sign_in_refused', 403],
  ])('where the token endpoint answers %s', async (_name, response, code, status) => {
    const browser = newBrowser();
    const { callback } = await h.begin(browser);
    h.answerTokens(response);
    const answer = await h.browse(browser, 'GET', callback, { headers: JSON_ANSWERS });
    h.answerTokens(null);
    await expectNobody(browser, answer, code, status);
  });

  it('where the token endpoint never answers', async () => {
    const slow = await createSessionHarness({ like: h, runtime: { timeout: () => AbortSignal.timeout(5) } });
    const browser = newBrowser();
    const { callback } = await slow.begin(browser);
    slow.answerTokens(async () => await new Promise<Response>(() => {}));
    await expectNobody(
      browser,
      await slow.browse(browser, 'GET', callback, { headers: JSON_ANSWERS }),
      'issuer_unavailable',
      503,
    );
  });

  it.each([
    ['takes', false],
    ['confirms', true],
  ])('whose session D1 never %s: no cookie leaves', async (_name, commits) => {
    const { db } = failingBatches(
      (batch) => batch === 1,
      async (commit) => {
        if (commits) await commit();
        return await Promise.reject(new Error('injected: D1 is down'));
      },
    );
    const down = await createSessionHarness({ like: h, db });
    const browser = newBrowser();
    const sub = `unlucky-${commits}`;
    const { callback } = await down.begin(browser, { sub });
    const answer = await down.browse(browser, 'GET', callback, { headers: JSON_ANSWERS });
    await expectNobody(browser, answer, 'audit_unavailable', 503);
    expect(await trailOf(sub)).toHaveLength(commits ? 1 : 0);
  });
});

describe('a browser', () => {
  it('is told on the page of the console why it is not signed in', async () => {
    const browser = newBrowser();
    const { callback } = await h.begin(browser, { role: 'none' });
    const answer = await h.browse(browser, 'GET', callback, { headers: HTML });
    expect([answer.status, answer.headers.get('Location')]).toEqual([302, page('no_role')]);
    const none = await h.browse(newBrowser(), 'GET', '/auth/callback?code=x&state=y', { headers: HTML });
    expect(none.headers.get('Location')).toBe(page('sign_in_failed'));
    const unknown = await h.browse(newBrowser(), 'GET', '/auth/login?issuer=https://x.example', { headers: HTML });
    expect(unknown.headers.get('Location')).toBe(page('sign_in_not_configured'));
  });

  it('is told that the provider does not answer, which is then left alone for a while', async () => {
    const alone = await createSessionHarness({ like: h });
    alone.setDown(true);
    const answers = [
      await alone.browse(newBrowser(), 'GET', '/auth/login', { headers: HTML }),
      await alone.browse(newBrowser(), 'GET', '/auth/login'),
    ];
    expect(answers[0]!.headers.get('Location')).toBe(page('issuer_unavailable'));
    expect([answers[1]!.status, answers[1]!.headers.get('Retry-After')]).toEqual([503, '10']);
    alone.setDown(false);
    expect((await alone.browse(newBrowser(), 'GET', '/auth/login')).status).toBe(503);
    alone.age(11);
    expect((await alone.browse(newBrowser(), 'GET', '/auth/login')).status).toBe(302);
    // An outage stops nobody who comes within a day.
    alone.setDown(true);
    alone.age(3_600);
    expect((await alone.browse(newBrowser(), 'GET', '/auth/login')).status).toBe(302);
  });

  it.each([
    ['a token endpoint in clear', { token_endpoint: 'http://issuer.example/token' }],
    ['no authorization endpoint', { authorization_endpoint: undefined }],
    ['another issuer', { issuer: 'https://evil.example' }],
  ])('is sent nowhere by a discovery document with %s', async (_name, discovery) => {
    const odd = await createSessionHarness({ like: h, discovery });
    expect((await odd.browse(newBrowser(), 'GET', '/auth/login')).body.code).toBe('issuer_unavailable');
  });

  it.each([
    ['basic', undefined, true],
    ['post alone', ['client_secret_post'], false],
  ])('comes from a client whose secret goes by %s', async (_name, methods, isBasic) => {
    const secret = 'secret-of-the-client';
    const confidential = await createSessionHarness({
      like: h,
      entry: { clientSecret: 'CONSOLE_SECRET' },
      env: { CONSOLE_SECRET: secret },
      discovery: methods === undefined ? {} : { token_endpoint_auth_methods_supported: methods },
    });
    await confidential.signIn();
    const { headers, body } = confidential.asked.at(-1)!;
    // RFC 6749 §2.3.1 encodes both as a form does.
    const encoded = btoa(`${CLIENT_ID}:${secret}`.replaceAll('-', '%2D'));
    expect(headers.get('Authorization')).toBe(isBasic ? `Basic ${encoded}` : null);
    expect(body.get('client_secret')).toBe(isBasic ? null : secret);
  });

  it('signs in nowhere if no issuer has a client, and its cookies count for nothing', async () => {
    const browser = await h.signIn();
    const without = await createSessionHarness({ like: h, entry: { clientId: undefined } });
    expect((await without.browse(newBrowser(), 'GET', '/auth/login')).body.code).toBe('sign_in_not_configured');
    expect((await without.browse(newBrowser(), 'GET', '/auth/callback')).body.code).toBe('sign_in_not_configured');
    expect((await without.ask(browser, 'POST', '/auth/logout')).body.code).toBe('sign_in_not_configured');
    expect((await without.ask(browser, 'GET', '/api/v1/whoami')).body.code).toBe('unauthenticated');
  });

  it('tells a parameter that is not known', async () => {
    expect((await h.browse(newBrowser(), 'GET', '/auth/login?next=/x')).body.code).toBe('invalid_request');
  });
});
