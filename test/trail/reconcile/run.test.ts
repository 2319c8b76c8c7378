import { env } from 'cloudflare:workers';
import { beforeEach, describe, expect, it } from 'vitest';
import { QUOTA_RUN_BLOCK_CALLS, RECONCILE_RUN_MS } from '../../../src/config/limits.ts';
import { err, ok } from '../../../src/kit/result.ts';
import { upstreamToken } from '../../support/upstream-token.ts';
import { BROKEN, context, NOW, storeToken } from '../../revocation/orders/leased.ts';
import {
  anotherMarker,
  attempt,
  begin,
  create,
  eventOf,
  isReviewed,
  named,
  OLD,
  revoke,
  rig,
  unauthentic,
} from './rig.ts';

// How a run of reconciliation goes on from one attempt to the next, and where it ends.

beforeEach(begin);

describe('a run', () => {
  it('asks nothing while the rest of the quota is kept for others, or where D1 takes no lease', async () => {
    await create();
    const waits = rig({ waitsAfter: 0 });
    expect([await waits.run(), waits.trips()]).toEqual([{ due: 0, settled: 0 }, 0]);
    const down = rig({ takes: () => false });
    expect([await down.run(), down.calls]).toEqual([{ due: 0, settled: 0 }, []]);
  });

  it('settles what it can, reserves a call for each, and counts both', async () => {
    await storeToken({ token_id: 'token-1' });
    const [settled, waiting] = [await revoke(), await revoke({ token_id: 'token-2' })];
    const { run, calls, grants } = rig({ get: err(BROKEN) });
    expect(await run()).toEqual({ due: 2, settled: 0 });
    expect([calls, grants]).toEqual([['get token-1', 'get token-2', 'end'], [{ calls: 2 }]]);
    await env.DB.prepare('update attempt_reviews set next_at = 0').run();
    const seen = rig({ get: ok(upstreamToken({ isRevoked: true })) });
    expect(await seen.run()).toEqual({ due: 2, settled: 2 });
    expect([await isReviewed(settled), await isReviewed(waiting)]).toEqual([false, false]);
  });

  it('gives back what it does not get to, and tells the news of the quota', async () => {
    const [first, second] = [await revoke(), await revoke({ token_id: 'token-2' })];
    const { run, calls } = rig({ get: err(BROKEN), callMs: RECONCILE_RUN_MS + 1, hasNews: true });
    expect(await run()).toEqual({ due: 2, settled: 0 });
    expect(calls).toEqual(['get token-1', 'end']);
    const reviews = await env.DB.prepare('select event_id, tries from attempt_reviews order by tries').all();
    expect(reviews.results).toEqual([
      { event_id: second, tries: 0 },
      { event_id: first, tries: 1 },
    ]);
    expect(await env.DB.prepare(`select until from upstream_limits where scope = 'news'`).first()).toEqual({
      until: 1,
    });
    const inTime = rig({ get: err(BROKEN), callMs: RECONCILE_RUN_MS });
    await env.DB.prepare('update attempt_reviews set next_at = 0').run();
    await inTime.run();
    expect(inTime.calls).toHaveLength(3);
    expect(inTime.options[0]?.reserved).toBeDefined();
  });

  it('goes no further than its budget, and reserves a block of calls at the most', async () => {
    for (let count = 0; count < QUOTA_RUN_BLOCK_CALLS + 1; count += 1) await revoke({ token_id: `token-${count}` });
    let steps = 0;
    const { reconciler, calls, grants } = rig({ get: err(BROKEN) });
    await reconciler.run(context, { permits: () => (steps += 1) > 1 });
    expect([calls, grants]).toEqual([['end'], [{ calls: QUOTA_RUN_BLOCK_CALLS }]]);
  });

  it('asks D1 once where nothing is due', async () => {
    const { run, trips } = rig();
    const queries = context.trace.d1Queries;
    expect([await run(), trips()]).toEqual([{ due: 0, settled: 0 }, 1]);
    await revoke();
    const waiting = rig({ get: err(BROKEN) });
    await waiting.run();
    expect([waiting.trips(), context.trace.d1Queries > queries]).toEqual([1, true]);
  });

  it.each([
    ['an error', new RangeError('broken'), 'RangeError'],
    ['nothing that is an error', null, 'unknown'],
  ])('goes on with the next attempt where judging one throws %s', async (_name, throws, name) => {
    const broken = await revoke({ actor_type: 'system', occurred_at: OLD - 1 });
    await revoke({ token_id: 'token-2' });
    const { run, lines, calls } = rig({ get: ok(upstreamToken()), revoke: { throws } });
    expect(await run()).toEqual({ due: 2, settled: 1 });
    expect(lines).toContainEqual({ level: 'error', event: 'attempt_not_judged', event_id: broken, name });
    expect(calls).toEqual(['get token-1', 'get token-2', 'end']);
  });

  it('acts on no attempt that this service has not recorded, notes it, and goes on with the next', async () => {
    const [forged, next] = [await revoke({ occurred_at: OLD - 1 }), await revoke({ token_id: 'token-2' })];
    const { run, lines, calls } = rig({ get: ok(upstreamToken({ isRevoked: true })), forged });
    expect(await run()).toEqual({ due: 2, settled: 1 });
    expect(calls).toEqual(['get token-2', 'end']);
    expect([(await eventOf(forged))?.status, (await eventOf(next))?.status]).toEqual(['attempted', 'success']);
    expect(lines).toEqual([{ level: 'error', event: 'row_unauthentic', kind: 'attempt', name: forged }]);
    expect(await unauthentic()).toEqual([{ kind: 'attempt', name: forged, found_at: NOW }]);
  });

  it.each([
    ['that this service has recorded', false],
    ['though this service has not recorded it', true],
  ])('ends a renewal of the credential that died as unknown, and asks for nothing, %s', async (_name, isForged) => {
    const renewal = { action: 'credential.renew', token_id: null, workspace_uuid: null, actor_type: 'system' };
    const id = await attempt(renewal);
    const { run, calls, lines } = rig({ ...(isForged && { forged: id }) });
    expect(await run()).toEqual({ due: 1, settled: 1 });
    expect([await eventOf(id), calls, lines]).toMatchObject([
      { status: 'failure', error_code: 'outcome_unknown' },
      ['end'],
      [],
    ]);
  });
});

