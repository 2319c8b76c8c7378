import { env } from 'cloudflare:workers';
import { beforeEach, describe, expect, it } from 'vitest';
import { QUOTA_HOUR_CALLS, UNKNOWN_IDS_MAX_COUNT, UNKNOWN_WORKSPACES_MAX_COUNT } from '../../../src/config/limits.ts';
import type { Answer } from '../../support/harness.ts';
import { keptCalls } from '../../../src/pipeops/quota-windows.ts';
import { createQuota, quotaHeaders } from '../../pipeops-simulator/quota.ts';
import { clearOrders, createWebhookHarness, ordersOf, rowsOfDelivery, type WebhookHarness } from '../harness.ts';

// Whoever may order revocations may name what there is not. That costs little of what PipeOps takes, nothing of what is kept for
// revocation, and keeps no true order waiting.

interface Call {
  readonly method: string;
  readonly workspace: string;
  readonly id: string | null;
}

/** How PipeOps answers for a workspace that it does not know. */
type Unknown = 404 | 403 | 'empty';

/** PipeOps, with its limits by the clock of the test, and the workspaces that it knows with their tokens. */
function createPipeOps(unknown: Unknown) {
  const quota = createQuota();
  const workspaces = new Map<string, Set<string>>();
  const partial = new Set<string>();
  const calls: Call[] = [];
  const left = { ofHour: QUOTA_HOUR_CALLS };
  const answer = (nowMs: number, method: string, url: string): Response => {
    const { pathname, searchParams } = new URL(url);
    const last = pathname.split('/').at(-1) ?? '';
    const id = last === 'service-account-tokens' ? null : last;
    const workspace = searchParams.get('workspace_uuid') ?? '';
    const verdict = quota.charge('credential', nowMs);
    const headers = quotaHeaders(verdict);
    if (!verdict.allowed) return Response.json({ success: false, message: 'Too many' }, { status: 429, headers });
    if (verdict.limit === QUOTA_HOUR_CALLS) left.ofHour = verdict.remaining;
    calls.push({ method, workspace, id });
    const failing = (status: number): Response =>
      Response.json({ success: false, status: 'error', message: '' }, { status, headers });
    const held = workspaces.get(workspace);
    if (held === undefined && unknown !== 'empty') return failing(unknown);
    const tokens = [...(held ?? [])].map((one) => ({ id: one, name: one, scopes: [], workspace_id: workspace }));
    if (id === null) {
      const data = { tokens, total: tokens.length + (partial.has(workspace) ? 5 : 0) };
      return Response.json({ success: true, message: '', data }, { headers });
    }
    if (held?.has(id) !== true) return failing(404);
    if (method === 'DELETE') held.delete(id);
    return Response.json({ success: true, message: '', data: { token: { id, scopes: [] } } }, { headers });
  };
  return { quota, workspaces, partial, calls, left, answer };
}
type PipeOps = ReturnType<typeof createPipeOps>;

interface Company extends PipeOps {
  readonly harness: WebhookHarness;
  readonly madeUpCalls: () => readonly Call[];
  readonly order: (tokens: readonly { token_id: string; workspace_uuid?: string }[]) => Promise<Answer>;
  readonly minutes: (count: number) => Promise<void>;
}

async function createCompany({ unknown = 404, like }: { unknown?: Unknown; like?: Company } = {}): Promise<Company> {
  const pipeops = like ?? createPipeOps(unknown);
  const harness: WebhookHarness = await createWebhookHarness({
    runtime: {
      fetch: async (url, init) =>
        await Promise.resolve(pipeops.answer(harness.runtime.now(), init.method ?? 'GET', url)),
      ...(like !== undefined && { now: () => like.harness.runtime.now() }),
    },
    ...(like !== undefined && { like: like.harness }),
  });
  if (like === undefined) pipeops.workspaces.set(harness.workspace, new Set());
  return {
    ...pipeops,
    harness,
    madeUpCalls: () => pipeops.calls.filter(({ workspace }) => !pipeops.workspaces.has(workspace)),
    order: async (tokens: readonly { token_id: string; workspace_uuid?: string }[]): Promise<Answer> => {
      const answered = await harness.sendEvent('scanner', 'token.revoke', { tokens });
      expect(answered.status, answered.text).toBe(202);
      return answered;
    },
    minutes: async (count: number): Promise<void> => {
      for (let minute = 0; minute < count; minute += 1) {
        harness.age(60);
        await harness.cron();
      }
    },
  };
}

