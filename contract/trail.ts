import * as z from 'zod';
import {
  ACTOR_ISSUER_MAX_BYTES,
  ACTOR_SUBJECT_MAX_BYTES,
  AUDIT_EXPORT_MAX_ROWS,
  AUDIT_PAGE_DEFAULT_ROWS,
  AUDIT_PAGE_MAX_ROWS,
  SCOPE_MAX_CHARS,
  TOKEN_NAME_MAX_BYTES,
} from '../src/config/limits.ts';
import { SCOPE } from '../src/config/grant-names.ts';
import { POLICY_VERSION, ROLE_NAME, TOKEN_PREFIX } from '../src/trail/query/filter.ts';
import { AUDIT_COUNT_MAX_KEYS, AUDIT_COUNT_MAX_ROWS } from '../src/config/trail-limits.ts';
import { COUNTED_BY } from '../src/trail/query/params.ts';
import { EXPORT_FORMATS } from '../src/trail/query/format.ts';
import { ACTOR_TYPES, AUDIT_ACTIONS, AUDIT_STATUSES } from '../src/vocabulary.ts';
import { ID_PATTERN } from './bodies.ts';
import { errorCode, RECORDED } from './failures.ts';
import type { Operation, Parameter } from './operation.ts';
import { component, count, page, say, success, time, uuid } from './schema.ts';

const action = component('AuditAction', z.enum(AUDIT_ACTIONS), 'What an event is about.');
const status = component(
  'AuditStatus',
  z.enum(AUDIT_STATUSES),
  '`attempted`: it is not known yet what became of it. It becomes one of the others once.',
);
const actorType = component('ActorType', z.enum(ACTOR_TYPES), 'A `webhook` and the `system` are never callers.');

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
    actor: z.strictObject({
      type: actorType,
      issuer: z.string().nullable(),
      subject: z.string().nullable(),
      label: z.string().nullable(),
    }),
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

const exportLine = component('ExportLine', z.union([auditEvent, exportEnd]), 'A line of an NDJSON export.');

const auditEventsAnswer = component(
  'AuditEventsAnswer',
  page(auditEvent, { has_more: say(z.boolean(), 'Whether the next page can be had at once.') }),
  'A page of the trail.',
);
const auditEventAnswer = component('AuditEventAnswer', success(auditEvent), 'One event.');

