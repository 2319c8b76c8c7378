import { env } from 'cloudflare:workers';
import { beforeEach, describe, expect, it } from 'vitest';
import { createDatabase, type Query } from '../../src/db/database.ts';
import type { UpstreamFailure } from '../../src/failures.ts';
import { newTrace } from '../../src/kit/trace.ts';
import { createCredentials } from '../../src/pipeops/credentials.ts';
import { forgetOutcomes, type OutcomeRow, selectOutcomes } from '../../src/pipeops/outcome-rows.ts';
import { createOutcomes } from '../../src/pipeops/outcomes.ts';
import { workerRuntime } from '../../src/worker-runtime.ts';

// What isolates note of their calls to PipeOps, and what becomes of it in D1 in whichever order it is told.

const NOW_MS = Date.parse('2026-11-28T12:00:00.000Z');
const DAY_MS = 86_400_000;
const WORKSPACE = '5877a4ae-6a3c-4d0f-9a55-0f2f6a8f3f0e';
const DOWN = { kind: 'upstream_error', status: 503 } as const;
const FORBIDDEN = { kind: 'upstream_forbidden', status: 403 } as const;

const database = createDatabase(env.DB, workerRuntime);
const send = async (queries: readonly Query[]): Promise<void> => {
  if (queries.length > 0) expect((await database.batch({ trace: newTrace() }, queries)).ok).toBe(true);
};
const rows = async (nowMs = NOW_MS): Promise<readonly OutcomeRow[]> => {
  const read = await database.batch({ trace: newTrace() }, [selectOutcomes(database, [WORKSPACE], nowMs)]);
  return read.ok ? read.value[0] : [];
};
/** Since when PipeOps is unreachable, in milliseconds from NOW_MS; null: it is not. */
const downSince = async (): Promise<number | null> => {
  const row = (await rows()).find(({ kind }) => kind === 'upstream_unreachable');
  return row === undefined || row.since === null ? null : row.since - NOW_MS;
};

/** An isolate with one credential: what it notes, each with its time from NOW_MS, and how it tells it. */
function isolate(secrets: readonly string[] = ['admin-jwt']) {
  const credentials = createCredentials(secrets);
  const outcomes = createOutcomes(credentials, { log: () => {} });
  const [credential] = credentials.inOrder();
  return {
    note: (ms: number, failure: UpstreamFailure | null, workspaceUuid = WORKSPACE): void => {
      if (credential !== undefined) outcomes.note({ credential, workspaceUuid, failure }, NOW_MS + ms);
    },
    news: (ms: number, isForced = false) => outcomes.news(database, NOW_MS + ms, isForced),
  };
}

beforeEach(async () => {
  await env.DB.prepare('delete from upstream_outcomes').run();
});

describe('of two answers in one millisecond', () => {
  it.each<[string, readonly (UpstreamFailure | null)[], boolean]>([
    ['the good one counts where it came last', [DOWN, null], false],
    ['the bad one counts where it came last', [null, DOWN], true],
  ])('%s', async (_case, failures, isDown) => {
    const one = isolate();
    for (const failure of failures) one.note(0, failure);
    await send(one.news(0));
    expect((await downSince()) !== null).toBe(isDown);
  });

  it('each counts where each is told by itself', async () => {
    const one = isolate();
    for (const failure of [null, DOWN, null]) {
      one.note(0, failure);
      await send(one.news(0));
    }
    expect(await downSince()).toBeNull();
  });
});

it('a good answer counts though the clock has stepped back since the bad one', async () => {
  const one = isolate();
  one.note(5_000, DOWN);
  await send(one.news(5_000));
  one.note(0, null);
  await send(one.news(0));
  expect(await downSince()).toBeNull();
});

describe('what is told', () => {
  it('is nothing where nothing was noted, once where it was, and again after a minute', async () => {
    const one = isolate();
    expect(one.news(0)).toEqual([]);
    one.note(0, null);
    expect(one.news(0)).toHaveLength(2);
    one.note(1, null);
    expect(one.news(59_999)).toEqual([]);
    expect(one.news(60_000)).toHaveLength(2);
    expect(one.news(200_000)).toEqual([]);
  });

  it('is told at once where somebody must know', () => {
    const one = isolate();
    one.note(0, null);
    one.news(0);
    one.note(1, null);
    expect(one.news(1, true)).toHaveLength(2);
    expect(one.news(2, true)).toEqual([]);
  });

  it('is told again by the next call where its batch was lost', async () => {
    const one = isolate();
    one.note(0, DOWN);
    one.news(0);
    one.note(60_000, DOWN);
    await send(one.news(60_000));
    expect(await downSince()).toBe(0);
  });

  it('changes nothing when it is told twice', async () => {
    const one = isolate();
    one.note(0, DOWN);
    one.note(1, null);
    one.note(2, DOWN);
    const news = one.news(2);
    await send(news);
    const once = await rows();
    await send(news);
    expect(await rows()).toEqual(once);
  });
});

