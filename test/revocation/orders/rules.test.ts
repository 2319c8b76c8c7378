import { describe, expect, it } from 'vitest';
import {
  ABSENCE_GAP_MS,
  CONFIRM_AFTER_UPDATE_MS,
  CONFIRM_PAUSES_MS,
  CONTRADICTION_AFTER_MS,
  ORDERS_BACKOFF_FIRST_MS,
  ORDERS_BACKOFF_MAX_MS,
  ORDERS_GIVE_UP_MS,
  REVOCATION_TRY_MS,
  UPSTREAM_WAIT_DEFAULT_MS,
} from '../../../src/config/limits.ts';
import type { UpstreamFailure } from '../../../src/failures.ts';
import { type Sight, sightIn, sightOf } from '../../../src/revocation/orders/confirm.ts';
import {
  afterAbsence,
  afterAcknowledgement,
  afterDenial,
  afterEnd,
  afterFailure,
  afterLook,
  afterSilence,
  afterUpdate,
  afterLookUp,
  afterWorkspaceMissing,
  isEnd,
  isReopening,
  pauseMs,
  type LookContext,
  type Move,
  type OrderSoFar,
  waitingTogether,
} from '../../../src/revocation/orders/rules.ts';
import { type LookedAtState, TRANSITIONS } from '../../../src/revocation/orders/states.ts';
import { tokenList, upstreamToken } from '../../support/upstream-token.ts';

const NOW = 1_900_000_000_000;
const moment = { nowMs: NOW, chance: 1 };
const DAY_MS = 24 * 60 * 60 * 1000;

const open: OrderSoFar<'open'> = {
  state: 'open',
  mode: 'revoke',
  created_at: NOW - 2_000,
  result: null,
  error_code: null,
  tries: 1,
  next_at: NOW + 60_000,
  begun_at: NOW - 1_000,
  acknowledged_at: null,
  confirmed_at: null,
  confirm_round: 0,
  unseen_at: null,
  contradicted_at: null,
};
/** Acknowledged so long before a look that is begun now. */
const acknowledged = (
  agoMs: number,
  values: Partial<Omit<OrderSoFar, 'state'>> & { readonly state?: LookedAtState } = {},
): OrderSoFar<LookedAtState> => ({
  ...open,
  state: 'acknowledged',
  result: 'revoked',
  acknowledged_at: NOW - agoMs,
  ...values,
});
const look = (values: Partial<LookContext> = {}): LookContext => ({
  ...moment,
  begunAtMs: NOW,
  updatedUntilMs: null,
  isLifted: false,
  ...values,
});
const FAILURES: readonly UpstreamFailure[] = [
  { kind: 'upstream_error', status: 500 },
  { kind: 'upstream_rate_limited', status: 429, retryAfterSeconds: 5 },
];
const SIGHTS: readonly Sight[] = ['alive', 'inactive', 'revoked', 'expired', 'absent', 'silent'];

