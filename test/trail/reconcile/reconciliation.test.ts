import { env } from 'cloudflare:workers';
import { beforeEach, describe, expect, it } from 'vitest';
import { askedIn } from '../../support/audit-detail.ts';
import { RECONCILE_BATCH_ROWS } from '../../../src/config/limits.ts';
import { createHarness, TOKENS, type Harness } from '../../support/harness.ts';
import { expectSettledTrail } from '../../support/invariants.ts';
import { CREATE, cronTwice, faultOnce, lastSentBody, outcomeOf, settleAll, withClock } from './reconciling.ts';

// The cron of each minute asks PipeOps about every attempt whose outcome is not known, and settles it.

beforeEach(settleAll);

it('what a list of reconciliation shows of other tokens is written down', async () => {
  const { harness, age } = await withClock();
  const { id } = await harness.mint();
  const byHand = await harness.control.insertToken({ workspace_uuid: harness.workspace, name: 'by hand' });
  await harness.control.revokeByHand(id);
  await faultOnce(harness, { drop: 'before_commit' });
  await harness.send('POST', TOKENS, CREATE);
  age(121);
  await harness.cron();
  expect(await harness.inventory()).toMatchObject([
    { token_id: id, ended_by: 'listed' },
    { token_id: byHand.id, owner_issuer: null },
  ]);
  const codes = (await harness.rows()).filter(({ actor_type }) => actor_type === 'system').map((row) => row.error_code);
  expect(new Set(codes)).toEqual(new Set(['appeared_upstream', 'gone_upstream']));
});

it('a marker counts in no workspace but that of its create', async () => {
  const { harness, age } = await withClock();
  await faultOnce(harness, { drop: 'before_commit' });
  await harness.send('POST', TOKENS, CREATE);
  const { name } = await lastSentBody(harness);
  age(121);
  await cronTwice({ harness, age });
  expect(await outcomeOf(harness)).toMatchObject({ status: 'failure', error_code: 'not_applied' });
  const elsewhere = await createHarness({ issuer: harness.issuer });
  const copied = await elsewhere.control.insertToken({ workspace_uuid: elsewhere.workspace, name });
  expect((await elsewhere.send('GET', TOKENS)).status).toBe(200);
  expect(await elsewhere.upstreamTokens()).toMatchObject([{ id: copied.id, is_revoked: false }]);
});

describe('reconciliation and a late request', () => {
  it('agree on a revoke that both saw done', async () => {
    const { harness, age } = await withClock();
    const { id } = await harness.mint();
    const late = await createHarness({
      like: harness,
      runtime: {
        fetch: async (url, init) => {
          const response = await harness.runtime.fetch(url, init);
          if (init.method === 'DELETE') {
            age(121);
            await harness.cron();
          }
          return response;
        },
      },
    });
    expect((await late.send('DELETE', `${TOKENS}/${id}`)).status).toBe(200);
    expect(await outcomeOf(harness)).toEqual({ status: 'success', error_code: null, settled_by: 'reconciliation' });
  });

  it('never both win: a create that comes back too late hands out nothing and is revoked', async () => {
    const { harness, age } = await withClock();
    const slow = await createHarness({
      like: harness,
      runtime: {
        now: () => harness.runtime.now(),
        fetch: async (url, init) => {
          const response = await harness.runtime.fetch(url, init);
          // The answer has come, but its isolate slept.
          if (init.method === 'POST') age(121);
          return response;
        },
      },
    });
    const answer = await slow.send('POST', TOKENS, CREATE);
    expect([answer.status, answer.body.code]).toEqual([503, 'audit_unavailable']);
    await harness.cron();
    await expectSettledTrail(harness);
    expect(await harness.upstreamTokens()).toMatchObject([{ is_revoked: true }]);
  });

  it('never both win: a row that reconciliation settled first is not settled again', async () => {
    const { harness, age } = await withClock();
    const raced = await createHarness({
      like: harness,
      runtime: {
        now: () => Date.now(),
        fetch: async (url, init) => {
          const response = await harness.runtime.fetch(url, init);
          if (init.method === 'POST') {
            age(121);
            await harness.cron();
          }
          return response;
        },
      },
    });
    const answer = await raced.send('POST', TOKENS, CREATE);
    expect([answer.status, answer.body.code]).toEqual([503, 'audit_unavailable']);
    expect(answer.text).not.toContain('sat_');
    expect(await harness.inventory()).toEqual([]);
    expect(await outcomeOf(harness)).toMatchObject({
      status: 'failure',
      error_code: 'undelivered',
      settled_by: 'reconciliation',
    });
    await expectSettledTrail(harness);
  });
});

