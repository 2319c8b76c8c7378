import { env } from 'cloudflare:workers';
import { describe, expect, it } from 'vitest';
import { adminCredential } from '../support/harness.ts';
import { createScene, degradedOf, FAULTS, type Scene } from './scene.ts';

// Whatever PipeOps does to a call, /readyz, /api/v1/status and the log say so at once, and until it is over.

/** The ways in which PipeOps is called: by a change, by a read, and by the cron where nobody calls. */
const WAYS = {
  'a create': async (scene: Scene) => void (await scene.create()),
  'a list': async (scene: Scene) => void (await scene.list()),
  'the cron': async (scene: Scene) => {
    scene.age(300);
    await scene.cron();
  },
} as const;

const EXPECTED: Readonly<Record<keyof typeof FAULTS, readonly [reason: string, code: string, status: number | null]>> =
  {
    '401': ['admin_credential_rejected', 'upstream_credential_rejected', 401],
    '419': ['admin_credential_rejected', 'upstream_credential_rejected', 419],
    '403': ['upstream_forbidden', 'upstream_forbidden', 403],
    '404, of the workspace': ['upstream_forbidden', 'upstream_forbidden', 404],
    '429': ['upstream_rate_limited', 'upstream_rate_limited', 429],
    '500': ['upstream_unreachable', 'upstream_error', 500],
    '503': ['upstream_unreachable', 'upstream_error', 503],
    'a reset': ['upstream_unreachable', 'upstream_unreachable', null],
    'a hang': ['upstream_unreachable', 'upstream_timeout', null],
    'a redirect': ['upstream_unreachable', 'upstream_invalid_response', 302],
    'a page': ['upstream_unreachable', 'upstream_invalid_response', 200],
  };

describe.each(Object.keys(WAYS) as (keyof typeof WAYS)[])('met by %s', (way) => {
  it.each(Object.entries(EXPECTED))(
    '%s shows at once in every isolate, and ends by itself',
    async (fault, expected) => {
      const [reason, code, status] = expected;
      const scene = await createScene();
      const other = await createScene({ like: scene }, scene.clock);
      await scene.create();
      expect(await degradedOf(other)).toEqual([]);

      scene.failing(FAULTS[fault as keyof typeof FAULTS]);
      await WAYS[way](scene);
      expect(await degradedOf(other)).toEqual([reason]);
      const [told] = (await other.status()).body.data.degraded;
      expect(told).toMatchObject({ reason, error_code: code, upstream_status: status });
      expect(told.what_to_do).toMatch(/\S{3,}.*\./);
      expect(Math.abs(Date.parse(told.since) - scene.runtime.now())).toBeLessThan(60_000);
      expect(Date.parse(told.last_at)).toBeGreaterThanOrEqual(Date.parse(told.since));
      expect(scene.line('upstream_degraded')).toMatchObject({ reason, error_code: code, upstream_status: status });
      await other.cron();
      expect(other.line('cron')).toMatchObject({ level: 'warn', not_ready: [], degraded: [reason] });

      scene.failing(null);
      scene.age(61);
      await WAYS[way](scene);
      expect(await degradedOf(other)).toEqual([]);
      expect(scene.line('upstream_recovered')).toMatchObject({ reason });
      expect((await other.status()).body.data.upstream.last_failure).toMatchObject({ reason, goes_on: false });
    },
  );
});

