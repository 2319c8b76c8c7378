import { beforeEach, describe, expect, it } from 'vitest';
import { askedIn } from '../../support/audit-detail.ts';
import type { Fault } from '../../pipeops-simulator/faults-wire.ts';
import { interruptedBefore } from '../../idempotency/harness.ts';
import { createHarness, TOKENS } from '../../support/harness.ts';
import { expectSettledTrail } from '../../support/invariants.ts';
import {
  CREATE,
  cronTwice,
  faultOnce,
  lastSentBody,
  listsSay,
  liveTokens,
  ordersOf,
  outcomeOf,
  revokeRows,
  settleAll,
  withClock,
} from './reconciling.ts';

// What becomes of a create whose outcome is not known, and of its token.

beforeEach(settleAll);

describe('a create whose answer was lost', () => {
  it('is found by its marker, revoked, and settled as undelivered', async () => {
    const { harness, age } = await withClock();
    await faultOnce(harness, { drop: 'after_commit' });
    const answer = await harness.send('POST', TOKENS, CREATE);
    age(121);
    await harness.cron();
    expect(await outcomeOf(harness)).toEqual({
      status: 'failure',
      error_code: 'undelivered',
      settled_by: 'reconciliation',
    });
    const [token] = await harness.upstreamTokens();
    expect(token?.is_revoked).toBe(true);
    expect(await harness.rows()).toMatchObject([
      { id: answer.body.event_id, token_id: token?.id },
      { action: 'service_account_token.revoke', actor_type: 'system', status: 'success', token_id: token?.id },
    ]);
    await expectSettledTrail(harness);
  });

  it('has its revoke looked at, under an order of its own', async () => {
    const { harness, age } = await withClock();
    await faultOnce(harness, { drop: 'after_commit' });
    const answer = await harness.send('POST', TOKENS, CREATE);
    age(121);
    await harness.cron();
    const [revoked] = await revokeRows(harness);
    expect(askedIn(revoked)).toEqual({ undelivered_create: answer.body.event_id });
    expect(await ordersOf(harness)).toMatchObject([
      { id: revoked?.id, cause: 'system', mode: 'revoke', state: 'acknowledged', token_id: revoked?.token_id },
    ]);
  });

  it('stays open where PipeOps answers its revoke with 404, which proves nothing', async () => {
    const { harness, age } = await withClock();
    await faultOnce(harness, { drop: 'after_commit' });
    await harness.send('POST', TOKENS, CREATE);
    await harness.control.fault({ status: 404, match: { workspace_uuid: harness.workspace, method: 'DELETE' } });
    age(121);
    await harness.cron();
    expect(await outcomeOf(harness)).toMatchObject({ status: 'attempted' });
    expect(await ordersOf(harness)).toEqual([]);
    age(61);
    await harness.cron();
    expect(await outcomeOf(harness)).toMatchObject({ error_code: 'undelivered' });
    expect(await harness.upstreamTokens()).toMatchObject([{ is_revoked: true }]);
  });

  it('that never reached PipeOps is settled as not applied by two lists, a minute apart', async () => {
    const { harness, age } = await withClock();
    await faultOnce(harness, { drop: 'before_commit' });
    await harness.send('POST', TOKENS, CREATE);
    age(121);
    await harness.cron();
    expect(await outcomeOf(harness)).toMatchObject({ status: 'attempted' });
    age(50);
    await harness.cron();
    expect(await outcomeOf(harness), 'too soon').toMatchObject({ status: 'attempted' });
    age(11);
    await harness.cron();
    expect(await outcomeOf(harness)).toMatchObject({ status: 'failure', error_code: 'not_applied' });
  });

  it('is not given up for one empty list', async () => {
    const { harness, age } = await withClock();
    await faultOnce(harness, { drop: 'after_commit' });
    await harness.send('POST', TOKENS, CREATE);
    age(121);
    await listsSay(harness, []);
    await cronTwice({ harness, age });
    expect(await outcomeOf(harness)).toMatchObject({ error_code: 'undelivered' });
    expect(await harness.upstreamTokens()).toMatchObject([{ is_revoked: true }]);
  });

  it.each([
    ['lacks most of the tokens that there should be', []],
    [
      'shows no marker that a row of ours holds',
      [1, 2, 3].map((n) => ({ id: `x-${n}`, name: `n-csgn-aaaaaaaaaaaaaaa${'abc'[n - 1]}`, scopes: [] })),
    ],
  ])('is not given up for lists that prove nothing: each %s', async (_case, tokens) => {
    const { harness, age } = await withClock();
    for (let made = 0; made < 3; made += 1) await harness.mint();
    await faultOnce(harness, { drop: 'before_commit' });
    await harness.send('POST', TOKENS, CREATE);
    age(121);
    await listsSay(harness, tokens, 1);
    await harness.cron();
    age(61);
    await listsSay(harness, tokens, 1);
    await harness.cron();
    expect(await outcomeOf(harness)).toMatchObject({ status: 'attempted' });
  });

  it('is left alone while it may still be answered', async () => {
    const { harness, age } = await withClock();
    await faultOnce(harness, { drop: 'after_commit' });
    await harness.send('POST', TOKENS, CREATE);
    age(119);
    await harness.cron();
    expect(await outcomeOf(harness)).toMatchObject({ status: 'attempted' });
    expect((await harness.upstreamTokens())[0]?.is_revoked).toBe(false);
  });

  it('waits while PipeOps cannot be asked, and is settled when it can', async () => {
    const { harness, age } = await withClock();
    await faultOnce(harness, { drop: 'after_commit' });
    await harness.send('POST', TOKENS, CREATE);
    age(121);
    await faultOnce(harness, { status: 503 });
    await harness.cron();
    expect(await outcomeOf(harness)).toMatchObject({ status: 'attempted' });
    age(60);
    await harness.cron();
    expect(await outcomeOf(harness)).toMatchObject({ error_code: 'undelivered' });
  });

  it('stays open if its token cannot be revoked yet', async () => {
    const { harness, age } = await withClock();
    await faultOnce(harness, { drop: 'after_commit' });
    await harness.send('POST', TOKENS, CREATE);
    age(121);
    await harness.control.fault({ status: 500, match: { workspace_uuid: harness.workspace, method: 'DELETE' } });
    await harness.cron();
    expect(await outcomeOf(harness)).toMatchObject({ status: 'attempted' });
    age(60);
    await harness.cron();
    await expectSettledTrail(harness);
  });

  it('is never taken for another token of the same name', async () => {
    const { harness, age } = await withClock();
    const byHand = await harness.control.insertToken({ workspace_uuid: harness.workspace, name: 'deploy' });
    await faultOnce(harness, { drop: 'before_commit' });
    await harness.send('POST', TOKENS, CREATE);
    age(24 * 3600 + 1);
    await harness.cron();
    expect(await outcomeOf(harness, 0)).toEqual({
      status: 'failure',
      error_code: 'outcome_unknown',
      settled_by: 'reconciliation',
      candidates: [byHand.id],
    });
    expect(await harness.upstreamTokens()).toMatchObject([{ id: byHand.id, is_revoked: false }]);
  });

  it('that turns up after it was settled as not applied is revoked whenever it is listed', async () => {
    const { harness, age } = await withClock();
    await faultOnce(harness, { drop: 'before_commit' });
    await harness.send('POST', TOKENS, CREATE);
    const { name } = await lastSentBody(harness);
    age(121);
    await cronTwice({ harness, age });
    const late = await harness.control.insertToken({ workspace_uuid: harness.workspace, name });
    age(-182);
    await harness.send('GET', TOKENS);
    expect(await harness.upstreamTokens()).toMatchObject([{ id: late.id, is_revoked: true }]);
    // The revoke has a row and an order of its own, and the order is looked at from then on.
    expect(await revokeRows(harness)).toMatchObject([{ actor_type: 'system', status: 'success', token_id: late.id }]);
    const id = (await revokeRows(harness))[0]?.id;
    expect(await ordersOf(harness)).toMatchObject([{ id, state: 'acknowledged', cause: 'system' }]);
    expect((await harness.upstream()).filter(({ method }) => method === 'DELETE')).toMatchObject([{ event_id: id }]);
  });

  /** A token that turns up late, and is listed by several isolates at once. */
  const turnsUpLate = async (fault?: Fault) => {
    const { harness, age } = await withClock();
    await faultOnce(harness, { drop: 'before_commit' });
    await harness.send('POST', TOKENS, CREATE);
    const { name } = await lastSentBody(harness);
    age(121);
    await cronTwice({ harness, age });
    const { id } = await harness.control.insertToken({ workspace_uuid: harness.workspace, name });
    if (fault !== undefined)
      await harness.control.fault({ ...fault, match: { workspace_uuid: harness.workspace, ...fault.match } });
    age(-182);
    return { harness, age, id, name };
  };

  it.each([3, 4, 5, 6])(
    'is ordered once, though another isolate lists it before batch %i of this one',
    async (batch) => {
      const { harness } = await turnsUpLate();
      const db = interruptedBefore(batch, async () => await harness.send('GET', TOKENS));
      const other = await createHarness({ like: harness, db, runtime: { now: () => harness.runtime.now() } });
      await other.send('GET', TOKENS);
      expect(await ordersOf(harness)).toHaveLength(1);
      expect(await revokeRows(harness)).toHaveLength(1);
    },
  );

  it('has one order, however many isolates list it', async () => {
    const { harness } = await turnsUpLate();
    await Promise.all([1, 2, 3].map(async () => await harness.send('GET', TOKENS)));
    expect(await ordersOf(harness)).toHaveLength(1);
    expect(await revokeRows(harness)).toHaveLength(1);
  });

  it.each([500, 404])('stays ordered where PipeOps answers its revoke with %i', async (status) => {
    const { harness, id } = await turnsUpLate({ status, times: 2, match: { method: 'DELETE' } });
    await harness.send('GET', TOKENS);
    expect(await ordersOf(harness)).toMatchObject([{ state: 'open', token_id: id }]);
    expect(await revokeRows(harness)).toMatchObject([{ status: 'attempted' }]);
    await harness.send('GET', TOKENS);
    expect(await ordersOf(harness), 'no list orders it again').toHaveLength(1);
  });

  it('contradicts its order where it is listed a minute after PipeOps acknowledged it', async () => {
    const { harness, age, id, name } = await turnsUpLate();
    await harness.send('GET', TOKENS);
    const alive = [{ id, name, scopes: ['api:read'], is_revoked: false }];
    await listsSay(harness, alive, 2);
    age(30);
    await harness.send('GET', TOKENS);
    expect(await ordersOf(harness), 'that is lag').toMatchObject([{ state: 'acknowledged' }]);
    age(31);
    await harness.send('GET', TOKENS);
    expect(await ordersOf(harness)).toMatchObject([{ state: 'open', contradicted_at: expect.any(Number) }]);
    expect((await revokeRows(harness)).map(({ error_code }) => error_code)).toEqual([null, 'revocation_contradicted']);
  });

  it('that is still open is left alone by a list', async () => {
    const { harness } = await withClock();
    await faultOnce(harness, { drop: 'after_commit' });
    await harness.send('POST', TOKENS, CREATE);
    await harness.send('GET', TOKENS);
    expect(await harness.upstreamTokens()).toMatchObject([{ is_revoked: false }]);
  });
});

