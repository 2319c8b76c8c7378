import { env } from 'cloudflare:workers';
import { beforeEach, describe, expect, it } from 'vitest';
import { CRON_SHARES } from '../src/config/limits.ts';
import { CRON_JOBS } from '../src/vocabulary.ts';
import { createBudget } from '../src/kit/budget.ts';
import { newTrace } from '../src/kit/trace.ts';
import { adminCredential } from './support/harness.ts';
import { clearOrders, createWebhookHarness, ordersOf } from './revocation/harness.ts';

// The jobs of the cron have an order, a lease and a share of what a Worker may use up.

/** Workers allow 1,000 D1 queries a run. The rest is room for what nobody foresees. */
const MOST_QUERIES = 900;
const WORKSPACES = 40;

beforeEach(async () => {
  await clearOrders();
  await env.DB.prepare('delete from job_leases').run();
});

const lastCron = ({ lines }: Pick<Awaited<ReturnType<typeof createWebhookHarness>>, 'lines'>) =>
  lines.findLast(({ event }) => event === 'cron');

describe('the lease of a job', () => {
  it('keeps a second run from the job, and leaves that run the other jobs', async () => {
    const first = await createWebhookHarness();
    const { token } = await first.mint('leaked');
    let arrived = (): void => {};
    let goOn = (): void => {};
    const isThere = new Promise<void>((resolve) => (arrived = resolve));
    const mayGo = new Promise<void>((resolve) => (goOn = resolve));
    const slow = await createWebhookHarness({
      like: first,
      runtime: {
        fetch: async (url, init) => {
          arrived();
          await mayGo;
          return await first.runtime.fetch(url, init);
        },
      },
    });
    await first.control.fault({ status: 503, match: { workspace_uuid: first.workspace } });
    await first.leak(token);
    slow.age(60);
    first.age(60);
    const running = slow.cron();
    await isThere;
    await first.cron();
    expect(lastCron(first)).toMatchObject({ skipped_jobs: ['orders'], due_orders: 0 });
    goOn();
    await running;
    expect(lastCron(slow)).toMatchObject({ due_orders: 1, ended_orders: 1 });
    expect(lastCron(slow)).not.toHaveProperty('skipped_jobs');
    await first.cron();
    expect(lastCron(first)).not.toHaveProperty('skipped_jobs');
  });

  it('of a run that died ends by itself, and one of a clock that ran ahead does not count', async () => {
    const harness = await createWebhookHarness();
    const hold = async (job: string, seconds: number): Promise<void> => {
      await env.DB.prepare('insert or replace into job_leases (job, holder, until) values (?, ?, ?)')
        .bind(job, 'another', harness.runtime.now() + seconds * 1000)
        .run();
    };
    await hold('orders', 30);
    await hold('attempts', 30);
    await hold('sweeps', 24 * 3_600);
    await harness.cron();
    expect(lastCron(harness)).toMatchObject({ skipped_jobs: ['orders', 'attempts'] });
    harness.age(31);
    await harness.cron();
    expect(lastCron(harness)).not.toHaveProperty('skipped_jobs');
  });

  it('is not taken where D1 does not answer: the job is left to the next run', async () => {
    const down = await createWebhookHarness({
      db: new Proxy(env.DB, {
        get: (target, key) => {
          const value: unknown = Reflect.get(target, key);
          if (key !== 'prepare') return typeof value === 'function' ? value.bind(target) : value;
          return (sql: string) => {
            if (sql.includes('job_leases')) throw new TypeError('injected');
            return target.prepare(sql);
          };
        },
      }),
    });
    await down.cron();
    // Where no credential renews itself, and the trail is not sealed, those jobs are none.
    const idle = ['credential', 'sealing'];
    expect(lastCron(down)).toMatchObject({ skipped_jobs: CRON_JOBS.filter((job) => !idle.includes(job)) });
  });
});

describe('a budget', () => {
  const share = { d1Queries: 10, ms: 1_000 };

  it('permits steps as long as they fit into its share of queries and of time', () => {
    const trace = { ...newTrace(), d1Queries: 500 };
    let nowMs = 5;
    const budget = createBudget(trace, { now: () => nowMs }, share);
    expect([budget.permits(10), budget.permits(11)]).toEqual([true, false]);
    trace.d1Queries += 7;
    expect([budget.permits(3), budget.permits(4)]).toEqual([true, false]);
    nowMs += 1_000;
    expect(budget.permits(0)).toBe(true);
    nowMs += 1;
    expect(budget.permits(0)).toBe(false);
  });
});

