import { env } from 'cloudflare:workers';
import { beforeEach, describe, expect, it } from 'vitest';
import {
  ABSENCE_GAP_MS,
  AUDIT_ANNOUNCE_AFTER_MS,
  COMPENSATION_TIMEOUT_MS,
  RECONCILE_GIVE_UP_SECONDS,
} from '../../../src/config/limits.ts';
import { err, ok } from '../../../src/kit/result.ts';
import type { UpstreamToken } from '../../../src/pipeops/types.ts';
import { upstreamToken } from '../../support/upstream-token.ts';
import { BROKEN, NOW, stored, storeEvent, storeToken, WORKSPACE } from '../../revocation/orders/leased.ts';
import {
  anotherMarker,
  attempt,
  begin,
  create,
  eventOf,
  eventsSince,
  held,
  hold,
  isReviewed,
  lastSeq,
  named,
  orders,
  OTHER,
  raised,
  revoke,
  rig,
  type Terms,
  tokenOf,
} from './rig.ts';

// What reconciliation makes of an open attempt: what it asks of PipeOps, and what it writes down in one batch.

const GIVEN_UP = NOW - RECONCILE_GIVE_UP_SECONDS * 1000;
beforeEach(begin);

const BY_US = { settled_by: 'reconciliation' };
const outcomeOf = async (id: string) => JSON.parse((await eventOf(id))?.outcome ?? 'null');

describe('a create', () => {
  it('whose token is there is settled as undelivered, and the token revoked', async () => {
    const id = await create();
    await storeToken({ token_id: 'minted' });
    const other = await create({ marker: anotherMarker(), workspace_uuid: OTHER });
    await hold(id, 'another');
    const seq = await lastSeq();
    const { run, calls, options, deadlines } = rig({ shown: [named()] });
    await run();
    expect(calls.slice(0, 2)).toEqual([`list ${WORKSPACE}`, `revoke ${WORKSPACE} minted`]);
    expect(options[1]).toMatchObject({ eventId: id, isRetriedLater: true });
    expect(deadlines).toContain(COMPENSATION_TIMEOUT_MS);
    expect(await eventOf(id)).toMatchObject({
      status: 'failure',
      error_code: 'undelivered',
      token_id: 'minted',
      settled_at: NOW,
    });
    const [revoked, ...more] = (await eventsSince(seq)).filter((row) => row.workspace_uuid === WORKSPACE);
    expect([revoked, more]).toMatchObject([
      {
        action: 'service_account_token.revoke',
        actor_type: 'system',
        status: 'success',
        upstream_status: 200,
        workspace_uuid: WORKSPACE,
        token_id: 'minted',
      },
      [],
    ]);
    expect(JSON.parse(revoked?.detail ?? '')).toMatchObject({ undelivered_create: id });
    expect(await orders()).toMatchObject([
      {
        id: revoked?.id,
        cause: 'system',
        mode: 'revoke',
        state: 'acknowledged',
        workspace_uuid: WORKSPACE,
        token_id: 'minted',
      },
    ]);
    expect([await tokenOf('minted'), await raised(), await held()]).toMatchObject([
      { ended_by: 'acknowledged' },
      [WORKSPACE],
      ['another'],
    ]);
    expect(await eventOf(other)).toMatchObject({ status: 'attempted' });
  });

  it('stays open while PipeOps does not revoke its token', async () => {
    const id = await create();
    const { run } = rig({ shown: [named()], revoke: BROKEN });
    expect(await run()).toEqual({ due: 1, settled: 0 });
    expect(await eventOf(id)).toMatchObject({ status: 'attempted' });
  });

  it('is not applied by the second list without it, and holds no key then', async () => {
    const id = await create();
    await hold(id);
    expect(await rig().run()).toEqual({ due: 1, settled: 0 });
    expect(await env.DB.prepare('select unseen_at from attempt_reviews where event_id = ?').bind(id).first()).toEqual({
      unseen_at: NOW,
    });
    await env.DB.prepare('update attempt_reviews set next_at = 0, unseen_at = ?')
      .bind(NOW - ABSENCE_GAP_MS)
      .run();
    expect(await rig().run()).toEqual({ due: 1, settled: 1 });
    expect(await eventOf(id)).toMatchObject({ status: 'failure', error_code: 'not_applied' });
    expect([await held(), await isReviewed(id)]).toEqual([[], false]);
  });

  it.each<[string, Terms]>([
    ['no list', { list: BROKEN }],
    ['a list of others', { shown: [upstreamToken()] }],
  ])('of which a day gives %s is unknown, and holds its key', async (_name, terms) => {
    const [id, young] = [await create({ occurred_at: GIVEN_UP }), await create({ marker: anotherMarker() })];
    await hold(id);
    expect(await rig(terms).run()).toEqual({ due: 2, settled: 1 });
    expect(await eventOf(id)).toMatchObject({ status: 'failure', error_code: 'outcome_unknown' });
    expect([await held(), (await eventOf(young))?.status]).toEqual([[id], 'attempted']);
  });

  it('that is settled late is announced', async () => {
    const id = await create({ occurred_at: NOW - AUDIT_ANNOUNCE_AFTER_MS });
    const seq = await lastSeq();
    await rig({ shown: [{ ...named(), isRevoked: true }] }).run();
    const announced = (await eventsSince(seq)).filter(({ action }) => action === 'audit.settled');
    expect(announced.map(({ detail }) => JSON.parse(detail).event_id)).toEqual([id]);
  });
});

