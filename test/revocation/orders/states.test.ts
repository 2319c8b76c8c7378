import { type SQL, sql } from 'drizzle-orm';
import { SQLiteAsyncDialect } from 'drizzle-orm/sqlite-core';
import { expect, it } from 'vitest';
import {
  AWAITED,
  before,
  COUNTED,
  DRIVEN,
  GIVEN_UP,
  IDLE,
  isBefore,
  isIn,
  isInState,
  isNotIn,
  LOOKED_AT,
  type NewState,
  type OrderColumns,
  SENT,
  transition,
  type TransitionName,
  TRANSITIONS,
  WITHDRAWN,
  written,
} from '../../../src/revocation/orders/states.ts';
import { ORDER_STATES, type OrderState } from '../../../src/vocabulary.ts';

const names = Object.keys(TRANSITIONS) as TransitionName[];
const leadsOf = (name: TransitionName): Partial<Record<OrderState, OrderState>> => TRANSITIONS[name].leads;

/** The transitions of a state that lead elsewhere, and where. */
const waysOut = (state: OrderState): readonly string[] =>
  names.flatMap((name) => {
    const next = leadsOf(name)[state];
    return next === undefined || next === state ? [] : [`${name}: ${next}`];
  });

it.each<[OrderState, readonly string[]]>([
  ['scheduled', ['begin: open', 'callOff: lifted']],
  [
    'open',
    [
      'acknowledge: acknowledged',
      'conclude: confirmed',
      'giveUp: failed',
      'acknowledgeElsewhere: acknowledged',
      'callOff: lifted',
    ],
  ],
  [
    'acknowledged',
    ['giveUp: failed', 'confirm: confirmed', 'contradict: open', 'lift: lifted', 'reopen: open', 'suspendAgain: open'],
  ],
  ['confirmed', ['contradict: open', 'lift: lifted', 'reopen: open', 'suspendAgain: open', 'replace: retried']],
  ['failed', ['reopen: open', 'suspendAgain: open', 'lookAgain: acknowledged', 'replace: retried']],
  ['retried', []],
  ['lifted', []],
])('an order that is %s may become: %j', (state, ways) => {
  expect(waysOut(state)).toEqual(ways);
});

it('every state is reached from one in which an order is made, and only what is withdrawn is never left', () => {
  const reached = new Set<OrderState>(['scheduled', 'open', 'acknowledged'] satisfies NewState[]);
  // A set goes on with what is added to it meanwhile.
  for (const state of reached) {
    for (const name of names) reached.add(leadsOf(name)[state] ?? state);
  }
  expect([...reached].toSorted()).toEqual([...ORDER_STATES].toSorted());
  const final = ORDER_STATES.filter((state) => names.every((name) => leadsOf(name)[state] === undefined));
  expect(final.toSorted()).toEqual([...WITHDRAWN].toSorted());
});

it.each(names)('%s leads to one state, from those that it does not keep', (name) => {
  const reached = before(name).flatMap((state) => (leadsOf(name)[state] === state ? [] : [leadsOf(name)[state]]));
  expect(new Set(reached).size).toBeLessThan(2);
});

it('an order waits in every state in which a driver drives it', () => {
  expect(before('wait')).toEqual(DRIVEN);
});

it('no code can take an order where the table does not lead, or write another column', () => {
  const lifted = { state: 'lifted', next_at: null, contradicted_at: null } as OrderColumns & { state: 'lifted' };
  // @ts-expect-error -- a lifted order has no way out
  transition('lift', lifted, { next_at: null, contradicted_at: null });
  // @ts-expect-error -- a transition writes all of its columns
  written('lift', { next_at: null });
  // @ts-expect-error -- and no others
  written('lift', { next_at: null, contradicted_at: null, result: null });
  // @ts-expect-error -- there is no such transition
  expect(() => written('forget', {})).toThrow(TypeError);
  expect(written('lift', { next_at: null, contradicted_at: null })).toEqual({
    state: 'lifted',
    next_at: null,
    contradicted_at: null,
  });
});

const textOf = (query: SQL): string => new SQLiteAsyncDialect().sqlToQuery(query).sql;

it('a transition of many orders writes no state where it leads to none, and keeps those that it keeps', () => {
  const hastened = { next_at: 1, begun_at: null };
  expect(written('hasten', hastened)).toEqual(hastened);
  const { state, ...others } = written('lookAgain', { ...hastened, tries: 0 });
  expect(others).toEqual({ ...hastened, tries: 0 });
  expect(textOf(sql`${state}`)).toBe(
    `case when state in ('acknowledged', 'confirmed') then "revocation_orders"."state" else ? end`,
  );
});

// D1 uses a partial index only where the literals of its condition stand in the query.
it.each([
  ["state = 'open'", isBefore('hasten')],
  ["state in ('acknowledged', 'confirmed')", isBefore('lift')],
  ["o.state in ('failed')", isIn('o.state', ['failed'])],
  ['d.rank not in (0, 2)', isNotIn(sql.raw('d.rank'), [0, 2])],
])('a condition on states or ranks holds them as literals: %s', (text, condition) => {
  expect(textOf(condition)).toBe(text);
});

it.each<[OrderState, boolean]>([
  ['open', true],
  ['confirmed', true],
  ['failed', false],
])('an order that is %s is in one of the states that are driven: %s', (state, isDriven) => {
  expect(isInState({ state }, DRIVEN)).toBe(isDriven);
});

it.each<[OrderState, readonly string[]]>([
  ['scheduled', ['idle']],
  ['open', ['sent', 'driven', 'awaited', 'counted']],
  ['acknowledged', ['looked at', 'driven', 'awaited', 'counted']],
  ['confirmed', ['looked at', 'driven']],
  ['failed', ['given up', 'counted']],
  ['retried', ['withdrawn', 'idle']],
  ['lifted', ['withdrawn', 'idle']],
])('an order that is %s is %j', (state, kinds) => {
  const lists: Readonly<Record<string, readonly OrderState[]>> = {
    sent: SENT,
    'looked at': LOOKED_AT,
    driven: DRIVEN,
    awaited: AWAITED,
    'given up': GIVEN_UP,
    counted: COUNTED,
    withdrawn: WITHDRAWN,
    idle: IDLE,
  };
  expect(Object.keys(lists).filter((name) => lists[name]?.includes(state))).toEqual(kinds);
});
