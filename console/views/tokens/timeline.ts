import type { Actor, AuditEvent, InventoryToken, Revocation, WholeDelivery } from '../../../package/client/types.ts';
import type { Part } from '../activity/parts.ts';
import { sentenceOf } from '../activity/sentence.ts';
import { gapWords } from './durations.ts';
import type { Tone } from './words.ts';

// The life of a token as a timeline: what was done to it, by whom and when, what became of that, and what is still to come.

/** One line of the timeline. */
export interface Step {
  readonly key: string;
  /** RFC 3339. */
  readonly at: string;
  readonly what: readonly Part[];
  /** Whom an `actor` in it names. */
  readonly actor: Actor;
  /** Facts below the sentence. */
  readonly notes: readonly string[];
  readonly eventId: string | null;
  readonly tone: Tone;
  /** Whether the service or the clock is still to do it. The clock of this device does not decide that: it may be off. */
  readonly isToCome: boolean;
  /** How long after the line above it was, where the two are close. */
  readonly gap: string | null;
}

type Draft = Omit<Step, 'gap'>;

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

/** The timeline of a token, oldest first: what has happened, and then what is to come. */
export function timelineOf(life: Life): readonly Step[] {
  const orders = new Map(
    life.receipts.flatMap((one) => one.revocations.map((order) => [order.event_id, { one, order }])),
  );
  const past = life.events.flatMap((event) => stepsOf(event, life, orders.get(event.id)));
  const drafts = [...past, ...successorSteps(life), ...endSteps(life)];
  // A sort that is stable keeps the order of the trail where times are equal.
  const sorted = drafts.toSorted((one, other) => Date.parse(one.at) - Date.parse(other.at));
  return sorted.map((draft, index) => {
    const before = sorted[index - 1];
    const gap = before === undefined || draft.isToCome ? null : gapWords(Date.parse(draft.at) - Date.parse(before.at));
    return { ...draft, gap };
  });
}

interface Ordered {
  readonly one: WholeDelivery;
  readonly order: Revocation;
}

const SYSTEM: Actor = { type: 'system', issuer: null, subject: null, label: null };

const said = (text: string): Part => ({ kind: 'text', text });

const draft = (key: string, at: string, what: string | readonly Part[], rest: Partial<Draft> = {}): Draft => ({
  key,
  at,
  what: typeof what === 'string' ? [said(what)] : what,
  actor: SYSTEM,
  notes: [],
  eventId: null,
  tone: 'quiet',
  isToCome: false,
  ...rest,
});

const tokenPart = ({ workspace_uuid: workspaceUuid }: InventoryToken, tokenId: string, name: string | null): Part => ({
  kind: 'token',
  workspaceUuid,
  tokenId,
  name,
});

/** What an order says, by the event of the webhook or of the caller that it comes from. What became of it has lines of its own. */
const ORDERS: Readonly<Record<string, string>> = {
  'token.leaked': ' reported that its secret has leaked',
  'token.revoke': ' ordered its revocation',
  'subject.offboarded': ' ended the access of its owner',
};

function stepsOf(event: AuditEvent, life: Life, ordered: Ordered | undefined): readonly Draft[] {
  const { id, detail, action, status, error_code: code, actor, settled_at: settledAt } = event;
  const order = code === null || ordered !== undefined ? ORDERS[String(detail['event'])] : undefined;
  const old = action === 'service_account_token.create' && status === 'success' ? detail['replaces'] : null;
  const { what, why } = sentenceOf(event);
  const own =
    order !== undefined
      ? [said(order)]
      : typeof old === 'string'
        ? [said(' minted it to take the place of '), tokenPart(life.token, old, life.predecessor?.name ?? null)]
        : null;
  const first = draft(id, event.occurred_at, own === null ? what : [{ kind: 'actor' }, ...own], {
    actor,
    notes: [...(own === null && why !== null ? [why] : []), ...notesOf(event, ordered)],
    eventId: id,
    tone: toneOf(event),
  });
  if (ordered !== undefined) return [first, ...orderSteps(event, ordered.order)];
  if (order === undefined) return [first];
  // Whoever may not read the receipt is told what the event says.
  return settledAt === null ? [first] : [first, draft(`${id} done`, settledAt, acknowledged(event), { tone: 'good' })];
}

