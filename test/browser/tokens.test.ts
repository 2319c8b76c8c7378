import type { Locator, Page } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import { admin, callerAs, callerAsPerson, expectEvent, PEOPLE, uniqueName } from './support/people.ts';
import { tokenPath } from './support/places.ts';
import { expectNotSeen, expectSeen, visit } from './support/visit.ts';
import { secretsIn } from './support/watch.ts';

// Tokens, as somebody with a mouse or a keyboard makes, changes and ends them.

const linus = callerAsPerson('linus');
const CREATE = 'service_account_token.create';
const UPDATE = 'service_account_token.update';
const REVOKE = 'service_account_token.revoke';

const button = (where: Pick<Page, 'getByRole'>, name: string | RegExp): Locator =>
  where.getByRole('button', { name, ...(typeof name === 'string' && { exact: true }) });
const dialogOf = (page: Page): Locator => page.getByRole('dialog');

/** Reads the secret that a dialog shows, and closes it as somebody does who has stored it. */
async function store(page: Page, name: string): Promise<string> {
  const dialog = dialogOf(page);
  const secret = (await dialog.getByLabel(`The secret of ${name}`).textContent()) ?? '';
  expect(secret).toMatch(/^sat_[0-9A-Za-z]{32,}$/);
  await dialog.getByRole('checkbox', { name: /I have stored it/ }).check();
  await button(dialog, 'Close').click();
  await expectNotSeen(dialog);
  return secret;
}

describe('a token that is created', () => {
  it('shows its secret once, keeps it through Escape and a click beside, and leaves it nowhere', async () => {
    const name = uniqueName('deploy');
    const { page, context, requests } = await visit('linus', '/console/tokens');
    await context.grantPermissions(['clipboard-read', 'clipboard-write']);
    await button(page, 'Create a token').click();
    const dialog = dialogOf(page);
    await dialog.getByLabel('Name').fill(name);
    await dialog.getByRole('checkbox', { name: 'api:read' }).check();
    await button(dialog, `Create ${name}`).click();

    const shown = dialog.getByLabel(`The secret of ${name}`);
    await expectSeen(shown);
    await page.keyboard.press('Escape');
    await page.keyboard.press('Escape');
    await page.mouse.click(5, 5);
    await expectSeen(shown);
    await button(dialog, 'Copy the secret').click();
    await expectSeen(button(dialog, 'Copied'));
    const secret = await store(page, name);
    expect(await page.evaluate(async () => await navigator.clipboard.readText())).toBe(secret);

    await expectSeen(page.getByRole('link', { name }));
    expect(await secretsIn(page)).toEqual([]);
    expect(requests.filter(({ url, body }) => `${url}${body ?? ''}`.includes(secret))).toEqual([]);
    // Back brings the page before, and not the secret.
    await page.reload();
    await expectSeen(page.getByRole('link', { name }));
    expect(await secretsIn(page)).toEqual([]);

    expect(await expectEvent({ action: CREATE, token_name: name })).toMatchObject({
      status: 'success',
      actor: { subject: 'linus' },
    });
  });

  it('is what the role allows: no other scope is offered, and a longer life is not either', async () => {
    const { page } = await visit('linus', '/console/tokens');
    await button(page, 'Create a token').click();
    const dialog = dialogOf(page);
    const scopes = dialog.getByRole('group', { name: 'Scopes' }).getByRole('checkbox');
    await expectSeen(scopes);
    expect(await scopes.count()).toBe(4);
    const lives = await dialog.getByLabel('Expires after').getByRole('option').allTextContents();
    expect(lives.filter((life) => /90|year|never/i.test(life))).toEqual([]);
  });

  it('is refused in the words of the API, where the right was lost meanwhile', async () => {
    const name = uniqueName('too-late');
    const opened = await visit('linus', null);
    const { page } = opened;
    // What the page was told when it was opened is no longer so.
    await page.route('**/api/v1/whoami', async (route) => {
      const response = await route.fetch();
      const body: { data: { roles: { scopes: string[] }[] } } = await response.json();
      for (const role of body.data.roles) role.scopes.push('api:full');
      await route.fulfill({ response, json: body });
    });
    opened.announce(/^403 POST \/api\/v1\/service-account-tokens$/);
    await page.goto('/console/tokens');
    await button(page, 'Create a token').click();
    const dialog = dialogOf(page);
    await dialog.getByLabel('Name').fill(name);
    await dialog.getByRole('checkbox', { name: 'api:full' }).check();
    await button(dialog, `Create ${name}`).click();
    const alert = dialog.getByRole('alert');
    await expectSeen(alert.getByText('role "developer" allows at most api:read'));
    const { id } = await expectEvent({ action: CREATE, token_name: name, code: 'forbidden' });
    expect(await alert.getByRole('link', { name: 'Its event' }).getAttribute('href')).toBe(`/console/activity/${id}`);
  });
});

