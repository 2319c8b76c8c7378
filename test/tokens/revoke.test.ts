import { env } from 'cloudflare:workers';
import { beforeEach, describe, expect, it } from 'vitest';
import { failingBatches } from '../support/failing-batches.ts';
import { createHarness, TOKENS, type Answer, type Harness } from '../support/harness.ts';
import { clearOrders, ordersOf } from '../revocation/harness.ts';

// A caller's DELETE: done is what PipeOps acknowledges, and 404 proves nothing.

let harness: Harness;
beforeEach(async () => {
  await clearOrders();
  harness = await createHarness();
});

const remove = async (id: string, h = harness): Promise<Answer> => await h.send('DELETE', `${TOKENS}/${id}`);
const missing = async (times = 1): Promise<void> =>
  await harness.control.fault({
    status: 404,
    body: { success: false, message: 'not found' },
    times,
    match: { workspace_uuid: harness.workspace, method: 'DELETE' },
  });
const deletes = async (): Promise<number> =>
  (await harness.upstream()).filter(({ method }) => method === 'DELETE').length;
const generation = async (): Promise<number | null> =>
  await env.DB.prepare('select generation from workspaces where workspace_uuid = ?')
    .bind(harness.workspace)
    .first<number>('generation');
const rowOf = async (answer: Answer) =>
  (await harness.rows()).find(({ id }) => id === answer.headers.get('X-Audit-Event-Id'));

describe('that PipeOps acknowledges', () => {
  it('is done, and leaves an order under its own id that has the end looked at', async () => {
    const { id } = await harness.mint();
    const answer = await remove(id);
    expect(answer.status).toBe(200);
    expect(await rowOf(answer)).toMatchObject({ status: 'success', upstream_status: 200 });
    expect(await harness.inventory()).toMatchObject([
      { token_id: id, revoked_at: expect.any(Number), ended_by: 'acknowledged', unseen_at: null },
    ]);
    expect(await ordersOf(harness)).toMatchObject([
      {
        id: answer.headers.get('X-Audit-Event-Id'),
        cause: 'caller',
        mode: 'revoke',
        state: 'acknowledged',
        result: 'revoked',
        delivery_id: null,
        next_at: expect.any(Number),
      },
    ]);
  });

  it('takes two trips and one call', async () => {
    const { id } = await harness.mint();
    await remove(id);
    expect(harness.lines.at(-1)).toMatchObject({ d1_trips: 2, upstream_calls: 1 });
  });
});

describe('of a token that has ended', () => {
  it.each([
    ['acknowledged', 0],
    ['absent', 0],
    // A list may be wrong, and an earlier version of this service believed one.
    ['listed', 1],
    [null, 1],
  ])('as %s: %i calls', async (end, calls) => {
    const { id } = await harness.mint();
    await env.DB.prepare('update tokens set revoked_at = 1, ended_by = ? where token_id = ?').bind(end, id).run();
    const before = await generation();
    const answer = await remove(id);
    expect(answer.status).toBe(200);
    expect(await deletes()).toBe(calls);
    expect(await rowOf(answer)).toMatchObject({ status: 'success', upstream_status: calls === 0 ? null : 200 });
    expect(JSON.parse((await rowOf(answer))?.outcome ?? '')).toEqual({
      role: 'admin',
      ...(calls === 0 && { already_gone: true }),
    });
    expect(await ordersOf(harness)).toHaveLength(calls);
    expect(await generation()).toBe((before ?? 0) + calls);
  });
});

