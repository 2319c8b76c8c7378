import { afterAll, describe, expect, inject, it } from 'vitest';
import { readRunFile } from '../../local/state-dir.ts';
import { CountersignError } from '../../package/client/failure.ts';
import {
  admin,
  callerAsPerson,
  expectEvent,
  PEOPLE,
  type PersonName,
  signIn,
  UNAUTHENTICATED,
  uniqueName,
} from './support/people.ts';
import { expectNotSeen, expectSeen, forgetSession, visit } from './support/visit.ts';

// Who is signed in, what that opens, and how it ends.

const { stateDir, url } = inject('browserRun');
const LINUS = { issuer: readRunFile(stateDir)?.peopleIssuer ?? '', subject: 'linus' };
const SESSION = '__Host-countersign_session';
const SIGN_IN_ENDED = /^401 GET \/api\/v1\//;

describe('signing in', () => {
  it.each<[PersonName, string, string, readonly string[]]>([
    [
      'ada',
      'their role is about the trail',
      '/console/activity',
      ['Activity', 'Tokens', 'Whose token is this?', 'People', 'Webhooks', 'Health'],
    ],
    ['grace', 'they read the trail alone', '/console/activity', ['Activity', 'People', 'Webhooks', 'Health']],
    [
      'linus',
      'their role is about tokens',
      '/console/tokens',
      ['Activity', 'Tokens', 'Whose token is this?', 'Health'],
    ],
  ])('%s, because %s, lands on %s, and is offered what their role grants', async (person, _why, landing, pages) => {
    const { page } = await visit(person, '/console');
    await page.waitForURL(`**${landing}`);
    const links = page.getByRole('navigation', { name: 'Pages' }).getByRole('link');
    expect(await links.allTextContents()).toEqual(pages);
    await expectSeen(page.getByText(PEOPLE[person].email, { exact: true }));
    expect(await page.getByRole('button', { name: 'Create a token', exact: true }).count()).toBe(
      person === 'linus' ? 1 : 0,
    );
  });

  it('comes back to the page that was asked for, with its query', async () => {
    const { page, announce } = await visit(null, null, { ownSession: true });
    announce(UNAUTHENTICATED);
    await page.goto('/console/tokens?show=suspended');
    await page.waitForURL('**/console/sign-in?return_to=*');
    await signIn(page, 'linus');
    expect(page.url()).toBe(new URL('/console/tokens?show=suspended', url).href);
    await expectSeen(page.getByRole('button', { name: 'Suspended', pressed: true }));
  });

  // test/sessions knows more of these; here the browser itself follows.
  it.each(['//evil.example/console', '/\\evil.example'])('comes back to the console, and not to %s', async (place) => {
    const { page } = await visit(null, `/console/sign-in?return_to=${encodeURIComponent(place)}`);
    await signIn(page, 'grace');
    expect(new URL(page.url()).origin).toBe(url);
    await page.waitForURL('**/console/activity');
  });

  it('keeps a cookie that no script reads and no other site sends, and nothing else', async () => {
    const { page, context } = await visit('grace', '/console/health');
    const cookies = (await context.cookies()).filter(({ domain }) => domain === '127.0.0.1');
    expect(cookies.map(({ name }) => name)).toEqual([SESSION]);
    expect(cookies[0]).toMatchObject({ httpOnly: true, secure: true, sameSite: 'Lax', path: '/' });
    expect(await page.evaluate(() => document.cookie)).toBe('');
    const kept = await page.evaluate(async () => [
      localStorage.length,
      sessionStorage.length,
      (await indexedDB.databases()).length,
      (await caches.keys()).length,
    ]);
    expect(kept).toEqual([0, 0, 0, 0]);
  });

  it('is told in words where it came to nothing', async () => {
    const { page } = await visit(null, '/auth/callback?code=made-up&state=made-up');
    await page.waitForURL('**/console/sign-in?error=sign_in_failed');
    await expectSeen(page.getByRole('alert').getByText(/Sign in again/));
  });
});

describe('signing out', () => {
  it('ends the session, so that a cookie that was stolen before opens nothing', async () => {
    const { page, context } = await visit('grace', '/console/health', { ownSession: true });
    const stolen = await context.cookies();
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.waitForURL('**/console/signed-out');
    await expectSeen(page.getByRole('heading', { name: 'You are signed out' }));
    expect((await context.cookies()).filter(({ name }) => name === SESSION)).toEqual([]);
    expect(await expectEvent({ action: 'session.end' })).toMatchObject({
      status: 'success',
      actor: { subject: 'grace' },
    });

    const thief = await visit(null, null);
    await thief.context.addCookies(stolen);
    thief.announce(UNAUTHENTICATED);
    await thief.page.goto('/console/activity');
    await thief.page.waitForURL('**/console/sign-in?return_to=*');
  });
});

