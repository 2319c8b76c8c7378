import * as z from 'zod';
import { ACTOR_TYPES, AUDIT_ACTIONS, AUDIT_STATUSES } from '../src/vocabulary.ts';
import { errorCode } from './failures.ts';
import { component, count, page, say, success, time, uuid } from './schema.ts';

// The events of the trail, and the answers that are made of them.

const action = component('AuditAction', z.enum(AUDIT_ACTIONS), 'What an event is about.');
export const status = component(
  'AuditStatus',
  z.enum(AUDIT_STATUSES),
  '`attempted`: it is not known yet what became of it. It becomes one of the others once.',
);
export const actorType = component('ActorType', z.enum(ACTOR_TYPES), 'A `webhook` and the `system` are never callers.');

/** Who did something. */
export const actor = z.strictObject({
  type: actorType,
  issuer: z.string().nullable(),
  subject: z.string().nullable(),
  label: z.string().nullable(),
});

const auditEvent = component(
  'AuditEvent',
  z.strictObject({
    id: uuid(),
    seq: say(z.int().min(1), 'Its place in the trail. There are no gaps.'),
    occurred_at: time(),
    settled_at: say(time().nullable(), 'When its outcome was recorded. Null while it is `attempted`.'),
    action,
    status,
    count: say(z.int().min(1), 'How many alike there were within its minute.'),
    last_at: say(time(), 'When the last of these was.'),
    actor,
    workspace_uuid: z.string().nullable(),
    token_id: z.string().nullable(),
    token_name: z.string().nullable(),
    request_id: z.string().nullable(),
    ip: z.string().nullable(),
    user_agent: z.string().nullable(),
    upstream_status: say(
      z.int().nullable(),
      "The status of PipeOps' answer. Null: PipeOps was not asked, or did not answer.",
    ),
    error_code: say(errorCode.nullable(), 'Why it is a failure.'),
    detail: say(z.record(z.string(), z.unknown()), 'What was asked for, and what the outcome adds to it.'),
  }),
  'An event of the trail.',
);

const exportEnd = component(
  'ExportEnd',
  z.strictObject({
    complete: say(
      z.boolean(),
      'Whether the end of the trail was reached, or of that part of it that no longer changes.',
    ),
    count: say(count(), 'How many events this answer has.'),
    next: say(z.string().nullable(), 'The `cursor` to go on with. Null: the export is complete.'),
  }),
  'The last line of an NDJSON export. An export without it was cut.',
);

export const exportLine = component('ExportLine', z.union([auditEvent, exportEnd]), 'A line of an NDJSON export.');

export const auditEventsAnswer = component(
  'AuditEventsAnswer',
  page(auditEvent, { has_more: say(z.boolean(), 'Whether the next page can be had at once.') }),
  'A page of the trail.',
);
export const auditEventAnswer = component('AuditEventAnswer', success(auditEvent), 'One event.');

export const auditCountsAnswer = component(
  'AuditCountsAnswer',
  success(
    z.array(
      z.strictObject({
        key: say(
          z.string(),
          'What the events have in common. Given to the filter of that name, or as `from` and `to` for a day or an hour, it gives these events. An hour is the time at which it begins. An actor is an issuer and a subject with `|` between them, either of which may be missing.',
        ),
        count: say(z.int().min(1), 'The sum of the `count` of these events.'),
        label: say(z.string().optional(), 'The label under which an actor was seen last, if it ever had one.'),
      }),
    ),
  ).extend({
    partial: say(
      z.literal(true).optional(),
      'The counts are of the newest events. Older ones may match, which were not looked at.',
    ),
  }),
  'How many events there are of each key.',
);

export const EVENT = {
  id: '186564da-034d-4f28-8ae4-8230632a6738',
  seq: 1,
  occurred_at: '2026-11-28T00:44:15.946Z',
  settled_at: '2026-11-28T00:44:15.974Z',
  action: 'service_account_token.create',
  status: 'success',
  count: 1,
  last_at: '2026-11-28T00:44:15.946Z',
  actor: { type: 'service_account', issuer: 'https://issuer.example', subject: 'ci', label: null },
  workspace_uuid: '5877a4ae-0000-4000-8000-000000000001',
  token_id: '8a36570a-d2b2-40b4-9730-fe8bd057ea99',
  token_name: 'deploy',
  request_id: '3992fdd8-93d5-4772-9246-84b176832ec5',
  ip: '192.0.2.1',
  user_agent: 'curl/7.88.1',
  upstream_status: 201,
  error_code: null,
  detail: { scopes: ['api:read'], expires_at: '2026-12-28T00:44:15.941Z', role: 'ci' },
};
