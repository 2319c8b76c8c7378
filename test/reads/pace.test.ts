import { describe, expect, it } from 'vitest';
import type { UpstreamFailure } from '../../src/failures.ts';
import { createQuota, type Quota } from '../../src/pipeops/quota.ts';
import {
  createPace,
  isStandInWanted,
  msOfEachWorkspace,
  pacedSinceMs,
  whyNotAtAll,
  whyNotNow,
} from '../../src/reads/pace.ts';

const NOW = Date.parse('2026-11-28T12:00:00Z');
const HOUR_MS = 3_600_000;
const paceOf = (leastSeconds: number, hour = 1_000) =>
  createPace(leastSeconds * 1000, createQuota({ minute: 100, hour }));

describe('how old a list may be', () => {
  it.each([
    ['one workspace: the least', 1, 15, 1_000, 15_000],
    ['three', 3, 15, 1_000, 15_000],
    ['four: what the hour has', 4, 15, 1_000, 19_500],
    ['sixty', 60, 15, 1_000, 292_500],
    ['two hundred', 200, 15, 1_000, 975_000],
    ['so many that it would be more than an hour: an hour', 900, 15, 1_000, HOUR_MS],
    ['none that is known', 0, 15, 1_000, 15_000],
    ['ten, where five minutes are the least', 10, 300, 1_000, 300_000],
    ['two hundred, where PipeOps takes ten times as many calls', 200, 15, 10_000, 97_600],
  ])('%s', (_case, inUse, leastSeconds, hour, expected) => {
    const pace = paceOf(leastSeconds, hour);
    pace.learn(inUse);
    expect(pace.freshness(false, NOW).maxAgeMs).toBe(expected);
  });

  it.each([
    ['two seconds for no-cache, however many are in use', 15, true, 2_000],
    ['the least for no-cache, where that is less', 1, true, 1_000],
    ['nothing where lists are off', 0, false, 0],
    ['nothing where lists are off, for no-cache too', 0, true, 0],
  ])('%s', (_case, leastSeconds, isNoCache, expected) => {
    const pace = paceOf(leastSeconds);
    pace.learn(200);
    expect(pace.freshness(isNoCache, NOW)).toMatchObject({ maxAgeMs: expected, isOff: leastSeconds === 0 });
  });

  it('leaves the hour of all calls what it keeps from reads, wherever that hour begins', () => {
    for (const calls of [8, 799, 800, 801, 8_000]) {
      const each = msOfEachWorkspace(calls);
      for (const inUse of [1, 15, 200]) {
        expect((65 * 60_000) / ((inUse * each) / inUse)).toBeLessThanOrEqual(calls);
      }
    }
  });

  it('is judged alike where one is looked for in D1', () => {
    expect(pacedSinceMs({ minBegunMs: NOW - 15_000, eachMs: 4_875 }, 100, NOW)).toBe(NOW - 487_500);
    expect(pacedSinceMs({ minBegunMs: NOW - 2_000, eachMs: 0 }, 100, NOW)).toBe(NOW - 2_000);
  });
});

describe('after a refusal', () => {
  it('nothing is asked for some seconds, and what is told is when there may be a call again', () => {
    const pace = paceOf(15);
    expect(pace.refusedSeconds(NOW)).toBe(0);
    pace.refuse(40, NOW);
    expect(pace.refusedSeconds(NOW)).toBe(40);
    expect(pace.refusedSeconds(NOW + 4_000)).toBe(36);
    expect(pace.refusedSeconds(NOW + 5_000)).toBe(0);
  });

  it('that ends sooner, it is asked sooner', () => {
    const pace = paceOf(15);
    pace.refuse(2, NOW);
    expect(pace.refusedSeconds(NOW + 1_999)).toBe(1);
    expect(pace.refusedSeconds(NOW + 2_000)).toBe(0);
    expect(pace.refusedSeconds(NOW + 4_000)).toBe(0);
  });
});

