import { expect, it } from 'vitest';
import {
  before,
  DRIVEN,
  NEW_STATES,
  type OrderColumns,
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
  ['scheduled', ['begin: open']],
  [
    'open',
    ['acknowledge: acknowledged', 'conclude: confirmed', 'giveUp: failed', 'acknowledgeElsewhere: acknowledged'],
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
  const reached = new Set<OrderState>(NEW_STATES);
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
