import * as z from 'zod';
import {
  IGNORED_DELIVERIES,
  ITEM_FINDINGS,
  ITEM_REJECTIONS,
  ORDER_RESULTS,
  ORDER_STATES,
  REVOCATION_MODES,
} from '../src/vocabulary.ts';
import { errorCode } from './failures.ts';
import { actor } from './events.ts';
import { component, count, page, say, success, time, uuid } from './schema.ts';

// What is told of a delivery: to its sender, and to readers of the trail.

const mode = component('RevocationMode', z.enum(REVOCATION_MODES), 'What becomes of a token.');
const ignored = component('IgnoredDelivery', z.enum(IGNORED_DELIVERIES), 'Why a delivery led to nothing.');

const owner = component(
  'Owner',
  z.strictObject({
    issuer: z.string(),
    subject: z.string(),
    tokens: say(count(), 'How many tokens it had whose end was not proven.'),
  }),
  'An owner of tokens that a delivery about a subject found.',
);

/** What is told of a delivery in its receipt and to readers of the trail alike. */
const marks = {
  id_reused: say(z.literal(true), 'Another delivery had this id before.').optional(),
  rejected_items: say(
    z.partialRecord(z.enum(ITEM_REJECTIONS), z.int().min(1)),
    'How many items of a leak could not be acted on, by reason.',
  ).optional(),
};
const owners = {
  issuer_configured: say(z.literal(false), 'Nobody here has that issuer.').optional(),
  owners: say(z.array(owner), 'Those whom a delivery about a subject means.').optional(),
  also_carried: say(z.array(owner), 'Those who carried the label before, and are left alone.').optional(),
};

const receipt = component(
  'Receipt',
  z.strictObject({ delivery_id: uuid(), received_at: time(), ignored: ignored.optional(), ...marks, ...owners }),
  'What a sender is told. Nothing in it tells whether a secret matched.',
);
export const receiptAnswer = component('ReceiptAnswer', success(receipt), 'A delivery that was recorded.');
const countedAnswer = component(
  'CountedAnswer',
  success(z.strictObject({})),
  'A delivery that led to nothing and was counted with others of its kind.',
);
const feedback = component(
  'GitHubFeedback',
  z.array(
    z.strictObject({
      token_hash: say(z.string(), 'The SHA-256 of what GitHub reported.'),
      token_type: z.string().nullable(),
      label: z.literal('true_positive'),
    }),
  ),
  'Which of the secrets that GitHub reported are ours, as its protocol asks for it.',
);

export const doneAnswer = component(
  'DoneAnswer',
  z.union([receiptAnswer, countedAnswer, feedback]),
  'What a sender is told where nothing is left to be carried out for it to wait for.',
);
const summary = {
  id: uuid(),
  source: say(z.string().nullable(), 'The sender, as the policy names it. Null: a caller has ordered it.'),
  actor: say(actor, 'The caller who has ordered it.').optional(),
  reason: say(z.string(), 'Why, as that caller said.').optional(),
  blocks_lifted: say(count(), 'Of a reinstatement: how many blocks it lifted.').optional(),
  still_blocked: say(z.literal(true), 'Somebody whom it reinstates is blocked in another way as well.').optional(),
  event: say(z.string().nullable(), 'Null: its body does not name one.'),
  sender_id: say(z.string().nullable(), 'The id that its sender gave it. Null: its protocol has none.'),
  received_at: time(),
  event_id: say(uuid(), 'Its event in the trail.'),
  ignored: ignored.nullable(),
  refused: say(errorCode.nullable(), 'The code with which it was refused.'),
  refused_field: say(z.string(), 'The field at fault.').optional(),
  ...marks,
  mode: mode.optional(),
  former: z.literal(true).optional(),
  subject: say(
    z.union([z.strictObject({ label: z.string() }), z.strictObject({ issuer: z.string(), subject: z.string() })]),
    'Whom it is about.',
  ).optional(),
  ...owners,
  owners_not_shown: z.int().min(1).optional(),
  tokens: say(
    z.strictObject({ matched: count(), unmatched: count(), out_of_scope: count() }),
    'The tokens that it named: ours, none of ours, and ours in a workspace that its source may not touch.',
  ),
  orders: say(
    z.strictObject({
      open: count(),
      acknowledged: count(),
      confirmed: count(),
      failed: count(),
      lifted: z.int().min(1).optional(),
    }),
    'How far the revocations are.',
  ),
  orders_left: say(z.literal(true), 'Orders of it are still to be made.').optional(),
};
const delivery = component('Delivery', z.strictObject(summary), 'A delivery that was rightly signed.');

const item = z.strictObject({
  position: count(),
  found: z.enum(ITEM_FINDINGS),
  location: say(z.string().nullable(), 'Where the secret was seen.'),
  workspace_uuid: z.string().nullable(),
  token_id: z.string().nullable(),
  candidates: say(z.array(z.string()), 'Tokens whose prefix fits. Nothing is revoked by guess.').optional(),
});
const revocation = z.strictObject({
  event_id: say(uuid(), 'Its event in the trail.'),
  workspace_uuid: z.string(),
  token_id: z.string(),
  mode,
  // A delivery's orders are due at once.
  state: z.enum(ORDER_STATES).exclude(['scheduled']),
  result: z.enum(ORDER_RESULTS).nullable(),
  error_code: errorCode.nullable(),
  tries: count(),
  next_try_at: time().nullable(),
  received_at: time(),
  matched_at: time(),
  revoked_at: say(time().nullable(), 'When PipeOps acknowledged a revocation.').optional(),
  suspended_at: say(time().nullable(), 'When PipeOps acknowledged a suspension.').optional(),
  confirmed_at: say(time().nullable(), 'When a later look agreed.'),
  contradicted_at: say(time().nullable(), 'Since when a look contradicts it.'),
});
const wholeDelivery = component(
  'WholeDelivery',
  z.strictObject({ ...summary, items: z.array(item), revocations: z.array(revocation) }),
  'A delivery with each token that it named, and what became of each.',
);

export const deliveriesAnswer = component('DeliveriesAnswer', page(delivery, {}), 'A page of deliveries.');
export const deliveryAnswer = component('DeliveryAnswer', success(wholeDelivery), 'One delivery.');
export const retriedAnswer = component(
  'RetriedAnswer',
  success(z.strictObject({ retried: say(count(), 'How many orders are tried again.') })),
  'What is left of a delivery is tried again.',
);
