import type { AuditEvent, InventoryToken, Revocation, WholeDelivery } from '../../../package/client/types.ts';
import type { Tone } from './words.ts';

// The life of a token as a timeline: the events of the trail, how far an order is between them, and what is still to come.

/** One line of the timeline. */
export interface Entry {
  readonly key: string;
  /** RFC 3339. */
  readonly at: string;
  /** It is told as in Activity. Null: `text` tells what no event of this token does. */
  readonly event: AuditEvent | null;
  readonly text: string;
  /** Another token, that `text` ends with. */
  readonly token: InventoryToken | null;
  /** Facts below the sentence. */
  readonly notes: readonly string[];
  readonly tone: Tone;
  /** Whether the service or the clock is still to do it. The clock of this device does not decide that: it may be off. */
  readonly isToCome: boolean;
  /** How long after the line above it was, in milliseconds, where the two belong together. */
  readonly afterMs: number | null;
}

/** What a token's life is told from. */
export interface Life {
  readonly token: InventoryToken;
  readonly events: readonly AuditEvent[];
  /** The receipts of those orders that the viewer may read. */
  readonly receipts: readonly WholeDelivery[];
  /** The token that took its place. */
  readonly successor: InventoryToken | null;
  readonly predecessor: InventoryToken | null;
}

type Draft = Omit<Entry, 'afterMs'>;

/** Lines that are further apart belong to different stories. */
const TOGETHER_MS = 60_000;

/** The timeline of a token, oldest first: what has happened, and then what is to come. */
export function timelineOf(life: Life): readonly Entry[] {
  const orders = new Map(
    life.receipts.flatMap((receipt) => receipt.revocations.map((order) => [order.event_id, { receipt, order }])),
  );
  const drafts = [
    ...life.events.flatMap((event) => entriesOf(event, orders.get(event.id))),
    ...rotation(life),
    ...byTheClock(life),
  ];
  // A sort that is stable keeps the order of the trail where times are equal.
  const sorted = drafts.toSorted((one, other) => Date.parse(one.at) - Date.parse(other.at));
  return sorted.map((draft, index) => {
    const afterMs = Date.parse(draft.at) - Date.parse(sorted[index - 1]?.at ?? '');
    return { ...draft, afterMs: !draft.isToCome && afterMs < TOGETHER_MS ? afterMs : null };
  });
}

/** A line that no event of the token tells. */
const line = (key: string, at: string | null | undefined, text: string, rest: Partial<Draft> = {}): readonly Draft[] =>
  at === null || at === undefined
    ? []
    : [{ key, at, text, event: null, token: null, notes: [], tone: 'quiet', isToCome: false, ...rest }];

const TONES = { success: 'good', failure: 'danger', attempted: 'warning' } as const;

/** An event, and how far the order is that it comes from: of a leak, of a webhook, of a caller in an incident. */
function entriesOf(
  event: AuditEvent,
  ordered: { readonly receipt: WholeDelivery; readonly order: Revocation } | undefined,
): readonly Draft[] {
  const at = event.occurred_at;
  const told = { event, tone: TONES[event.status] };
  if (ordered === undefined) return line(event.id, at, '', told);
  const { receipt, order } = ordered;
  const { received_at: receivedAt, confirmed_at: confirmedAt, contradicted_at: contradictedAt, tries } = order;
  const step = (name: string, when: string | null, text: string, tone: Tone, notes: readonly string[] = []) =>
    line(`${event.id} ${name}`, when, text, { tone, notes, isToCome: name === 'next' });
  const noun = order.mode === 'suspend' ? 'suspension' : 'revocation';
  const cause =
    receipt.event === 'token.leaked' ? 'It was reported that its secret has leaked.' : `Its ${noun} was ordered.`;
  const place = receipt.items.find(({ token_id: id }) => id === order.token_id)?.location ?? null;
  const doneAt = order.revoked_at ?? order.suspended_at ?? null;
  return [
    ...step('received', receivedAt, cause, 'danger', [
      ...(place === null ? [] : [`Found at ${place}`]),
      ...(receipt.reason === undefined ? [] : [`Reason: ${receipt.reason}`]),
    ]),
    ...step('matched', order.matched_at, 'It was matched to this token.', 'quiet'),
    // What was ordered is told where it was done.
    ...line(event.id, doneAt ?? at, '', {
      ...told,
      notes: doneAt === null ? [] : [`PipeOps acknowledged the ${noun}.`],
    }),
    ...step('confirmed', confirmedAt, 'A later look at PipeOps confirmed it.', 'good'),
    ...step('contradicted', contradictedAt, 'A look at PipeOps contradicted it, so it is sent again.', 'danger'),
    ...step(
      'next',
      order.state === 'open' ? order.next_try_at : null,
      tries === 0 ? 'It is sent to PipeOps.' : `It is tried again, after ${tries} that failed.`,
      'warning',
    ),
  ];
}

/** A rotation is an event of the successor's life. Here it is told where it belongs. */
const rotation = ({ successor }: Life): readonly Draft[] =>
  line('rotated', successor?.created_at, 'It was rotated. Its place is taken by', {
    token: successor,
    // It has the same name, so that its prefix tells it apart.
    notes:
      successor === null || successor.token_prefix === null ? [] : [`Its secret begins with ${successor.token_prefix}`],
  });

/** What the clock does to a token, past or to come. */
function byTheClock({ token, events }: Life): readonly Draft[] {
  const { state, expires_at: expiresAt, retires_at: retiresAt, created_at: createdAt } = token;
  if (state === 'revoked') return [];
  const isExpired = state === 'expired';
  const isRetiring = state === 'retiring' && retiresAt !== null;
  return [
    // A token that an older service minted has no event.
    ...line('known', events.length > 0 ? null : createdAt, 'It is known from here on.'),
    ...line('retires', isRetiring ? retiresAt : null, 'It is revoked, since it was rotated.', { isToCome: true }),
    ...(isRetiring && Date.parse(expiresAt ?? '') > Date.parse(retiresAt)
      ? []
      : line('expires', expiresAt, isExpired ? 'It expired.' : 'It expires.', { isToCome: !isExpired })),
  ];
}

/** The deliveries and orders that events of a token come from, the latest first, as many as are read for one page. */
export const deliveriesOf = (events: readonly AuditEvent[]): readonly string[] =>
  [
    ...new Set(
      events
        .toReversed()
        .flatMap(({ detail }) => (typeof detail['delivery_id'] === 'string' ? [detail['delivery_id']] : [])),
    ),
  ].slice(0, DELIVERIES_READ_MAX_COUNT);

/** A token is ordered once or twice in its life. More receipts than these are a click away. */
const DELIVERIES_READ_MAX_COUNT = 4;
