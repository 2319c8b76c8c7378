import { env } from 'cloudflare:workers';
import { beforeEach, describe, expect, it } from 'vitest';
import { createHarness, TOKENS, type Answer, type Harness } from '../support/harness.ts';
import { clearOrders, ordersOf } from '../revocation/harness.ts';

// Why a token is suspended, who may lift which reason, and when PipeOps hears that it is active again.

const roles = {
  owner: {
    permissions: ['tokens:create', 'tokens:read', 'tokens:update'],
    tokens: 'own',
    workspaces: ['*'],
    scopes: ['*'],
  },
};
const SUSPEND = { is_active: false };
const RESUME = { is_active: true };

let harness: Harness;
let owner: string;
let id: string;
beforeEach(async () => {
  await clearOrders();
  harness = await createHarness({ roles });
  owner = await harness.jwtFor('owner');
  ({ id } = await harness.mint('kept', owner));
});

const patch = async (body: object, jwt?: string): Promise<Answer> =>
  await harness.send('PATCH', `${TOKENS}/${id}`, { body, ...(jwt !== undefined && { jwt }) });
const reasons = async (): Promise<unknown> => JSON.parse((await harness.inventory())[0]?.suspended_by ?? '[]');
const setReasons = async (...to: readonly string[]): Promise<void> => {
  await env.DB.prepare('update tokens set suspended_by = ? where token_id = ?').bind(JSON.stringify(to), id).run();
};
const isActive = async (): Promise<boolean | undefined> => (await harness.upstreamTokens())[0]?.is_active;
const outcome = async (): Promise<unknown> => JSON.parse((await harness.rows()).at(-1)?.outcome ?? '');
const sent = async () => (await harness.upstream()).filter(({ method }) => method === 'PATCH').map(({ body }) => body);

describe('a suspension', () => {
  it('by the owner and by somebody else are two reasons, each once', async () => {
    await patch(SUSPEND, owner);
    expect(await reasons()).toEqual(['owner']);
    await patch(SUSPEND, owner);
    await patch(SUSPEND);
    await patch(SUSPEND);
    expect(await reasons()).toEqual(['owner', 'administrator']);
  });

  it('that PipeOps does not take leaves no reason', async () => {
    await harness.control.fault({ status: 422, match: { workspace_uuid: harness.workspace, method: 'PATCH' } });
    expect((await patch(SUSPEND)).status).toBe(422);
    expect(await reasons()).toEqual([]);
  });

  it('of a token that the inventory lacks has nowhere to be noted', async () => {
    const byHand = await harness.control.insertToken({ workspace_uuid: harness.workspace, name: 'by hand' });
    expect((await harness.send('PATCH', `${TOKENS}/${byHand.id}`, { body: SUSPEND })).status).toBe(200);
    expect((await harness.send('PATCH', `${TOKENS}/${byHand.id}`, { body: RESUME })).status).toBe(200);
  });
});

describe('a resume', () => {
  it('lifts what its caller may lift, and PipeOps hears of it once nothing is left', async () => {
    await patch(SUSPEND, owner);
    await patch(SUSPEND);
    const [before] = [(await sent()).length];
    const partly = await patch(RESUME, owner);
    expect(partly.status).toBe(200);
    expect(partly.body.data.token).toMatchObject({ id, is_active: false });
    expect(await sent()).toHaveLength(before);
    expect([await reasons(), await isActive()]).toEqual([['administrator'], false]);
    expect(await outcome()).toEqual({ role: 'owner', lifted: ['owner'], still_suspended_by: ['administrator'] });

    const wholly = await patch(RESUME);
    expect(wholly.body.data.token).toMatchObject({ id, is_active: true });
    expect([await reasons(), await isActive()]).toEqual([[], true]);
    expect(await outcome()).toEqual({ role: 'admin', lifted: ['administrator'] });
  });

  it('that leaves a reason carries out what else it asks for', async () => {
    await patch(SUSPEND);
    await setReasons('administrator', 'owner');
    const answer = await patch({ ...RESUME, description: 'nightly' }, owner);
    expect(answer.status).toBe(200);
    expect((await sent()).at(-1)).toEqual({ description: 'nightly' });
    expect([await reasons(), await isActive()]).toEqual([['administrator'], false]);
  });

  it('of a token that nothing here suspended is passed on', async () => {
    expect((await patch(RESUME, owner)).status).toBe(200);
    expect((await sent()).at(-1)).toEqual(RESUME);
    expect(await outcome()).toEqual({ role: 'owner' });
  });

  it('that PipeOps does not take lifts nothing', async () => {
    await patch(SUSPEND, owner);
    await harness.control.fault({ status: 422, match: { workspace_uuid: harness.workspace, method: 'PATCH' } });
    expect((await patch(RESUME, owner)).status).toBe(422);
    expect(await reasons()).toEqual(['owner']);
  });

  it.each([
    ['acknowledged', 'suspend', 'lifted'],
    ['confirmed', 'suspend', 'lifted'],
    ['failed', 'suspend', 'failed'],
    ['retried', 'suspend', 'retried'],
    ['confirmed', 'revoke', 'confirmed'],
  ])('ends the orders that it lifts: %s to %s becomes %s', async (state, mode, after) => {
    await setReasons('offboarding');
    await env.DB.prepare(
      `insert into revocation_orders (id, cause, workspace_uuid, token_id, mode, rank, state, created_at, next_at, contradicted_at)
       values (?, 'offboarding', ?, ?, ?, 1, ?, 1, 2, 3)`,
    )
      .bind(crypto.randomUUID(), harness.workspace, id, mode, state)
      .run();
    expect((await patch(RESUME)).status).toBe(200);
    const isLifted = after === 'lifted';
    expect(await ordersOf(harness)).toMatchObject([
      { state: after, next_at: isLifted ? null : 2, contradicted_at: isLifted ? null : 3 },
    ]);
  });

  it('that leaves a reason ends no order', async () => {
    await setReasons('owner', 'offboarding');
    await env.DB.prepare(
      `insert into revocation_orders (id, cause, workspace_uuid, token_id, mode, rank, state, created_at, next_at)
       values (?, 'offboarding', ?, ?, 'suspend', 1, 'confirmed', 1, 2)`,
    )
      .bind(crypto.randomUUID(), harness.workspace, id)
      .run();
    expect((await patch(RESUME, owner)).status).toBe(200);
    expect(await ordersOf(harness)).toMatchObject([{ state: 'confirmed', next_at: 2 }]);
  });

  it('takes two trips, whether or not PipeOps hears of it', async () => {
    await patch(SUSPEND, owner);
    await patch(SUSPEND);
    await patch(RESUME, owner);
    expect(harness.lines.at(-1)).toMatchObject({ d1_trips: 2 });
    await patch(RESUME);
    expect(harness.lines.at(-1)).toMatchObject({ d1_trips: 2 });
  });
});