describe('that meets 404', () => {
  it('is pending: its row stays open, and an order of its id drives it on', async () => {
    const { id } = await harness.mint();
    await missing();
    const before = await generation();
    const answer = await remove(id);
    expect([answer.status, answer.body.code]).toEqual([409, 'revocation_pending']);
    expect(await rowOf(answer)).toMatchObject({ id: answer.body.event_id, status: 'attempted' });
    expect(await ordersOf(harness)).toMatchObject([
      {
        id: answer.body.event_id,
        cause: 'caller',
        mode: 'revoke',
        state: 'open',
        token_id: id,
        next_at: expect.any(Number),
      },
    ]);
    expect(await harness.inventory()).toMatchObject([{ revoked_at: null, ended_by: null }]);
    expect(await generation()).toBe((before ?? 0) + 1);
    expect(harness.lines.at(-1)).toMatchObject({ d1_trips: 2 });
  });

  it('and meets it again leaves no second order: its row names the one that is open', async () => {
    const { id } = await harness.mint();
    await missing(3);
    const first = await remove(id);
    const others = [await remove(id), await remove(id)];
    for (const answer of others) {
      expect([answer.status, answer.body.code]).toEqual([409, 'revocation_pending']);
      expect(await rowOf(answer)).toMatchObject({
        status: 'failure',
        error_code: 'revocation_pending',
        upstream_status: 404,
      });
      expect(JSON.parse((await rowOf(answer))?.outcome ?? '')).toEqual({ order: first.body.event_id });
    }
    expect(await ordersOf(harness)).toMatchObject([{ id: first.body.event_id, state: 'open' }]);
  });

  it('at the same time as others leaves one order', async () => {
    const { id } = await harness.mint();
    await missing(5);
    const answers = await Promise.all(Array.from({ length: 5 }, async () => await remove(id)));
    expect(answers.map(({ body }) => body.code)).toEqual(Array.from({ length: 5 }, () => 'revocation_pending'));
    const orders = await ordersOf(harness);
    expect(orders).toHaveLength(1);
    const open = (await harness.rows()).filter(({ status }) => status === 'attempted');
    expect(open.map(({ id: eventId }) => eventId)).toEqual(orders.map(({ id: orderId }) => orderId));
  });

  it('and is sent again while that order is open is done if PipeOps acknowledges it now', async () => {
    const { id } = await harness.mint();
    await missing();
    await remove(id);
    expect((await remove(id)).status).toBe(200);
    expect(await harness.inventory()).toMatchObject([{ ended_by: 'acknowledged' }]);
  });

  it('after a try whose answer was lost is no success either', async () => {
    const { id } = await harness.mint();
    const match = { workspace_uuid: harness.workspace, method: 'DELETE' };
    await harness.control.fault({ drop: 'after_commit', match });
    const answer = await remove(id);
    expect([answer.status, answer.body.code]).toEqual([409, 'revocation_pending']);
    expect(await deletes()).toBe(2);
  });

  it.each([
    ['is repeated where D1 fails', 2, undefined],
    [
      'makes one order where D1 takes it and its answer is lost',
      2,
      async (commit: () => Promise<unknown>): Promise<never> => {
        await commit();
        throw new Error('injected: the answer was lost');
      },
    ],
  ])('%s', async (_case, times, fail) => {
    const { id } = await harness.mint();
    await missing();
    const { db } = failingBatches((batch) => batch > 1 && batch <= 1 + times, fail);
    const answer = await remove(id, await createHarness({ like: harness, db, runtime: { sleep: async () => {} } }));
    expect([answer.status, answer.body.code]).toEqual([409, 'revocation_pending']);
    expect(await ordersOf(harness)).toMatchObject([{ id: answer.body.event_id, state: 'open' }]);
    expect(await rowOf(answer)).toMatchObject({ status: 'attempted' });
  });

  it('is an unknown outcome where D1 takes no order', async () => {
    const { id } = await harness.mint();
    await missing();
    const { db } = failingBatches((batch) => batch > 1);
    const answer = await remove(id, await createHarness({ like: harness, db, runtime: { sleep: async () => {} } }));
    expect([answer.status, answer.body.code]).toEqual([504, 'outcome_unknown']);
    expect(await rowOf(answer)).toMatchObject({ status: 'attempted' });
  });
});

it('a DELETE whose outcome nobody knows leaves its row open, without an order', async () => {
  const { id } = await harness.mint();
  await harness.control.fault({ status: 500, match: { workspace_uuid: harness.workspace, method: 'DELETE' } });
  const answer = await remove(id);
  expect([answer.status, answer.body.code]).toEqual([504, 'outcome_unknown']);
  expect(await rowOf(answer)).toMatchObject({ status: 'attempted' });
  expect(await ordersOf(harness)).toEqual([]);
});