describe('the worst case of the cron', () => {
  it('is less than nine tenths of the queries that a Worker may send to D1, leases included', () => {
    const shares = CRON_JOBS.map((job) => CRON_SHARES[job].d1Queries);
    const leases = 2 * CRON_JOBS.length;
    expect(shares.reduce((sum, queries) => sum + queries, leases)).toBeLessThanOrEqual(MOST_QUERIES);
  });

  /** A D1 binding, and how many statements each job of the cron has sent. */
  function counting(fails: (sql: string) => boolean) {
    const sent: number[] = [];
    let isChange = false;
    let isFailing = false;
    const db: D1Database = new Proxy(env.DB, {
      get: (target, key) => {
        if (key === 'prepare') {
          return (sql: string) => {
            isChange ||= sql.startsWith('insert into "job_leases"');
            isFailing ||= fails(sql);
            return target.prepare(sql);
          };
        }
        if (key === 'batch') {
          return async (statements: D1PreparedStatement[]) => {
            const isFailed = isFailing;
            isFailing = false;
            if (isChange) sent.push(0);
            isChange = false;
            const job = sent.length - 1;
            if (job >= 0) sent[job] = (sent[job] ?? 0) + statements.length;
            if (isFailed) throw new Error('injected: D1 is down');
            return await target.batch(statements);
          };
        }
        const value: unknown = Reflect.get(target, key);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
    return { db, sent };
  }

  /** A PipeOps in the isolate that accepts everything and lists nothing. */
  const obedient = async (_url: string, init: RequestInit): Promise<Response> =>
    await Promise.resolve(
      Response.json({ success: true, message: '', data: init.method === 'DELETE' ? null : { tokens: [], total: 0 } }),
    );

  /** Makes more of everything than one run may do. Each order is late enough to be announced, and they are in many workspaces. */
  async function fill(workspaces: readonly string[], nowMs: number): Promise<void> {
    const old = nowMs - 10 * 60_000;
    const order = env.DB.prepare(
      `insert into revocation_orders (id, cause, workspace_uuid, token_id, mode, rank, state, result, tries, next_at, created_at,
         acknowledged_at)
       select lower(hex(randomblob(16))), 'system', w.value, ?1 || '-' || n.value, 'revoke', ?2, ?3, ?4, 0, ?5, ?5, ?6
       from json_each(?7) as w, json_each(?8) as n`,
    );
    const spaces = JSON.stringify(workspaces);
    const each = (count: number): string => JSON.stringify(Array.from({ length: count }, (_item, index) => index));
    await env.DB.batch([
      order.bind('live', 1, 'open', null, old, null, spaces, each(5)),
      order.bind('done', 1, 'acknowledged', 'revoked', old, old, spaces, each(20)),
      order.bind('old', 2, 'open', null, old, null, spaces, each(50)),
      env.DB.prepare(
        `insert into tokens (workspace_uuid, token_id, created_at) select distinct workspace_uuid, token_id, 1 from revocation_orders
         where workspace_uuid in (select value from json_each(?))`,
      ).bind(spaces),
      env.DB.prepare(
        `insert into audit_events (id, occurred_at, action, status, actor_type, workspace_uuid, token_id, detail, count)
         select id, created_at, 'service_account_token.revoke', 'attempted', 'webhook', workspace_uuid, token_id, '{}', 1
         from revocation_orders where workspace_uuid in (select value from json_each(?)) and state = 'open'`,
      ).bind(spaces),
      // These are attempts of callers whose outcome PipeOps knows.
      env.DB.prepare(
        `insert into audit_events (id, occurred_at, action, status, actor_type, workspace_uuid, token_id, detail, count)
         select lower(hex(randomblob(16))), ?1, 'service_account_token.revoke', 'attempted', 'user', w.value, 'live-0', '{}', 1
         from json_each(?2) as w`,
      ).bind(old, spaces),
    ]);
  }

  /** An admin credential that has ended and renews itself. */
  const dueCredential = (): Readonly<Record<string, string>> => ({
    PIPEOPS_ADMIN_TOKEN: adminCredential(-60),
    PIPEOPS_REFRESH_TOKEN: `rt-${crypto.randomUUID()}`,
    PIPEOPS_CLIENT_ID: 'client',
    CREDENTIAL_SEAL_KEY: btoa('the-seal-key-of-all-tests-00000000'),
  });

  it.each<[string, (sql: string) => boolean]>([
    ['D1 takes everything', () => false],
    ['D1 takes no settlement', (sql) => sql.startsWith('update "audit_events" set "settled_at"')],
  ])(
    'is kept to by every job where %s',
    async (_case, fails) => {
      const { db, sent } = counting(fails);
      const harness = await createWebhookHarness({
        db,
        runtime: { fetch: obedient, sleep: async () => {} },
        // Without a bucket, each file of the log costs statements too.
        isSealed: true,
        env: { ...dueCredential(), TRAIL: undefined },
      });
      const workspaces = [harness.workspace, ...Array.from({ length: WORKSPACES - 1 }, () => crypto.randomUUID())];
      await fill(workspaces, harness.runtime.now());
      await harness.cron();
      expect(sent).toHaveLength(CRON_JOBS.length);
      for (const [index, job] of CRON_JOBS.entries()) {
        expect(sent[index], job).toBeLessThanOrEqual(CRON_SHARES[job].d1Queries + 2);
      }
      expect(sent.reduce((sum, queries) => sum + queries, 0)).toBeLessThanOrEqual(MOST_QUERIES);
      // The share ended the work, and not a lack of work.
      const left = (await ordersOf(harness)).filter(({ state }) => state === 'open');
      expect(left.length).toBeGreaterThan(0);
      expect(Number(lastCron(harness)?.['sealed'])).toBeGreaterThan(0);
      expect(Number(lastCron(harness)?.['d1_queries'])).toBe(sent.reduce((sum, queries) => sum + queries, 0));
      await env.DB.prepare(
        `update audit_events set status = 'failure', settled_at = 1, outcome = '{}' where status = 'attempted'`,
      ).run();
    },
    30_000,
  );
});