describe('a create that is still open', () => {
  it('is found by its marker, though its token was renamed meanwhile', async () => {
    const { harness, age } = await withClock();
    await harness.mint('another'); // Shows reconciliation that names are returned.
    await harness.control.fault({ match: { workspace_uuid: harness.workspace, method: 'POST' }, drop: 'after_commit' });
    expect((await harness.send('POST', TOKENS, CREATE)).status).toBe(504);
    const listed = await harness.send('GET', TOKENS);
    const { id } = listed.body.data.tokens.find((token: { name: string }) => token.name === 'deploy');
    const renamed = await harness.send('PATCH', `${TOKENS}/${id}`, { body: { name: 'mine-now' } });
    expect(renamed.status).toBe(200);
    age(121);
    await harness.cron();
    await harness.send('GET', TOKENS);
    expect(
      (await harness.rows()).filter((row) => row.error_code === 'not_applied'),
      'a live token is said not to exist',
    ).toEqual([]);
    expect((await liveTokens(harness)).map(({ name }) => name.replace(/-csgn-.*/, ''))).toEqual(['another']);
  });

  it('may have been committed by an earlier copy of itself, where PipeOps answers its marked name with 409', async () => {
    const { harness, age } = await withClock();
    await harness.control.fault({
      match: { workspace_uuid: harness.workspace, method: 'POST' },
      status: 409,
      commit: true,
    });
    await harness.send('POST', TOKENS, CREATE);
    age(121);
    await harness.cron();
    expect(await liveTokens(harness)).toEqual([]);
  });
});