describe('a trouble', () => {
  it('is told by the isolate that met it no more than once a minute while it lasts, and keeps when it began', async () => {
    const scene = await createScene();
    scene.failing(FAULTS['503']);
    const outcome = async () =>
      await env.DB.prepare(`select since, last_at from upstream_outcomes where kind = 'upstream_unreachable'`).first<{
        since: number;
        last_at: number;
      }>();
    await scene.list();
    const first = await outcome();
    scene.age(30);
    await scene.list();
    expect(await outcome()).toEqual(first);
    scene.age(31);
    await scene.list();
    expect(await outcome()).toEqual({ since: first?.since, last_at: expect.any(Number) });
    expect((await outcome())?.last_at).toBeGreaterThanOrEqual((first?.last_at ?? 0) + 30_000);
  });

  it('of another code is told at once: PipeOps is down in another way', async () => {
    const scene = await createScene();
    scene.failing(FAULTS['503']);
    await scene.list();
    scene.failing(FAULTS['a reset']);
    await scene.list();
    expect((await scene.status()).body.data.degraded).toMatchObject([{ error_code: 'upstream_unreachable' }]);
  });

  it('that another isolate met is over within a minute, though the isolate that is called never met it', async () => {
    const scene = await createScene();
    const other = await createScene({ like: scene }, scene.clock);
    await other.create();
    scene.failing(FAULTS['503']);
    await scene.list();
    expect(await degradedOf(other)).toEqual(['upstream_unreachable']);
    scene.age(60);
    await other.create();
    expect(await degradedOf(other)).toEqual([]);
  });

  it('that a clock noted which ran ahead is over with the next good call', async () => {
    const scene = await createScene();
    const ahead = await createScene({ like: scene });
    ahead.age(86_400);
    ahead.failing(FAULTS['503']);
    await ahead.list();
    await scene.create();
    expect(await degradedOf(scene)).toEqual([]);
  });

  it('costs the requests that meet it and end it no trip to D1', async () => {
    const scene = await createScene();
    const trips = async (work: () => Promise<unknown>): Promise<unknown> => {
      await work();
      return scene.line('request')?.['d1_trips'];
    };
    const usual = [await trips(scene.create), await trips(scene.list)];
    scene.failing(FAULTS['401']);
    expect([await trips(scene.create), await trips(scene.list)]).toEqual(usual);
    scene.failing(null);
    expect([await trips(scene.create), await trips(scene.list)]).toEqual(usual);
    expect(usual).toEqual([2, 2]);
  });
});

describe('a workspace that PipeOps refuses', () => {
  it('is named, and is no trouble any more where nobody asks there for ten minutes', async () => {
    const scene = await createScene();
    scene.failing(FAULTS['403']);
    await scene.list();
    expect((await scene.status()).body.data.degraded).toMatchObject([{ workspace_uuids: [scene.workspace] }]);
    scene.age(600);
    expect(await degradedOf(scene)).toEqual([]);
  });

  it('counts only if this service serves it: anybody may ask for any other', async () => {
    const scene = await createScene({ env: { PIPEOPS_WORKSPACE_UUID: undefined } });
    const uuid = crypto.randomUUID();
    scene.failing(FAULTS['403']);
    const body = { name: 'deploy', scopes: ['api:read'], workspace_uuid: uuid };
    await scene.as('admin', 'POST', '/api/v1/service-account-tokens', body);
    expect(await degradedOf(scene)).toEqual([]);
    await env.DB.prepare(`insert into tokens (workspace_uuid, token_id, created_at) values (?, 'tok-1', 1)`)
      .bind(uuid)
      .run();
    expect(await degradedOf(scene)).toEqual(['upstream_forbidden']);
    await env.DB.prepare('delete from tokens where workspace_uuid = ?').bind(uuid).run();
  });
});

describe('our own quota', () => {
  it('is told as PipeOps’ is where no change has a call left: callers hear the one code', async () => {
    const scene = await createScene();
    await env.DB.prepare(`insert into upstream_calls (span, bucket, calls) values ('minute', ?, 90)`)
      .bind(Math.floor(scene.runtime.now() / 5_000))
      .run();
    expect((await scene.create()).status).toBe(429);
    expect((await scene.status()).body.data.degraded).toMatchObject([
      { reason: 'upstream_rate_limited', said_by: 'countersign', window: 'minute' },
    ]);
    scene.age(70);
    expect(await degradedOf(scene)).toEqual([]);
  });
});

