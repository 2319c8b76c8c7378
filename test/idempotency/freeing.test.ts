import { beforeEach, describe, expect, it } from 'vitest';
import { ISSUER } from '../support/harness.ts';
import { clearOrders, createWebhookHarness } from '../revocation/harness.ts';
import { failingBatches } from '../support/failing-batches.ts';
import {
  create,
  createIdempotencyHarness,
  creates,
  interruptedBefore,
  keysOf,
  live,
  newKey,
  outcomeOf,
  posts,
} from './harness.ts';

// What becomes of the key of a create that did not succeed.

// What PipeOps said about its limits holds for every harness.
beforeEach(clearOrders);

const post = (workspace: string) => ({ workspace_uuid: workspace, method: 'POST' });

describe('a create that left nothing upstream frees its key', () => {
  it.each([
    ['PipeOps does not accept it', { status: 422 }, 422, 'upstream_rejected'],
    ['PipeOps does not let us', { status: 403 }, 502, 'upstream_forbidden'],
    ['PipeOps says wait', { status: 429 }, 429, 'upstream_rate_limited'],
    ['PipeOps refuses our credential', { status: 401 }, 502, 'upstream_credential_rejected'],
  ])('%s', async (_case, fault, status, code) => {
    const harness = await createIdempotencyHarness();
    await harness.control.fault({ match: post(harness.workspace), ...fault, times: 1 });
    const key = newKey();
    const first = await create(harness, key);
    expect([first.status, first.body.code]).toEqual([status, code]);
    expect(await keysOf(harness)).toEqual([]);
    harness.age(3_600);
    const second = await create(harness, key);
    expect([second.status, second.headers.get('Idempotency-Replayed')]).toEqual([201, null]);
    expect(await live(harness)).toEqual([second.body.data.id]);
  });

  it('the policy refuses it', async () => {
    const roles = { ci: { permissions: ['tokens:create'], tokens: 'own', workspaces: ['*'], scopes: ['api:read'] } };
    const harness = await createIdempotencyHarness({ roles });
    const jwt = await harness.jwtFor('ci');
    const key = newKey();
    const refused = await create(harness, key, { jwt, body: { name: 'deploy', scopes: ['api:write'] } });
    expect(refused.status).toBe(403);
    expect(await keysOf(harness)).toEqual([]);
    // A corrected request is another one, and the key is free for it.
    expect((await create(harness, key, { jwt })).status).toBe(201);
  });

  it('its caller was offboarded', async () => {
    const harness = await createWebhookHarness();
    const subject = `leaver-${crypto.randomUUID()}`;
    const jwt = await harness.jwtFor('admin', { sub: subject });
    const key = newKey();
    const first = await create(harness, key, { jwt });
    expect(first.status).toBe(201);
    await harness.offboard({ issuer: ISSUER, subject });
    const replayed = await create(harness, key, { jwt });
    expect([replayed.status, replayed.body.code]).toEqual([403, 'subject_blocked']);
    expect((await create(harness, newKey(), { jwt })).status).toBe(403);
    // The first create still holds its key, and the others hold nothing.
    expect(await keysOf(harness)).toMatchObject([{ event_id: first.headers.get('X-Audit-Event-Id') }]);
  });

  it('its token was revoked, since D1 did not record it', async () => {
    // D1 fails in every try of trip 2, and records the compensation.
    const { db } = failingBatches((batch) => batch >= 2 && batch <= 4);
    const harness = await createIdempotencyHarness({ db });
    const key = newKey();
    const first = await create(harness, key);
    expect([first.status, first.body.code]).toEqual([503, 'audit_unavailable']);
    expect(await live(harness)).toEqual([]);
    expect(await creates(harness)).toMatchObject([{ status: 'failure', error_code: 'undelivered' }]);
    expect(await keysOf(harness)).toEqual([]);
    const second = await create(harness, key);
    expect(second.status).toBe(201);
    expect(await live(harness)).toEqual([second.body.data.id]);
  });

  it('its token was revoked, though trip 2 was committed and only its answers were lost', async () => {
    const { db } = failingBatches(
      (batch) => batch >= 2 && batch <= 4,
      async (commit) => {
        await commit();
        throw new Error('injected: the answer is lost');
      },
    );
    const harness = await createIdempotencyHarness({ db });
    const key = newKey();
    expect((await create(harness, key)).status).toBe(503);
    expect(await live(harness)).toEqual([]);
    expect(await keysOf(harness)).toEqual([]);
    expect((await create(harness, key)).status).toBe(201);
    expect(await live(harness)).toHaveLength(1);
  });
});

