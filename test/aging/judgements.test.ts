import { describe, expect, it } from 'vitest';
import { judgeNotice, type NoticeRow } from '../../src/aging/expiry.ts';
import {
  chooseUnused,
  countUsages,
  type Hindrance,
  type SweptRow,
  type SweptToken,
  type SweptWorkspace,
  unusedTokens,
} from '../../src/aging/unused.ts';
import { nextNoticeMs } from '../../src/inventory/grant.ts';

// Which notices are told and which tokens are suspended, decided apart from any I/O. `T` is now.

const DAY = 24 * 3_600_000;
const T = 1_000 * DAY;

describe('a notice of expiry', () => {
  /** A token that lives for so many days, of which so many are left, with the notice that its mint or the last one left. */
  const noticeRow = (lives: number, left: number, changes: Partial<NoticeRow> = {}): NoticeRow => {
    const expiresAtMs = T + left * DAY;
    const beganAtMs = expiresAtMs - lives * DAY;
    return {
      workspace_uuid: 'w',
      token_id: 'tok-1',
      name: 'deploy',
      owner_issuer: 'i',
      owner_subject: 's',
      created_at: beganAtMs + 10,
      expires_at: expiresAtMs,
      lifetime_seconds: lives * 86_400,
      revoked_at: null,
      retires_at: null,
      expiry_notice_at: nextNoticeMs({ beganAtMs, expiresAtMs }, beganAtMs),
      ...changes,
    };
  };
  const dueAt = (left: number, days: number) => T + left * DAY - days * DAY;

  it.each<[string, NoticeRow, number | null, number | null]>([
    ['is told at its threshold, and names the next', noticeRow(90, 30), 30, T + 23 * DAY],
    ['is told late after an outage', noticeRow(90, 12), 30, T + 5 * DAY],
    ['is the nearest alone after a long outage', noticeRow(90, 3), 7, T + 2 * DAY],
    ['is the last one', noticeRow(90, 0.5), 1, null],
    ['is not told of a token that has expired', noticeRow(90, 0), null, null],
    ['is not told of a token that was revoked', noticeRow(90, 30, { revoked_at: 1 }), null, null],
    ['is not told of a token that has a successor', noticeRow(90, 30, { retires_at: T + 60 * DAY }), null, null],
    ['is not told at thresholds of half of a life', noticeRow(60, 7), 7, T + 6 * DAY],
    ['is told of a short life at a short threshold', noticeRow(3, 1), 1, null],
    [
      'is told at no threshold before the one that is due',
      noticeRow(90, 6, { expiry_notice_at: dueAt(6, 1) }),
      null,
      T + 5 * DAY,
    ],
    [
      'counts a life from its create where nothing else is known',
      noticeRow(90, 30, { lifetime_seconds: null }),
      30,
      T + 23 * DAY,
    ],
    ['of a token that came back is the next one', noticeRow(90, 12, { expiry_notice_at: T }), null, T + 5 * DAY],
    ['of a token without expiry is none', noticeRow(90, 30, { expires_at: null }), null, null],
  ])('%s', (_, row, days, nextAtMs) => {
    expect(judgeNotice(row, T)).toEqual({ days, nextAtMs });
  });
});

const ROLES = [
  { name: 'ci', unusedAfterSeconds: 90 * 86_400, onUnused: 'suspend' },
  { name: 'hasty', unusedAfterSeconds: 86_400, onUnused: 'suspend' },
  { name: 'human', unusedAfterSeconds: 90 * 86_400, onUnused: 'report' },
] as const;
/** A token that was last used a hundred days ago and is to be suspended, but for what `changes` say. */
const swept = (changes: Partial<SweptRow> = {}, isActive: boolean | null = true): SweptToken => {
  const row: SweptRow = {
    token_id: 'tok-1',
    owner_issuer: 'i',
    owner_subject: 's',
    marker: null,
    created_at: T - 200 * DAY,
    expires_at: null,
    revoked_at: null,
    ended_by: null,
    unseen_at: null,
    suspended_by: null,
    role: 'ci',
    replaced_by: null,
    retires_at: null,
    rotation_event_id: null,
    last_used_at: T - 100 * DAY,
    usage_seen_at: T,
    usage_doubted_at: null,
    usage_sweeps: 4,
    usage_since: T - 3 * DAY,
    ...changes,
  };
  return { row, use: row, isActive };
};
const WORKSPACE: SweptWorkspace = { liveTokens: 1, advancedAtMs: T - DAY, sweptAtMs: T - DAY };
const isSuspended = (token: SweptToken, workspace: Partial<SweptWorkspace> = {}): boolean =>
  unusedTokens([token], { ...WORKSPACE, ...workspace }, ROLES, T).length === 1;