describe('the inventory', () => {
  it('is what its address says, and the address is what was searched', async () => {
    const name = uniqueName('reports');
    await linus.tokens.create({ name, scopes: ['projects:read'] });
    const { page } = await visit('ada', '/console/tokens');
    await page.getByRole('combobox', { name: 'Search tokens' }).fill(name);
    await page.keyboard.press('Enter');
    await expectSeen(page.getByRole('link', { name }));
    expect(new URL(page.url()).searchParams.get('token_name')).toBe(name);
    await button(page, 'Suspended').click();
    await expectSeen(page.getByText('No token matches.'));
    await page.goBack();
    await expectSeen(page.getByRole('link', { name }));
    // A link that somebody was sent shows the same.
    await page.goto(`/console/tokens?show=all&token_name=${name}`);
    await expectSeen(page.getByRole('link', { name }));
    expect(await page.getByRole('row').count()).toBe(2);
  });

  it('takes a secret out of its search field, and sends it nowhere', async () => {
    const { token: secret } = await linus.tokens.create({ name: uniqueName('pasted'), scopes: ['api:read'] });
    const { page, requests } = await visit('ada', '/console/tokens');
    const field = page.getByRole('combobox', { name: 'Search tokens' });
    await field.fill(secret);
    await expectSeen(page.getByRole('alert').getByText('That was a secret'));
    expect(await field.inputValue()).toBe('');
    await page.keyboard.press('Enter');
    expect(requests.filter(({ url, body }) => `${url}${body ?? ''}`.includes(secret))).toEqual([]);
  });
});

describe('the page of a token', () => {
  it('suspends and resumes it', async () => {
    const token = await linus.tokens.create({ name: uniqueName('laptop'), scopes: ['api:read'] });
    const { page } = await visit('linus', tokenPath(token));
    await button(page, `Suspend ${token.name}`).or(button(page, 'Suspend')).click();
    await button(dialogOf(page), `Suspend ${token.name}`).click();
    await expectSeen(page.getByRole('heading', { level: 1 }).getByText('Suspended'));
    expect((await admin.tokens.get(token.id)).is_active).toBe(false);
    await button(page, 'Resume').click();
    await button(dialogOf(page), `Resume ${token.name}`).click();
    await expectSeen(page.getByRole('heading', { level: 1 }).getByText('Active'));
    expect(await expectEvent({ action: UPDATE, token_id: token.id })).toMatchObject({
      status: 'success',
    });
  });

  it('rotates it, and shows the new secret once', async () => {
    const token = await linus.tokens.create({ name: uniqueName('nightly'), scopes: ['api:read'] });
    const { page } = await visit('linus', tokenPath(token));
    await button(page, 'Rotate').click();
    await button(dialogOf(page), `Rotate ${token.name}`).click();
    const secret = await store(page, token.name);
    expect(secret).not.toBe(token.token);
    await expectSeen(page.getByRole('heading', { level: 1 }).getByText('Retiring'));
    const [successor] = (await admin.inventory.list({ replaces: token.id })).items;
    await page.getByRole('region', { name: 'Facts' }).getByRole('link', { name: token.name }).click();
    await page.waitForURL(`**/${successor?.id ?? ''}`);
    expect(await expectEvent({ action: CREATE, token_id: successor?.id ?? '' })).toMatchObject({
      detail: { replaces: token.id },
    });
  });

  it('revokes it, by one dialog that says whose it is', async () => {
    const token = await linus.tokens.create({ name: uniqueName('old-job'), scopes: ['api:read'] });
    const { page } = await visit('ada', tokenPath(token));
    await button(page, 'Revoke').click();
    await expectSeen(dialogOf(page).getByText(PEOPLE.linus.email).first());
    await page.keyboard.press('Escape');
    await expectNotSeen(dialogOf(page));
    await button(page, 'Revoke').click();
    await button(dialogOf(page), `Revoke ${token.name}`).click();
    await expectSeen(page.getByRole('heading', { level: 1 }).getByText('Revoked'));
    expect(await expectEvent({ action: REVOKE, token_id: token.id })).toMatchObject({
      status: 'success',
      actor: { subject: 'ada' },
    });
  });
});