const acknowledged = ({ action }: Pick<AuditEvent, 'action'>): string =>
  `PipeOps acknowledged the ${action === 'service_account_token.revoke' ? 'revocation' : 'suspension'}.`;

function toneOf({ action, status, detail, error_code: code }: AuditEvent): Tone {
  if (status === 'failure' || action === 'service_account_token.revoke') return 'danger';
  if (status === 'attempted' || code !== null || detail['is_active'] === false) return 'warning';
  return action === 'service_account_token.create' || detail['is_active'] === true ? 'good' : 'quiet';
}

function notesOf({ detail }: AuditEvent, ordered: Ordered | undefined): readonly string[] {
  const place = ordered?.one.items.find(({ token_id: id }) => id === ordered.order.token_id)?.location;
  const reason = ordered?.one.reason ?? detail['reason'];
  return [
    ...(typeof place === 'string' ? [`Found at ${place}`] : []),
    ...(typeof reason === 'string' ? [`Reason: ${reason}`] : []),
  ];
}

/** What became of an order: of a leak, of a webhook, of a caller in an incident. */
function orderSteps(event: AuditEvent, order: Revocation): readonly Draft[] {
  const { id: eventId, settled_at: settledAt } = event;
  const at = (name: string, time: string | null | undefined, text: string, tone: Tone = 'quiet'): readonly Draft[] =>
    time === null || time === undefined
      ? []
      : [draft(`${eventId} ${name}`, time, text, { tone, isToCome: name === 'next' })];
  const isDone = order.confirmed_at !== null || (order.revoked_at ?? order.suspended_at ?? null) !== null;
  return [
    ...at('matched', order.matched_at, 'It was matched to this token.'),
    ...at('done', order.revoked_at ?? order.suspended_at, acknowledged(event), 'good'),
    ...at('confirmed', order.confirmed_at, 'A later look at PipeOps confirmed it.', 'good'),
    ...at('contradicted', order.contradicted_at, 'A look at PipeOps contradicted it, so it is sent again.', 'danger'),
    ...(order.state === 'failed'
      ? at(
          'failed',
          settledAt ?? order.matched_at,
          `It was given up after ${order.tries} tries${codeWords(order.error_code)}.`,
          'danger',
        )
      : isDone || order.next_try_at === null
        ? []
        : at(
            'next',
            order.next_try_at,
            order.tries === 0 ? 'It is sent to PipeOps.' : `It is tried again${codeWords(order.error_code)}.`,
            'warning',
          )),
  ];
}

const codeWords = (code: string | null): string => (code === null ? '' : ` (${code})`);

/** A rotation is an event of the successor's life. Here it is told where it belongs. */
function successorSteps({ successor, token }: Life): readonly Draft[] {
  if (successor === null || token.replaced_by !== successor.id) return [];
  const { id, owner, name, token_prefix: prefix } = successor;
  const by: readonly Part[] =
    owner === null ? [said('It was rotated.')] : [{ kind: 'person', ...owner }, said(' rotated it.')];
  return [
    draft(`${id} rotated`, successor.created_at, [...by, said(' Its place is taken by '), tokenPart(token, id, name)], {
      // It has the same name, so that its prefix tells it apart.
      notes: prefix === null ? [] : [`Its secret begins with ${prefix}`],
      eventId: successor.create_event_id,
    }),
  ];
}

/** What the clock does to a token, past or to come. */
function endSteps({ token, events }: Life): readonly Draft[] {
  const { state, expires_at: expiresAt, retires_at: retiresAt } = token;
  if (state === 'revoked') return [];
  // A token that an older service minted has no event.
  const begin = events.length > 0 ? [] : [draft('known', token.created_at, 'It is known from here on.')];
  const retire =
    state === 'retiring' && retiresAt !== null
      ? [draft('retires', retiresAt, 'It is revoked, since it was rotated.', { isToCome: true })]
      : [];
  const isExpired = state === 'expired';
  const expire =
    expiresAt === null || (retire.length > 0 && Date.parse(expiresAt) > Date.parse(retiresAt ?? ''))
      ? []
      : [
          draft('expires', expiresAt, isExpired ? 'It expired.' : 'It expires.', {
            tone: isExpired ? 'warning' : 'quiet',
            isToCome: !isExpired,
          }),
        ];
  return [...begin, ...retire, ...expire];
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
