import { env } from 'cloudflare:workers';
import { beforeEach, describe, expect, it } from 'vitest';
import { RECONCILE_BATCH_ROWS } from '../../src/config/limits.ts';
import type { Fault } from '../pipeops-simulator/faults-wire.ts';
import { createHarness, TOKENS, type Harness } from '../support/harness.ts';
import { expectSettledTrail } from '../support/invariants.ts';

// The minute cron: every attempt whose outcome nobody heard of is settled by asking PipeOps.

const CREATE = { body: { name: 'deploy', scopes: ['api:read'] } };

// What an earlier test left open would be looked into by the crons of the next.
beforeEach(async () => {
  await env.DB.prepare(
    `update audit_events set status = 'failure', settled_at = 1, outcome = '{}' where status = 'attempted'`,
  ).run();
});

/** A harness whose clock can be moved; JWTs are signed by its own clock. */
async function withClock(): Promise<{ harness: Harness; age: (seconds: number) => void }> {
  let skewMs = 0;
  const harness = await createHarness({ runtime: { now: () => Date.now() + skewMs } });
  return {
    harness,
    age: (seconds) => {
      skewMs += seconds * 1000;
    },
  };
}

const faultOnce = async (harness: Harness, fault: Fault) =>
  await harness.control.fault({ ...fault, match: { workspace_uuid: harness.workspace } });

const lastSentBody = async (harness: Harness): Promise<{ name: string }> => {
  const sent = await harness.upstream();
  return sent[sent.length - 1]!.body as { name: string };
};

const outcomeOf = async (harness: Harness, index = -1) => {
  const row = (await harness.rows()).at(index);
  return { status: row?.status, error_code: row?.error_code, ...(JSON.parse(row?.outcome ?? '{}') as object) };
};

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
    expect(await harness.rows()).toMatchObject([{ id: answer.body.event_id, token_id: token?.id }]);
    await expectSettledTrail(harness);
  });

  it('that never reached PipeOps is settled as not applied', async () => {
    const { harness, age } = await withClock();
    await faultOnce(harness, { drop: 'before_commit' });
    await harness.send('POST', TOKENS, CREATE);
    age(121);
    await harness.cron();
    expect(await outcomeOf(harness)).toMatchObject({ status: 'failure', error_code: 'not_applied' });
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
    await harness.cron();
    const late = await harness.control.insertToken({ workspace_uuid: harness.workspace, name });
    age(-121);
    await harness.send('GET', TOKENS);
    expect(await harness.upstreamTokens()).toMatchObject([{ id: late.id, is_revoked: true }]);
  });

  it('that is still open is left alone by a list', async () => {
    const { harness } = await withClock();
    await faultOnce(harness, { drop: 'after_commit' });
    await harness.send('POST', TOKENS, CREATE);
    await harness.send('GET', TOKENS);
    expect(await harness.upstreamTokens()).toMatchObject([{ is_revoked: false }]);
  });
});

describe.each([
  ['revoke', 'DELETE', undefined],
  ['update', 'PATCH', { name: 'renamed', scopes: ['api:write'], description: 'new', is_active: false }],
])('a %s whose answer was lost', (_name, method, body) => {
  it.each([
    ['took effect', 'after_commit', { status: 'success', error_code: null, settled_by: 'reconciliation' }],
    ['did not', 'before_commit', { status: 'failure', error_code: 'not_applied', settled_by: 'reconciliation' }],
  ] as const)('is read back: it %s', async (_case, drop, outcome) => {
    const { harness, age } = await withClock();
    const { id } = await harness.mint();
    // Both tries: it is sent once more where that is safe.
    await harness.control.fault({ drop, times: 2, match: { workspace_uuid: harness.workspace, method } });
    const answer = await harness.send(method, `${TOKENS}/${id}`, body === undefined ? {} : { body });
    expect([answer.status, answer.body.code]).toEqual([504, 'outcome_unknown']);
    age(121);
    await harness.cron();
    expect(await outcomeOf(harness)).toEqual(outcome);
  });
});

it('a marker moves nothing in another workspace than that of its create', async () => {
  const { harness, age } = await withClock();
  await faultOnce(harness, { drop: 'before_commit' });
  await harness.send('POST', TOKENS, CREATE);
  const { name } = await lastSentBody(harness);
  age(121);
  await harness.cron();
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
          // The answer is there, but its isolate slept.
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
      if ((await lookups(harness)) > before) seen.push(minute);
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
    const statuses = (await harness.rows()).map(({ status }) => status);
    expect(statuses.slice(0, RECONCILE_BATCH_ROWS)).toEqual(Array(RECONCILE_BATCH_ROWS).fill('failure'));
    expect(statuses.slice(RECONCILE_BATCH_ROWS)).toEqual(Array(3).fill('attempted'));
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
    const [settled, ...rest] = await harness.rows();
    expect(rest).toMatchObject([
      { action: 'audit.settled', status: 'success', actor_type: 'system', token_id: settled?.token_id },
    ]);
    expect(JSON.parse(rest[0]?.detail ?? '')).toEqual({
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
