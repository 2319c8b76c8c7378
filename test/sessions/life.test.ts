import { env } from 'cloudflare:workers';
import { beforeAll, describe, expect, it } from 'vitest';
import type { SessionRow } from '../../src/db/session-schema.ts';
import { failingBatches } from '../support/failing-batches.ts';
import { type Answer, ISSUER, TOKENS } from '../support/harness.ts';
import {
  BY_CONSOLE,
  type Browser,
  copyOf,
  createSessionHarness,
  newBrowser,
  type SessionHarness,
  sessionOf,
  sessionRows,
  trailOf,
  withSession,
} from './harness.ts';

const WHOAMI = '/api/v1/whoami';
const LOGOUT = '/auth/logout';

let h: SessionHarness;
beforeAll(async () => {
  h = await createSessionHarness();
});

const ends = async (subject: string): Promise<unknown[]> =>
  (await trailOf(subject))
    .filter(({ action }) => action === 'session.end')
    .map(({ detail }) => JSON.parse(detail).reason);
const codeOf = ({ body }: Answer): unknown => body?.code;
/** What a session may do: it reads, and it mints. */
const uses = async (browser: Browser, of: SessionHarness = h): Promise<unknown[]> => [
  (await of.ask(browser, 'GET', WHOAMI)).status,
  (await of.ask(browser, 'GET', TOKENS)).status,
  (await of.ask(browser, 'POST', TOKENS, { name: 'deploy', scopes: ['api:read'] })).status,
];
/** Whether it lives: `test/security/session-routes.test.ts` shows that no route differs. */
const knows = async (browser: Browser, of: SessionHarness = h): Promise<number> =>
  (await of.ask(browser, 'GET', WHOAMI)).status;
const ALIVE = [200, 200, 201];
const OVER = [401, 401, 401];

