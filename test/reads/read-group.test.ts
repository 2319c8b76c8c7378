import { env } from 'cloudflare:workers';
import { describe, expect, it } from 'vitest';
import { UPSTREAM_TIMEOUT_MS } from '../../src/config/limits.ts';
import { failingBatches } from '../support/failing-batches.ts';
import { ISSUER, TOKENS, type Harness } from '../support/harness.ts';
import { createCompany, list, readsAt } from './isolates.ts';

// Concurrent reads share a trip to D1 and a call to PipeOps, and each of them is written down.

const together = async (isolate: Harness, count: number, jwtOf: (index: number) => Promise<string>) =>
  await Promise.all(
    Array.from(
      { length: count },
      async (_item, index) => await isolate.send('GET', TOKENS, { jwt: await jwtOf(index) }),
    ),
  );

/** By caller: how often its reads were counted, over all its rows. */
async function countedBy({ workspace }: Harness): Promise<Record<string, number>> {
  const { results } = await env.DB.prepare(
    `select actor_subject as who, sum(count) as n from audit_events
     where workspace_uuid = ? and action = 'service_account_token.list' and status = 'success' group by 1`,
  )
    .bind(workspace)
    .all<{ who: string; n: number }>();
  return Object.fromEntries(results.map(({ who, n }) => [who, n]));
}

describe('reads of one isolate at once', () => {
  it('share one list, and every one of them is counted', async () => {
    const { first } = await createCompany();
    await first.mint('one');
    const answers = await together(
      first,
      30,
      async (index) => await first.jwtFor('admin', { sub: `reader-${index % 3}` }),
    );
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
    expect(await readsAt(first)).toHaveLength(1);
    expect(answers.some(({ headers }) => headers.get('Cache-Status')?.includes('collapsed'))).toBe(true);
    expect(await countedBy(first)).toEqual({ 'reader-0': 10, 'reader-1': 10, 'reader-2': 10 });
  });

  it('share trips to D1, and each waits for its own row', async () => {
    const counting = failingBatches(() => false);
    const { first } = await createCompany({ db: counting.db });
    await list(first);
    const before = counting.sent();
    const jwts = await Promise.all(
      Array.from({ length: 40 }, async (_item, index) => await first.jwtFor('admin', { sub: `r-${index}` })),
    );
    const answers = await together(first, 40, async (index) => jwts[index] ?? '');
    expect(counting.sent() - before).toBeLessThan(10);
    const ids = answers.map(({ headers }) => headers.get('X-Audit-Event-Id'));
    expect(new Set(ids).size).toBe(40);
    for (const id of ids) {
      const row = await env.DB.prepare('select status, actor_issuer from audit_events where id = ?').bind(id).first();
      expect(row).toEqual({ status: 'success', actor_issuer: ISSUER });
    }
  });

  it('fail each for itself alone: where the shared batch fails, each is sent by itself', async () => {
    let failing = false;
    const flaky = failingBatches(() => {
      const fails = failing;
      failing = false;
      return fails;
    });
    const { first } = await createCompany({ db: flaky.db });
    await list(first);
    const jwts = await Promise.all(
      [0, 1, 2, 3].map(async (index) => await first.jwtFor('admin', { sub: `r-${index}` })),
    );
    failing = true;
    const answers = await together(first, 4, async (index) => jwts[index] ?? '');
    // The first one of all has nobody to share with.
    expect(answers.map(({ status }) => status).filter((status) => status !== 200).length).toBeLessThanOrEqual(1);
    const rows = Object.values(await countedBy(first)).reduce((sum, count) => sum + count, 0);
    expect(rows).toBe(1 + answers.filter(({ status }) => status === 200).length);
  });

  it('are not answered where D1 takes none of them', async () => {
    let isDown = false;
    const { db } = failingBatches(() => isDown);
    const { first } = await createCompany({ db });
    await list(first);
    isDown = true;
    const answers = await together(first, 5, async () => await first.jwtFor('admin'));
    expect(answers.map(({ body }) => body.code)).toEqual(Array(5).fill('audit_unavailable'));
    expect(answers.some(({ text }) => text.includes('tokens'))).toBe(false);
  });
});

it('isolates that miss at once do not all ask PipeOps: one does, and the others take what it leaves in D1', async () => {
  const { first, another } = await createCompany();
  await first.mint('one');
  const isolates = [first, ...(await Promise.all([0, 1, 2, 3].map(async () => await another())))];
  const answers = await Promise.all(isolates.map(async (isolate) => await list(isolate)));
  expect(answers.map(({ status }) => status)).toEqual(Array(5).fill(200));
  expect(await readsAt(first)).toHaveLength(1);
});

it('an isolate that dies while it asks is not waited for long', async () => {
  const { first, another } = await createCompany();
  await first.mint('one');
  const dying = await another({
    runtime: {
      fetch: async () => await new Promise<never>(() => {}),
      background: () => {},
      timeout: () => new AbortController().signal,
    },
  });
  void list(dying);
  await expect
    .poll(
      async () =>
        (
          await env.DB.prepare('select lease_until from workspaces where workspace_uuid = ?')
            .bind(first.workspace)
            .first<{ lease_until: number }>()
        )?.lease_until,
    )
    .toBeGreaterThan(0);
  const survivor = await another({ runtime: { sleep: async () => {} } });
  expect((await list(survivor)).status).toBe(200);
});

it('nor by the isolate itself: a call whose request died is not joined once its deadline is over', async () => {
  const { first, another, age } = await createCompany();
  await first.mint('one');
  const calls: (() => void)[] = [];
  let isDying = true;
  const isolate = await another({
    runtime: {
      // Workers end what a request that is over began: its call is never answered, and its timers never fire.
      fetch: async (url, init) => {
        if (!isDying) return await first.runtime.fetch(url, init);
        return await new Promise<never>((_resolve, reject) => calls.push(() => reject(new TypeError('over'))));
      },
      timeout: (ms) => (isDying ? new AbortController().signal : first.runtime.timeout(ms)),
      background: (work) => (isDying ? undefined : first.runtime.background(work)),
      // Whoever joins a call waits so long for it, at once.
      after: (ms, call) => {
        if (ms !== UPSTREAM_TIMEOUT_MS) return first.runtime.after(ms, call);
        call();
        return () => {};
      },
    },
  });
  void list(isolate);
  await expect.poll(() => calls.length).toBe(1);
  isDying = false;

  age(UPSTREAM_TIMEOUT_MS / 1000 + 3);
  const answer = await list(isolate);
  expect([answer.status, answer.headers.get('Cache-Status')]).toEqual([200, 'countersign; fwd=miss']);
});

it('a call that is not answered is waited for no longer than its deadline, by whoever joined it too', async () => {
  const { first, another } = await createCompany();
  await first.mint('one');
  let calls = 0;
  const isolate = await another({
    runtime: {
      fetch: async () => {
        calls += 1;
        return await new Promise<never>(() => {});
      },
      timeout: () => new AbortController().signal,
      background: () => {},
      after: (ms, call) => {
        if (ms !== UPSTREAM_TIMEOUT_MS) return first.runtime.after(ms, call);
        call();
        return () => {};
      },
    },
  });
  void list(isolate);
  await expect.poll(() => calls).toBe(1);
  const joined = await list(isolate);
  expect([joined.status, joined.body.code]).toEqual([504, 'upstream_timeout']);
  expect(calls).toBe(1);
});