describe('a token that nobody uses', () => {
  it.each<[string, SweptToken]>([
    ['for as long as its role allows', swept({ last_used_at: T - 90 * DAY - 1 })],
    ['and that was never used', swept({ last_used_at: null })],
    ['of which PipeOps does not say whether it is active', swept({}, null)],
    ['under a role that allows a day', swept({ role: 'hasty', last_used_at: T - 2 * DAY })],
    [
      'under a role that allows a day, and that was never used for a week',
      swept({ role: 'hasty', created_at: T - 7 * DAY, last_used_at: null }),
    ],
  ])('%s may be suspended', (_, token) => {
    expect(isSuspended(token)).toBe(true);
  });

  it.each<[string, SweptToken]>([
    ['was used within that time', swept({ last_used_at: T - 90 * DAY })],
    ['is younger than that', swept({ created_at: T - 89 * DAY, last_used_at: null })],
    ['was minted later than it was used', swept({ created_at: T - 89 * DAY })],
    [
      'was never used, and is younger than a week',
      swept({ role: 'hasty', created_at: T - 7 * DAY + 1, last_used_at: null }),
    ],
    ['was minted by a clock that ran ahead', swept({ created_at: T + DAY, last_used_at: null })],
    ['has a role that only reports', swept({ role: 'human' })],
    ['has a role that is gone', swept({ role: 'former' })],
    ['has no role', swept({ role: null })],
    ['has no owner', swept({ owner_issuer: null, owner_subject: null })],
    ['has ended', swept({ revoked_at: T, ended_by: 'listed' })],
    ['has expired', swept({ expires_at: T })],
    ['is missed', swept({ unseen_at: T - 1 })],
    ['is suspended already', swept({ suspended_by: '["owner"]' })],
    ['is inactive at PipeOps', swept({}, false)],
    ['retires', swept({ retires_at: T + DAY })],
    ['has a successor', swept({ replaced_by: 'tok-2' })],
    ['is doubted', swept({ usage_doubted_at: T - 50 * DAY })],
    ['was told of by no list', swept({ usage_seen_at: null })],
    ['was looked at twice', swept({ usage_sweeps: 2 })],
    ['was looked at for less than three days', swept({ usage_sweeps: 9, usage_since: T - 3 * DAY + 1 })],
  ])('is left alone where it %s', (_, token) => {
    expect(isSuspended(token)).toBe(false);
  });

  it.each<[string, Partial<SweptWorkspace>]>([
    ['PipeOps was never seen to fill in a use', { advancedAtMs: null }],
    ['PipeOps was not seen to do so for a week', { advancedAtMs: T - 7 * DAY - 1 }],
    ['a use was noted that is ahead of the clock', { advancedAtMs: T + DAY }],
    ['the look before this one is ahead of the clock', { sweptAtMs: T + DAY }],
  ])('is left alone where %s', (_, workspace) => {
    expect(isSuspended(swept(), workspace)).toBe(false);
  });
});

describe('a night', () => {
  const FREE: Hindrance = { isBusy: false, resumedAtMs: null };
  /** So many unused tokens; the first was used longest ago. */
  const unusedOf = (count: number) =>
    unusedTokens(
      Array.from({ length: count }, (_item, index) =>
        swept({ token_id: `tok-${index}`, last_used_at: T - (300 - index) * DAY, created_at: 0 }),
      ),
      WORKSPACE,
      [{ ...ROLES[0], unusedAfterSeconds: 1 }],
      T,
    );
  const chosenOf = (count: number, live: number, hindrances: Readonly<Record<string, Hindrance | undefined>> = {}) => {
    const known = unusedOf(count).map(
      ({ row }) => [row.token_id, row.token_id in hindrances ? hindrances[row.token_id] : FREE] as const,
    );
    const free = new Map(
      known.flatMap(([id, hindrance]) => (hindrance === undefined ? [] : [[id, hindrance] as const])),
    );
    return chooseUnused(unusedOf(count), free, live, T).map(({ row }) => row.token_id);
  };

  it.each([
    [300, 300, 15],
    [300, 119, 5],
    [300, 120, 6],
    [3, 300, 3],
    [0, 300, 0],
  ])('suspends of %i unused tokens among %i live ones %i', (unused, live, most) => {
    expect(chosenOf(unused, live)).toHaveLength(most);
  });

  it('begins with those that were used longest ago', () => {
    expect(chosenOf(200, 100)).toEqual(['tok-0', 'tok-1', 'tok-2', 'tok-3', 'tok-4']);
  });

  it.each<[string, Hindrance | undefined]>([
    ['ordered, changed or rotated', { isBusy: true, resumedAtMs: null }],
    ['resumed within the time that its role allows', { isBusy: false, resumedAtMs: T - 999 }],
    ['unknown to D1', undefined],
  ])('leaves a token alone that is %s, and takes the next', (_, hindrance) => {
    expect(chosenOf(3, 100, { 'tok-0': hindrance })).toEqual(['tok-1', 'tok-2']);
    expect(chosenOf(1, 100, { 'tok-0': { isBusy: false, resumedAtMs: T - 1_000 } })).toEqual(['tok-0']);
  });

  it('counts who is unused and who was never used, whatever becomes of them', () => {
    const tokens = [
      swept(),
      swept({ role: 'human' }),
      swept({ last_used_at: null, owner_issuer: null }),
      swept({ last_used_at: T }),
      swept({ usage_doubted_at: 1 }),
    ];
    expect(countUsages(tokens, WORKSPACE, ROLES, T)).toEqual({ unused: 2, neverUsed: 1 });
    expect(countUsages(tokens, { advancedAtMs: null }, ROLES, T)).toEqual({ unused: 0, neverUsed: 0 });
  });
});
