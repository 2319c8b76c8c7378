import { env } from 'cloudflare:workers';
import { describe, expect, it } from 'vitest';
import { isProbeDue, probedWorkspace } from '../../src/health/probe.ts';
import type { OutcomeRow } from '../../src/pipeops/outcome-rows.ts';
import { createScene, FAULTS, type Scene } from './scene.ts';

// Where nobody calls PipeOps the cron does, so that what is wrong there shows within six minutes.

const row = (
  kind: OutcomeRow['kind'],
  subject: string,
  ageSeconds: number,
  workspace: string | null = null,
): OutcomeRow => ({
  kind,
  subject,
  since: null,
  last_at: 1_000_000_000 - ageSeconds * 1000,
  error_code: null,
  upstream_status: null,
  workspace_uuid: workspace,
  ends_at: null,
});

/** Runs the cron each minute, and says in which of the minutes it called PipeOps. */
const probes = async (scene: Scene, minutes: number): Promise<readonly number[]> => {
  const probed: number[] = [];
  for (let minute = 1; minute <= minutes; minute += 1) {
    scene.age(60);
    scene.sent();
    await scene.cron();
    if (scene.sent() > 0) probed.push(minute);
  }
  return probed;
};

describe('the cron', () => {
  it('asks for the default workspace once in five minutes where nobody calls, and at once where nobody ever has', async () => {
    const scene = await createScene();
    expect(await probes(scene, 12)).toEqual([1, 6, 11]);
    const asked = await scene.upstream();
    expect(asked.map(({ method }) => method)).toEqual(['GET', 'GET', 'GET']);
    expect(await scene.rows()).toEqual([]);
  });

  it('does not ask while others call', async () => {
    const scene = await createScene();
    for (let minute = 0; minute < 7; minute += 1) {
      await scene.create();
      expect(await probes(scene, 1)).toEqual([]);
    }
  });

  it('asks no more often where PipeOps fails, and tries a hiccup again at once', async () => {
    const scene = await createScene();
    scene.failing(FAULTS['401']);
    expect(await probes(scene, 7)).toEqual([1, 6]);
    scene.age(300);
    let calls = 0;
    scene.failing(async () => {
      calls += 1;
      return calls === 1 ? await FAULTS['a reset']() : Response.json({ success: true, data: { tokens: [] } });
    });
    await scene.cron();
    expect([calls, scene.line('cron')?.['degraded']]).toEqual([2, []]);
  });

  it('asks for one page, however long the list is', async () => {
    const scene = await createScene();
    for (const name of ['a', 'b', 'c']) await scene.mint(name);
    await scene.control.behave(scene.workspace, { list: { page_size: 2 } });
    scene.age(300);
    scene.sent();
    await scene.cron();
    expect(scene.sent()).toBe(1);
  });

  it('keeps to the quota: nothing is sent while PipeOps says wait, nor what is left for changes', async () => {
    const scene = await createScene();
    scene.failing(FAULTS['429']);
    await scene.list();
    await env.DB.prepare(`update upstream_limits set until = ?`)
      .bind(scene.runtime.now() + 30 * 60_000)
      .run();
    scene.failing(null);
    const fresh = await createScene({ like: scene }, scene.clock);
    expect(await probes(fresh, 7)).toEqual([]);
    await env.DB.prepare('delete from upstream_limits').run();
    await env.DB.prepare(`insert into upstream_calls (span, bucket, calls) values ('hour', ?, 800)`)
      .bind(Math.floor(scene.runtime.now() / 300_000))
      .run();
    const another = await createScene({ like: scene }, scene.clock);
    expect(await probes(another, 3)).toEqual([]);
  });

  it('of two isolates asks once: the lease keeps one of them from it, and what one learnt keeps the other', async () => {
    const scene = await createScene();
    const other = await createScene({ like: scene }, scene.clock);
    scene.age(300);
    await Promise.all([scene.cron(), other.cron()]);
    expect(scene.sent() + other.sent()).toBe(1);
  });

  it('tells what it heard though its isolate has just told something, so the next run does not ask again', async () => {
    const scene = await createScene();
    await scene.create();
    // D1 lost what the create came to.
    await env.DB.prepare('delete from upstream_outcomes').run();
    scene.sent();
    await scene.cron();
    expect(scene.sent()).toBe(1);
    // Runs of the cron may be less than a minute apart.
    scene.age(59);
    await scene.cron();
    expect(scene.sent()).toBe(0);
  });

  it('asks for nothing where no workspace is known', async () => {
    const scene = await createScene({ env: { PIPEOPS_WORKSPACE_UUID: undefined } });
    expect(await probes(scene, 2)).toEqual([]);
    expect(scene.line('cron')).toMatchObject({ probed: 0, not_ready: [], degraded: [] });
  });
});

describe('the workspace that is asked for', () => {
  const used = [
    row('success', 'a', 60, 'w-old'),
    row('success', 'b', 30, 'w-used'),
    row('upstream_unreachable', '', 10),
  ];
  it.each<[string, string | null, readonly OutcomeRow[], readonly string[], string | null]>([
    ['the default one', 'w-default', used, ['w-policy'], 'w-default'],
    ['without one, the one used last', null, used, ['w-policy'], 'w-used'],
    ['or else the first of the policy', null, [], ['w-policy', 'w-other'], 'w-policy'],
    ['or else none', null, [], [], null],
  ])('is %s', (_case, defaultWorkspaceUuid, rows, namedInPolicy, expected) => {
    expect(probedWorkspace({ defaultWorkspaceUuid, namedInPolicy }, rows)).toBe(expected);
  });
});

describe('a probe', () => {
  const ids = ['a', 'b'];
  it.each<[string, boolean, readonly OutcomeRow[]]>([
    ['is due where nothing is known', true, []],
    ['is not due after a success', false, [row('success', 'a', 200)]],
    ['is due five minutes after it, a quarter of a minute early', true, [row('success', 'a', 285)]],
    ['is not due a moment before', false, [row('success', 'a', 284)]],
    ['is not due after a refusal', false, [row('admin_credential_rejected', 'a', 200)]],
    ['is not due after an outage', false, [row('upstream_unreachable', '', 200)]],
    ['is due under a credential that is new, whatever another one came to', true, [row('success', 'old', 10)]],
    ['is due where the first credential is new, though the second is in use', true, [row('success', 'b', 10)]],
    ['is not due for a new credential while PipeOps is down', false, [row('upstream_unreachable', '', 10)]],
    [
      'is not due where the first was refused and the second is in use',
      false,
      [row('admin_credential_rejected', 'a', 9_000), row('success', 'b', 10)],
    ],
    ['is due after a call by a clock that ran ahead', true, [row('success', 'a', -86_400)]],
  ])('%s', (_case, expected, rows) => {
    expect(isProbeDue(rows, ids, 1_000_000_000)).toBe(expected);
  });
});