it('whatever happens to an order takes a transition of its state, and writes what the transition writes', () => {
  const givenUp = { begun_at: NOW - ORDERS_GIVE_UP_MS };
  const opens = [open, { ...open, mode: 'suspend' } as const, { ...open, ...givenUp }];
  const others = (['acknowledged', 'confirmed'] as const).flatMap((state) =>
    [0, CONTRADICTION_AFTER_MS, 2 * DAY_MS].flatMap((agoMs) =>
      (['revoke', 'suspend'] as const).map((mode) => acknowledged(agoMs, { state, mode, ...givenUp })),
    ),
  );
  const moves: [OrderSoFar, Move][] = [
    ...[...opens, ...others].flatMap((order) => [
      ...FAILURES.map((failure): [OrderSoFar, Move] => [order, afterFailure(order, failure, moment)]),
      [order, afterSilence(order, moment)] satisfies [OrderSoFar, Move],
    ]),
    ...opens.flatMap((order): [OrderSoFar, Move][] => [
      [order, afterAcknowledgement(order, 'revoked', 200, moment)],
      [order, afterEnd(order, 'expired', null, moment)],
      [order, afterAbsence(order, 'unseen', { result: 'already_gone', unseenAtMs: null }, 404, moment)],
      [order, afterAbsence(order, 'gone', { result: 'not_found', unseenAtMs: NOW }, 404, moment)],
    ]),
    ...others.flatMap((order) =>
      SIGHTS.flatMap((sight) =>
        [false, true].map((isLifted): [OrderSoFar, Move] => [order, afterLook(order, sight, look({ isLifted }))]),
      ),
    ),
  ];
  const illegal = moves.filter(([order, { transition, columns }]) => {
    const leads: Partial<Record<string, string>> = TRANSITIONS[transition].leads;
    return leads[order.state] !== columns.state;
  });
  expect(illegal).toEqual([]);
  const changed = moves.filter(([order, { transition, columns }]) => {
    const writes: readonly string[] = TRANSITIONS[transition].writes;
    const names = Object.keys(columns) as (keyof typeof columns)[];
    return names.some((name) => name !== 'state' && !writes.includes(name) && columns[name] !== order[name]);
  });
  expect(changed).toEqual([]);
  const taken = new Set(moves.map(([, { transition }]) => transition));
  const byDriver = [
    'acknowledge',
    'conclude',
    'wait',
    'giveUp',
    'confirm',
    'lookOn',
    'contradict',
    'stopLooking',
    'lift',
  ];
  expect([...taken].toSorted()).toEqual(byDriver.toSorted());
});

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
    [
      'an answer that contradicts it',
      { kind: 'upstream_disobeyed', status: 200, detail: {} },
      'upstream_disobeyed',
      false,
    ],
    ['no answer', { kind: 'upstream_timeout' }, 'upstream_timeout', true],
    ['no connection', { kind: 'upstream_unreachable' }, 'upstream_unreachable', true],
    ['our credential', { kind: 'upstream_credential_rejected', status: 419 }, 'upstream_credential_rejected', true],
  ])('for %s is repeated later, and ends the run if others would fail alike', (_case, failure, code, endsRun) => {
    expect(afterFailure(open, failure, moment)).toMatchObject({
      columns: { state: 'open', next_at: NOW + ORDERS_BACKOFF_FIRST_MS, error_code: code },
      outcome: null,
      endsRun,
    });
  });

  it.each([
    [30, NOW + 30_000],
    [3_000, NOW + REVOCATION_TRY_MS],
    [null, NOW + UPSTREAM_WAIT_DEFAULT_MS],
  ])(
    'for the quota waits as long as PipeOps says, %s s, or for its turn to try all the same',
    (retryAfterSeconds, next_at) => {
      const failure = { kind: 'upstream_rate_limited', status: 429, retryAfterSeconds } as const;
      expect(afterFailure(open, failure, moment)).toMatchObject({ columns: { next_at }, endsRun: true });
    },
  );

  it('for what is left of a quota being kept for others waits until more is there, with no try in between', () => {
    const window = { policy: 'pipeops', limit: 100, windowSeconds: 3_600, untilMs: NOW + 3_000_000 } as const;
    const failure = { kind: 'upstream_rate_limited', status: 429, retryAfterSeconds: 3_000, window } as const;
    expect(afterFailure(open, failure, moment).columns.next_at).toBe(NOW + 3_000_000);
  });

  it('is the last one three days after the first, whatever it was, and its row says why', () => {
    const failure = { kind: 'upstream_rate_limited', status: 429, retryAfterSeconds: 1 } as const;
    const old = { ...open, begun_at: NOW - ORDERS_GIVE_UP_MS, tries: 90 };
    expect(afterFailure(old, failure, moment)).toMatchObject({
      columns: { state: 'failed', next_at: null, error_code: 'upstream_rate_limited', acknowledged_at: null },
      outcome: { status: 'failure', errorCode: 'upstream_rate_limited', detail: { tries: 90 } },
    });
    expect(afterFailure({ ...old, begun_at: old.begun_at + 1 }, failure, moment).columns.state).toBe('open');
  });

  it.each([null, NOW - ORDERS_GIVE_UP_MS])('is never the last one while it is the first: %s', (created_at) => {
    const first = { ...open, begun_at: null, created_at: created_at ?? 0 };
    expect(afterFailure(first, { kind: 'upstream_timeout' }, moment).columns.state).toBe('open');
  });

  it('for a workspace that stays away says so, and ends as a failure', () => {
    const failure = { kind: 'upstream_forbidden', status: 404 } as const;
    expect(afterWorkspaceMissing(open, failure, moment).columns).toMatchObject({
      state: 'open',
      error_code: 'workspace_unavailable',
    });
    expect(afterWorkspaceMissing({ ...open, begun_at: NOW - ORDERS_GIVE_UP_MS }, failure, moment)).toMatchObject({
      columns: { state: 'failed' },
      outcome: { status: 'failure', errorCode: 'workspace_unavailable' },
    });
  });

  it.each<[string, UpstreamFailure, boolean, boolean]>([
    ['what is kept is left', { kind: 'upstream_rate_limited', status: 429, retryAfterSeconds: 5 }, true, false],
    ['nothing is left', { kind: 'upstream_rate_limited', status: 429, retryAfterSeconds: 5 }, false, true],
    ['PipeOps does not answer', { kind: 'upstream_timeout' }, true, true],
    ['PipeOps fails', { kind: 'upstream_error', status: 500 }, true, false],
  ])(
    'to look up what may be made up ends the run unless orders of known tokens may go on: %s',
    (_case, failure, isPermitted, endsRun) => {
      const refusal = { kind: 'upstream_rate_limited', status: 429, retryAfterSeconds: 5 } as const;
      const quota = { permit: () => (isPermitted ? null : refusal) };
      const move = afterLookUp(quota, open, failure, moment);
      expect(move).toEqual({ ...afterFailure(open, failure, moment), endsRun });
    },
  );

  it('for one workspace makes its orders wait together, except for those that are given up', () => {
    const failure = { kind: 'upstream_forbidden', status: 404 } as const;
    const moved = [
      { name: 'new', order: { ...open, tries: 1 } },
      { name: 'old', order: { ...open, tries: 7 } },
      { name: 'over', order: { ...open, tries: 9, begun_at: NOW - ORDERS_GIVE_UP_MS } },
    ].map(({ name, order }) => ({ name, move: afterWorkspaceMissing(order, failure, { ...moment, chance: 0 }) }));
    const next_at = NOW + (ORDERS_BACKOFF_FIRST_MS * 2 ** 6) / 2;
    expect(waitingTogether(moved)).toMatchObject([
      { name: 'new', move: { columns: { state: 'open', next_at, tries: 9 } } },
      { name: 'old', move: { columns: { state: 'open', next_at, tries: 9 } } },
      { name: 'over', move: { columns: { state: 'failed', next_at: null, tries: 9 } } },
    ]);
    expect(waitingTogether([])).toEqual([]);
  });

  it('is repeated if a list shows the token, which is then not missed any more', () => {
    const failure = { kind: 'upstream_not_found', status: 404 } as const;
    expect(afterDenial({ ...open, unseen_at: NOW - 5 }, failure, moment).columns).toMatchObject({
      state: 'open',
      unseen_at: null,
      error_code: 'not_found',
    });
  });
});