describe('a session ends', () => {
  it('when its user signs out, whoever has copied its cookie', async () => {
    const browser = await h.signIn({ sub: 'out' });
    const stolen = copyOf(browser);
    const answer = await h.ask(browser, 'POST', LOGOUT);
    expect(answer.status).toBe(200);
    const url = new URL(answer.body.data.logout_url);
    expect([url.origin + url.pathname, Object.fromEntries(url.searchParams)]).toEqual([
      `${ISSUER}/logout`,
      {
        client_id: 'countersign-console',
        post_logout_redirect_uri: 'https://countersign.example/console/signed-out',
      },
    ]);
    expect(sessionOf(browser)).toBeUndefined();
    expect(await uses(stolen)).toEqual(OVER);
    expect(await ends('out')).toEqual(['logged_out']);
    const again = await h.ask(stolen, 'POST', LOGOUT);
    expect([again.status, codeOf(again), sessionOf(stolen)]).toEqual([401, 'session_ended', undefined]);
    expect(await ends('out')).toEqual(['logged_out']);
  });

  it('and its user hears of no place to go where the provider has none', async () => {
    const without = await createSessionHarness({ like: h, discovery: { end_session_endpoint: undefined } });
    expect((await without.ask(await without.signIn(), 'POST', LOGOUT)).body.data).toEqual({ logout_url: null });
  });

  it('not while D1 does not say so: the browser keeps what it needs to try again', async () => {
    const browser = await h.signIn({ sub: 'stuck' });
    const down = await createSessionHarness({ like: h, db: failingBatches(() => true).db });
    const answer = await down.ask(browser, 'POST', LOGOUT);
    expect([answer.status, codeOf(answer)]).toEqual([503, 'audit_unavailable']);
    expect(await uses(browser)).toEqual(ALIVE);
  });

  it.each([
    ['after eight hours, however much it is used', {}, 8 * 3_600],
    ['when its ID token is as old as a JWT of its issuer may be', { maxAge: '2h' }, 2 * 3_600],
  ])('%s', async (_name, entry, lifeSeconds) => {
    const aging = await createSessionHarness({ like: h, entry });
    const browser = await aging.signIn({ sub: `aged-${lifeSeconds}` });
    for (let seconds = 0; seconds < lifeSeconds - 1_500; seconds += 1_500) {
      aging.age(1_500);
      expect(await knows(browser, aging)).toBe(200);
    }
    aging.age(1_501);
    expect(codeOf(await aging.ask(browser, 'GET', WHOAMI))).toBe('session_ended');
    await aging.cron();
    expect(await ends(`aged-${lifeSeconds}`)).toEqual(['expired']);
  });

  it('after half an hour without use, and polls are no use', async () => {
    const idle = await createSessionHarness({ like: h });
    const browser = await idle.signIn({ sub: 'idle' });
    const poll = async () =>
      await idle.browse(browser, 'GET', WHOAMI, { headers: { ...BY_CONSOLE, 'X-Countersign-Console': 'poll' } });
    idle.age(15 * 60);
    expect((await poll()).status).toBe(200);
    idle.age(14 * 60);
    expect((await poll()).status).toBe(200);
    idle.age(2 * 60);
    expect(codeOf(await poll())).toBe('session_ended');
    expect(await ends('idle')).toEqual([]);
    await idle.cron();
    expect(await ends('idle')).toEqual(['idle']);
    await idle.cron();
    expect(await ends('idle')).toEqual(['idle']);
  });

  it('by no more than a minute too late, and its use is written down at most every five minutes', async () => {
    const used = await createSessionHarness({ like: h });
    const browser = await used.signIn({ sub: 'used' });
    const seen = async (): Promise<number> => (await sessionRows('used'))[0]!.seen_at;
    const first = await seen();
    used.age(4 * 60);
    await used.ask(browser, 'GET', WHOAMI);
    expect(await seen()).toBe(first);
    used.age(2 * 60);
    await used.ask(browser, 'GET', WHOAMI);
    const second = await seen();
    expect(second).toBeGreaterThan(first);
    // Another isolate knows nothing of that, and D1 does.
    const other = await createSessionHarness({ like: h, runtime: { now: () => second + 60_000 } });
    await other.ask(browser, 'GET', WHOAMI);
    expect(await seen()).toBe(second);
    used.age(29 * 60);
    expect(await uses(browser, used)).toEqual(ALIVE);
  });

  it('when the policy has no client for it any more, or none of its claims give a role', async () => {
    const browser = await h.signIn({ sub: 'changed' });
    const another = await createSessionHarness({ like: h, entry: { clientId: 'another' } });
    expect(codeOf(await another.ask(browser, 'GET', WHOAMI))).toBe('session_ended');
    const roleless = await createSessionHarness({ like: h, policy: { bindings: [] } });
    expect(codeOf(await roleless.ask(browser, 'GET', WHOAMI))).toBe('no_role');
    const shorter = await createSessionHarness({ like: h, entry: { maxAge: '1s' } });
    shorter.age(2);
    expect(codeOf(await shorter.ask(browser, 'GET', WHOAMI))).toBe('session_ended');
    const rekeyed = await createSessionHarness({ like: h, env: { SESSION_SECRET: btoa('x'.repeat(32)) } });
    expect(codeOf(await rekeyed.ask(browser, 'GET', WHOAMI))).toBe('session_ended');
    expect(await knows(browser)).toBe(200);
  });
});

describe('offboarding ends a session for good', () => {
  const expectEndedBy = async (subject: string, data: object, browser: Browser): Promise<void> => {
    await h.offboard(data);
    expect(await uses(browser)).toEqual([403, 403, 403]);
    expect(codeOf(await h.ask(browser, 'GET', WHOAMI))).toBe('subject_blocked');
    await h.reinstate(data);
    expect(await uses(browser)).toEqual(OVER);
    expect(await uses(await h.signIn({ sub: subject }))).toEqual(ALIVE);
    await h.cron();
    expect(await ends(subject)).toContain('offboarded');
  };

  it('by its subject', async () => {
    await expectEndedBy('by-subject', { issuer: ISSUER, subject: 'by-subject' }, await h.signIn({ sub: 'by-subject' }));
  });

  it('by its label, in whatever case', async () => {
    const browser = await h.signIn({ sub: 'by-label', email: 'Kim@Example.test' });
    await expectEndedBy('by-label', { label: 'kIM@example.TEST' }, browser);
  });

  it('by a label that it carries elsewhere, which resolves to its subject', async () => {
    const browser = await h.signIn({ sub: 'resolved', email: 'old@example.test' });
    // The same person comes with a JWT of another label.
    await h.send('POST', TOKENS, {
      jwt: await h.jwtFor('admin', { sub: 'resolved', email: 'new@example.test' }),
      body: { name: 'deploy', scopes: ['api:read'] },
    });
    await expectEndedBy('resolved', { label: 'new@example.test' }, browser);
  });
});

