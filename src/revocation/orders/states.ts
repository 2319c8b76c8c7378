import { sql, type SQL } from 'drizzle-orm';
import type { OrderRow } from '../../db/schema.ts';
import type { AuditAction, OrderState, RevocationMode } from '../../vocabulary.ts';

// The life of a revocation order: which transitions there are, from which state to which, when, and what each writes. What is
// not in this table cannot be written: `transition` and `written` take its names, its states and its columns alone. ORDER_STATES
// says what each state means.

/** The part of an order that a driver's move may change. A lease changes `claim`, and is no transition. */
export const ORDER_COLUMNS = [
  'state',
  'result',
  'error_code',
  'tries',
  'next_at',
  'begun_at',
  'acknowledged_at',
  'confirmed_at',
  'confirm_round',
  'unseen_at',
  'contradicted_at',
] as const satisfies readonly (keyof OrderRow)[];
export type OrderColumns = Pick<OrderRow, (typeof ORDER_COLUMNS)[number]>;

interface Transition {
  /** The state that it leads to, by the state that it leaves. */
  readonly leads: Readonly<Partial<Record<OrderState, OrderState>>>;
  readonly writes: readonly Exclude<keyof OrderRow, 'state'>[];
}

export const TRANSITIONS = {
  // The cron begins what was scheduled.

  /** Its time has come. It is made only now: its row in the trail is inserted in the same batch, and has this time. */
  begin: {
    leads: { scheduled: 'open' },
    writes: ['next_at', 'created_at', 'rank'],
  },

  // The driver sends what is open.

  /** PipeOps says 2xx to the order's call, or has said so to another revoke of ours. Looks at the token follow. */
  acknowledge: {
    leads: { open: 'acknowledged' },
    writes: [
      'result',
      'error_code',
      'tries',
      'next_at',
      'begun_at',
      'acknowledged_at',
      'confirmed_at',
      'confirm_round',
      'unseen_at',
    ],
  },
  /** The token's end is known without the order's call: by the rule of absence, or by a complete list that says so. */
  conclude: {
    leads: { open: 'confirmed' },
    writes: [
      'result',
      'error_code',
      'tries',
      'next_at',
      'begun_at',
      'acknowledged_at',
      'confirmed_at',
      'confirm_round',
      'unseen_at',
      'contradicted_at',
    ],
  },
  /** A call or a look failed, a second proof of absence is due, or an update of the token is under way beside the order. */
  wait: {
    leads: { open: 'open', acknowledged: 'acknowledged', confirmed: 'confirmed' },
    writes: ['error_code', 'tries', 'next_at', 'unseen_at'],
  },
  /** Calls, or looks, have failed for ORDERS_GIVE_UP_MS. */
  giveUp: {
    leads: { open: 'failed', acknowledged: 'failed' },
    writes: ['error_code', 'next_at', 'unseen_at'],
  },

  // The driver looks at what is acknowledged or confirmed, in the rounds of CONFIRM_PAUSES_MS.

  /** A look agrees: the token is gone, or suspended as was ordered. */
  confirm: {
    leads: { acknowledged: 'confirmed', confirmed: 'confirmed' },
    writes: ['error_code', 'tries', 'next_at', 'begun_at', 'confirmed_at', 'confirm_round', 'contradicted_at'],
  },
  /** A look says nothing about the token, or shows it alive too soon after the acknowledgement to mean anything. */
  lookOn: {
    leads: { acknowledged: 'acknowledged', confirmed: 'confirmed' },
    writes: ['error_code', 'tries', 'next_at', 'begun_at', 'confirm_round'],
  },
  /** A look begun CONTRADICTION_AFTER_MS or more after the acknowledgement shows the token alive. */
  contradict: {
    leads: { acknowledged: 'open', confirmed: 'open' },
    writes: [
      'result',
      'error_code',
      'next_at',
      'begun_at',
      'acknowledged_at',
      'confirmed_at',
      'confirm_round',
      'contradicted_at',
    ],
  },
  /** Looks have failed for ORDERS_GIVE_UP_MS, and an earlier one agreed. */
  stopLooking: {
    leads: { confirmed: 'confirmed' },
    writes: ['error_code', 'next_at', 'unseen_at'],
  },
  /** A resume has lifted the suspension: a look finds so, or the resume itself says so. */
  lift: {
    leads: { acknowledged: 'lifted', confirmed: 'lifted' },
    writes: ['next_at', 'contradicted_at'],
  },

  // A read or reconciliation finds what the driver has not.

  /** PipeOps says 2xx to reconciliation's revoke, under the id of the order. */
  acknowledgeElsewhere: {
    leads: { open: 'acknowledged' },
    writes: ['result', 'error_code', 'tries', 'next_at', 'begun_at', 'acknowledged_at', 'confirm_round'],
  },
  /** A look of whichever purpose shows the token of a revoke alive. */
  reopen: {
    leads: { acknowledged: 'open', confirmed: 'open', failed: 'open' },
    writes: ['next_at', 'begun_at', 'confirm_round', 'contradicted_at'],
  },
  /** A look shows a token again that seemed to be gone, and a suspension of it was ordered. */
  suspendAgain: {
    leads: { acknowledged: 'open', confirmed: 'open', failed: 'open' },
    writes: ['next_at', 'begun_at', 'confirm_round'],
  },

  // Whoever ordered it takes it back.

  /** The rotation that ordered it came to nothing: its successor is withheld, so the token lives on. */
  callOff: {
    leads: { scheduled: 'lifted', open: 'lifted' },
    writes: ['next_at'],
  },

  // A person retries a delivery, or revokes a token whose order was given up.

  /** An open order is tried now, and its time begins anew. */
  hasten: {
    leads: { open: 'open' },
    writes: ['next_at', 'begun_at'],
  },
  /** An order that PipeOps has acknowledged is looked at now, unless the token's end is proven. It is not sent again unseen. */
  lookAgain: {
    leads: { acknowledged: 'acknowledged', confirmed: 'confirmed', failed: 'acknowledged' },
    writes: ['tries', 'next_at', 'begun_at'],
  },
  /** Another order takes its place: it was given up, or confirmed as `not_found`. */
  replace: {
    leads: { confirmed: 'retried', failed: 'retried' },
    writes: ['next_at', 'contradicted_at'],
  },
} as const satisfies Readonly<Record<string, Transition>>;

