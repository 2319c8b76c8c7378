import { env } from 'cloudflare:workers';
import { describe, expect, it } from 'vitest';
import { UPSTREAM_TIMEOUT_MS } from '../../src/config/limits.ts';
import { createDatabase } from '../../src/db/database.ts';
import type { UpstreamFailure } from '../../src/failures.ts';
import { err, ok, type Result } from '../../src/kit/result.ts';
import { newTrace } from '../../src/kit/trace.ts';
import type { Answered, Call, TokenList } from '../../src/pipeops/types.ts';
import { createOwedGenerations } from '../../src/reads/generation.ts';
import { createListSource, keepListState, listStateOf } from '../../src/reads/upstream-lists.ts';
import type { ListState } from '../../src/vocabulary.ts';
import { workerRuntime } from '../../src/worker-runtime.ts';
import { tokenList } from '../support/upstream-token.ts';

// Lists that are asked for now: who shares the call, what is kept of its answer, and which lists are too old to be served.

const NOW = 1_900_000_000_000;
const database = createDatabase(env.DB, workerRuntime);
const call: Call = { eventId: 'e', traceparent: null, signal: new AbortController().signal, trace: newTrace() };
const LIST = tokenList([]);
const BROKEN = { kind: 'upstream_error', status: 500 } as const;

function sourceWith() {
  let nowMs = NOW;
  const asked: ((answer: Result<Answered<TokenList>, UpstreamFailure>) => void)[] = [];
  const works: unknown[] = [];
  const deadlines: (() => void)[] = [];
  const source = createListSource(
    {
      list: async () => {
        const { promise, resolve } = Promise.withResolvers<Result<Answered<TokenList>, UpstreamFailure>>();
        asked.push(resolve);
        return await promise;
      },
    },
    {
      now: () => nowMs,
      after: (_ms, later) => {
        deadlines.push(later);
        return () => {};
      },
      background: (work) => void works.push(work),
    },
  );
  return {
    source,
    asked,
    works,
    deadlines,
    wait: (ms: number): void => {
      nowMs += ms;
    },
  };
}
const dated = { list: LIST, generation: 3, begunAtMs: NOW };

describe('a call for a list', () => {
  it('is shared by those who want it meanwhile, and by nobody afterwards', async () => {
    const { source, asked, works } = sourceWith();
    const first = source.ask('here', 3, call);
    const joined = source.join('here', 3, NOW);
    asked[0]?.(ok({ status: 200, data: LIST }));
    expect(await first).toEqual(ok({ dated, isShared: false }));
    expect(await joined).toEqual(ok({ dated, isShared: true }));
    expect(works).toHaveLength(1);
    expect(source.join('here', 3, NOW)).toBeNull();
  });

  it('fails for all who share it', async () => {
    const { source, asked } = sourceWith();
    const first = source.ask('here', 3, call);
    const joined = source.join('here', 3, NOW);
    asked[0]?.(err(BROKEN));
    expect([await first, await joined]).toEqual([err(BROKEN), err(BROKEN)]);
  });

  it.each([
    ['elsewhere', 3, NOW],
    ['here', 2, NOW],
    ['here', 3, NOW + 1],
  ])('is not shared by who wants another: %s, generation %i, begun at %i', (workspace, generation, minBegunMs) => {
    const { source } = sourceWith();
    void source.ask('here', 3, call);
    expect(source.join(workspace, generation, minBegunMs)).toBeNull();
  });

  it('is shared for as long as it may take', () => {
    const { source, wait } = sourceWith();
    void source.ask('here', 3, call);
    wait(UPSTREAM_TIMEOUT_MS);
    expect(source.join('here', 3, NOW)).not.toBeNull();
    // The request that began it was killed.
    wait(1);
    expect(source.join('here', 3, NOW)).toBeNull();
  });

  it('is not waited for any longer, by who shares it', async () => {
    const { source, deadlines } = sourceWith();
    void source.ask('here', 3, call);
    const joined = source.join('here', 3, NOW);
    deadlines[0]?.();
    expect(await joined).toEqual(err({ kind: 'upstream_timeout' }));
  });

  it('leaves a later one to be shared when it ends', async () => {
    const { source, asked, wait } = sourceWith();
    const first = source.ask('here', 3, call);
    wait(5);
    void source.ask('here', 3, call);
    asked[0]?.(ok({ status: 200, data: LIST }));
    await first;
    expect(source.join('here', 3, NOW + 5)).not.toBeNull();
  });
});

it.each<[Parameters<typeof listStateOf>[0], ListState | null]>([
  [ok({ state: 'partial' }), 'partial'],
  [err({ kind: 'upstream_forbidden', status: 404 }), 'unavailable'],
  [err({ kind: 'upstream_forbidden', status: 403 }), null],
  [err({ kind: 'upstream_not_found', status: 404 }), null],
  [err(BROKEN), null],
])('what an answer says of a list: %j is %s', (listed, state) => {
  expect(listStateOf(listed)).toBe(state);
});

it('what a list is good for is kept since when it is so, and never what is older', async () => {
  const workspace = crypto.randomUUID();
  const keep = async (state: ListState, atMs: number) => {
    const kept = await database.batch({ trace: newTrace() }, [keepListState(database, workspace, { state, atMs })]);
    expect(kept.ok).toBe(true);
    return await env.DB.prepare('select list_state, list_state_at from workspaces where workspace_uuid = ?')
      .bind(workspace)
      .first();
  };
  expect(await keep('partial', NOW)).toEqual({ list_state: 'partial', list_state_at: NOW });
  expect(await keep('partial', NOW + 1)).toEqual({ list_state: 'partial', list_state_at: NOW });
  expect(await keep('complete', NOW - 1)).toEqual({ list_state: 'partial', list_state_at: NOW });
  expect(await keep('complete', NOW)).toEqual({ list_state: 'complete', list_state_at: NOW });
});

describe('a generation that is owed', () => {
  it('is forgotten in memory, and owed to its own workspace alone until it is paid', () => {
    const dropped: string[] = [];
    const owed = createOwedGenerations(database, { drop: (workspace) => void dropped.push(workspace) });
    const countOf = (...workspaces: string[]): number => owed.of(workspaces).queries.length;
    owed.owe('here');
    expect(dropped).toEqual(['here']);
    expect([countOf(), countOf('elsewhere'), countOf('here', 'elsewhere')]).toEqual([0, 0, 1]);
    owed.of(['here']).paid();
    expect(countOf('here')).toBe(0);
  });

  it('once more while it is being paid is owed still', () => {
    const owed = createOwedGenerations(database, { drop: () => {} });
    owed.owe('here');
    const payment = owed.of(['here']);
    owed.owe('here');
    payment.paid();
    expect(owed.of(['here']).queries).toHaveLength(1);
  });
});
