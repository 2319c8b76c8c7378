import type { Actor, AuditEvent, InventoryToken, Revocation, WholeDelivery } from '../../../package/client/types.ts';
import { gapWords } from './durations.ts';
import type { Tone } from './words.ts';

// The life of a token as a timeline: what was done to it, by whom and when, what became of that, and what is still to come.

/** One line of the timeline. */
export interface Step {
  readonly key: string;
  /** RFC 3339. */
  readonly at: string;
  /** Who did it, at the beginning of the sentence. Null: the sentence says it. */
  readonly actor: Actor | null;
  readonly text: string;
  /** Another token that the sentence ends with. */
  readonly token: { readonly id: string; readonly name: string | null } | null;
  /** Facts below the sentence. */
  readonly notes: readonly string[];
  readonly eventId: string | null;
  readonly tone: Tone;
  readonly isToCome: boolean;
  /** How long after the line above it was, where the two are close. */
  readonly gap: string | null;
}

type Draft = Omit<Step, 'gap' | 'isToCome'>;

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
export function timelineOf(life: Life, nowMs: number): readonly Step[] {
  const orders = new Map(
    life.receipts.flatMap((one) => one.revocations.map((order) => [order.event_id, { one, order }])),
  );
  const past = life.events.flatMap((event) => stepsOf(event, life, orders.get(event.id)));
  const drafts = [...past, ...successorSteps(life), ...endSteps(life, past)];
  // A sort that is stable keeps the order of the trail where times are equal.
  const sorted = drafts.toSorted((one, other) => Date.parse(one.at) - Date.parse(other.at));
  return sorted.map((draft, index) => {
    const before = sorted[index - 1];
    const isToCome = Date.parse(draft.at) > nowMs;
    const gap = before === undefined || isToCome ? null : gapWords(Date.parse(draft.at) - Date.parse(before.at));
    return { ...draft, isToCome, gap };
  });
}

interface Ordered {
  readonly one: WholeDelivery;
  readonly order: Revocation;
}

const SYSTEM: Actor = { type: 'system', issuer: null, subject: null, label: null };

const draft = (key: string, at: string, text: string, rest: Partial<Draft> = {}): Draft => ({
  key,
  at,
  text,
  actor: null,
  token: null,
  notes: [],
  eventId: null,
  tone: 'quiet',
  ...rest,
});

function stepsOf(event: AuditEvent, life: Life, ordered: Ordered | undefined): readonly Draft[] {
  const seen = SEEN[event.error_code ?? ''] ?? null;
  const { text, tone, token = null } = seen ?? sentenceOf(event, life);
  const first = draft(event.id, event.occurred_at, text, {
    actor: seen === null ? event.actor : null,
    token,
    notes: notesOf(event, ordered),
    eventId: event.id,
    tone,
  });
  if (seen !== null) return [first];
  if (ordered !== undefined) return [first, ...orderSteps(event, ordered.order)];
  return [first, ...outcomeSteps(event)];
}

interface Sentence {
  readonly text: string;
  readonly tone: Tone;
  readonly token?: Step['token'];
}

/** What a look at PipeOps showed, which nobody did here. */
const SEEN: Readonly<Record<string, Sentence>> = {
  appeared_upstream: { text: 'A list of PipeOps showed it. Nobody made it through this service.', tone: 'warning' },
  reappeared_upstream: { text: 'A list of PipeOps shows it again, though it was taken for gone.', tone: 'warning' },
  gone_upstream: { text: 'It is gone at PipeOps. Nobody revoked it through this service.', tone: 'warning' },
  revocation_contradicted: {
    text: 'PipeOps still shows it alive, though it has acknowledged the revocation.',
    tone: 'danger',
  },
};

function sentenceOf(event: AuditEvent, life: Life): Sentence {
  const { action, detail } = event;
  if (action === 'service_account_token.expiring') {
    return { text: `noticed that it expires in ${daysWords(detail['days'])}`, tone: 'warning' };
  }
  if (action === 'service_account_token.update') return updateSentence(event);
  if (action === 'service_account_token.revoke') return revokeSentence(event);
  const old = detail['replaces'];
  if (typeof old !== 'string') return { text: 'minted it', tone: 'good' };
  const token = { id: old, name: life.predecessor?.name ?? null };
  return { text: 'minted it to take the place of', tone: 'good', token };
}

const daysWords = (days: unknown): string => (days === 1 ? '1 day' : `${String(days)} days`);

function updateSentence({ detail, token_name: name }: AuditEvent): Sentence {
  const { is_active: isActive, still_suspended_by: left } = detail;
  if (isActive === false) {
    const why =
      detail['event'] === 'subject.offboarded'
        ? ', since its owner was offboarded'
        : detail['unused'] === undefined
          ? ''
          : ', since nobody uses it';
    return { text: `suspended it${why}`, tone: 'warning' };
  }
  if (isActive === true) {
    return textsOf(left).length === 0
      ? { text: 'resumed it', tone: 'good' }
      : { text: `resumed it; other reasons keep it suspended (${textsOf(left).join(', ')})`, tone: 'warning' };
  }
  const changes = [
    ...(detail['name'] === true ? [`renamed it to ${name ?? 'another name'}`] : []),
    ...(detail['description_sha256'] === undefined ? [] : ['changed its description']),
    ...(detail['scopes'] === undefined ? [] : [`set its scopes to ${textsOf(detail['scopes']).join(', ')}`]),
  ];
  return { text: changes.join(', and '), tone: 'quiet' };
}