const madeUp = (count: number) =>
  Array.from({ length: count }, () => ({ token_id: 'tok-1', workspace_uuid: crypto.randomUUID() }));
const orderOf = async (workspace: string) => await ordersOf({ workspace });

beforeEach(clearOrders);

describe.each([404, 403, 'empty'] as const)(
  'a thousand workspaces that are made up, which PipeOps answers with %s',
  (unknown) => {
    it('cost a tenth of an hour of calls, and nothing of the reserve', async () => {
      const company = await createCompany({ unknown });
      await company.order(madeUp(1_000));
      await company.minutes(60);
      const asked = company.madeUpCalls();
      expect(asked.length).toBeLessThanOrEqual(61 * UNKNOWN_WORKSPACES_MAX_COUNT);
      expect(asked.every(({ method }) => method === 'GET')).toBe(true);
      // Nobody is asked twice before everybody was asked once.
      expect(new Set(asked.map(({ workspace }) => workspace)).size).toBe(asked.length);
      expect(company.left.ofHour).toBeGreaterThanOrEqual(QUOTA_HOUR_CALLS - 61 * UNKNOWN_WORKSPACES_MAX_COUNT);
    }, 60_000);

    it('keep no leak waiting, and no order in a workspace that exists and was not known', async () => {
      const company = await createCompany({ unknown });
      const { harness, workspaces } = company;
      await company.order(madeUp(1_000));
      await company.minutes(2);
      const leaked = await leakedToken(company);
      expect(await orderOf(harness.workspace)).toMatchObject([
        { token_id: leaked, state: 'confirmed', result: 'revoked' },
      ]);

      const elsewhere = crypto.randomUUID();
      workspaces.set(elsewhere, new Set(['theirs', 'others']));
      const answer = await company.order([{ token_id: 'theirs', workspace_uuid: elsewhere }]);
      await company.minutes(2);
      expect([...workspaces.get(elsewhere)!]).toEqual(['others']);
      expect(await orderOf(elsewhere)).toMatchObject([{ state: 'confirmed', result: 'revoked' }]);
      expect((await rowsOfDelivery(answer)).at(-1)).toMatchObject({
        action: 'service_account_token.revoke',
        status: 'success',
        workspace_uuid: elsewhere,
      });
    }, 60_000);

    it('cost no more with three isolates, and a webhook every few seconds', async () => {
      const company = await createCompany({ unknown });
      const others = [await createCompany({ unknown, like: company }), await createCompany({ unknown, like: company })];
      for (let minute = 0; minute < 5; minute += 1) {
        await Promise.all([company, ...others].map(async ({ order }) => await order(madeUp(3))));
        company.harness.age(60);
        await Promise.all([company, ...others].map(async ({ harness }) => await harness.cron()));
      }
      expect(company.madeUpCalls().length).toBeLessThanOrEqual(10 * UNKNOWN_WORKSPACES_MAX_COUNT);
      expect(company.madeUpCalls().length).toBeGreaterThanOrEqual(4);
    }, 60_000);
  },
);

/** A token that the inventory holds, and that leaks. */
async function leakedToken({ harness, workspaces }: Company, beside: readonly { token_id: string }[] = []) {
  const id = `leaked-${crypto.randomUUID()}`;
  workspaces.get(harness.workspace)?.add(id);
  await env.DB.prepare('insert into tokens (workspace_uuid, token_id, created_at) values (?, ?, 1)')
    .bind(harness.workspace, id)
    .run();
  await harness.sendEvent('scanner', 'token.revoke', { tokens: [...beside, { token_id: id }] });
  return id;
}

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