describe('where PipeOps says wait', () => {
  it('a run hears it from another isolate with its lease, and gives everything back', async () => {
    const ids = [await revoke(), await revoke({ token_id: 'token-2' })];
    await env.DB.prepare(`insert into upstream_limits (scope, until) values ('all', ?)`)
      .bind(NOW + 60_000)
      .run();
    const { run, calls } = rig({ get: ok(upstreamToken()) });
    expect(await run()).toEqual({ due: 2, settled: 0 });
    expect(calls).toEqual(['end']);
    const reviews = await env.DB.prepare('select event_id, tries from attempt_reviews order by event_id').all();
    expect(reviews.results).toEqual(ids.toSorted().map((event_id) => ({ event_id, tries: 0 })));
  });

  it.each([
    ['the list of a workspace', 1, ['list', 'end']],
    ['the revoke of a token that nobody got', 2, ['list', 'revoke', 'end']],
    ['what is left to do', Infinity, ['list', 'revoke', 'get', 'get', 'get', 'end']],
  ])('a run goes no further than %s', async (_name, waitsAfter, asked) => {
    await create({ status: 'failure', settled_at: 1, outcome: '{}', error_code: 'outcome_unknown' });
    await create({ marker: anotherMarker() });
    // A list that lacks so many tokens at once proves nothing, so each of them is asked for.
    for (const index of [1, 2, 3]) await storeToken({ token_id: `missed-${index}` });
    const { run, calls, options } = rig({ shown: [named()], waitsAfter });
    expect(await run()).toEqual({ due: 1, settled: 0 });
    expect(calls.map((call) => call.split(' ')[0])).toEqual(asked);
    expect(options.map(({ purpose }) => purpose)).toEqual(
      asked.filter((call) => call !== 'end').map((call) => (call === 'revoke' ? undefined : 'reconciliation')),
    );
  });
});