/** By the event of the webhook, or of the caller's order, that it comes from. */
const REVOCATIONS: Readonly<Record<string, string>> = {
  'token.leaked': 'reported that its secret has leaked',
  'token.revoke': 'ordered its revocation',
  'subject.offboarded': 'ordered its revocation, since its owner was offboarded',
};

function revokeSentence({ detail }: AuditEvent): Sentence {
  const text =
    REVOCATIONS[String(detail['event'])] ??
    (detail['undelivered_create'] !== undefined
      ? 'asked for its revocation, since its secret reached nobody'
      : typeof detail['replaced_by'] === 'string'
        ? 'asked for its revocation, since its successor has taken its place'
        : 'asked for its revocation');
  return { text, tone: 'danger' };
}

function notesOf({ detail, action }: AuditEvent, ordered: Ordered | undefined): readonly string[] {
  const place = ordered?.one.items.find(({ token_id: id }) => id === ordered.order.token_id)?.location;
  const reason = ordered?.one.reason ?? detail['reason'];
  const scopes = action === 'service_account_token.create' ? textsOf(detail['scopes']) : [];
  return [
    ...(scopes.length === 0 ? [] : [`Scopes: ${scopes.join(', ')}`]),
    ...(typeof place === 'string' ? [`Found at ${place}`] : []),
    ...(typeof reason === 'string' ? [`Reason: ${reason}`] : []),
  ];
}

/** What became of an order: of a leak, of a webhook, of a caller in an incident. */
function orderSteps({ id: eventId, settled_at: settledAt }: AuditEvent, order: Revocation): readonly Draft[] {
  const at = (name: string, time: string | null | undefined, text: string, tone: Tone = 'quiet'): readonly Draft[] =>
    time === null || time === undefined ? [] : [draft(`${eventId} ${name}`, time, text, { tone })];
  const isDone = order.confirmed_at !== null || (order.revoked_at ?? order.suspended_at ?? null) !== null;
  return [
    ...at('matched', order.matched_at, 'It was matched to this token.'),
    ...at('revoked', order.revoked_at, 'PipeOps acknowledged the revocation.', 'good'),
    ...at('suspended', order.suspended_at, 'PipeOps acknowledged the suspension.', 'good'),
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

/** What became of an event that no receipt tells of. */
function outcomeSteps(event: AuditEvent): readonly Draft[] {
  const { id, settled_at: at, status, error_code: code, action, detail } = event;
  if (action === 'service_account_token.expiring') return [];
  if (at === null || status === 'attempted') {
    return [draft(`${id} open`, event.occurred_at, 'What became of that is not known yet.', { tone: 'warning' })];
  }
  if (status === 'failure') {
    return [draft(`${id} failed`, at, `That failed${codeWords(code)}.`, { tone: 'danger' })];
  }
  if (action !== 'service_account_token.revoke') return [];
  const text = detail['already_gone'] === true ? 'It was gone already.' : 'PipeOps acknowledged the revocation.';
  return [draft(`${id} done`, at, text, { tone: 'good' })];
}

/** A rotation is an event of the successor's life. Here it is told where it belongs. */
function successorSteps({ successor, token }: Life): readonly Draft[] {
  if (successor === null || token.replaced_by !== successor.id) return [];
  const { owner } = successor;
  const actor: Actor = owner === null ? SYSTEM : { type: 'user', ...owner };
  return [
    draft(`${successor.id} rotated`, successor.created_at, 'rotated it. Its place is taken by', {
      actor,
      token: { id: successor.id, name: successor.name },
      // It has the same name, so that its prefix tells it apart.
      notes: successor.token_prefix === null ? [] : [`Its secret begins with ${successor.token_prefix}`],
      eventId: successor.create_event_id,
    }),
  ];
}

/** What the clock does to a token, past or to come. */
function endSteps({ token, events }: Life, past: readonly Draft[]): readonly Draft[] {
  const { state, expires_at: expiresAt, retires_at: retiresAt } = token;
  if (state === 'revoked') return [];
  // A token that an older service minted has no event.
  const begin =
    events.length > 0 || past.length > 0 ? [] : [draft('known', token.created_at, 'It is known from here on.')];
  const retire =
    state === 'retiring' && retiresAt !== null
      ? [draft('retires', retiresAt, 'It is revoked, since it was rotated.')]
      : [];
  const isExpired = state === 'expired';
  const expire =
    expiresAt === null || (retire.length > 0 && Date.parse(expiresAt) > Date.parse(retiresAt ?? ''))
      ? []
      : [
          draft('expires', expiresAt, isExpired ? 'It expired.' : 'It expires.', {
            tone: isExpired ? 'warning' : 'quiet',
          }),
        ];
  return [...begin, ...retire, ...expire];
}

const textsOf = (value: unknown): readonly string[] => (Array.isArray(value) ? value.map(String) : []);

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