describe('a trouble in D1', () => {
  it('that was over and has begun again began the second time', async () => {
    const one = isolate();
    one.note(0, DOWN);
    await send(one.news(0));
    one.note(10, null);
    one.note(20, DOWN);
    await send(one.news(70_000, true));
    expect(await downSince()).toBe(20);
  });

  it('is kept by its beginning where another isolate meets it later', async () => {
    const [one, other] = [isolate(), isolate()];
    other.note(30_000, DOWN);
    one.note(0, DOWN);
    await send(one.news(0));
    await send(other.news(30_000));
    expect(await downSince()).toBe(0);
  });

  it('is not ended by an answer that came before it and is told after it', async () => {
    const [one, other] = [isolate(), isolate()];
    other.note(0, null);
    one.note(1, DOWN);
    await send(one.news(1));
    await send(other.news(2));
    expect(await downSince()).toBe(1);
  });

  it('of a clock that ran a day ahead neither outlasts a good call nor hides a later trouble', async () => {
    const [ahead, one] = [isolate(), isolate()];
    ahead.note(DAY_MS, DOWN);
    await send(ahead.news(DAY_MS));
    one.note(0, null);
    await send(one.news(0));
    expect(await downSince()).toBeNull();
    one.note(10, DOWN);
    await send(one.news(10));
    expect((await rows()).find(({ kind }) => kind === 'upstream_unreachable')?.last_at).toBe(NOW_MS + 10);
  });

  it('about one workspace is not ended by another workspace', async () => {
    const one = isolate();
    one.note(0, FORBIDDEN);
    one.note(1, null, crypto.randomUUID());
    await send(one.news(1));
    expect((await rows()).find(({ kind }) => kind === 'upstream_forbidden')?.since).toBe(NOW_MS);
    one.note(2, null);
    await send(one.news(2));
    expect((await rows()).find(({ kind }) => kind === 'upstream_forbidden')?.since).toBeNull();
  });
});

it('thousands of workspaces that are refused neither fill memory nor hide what else is wrong', async () => {
  const one = isolate();
  for (let count = 0; count < 2_000; count += 1) one.note(count, FORBIDDEN, crypto.randomUUID());
  one.note(2_000, DOWN);
  await send(one.news(2_000));
  expect(await downSince()).toBe(2_000);
  const { total } =
    (await env.DB.prepare('select count(*) as total from upstream_outcomes').first<{ total: number }>()) ?? {};
  expect(total).toBeLessThanOrEqual(200);
});

it('what nobody needs any more is erased: refused workspaces after ten minutes, the rest after a month', async () => {
  const one = isolate();
  one.note(0, null);
  one.note(0, FORBIDDEN);
  await send(one.news(0));
  const kindsAt = async (nowMs: number): Promise<readonly string[]> => {
    await send([forgetOutcomes(database, nowMs)]);
    const left = await env.DB.prepare('select kind from upstream_outcomes order by kind').all<{ kind: string }>();
    return left.results.map(({ kind }) => kind);
  };
  expect(await kindsAt(NOW_MS + 599_999)).toEqual(['success', 'upstream_forbidden']);
  expect(await kindsAt(NOW_MS + 600_001)).toEqual(['success']);
  expect(await kindsAt(NOW_MS + 30 * DAY_MS - 1)).toEqual(['success']);
  expect(await kindsAt(NOW_MS + 30 * DAY_MS)).toEqual([]);
});

it('a credential is known by an id that says nothing of it, and that another one does not have', () => {
  const [one, other] = createCredentials(['admin-jwt', 'next-jwt']).inOrder();
  expect(one?.id).toMatch(/^[0-9a-f]{16}$/);
  expect(one?.id).not.toBe(other?.id);
  expect(createCredentials(['admin-jwt']).inOrder()[0]?.id).toBe(one?.id);
});