describe('the admin credential', () => {
  const DAY = 24 * 3_600;
  it.each<[string, number, readonly string[]]>([
    ['lasts another eight days', 8 * DAY, []],
    ['ends within a week', 7 * DAY - 60, ['admin_credential_expiring']],
    ['ended a minute ago', -60, ['admin_credential_expired']],
  ])('that %s: %j', async (_case, seconds, degraded) => {
    const scene = await createScene({ env: { PIPEOPS_ADMIN_TOKEN: adminCredential(seconds) } });
    expect(await degradedOf(scene)).toEqual(degraded);
    await scene.cron();
    // PipeOps refuses what has ended, and that is told too.
    const refused = seconds < 0 ? ['admin_credential_rejected'] : [];
    expect(scene.line('cron')).toMatchObject({ degraded: [...degraded, ...refused] });
  });

  it.each<[string, number, string | undefined, readonly string[]]>([
    ['has a successor that lasts', 60, adminCredential(30 * DAY), []],
    ['has a successor that ends soon as well', 60, adminCredential(2 * DAY), ['admin_credential_expiring']],
    ['has a successor that does not say when it ends', 60, 'an-opaque-session', []],
  ])('that %s: %j', async (_case, seconds, next, degraded) => {
    const secrets = { PIPEOPS_ADMIN_TOKEN: adminCredential(seconds), PIPEOPS_ADMIN_TOKEN_NEXT: next };
    expect(await degradedOf(await createScene({ env: secrets }))).toEqual(degraded);
  });

  it('whose successor is refused has none', async () => {
    const next = adminCredential(30 * DAY);
    const soon = { PIPEOPS_ADMIN_TOKEN: adminCredential(2 * DAY), PIPEOPS_ADMIN_TOKEN_NEXT: next };
    const scene = await createScene({
      env: { ...soon, PIPEOPS_ADMIN_TOKEN: next, PIPEOPS_ADMIN_TOKEN_NEXT: undefined },
    });
    await scene.control.endSession(next);
    await scene.list();
    const rotating = await createScene({ like: scene, env: soon }, scene.clock);
    expect(await degradedOf(rotating)).toContain('admin_credential_expiring');
  });

  it('is told with when it ends and since when that matters', async () => {
    const scene = await createScene({ env: { PIPEOPS_ADMIN_TOKEN: adminCredential(3 * DAY) } });
    const [told] = (await scene.status()).body.data.degraded;
    expect(told).toMatchObject({
      reason: 'admin_credential_expiring',
      credential: 'PIPEOPS_ADMIN_TOKEN',
      last_at: null,
    });
    expect(Date.parse(told.expires_at) - Date.parse(told.since)).toBe(7 * DAY * 1000);
    expect(told.what_to_do).toContain('wrangler secret put PIPEOPS_ADMIN_TOKEN_NEXT');
  });

  it('that is refused is no trouble where its successor is accepted, and both are shown as they are', async () => {
    const next = adminCredential();
    const scene = await createScene({ env: { PIPEOPS_ADMIN_TOKEN_NEXT: next } });
    await scene.control.endSession(scene.credential);
    await scene.list();
    expect(await degradedOf(scene)).toEqual([]);
    expect(scene.line('upstream_degraded')).toBeUndefined();
    expect((await scene.status()).body.data.credentials).toMatchObject([
      { name: 'PIPEOPS_ADMIN_TOKEN_NEXT', in_use: true, last_accepted_at: expect.any(String), last_refused_at: null },
      { name: 'PIPEOPS_ADMIN_TOKEN', in_use: false, last_accepted_at: null, last_refused_at: expect.any(String) },
    ]);
    await scene.control.endSession(next);
    await scene.list();
    expect(await degradedOf(scene)).toEqual(['admin_credential_rejected']);
    expect(scene.line('upstream_degraded')).toMatchObject({ reason: 'admin_credential_rejected' });
  });

  it('that is refused and gives way to another is forgotten at once, and the new one is tried by the next cron', async () => {
    const scene = await createScene();
    scene.failing(FAULTS['401']);
    await scene.list();
    expect(await degradedOf(scene)).toEqual(['admin_credential_rejected']);
    const renewed = await createScene({ like: scene, env: { PIPEOPS_ADMIN_TOKEN: adminCredential() } }, scene.clock);
    expect(await degradedOf(renewed)).toEqual([]);
    await renewed.cron();
    expect(renewed.line('cron')).toMatchObject({ probed: 1, upstream_calls: 1 });
    expect((await renewed.status()).body.data.credentials).toMatchObject([{ in_use: true }]);
  });
});