describe('how attempts are looked into', () => {
  const lookups = async (harness: Harness) =>
    (await harness.upstream()).filter(({ method }) => method === 'GET').length;

  it('by one run at a time, however many run', async () => {
    const { harness, age } = await withClock();
    await faultOnce(harness, { drop: 'after_commit' });
    await harness.send('POST', TOKENS, CREATE);
    age(121);
    await Promise.all([harness.cron(), harness.cron(), harness.cron()]);
    expect(await lookups(harness)).toBe(1);
    await expectSettledTrail(harness);
  });

  it('again after a minute, then after twice as long each time', async () => {
    const { harness, age } = await withClock();
    await harness.control.insertToken({ workspace_uuid: harness.workspace, name: 'a list without any marker' });
    await faultOnce(harness, { drop: 'before_commit' });
    await harness.send('POST', TOKENS, CREATE);
    age(121);
    const seen: number[] = [];
    for (let minute = 0; minute <= 15; minute += 1) {
      const before = await lookups(harness);
      await harness.cron();
      // Where nobody has called PipeOps for long the cron does, whatever there is to look into.
      const { probed } = harness.lines.findLast(({ event }) => event === 'cron') ?? {};
      if ((await lookups(harness)) - Number(probed) > before) seen.push(minute);
      age(60);
    }
    expect(seen).toEqual([0, 1, 3, 7, 15]);
    expect(await outcomeOf(harness)).toMatchObject({ status: 'attempted' });
  });

  it('no more than a batch of them a run, the oldest first', async () => {
    const { harness, age } = await withClock();
    for (let sent = 0; sent < RECONCILE_BATCH_ROWS + 3; sent += 1) {
      await faultOnce(harness, { drop: 'before_commit' });
      await harness.send('POST', TOKENS, CREATE);
      age(1);
    }
    age(121);
    await harness.cron();
    const looked = await env.DB.prepare(
      'select e.id from audit_events e join attempt_reviews r on r.event_id = e.id where e.workspace_uuid = ? order by e.seq',
    )
      .bind(harness.workspace)
      .all<{ id: string }>();
    const ids = (await harness.rows()).map(({ id }) => id);
    expect(looked.results.map(({ id }) => id)).toEqual(ids.slice(0, RECONCILE_BATCH_ROWS));
    await harness.cron();
    age(61);
    await harness.cron();
    await harness.cron();
    await expectSettledTrail(harness);
  });

  it('and forgotten when they are settled', async () => {
    const { harness, age } = await withClock();
    await faultOnce(harness, { drop: 'after_commit' });
    await harness.send('POST', TOKENS, CREATE);
    age(121);
    await harness.cron();
    const { id } = (await harness.rows())[0] ?? { id: '' };
    expect(await env.DB.prepare('select * from attempt_reviews where event_id = ?').bind(id).first()).toBeNull();
  });

  it('though one of them cannot be judged', async () => {
    const { harness, age } = await withClock();
    await env.DB.prepare(
      `insert into audit_events (id, occurred_at, action, status, actor_type, token_id, detail) values (?, 1, 'service_account_token.revoke', 'attempted', 'user', 'tok-1', '{}')`,
    )
      .bind(crypto.randomUUID())
      .run();
    await harness.control.fault({ match: { workspace_uuid: harness.workspace, method: 'POST' }, drop: 'after_commit' });
    await harness.send('POST', TOKENS, CREATE);
    age(121);
    await harness.cron().catch(() => {});
    const creates = (await harness.rows()).filter(({ action }) => action === 'service_account_token.create');
    expect(creates.map((row) => row.status)).toEqual(['failure']);
  });
});

describe('a row that is settled late', () => {
  const announcements = async (harness: Harness) =>
    (await harness.rows()).filter((row) => row.action === 'audit.settled');

  it('is announced to those who have read past it, by a row of its own', async () => {
    const { harness, age } = await withClock();
    await faultOnce(harness, { drop: 'after_commit' });
    await harness.send('POST', TOKENS, CREATE);
    age(301);
    await harness.cron();
    const [settled] = await harness.rows();
    const rest = await announcements(harness);
    expect(rest).toMatchObject([
      { action: 'audit.settled', status: 'success', actor_type: 'system', token_id: settled?.token_id },
    ]);
    expect(askedIn(rest[0])).toEqual({
      event_id: settled?.id,
      action: 'service_account_token.create',
      status: 'failure',
      error_code: 'undelivered',
    });
  });

  it('is not announced while nobody can have read past it', async () => {
    const { harness, age } = await withClock();
    await faultOnce(harness, { drop: 'after_commit' });
    await harness.send('POST', TOKENS, CREATE);
    age(289);
    await harness.cron();
    expect(await outcomeOf(harness)).toMatchObject({ status: 'failure' });
    expect(await announcements(harness)).toEqual([]);
  });
});