describe('a revoke', () => {
  it.each<[string, Terms, string]>([
    ['listed', { get: ok(upstreamToken({ isRevoked: true })) }, 'listed'],
    ['absent', {}, 'absent'],
  ])('whose token is gone took effect, and its token has ended: %s', async (_name, terms, end) => {
    await storeToken({ token_id: 'token-1', unseen_at: NOW - ABSENCE_GAP_MS });
    const [made, id] = ['a-create', await revoke({ detail: '{"undelivered_create":"a-create"}' })];
    await hold(made, 'another');
    expect(await rig(terms).run()).toEqual({ due: 1, settled: 1 });
    expect(await eventOf(id)).toMatchObject({ status: 'success', error_code: null });
    expect([(await tokenOf())?.['ended_by'], await held(), await raised()]).toEqual([end, ['another'], [WORKSPACE]]);
  });

  it('of a caller whose token is there was not applied, and nothing is revoked', async () => {
    const id = await revoke({ detail: '{"undelivered_create":"a-create"}' });
    await hold('a-create');
    await storeToken({ token_id: 'token-1' });
    const { run, calls } = rig({ get: ok(upstreamToken()) });
    expect(await run()).toEqual({ due: 1, settled: 1 });
    expect([await eventOf(id), calls, await held(), await tokenOf()]).toMatchObject([
      { status: 'failure', error_code: 'not_applied' },
      ['get token-1', 'end'],
      ['a-create'],
      { ended_by: null },
    ]);
  });

  it('that D1 does not settle is not counted as settled', async () => {
    await revoke();
    const { run } = rig({ get: ok(upstreamToken({ isRevoked: true })), takes: (batch) => batch === 1 });
    expect(await run()).toEqual({ due: 1, settled: 0 });
  });

  it('by the system stays open while PipeOps does not revoke the token', async () => {
    const id = await revoke({ actor_type: 'system' });
    const { run, lines } = rig({ get: ok(upstreamToken({ id: 'token-1' })), revoke: BROKEN });
    expect(await run()).toEqual({ due: 1, settled: 0 });
    expect([(await eventOf(id))?.status, await orders(), lines]).toEqual(['attempted', [], []]);
  });

  it('by the system is sent again, and has an order of its own id', async () => {
    const id = await revoke({ actor_type: 'system' });
    await storeToken({ token_id: 'token-1' });
    const { run, calls } = rig({ get: ok(upstreamToken({ id: 'token-1' })) });
    expect(await run()).toEqual({ due: 1, settled: 1 });
    expect(calls).toEqual(['get token-1', `revoke ${WORKSPACE} token-1`, 'end']);
    expect([await eventOf(id), await orders(), await tokenOf()]).toMatchObject([
      { status: 'success' },
      [{ id, cause: 'system', mode: 'revoke', state: 'acknowledged', token_id: 'token-1' }],
      { ended_by: 'acknowledged' },
    ]);
  });
});

