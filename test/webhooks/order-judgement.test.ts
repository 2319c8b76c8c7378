import { describe, expect, it } from 'vitest';
import {
  ORDERS_BACKOFF_FIRST_MS,
  ORDERS_BACKOFF_MAX_MS,
  ORDERS_GIVE_UP_MS,
  UPSTREAM_WAIT_DEFAULT_MS,
} from '../../src/config/limits.ts';
import type { UpstreamFailure } from '../../src/failures.ts';
import { judgeFailure, pauseMs } from '../../src/webhooks/order-judgement.ts';

const NOW = 1_900_000_000_000;
const order = { begun_at: NOW - 1_000, tries: 1 };

describe('a try that failed', () => {
  it.each<[string, UpstreamFailure, string, boolean]>([
    ['PipeOps failing', { kind: 'upstream_error', status: 500 }, 'upstream_error', false],
    [
      'an answer that cannot be read',
      { kind: 'upstream_invalid_response', status: 200 },
      'upstream_invalid_response',
      false,
    ],
    ['a workspace that is closed to us', { kind: 'upstream_forbidden', status: 403 }, 'upstream_forbidden', false],
    [
      'a request that is not accepted',
      { kind: 'upstream_rejected', status: 422, fields: [] },
      'upstream_rejected',
      false,
    ],
    ['no answer', { kind: 'upstream_timeout' }, 'upstream_timeout', true],
    ['no connection', { kind: 'upstream_unreachable' }, 'upstream_unreachable', true],
    ['our credential', { kind: 'upstream_credential_rejected', status: 419 }, 'upstream_credential_rejected', true],
  ])('for %s is made again later; whether others are tried before depends', (_case, failure, errorCode, endsRun) => {
    expect(judgeFailure(order, failure, NOW, 1)).toEqual({
      kind: 'later',
      nextAtMs: NOW + ORDERS_BACKOFF_FIRST_MS,
      errorCode,
      endsRun,
    });
  });

  it.each([
    [30, NOW + 30_000],
    [null, NOW + UPSTREAM_WAIT_DEFAULT_MS],
  ])('for the quota waits as long as PipeOps says, %s s, with everything else', (retryAfterSeconds, until) => {
    const failure = { kind: 'upstream_rate_limited', status: 429, retryAfterSeconds } as const;
    expect(judgeFailure(order, failure, NOW, 1)).toMatchObject({ nextAtMs: until, endsRun: true });
  });

  it('is the last one after three days, whatever it was', () => {
    const failure = { kind: 'upstream_rate_limited', status: 429, retryAfterSeconds: 1 } as const;
    const old = { begun_at: NOW - ORDERS_GIVE_UP_MS, tries: 90 };
    expect(judgeFailure(old, failure, NOW, 1)).toEqual({ kind: 'given_up', errorCode: 'upstream_rate_limited' });
    expect(judgeFailure({ ...old, begun_at: old.begun_at + 1 }, failure, NOW, 1).kind).toBe('later');
  });
});

describe('the pause before the next try', () => {
  it('doubles, up to its most', () => {
    const pauses = [1, 2, 3, 4, 11, 12, 500].map((tries) => pauseMs(tries, 1));
    expect(pauses).toEqual([
      ...[1, 2, 4, 8].map((times) => times * ORDERS_BACKOFF_FIRST_MS),
      ORDERS_BACKOFF_MAX_MS,
      ORDERS_BACKOFF_MAX_MS,
      ORDERS_BACKOFF_MAX_MS,
    ]);
  });

  it.each([
    [0, ORDERS_BACKOFF_FIRST_MS / 2],
    [0.5, ORDERS_BACKOFF_FIRST_MS * 0.75],
    [1, ORDERS_BACKOFF_FIRST_MS],
  ])('leaves its upper half to chance: %s', (chance, pause) => {
    expect(pauseMs(1, chance)).toBe(pause);
  });
});
