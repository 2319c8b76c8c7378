import { describe, expect, inject, it } from 'vitest';
import { deliveryOf } from '../../commands/webhook/delivery.ts';
import { readRunFile } from '../../local/state-dir.ts';
import { webhooksOf } from '../e2e/service.ts';
import { createControl } from '../pipeops-simulator/control.ts';
import { callerAs, callerAsPerson, expectEvent, jwtOf, uniqueName } from './support/people.ts';
import { expectSeen, visit } from './support/visit.ts';

// People who leave, what comes in by webhook, and how the service is.

const { stateDir, url } = inject('browserRun');
const control = createControl(readRunFile(stateDir)?.simulatorUrl ?? '');

/** A scanner reports a secret by a signed webhook. */
async function reportLeak(token: string): Promise<void> {
  const message = { source: 'scanner', event: 'token.leaked', data: { token } } as const;
  const { path, headers, body } = deliveryOf(message, webhooksOf(stateDir), `msg_${crypto.randomUUID()}`, new Date());
  const { status } = await fetch(new URL(path, url), { method: 'POST', headers, body });
  expect(status).toBe(202);
}

describe('People', () => {
  it('offboards somebody whose tokens then end, and reinstates them', async () => {
    const subject = uniqueName('kim');
    const leaver = callerAs(subject, 'ci', `${subject}@acme.example`);
    const { id } = await leaver.tokens.create({ name: uniqueName('kims'), scopes: ['api:read'] });
    const { page } = await visit('ada', `/console/people?q=${subject}`);
    await page.getByRole('link', { name: `${subject}@acme.example` }).click();
    await page.getByRole('button', { name: /^Offboard/ }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Reason').fill('HR-12: has left');
    await dialog.getByRole('button', { name: `Offboard ${subject}@acme.example` }).click();
    await expectSeen(page.getByRole('heading', { level: 1 }).getByText('Blocked'));
    await expectSeen(page.getByText('The revocation is confirmed.'));
    expect(await expectEvent({ action: 'service_account_token.revoke', token_id: id })).toMatchObject({
      status: 'success',
    });
    await expect(leaver.tokens.list()).rejects.toMatchObject({ failure: { code: 'subject_blocked' } });

    await page.getByRole('button', { name: /^Reinstate/ }).click();
    await dialog.getByLabel('Reason').fill('HR-12: has come back');
    await dialog.getByRole('button', { name: /^Reinstate/ }).click();
    await expectSeen(page.getByText(/^1 block was lifted/));
    await expect(leaver.tokens.list()).resolves.toBeDefined();
  });

  it('does not offer to offboard oneself', async () => {
    const ada = callerAsPerson('ada');
    const { issuer } = await ada.whoami();
    await ada.tokens.create({ name: uniqueName('own'), scopes: ['api:read'] });
    const { page } = await visit('ada', `/console/people/${encodeURIComponent(`${issuer}|ada`)}`);
    await expectSeen(page.getByText(/This is you/));
    expect(await page.getByRole('button', { name: /^Offboard/ }).count()).toBe(0);
  });
});

describe('Webhooks', () => {
  it('shows what a delivery led to, and tries again what is left', async () => {
    const { id, token } = await callerAs('local-ci', 'ci').tokens.create({
      name: uniqueName('stuck'),
      scopes: ['api:read'],
    });
    // PipeOps does not take the revocation, so that the order stays open.
    await control.fault({ match: { method: 'DELETE', path_contains: id }, status: 500, times: 100 });
    await reportLeak(token);
    const { page } = await visit('ada', '/console/webhooks');
    await page.getByRole('link', { name: 'reported 1 leaked secret' }).first().click();
    await page.waitForURL('**/console/webhooks/*');
    const retry = page.getByRole('button', { name: 'Try 1 revocation again now' });
    await expectSeen(retry);
    await control.clearFaults();
    await retry.click();
    await expectSeen(page.getByText('The revocation is confirmed.'));
    expect(await expectEvent({ action: 'webhook.retry' })).toMatchObject({
      status: 'success',
      actor: { subject: 'ada' },
    });
  });

  it('are not offered to somebody whose roles do not open them', async () => {
    const { page } = await visit('linus', '/console/webhooks');
    await expectSeen(page.getByText('Your roles do not open this page'));
    expect(await page.getByRole('link', { name: 'Webhooks' }).count()).toBe(0);
  });
});

describe('Health', () => {
  it('shows an auditor all of the status', async () => {
    const { page, requests } = await visit('grace', '/console/health');
    await expectSeen(page.getByRole('heading', { name: 'Calls to PipeOps' }));
    await expectSeen(page.getByRole('heading', { name: 'Database' }));
    expect(requests.some(({ url: asked }) => asked.endsWith('/api/v1/status'))).toBe(true);
  });

  it('shows anybody else as much as load balancers see, and asks for no more', async () => {
    const { page, requests } = await visit('linus', '/console/health');
    await expectSeen(page.getByRole('heading', { name: 'Open work' }));
    expect(requests.filter(({ url: asked }) => asked.endsWith('/api/v1/status'))).toEqual([]);
  });

  it('says on every page when something needs attention', async () => {
    const { page } = await visit('linus', null);
    await page.route('**/readyz', async (route) => {
      const response = await route.fetch();
      const body: { data: { degraded: string[] } } = await response.json();
      body.data.degraded = ['upstream_unreachable'];
      await route.fulfill({ response, json: body });
    });
    await page.goto('/console/tokens');
    const banner = page.getByRole('status').filter({ hasText: 'PipeOps does not answer.' });
    await expectSeen(banner);
    await banner.getByRole('link', { name: 'See Health' }).click();
    await page.waitForURL('**/console/health');
  });
});

describe('a caller without a role', () => {
  it('is told so in the words of the API, and offered nothing', async () => {
    const opened = await visit(null, null);
    await opened.context.setExtraHTTPHeaders({ Authorization: `Bearer ${await jwtOf('nobody', 'nobody')}` });
    opened.announce(/^403 GET \/api\/v1\/whoami$/);
    await opened.page.goto('/console/tokens');
    await expectSeen(opened.page.getByRole('alert'));
    expect(await opened.page.getByRole('navigation').count()).toBe(0);
  });
});
