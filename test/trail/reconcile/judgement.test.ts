import { describe, expect, it } from 'vitest';
import {
  giveUp,
  isSuperseded,
  judgeCreate,
  judgeRevoke,
  judgeUpdate,
  type CreateLook,
  type OpenAttempt,
  type TokenSight,
} from '../../../src/trail/reconcile/judgement.ts';
import type { TokenList, UpstreamToken } from '../../../src/pipeops/types.ts';
import { byteLength } from '../../../src/kit/bytes.ts';
import { OUTCOME_DETAIL_MAX_BYTES, RECONCILE_GIVE_UP_SECONDS } from '../../../src/config/limits.ts';
import { tokenList as list, upstreamToken as token } from '../../support/upstream-token.ts';

const OURS = '-csgn-aaaaaaaaaaaaaaaa';
const OTHER = '-csgn-bbbbbbbbbbbbbbbb';
const NOW = 1_800_000_000_000;

const row = (values: Partial<OpenAttempt> = {}): OpenAttempt =>
  ({
    id: 'e',
    marker: OURS,
    token_name: 'deploy',
    occurred_at: NOW - 300_000,
    detail: '{}',
    unseen_at: null,
    later_change: null,
    ...values,
  }) as OpenAttempt;
const look = (listed: TokenList, values: Partial<CreateLook> = {}): CreateLook => ({
  list: listed,
  begunAtMs: NOW,
  isNoProof: !listed.complete,
  ourMarkers: new Set([OURS, OTHER]),
  ...values,
});
const seen = (readBack: UpstreamToken): TokenSight => ({ kind: 'seen', token: readBack });
const UNSEEN = NOW - 60_000;
const ABSENT = list([]);