/** States in which an order is sent; in which it is looked at; and in which its driver does either. */
export const SENT = ['open'] as const satisfies readonly OrderState[];
export const LOOKED_AT = ['acknowledged', 'confirmed'] as const satisfies readonly OrderState[];
export const DRIVEN = [...SENT, ...LOOKED_AT] as const;
/** States in which the token's end is awaited; in which the order was given up; and the states that `/readyz` counts. */
export const AWAITED = ['open', 'acknowledged'] as const satisfies readonly OrderState[];
export const GIVEN_UP = ['failed'] as const satisfies readonly OrderState[];
export const COUNTED = [...AWAITED, ...GIVEN_UP] as const;
/** States in which an order asks for nothing any more. */
export const WITHDRAWN = ['retried', 'lifted'] as const satisfies readonly OrderState[];
/** States in which an order asks for nothing: not yet, or not any more. It is nobody's wish then, and stands in the way of none. */
export const IDLE = ['scheduled', ...WITHDRAWN] as const satisfies readonly OrderState[];

export type TransitionName = keyof typeof TRANSITIONS;
/**
 * The states in which an order is made: open; acknowledged, where PipeOps has said 2xx to the very call that it stands for; or
 * scheduled, where its time is still to come.
 */
export type NewState = Extract<OrderState, 'scheduled' | 'open' | 'acknowledged'>;
export type DrivenState = (typeof DRIVEN)[number];
export type LookedAtState = (typeof LOOKED_AT)[number];

