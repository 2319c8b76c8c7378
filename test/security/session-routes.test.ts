import { beforeAll, describe, expect, it } from 'vitest';
import { PERMISSIONS } from '../../src/vocabulary.ts';
import { BY_CONSOLE, type Browser, copyOf, createSessionHarness, type SessionHarness } from '../sessions/harness.ts';
import { type Answer, TOKENS } from '../support/harness.ts';
import { sealFirst, TRAIL_KEY } from '../trail/log/sealed.ts';
import { rowsOf } from './expectations.ts';
import { ABOUT_NOBODY, nameOf, PROTECTED_ROUTES, type ProtectedRoute, REVOCATIONS } from './routes.ts';
import { BOTH, readsLists, SNAPSHOTS_OFF, type Snapshots } from './snapshots.ts';

// No route forgets that a session may be over: each looks in the batch that records what it does.

const OVER = { status: 'failure', error_code: 'session_ended', actor_subject: 'person', upstream_status: null };
const everything = { permissions: PERMISSIONS, tokens: 'any', workspaces: ['*'], scopes: ['*'] };

describe.each(BOTH.map((mode) => [mode.snapshots, mode] as const))('with snapshots %s', (_name, mode) => {
  const routes = PROTECTED_ROUTES.filter((route) => mode === SNAPSHOTS_OFF || readsLists(route));
  let h: SessionHarness;
  let abouts: Readonly<Record<string, string>>;
  let alive: Browser;
  let over: Browser;
  const start = async ({ env }: Snapshots): Promise<void> => {
    h = await createSessionHarness({ env: { ...env, TRAIL_KEY }, roles: { everything } });
    alive = await h.signIn({ sub: 'person', role: 'everything' });
    over = await h.signIn({ sub: 'person', role: 'everything' });
    const delivery = await h.sendEvent('scanner', 'token.revoke', { token_id: 'unknown-id' });
    const revocation = await h.ask(alive, 'POST', REVOCATIONS, ABOUT_NOBODY);
    await h.mint();
    abouts = {
      event: (await h.rows())[0]!.id,
      'sealed event': await sealFirst(),
      delivery: delivery.body.data.delivery_id,
      revocation: revocation.body.data.id,
    };
    await h.ask(copyOf(over), 'POST', '/auth/logout');
  };
  beforeAll(async () => await start(mode));

  const mintOwn = async (): Promise<string> =>
    (await h.ask(alive, 'POST', TOKENS, { name: 'deploy', scopes: ['api:read'] })).body.data.id;
  const send = async (
    browser: Browser,
    { method, path, body, headers, about }: ProtectedRoute,
    tokenId: string,
    own: Readonly<Record<string, string>> = BY_CONSOLE,
  ): Promise<Answer> =>
    await h.browse(browser, method, path(tokenId, about && abouts[about]), {
      headers: { ...headers, ...(headers !== undefined && { 'Idempotency-Key': crypto.randomUUID() }), ...own },
      ...(body !== undefined && { body }),
    });

  it.each(routes.map((route) => [nameOf(route), route] as const))('%s', async (_route, route) => {
    await route.before?.();
    const tokenId = await mintOwn();
    // What is refused is refused on a list that is held, too.
    if (mode !== SNAPSHOTS_OFF) await h.ask(alive, 'GET', TOKENS);
    const asked = (await h.upstream()).filter(({ method }) => method !== 'GET').length;

    const refused = await send(over, route, tokenId);
    expect([refused.status, refused.body.code]).toEqual([401, 'session_ended']);
    expect(await rowsOf(refused)).toMatchObject([OVER]);

    const isChange = route.method !== 'GET';
    const forged = isChange ? await send(alive, route, tokenId, { 'Sec-Fetch-Site': 'same-origin' }) : null;
    expect([forged?.status, forged?.body.code]).toEqual(isChange ? [403, 'cross_site'] : [undefined, undefined]);
    expect((await h.upstream()).filter(({ method }) => method !== 'GET')).toHaveLength(asked);

    expect((await send(alive, route, tokenId)).status).toBe(route.success.status);
  });
});