describe('an open create', () => {
  it.each([
    [
      'its marker is listed: the token was never delivered',
      list([token({ name: `deploy${OURS}` })]),
      'revoke',
      'undelivered',
    ],
    [
      'its marker is listed on a token revoked since',
      list([token({ name: `deploy${OURS}`, isRevoked: true })]),
      'settle',
      'undelivered',
    ],
    [
      'its marker is listed in an incomplete list',
      list([token({ name: `deploy${OURS}` })], false),
      'revoke',
      'undelivered',
    ],
    ['a complete list is empty, as another was a minute before', ABSENT, 'settle', 'not_applied'],
    [
      'a complete list shows another marker of ours, as another did',
      list([token({ name: `deploy${OTHER}` })]),
      'settle',
      'not_applied',
    ],
    [
      'an incomplete list lacks it: absence proves nothing',
      list([token({ name: `deploy${OTHER}` })], false),
      'wait',
      undefined,
    ],
    ['a list shows no marker at all: names may not come back as sent', list([token()]), 'wait', undefined],
    [
      'a list shows only what looks like a marker',
      list([token({ name: 'deploy-csgn-cccccccccccccccc' })]),
      'wait',
      undefined,
    ],
    [
      'a token of the same name without the marker is never revoked',
      list([token({ name: 'deploy' })]),
      'wait',
      undefined,
    ],
    ['a marker in the middle of a name is none', list([token({ name: `x${OURS}y` })]), 'wait', undefined],
  ])('%s', (_name, listed, kind, errorCode) => {
    const outcome = { status: 'failure', errorCode, detail: { settled_by: 'reconciliation' } };
    expect(judgeCreate(row({ unseen_at: UNSEEN }), look(listed), NOW)).toMatchObject(
      kind === 'wait' ? { kind } : { kind, outcome },
    );
  });

  it.each([
    ['the first list that lacks it is an observation', {}, {}, { kind: 'unseen', begunAtMs: NOW }],
    ['a second one proves nothing within a minute', { unseen_at: UNSEEN + 1 }, {}, { kind: 'unseen', begunAtMs: NOW }],
    ['nor do lists within a minute of the attempt', { occurred_at: NOW - 59_999 }, {}, { kind: 'wait' }],
    ['nor one that lacks too much at once', { unseen_at: UNSEEN }, { isNoProof: true }, { kind: 'wait' }],
  ])('%s', (_name, attempt, looked, expected) => {
    expect(judgeCreate(row(attempt), look(ABSENT, looked), NOW)).toEqual(expected);
  });

  it.each([
    ['waits where a listed token may be its own, the name cut and the marker with it', { name: 'deploy-cs' }, 'wait'],
    ['waits where nothing but a part of the name may be left', { name: 'dep' }, 'wait'],
    [
      'takes a token that PipeOps says is older for another',
      { name: 'deploy', createdAt: '2020-01-01T00:00:00.000Z' },
      'settle',
    ],
    ['takes a revoked token for another', { name: 'deploy', isRevoked: true }, 'settle'],
    [
      'waits where PipeOps says that the token was made after the attempt',
      { name: 'dep', createdAt: new Date(NOW).toISOString() },
      'wait',
    ],
    ['takes a longer name for another', { name: `deploy${OURS}x` }, 'settle'],
    ['takes a token without a name for another', { name: '' }, 'settle'],
  ])('%s', (_case, values, kind) => {
    const listed = list([token({ id: 'marked', name: `another${OTHER}` }), token({ id: 'cut', ...values })]);
    expect(judgeCreate(row({ unseen_at: UNSEEN }), look(listed), NOW).kind).toBe(kind);
  });

  it.each<[string, Partial<OpenAttempt>, string]>([
    ['has no marker', { marker: null }, 'deploy'],
    ['has no marker, of a name that goes on', { marker: null }, 'deployn'],
    ['has no name', { token_name: null }, 'null'],
  ])('takes none for its own by a name alone, where it %s', (_case, attempt, name) => {
    const listed = list([token({ id: 'marked', name: `another${OTHER}` }), token({ id: 'other', name })]);
    expect(judgeCreate(row({ unseen_at: UNSEEN, ...attempt }), look(listed), NOW)).toMatchObject({
      kind: 'settle',
      outcome: { errorCode: 'not_applied' },
    });
  });

  it('names those that are called alike, once it is given up, but none that is revoked', () => {
    const old = row({ occurred_at: NOW - RECONCILE_GIVE_UP_SECONDS * 1000 });
    const listed = list([
      token({ id: 'alike', name: `deploy${OTHER}` }),
      token({ id: 'revoked', name: `deploy${OTHER}`, isRevoked: true }),
    ]);
    const candidatesIn = (lists: TokenList) =>
      (judgeCreate(old, look(lists, { isNoProof: true }), NOW) as { outcome?: { detail: unknown } }).outcome?.detail;
    expect(candidatesIn(listed)).toEqual({ settled_by: 'reconciliation', candidates: ['alike'] });
    expect(candidatesIn(list([]))).toEqual({ settled_by: 'reconciliation' });
    // The one that fits to the byte, and the one that does not.
    const room = OUTCOME_DETAIL_MAX_BYTES - byteLength('{"settled_by":"reconciliation","candidates":[]}');
    for (const [bytes, count] of [
      [room - 3, 1],
      [room - 2, undefined],
    ] as const) {
      const detail = candidatesIn(list([token({ id: 'x'.repeat(bytes), name: `deploy${OTHER}` })])) as {
        candidates?: unknown[];
      };
      expect(detail.candidates?.length).toBe(count);
    }
  });

  it('names the token that may be its own, once it is given up', () => {
    const listed = list([token({ id: 'marked', name: `another${OTHER}` }), token({ id: 'cut', name: 'deploy-cs' })]);
    const old = row({ unseen_at: UNSEEN, occurred_at: NOW - RECONCILE_GIVE_UP_SECONDS * 1000 });
    expect(judgeCreate(old, look(listed), NOW)).toMatchObject({
      kind: 'settle',
      outcome: { errorCode: 'outcome_unknown', detail: { candidates: ['cut'] } },
    });
  });

  it('names the token it found', () => {
    const judgement = judgeCreate(row(), look(list([token({ id: 'tok-9', name: `deploy${OURS}` })])), NOW);
    expect(judgement).toMatchObject({ kind: 'revoke', tokenId: 'tok-9', outcome: { tokenId: 'tok-9' } });
  });

  it('is left to a person after a day, with the candidates that fit into the row', () => {
    const old = row({ occurred_at: NOW - RECONCILE_GIVE_UP_SECONDS * 1000 });
    const many = Array.from({ length: 20 }, (_item, index) => token({ id: `candidate-${index}` }));
    const judgement = judgeCreate(old, look(list([token({ id: 'other-name', name: 'x' }), ...many])), NOW);
    expect(judgement).toMatchObject({ kind: 'settle', outcome: { errorCode: 'outcome_unknown' } });
    const { detail } = (judgement as unknown as { outcome: { detail: { candidates: string[] } } }).outcome;
    expect(detail.candidates.slice(0, 2)).toEqual(['candidate-0', 'candidate-1']);
    expect(detail.candidates).not.toContain('other-name');
    expect(byteLength(JSON.stringify(detail))).toBeLessThanOrEqual(OUTCOME_DETAIL_MAX_BYTES);
  });

  it('waits until the very millisecond of that day', () => {
    expect(giveUp(row({ occurred_at: NOW - RECONCILE_GIVE_UP_SECONDS * 1000 + 1 }), NOW).kind).toBe('wait');
  });
});

