import { env } from 'cloudflare:workers';
import { beforeEach, describe, expect, it } from 'vitest';
import { UNSEALED_DEGRADED_AFTER_MS } from '../../src/config/trail-limits.ts';
import { createHarness } from '../support/harness.ts';
import { clearTrail, unguarded } from '../trail/log/rig.ts';

// What `/readyz`, `/api/v1/status` and the line of the cron say of the sealing of the trail.

beforeEach(async () => {
  await clearTrail();
  await env.DB.prepare('delete from job_leases').run();
});

async function createScene(options: Parameters<typeof createHarness>[0] = {}) {
  const clock = { skewMs: 0 };
  const harness = await createHarness({
    isSealed: true,
    ...options,
    runtime: { now: () => Date.now() + clock.skewMs },
  });
  const told = async () => {
    const exp = Math.floor((Date.now() + clock.skewMs) / 1000) + 300;
    const jwt = await harness.jwtFor('admin', { iat: exp - 300, exp });
    const status = (await harness.send('GET', '/api/v1/status', { jwt })).body.data;
    const trail = status.degraded.filter(({ reason }: { reason: string }) => reason.startsWith('trail_'));
    return trail.length === 0 ? null : trail[0];
  };
  const pass = (ms: number): void => void (clock.skewMs += ms);
  const ready = async () => (await harness.send('GET', '/readyz', { jwt: null })).body.data;
  return { ...harness, told, pass, ready };
}

const line = ({ lines }: { readonly lines: readonly Readonly<Record<string, unknown>>[] }) =>
  lines.findLast(({ event }) => event === 'cron');

describe('the sealing of the trail', () => {
  it('is a job of the cron, which tells what it has sealed', async () => {
    const scene = await createScene();
    await scene.mint();
    await scene.cron();
    const { size } = (await env.DB.prepare('select size from trail_logs').first<{ size: number }>()) ?? { size: -1 };
    expect(line(scene)).toMatchObject({ sealed: size, published_size: size });
    expect(size).toBeGreaterThan(0);
    expect(await scene.told()).toBe(null);
    expect(await scene.ready()).toMatchObject({ degraded: [] });
  });

  it('is no job where no key is configured, and nothing is late then', async () => {
    const scene = await createScene({ isSealed: false });
    await scene.mint();
    await scene.cron();
    scene.pass(2 * UNSEALED_DEGRADED_AFTER_MS);
    expect(line(scene)).toMatchObject({ sealed: 0 });
    expect(line(scene)).not.toHaveProperty('published_size');
    expect(await env.DB.prepare('select 1 from trail_logs').first()).toBe(null);
    expect(await scene.told()).toBe(null);
    expect(await scene.ready()).not.toHaveProperty('unsealed_seconds');
  });

  it.each([
    ['before the first log', 0],
    ['once a log has begun', 1],
  ])('is late where an event waits for ten minutes, %s', async (_case, runs) => {
    const scene = await createScene();
    for (let run = 0; run < runs; run += 1) await scene.cron();
    await scene.mint();
    scene.pass(UNSEALED_DEGRADED_AFTER_MS - 2_000);
    expect(await scene.told()).toBe(null);
    scene.pass(2_000);
    const told = await scene.told();
    expect(told).toMatchObject({
      reason: 'trail_unsealed',
      since: expect.stringMatching(/Z$/),
      log: runs === 0 ? null : 1,
      what_to_do: expect.stringContaining('sealing_failed'),
    });
    expect(told.oldest_unsealed_at).toBe(told.since);
    expect(told.age_seconds).toBeGreaterThanOrEqual(UNSEALED_DEGRADED_AFTER_MS / 1000);
    const ready = await scene.ready();
    expect(ready.degraded).toContain('trail_unsealed');
    expect(ready.unsealed_seconds).toBeGreaterThanOrEqual(UNSEALED_DEGRADED_AFTER_MS / 1000);
  });

  it('is late where leaves are assigned and not published, and R2 being down keeps nobody from writing', async () => {
    const down = { put: async () => await Promise.reject(new Error('10001')) };
    const bucket = new Proxy(env.TRAIL, {
      get: (target, key) => {
        const value: unknown = Reflect.get(down, key) ?? Reflect.get(target, key);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
    const scene = await createScene({ env: { TRAIL: bucket } });
    await scene.mint();
    await scene.cron();
    expect(scene.lines).toContainEqual(
      expect.objectContaining({ event: 'sealing_failed', because: 'store', failure: 'rejected' }),
    );
    scene.pass(UNSEALED_DEGRADED_AFTER_MS);
    await scene.cron();
    expect(line(scene)).toMatchObject({ sealed: 0, published_size: 0, degraded: ['trail_unsealed'] });
  });

  it.each(['forked', 'rolled_back'] as const)('says that the log is stopped because it is %s', async (stopped) => {
    const scene = await createScene();
    await scene.mint();
    await scene.cron();
    await (stopped === 'forked'
      ? unguarded(['update trail_leaves set authentic = 0 where idx = 0'])
      : env.TRAIL.put('1/checkpoint/000000000009999', 'x'));
    await scene.mint('another');
    await scene.cron();
    expect(line(scene)).toMatchObject({ degraded: [`trail_${stopped}`] });
    scene.pass(UNSEALED_DEGRADED_AFTER_MS);
    // What waits is explained by that.
    expect(await scene.told()).toMatchObject({
      reason: `trail_${stopped}`,
      log: 1,
      what_to_do: expect.stringContaining('operate.md'),
    });
    expect((await scene.ready()).degraded).toEqual([`trail_${stopped}`]);
  });
});

describe('what a create writes', () => {
  it('is the same whether or not the trail is sealed', async () => {
    const [open, sealed] = [await createScene({ isSealed: false }), await createScene()];
    const tables = ['trail_logs', 'trail_leaves', 'trail_pending', 'trail_checkpoints', 'trail_objects'];
    for (const scene of [open, sealed]) await scene.mint();
    for (const table of tables) expect(await env.DB.prepare(`select 1 from ${table}`).first()).toBe(null);
  });
});
