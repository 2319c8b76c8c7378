import { beforeEach, describe, expect, it } from 'vitest';
import { QUOTA_HOUR_CALLS, UNKNOWN_IDS_MAX_COUNT } from '../../../src/config/limits.ts';
import { keptCalls } from '../../../src/pipeops/quota-windows.ts';
import { clearOrders, rowsOfDelivery } from '../harness.ts';
import { createCompany, leakedToken, madeUp, orderOf } from './made-up.ts';

// Whoever may order revocations may name what there is not. That costs little of what PipeOps takes, nothing of what is kept for
// revocation, and keeps no true order waiting.

beforeEach(clearOrders);

describe('orders of one workspace that is made up', () => {
  it('are asked about once a run, wait together, and longer and longer', async () => {
    const company = await createCompany();
    const workspace = crypto.randomUUID();
    await company.order(
      Array.from({ length: 40 }, (_, index) => ({ token_id: `tok-${index}`, workspace_uuid: workspace })),
    );
    expect(company.madeUpCalls()).toHaveLength(1);
    const orders = await orderOf(workspace);
    expect(new Set(orders.map(({ next_at, tries, error_code }) => `${next_at} ${tries} ${error_code}`)).size).toBe(1);
    await company.minutes(90);
    // 5 s, 10 s, … an hour, as one order waits.
    expect(company.madeUpCalls().length).toBeLessThan(12);
    expect(new Set((await orderOf(workspace)).map(({ next_at }) => next_at)).size).toBe(1);
    expect((await orderOf(workspace)).every(({ state }) => state === 'open')).toBe(true);
  }, 60_000);

  it('wait with it when they come later, however many deliveries name it', async () => {
    const company = await createCompany();
    const workspace = crypto.randomUUID();
    await company.order([{ token_id: 'first', workspace_uuid: workspace }]);
    await company.minutes(30);
    const before = company.madeUpCalls().length;
    for (let sent = 0; sent < 10; sent += 1) {
      await company.order([{ token_id: `later-${sent}`, workspace_uuid: workspace }]);
      await company.minutes(1);
    }
    expect(company.madeUpCalls().length - before).toBeLessThanOrEqual(1);
    await company.minutes(60);
    expect(new Set((await orderOf(workspace)).map(({ next_at }) => next_at)).size).toBe(1);
  }, 60_000);

  it('are given up after three days, and the trail says so', async () => {
    const company = await createCompany();
    const workspace = crypto.randomUUID();
    const answer = await company.order([{ token_id: 'first', workspace_uuid: workspace }]);
    for (let hour = 0; hour < 75; hour += 1) {
      company.harness.age(3_600);
      await company.harness.cron();
    }
    expect(await orderOf(workspace)).toMatchObject([{ state: 'failed', error_code: 'workspace_unavailable' }]);
    expect((await rowsOfDelivery(answer)).at(-1)).toMatchObject({
      status: 'failure',
      error_code: 'workspace_unavailable',
    });
  }, 60_000);

  it('are tried at once when a person retries their delivery', async () => {
    const company = await createCompany();
    const { harness, workspaces } = company;
    const workspace = crypto.randomUUID();
    const answer = await company.order([{ token_id: 'theirs', workspace_uuid: workspace }]);
    await company.minutes(45);
    // The last run of the cron may have taken the turn in which workspaces that are not known are asked about.
    harness.age(60);
    workspaces.set(workspace, new Set(['theirs', 'others']));
    const retry = `/api/v1/webhooks/deliveries/${answer.body.data.delivery_id}/retry`;
    const nowMs = harness.runtime.now();
    const jwt = await harness.issuer.sign({ sub: 'admin-1', role: 'admin' }, { nowMs });
    expect((await harness.send('POST', retry, { jwt })).status).toBe(202);
    expect([...workspaces.get(workspace)!]).toEqual(['others']);
  }, 60_000);
});

describe('a thousand ids that are made up, in a workspace whose list is partial', () => {
  it('are asked for ten a run, and keep no leak waiting', async () => {
    const company = await createCompany();
    company.partial.add(company.harness.workspace);
    const ids = Array.from({ length: 1_000 }, (_, index) => ({
      token_id: `tok-${index}`,
      workspace_uuid: company.harness.workspace,
    }));
    await company.order(ids);
    const asked = () => company.calls.filter(({ id }) => id?.startsWith('tok-') === true).length;
    expect(asked()).toBeLessThanOrEqual(UNKNOWN_IDS_MAX_COUNT);
    await company.minutes(10);
    expect(asked()).toBeLessThanOrEqual(11 * UNKNOWN_IDS_MAX_COUNT);
    const leaked = await leakedToken(company);
    await company.minutes(1);
    expect(company.workspaces.get(company.harness.workspace)?.has(leaked)).toBe(false);
  }, 60_000);

  it('use nothing of the reserve, which a leak still has', async () => {
    const company = await createCompany();
    const { harness, quota } = company;
    company.partial.add(harness.workspace);
    // Of the hour only what is kept is left, and a minute that is as good as new.
    for (let spent = 0; spent < 900; spent += 1) {
      if (spent % 90 === 0) harness.age(61);
      expect(quota.charge('credential', harness.runtime.now()).allowed).toBe(true);
    }
    harness.age(61);
    await company.order([{ token_id: 'tok-1', workspace_uuid: harness.workspace }, ...madeUp(5)]);
    await company.minutes(2);
    await company.order([{ token_id: 'tok-2', workspace_uuid: harness.workspace }, ...madeUp(5)]);
    await company.minutes(2);
    // What is known is asked about; nothing else.
    expect(company.calls.map(({ id, workspace }) => [id, workspace])).toEqual(
      company.calls.map(() => [null, harness.workspace]),
    );
    // Twenty that may not be looked up do not end the run before it.
    const beside = Array.from({ length: 20 }, (_, index) => ({
      token_id: `beside-${index}`,
      workspace_uuid: harness.workspace,
    }));
    const leaked = await leakedToken(company, beside);
    expect(company.workspaces.get(harness.workspace)?.has(leaked)).toBe(false);
    expect(company.left.ofHour).toBeGreaterThan(keptCalls('hour', 'change', QUOTA_HOUR_CALLS) - 12);
  }, 60_000);
});