const GONE = { kind: 'gone' } as const;
const REVOKED = { kind: 'revoked' } as const;
const MISSED = { kind: 'unseen', begunAtMs: NOW } as const;
const UNKNOWN = { kind: 'unknown' } as const;

describe('an open revoke', () => {
  it.each([
    ['the token is absent by the rule', GONE, 'success', null],
    ['PipeOps says that it is revoked', REVOKED, 'success', null],
    ['it is still live', seen(token()), 'failure', 'not_applied'],
    ['it is merely suspended', seen(token({ isActive: false })), 'failure', 'not_applied'],
  ])('%s', (_name, sight, status, errorCode) => {
    expect(judgeRevoke(row(), sight, NOW)).toMatchObject({
      outcome: { status, errorCode, detail: { settled_by: 'reconciliation' } },
    });
  });

  it.each([
    ['one proof of absence is an observation', MISSED, { kind: 'unseen', begunAtMs: NOW }],
    ['what PipeOps cannot answer proves nothing', UNKNOWN, { kind: 'wait' }],
  ])('%s', (_name, sight, expected) => {
    expect(judgeRevoke(row(), sight, NOW)).toEqual(expected);
  });

  it('is left to a person after a day in which PipeOps could not say', () => {
    const old = row({ occurred_at: NOW - RECONCILE_GIVE_UP_SECONDS * 1000 });
    expect(judgeRevoke(old, UNKNOWN, NOW)).toMatchObject({ outcome: { errorCode: 'outcome_unknown' } });
  });
});

it('a compensating revoke, which nobody will repeat, is driven to its end', () => {
  expect(judgeRevoke(row({ actor_type: 'system' }), seen(token()), NOW)).toMatchObject({
    kind: 'revoke',
    tokenId: 'tok-1',
    outcome: { status: 'success' },
  });
});