describe('the pause before the next try', () => {
  it('doubles, up to its maximum', () => {
    const pauses = [0, 1, 2, 3, 4, 11, 12, 500].map((tries) => pauseMs(tries, 1));
    expect(pauses).toEqual([
      ...[1, 1, 2, 4, 8].map((times) => times * ORDERS_BACKOFF_FIRST_MS),
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

describe('an end', () => {
  it.each([
    ['revoked', 200, { status: 'success', upstreamStatus: 200, detail: { tries: 1 } }, true],
    ['suspended', 200, { status: 'success', detail: { tries: 1 } }, false],
    [
      'already_gone',
      null,
      { status: 'success', upstreamStatus: null, detail: { tries: 1, already_gone: true } },
      false,
    ],
  ] as const)('that PipeOps acknowledged, %s, is looked at at once', (result, status, outcome, endsToken) => {
    const move = afterAcknowledgement({ ...open, error_code: 'not_found', unseen_at: 5 }, result, status, moment);
    expect(move).toMatchObject({ outcome, endsToken, endsRun: false });
    expect(move.outcome?.detail).toEqual(outcome.detail);
    expect(move.columns).toMatchObject({
      state: 'acknowledged',
      result,
      error_code: null,
      tries: 0,
      next_at: NOW,
      begun_at: null,
      acknowledged_at: NOW,
      confirmed_at: null,
      confirm_round: 0,
      unseen_at: null,
    });
    expect([isEnd(open, move), isReopening(move)]).toEqual([true, false]);
  });

  it('is counted once: neither a try that failed nor a look at what has ended is another', () => {
    const failed = afterFailure(open, { kind: 'upstream_timeout' }, moment);
    expect(isEnd(open, failed)).toBe(false);
    const ended = acknowledged(0);
    expect(isEnd(ended, afterLook(ended, 'absent', look()))).toBe(false);
  });

  it('after a contradiction keeps counting, so that the next one is ordered again later', () => {
    const again = { ...open, tries: 7, contradicted_at: NOW - 5 };
    expect(afterAcknowledgement(again, 'revoked', 200, moment).columns).toMatchObject({
      tries: 7,
      contradicted_at: NOW - 5,
    });
  });

  it.each([
    ['already_gone', { status: 'success', errorCode: null, detail: { tries: 1, already_gone: true } }],
    ['expired', { status: 'success', errorCode: null, detail: { tries: 1, expired: true } }],
    ['not_found', { status: 'failure', errorCode: 'not_found', detail: { tries: 1 } }],
  ] as const)('that was concluded, %s, is confirmed, and looked at again in a minute', (result, outcome) => {
    const move = afterEnd({ ...open, contradicted_at: 5 }, result, null, moment);
    expect(move.outcome?.detail).toEqual(outcome.detail);
    expect(move).toMatchObject({
      columns: {
        state: 'confirmed',
        result,
        acknowledged_at: NOW,
        confirmed_at: NOW,
        confirm_round: 1,
        next_at: NOW + CONFIRM_PAUSES_MS[1],
        contradicted_at: null,
      },
      outcome,
      endsToken: false,
    });
  });

  it.each(['too_early', 'unseen'] as const)('is not concluded from one proof of absence: %s', (finding) => {
    const missed = { result: 'already_gone', unseenAtMs: NOW - 1 } as const;
    expect(afterAbsence(open, finding, missed, 404, moment)).toMatchObject({
      columns: { state: 'open', next_at: NOW + ABSENCE_GAP_MS, unseen_at: NOW - 1 },
      outcome: null,
    });
  });

  it.each(['already_gone', 'not_found'] as const)('is concluded from two proofs of absence: %s', (result) => {
    const missed = { result, unseenAtMs: NOW - ABSENCE_GAP_MS };
    expect(afterAbsence(open, 'gone', missed, 404, moment)).toEqual(afterEnd(open, result, 404, moment));
  });

  it.each([
    [null, null],
    [Number.MAX_SAFE_INTEGER, NOW + ABSENCE_GAP_MS],
    [NOW, NOW + CONFIRM_AFTER_UPDATE_MS],
    [NOW - CONFIRM_AFTER_UPDATE_MS + 1, NOW + 1],
    [NOW - CONFIRM_AFTER_UPDATE_MS, null],
  ])('waits for an update beside it: settled at %s', (updatedUntilMs, next_at) => {
    const move = afterUpdate(open, look({ updatedUntilMs }));
    expect(move?.columns.next_at ?? null).toBe(next_at);
    expect(move?.columns.state ?? 'open').toBe('open');
  });
});

describe('a look at what PipeOps has acknowledged', () => {
  const [, minuteMs, hourMs, laterMs, dayMs] = CONFIRM_PAUSES_MS;

  it.each([
    ['at once', 0, 1, minuteMs],
    ['a little late', minuteMs - 1, 1, minuteMs],
    ['after a minute', minuteMs, 2, hourMs],
    ['after an hour', hourMs, 3, laterMs],
    ['after an outage', hourMs + 5, 3, laterMs],
    ['after an hour and a half', laterMs, 4, dayMs],
    ['after a day', dayMs, 5, null],
  ])('%s that agrees confirms it, and the next round is due', (_case, agoMs, confirm_round, pause) => {
    const order = acknowledged(agoMs, { tries: 3, contradicted_at: 5 });
    for (const sight of ['revoked', 'expired', 'absent'] as const) {
      expect(afterLook(order, sight, look()).columns).toMatchObject({
        state: 'confirmed',
        confirmed_at: NOW,
        contradicted_at: null,
        begun_at: null,
        confirm_round,
        next_at: pause === null ? null : NOW - agoMs + pause,
      });
    }
  });

  it.each(['acknowledged', 'confirmed'] as const)('that says nothing leaves it %s, also in the end', (state) => {
    const order = acknowledged(dayMs, { state });
    expect(afterLook(order, 'silent', look()).columns).toMatchObject({ state, next_at: null });
    expect(afterLook(acknowledged(0, { state }), 'silent', look()).columns).toMatchObject({
      state,
      next_at: NOW + minuteMs,
    });
  });

  it('that disagrees within a minute may lag', () => {
    const order = acknowledged(CONTRADICTION_AFTER_MS - 1);
    expect(afterLook(order, 'alive', look())).toMatchObject({
      columns: { state: 'acknowledged', contradicted_at: null, next_at: NOW + 1 },
    });
  });

  it.each(['silent', 'alive'] as const)(
    'that changes nothing, %s, ends the count of tries, unless the order was contradicted before',
    (sight) => {
      const order = acknowledged(0, { tries: 3, error_code: 'upstream_error' });
      const error_code = sight === 'alive' ? 'upstream_error' : null;
      expect(afterLook(order, sight, look()).columns).toMatchObject({ tries: 0, error_code });
      expect(afterLook({ ...order, contradicted_at: 5 }, sight, look()).columns).toMatchObject({ tries: 3 });
    },
  );

  it.each(['acknowledged', 'confirmed'] as const)(
    'that disagrees later reopens what was %s, after a pause',
    (state) => {
      const before = { confirmed_at: NOW - 1, confirm_round: 1 };
      const order = acknowledged(CONTRADICTION_AFTER_MS, { state, tries: 4, ...before });
      const move = afterLook(order, 'alive', look());
      expect(move).toMatchObject({
        columns: {
          state: 'open',
          result: null,
          error_code: 'revocation_contradicted',
          next_at: NOW + pauseMs(4, 1),
          tries: 4,
          begun_at: null,
          acknowledged_at: null,
          confirmed_at: null,
          confirm_round: 0,
          contradicted_at: NOW,
        },
        outcome: null,
      });
      expect(isReopening(move)).toBe(true);
      expect(afterLook({ ...order, contradicted_at: 5 }, 'alive', look()).columns.contradicted_at).toBe(5);
    },
  );

  it('confirms a suspension by an inactive token; an active one contradicts it unless a resume has lifted it', () => {
    const order = acknowledged(minuteMs, { mode: 'suspend', result: 'suspended' });
    expect(afterLook(order, 'inactive', look()).columns.state).toBe('confirmed');
    expect(afterLook(order, 'alive', look()).columns.state).toBe('open');
    expect(afterLook({ ...order, contradicted_at: 5 }, 'alive', look({ isLifted: true })).columns).toMatchObject({
      state: 'lifted',
      next_at: null,
      contradicted_at: null,
    });
    expect(afterLook(acknowledged(minuteMs), 'alive', look({ isLifted: true })).columns.state).toBe('open');
  });

  it('that agrees waits for an update beside it, and confirms nothing meanwhile', () => {
    const move = afterLook(acknowledged(0), 'absent', look({ updatedUntilMs: NOW - 1 }));
    expect(move.columns).toMatchObject({
      state: 'acknowledged',
      confirmed_at: null,
      confirm_round: 0,
      next_at: NOW - 1 + CONFIRM_AFTER_UPDATE_MS,
    });
  });

  it('that cannot be had for three days is a failure of what was acknowledged, and the end of what was confirmed', () => {
    const failure = { kind: 'upstream_error', status: 500 } as const;
    const begun_at = NOW - ORDERS_GIVE_UP_MS;
    expect(afterFailure(acknowledged(ORDERS_GIVE_UP_MS, { begun_at }), failure, moment).columns).toMatchObject({
      state: 'failed',
      result: 'revoked',
      error_code: 'upstream_error',
    });
    expect(
      afterFailure(acknowledged(ORDERS_GIVE_UP_MS, { begun_at, state: 'confirmed' }), failure, moment),
    ).toMatchObject({
      columns: { state: 'confirmed', next_at: null },
      outcome: null,
    });
  });
});

describe('what a look shows', () => {
  it.each([
    ['revoke', { isRevoked: true }, 'revoked'],
    ['revoke', { isExpired: true }, 'expired'],
    ['revoke', { isActive: false }, 'alive'],
    ['revoke', { isActive: null }, 'alive'],
    ['suspend', { isActive: false }, 'inactive'],
    ['suspend', { isActive: true }, 'alive'],
    ['suspend', { isActive: null }, 'silent'],
    ['suspend', { isRevoked: true, isActive: true }, 'revoked'],
  ] as const)('of a token, for mode %s: %o is %s', (mode, values, sight) => {
    expect(sightOf(mode, upstreamToken(values))).toBe(sight);
  });

  it.each([
    ['lacks it and is whole', tokenList([]), undefined, false, 'absent'],
    ['lacks it and is a part', tokenList([], false), undefined, false, 'silent'],
    ['lacks it and took two calls', { ...tokenList([]), pages: 2 }, undefined, false, 'silent'],
    ['lacks it and too many others', tokenList([]), undefined, true, 'silent'],
    ['shows it alive in a part', tokenList([], false), upstreamToken(), false, 'alive'],
    ['shows it revoked in a part', tokenList([], false), upstreamToken({ isRevoked: true }), false, 'silent'],
    ['shows it expired in a part', tokenList([], false), upstreamToken({ isExpired: true }), false, 'silent'],
    ['shows it expired and is whole', tokenList([]), upstreamToken({ isExpired: true }), false, 'expired'],
    ['shows it revoked and lacks many others', tokenList([]), upstreamToken({ isRevoked: true }), true, 'revoked'],
  ] as const)('in a list that %s', (_case, list, there, isNoProof, sight) => {
    expect(sightIn('revoke', list, there, isNoProof)).toBe(sight);
  });
});
