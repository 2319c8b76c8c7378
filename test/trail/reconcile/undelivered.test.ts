import { beforeEach, describe, expect, it } from 'vitest';
import {
  COMPENSATION_TIMEOUT_MS,
  CONTRADICTION_AFTER_MS,
  UNDELIVERED_BATCH_TOKENS,
} from '../../../src/config/limits.ts';
import type { UpstreamToken } from '../../../src/pipeops/types.ts';
import { upstreamToken } from '../../support/upstream-token.ts';
import { BROKEN, context, NOW, stored, storeToken, WORKSPACE } from '../../revocation/orders/leased.ts';
import {
  anotherMarker,
  begin,
  create,
  eventsSince,
  lastSeq,
  named,
  orders,
  OTHER,
  ownTokenId,
  raised,
  rig,
  type Terms,
  tokenOf,
  unauthentic,
} from './rig.ts';

// What becomes of a listed token whose secret nobody got.

beforeEach(begin);

describe('a listed token of a create that failed', () => {
  const FAILED = { status: 'failure', settled_at: 1, outcome: '{}', error_code: 'outcome_unknown' };
  const sweep = async (terms: Terms = {}, listed: readonly UpstreamToken[] = [named()]) => {
    const made = rig(terms);
    await made.reconciler.sweep(context, WORKSPACE, listed, NOW);
    return made;
  };

  it('is ordered and revoked, with a row of its own', async () => {
    const id = await create(FAILED);
    await storeToken({ token_id: 'minted' });
    const seq = await lastSeq();
    const { calls, options, lines, deadlines } = await sweep();
    const [row, ...more] = await eventsSince(seq);
    expect([row, more]).toMatchObject([
      {
        action: 'service_account_token.revoke',
        actor_type: 'system',
        status: 'success',
        upstream_status: 200,
        token_id: 'minted',
      },
      [],
    ]);
    expect(JSON.parse(row?.detail ?? '')).toMatchObject({ undelivered_create: id });
    expect(await orders()).toMatchObject([{ id: row?.id, cause: 'system', mode: 'revoke', state: 'acknowledged' }]);
    expect([calls, await tokenOf('minted'), await raised()]).toMatchObject([
      [`revoke ${WORKSPACE} minted`],
      { ended_by: 'acknowledged' },
      [WORKSPACE],
    ]);
    expect(options[0]).toMatchObject({ eventId: row?.id, isRetriedLater: true });
    expect(deadlines).toContain(COMPENSATION_TIMEOUT_MS);
    expect(lines).toEqual([{ level: 'warn', event: 'undelivered_token_revoked', event_id: row?.id, revoked: true }]);
  });

  it('has an open order where PipeOps does not revoke it, and lists from before are outdated', async () => {
    await create(FAILED);
    const seq = await lastSeq();
    const { lines } = await sweep({ revoke: BROKEN });
    expect(await eventsSince(seq)).toMatchObject([{ status: 'attempted' }]);
    expect([await orders(), await raised(), lines]).toMatchObject([
      [{ state: 'open' }],
      [WORKSPACE],
      [{ revoked: false }],
    ]);
  });

  it.each<[string, Readonly<Record<string, unknown>>, () => UpstreamToken, number]>([
    ['whose create is open', {}, named, 1],
    ['whose create succeeded', { ...FAILED, status: 'success', error_code: null }, named, 1],
    ['of another workspace', { ...FAILED, workspace_uuid: OTHER }, named, 1],
    ['with another marker', FAILED, () => upstreamToken({ name: `deploy${anotherMarker()}` }), 1],
    ['without a marker', FAILED, () => upstreamToken(), 0],
    ['that is revoked', FAILED, () => ({ ...named(), isRevoked: true }), 0],
  ])('is left alone %s', async (_name, values, listed, count) => {
    await create(values);
    const { calls, trips } = await sweep({}, [listed()]);
    expect([calls, await orders(), trips()]).toEqual([[], [], count]);
  });

  const DONE = { token_id: 'minted', state: 'confirmed', acknowledged_at: NOW - CONTRADICTION_AFTER_MS } as const;
  it.each<[string, Parameters<typeof stored>[0], 'ordered' | 'contradicted' | 'left']>([
    ['an open order', { token_id: 'minted' }, 'left'],
    [
      'an order that PipeOps has acknowledged just now',
      { ...DONE, acknowledged_at: NOW - CONTRADICTION_AFTER_MS + 1 },
      'left',
    ],
    ['an order that PipeOps has acknowledged', DONE, 'contradicted'],
    [
      'an order that PipeOps has acknowledged and no look confirmed',
      { ...DONE, state: 'acknowledged' },
      'contradicted',
    ],
    ['an order that was given up', { ...DONE, state: 'failed' }, 'ordered'],
    ['an order that was given up just now', { ...DONE, state: 'failed', acknowledged_at: NOW }, 'ordered'],
    ['an open order of another token', { token_id: 'another' }, 'ordered'],
    ['an open order of another workspace', { token_id: 'minted', workspace_uuid: OTHER }, 'ordered'],
    ['a suspension', { token_id: 'minted', mode: 'suspend' }, 'ordered'],
    ['an order of another token', { ...DONE, token_id: 'another' }, 'ordered'],
    ['an order of another workspace', { ...DONE, workspace_uuid: OTHER }, 'ordered'],
  ])('beside %s is taken as it should be', async (_name, order, became) => {
    await create(FAILED);
    // The trail says so once a day of each token.
    const tokenId = ownTokenId();
    const { id } = await stored(order?.token_id === 'minted' ? { ...order, token_id: tokenId } : order);
    const seq = await lastSeq();
    const { calls, trips } = await sweep({}, [named(tokenId)]);
    expect([calls.length, trips() === 1]).toEqual([became === 'ordered' ? 1 : 0, became === 'left']);
    const own = (await orders()).find((row) => row['id'] === id);
    expect(own).toMatchObject({ state: became === 'contradicted' ? 'open' : (order?.state ?? 'open') });
    const codes = (await eventsSince(seq)).map(({ error_code: code, token_id: of }) => [code, of]);
    expect(codes).toEqual(
      became === 'left' ? [] : [[became === 'contradicted' ? 'revocation_contradicted' : null, tokenId]],
    );
  });

  it('is ordered once, however many runs list it', async () => {
    await create(FAILED);
    const runs = await Promise.all([sweep(), sweep()]);
    expect(runs.flatMap(({ calls }) => calls)).toHaveLength(1);
    expect(await orders()).toHaveLength(1);
  });

  it('is one of a few at a time', async () => {
    const names = Array.from(
      { length: UNDELIVERED_BATCH_TOKENS + 1 },
      (_item, index) => `-csgn-${String.fromCharCode(50 + index).repeat(16)}`,
    );
    for (const name of names) await create({ ...FAILED, marker: name });
    const listed = names.map((name, index) => upstreamToken({ id: `t-${index}`, name: `d${name}` }));
    const { calls } = await sweep({}, listed);
    expect(calls).toHaveLength(UNDELIVERED_BATCH_TOKENS);
  });

  it('is not revoked where D1 does not take its order, or does not answer', async () => {
    await create(FAILED);
    for (const lost of [1, 2]) {
      const { calls } = await sweep({ takes: (batch) => batch !== lost });
      expect([calls, await orders()]).toEqual([[], []]);
    }
  });

  it('is left alone where this service has not recorded its create, which is noted, and the next is revoked', async () => {
    const forged = await create(FAILED);
    await create({ ...FAILED, marker: anotherMarker() });
    const listed = [named('strange'), upstreamToken({ id: 'other', name: `deploy${anotherMarker()}` })];
    const { calls, lines } = await sweep({ forged }, listed);
    expect(calls).toEqual([`revoke ${WORKSPACE} other`]);
    expect(await orders()).toMatchObject([{ token_id: 'other' }]);
    expect(lines).toMatchObject([
      { level: 'error', event: 'row_unauthentic', kind: 'attempt', name: forged },
      { event: 'undelivered_token_revoked' },
    ]);
    expect(await unauthentic()).toEqual([{ kind: 'attempt', name: forged, found_at: NOW }]);
  });

  it('is revoked by the run that listed it', async () => {
    await create(FAILED);
    await create({ marker: anotherMarker() });
    const { run, calls } = rig({ shown: [named()] });
    await run();
    expect(calls).toEqual([`list ${WORKSPACE}`, `revoke ${WORKSPACE} minted`, 'end']);
  });
});
