import { env } from 'cloudflare:workers';
import { applyD1Migrations, reset } from 'cloudflare:test';
import { afterAll, describe, expect, it } from 'vitest';
import { createHarness, TOKENS } from '../support/harness.ts';
import { createScene, type Scene } from './scene.ts';

// A D1 that is down, locked or not migrated: /readyz, /api/v1/status and the log say which, and until it is over.

type Batch = (statements: D1PreparedStatement[]) => Promise<unknown>;

/** A D1 whose batches can be made to fail. A statement that is prepared tells its SQL, as SQLite would look at it. */
function breakableD1() {
  let failing: ((sqls: readonly string[]) => Promise<never> | null) | null = null;
  let sqls: string[] = [];
  let batches = 0;
  const db: D1Database = new Proxy(env.DB, {
    get: (target, key) => {
      if (key === 'prepare') {
        return (sql: string) => {
          sqls.push(sql);
          return target.prepare(sql);
        };
      }
      if (key === 'batch') {
        const batch: Batch = async (statements) => {
          batches += 1;
          const failed = failing?.(sqls.splice(0)) ?? null;
          sqls = [];
          return failed === null ? await target.batch(statements) : await failed;
        };
        return batch;
      }
      const value: unknown = Reflect.get(target, key);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  return {
    db,
    batches: () => batches,
    breaks: (how: typeof failing) => {
      failing = how;
    },
  };
}

const error = async (message: string): Promise<never> => await Promise.reject(new Error(`D1_ERROR: ${message}`));
const isWrite = (sql: string): boolean => /^(insert|update|delete|with)/i.test(sql);

/** What all three say: `/readyz` to anybody, `/api/v1/status` to a reader of the trail, and the cron to the log. */
async function told(scene: Scene) {
  const ready = await scene.readyz();
  const status = await scene.status();
  await scene.cron();
  return { ready, status, cron: scene.line('cron') };
}

describe('a D1', () => {
  it.each<[string, (sqls: readonly string[]) => Promise<never> | null]>([
    ['that is down', () => error('Network connection lost.')],
    ['that is overloaded', () => error('D1 DB is overloaded. Requests queued for too long.')],
    ['that is locked', () => error('database is locked: SQLITE_BUSY')],
    [
      'that can be read and takes no rows',
      (sqls) => (sqls.some(isWrite) ? error('database is locked: SQLITE_BUSY') : null),
    ],
  ])('%s is named, with since when and what to do, and is ready again by itself', async (_case, how) => {
    const d1 = breakableD1();
    const scene = await createScene({ db: d1.db });
    d1.breaks(how);
    const first = await told(scene);
    expect([first.ready.status, first.ready.body.message]).toEqual([503, 'Not ready: d1.']);
    expect(first.ready.headers.get('Retry-After')).toBe('5');
    expect([first.status.status, first.status.body.code]).toEqual([503, 'not_ready']);
    const [since] = /\d{4}-.*?Z/.exec(first.status.body.errors.d1[0]) ?? [];
    expect(first.status.body.errors.d1[0]).toContain('Cloudflare’s status page');
    expect(first.cron).toMatchObject({ level: 'error', not_ready: ['d1'], degraded: [] });
    expect(scene.line('d1_failed')).toMatchObject({
      failure: 'rejected',
      message: expect.stringContaining('D1_ERROR'),
    });
    scene.age(120);
    // It is named as the one thing that it is, from its beginning on.
    expect((await told(scene)).status.body.errors.d1[0]).toContain(since);

    d1.breaks(null);
    const again = await told(scene);
    expect([again.ready.status, again.status.status, again.cron?.['not_ready']]).toEqual([200, 200, []]);
    expect(again.status.body.data).toMatchObject({ ready: true, not_ready: [] });
    d1.breaks(how);
    expect((await told(scene)).status.body.errors.d1[0]).not.toContain(since);
  });

  it('that hangs is named when its time is up', async () => {
    const d1 = breakableD1();
    const deadlines: AbortController[] = [];
    const scene = await createScene({
      db: d1.db,
      runtime: {
        timeout: () => {
          const deadline = new AbortController();
          deadlines.push(deadline);
          return deadline.signal;
        },
      },
    });
    d1.breaks(() => {
      for (const deadline of deadlines.splice(0)) deadline.abort();
      return new Promise<never>(() => {});
    });
    expect((await scene.readyz()).body.message).toBe('Not ready: d1.');
    expect(scene.line('d1_failed')).toMatchObject({ failure: 'unanswered' });
  });

  it('that fails is asked no more often for that', async () => {
    const d1 = breakableD1();
    const harness = await createHarness({ db: d1.db, runtime: { now: () => 1_000_000_000_000 } });
    d1.breaks(() => error('Network connection lost.'));
    for (let asked = 0; asked < 5; asked += 1) await harness.send('GET', '/readyz', { jwt: null });
    expect(d1.batches()).toBe(1);
  });
});

describe('a database that lacks', () => {
  const migrations = env.TEST_MIGRATIONS;
  const last = migrations.at(-1)?.name ?? '';
  const drop = (table: string) => async () => void (await env.DB.prepare(`drop table ${table}`).run());
  afterAll(async () => {
    await reset();
    await applyD1Migrations(env.DB, migrations);
  });

  it.each<[string, () => Promise<void>, string]>([
    ['every migration: it was just made', async () => {}, 'd1_migrations'],
    ['all but the first', async () => await applyD1Migrations(env.DB, migrations.slice(0, 1)), 'webhook_deliveries'],
    ['the newest migration', async () => await applyD1Migrations(env.DB, migrations.slice(0, -1)), last],
    [
      'the record of a migration, whatever it did',
      async () => {
        await applyD1Migrations(env.DB, migrations);
        await env.DB.prepare('delete from d1_migrations where name = ?').bind(migrations[7]?.name).run();
      },
      migrations[7]?.name ?? '',
    ],
    ...['idempotency_keys', 'audit_events', 'job_leases', 'upstream_outcomes', 'snapshots', 'jwks_cache'].map(
      (table) =>
        [
          `the table ${table}`,
          async () => {
            await applyD1Migrations(env.DB, migrations);
            await drop(table)();
          },
          table,
        ] as [string, () => Promise<void>, string],
    ),
  ])('%s is told as what it is, and is ready once that is mended', async (_case, prepare, lacking) => {
    await reset();
    await prepare();
    const scene = await createScene();
    const { ready, status, cron } = await told(scene);
    expect([ready.status, ready.body.code]).toEqual([503, 'not_ready']);
    expect(ready.body.message).toMatch(
      /^Not ready: schema_outdated\. The database of this service lacks a migration\./,
    );
    expect(ready.headers.get('Retry-After')).toBeNull();
    expect(status.text).toContain(lacking);
    expect(status.text).toContain('npm run deploy -- --env production');
    expect(cron).toMatchObject({ level: 'error', not_ready: ['schema_outdated'] });

    await reset();
    await applyD1Migrations(env.DB, migrations);
    const again = await told(scene);
    expect([again.ready.status, again.status.body.data.not_ready, again.cron?.['not_ready']]).toEqual([200, [], []]);
  });

  it.each<[string, string, (scene: Scene) => Promise<{ status: number; body: { code: string; message: string } }>]>([
    [
      'a keyed create',
      'idempotency_keys',
      async (scene) =>
        await scene.send('POST', TOKENS, {
          body: { name: 'deploy', scopes: ['api:read'] },
          headers: { 'Idempotency-Key': 'one-create' },
        }),
    ],
    ['a list', 'workspaces', async (scene) => await scene.send('GET', TOKENS)],
    ['a query of the trail', 'audit_events', async (scene) => await scene.send('GET', '/api/v1/audit/events')],
  ])('a table that %s needs: the caller hears that waiting does not help', async (_case, table, ask) => {
    await reset();
    await applyD1Migrations(env.DB, migrations);
    await drop(table)();
    const scene = await createScene();
    const answer = await ask(scene);
    expect([answer.status, answer.body.code]).toEqual([503, 'not_ready']);
    expect(answer.body.message).toBe(
      'Not ready: schema_outdated. The database of this service lacks a migration. Tell its operators to apply it: until then, trying again does not help.',
    );
    expect(scene.line('request')).toMatchObject({ reason: 'not_ready:schema_outdated' });
    expect(scene.sent()).toBe(0);
  });
});

describe('D1_MAX_BYTES', () => {
  it.each<[string, string | undefined, boolean]>([
    ['says how much a plan holds', '500000000', true],
    ['is that of Workers Paid where it is absent', undefined, false],
  ])('%s', async (_case, setting, isNearlyFull) => {
    const sized: D1Database = new Proxy(env.DB, {
      get: (target, key) => {
        const value: unknown = Reflect.get(target, key);
        if (key !== 'batch') return typeof value === 'function' ? value.bind(target) : value;
        return async (statements: D1PreparedStatement[]) =>
          (await target.batch(statements)).map((result) => ({
            ...result,
            meta: { ...result.meta, size_after: 400_000_000 },
          }));
      },
    });
    const scene = await createScene({ db: sized, env: { D1_MAX_BYTES: setting } });
    expect((await scene.readyz()).body.data.degraded).toEqual(isNearlyFull ? ['d1_size'] : []);
    expect((await scene.status()).body.data).toMatchObject({
      d1_nearly_full: isNearlyFull,
      d1_max_bytes: Number(setting ?? 10_000_000_000),
      degraded: isNearlyFull ? [{ reason: 'd1_size', d1_bytes: 400_000_000 }] : [],
    });
  });
});

it('each line of the log says when it was written', async () => {
  const scene = await createScene();
  await scene.create();
  await scene.cron();
  scene.age(3_600);
  await scene.readyz();
  const times = scene.lines.map(({ time }) => String(time));
  expect(times.length).toBeGreaterThan(2);
  for (const time of times) expect(time).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  expect(Math.abs(Date.parse(times.at(-1) ?? '') - scene.runtime.now())).toBeLessThan(60_000);
});