/** The states that a transition leaves, and the columns that it writes. */
export type Before<N extends TransitionName> = keyof (typeof TRANSITIONS)[N]['leads'] & OrderState;
export type Written<N extends TransitionName> = (typeof TRANSITIONS)[N]['writes'][number];

/** The columns of one order after a transition from its state. */
export function transition<N extends TransitionName>(
  name: N,
  order: OrderColumns & { readonly state: Before<N> },
  columns: Pick<OrderRow, Written<N>>,
): OrderColumns {
  const { leads }: Transition = TRANSITIONS[name];
  return { ...order, ...columns, state: leads[order.state] ?? order.state };
}

/** What a transition of any number of orders writes, for `update … set`. The query's condition is `isBefore`. */
export function written<N extends TransitionName>(
  name: N,
  columns: { readonly [Column in Written<N>]: OrderRow[Column] | SQL },
): typeof columns & { readonly state?: OrderState | SQL } {
  const { leads }: Transition = TRANSITIONS[name];
  const staying = before(name).filter((state) => leads[state] === state);
  const reached = before(name).flatMap((state) => (leads[state] === state ? [] : [leads[state] ?? state]));
  const [next] = reached;
  if (next === undefined) return columns;
  const kept = sql.raw('"revocation_orders"."state"');
  const state = staying.length === 0 ? next : sql`case when ${isIn('state', staying)} then ${kept} else ${next} end`;
  return { ...columns, state };
}

/** The states that a transition leaves. */
export const before = <N extends TransitionName>(name: N): readonly Before<N>[] =>
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the keys of the table
  Object.keys(TRANSITIONS[name].leads) as Before<N>[];

/** Whether an order is in a state that a transition leaves. */
export function isBefore(name: TransitionName): SQL {
  const [only, ...others] = before(name);
  return only !== undefined && others.length === 0 ? sql`state = ${literal(only)}` : isIn('state', before(name));
}

/** Whether the order is in one of these states. */
export const isInState = <S extends OrderState, O extends { readonly state: OrderState }>(
  order: O,
  states: readonly S[],
): order is O & { readonly state: S } => states.some((state) => state === order.state);

/** A state by name, for queries that set or bind one. */
export const ORDER_STATE = {
  scheduled: 'scheduled',
  open: 'open',
  acknowledged: 'acknowledged',
  confirmed: 'confirmed',
  failed: 'failed',
  retried: 'retried',
  lifted: 'lifted',
} as const satisfies { readonly [S in OrderState]: S };

const literal = (state: OrderState): SQL => sql.raw(`'${state}'`);
/** A state as a literal: D1 uses a partial index only where the literals of its condition stand in the query. */
export const STATE_LITERALS = {
  scheduled: literal(ORDER_STATE.scheduled),
  open: literal(ORDER_STATE.open),
  failed: literal(ORDER_STATE.failed),
} as const;

/** Whether a column holds one of these states or ranks, as literals. */
export const isIn = (column: SQL | string, values: readonly (OrderState | number)[]): SQL =>
  sql`${columnOf(column)} in ${literals(values)}`;

export const isNotIn = (column: SQL | string, values: readonly (OrderState | number)[]): SQL =>
  sql`${columnOf(column)} not in ${literals(values)}`;

const columnOf = (column: SQL | string): SQL => (typeof column === 'string' ? sql.raw(column) : column);
const literals = (values: readonly (OrderState | number)[]): SQL =>
  sql.raw(`(${values.map((value) => (typeof value === 'number' ? value : `'${value}'`)).join(', ')})`);

/** What the rows in the trail of orders of each mode say that was done. */
export const ORDER_ACTIONS = {
  revoke: 'service_account_token.revoke',
  suspend: 'service_account_token.update',
} as const satisfies Readonly<Record<RevocationMode, AuditAction>>;