describe('whoever has D1 alone makes no session of a row', () => {
  const rewrite = async (id: string, set: string, ...values: unknown[]): Promise<void> => {
    await env.DB.prepare(`update sessions set ${set} where id = ?`)
      .bind(...values, id)
      .run();
  };

  it.each(['actor_type', 'issuer', 'subject', 'label', 'started_at', 'ends_at', 'mac'])(
    'a row whose %s is altered',
    async (column) => {
      const sub = `altered-${column}`;
      const browser = await h.signIn({ sub });
      const [row] = await sessionRows(sub);
      const value = row![column as keyof SessionRow];
      await rewrite(row!.id, `${column} = ?`, typeof value === 'number' ? value + 1 : `${value}x`);
      expect(await knows(browser)).toBe(401);
      await rewrite(row!.id, `${column} = ?`, value);
      expect(await knows(browser)).toBe(200);
    },
  );

  it('a row that is gone, and one that is written anew after its end', async () => {
    const browser = await h.signIn({ sub: 'rewritten' });
    const [row] = await sessionRows('rewritten');
    await h.ask(copyOf(browser), 'POST', LOGOUT);
    await env.DB.prepare('delete from sessions where id = ?').bind(row!.id).run();
    expect(await knows(browser)).toBe(401);
    const columns = Object.keys(row!);
    await env.DB.prepare(`insert into sessions (${columns.join(', ')}) values (${columns.map(() => '?').join(', ')})`)
      .bind(...Object.values({ ...row, mac: 'x'.repeat(22) }))
      .run();
    expect(await knows(browser)).toBe(401);
  });

  it('two rows that are swapped', async () => {
    const browsers = [await h.signIn({ sub: 'swap' }), await h.signIn({ sub: 'swap' })];
    const [one, other] = await sessionRows('swap');
    await rewrite(one!.id, 'mac = ?', other!.mac);
    await rewrite(other!.id, 'mac = ?', one!.mac);
    for (const browser of browsers) expect(await knows(browser)).toBe(401);
  });

  it('a row that is rolled back to before its end: it lives no longer than the idle half hour', async () => {
    const back = await createSessionHarness({ like: h });
    const browser = await back.signIn({ sub: 'back' });
    const [row] = await sessionRows('back');
    await back.ask(copyOf(browser), 'POST', LOGOUT);
    await rewrite(row!.id, 'mac = ?, ended_at = null, end_reason = null, recorded_at = null', row!.mac);
    back.age(31 * 60);
    expect(await knows(browser, back)).toBe(401);
    await rewrite(row!.id, 'seen_at = ?', back.runtime.now());
    expect(await knows(browser, back)).toBe(401);
  });
});

