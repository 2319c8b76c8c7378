import { text } from 'node:stream/consumers';
import { describe, expect, it } from 'vitest';
import { callerAs, expectEvent, uniqueName } from './support/people.ts';
import { expectNotSeen, expectSeen, visit } from './support/visit.ts';

// The trail, as people ask it.

const CREATE = 'service_account_token.create';

describe('Activity', () => {
  it('tells what happened in sentences as it happens, with the raw record behind them', async () => {
    const { page } = await visit('ada', '/console/activity');
    await page.getByRole('heading', { level: 1, name: 'Activity' }).waitFor();
    const name = uniqueName('live');
    const { id } = await callerAs('local-ci', 'ci').tokens.create({ name, scopes: ['api:read'] });
    const row = page.getByRole('listitem').filter({ hasText: name });
    await expectSeen(row);
    await row.getByRole('button', { name: /^Record/ }).click();
    const record = page.getByLabel('The record as JSON');
    await expectSeen(record.getByText(`"${CREATE}"`));
    await record.getByRole('link', { name: id }).click();
    await page.waitForURL(`**/console/tokens/*/${id}`);
    await expectSeen(page.getByRole('heading', { level: 1, name: new RegExp(name) }));
  });

  it('is filtered by what is typed, and its address says how', async () => {
    const name = uniqueName('asked');
    const ci = callerAs('local-ci', 'ci');
    await ci.tokens.create({ name, scopes: ['api:read'] });
    await ci.tokens.create({ name, scopes: ['api:full'] }).catch(() => null);
    const { page } = await visit('ada', '/console/activity');
    const field = page.getByRole('combobox', { name: 'Filter the events' });
    await field.fill(`name:${name} status:failure`);
    await page.getByRole('button', { name: 'Filter', exact: true }).click();
    const rows = page.getByRole('listitem').filter({ hasText: name });
    await expectSeen(rows.getByText(/tried to/));
    expect(await rows.count()).toBe(1);
    expect(new URL(page.url()).searchParams.get('q')).toBe(`name:${name} status:failure`);
    // What somebody is sent in a chat shows the same.
    await page.goto(`/console/activity?q=${encodeURIComponent(`name:${name}`)}`);
    await expectSeen(rows.nth(1));
    await page.goBack();
    await expectNotSeen(rows.nth(1));
  });

  it('suggests what can be asked', async () => {
    const { page } = await visit('ada', '/console/activity');
    const field = page.getByRole('combobox', { name: 'Filter the events' });
    await field.pressSequentially('status:fa');
    await expectSeen(page.getByRole('option', { name: /failure/ }));
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('Enter');
    expect(await field.inputValue()).toContain('status:failure');
  });

  it.each([
    ['NDJSON', /NDJSON/],
    ['CSV', /CSV/],
  ] as const)('is exported whole as %s, with the filters that are on', async (format, choice) => {
    const name = uniqueName('exported');
    const ci = callerAs('local-ci', 'ci');
    const { id } = await ci.tokens.create({ name, scopes: ['api:read'] });
    await ci.tokens.revoke(id);
    await expectEvent({ action: 'service_account_token.revoke', token_id: id });
    const { page } = await visit(
      'grace',
      `/console/activity?q=${encodeURIComponent(`token:${id} action:service_account_token.*`)}`,
    );
    await page.getByRole('button', { name: 'Export', exact: true }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByRole('radio', { name: choice }).check();
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      dialog.getByRole('button', { name: 'Export', exact: true }).click(),
    ]);
    await expectSeen(dialog.getByText(/^Saved whole/));
    const lines = (await text(await download.createReadStream())).trimEnd().split('\n');
    const events = format === 'CSV' ? lines.slice(1) : lines.filter((line) => line.includes('"action"'));
    expect(events.length).toBeGreaterThanOrEqual(2);
    expect(events.filter((line) => !line.includes(id))).toEqual([]);
    expect(await expectEvent({ action: 'audit.export' })).toMatchObject({
      status: 'success',
      actor: { subject: 'grace' },
    });
  });

  it('narrows to a range by the arrow keys', async () => {
    const { page } = await visit('ada', '/console/activity');
    const bars = page.getByRole('slider', { name: /^Events over time/ });
    await bars.focus();
    await page.keyboard.press('ArrowLeft');
    await page.keyboard.press('Shift+ArrowRight');
    await page.keyboard.press('Enter');
    await page.waitForURL(/[?&]from=/);
    await page.getByRole('button', { name: 'All times' }).click();
    await page.waitForURL((url) => !url.searchParams.has('from'));
    expect(new URL(page.url()).search).toBe('');
  });

  it('shows somebody without audit:read what they did themselves, and nobody else', async () => {
    const { page } = await visit('linus', '/console/activity');
    await expectSeen(page.getByRole('heading', { level: 1, name: 'Your activity' }));
    await expectSeen(page.getByRole('listitem').filter({ hasText: /linus|You / }));
    expect(await page.getByText('grace@example.test').count()).toBe(0);
    expect(await page.getByRole('button', { name: 'Export', exact: true }).count()).toBe(0);
  });
});