const auditCountsAnswer = component(
  'AuditCountsAnswer',
  success(
    z.array(
      z.strictObject({
        key: say(
          z.string(),
          'What the events have in common. Given to the filter of that name, or as `from` and `to` for a day, it gives these events: an actor is an issuer and a subject with `|` between them, either of which may be missing.',
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

const EVENT = {
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

const query = (name: string, description: string, schema: z.ZodType, example: unknown): Parameter => ({
  in: 'query',
  name,
  description,
  schema,
  example,
});

const NOUNS = [...new Set(AUDIT_ACTIONS.map((name) => name.replace(/\.\w+$/, '.*')))];

/** @param description where it comes from: it means nothing to whoever has it. */
export const cursorParameter = (description: string): Parameter =>
  query(
    'cursor',
    description,
    say(z.string().regex(/^[A-Za-z0-9]{6,32}$/), 'Opaque.', { format: 'cursor' }),
    'c2VxOjQx',
  );
const latest = query('latest', '`true`: also what can still change. Default: `false`.', z.boolean(), true);

const filters: readonly Parameter[] = [
  query(
    'action',
    'Actions, with commas between them. `service_account_token.*` is all of a noun, and a `!` in front takes away from the others, or from all where nothing else is named.',
    z
      .array(
        z.union([
          z.enum([...AUDIT_ACTIONS, ...NOUNS]),
          z.string().regex(new RegExp(`^!(?:${[...AUDIT_ACTIONS, ...NOUNS].join('|').replace(/[.*]/g, '\\$&')})$`)),
        ]),
      )
      .min(1),
    ['service_account_token.*', '!service_account_token.list'],
  ),
  query('status', 'How far the event is.', status, 'failure'),
  query('code', 'Why it failed.', errorCode, 'forbidden'),
  query(
    'actor',
    'An issuer and a subject with `|` between them, either of which may be missing: exactly this actor. Otherwise a subject or a label; `me` is whoever asks.',
    say(
      z
        .string()
        .min(1)
        .max(ACTOR_ISSUER_MAX_BYTES + 1 + ACTOR_SUBJECT_MAX_BYTES),
      'Without control characters, and nothing that looks like a token secret or a JWT.',
      { format: 'actor' },
    ),
    'me',
  ),
  query('actor_type', 'What acted.', actorType, 'user'),
  query('token_id', 'Events about one token.', z.string().regex(new RegExp(ID_PATTERN)), EVENT.token_id),
  query(
    'token_name',
    'Creates that give a token this name, and renames that do. Nothing in it looks like a token secret or a JWT: it is stored.',
    say(z.string().min(1).max(TOKEN_NAME_MAX_BYTES), `At most ${TOKEN_NAME_MAX_BYTES} bytes of UTF-8.`, {
      format: 'token-name',
    }),
    EVENT.token_name,
  ),
  query(
    'token_prefix',
    'Events about the tokens of the inventory whose secret begins so, as PipeOps shows it: whole, and no more than that.',
    z.string().regex(TOKEN_PREFIX),
    'sat_a1B2c3D',
  ),
  query(
    'scope',
    'Events that name one scope: it was asked for, a preset stood for it, or PipeOps gave it. A create that succeeded minted a token with it.',
    z.string().regex(SCOPE).max(SCOPE_MAX_CHARS),
    'api:full',
  ),
  query('role', 'What this role allowed.', z.string().regex(ROLE_NAME), 'ci'),
  query(
    'policy_version',
    'What was decided under one version of the policy: `policy` in the detail of an event.',
    z.string().regex(POLICY_VERSION),
    '3f0c7b1d92e84a56',
  ),
  query(
    'workspace_uuid',
    'Events about one workspace.',
    z.string().regex(new RegExp(ID_PATTERN)),
    EVENT.workspace_uuid,
  ),
  query(
    'request_id',
    'Events of one request, by the `X-Request-Id` of its answer.',
    z.string().regex(/^[A-Za-z0-9-]{8,64}$/),
    EVENT.request_id,
  ),
  query('ip', 'Events from one address, as an event shows it.', z.string().regex(/^[0-9A-Fa-f:.]{2,45}$/), '192.0.2.1'),
  query('from', 'Events of this time and later.', z.iso.datetime({ offset: true }), '2026-11-01T00:00:00Z'),
  query(
    'to',
    'Events before this time, which is after `from`.',
    z.iso.datetime({ offset: true }),
    '2026-12-01T00:00:00Z',
  ),
];

const eventId: Parameter = {
  in: 'path',
  name: 'event_id',
  description: 'The id of the event, as the trail or `X-Audit-Event-Id` gave it.',
  schema: uuid(),
  example: EVENT.id,
};

const EVENTS = '/api/v1/audit/events';
const COMMON = { tag: 'trail', method: 'GET', isRecorded: true, access: 'audit:read' } as const;
const OWN = 'A caller without the permission reads the events that it caused itself';

export const trailOperations: readonly Operation[] = [
  {
    ...COMMON,
    pattern: EVENTS,
    id: 'queryAuditEvents',
    summary: 'Query the trail',
    description: `Reads a page of the trail. An ascending page ends before the first event that can still change, and always has a cursor to go on from. ${OWN}, with \`actor=me\`.`,
    parameters: [
      ...filters,
      query('order', 'Default: `desc`, the newest events first.', z.enum(['asc', 'desc']), 'asc'),
      query(
        'limit',
        `How many events the page has at the most. Default: ${AUDIT_PAGE_DEFAULT_ROWS}.`,
        z.int().min(1).max(AUDIT_PAGE_MAX_ROWS),
        50,
      ),
      cursorParameter('`next_cursor` of the page before, as it was given.'),
      latest,
    ],
    successes: [
      {
        status: 200,
        description: 'A page of events.',
        content: {
          schema: auditEventsAnswer,
          examples: {
            events: {
              success: true,
              message: 'Audit events, newest first.',
              data: [EVENT],
              pagination: { next_cursor: null, has_more: false },
            },
          },
        },
      },
    ],
    failures: ['invalid_request', 'validation_failed', ...RECORDED],
  },
  {
    ...COMMON,
    pattern: `${EVENTS}/:event_id`,
    id: 'getAuditEvent',
    summary: 'Read an event',
    description: `Reads one event. ${OWN}; any other id is the same 403.`,
    parameters: [eventId],
    successes: [
      {
        status: 200,
        description: 'The event.',
        content: {
          schema: auditEventAnswer,
          examples: { event: { success: true, message: 'Audit event.', data: EVENT } },
        },
      },
    ],
    failures: ['invalid_request', ...RECORDED, 'audit_event_not_found'],
  },
  {
    ...COMMON,
    pattern: '/api/v1/audit/export',
    id: 'exportAuditEvents',
    summary: 'Export the trail',
    description: `Gives up to ${AUDIT_EXPORT_MAX_ROWS} events in one answer, oldest first, as far as they can no longer change.`,
    parameters: [
      query('format', 'Default: `ndjson`.', z.enum(EXPORT_FORMATS), 'csv'),
      ...filters,
      cursorParameter('Where an earlier export ended: `next` of its last line, or the cursor of its `Link`.'),
      latest,
    ],
    successes: [
      {
        status: 200,
        description: 'The events.',
        headers: ['Content-Disposition', 'Content-Length', 'Link'],
        content: {
          texts: {
            'application/x-ndjson': {
              description:
                'A line of JSON for each event (`AuditEvent`), and one more that says how it ended (`ExportEnd`). Without that line the export was cut.',
              line: exportLine,
              example: `${JSON.stringify(EVENT)}\n{"complete":true,"count":1,"next":null}\n`,
            },
            'text/csv': {
              description:
                'RFC 4180: a line of titles, and a line for each event. No cell is a formula to a spreadsheet.',
              example: 'seq,id,occurred_at,…\r\n1,186564da-034d-4f28-8ae4-8230632a6738,2026-11-28T00:44:15.946Z,…\r\n',
            },
          },
        },
      },
    ],
    failures: ['invalid_request', 'validation_failed', ...RECORDED],
  },
  {
    ...COMMON,
    pattern: '/api/v1/audit/counts',
    id: 'countAuditEvents',
    summary: 'Count events of the trail',
    description: `Counts the events of a filter by what they have in common. The largest counts come first, and of days the newest: at most ${AUDIT_COUNT_MAX_KEYS}. At most ${AUDIT_COUNT_MAX_ROWS} events are looked at, the newest first; where there are more, the answer is \`partial\`.`,
    parameters: [
      {
        ...query(
          'by',
          'What to count by. By `code`, events without one are left out. Days are of UTC.',
          z.enum(COUNTED_BY),
          'actor',
        ),
        required: true,
      },
      ...filters,
    ],
    successes: [
      {
        status: 200,
        description: 'The counts.',
        content: {
          schema: auditCountsAnswer,
          examples: {
            actors: {
              success: true,
              message: 'Audit events by actor.',
              data: [
                { key: 'https://issuer.example|ci', count: 1204 },
                { key: 'https://issuer.example|auth0|7', count: 31, label: 'alice@acme.example' },
              ],
            },
          },
        },
      },
    ],
    failures: ['invalid_request', 'validation_failed', ...RECORDED],
  },
];