describe('a request through a session', () => {
  const body = { name: 'deploy', scopes: ['api:read'] };

  it.each([
    ['by a form of another site', { 'Sec-Fetch-Site': 'cross-site', Origin: 'https://evil.example' }],
    ['by fetch of another site', { 'X-Countersign-Console': '1', Origin: 'https://evil.example' }],
    ['by another host of the domain', { ...BY_CONSOLE, 'Sec-Fetch-Site': 'same-site' }],
    ['by a form of this site', { 'Sec-Fetch-Site': 'same-origin', Origin: BY_CONSOLE.Origin }],
    ['by who knows whom', { 'X-Countersign-Console': '1' }],
  ])('changes nothing %s', async (_name, headers) => {
    const browser = await h.signIn({ sub: 'forged' });
    const before = (await h.upstream()).length;
    for (const path of [TOKENS, LOGOUT]) {
      const answer = await h.browse(browser, 'POST', path, { headers, ...(path === TOKENS && { body }) });
      expect([answer.status, codeOf(answer)]).toEqual([403, 'cross_site']);
    }
    expect(await h.upstream()).toHaveLength(before);
    expect(await knows(browser)).toBe(200);
  });

  it('counts only where it brings no JWT, good or bad', async () => {
    const browser = await h.signIn({ sub: 'beside' });
    const jwt = await h.jwtFor('admin', { sub: 'by-jwt' });
    const asJwt = await h.browse(browser, 'GET', WHOAMI, { headers: { Authorization: `Bearer ${jwt}` } });
    expect(asJwt.body.data).toMatchObject({ subject: 'by-jwt', session: null });
    for (const headers of [{ Authorization: 'Bearer a.b.c' }, { 'Cf-Access-Jwt-Assertion': 'a.b.c' }])
      expect(codeOf(await h.browse(browser, 'GET', WHOAMI, { headers }))).toBe('invalid_token');
    expect(codeOf(await h.browse(browser, 'GET', WHOAMI, { headers: { Authorization: 'Basic x' } }))).toBe(
      'unauthenticated',
    );
  });

  it.each([
    ['made up', 'a.b.c.d.e'],
    ['too long', 'x'.repeat(10_000)],
  ])('is refused with a cookie that is %s', async (_name, value) => {
    const answer = await h.ask(withSession(value), 'GET', WHOAMI);
    expect([answer.status, codeOf(answer)]).toEqual([401, 'session_ended']);
  });

  it('is refused with two cookies of the name, and with that of a sign-in', async () => {
    const browser = await h.signIn({ sub: 'twice' });
    const cookie = `__Host-countersign_session=${sessionOf(browser)}`;
    const twice = await h.send('GET', WHOAMI, { jwt: null, headers: { Cookie: `${cookie}; ${cookie}` } });
    expect(codeOf(twice)).toBe('session_ended');
    const begun = newBrowser();
    await h.begin(begun);
    const [value] = begun.cookies.values();
    expect(codeOf(await h.ask(withSession(value!), 'GET', WHOAMI))).toBe('session_ended');
  });

  it('is judged by its own session, however alike it is to those beside it', async () => {
    const shared = await createSessionHarness({ like: h, env: { SNAPSHOT_MAX_AGE_SECONDS: '60' } });
    const [alive, over] = [await shared.signIn({ sub: 'alike' }), await shared.signIn({ sub: 'alike' })];
    const jwt = await shared.jwtFor('admin', { sub: 'alike', email: 'ada@example.test' });
    await shared.ask(alive, 'GET', TOKENS);
    await shared.ask(copyOf(over), 'POST', LOGOUT);
    const asked = [alive, over, alive, over, over, alive].map(
      async (browser) => (await shared.ask(browser, 'GET', TOKENS)).status,
    );
    const byJwt = shared.send('GET', TOKENS, { jwt }).then(({ status }) => status);
    expect(await Promise.all([...asked, byJwt])).toEqual([200, 401, 200, 401, 401, 200, 200]);
  });

  it('tells nothing of its caller where D1 does not say whether it lives', async () => {
    const browser = await h.signIn({ sub: 'unsure' });
    const down = await createSessionHarness({ like: h, db: failingBatches(() => true).db });
    expect((await down.ask(browser, 'GET', WHOAMI)).status).toBe(503);
  });

  it('of a session that is over has no denial in the name of its user', async () => {
    const denied = await createSessionHarness({
      like: h,
      roles: { reader: { permissions: ['tokens:read'], workspaces: ['*'] } },
    });
    const browser = await denied.signIn({ sub: 'thief', role: 'reader' });
    expect(codeOf(await denied.ask(browser, 'GET', '/api/v1/status'))).toBe('forbidden');
    await denied.ask(copyOf(browser), 'POST', LOGOUT);
    expect(codeOf(await denied.ask(browser, 'GET', '/api/v1/status'))).toBe('session_ended');
    const codes = (await trailOf('thief')).map(({ action, error_code }) => [action, error_code]);
    expect(codes).toEqual([
      ['session.start', null],
      ['status.read', 'forbidden'],
      ['session.end', null],
      ['status.read', 'session_ended'],
    ]);
  });
});

it('the rows of sessions are forgotten an hour after their end is recorded', async () => {
  const old = await createSessionHarness({ like: h });
  await old.ask(await old.signIn({ sub: 'forgotten' }), 'POST', LOGOUT);
  await old.cron();
  expect(await sessionRows('forgotten')).toHaveLength(1);
  old.age(3_601);
  await old.cron();
  expect(await sessionRows('forgotten')).toEqual([]);
  expect(await ends('forgotten')).toEqual(['logged_out']);
});