describe('an update', () => {
  const NAME = { detail: '{"name":"new","scopes":["api:read","api:write"]}', token_name: 'new' };
  const asAsked = (values: Partial<UpstreamToken> = {}) =>
    ok(upstreamToken({ id: 'token-1', name: 'new', scopes: ['api:read', 'api:write'], ...values }));

  it('that took effect is recorded beside its token', async () => {
    await storeToken({ token_id: 'token-1', name: 'old' });
    const id = await attempt(NAME);
    expect(await rig({ get: asAsked() }).run()).toEqual({ due: 1, settled: 1 });
    expect(await eventOf(id)).toMatchObject({ status: 'success', error_code: null, token_id: 'token-1' });
    expect(await outcomeOf(id)).toMatchObject(BY_US);
    expect([await tokenOf(), await raised(), await isReviewed(id), await orders()]).toMatchObject([
      { name: 'new', scopes: '["api:read","api:write"]' },
      [WORKSPACE],
      false,
      [],
    ]);
  });

  it.each<[string, Readonly<Record<string, unknown>>, object]>([
    ['a name', { detail: '{"name":"new"}', token_name: 'new' }, { name: 'new', scopes: null }],
    ['scopes', { detail: '{"scopes":["api:read","api:write"]}' }, { name: 'old', scopes: '["api:read","api:write"]' }],
    ['neither', { detail: '{"is_active":true}' }, { name: 'old', scopes: null }],
  ])('that asked for %s grants no more', async (_name, values, recorded) => {
    await storeToken({ token_id: 'token-1', name: 'old' });
    await attempt(values);
    expect(await rig({ get: asAsked() }).run()).toEqual({ due: 1, settled: 1 });
    expect(await tokenOf()).toMatchObject(recorded);
  });

  it('that was not applied changes nothing', async () => {
    await storeToken({ token_id: 'token-1', name: 'old' });
    const id = await attempt(NAME);
    expect(await rig({ get: asAsked({ name: 'old' }) }).run()).toEqual({ due: 1, settled: 1 });
    expect([await eventOf(id), await tokenOf()]).toMatchObject([{ error_code: 'not_applied' }, { name: 'old' }]);
  });

  it('whose description is another was not applied', async () => {
    const id = await attempt({ detail: '{"description_sha256":"of another"}' });
    await rig({ get: asAsked({ description: 'this' }) }).run();
    expect(await eventOf(id)).toMatchObject({ error_code: 'not_applied' });
  });

  it('that a later change has replaced is unknown, and PipeOps is not asked', async () => {
    const id = await attempt(NAME);
    await storeEvent({
      action: 'service_account_token.update',
      token_id: 'token-1',
      status: 'success',
      settled_at: NOW,
      outcome: '{}',
    });
    const { run, calls } = rig();
    await run();
    expect([(await eventOf(id))?.error_code, calls]).toEqual(['outcome_unknown', ['end']]);
  });

  it.each(['revoke', 'suspend'] as const)(
    'must not stand against a later order to %s, which is made anew',
    async (mode) => {
      await storeToken({ token_id: 'token-1', name: 'old' });
      const id = await attempt(NAME);
      const later = await stored({ token_id: 'token-1', mode });
      const seq = await lastSeq();
      expect(await rig({ get: asAsked() }).run()).toEqual({ due: 1, settled: 1 });
      const undone = (await orders()).filter((order) => order['id'] !== later.id);
      expect(undone).toMatchObject([
        { cause: 'system', mode, state: 'open', token_id: 'token-1', workspace_uuid: WORKSPACE },
      ]);
      expect(await eventOf(id)).toMatchObject({ status: 'failure', error_code: 'revocation_pending' });
      expect(await outcomeOf(id)).toEqual({ ...BY_US, order: undone[0]?.['id'] });
      const anew = await eventsSince(seq);
      expect(JSON.parse(anew[0]?.detail ?? '')).toMatchObject({ overtaken: id });
      expect(anew).toMatchObject([
        {
          id: undone[0]?.['id'],
          status: 'attempted',
          action: mode === 'revoke' ? 'service_account_token.revoke' : 'service_account_token.update',
        },
      ]);
      expect([await tokenOf(), await isReviewed(id), await raised()]).toMatchObject([
        { name: 'old' },
        false,
        [WORKSPACE],
      ]);
    },
  );

  it.each<[string, string, boolean]>([
    ['a resume that may have taken effect', '{"is_active":true}', true],
    ['a suspension that may have taken effect', '{"is_active":false}', false],
  ])('that is unknown is undone where it is %s', async (_name, detail, isUndone) => {
    const id = await attempt({ detail, occurred_at: GIVEN_UP });
    await stored({ token_id: 'token-1' });
    await rig({ get: err(BROKEN) }).run();
    expect(await eventOf(id)).toMatchObject({ status: 'failure', error_code: 'outcome_unknown' });
    expect(await orders()).toHaveLength(isUndone ? 2 : 1);
  });

  it('that is settled late is announced as what became of it', async () => {
    const [id, undone] = [
      await attempt({ ...NAME, occurred_at: NOW - AUDIT_ANNOUNCE_AFTER_MS }),
      await attempt({ ...NAME, occurred_at: NOW - AUDIT_ANNOUNCE_AFTER_MS, token_id: 'token-2' }),
    ];
    await stored({ token_id: 'token-2' });
    const seq = await lastSeq();
    await rig({ get: asAsked() }).run();
    const announced = (await eventsSince(seq)).filter(({ action }) => action === 'audit.settled');
    expect(announced.map(({ detail }) => JSON.parse(detail))).toMatchObject([
      { event_id: id, status: 'success', error_code: null },
      { event_id: undone, status: 'failure', error_code: 'revocation_pending' },
    ]);
  });

  it('that D1 does not settle stays as it is', async () => {
    const id = await attempt(NAME);
    const { run, lines } = rig({ get: asAsked(), takes: (batch) => batch !== 2 });
    expect(await run()).toEqual({ due: 1, settled: 0 });
    expect([(await eventOf(id))?.status, await isReviewed(id), lines]).toEqual(['attempted', true, []]);
  });

  it.each([
    ['earlier', 'success', NOW - 1, BY_US],
    ['as something else', 'success', NOW, { reason: 'other' }],
    ['as a failure', 'failure', NOW, BY_US],
  ])('that another has settled meanwhile, %s, is left as it is', async (_name, status, settledAtMs, outcome) => {
    await storeToken({ token_id: 'token-1', name: 'old' });
    const id = await attempt(NAME);
    const meanwhile = async () =>
      await env.DB.prepare('update audit_events set status = ?, settled_at = ?, outcome = ? where id = ?')
        .bind(status, settledAtMs, JSON.stringify(outcome), id)
        .run();
    expect(await rig({ get: asAsked(), meanwhile }).run()).toEqual({ due: 1, settled: 0 });
    expect([await isReviewed(id), await tokenOf()]).toMatchObject([true, { name: 'old' }]);
  });

  it('that was not applied is not undone, though it was a resume', async () => {
    const id = await attempt({ detail: '{"is_active":true}' });
    await stored({ token_id: 'token-1' });
    await rig({ get: asAsked({ isActive: false }) }).run();
    expect([(await eventOf(id))?.error_code, (await orders()).length]).toEqual(['not_applied', 1]);
  });

  it('that may have taken effect is not taken for what the token has now', async () => {
    await storeToken({ token_id: 'token-1', name: 'old' });
    await attempt({ detail: '{"is_active":true,"name":"new"}', token_name: 'new', occurred_at: GIVEN_UP });
    await rig({ get: err(BROKEN) }).run();
    expect(await tokenOf()).toMatchObject({ name: 'old' });
  });

  it('of a description that PipeOps leaves out waits', async () => {
    const id = await attempt({ detail: '{"description_sha256":"of another"}' });
    await rig({ get: asAsked({ description: null }) }).run();
    expect((await eventOf(id))?.status).toBe('attempted');
  });
});