describe('a token that is still to be revoked', () => {
  it('is not handed out again, and its key is free once it is gone', async () => {
    const { db } = failingBatches(
      (batch) => batch >= 2 && batch <= 4,
      async (commit) => {
        await commit();
        throw new Error('injected: the answer is lost');
      },
    );
    const harness = await createIdempotencyHarness({ db });
    const key = newKey();
    const deletes = { workspace_uuid: harness.workspace, method: 'DELETE' };
    await harness.control.fault({ match: deletes, status: 500, times: 10 });
    expect((await create(harness, key)).status).toBe(503);
    const [undelivered] = await live(harness);
    expect(undelivered).toBeDefined();

    const early = await create(harness, key);
    expect([early.status, early.body.code]).toEqual([409, 'idempotency_no_replay']);
    await harness.control.clearFaults({ workspace_uuid: harness.workspace });
    harness.age(121);
    await harness.cron();
    expect(await live(harness)).toEqual([]);
    const late = await create(harness, key);
    expect(late.status).toBe(201);
    expect(await live(harness)).toEqual([late.body.data.id]);
  });
});

describe('a create whose outcome is unknown keeps its key until that is known', () => {
  it.each([
    ['it was committed', 'after_commit', 'undelivered'],
    ['it was not', 'before_commit', 'not_applied'],
  ] as const)('%s', async (_case, drop, settledAs) => {
    const harness = await createIdempotencyHarness();
    await harness.control.fault({ match: post(harness.workspace), drop, times: 1 });
    const key = newKey();
    const lost = await create(harness, key);
    expect([lost.status, lost.body.code]).toEqual([504, 'outcome_unknown']);

    const early = await create(harness, key);
    expect([early.status, early.body.code]).toEqual([409, 'idempotency_in_flight']);
    expect(early.body.errors['Idempotency-Key'][0]).toContain(lost.body.event_id);
    expect(outcomeOf((await creates(harness)).at(-1))).toEqual({ idempotent_of: lost.body.event_id });
    expect(await posts(harness)).toBe(1);

    // Two lists, a minute apart, say that it was not committed.
    harness.age(121);
    await harness.cron();
    harness.age(61);
    await harness.cron();
    expect((await creates(harness))[0]).toMatchObject({ status: 'failure', error_code: settledAs });
    expect(await live(harness)).toEqual([]);
    expect(await keysOf(harness)).toEqual([]);

    const late = await create(harness, key);
    expect([late.status, late.headers.get('Idempotency-Replayed')]).toEqual([201, null]);
    expect(await live(harness)).toEqual([late.body.data.id]);
  });
});

describe('a create whose row is open holds its key beyond the hour', () => {
  /** A create that never reached PipeOps, which no list proves: no list shows that names come back as they were sent. */
  const lost = async () => {
    const harness = await createIdempotencyHarness();
    await harness.control.fault({ match: post(harness.workspace), drop: 'before_commit', times: 1 });
    const key = newKey();
    expect((await create(harness, key)).status).toBe(504);
    await harness.control.fault({
      match: { workspace_uuid: harness.workspace, method: 'GET' },
      times: 99,
      body: { success: true, message: '', data: { tokens: [{ id: 'x', name: 'x', scopes: [] }], total: 1 } },
    });
    harness.age(61 * 60);
    return { harness, key };
  };

  it('so that a repeat mints no other token', async () => {
    const { harness, key } = await lost();
    const again = await create(harness, key);
    expect([again.status, again.body.code]).toEqual([409, 'idempotency_in_flight']);
    expect(await posts(harness)).toBe(1);
  });

  it('so that the cron does not erase it before the row is settled', async () => {
    const { harness, key } = await lost();
    await harness.cron();
    expect(await keysOf(harness)).toHaveLength(1);
    expect((await create(harness, key)).status).toBe(409);
    harness.age(24 * 3_600);
    await harness.cron();
    expect((await creates(harness))[0]).toMatchObject({ status: 'failure', error_code: 'outcome_unknown' });
    await harness.cron();
    expect(await keysOf(harness)).toEqual([]);
    expect((await create(harness, key)).status).toBe(201);
  });
});

it('a replay that cannot be recorded hands out nothing', async () => {
  const prepared = await createIdempotencyHarness();
  const key = newKey();
  const first = await create(prepared, key);
  const { db } = failingBatches((batch) => batch >= 2);
  const harness = await createIdempotencyHarness({ like: prepared, db });
  const second = await create(harness, key);
  expect([second.status, second.body.code]).toEqual([503, 'audit_unavailable']);
  expect(second.text).not.toContain(first.body.data.token);
  expect((await create(prepared, key)).body.data).toEqual(first.body.data);
});

it('a leaver gets no replay that was under way, and the first still holds its key', async () => {
  const prepared = await createWebhookHarness();
  const subject = `leaver-${crypto.randomUUID()}`;
  const jwt = await prepared.jwtFor('admin', { sub: subject });
  const key = newKey();
  const first = await create(prepared, key, { jwt });
  const db = interruptedBefore(2, async () => await prepared.offboard({ issuer: ISSUER, subject, mode: 'suspend' }));
  const second = await create(await createIdempotencyHarness({ like: prepared, db }), key, { jwt });
  expect([second.status, second.body.code]).toEqual([403, 'subject_blocked']);
  expect(second.text).not.toContain(first.body.data.token);
  expect((await creates(prepared)).at(-1)).toMatchObject({ status: 'failure', error_code: 'subject_blocked' });
  expect(await keysOf(prepared)).toMatchObject([{ event_id: first.headers.get('X-Audit-Event-Id') }]);
});