describe('an open update', () => {
  const asked = { name: true, description_sha256: 'd1', scopes: ['a', 'b'], is_active: false };
  const attempt = row({ token_name: 'new', detail: JSON.stringify(asked) });
  const done = token({ name: `new${OURS}`, scopes: ['b', 'a'], isActive: false });
  it.each([
    ['everything asked for is there, in any order', done, 'd1', 'success'],
    ['the name differs', { ...done, name: 'old' }, 'd1', 'failure'],
    ['the description differs', done, 'd2', 'failure'],
    ['a scope is missing', { ...done, scopes: ['a'] }, 'd1', 'failure'],
    ['a scope is another', { ...done, scopes: ['a', 'c'] }, 'd1', 'failure'],
    ['a scope is left over', { ...done, scopes: ['a', 'b', 'c'] }, 'd1', 'failure'],
    ['it is still active', { ...done, isActive: true }, 'd1', 'failure'],
    ['one thing differs and PipeOps leaves another out', { ...done, name: 'old', isActive: null }, null, 'failure'],
  ])('%s', (_name, readBack, digest, status) => {
    const errorCode = status === 'success' ? null : 'not_applied';
    expect(judgeUpdate(attempt, seen(readBack), digest, NOW)).toMatchObject({
      kind: 'settle',
      outcome: { status, errorCode },
    });
  });

  it.each([
    ['whether it is active', { ...done, isActive: null }, 'd1'],
    ['its description', done, null],
  ])('waits where PipeOps leaves out %s, for a day', (_name, readBack, digest) => {
    expect(judgeUpdate(attempt, seen(readBack), digest, NOW)).toEqual({ kind: 'wait' });
    const aDayLater = NOW + RECONCILE_GIVE_UP_SECONDS * 1000;
    expect(judgeUpdate(attempt, seen(readBack), digest, aDayLater)).toMatchObject({
      outcome: { errorCode: 'outcome_unknown' },
    });
  });

  it.each([
    ['its name', { name: true }, { name: 'new' }, 'other'],
    ['its scopes', { scopes: ['a'] }, { scopes: ['a'] }, 'other'],
    ['whether it is active', { is_active: false }, { isActive: false }, 'other'],
    ['its description', { description_sha256: 'd1' }, {}, 'd1'],
  ])('looks at nothing else where it asked for %s', (_case, detail, there, digest) => {
    const one = row({ token_name: 'name' in detail ? 'new' : null, detail: JSON.stringify(detail) });
    const readBack = token({ name: 'another', scopes: ['x'], isActive: true, ...there });
    expect(judgeUpdate(one, seen(readBack), digest, NOW)).toMatchObject({ outcome: { status: 'success' } });
  });

  it.each([
    ['service_account_token.update', 'settled', true],
    ['service_account_token.update', 'open', false],
    ['service_account_token.revoke', 'settled', false],
  ] as const)('is superseded, or not: %s with a later change that is %s', (action, later_change, expected) => {
    expect(isSuperseded(row({ action, later_change }))).toBe(expected);
  });

  it('looks at nothing but what was asked for', () => {
    const renamed = row({ token_name: 'new', detail: JSON.stringify({ name: true }) });
    const readBack = token({ name: 'new', scopes: [], isActive: null });
    expect(judgeUpdate(renamed, seen(readBack), null, NOW)).toMatchObject({ outcome: { status: 'success' } });
  });

  it.each([
    ['the token is gone: it may have been in force before', GONE, null],
    ['the token is revoked', REVOKED, null],
    ['a later change has taken its place, whatever is seen', seen(done), 'settled'],
    ['a later change has taken its place, and it is not what is seen', seen({ ...done, name: 'old' }), 'settled'],
    ['what is seen may come from a later change that is open too', seen({ ...done, name: 'old' }), 'open'],
  ] as const)('nobody knows where %s', (_name, sight, laterChange) => {
    expect(judgeUpdate({ ...attempt, later_change: laterChange }, sight, 'd1', NOW)).toMatchObject({
      kind: 'settle',
      outcome: { status: 'failure', errorCode: 'outcome_unknown' },
    });
  });

  it('is in force where it is seen, though a later change is open', () => {
    expect(judgeUpdate({ ...attempt, later_change: 'open' }, seen(done), 'd1', NOW)).toMatchObject({
      outcome: { status: 'success' },
    });
  });

  it.each([
    ['one proof of absence is an observation', MISSED, { kind: 'unseen', begunAtMs: NOW }],
    ['what PipeOps cannot answer proves nothing', UNKNOWN, { kind: 'wait' }],
  ])('%s', (_name, sight, expected) => {
    expect(judgeUpdate(attempt, sight, null, NOW)).toEqual(expected);
  });
});