describe('whose token a secret is', () => {
  it('is told without sending the secret, and one click revokes it', async () => {
    const token = await linus.tokens.create({ name: uniqueName('found'), scopes: ['api:read'] });
    const { page, context, requests } = await visit('ada', '/console/whose');
    await context.grantPermissions(['clipboard-read', 'clipboard-write']);
    const field = page.getByLabel(/^A secret that was found/);
    await field.focus();
    await page.evaluate(async (text) => await navigator.clipboard.writeText(text), token.token);
    await page.keyboard.press('ControlOrMeta+V');
    await expectSeen(page.getByRole('link', { name: token.name }));
    expect(await field.inputValue()).toBe('');
    await expectSeen(page.getByText(PEOPLE.linus.email).first());
    await button(page, `Revoke ${token.name}`).click();
    await button(dialogOf(page), `Revoke ${token.name}`).click();
    await expectSeen(page.getByText('Revoked', { exact: true }));
    expect(requests.filter(({ url, body }) => `${url}${body ?? ''}`.includes(token.token))).toEqual([]);
    expect(await secretsIn(page)).toEqual([]);
    expect(await expectEvent({ action: REVOKE, token_id: token.id })).toMatchObject({ status: 'success' });
  });

  it('is not told of a text that is no secret of ours', async () => {
    const { page } = await visit('ada', '/console/whose');
    await page.getByLabel(/^A secret that was found/).fill(`sat_${'x'.repeat(40)}`);
    await page.keyboard.press('Enter');
    await expectSeen(page.getByRole('heading', { name: /^Nobody’s/ }));
  });
});

describe('a set of tokens', () => {
  it('is revoked by one order with a typed count, whose receipt is followed to its end', async () => {
    const role = callerAs(uniqueName('batch'), 'ci');
    const name = uniqueName('stray');
    const tokens = await Promise.all(
      [1, 2, 3].map(async () => await role.tokens.create({ name, scopes: ['api:read'] })),
    );
    const { page, requests } = await visit('ada', `/console/tokens?token_name=${name}`);
    await page.getByRole('checkbox', { name: 'Choose all loaded tokens' }).check();
    await button(page, 'Revoke 3 tokens').click();
    const dialog = dialogOf(page);
    await dialog.getByLabel('Reason').fill('INC-7: strays of a test');
    const order = button(dialog, 'Revoke 3 tokens');
    expect(await order.isDisabled()).toBe(true);
    await dialog.getByLabel('Type 3 to revoke 3 tokens').fill('2');
    expect(await order.isDisabled()).toBe(true);
    await dialog.getByLabel('Type 3 to revoke 3 tokens').fill('3');
    await order.click();
    await page.waitForURL('**/console/revocations/*');
    await expectSeen(page.getByText('All 3 revocations are confirmed.'));
    expect(requests.filter(({ method, url }) => method === 'POST' && url.endsWith('/api/v1/revocations'))).toHaveLength(
      1,
    );
    for (const { id } of tokens) {
      expect(await expectEvent({ action: REVOKE, token_id: id })).toMatchObject({ status: 'success' });
    }
  });
});

describe('a leak', () => {
  it('is played on a local run, and the timeline of the token fills by itself', async () => {
    const token = await linus.tokens.create({ name: uniqueName('leaky'), scopes: ['api:read'] });
    const { page } = await visit('ada', tokenPath(token));
    await button(page, 'Leak this token').click();
    const life = page.getByRole('region', { name: 'Life' });
    await expectSeen(life.getByText('reported that its secret has leaked'));
    await expectSeen(life.getByText('acknowledged the revocation'));
    await expectSeen(life.getByText(/confirm/i));
    await expectSeen(page.getByRole('heading', { level: 1 }).getByText('Revoked'));
    await expectSeen(life.getByText(/\d m?s later/));
    expect(await expectEvent({ action: REVOKE, token_id: token.id })).toMatchObject({
      actor: { type: 'webhook', subject: 'scanner' },
    });
  });
});
