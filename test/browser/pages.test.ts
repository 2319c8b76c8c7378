import type { Page } from 'playwright-core';
import { describe, it } from 'vitest';
import { expectGoodLooks } from './support/looks.ts';
import type { PersonName } from './support/people.ts';
import { type Places, places } from './support/places.ts';
import { expectNotSeen, visit } from './support/visit.ts';

// Each page in both themes and at each width: nothing runs out of the window, and axe finds nothing serious or critical.

/** Nothing is being read any more, so that the picture is of the page and not of its beginning. */
async function untilDrawn(page: Page): Promise<void> {
  await page.getByRole('heading', { level: 1 }).waitFor();
  await expectNotSeen(page.getByText(/^(?:Loading|Reading).*…$/).first());
}

describe('a page looks good', () => {
  it.each([
    ['sign-in', '/console/sign-in'],
    ['sign-in-refused', '/console/sign-in?error=no_role'],
    ['signed-out', '/console/signed-out'],
  ])('%s', async (name, path) => {
    const { page } = await visit(null, path);
    await page.getByRole('heading', { level: 1 }).waitFor();
    await expectGoodLooks(page, name);
  });

  it.each<[string, PersonName, string]>([
    ['activity', 'ada', '/console/activity'],
    ['event', 'ada', 'event'],
    ['tokens', 'ada', '/console/tokens?show=all'],
    ['token', 'ada', 'token'],
    ['whose', 'ada', '/console/whose'],
    ['people', 'ada', '/console/people'],
    ['person', 'ada', 'person'],
    ['webhooks', 'ada', '/console/webhooks'],
    ['delivery', 'ada', 'delivery'],
    ['revocation', 'ada', 'revocation'],
    ['health', 'ada', '/console/health'],
    ['not-found', 'ada', '/console/nowhere'],
    // What others than an administrator see of these is not the same.
    ['own-activity', 'linus', '/console/activity'],
    ['own-tokens', 'linus', '/console/tokens'],
    ['no-permission', 'linus', '/console/people'],
    ['readiness', 'linus', '/console/health'],
  ])('%s', async (name, person, path) => {
    const found = path.startsWith('/') ? path : (await places())[path as keyof Places];
    const { page } = await visit(person, found);
    await untilDrawn(page);
    await expectGoodLooks(page, name);
  });

  it.each([
    ['dialog-create', '/console/tokens', 'Create a token'],
    ['dialog-offboard', '/console/people', 'Offboard somebody…'],
    ['dialog-export', '/console/activity', 'Export'],
  ])('%s', async (name, path, button) => {
    const { page } = await visit('ada', path);
    await page.getByRole('button', { name: button, exact: true }).click();
    await page.getByRole('dialog').waitFor();
    await untilDrawn(page);
    await expectGoodLooks(page, name);
  });
});