describe('a session that has ended', () => {
  // Linus is there for the other files, whatever happened here.
  afterAll(async () => {
    forgetSession('linus');
    try {
      await admin.reinstatements.create({ subject: LINUS, reason: 'A test is over' });
    } catch (error) {
      if (!(error instanceof CountersignError)) throw error;
    }
  });

  it('says so where somebody works, and leads back there', async () => {
    const { page, context, announce } = await visit('linus', '/console/tokens', { ownSession: true });
    await expectSeen(page.getByRole('heading', { level: 1, name: 'Tokens' }));
    // The click meets the end of the session, and not a read that was begun as the page was opened.
    await expectNotSeen(page.getByText('Reading the inventory'));
    await context.clearCookies({ name: SESSION });
    announce(SIGN_IN_ENDED);
    await page.getByRole('button', { name: 'All', exact: true }).click();
    await expectSeen(page.getByRole('heading', { name: 'Your session has ended' }));
    await page.getByRole('link', { name: 'Sign in again' }).click();
    await page.waitForURL((asked) => asked.pathname !== '/auth/login');
    if (await page.getByRole('button', { name: PEOPLE.linus.name }).isVisible()) {
      await page.getByRole('button', { name: PEOPLE.linus.name }).click();
    }
    await page.waitForURL('**/console/tokens?show=all');
  });

  it('dies with an offboarding while somebody watches, and does not live again', async () => {
    const token = await callerAsPerson('linus').tokens.create({ name: uniqueName('leaver'), scopes: ['api:read'] });
    const leaver = await visit('linus', '/console/tokens', { ownSession: true });
    await expectSeen(leaver.page.getByRole('link', { name: token.name }));

    const { page } = await visit('ada', `/console/people/${encodeURIComponent(`${LINUS.issuer}|${LINUS.subject}`)}`);
    await page.getByRole('button', { name: /^Offboard/ }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Reason').fill('HR-3: the last day');
    const typing = dialog.getByLabel(/^Type /);
    if (await typing.isVisible()) await typing.fill(PEOPLE.linus.email);
    await dialog.getByRole('button', { name: `Offboard ${PEOPLE.linus.email}` }).click();
    await expectSeen(page.getByRole('heading', { level: 1 }).getByText('Blocked'));
    await expectSeen(page.getByText(/revocations? (is|are) confirmed/).first());
    expect(await expectEvent({ action: 'service_account_token.revoke', token_id: token.id })).toMatchObject({
      status: 'success',
    });

    leaver.announce(/^40[13] GET \/api\/v1\//);
    await leaver.page.getByRole('button', { name: 'All', exact: true }).click();
    await expectSeen(leaver.page.getByText(/Your access was withdrawn|has ended/));
    await expectNotSeen(leaver.page.getByRole('link', { name: token.name }));

    await admin.reinstatements.create({ subject: LINUS, reason: 'HR-3: a mistake' });
    await leaver.page.goto('/console/tokens');
    await leaver.page.waitForURL('**/console/sign-in?return_to=*');
  });
});

describe('a service that cannot be reached', () => {
  it('is said on the page, which goes on by itself when it is there again', async () => {
    const { page, context, announce } = await visit('linus', '/console/tokens');
    await expectSeen(page.getByText(/No token matches|PipeOps was last looked at/));
    announce(/^net::ERR_INTERNET_DISCONNECTED/);
    await context.setOffline(true);
    await expectSeen(page.getByText('The service cannot be reached from here.'));
    await page.getByRole('button', { name: 'All', exact: true }).click();
    await expectSeen(page.getByRole('alert').getByText(/offline/));
    await context.setOffline(false);
    await expectNotSeen(page.getByText('The service cannot be reached from here.'));
    await expectNotSeen(page.getByRole('alert'));
  });
});

describe('the keyboard alone', () => {
  it('signs in, creates a token and revokes it', async () => {
    const name = uniqueName('keys');
    const { page, announce } = await visit(null, null);
    announce(UNAUTHENTICATED);
    await page.goto('/console/tokens');
    /** Moves on by Tab until something has the focus. */
    const reach = async (role: 'link' | 'button' | 'checkbox' | 'textbox', label: string | RegExp): Promise<void> => {
      const target = page.getByRole(role, { name: label }).first();
      await target.waitFor();
      for (let step = 0; step < 60; step += 1) {
        if (await target.evaluate((element) => element === document.activeElement)) return;
        await page.keyboard.press('Tab');
      }
      throw new Error(`Tab does not reach ${role} ${String(label)}`);
    };
    await reach('link', 'Sign in');
    await page.keyboard.press('Enter');
    await reach('button', PEOPLE.linus.name);
    await page.keyboard.press('Enter');
    await reach('button', 'Create a token');
    await page.keyboard.press('Enter');
    await reach('textbox', 'Name');
    await page.keyboard.type(name);
    await reach('checkbox', 'api:read');
    await page.keyboard.press('Space');
    await reach('button', `Create ${name}`);
    await page.keyboard.press('Enter');
    await reach('checkbox', /I have stored it/);
    await page.keyboard.press('Space');
    await reach('button', 'Close');
    await page.keyboard.press('Enter');
    await expectNotSeen(page.getByRole('dialog'));
    await reach('link', name);
    await page.keyboard.press('Enter');
    await reach('button', 'Revoke');
    await page.keyboard.press('Enter');
    await reach('button', `Revoke ${name}`);
    await page.keyboard.press('Enter');
    await expectSeen(page.getByRole('heading', { level: 1 }).getByText('Revoked'));
    const tokenId = page.url().split('/').at(-1) ?? '';
    expect(await expectEvent({ action: 'service_account_token.revoke', token_id: tokenId })).toMatchObject({
      status: 'success',
      actor: { subject: 'linus' },
    });
  });
});