describe('what keeps a read from asking PipeOps', () => {
  const UUID = crypto.randomUUID();
  const refusingNone: Quota['permit'] = () => null;
  const LIMITED = { kind: 'upstream_rate_limited', status: 429, retryAfterSeconds: 30 } as const;
  const asking = ({ waitSeconds = 0, refusedSeconds = 0, permit = refusingNone }) => ({
    dependencies: {
      quota: { permit },
      snapshots: { pace: { refusedSeconds: (nowMs: number) => (nowMs === NOW ? refusedSeconds : 0) } },
    },
    calls: { waitSeconds: (nowMs: number) => (nowMs === NOW ? waitSeconds : 0) },
    operation: { subject: { workspaceUuid: UUID } },
    startedAtMs: NOW,
  });
  /** Refuses the calls of this purpose in this workspace. */
  const refusing =
    (refused: string, failure: UpstreamFailure): Quota['permit'] =>
    (purpose, workspaceUuid, nowMs) =>
      purpose === refused && workspaceUuid === UUID && nowMs === NOW ? failure : null;

  it('is nothing where there are calls', () => {
    expect([whyNotAtAll(asking({})), whyNotNow(asking({}))]).toEqual([null, null]);
  });

  it('is that its caller has used up its own', () => {
    expect(whyNotAtAll(asking({ waitSeconds: 7, permit: refusing('change', LIMITED) }))).toMatchObject({
      kind: 'rate_limited',
      retryAfterSeconds: 7,
      window: { policy: 'caller', limit: 10, windowSeconds: 60, untilMs: NOW + 7_000 },
    });
  });

  it('is that PipeOps says wait, or that no call is left of those for changes', () => {
    expect(whyNotAtAll(asking({ permit: refusing('change', LIMITED) }))).toEqual(LIMITED);
    expect(whyNotNow(asking({ permit: refusing('change', LIMITED) }))).toBeNull();
  });

  it('is that no call is left of those for reads, where the list is only older than it might be', () => {
    expect(whyNotAtAll(asking({ permit: refusing('read', LIMITED) }))).toBeNull();
    expect(whyNotNow(asking({ permit: refusing('read', LIMITED) }))).toEqual(LIMITED);
  });

  it('is, for such a list, that D1 has refused a call to another read of this isolate', () => {
    expect(whyNotNow(asking({ refusedSeconds: 4 }))).toEqual({ ...LIMITED, retryAfterSeconds: 4 });
    expect(whyNotAtAll(asking({ refusedSeconds: 4 }))).toBeNull();
  });

  it.each(['change', 'read'])('is not that PipeOps forbids us the workspace: that is its answer (%s)', (purpose) => {
    const permit = refusing(purpose, { kind: 'upstream_forbidden', status: 403 });
    expect([whyNotAtAll(asking({ permit })), whyNotNow(asking({ permit }))]).toEqual([null, null]);
  });
});

describe('an older list stands in for an answer of PipeOps', () => {
  it.each<{ isWanted: boolean; failure: UpstreamFailure }>([
    { isWanted: true, failure: { kind: 'upstream_rate_limited', status: 429, retryAfterSeconds: null } },
    { isWanted: true, failure: { kind: 'upstream_timeout' } },
    { isWanted: true, failure: { kind: 'upstream_unreachable' } },
    { isWanted: true, failure: { kind: 'upstream_error', status: 503 } },
    { isWanted: false, failure: { kind: 'upstream_forbidden', status: 403 } },
    { isWanted: false, failure: { kind: 'upstream_not_found', status: 404 } },
    { isWanted: false, failure: { kind: 'upstream_credential_rejected', status: 401 } },
    { isWanted: false, failure: { kind: 'upstream_invalid_response', status: 200 } },
    { isWanted: false, failure: { kind: 'upstream_rejected', status: 422, fields: [] } },
  ])('$failure.kind: $isWanted', ({ isWanted, failure }) => {
    expect(isStandInWanted(failure)).toBe(isWanted);
  });
});
